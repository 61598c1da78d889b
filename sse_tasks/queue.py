"""Whose turn it is: ``waiting/`` and ``slots/`` of the data folder.

A task that waits has an empty mark ``waiting/<id>``; ids sort by start time, so the listing is the queue. A task that
runs holds the lock of one of ``slots/0…``; whoever dies gives its slot back, for a lock dies with its holder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection
from pathlib import Path

from .folder import TaskFolder
from .listing import Listing
from .types import Status, is_task_id

__all__ = ["Queue"]


class Queue:
    """The waiting and the slots of one data folder, for any number of processes at once."""

    def __init__(self, data_dir: Path) -> None:
        self._tasks = data_dir / "tasks"
        self._waiting = data_dir / "waiting"
        self._listing = Listing(self._waiting, is_task_id)
        self._slots = data_dir / "slots"

    def put(self, task_id: str) -> None:
        os.close(os.open(self._waiting / task_id, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def remove(self, task_id: str) -> None:
        try:
            os.unlink(self._waiting / task_id)
        except OSError:
            pass  # it has no mark, or the disk can't be written: marks of the ended count for nothing

    def waiting(self) -> list[str]:
        """The ids that wait, oldest first, dead ones among them."""
        try:
            return list(self._listing.names())
        except OSError:
            return []

    def next_of(self, mine: Collection[str], is_paused: Callable[[str], bool]) -> str | None:
        """The id among ``mine`` whose turn it is, or None while an older live task, held elsewhere, goes first.

        A paused task keeps its place and lets the next one go ahead. A mark without a living holder doesn't count.
        """
        for task_id in self.waiting():
            if task_id in mine:
                if not is_paused(task_id):
                    return task_id
                continue
            folder = TaskFolder(self._tasks / task_id)
            if not folder.is_held():
                continue
            update, _ = folder.latest()
            if update is not None and update.status is Status.IDLE:
                return None
        return None

    def take_slot(self, max_running: int) -> int | None:
        """The locked descriptor of a free slot among the first ``max_running``, or None."""
        for number in range(max_running):
            fd = os.open(self._slots / str(number), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                continue
            return fd
        return None
