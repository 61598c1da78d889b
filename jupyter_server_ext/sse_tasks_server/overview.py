"""The overview stream: one connection for all tasks, for user interfaces.

What a connection owes its reader is a set of task ids, never a queue of snapshots: however long a reader slept, it
costs one snapshot per task. Snapshots are made once for all connections, at most ten a second per task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from sse_tasks.errors import TaskNotFoundError
from sse_tasks.types import Status

from .api import TasksApiHandler, summary, to_json
from .event_stream import EventStream, frame

if TYPE_CHECKING:
    from sse_tasks.task_manager import TaskManager

__all__ = ["Overview", "follow_overview"]

SNAPSHOT_SECONDS = 0.1
"""The least time between two snapshots of one task."""

_LIVE = (Status.IDLE, Status.RUNNING, Status.PAUSED)
_KEPT_SNAPSHOTS = 512
_READY = frame('{"type":"ready"}')


class _Reader:
    """One connection: what changed since it was last written to, oldest first."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.pending: dict[str, None] = {}


class Overview:
    """The changes of all tasks, for as long as somebody looks. Lives on one loop."""

    def __init__(self, manager: TaskManager) -> None:
        self._manager = manager
        self._readers: list[_Reader] = []
        self._snapshots: dict[str, bytes] = {}
        self._made_at: dict[str, float] = {}
        self._planned: dict[str, asyncio.TimerHandle] = {}
        self._stop: Callable[[], None] | None = None

    def join(self, wake: Callable[[], None]) -> _Reader:
        reader = _Reader(wake)
        self._readers.append(reader)
        if self._stop is None:
            self._stop = self._manager.watch(self._changed, None, asyncio.get_running_loop())
        return reader

    def leave(self, reader: _Reader) -> None:
        self._readers.remove(reader)
        if not self._readers:
            if self._stop is not None:
                self._stop()
                self._stop = None
            for timer in self._planned.values():
                timer.cancel()
            for memory in (self._planned, self._snapshots, self._made_at):
                memory.clear()

    def live(self) -> list[bytes]:
        """A snapshot of every task that has not ended, oldest first."""
        infos, _ = self._manager.list(status=_LIVE, brief=True)
        return [_snapshot(summary(info)) for info in reversed(infos)]

    def snapshot(self, task_id: str) -> bytes:
        """What is to be said of a task now: its latest snapshot, or that it is gone."""
        known = self._snapshots.get(task_id)
        return known if known is not None else self._make(task_id)

    def _changed(self, task_id: str) -> None:
        if task_id in self._planned:
            return
        loop = asyncio.get_running_loop()
        due = self._made_at.get(task_id, 0.0) + SNAPSHOT_SECONDS
        if due <= loop.time():
            self._tell(task_id)
        else:
            self._planned[task_id] = loop.call_at(due, self._tell, task_id)

    def _tell(self, task_id: str) -> None:
        self._planned.pop(task_id, None)
        before = self._snapshots.get(task_id)
        if self._make(task_id) == before:
            return
        for reader in self._readers:
            reader.pending[task_id] = None
            reader.wake()

    def now(self, task_id: str) -> bytes:
        """What is to be said of a task in this moment. It is not remembered: others may not have been told."""
        try:
            return _snapshot(summary(self._manager.info(task_id, recover=False)))
        except TaskNotFoundError:
            return frame(to_json({"type": "gone", "taskId": task_id}))

    def _make(self, task_id: str) -> bytes:
        data = self.now(task_id)
        for memory in (self._snapshots, self._made_at):
            memory.pop(task_id, None)  # the most recent stands last
        self._snapshots[task_id] = data
        self._made_at[task_id] = asyncio.get_running_loop().time()
        if len(self._snapshots) > _KEPT_SNAPSHOTS:
            oldest = next(iter(self._snapshots))
            del self._snapshots[oldest], self._made_at[oldest]
        return data


async def follow_overview(handler: TasksApiHandler) -> None:
    """Answers with a snapshot of every live task, then of each that changes."""
    overview = handler.tasks_app.overview
    with EventStream(handler) as stream:
        reader = overview.join(stream.wake)  # before the list, so that nothing falls between the two
        try:
            await stream.open()
            if handler.request.method == "HEAD":
                return
            live = await asyncio.to_thread(overview.live)
            early, reader.pending = reader.pending, {}  # told anew: what is known of them may be older than the list
            await stream.send(b"".join([*live, _READY, *map(overview.now, early)]))
            while True:
                while reader.pending:
                    changed, reader.pending = reader.pending, {}
                    await stream.send(b"".join([overview.snapshot(task_id) for task_id in changed]))
                await stream.wait()
        except StreamClosedError:
            pass
        finally:
            overview.leave(reader)


def _snapshot(info: object) -> bytes:
    return frame(to_json({"type": "snapshot", "task": info}))
