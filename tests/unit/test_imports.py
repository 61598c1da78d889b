"""What an import brings, and what it doesn't."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import sse_tasks_server
import sse_tasks_workers

import sse_tasks

HEAVY = ["playwright", "pandas", "ipywidgets", "tornado", "nbformat", "jupyter_server"]


def every_module() -> list[str]:
    names = []
    for package in (sse_tasks, sse_tasks_server, sse_tasks_workers):
        found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        names += [package.__name__, *(module.name for module in found)]
    return names


def plain(distribution: str) -> str:
    """The name as the index compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def fresh(code: str) -> str:
    """What the code prints in a new interpreter."""
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light() -> None:
    """``import sse_tasks`` loads none of the packages that only some parts of it need."""
    loaded = fresh(f"import sys, sse_tasks; print([name for name in {HEAVY} if name in sys.modules])")

    assert loaded == "[]"


def test_import_starts_nothing() -> None:
    """After ``import sse_tasks`` the process has the one thread that it had: it can still be forked."""
    assert fresh("import os, sse_tasks; print(len(os.listdir('/proc/self/task')))") == "1"


@pytest.mark.parametrize("worker_module", ["scrape_reviews"])
def test_describing_a_shipped_worker_is_light(worker_module: str) -> None:
    """Listing the task types needs no browser library and no pandas."""
    loaded = fresh(f"import sys, sse_tasks_workers.{worker_module}; print([n for n in {HEAVY} if n in sys.modules])")

    assert loaded == "[]"


@pytest.mark.parametrize("name", every_module())
def test_modules_export_what_they_say(name: str) -> None:
    """Every module can be imported, and each name in its ``__all__`` is there, once."""
    module: types.ModuleType = importlib.import_module(name)

    exported = list(getattr(module, "__all__", []))
    assert [each for each in exported if not hasattr(module, each)] == []
    assert len(exported) == len(set(exported))


def test_public_names_are_all_in_the_list() -> None:
    """``sse_tasks`` defines no public class or function but those in its ``__all__`` and IPython's two hooks."""
    public = {name for name, value in vars(sse_tasks).items()
              if not name.startswith("_") and getattr(value, "__module__", "").startswith("sse_tasks")}

    assert public - set(sse_tasks.__all__) == {"load_ipython_extension", "unload_ipython_extension"}


def test_what_is_imported_is_declared() -> None:
    """Each distribution that a module imports is named among the dependencies: none comes by another's grace."""
    imported = set()
    for package in (sse_tasks, sse_tasks_server, sse_tasks_workers):
        for path in Path(package.__path__[0]).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    imported.add(node.module.partition(".")[0])
    ours = {"sse_tasks", "sse_tasks_server", "sse_tasks_workers"}
    distributions = importlib.metadata.packages_distributions()
    needed = {plain(distributions[name][0]) for name in imported - sys.stdlib_module_names - ours}

    declared = {plain(re.split(r"[^\w.-]", requirement)[0]) for requirement in importlib.metadata.requires("sse_tasks")
                if "extra ==" not in requirement or "parquet" in requirement.partition(";")[2]}  # used where it is
    assert needed - declared == set()


def test_version_is_the_distributions() -> None:
    """``sse_tasks.__version__`` is what pip says."""
    assert sse_tasks.__version__ == importlib.metadata.version("sse_tasks")
