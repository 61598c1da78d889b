"""``logging`` of code that knows nothing of tasks, in the task's output: from INFO on, until the worker says otherwise.

Python's own default is warnings alone, without level and name. Here a record that no handler takes is written with
both. What the worker sets up, by ``basicConfig``, ``dictConfig`` or handlers of its own, holds as if this weren't here.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

__all__ = ["show_logs"]


class _Unset(int):
    """A level that nobody has asked for."""


class _OutputHandler(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is when a record comes."""

    def __init__(self) -> None:
        logging.Handler.__init__(self, logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def show_logs() -> None:
    """From now on; for this process and those that it forks."""
    root = logging.getLogger()
    if root.handlers or root.level != logging.WARNING:
        return  # somebody else has, before the worker
    root.setLevel(logging.INFO)
    root.level = _Unset(logging.INFO)
    handler = _OutputHandler()
    add_handler, call_handlers, configure = root.addHandler, logging.Logger.callHandlers, logging.basicConfig

    def be_as_ever() -> None:
        if isinstance(root.level, _Unset):
            root.setLevel(logging.WARNING)

    def addHandler(new: logging.Handler) -> None:
        if not isinstance(new, logging.NullHandler):
            be_as_ever()
        add_handler(new)

    def basicConfig(**settings: Any) -> None:
        if not settings and sys._getframe(1).f_globals.get("__name__") == "logging":
            return  # logging.info() and its like, which set up what isn't
        configure(**settings)

    def callHandlers(self: logging.Logger, record: logging.LogRecord) -> None:
        if _is_unheard(self):
            if record.levelno >= handler.level:
                handler.handle(record)
        else:
            call_handlers(self, record)

    root.addHandler = addHandler  # type: ignore[method-assign, assignment]
    logging.basicConfig = basicConfig
    logging.Logger.callHandlers = callHandlers  # type: ignore[method-assign]


def _is_unheard(logger: logging.Logger) -> bool:
    """Whether a record goes up to the root, and nobody takes it. A library's NullHandler takes nothing."""
    while True:
        if any(not isinstance(each, logging.NullHandler) for each in logger.handlers):
            return False
        if logger.parent is None:
            return True
        if not logger.propagate:
            return False
        logger = logger.parent
