"""The shops, and the place of a task, as fixtures; ``shop`` and ``desk`` beside this file are importable by name."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(name: str, folder: Path) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


_HERE = Path(__file__).parent
Shop = _load("shop", _HERE).Shop
Desk = _load("desk", _HERE).Desk


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def other_shop() -> Iterator[Shop]:
    """A second one: another port of this machine, which nobody asked for."""
    with Shop() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="session")
def demo_shop() -> ModuleType:
    """The module of the shop that the demonstration uses."""
    return _load("demo_shop", _HERE.parents[1] / "notebooks")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """``desk(saved=None)`` makes one."""
    desks: list[Desk] = []

    def make(saved: Any = None) -> Desk:
        desks.append(Desk(tmp_path, saved))
        return desks[-1]

    yield make
    for each in desks:
        each.close()
