"""``pytest --nbval-lax notebooks``: the notebooks' tasks get a data and a runtime folder of their own."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

_home: str | None = None


def pytest_configure(config: pytest.Config) -> None:
    global _home
    if not (config.getoption("nbval", False) or config.getoption("nbval_lax", False)):
        return
    _home = tempfile.mkdtemp(prefix="st-")  # short: a socket's path has 107 bytes
    os.environ.update(SSE_TASKS_DATA_DIR=os.path.join(_home, "d"), SSE_TASKS_RUNTIME_DIR=os.path.join(_home, "r"),
                      IPYTHONDIR=os.path.join(_home, "i"))


def pytest_unconfigure() -> None:
    if _home is not None:
        shutil.rmtree(_home, ignore_errors=True)
