"""For all tests: data, sockets and configuration of their own, gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import hypothesis
import psutil
import pytest

from .places import Place

pytest_plugins = ("pytest_jupyter.jupyter_server",)

# How long an example takes is the machine's affair, and what else that is doing.
hypothesis.settings.register_profile("any machine", parent=hypothesis.settings(), deadline=None,
                                     suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("any machine")

_home = tempfile.mkdtemp(prefix="st-")  # short: a socket's path has 107 bytes
_names = {"SSE_TASKS_DATA_DIR": "d", "SSE_TASKS_RUNTIME_DIR": "r", "JUPYTER_CONFIG_DIR": "c", "JUPYTER_DATA_DIR": "j",
          "JUPYTER_RUNTIME_DIR": "k", "IPYTHONDIR": "i"}
for _variable, _name in _names.items():
    os.environ[_variable] = os.path.join(_home, _name)
os.environ.pop("SSE_TASKS_WORKERS", None)


def pytest_unconfigure() -> None:
    for process in psutil.process_iter(["cmdline"]):
        if any(word.startswith(_home) for word in process.info["cmdline"] or ()):
            process.terminate()  # forkservers wait some minutes for more work
    shutil.rmtree(_home, ignore_errors=True)


@pytest.fixture(autouse=True)
def jp_asyncio_loop() -> Iterator[None]:
    """Stands in for pytest-jupyter's, which is for server tests alone: it would make a loop for every test."""
    yield


@pytest.fixture(autouse=True)
def jp_server_cleanup() -> Iterator[None]:
    """Stands in for pytest-jupyter's, which would make a server for every test."""
    yield


def _place() -> Iterator[Place]:
    place = Place()
    try:
        yield place
    finally:
        faults = place.close()
    assert not faults, faults


@pytest.fixture
def place() -> Iterator[Place]:
    """A data folder for one test, for what kills or fills something."""
    yield from _place()


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Place]:
    """A data folder for a module's tests, with one manager and one forkserver; aborted tasks have half a second, and
    second attempts begin soon."""
    for place in _place():
        place.manager(abort_grace=0.5, retry_delay=0.05)
        yield place
