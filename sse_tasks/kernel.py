"""The kernel that this process is, if it is one: its loop, the cell that runs, the notebook that it belongs to.

Imports nothing of IPython's: in a script there is none of it.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Cell", "notebook", "origin", "running_cell", "running_loop", "shell", "workers_beside"]


def shell() -> Any | None:
    """The IPython shell of this process, or None."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython() if get_ipython is not None else None


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that the kernel runs cells on, or None where there is no kernel."""
    kernel = getattr(shell(), "kernel", None)
    loop = getattr(getattr(kernel, "io_loop", None), "asyncio_loop", None)
    return loop if loop is not None and loop.is_running() else None


def notebook() -> str | None:
    """The notebook's path, as the server or VS Code says it; None where nobody says it."""
    user_names = getattr(shell(), "user_ns", {})
    return os.environ.get("JPY_SESSION_NAME") or user_names.get("__vsc_ipynb_file__")


def origin() -> dict[str, str]:
    """Where a task that starts now comes from: ``notebook`` and ``cell``, as far as they are known."""
    here = shell()
    if here is None:
        return {}
    parent = here.get_parent() if hasattr(here, "get_parent") else {}
    cell = parent.get("metadata", {}).get("cellId")
    return {name: str(value) for name, value in (("notebook", notebook()), ("cell", cell)) if value}


def running_cell() -> str | None:
    """The id of the message that the cell came with that runs now, or was the last to run; None without a kernel."""
    here = shell()
    # In a context of its own: a thread may remember the cell that it was started in.
    parent = contextvars.Context().run(here.get_parent) if here is not None and hasattr(here, "get_parent") else {}
    return parent.get("header", {}).get("msg_id")


def workers_beside() -> Path | None:
    """``workers/`` beside the notebook; None in a script."""
    try:
        return Path.cwd() / "workers" if shell() is not None else None
    except OSError:  # the folder is gone
        return None


class Cell:
    """The cell that runs now: what is called through it prints and displays there, whenever that is."""

    def __init__(self) -> None:
        # Kernels keep a cell's header in context variables: a copy of the context is all that is needed.
        self._context = contextvars.copy_context()
        self._header = getattr(_publisher(), "parent_header", None)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls ``function`` as if the cell did. Within one thread at a time, from any."""
        return self._context.copy().run(self._call, function, args)

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        publisher = _publisher()
        if publisher is None or isinstance(getattr(publisher, "_parent_header", None), contextvars.ContextVar):
            return function(*args)
        before = publisher.parent_header  # ipykernel 6: display() takes it from a plain attribute
        publisher.parent_header = self._header
        try:
            return function(*args)
        finally:
            publisher.parent_header = before


def _publisher() -> Any | None:
    """What sends what is displayed; None where it isn't a kernel's."""
    publisher = getattr(shell(), "display_pub", None)
    return publisher if hasattr(publisher, "parent_header") else None
