"""One attempt of a task without its processes: a real context whose reports are kept, and a person's abort."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from sse_tasks import AsyncTaskContext
from sse_tasks.worker.control import ABORT, Control


class Reports:
    """Where the context reports to. ``on_state`` is called with each saved state."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.on_state: Callable[[int], None] = lambda count: None

    def progress(self, progress: dict[str, Any] | None, message: str | None) -> None:
        self.updates.append({"progress": progress, "message": message})

    def item(self, wire: str, exact: str | None) -> None:
        self.items.append(json.loads(wire))

    def state(self, exact: str) -> None:
        self.states.append(json.loads(exact))
        self.on_state(len(self.states))

    def said(self) -> str:
        return "\n".join(str(update["message"] or update["progress"]["message"]) for update in self.updates)


class Desk:
    """One attempt of a task: a real context, what it reported, and a person's abort."""

    def __init__(self, files: Path, saved: Any = None) -> None:
        self._ours, self._theirs = socket.socketpair()
        self.control = Control(self._theirs.fileno(), lambda: None)
        self.reports = Reports()
        self.ctx = AsyncTaskContext(task_id="0" * 26, input={}, files=files, saved=saved, attempt=1,
                                    log=logging.getLogger("test"), control=self.control, reporter=self.reports)

    def abort(self) -> None:
        """To be called from the task's own coroutine: it is cancelled at its next call to the context."""
        task = asyncio.current_task()
        assert task is not None
        self.control.interrupt = task.cancel
        self._ours.send(ABORT)

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


def reading_of(output: Any) -> dict[str, Any]:
    """The output without the numbers over all items: those of earlier attempts stand in a task's folder, which is
    missing here."""
    return {name: value for name, value in msgspec.to_builtins(output).items()
            if name not in {"rating_histogram", "rating_mean", "per_month"}}


def descendants() -> dict[int, str]:
    """The processes below this one by pid, with their names; zombies and spares left out, which come when they will."""
    parents: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
            if rest[0] != "Z" and not name.startswith("sse-tasks "):
                parents[int(entry.name)] = int(rest[1]), name
    found = {}
    for pid, (parent, name) in parents.items():
        while parent in parents and parent != os.getpid():
            parent = parents[parent][0]
        if parent == os.getpid() and pid != os.getpid():
            found[pid] = name
    return found
