"""What there is to say of the tasks of one data folder: read from their folders, remembered once they have ended.

Nothing of it is on the disk. What is remembered of an ended task holds while its folder's time of change is the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .errors import TaskNotFoundError
from .folder import TaskFolder, is_terminal
from .hosts.local import LocalHost, host_id
from .labels import printable
from .listing import FRESH_SECONDS, Listing
from .queue import Queue
from .types import Status, TaskInfo, TaskSpec, TaskUpdate, is_task_id, iso_of
from .wire import encode

__all__ = ["BRIEF_BYTES", "TaskIndex", "seconds_since"]

BRIEF_BYTES = 4096
"""An input or result that is larger, as JSON, is not remembered, but read anew each time."""

_LOOKED_AT_ONCE = 50
_COUNT_REST = 20  # times as long as it took to count files, they aren't counted again
_PATIENCE_SECONDS = 0.5
_NEAR_IDS = 1000  # the newest, among which the one that was meant is looked for: in 10,000 it takes 40 ms

_FROM_UPDATE = ("status", "requested", "progress", "message", "error", "code", "result", "result_bytes", "attempt",
                "started_at", "paused_seconds", "items", "metrics")


class _Ended(NamedTuple):
    info: TaskInfo
    changed: int
    whole: bool


class TaskIndex:
    """The tasks below ``tasks/``. One that has died is recovered by whoever looks at it. For any thread."""

    def __init__(self, data_dir: Path, host: LocalHost, queue: Queue) -> None:
        self._tasks = data_dir / "tasks"
        self._tasks_at = str(self._tasks)
        self._host = host
        self._queue = queue
        self._listing = Listing(self._tasks, is_task_id)
        self._specs: dict[str, TaskSpec] = {}  # of live tasks
        self._ended: dict[str, _Ended] = {}
        self._over: dict[str, Status] = {}  # how others ended, which is all that anybody wanted to know of them so far
        self._counts: dict[str, tuple[float, int]] = {}  # of the files of live tasks, each with how long it is good
        self._live: set[str] = set()
        self._lost: set[str] = set()  # ended, as far as we can read, and not by a line of their log

    # -- names ---------------------------------------------------------------------------------------------------

    def folder(self, task_id: str) -> TaskFolder:
        """Raises TaskNotFoundError where there is none that this user may read."""
        folder = self.folder_of(task_id)
        if not is_task_id(task_id) or not _is_there(folder):
            raise TaskNotFoundError(task_id, self.ids()[:_NEAR_IDS])
        return folder

    def folder_of(self, task_id: str) -> TaskFolder:
        return TaskFolder(f"{self._tasks_at}/{task_id}")

    def ids(self) -> list[str]:
        """The ids of all tasks, newest first."""
        try:
            return list(reversed(self._listing.names()))
        except OSError:
            return []

    def live_ids(self) -> list[str]:
        """The ids of the tasks that have not ended by a line of their log, newest first; the dead among them are left
        as they are. Of those that nobody has looked at yet, some are looked at in each call: others have their turn."""
        ids = self.ids()
        unknown = (task_id for task_id in ids if task_id not in self._ended and task_id not in self._over
                   and task_id not in self._live and task_id not in self._lost)
        for task_id in islice(unknown, _LOOKED_AT_ONCE):
            self.look(task_id, recover=False)
        return [task_id for task_id in sorted(self._live, reverse=True) if not self._has_ended(task_id)]

    def known_live_ids(self) -> list[str]:
        """The same as far as it is known already: nothing is read."""
        return sorted(self._live, reverse=True)

    def _has_ended(self, task_id: str) -> bool:
        update = self.folder_of(task_id).latest()[0]
        if update is None or is_terminal(update):
            self.look(task_id, recover=False)
        return task_id not in self._live

    def is_known_ended(self, task_id: str) -> bool:
        return task_id in self._ended

    def is_over(self, task_id: str) -> bool:
        """Whether the log says that the task has ended; its last line alone is read, and once."""
        return self._end_of(task_id) is not None

    def _end_of(self, task_id: str) -> Status | None:
        if (known := self._ended.get(task_id)) is not None:
            return known.info.status
        status = self._over.get(task_id)
        if status is None and task_id not in self._live:
            update = self.folder_of(task_id).latest()[0]
            if update is not None and is_terminal(update):
                status = self._over[task_id] = update.status
        return status

    def spec(self, task_id: str) -> TaskSpec:
        """Raises TaskNotFoundError."""
        return self._specs.get(task_id) or self.folder_of(task_id).spec()

    def drop(self, task_id: str) -> None:
        """Forgets what is known of a task."""
        for memory in (self._specs, self._ended, self._over, self._counts):
            memory.pop(task_id, None)
        self._live.discard(task_id)
        self._lost.discard(task_id)

    # -- pictures ------------------------------------------------------------------------------------------------

    def look(self, task_id: str, *, recover: bool = True) -> TaskInfo | None:
        """Like ``info``; None for one that has just been forgotten, or has no folder that we can read."""
        try:
            return self.info(task_id, brief=True, recover=recover)
        except TaskNotFoundError:
            return None

    def list(self, *, status: Iterable[str] = (), task_type: str | None = None, tag: str | None = None,
             limit: int | None = None, after: str | None = None, brief: bool = False
             ) -> tuple[list[TaskInfo], str | None]:
        """The tasks, newest first, and the cursor of the next page (``after``) or None."""
        wanted = {Status(one) for one in status}
        found: list[TaskInfo] = []
        ids = self.ids()
        if len(self._ended) + len(self._over) > len(ids):
            for gone in (self._ended.keys() | self._over.keys()) - set(ids):  # forgotten by other processes
                self.drop(gone)
        for task_id in ids:
            if after is not None and task_id >= after:
                continue
            known = self._ended.get(task_id)
            if known is None and wanted and (end := self._end_of(task_id)) is not None and end not in wanted:
                continue
            info = known.info if known is not None else self.look(task_id)
            if info is None:
                continue
            if ((wanted and info.status not in wanted) or (task_type is not None and info.task_type != task_type)
                    or (tag is not None and tag not in info.tags)):
                continue
            if limit is not None and len(found) == limit:
                return found, found[-1].task_id if found else after
            try:
                found.append(self.info(task_id, brief=brief) if known is not None or not brief else info)
            except TaskNotFoundError:
                continue  # forgotten while we looked
        return found, None

    def ended(self) -> Iterator[tuple[str, str]]:
        """The id of each ended task, and when it ended."""
        for task_id in self.ids():
            known = self._ended.get(task_id)
            update = None if known is not None else self.folder_of(task_id).latest()[0]
            if known is not None:
                yield task_id, known.info.ended_at or ""
            elif update is not None and is_terminal(update):
                yield task_id, update.timestamp
            elif (info := self.look(task_id)) is not None and info.is_ended:
                yield task_id, info.ended_at or ""

    def info(self, task_id: str, *, brief: bool = False, recover: bool = True) -> TaskInfo:
        """What there is to say of a task; ``brief``: it may lack an input and a result above 4 KiB. Without ``recover``
        one that has died is told as its log has it. Raises TaskNotFoundError."""
        folder = self.folder_of(task_id)
        try:
            changed = folder.changed()
        except OSError:
            self.drop(task_id)
            raise TaskNotFoundError(task_id) from None
        known = self._ended.get(task_id)
        if known is not None and known.changed == changed:
            if known.whole or brief:
                return msgspec.structs.replace(known.info)
            update, _ = folder.latest()
            return msgspec.structs.replace(known.info, input=self.spec(task_id).input,
                                           result=update.result if update else None)
        if not _is_there(folder):
            raise TaskNotFoundError(task_id)
        info = self._read(folder, recover)
        self._remember(info, changed)
        return info

    def _read(self, folder: TaskFolder, recover: bool) -> TaskInfo:
        task_id = folder.task_id
        spec = self.spec(task_id)
        update, cursor = folder.latest()
        lost: dict[str, Any] = {}
        recover_or_lost = recover or task_id in self._lost or spec.host != host_id()
        if not is_terminal(update) and recover_or_lost and not folder.is_held():
            if recover:
                self._host.recover(folder)
            held = folder.is_held()  # before the log is read: another recoverer may just have written the end
            update, cursor = folder.latest()
            if not is_terminal(update) and not held:
                lost = _lost(spec, update, task_id in self._queue.waiting())
        info = TaskInfo(task_id=task_id, task_type=spec.task_type, input=spec.input,
                        name=spec.name and printable(spec.name), tags=list(map(printable, spec.tags)),
                        status=Status.IDLE, created_at=spec.created_at, retries=spec.retries, cursor=cursor,
                        restart_of=spec.restart_of, restarted_as=folder.restarted_as(), origin=spec.origin or None,
                        interpreter=spec.interpreter, cwd=spec.cwd, host=spec.host, format=spec.format,
                        items_bytes=folder.items_size(), metrics_bytes=folder.metrics_size(),
                        output_bytes=folder.output_size(), files=self._count_files(folder, is_terminal(update)))
        if (saved_at := folder.saved_at()) is not None:
            info.saved_at = iso_of(saved_at)
        if update is not None:
            for field in _FROM_UPDATE:
                setattr(info, field, getattr(update, field))
            if info.is_ended:
                info.ended_at = update.timestamp
            elif info.started_at is None:
                self._say_place(info, spec)
        for field, value in lost.items():
            setattr(info, field, value)
        if lost:
            self._lost.add(task_id)
        else:
            self._lost.discard(task_id)
            if not info.is_ended:
                self._specs[task_id] = spec
        return info

    def _count_files(self, folder: TaskFolder, exactly: bool) -> int:
        """As of a moment ago where there are so many that counting takes time: pictures are made ten times a second."""
        now = time.monotonic()
        until, count = self._counts.get(folder.task_id, (now, 0))
        if exactly or now >= until:
            count = folder.count_files()
            self._counts[folder.task_id] = now + _COUNT_REST * (time.monotonic() - now), count
        return count

    def _say_place(self, info: TaskInfo, spec: TaskSpec) -> None:
        waiting = self._queue.waiting()
        if info.task_id not in waiting:
            return
        info.position = waiting.index(info.task_id) + 1
        if info.status is Status.IDLE and info.message is None and seconds_since(info.created_at) > _PATIENCE_SECONDS:
            info.message = (f"Waiting for its turn: place {info.position}, and {spec.max_running} may run at once "
                            "(max_running).")

    def _remember(self, info: TaskInfo, changed: int) -> None:
        task_id = info.task_id
        if not info.is_ended:
            self._live.add(task_id)
            return
        self._live.discard(task_id)
        for memory in (self._specs, self._over, self._counts):
            memory.pop(task_id, None)
        if task_id in self._lost or time.time() - changed / 1e9 < FRESH_SECONDS:
            return
        kept = {part: None for part in ("input", "result")
                if (value := getattr(info, part)) is not None and len(encode(value)[0]) > BRIEF_BYTES}
        self._ended[task_id] = _Ended(msgspec.structs.replace(info, **kept), changed, not kept)


def seconds_since(moment: str | None) -> float:
    """Seconds since a moment as the wire writes it; 0 for what is none."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(moment or "")).total_seconds()
    except (ValueError, TypeError):
        return 0.0


def _is_there(folder: TaskFolder) -> bool:
    return folder.exists() and folder.is_readable()


def _lost(spec: TaskSpec, update: TaskUpdate | None, waits: bool) -> dict[str, Any]:
    """How a task is read that nobody here can write an end for, or hand on. Its end is its last sign of life. One that
    ``waits`` has its first or its next attempt before it: what died with its forkserver was only the waiting."""
    if spec.host != host_id():
        error = ("The machine or container that ran the task was stopped or restarted. What it had done is kept. "
                 "Restart the task to go on from its last checkpoint.")
        return {"status": Status.FAILED, "code": "host_lost", "error": error, "position": None,
                "ended_at": update.timestamp if update else spec.created_at}
    if waits or update is None or update.started_at is None:
        return {}  # the next look tries again
    return {"status": Status.FAILED, "code": "worker_died", "ended_at": update.timestamp, "error":
            "The task's processes are gone, and its folder can't be written to say so."}
