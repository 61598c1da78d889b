"""A worker run here and now, in the calling process: with prints and the debugger, without pause, abort or folder.

In a kernel a loop is running already, so an ``async def`` is run on it by nest-asyncio2.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .types import new_task_id
from .worker.context import AsyncTaskContext, TaskContext
from .worker.control import Control

if TYPE_CHECKING:
    from .registry import Worker

__all__ = ["InlineReporter", "run_inline"]

_METRIC_SECONDS = 1.0


class InlineReporter:
    """Prints progress and messages where they change, and of each metric a number a second; keeps items and the last
    saved state."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.saved: Any = None
        self._said = ""
        self._measured: dict[str, float] = {}  # when a number of each metric was printed

    def progress(self, progress: dict[str, Any] | None, message: str | None) -> None:
        parts = [message or ""]
        if progress is not None:
            if "percentage" in progress:
                parts.append(f"{progress['percentage']:.0f} %")
            parts.append(progress.get("message", ""))
        said = " ".join(part for part in parts if part)
        if said and said != self._said:
            self._said = said
            print(f"[{said}]", file=sys.stderr)

    def item(self, wire: str, exact: str | None) -> None:
        self.items.append(json.loads(exact or wire))

    def metric(self, name: str, value: float | None, step: float | None) -> None:
        now = time.monotonic()
        if now - self._measured.get(name, -_METRIC_SECONDS) >= _METRIC_SECONDS:
            self._measured[name] = now
            number = "nan" if value is None else f"{value:g}"
            print(f"[{name} {number}{'' if step is None else f' at {step:g}'}]", file=sys.stderr)

    def state(self, exact: str) -> None:
        self.saved = json.loads(exact)


def run_inline(worker: Worker[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls the worker's function with a ``ctx`` of its own, if it takes one, and gives its result.

    Artifacts go into a new temporary folder, which ``ctx.log`` names. Errors are the function's own.
    """
    if worker.context_name is None:
        return _finished(worker, worker.function(*args, **kwargs))
    log = logging.getLogger(f"sse_tasks.inline.{worker.name}")
    files = Path(tempfile.mkdtemp(prefix=f"sse-task-{worker.name}-"))
    log.info("artifacts go to %s", files)
    ear, mouth = socket.socketpair()  # nothing is ever said in it: nobody can ask this run for anything
    with ear, mouth:
        context = (AsyncTaskContext if worker.is_async else TaskContext)(
            task_id=new_task_id(), input=dict(kwargs), files=files, saved=None, attempt=1, log=log,
            control=Control(ear.fileno(), lambda: None), reporter=InlineReporter())
        try:
            return _finished(worker, worker.function(*args, **{worker.context_name: context, **kwargs}))
        finally:
            if not any(files.iterdir()):
                files.rmdir()


def _finished(worker: Worker[..., Any], result: Any) -> Any:
    if not worker.is_async:
        return result
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(result)
    import nest_asyncio2

    nest_asyncio2.apply(loop)
    return loop.run_until_complete(result)
