"""How ended tasks are forgotten: one by a person, or the oldest by themselves when they are old, many or large.

An ended task's log is free. Who removes its folder holds the log's lock, who copies from it shares it: so nothing is
removed twice, and nothing under a copy.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import SseTasksError, TaskInUseError, TaskNotFoundError
from .folder import TaskFolder
from .types import iso_of

__all__ = ["DAY_SECONDS", "HOUR_SECONDS", "Limits", "Stamp", "bytes_of", "prune", "reading", "removing"]

HOUR_SECONDS = 3600.0
DAY_SECONDS = 24 * HOUR_SECONDS

_WAIT_SECONDS = 5.0
_LOOK_SECONDS = 0.005
_JUST_ENDED_SECONDS = 60.0  # whoever waits for its result has had no time to fetch it

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is kept of ended tasks; None is no limit. ``bytes`` is what they take on the disk."""

    days: float | None
    bytes: int | None
    count: int | None


@contextmanager
def removing(folder: TaskFolder, seconds: float | None = None) -> Iterator[None]:
    """An ended task for oneself. Waits up to ``seconds`` (5) for its keeper to leave and for copies to be done.

    Raises TaskNotFoundError, TaskInUseError.
    """
    fd = _lock(folder, fcntl.LOCK_EX, _WAIT_SECONDS if seconds is None else seconds)
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def reading(folder: TaskFolder) -> Iterator[None]:
    """While the context is open, nobody removes the folder of this ended task. Raises as ``removing``."""
    fd = _lock(folder, fcntl.LOCK_SH, _WAIT_SECONDS)
    try:
        yield
    finally:
        os.close(fd)


def _lock(folder: TaskFolder, kind: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fd = os.open(folder.log_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise TaskNotFoundError(folder.task_id) from error
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink and folder.exists():
                return fd
            os.close(fd)
            raise TaskNotFoundError(folder.task_id)
        except OSError:
            os.close(fd)
        if time.monotonic() >= deadline:
            raise TaskInUseError(folder.task_id)
        time.sleep(_LOOK_SECONDS)


def prune(ended: Iterable[tuple[str, str]], limits: Limits, size: Callable[[str], int],
          remove: Callable[[str], None], is_wanted: Callable[[str], bool] = lambda _: False,
          is_over: Callable[[], bool] = lambda: False, now: Callable[[], float] = time.time) -> int:
    """Removes what ended first, until what is left is within the limits; gives how many that were.

    ``ended``: ids and when they ended; ``size`` in bytes of one; ``remove`` may raise SseTasksError for one that is in
    use or gone; ``is_wanted`` says which to leave out; ``is_over`` that the process is about to end; ``now`` from when
    on days are counted, in seconds since 1970.
    """
    oldest_first = sorted((moment, task_id) for task_id, moment in ended)
    just_ended = iso_of(time.time() - _JUST_ENDED_SECONDS)  # the clock by which tasks say when they end
    too_old = iso_of(max(now() - limits.days * DAY_SECONDS, 0.0)) if limits.days is not None else ""
    count = len(oldest_first)
    sizes = {task_id: size(task_id) for _, task_id in oldest_first if not is_over()} if limits.bytes is not None else {}
    total = sum(sizes.values())
    removed = 0
    for moment, task_id in oldest_first:
        excess = ((limits.count is not None and count > limits.count)
                  or (limits.bytes is not None and total > limits.bytes))
        if is_over() or moment > just_ended or not (moment < too_old or excess):
            break
        if is_wanted(task_id):
            continue
        try:
            remove(task_id)
            removed += 1
        except TaskNotFoundError:
            pass  # another process was quicker
        except SseTasksError as error:  # no younger one goes in its place: it may be going just now
            _log.info("the task %s is not forgotten yet: %s", task_id, error)
        count -= 1
        total -= sizes.get(task_id, 0)
    if removed:
        _log.info("forgot %d tasks that ended long ago, or were too many or too large (keep_days, keep_count, "
                  "keep_bytes)", removed)
    return removed


def bytes_of(path: Path) -> int:
    """What a folder takes on the disk, in bytes; of what can't be read, nothing. Follows no link."""
    total = 0
    folders = [str(path)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


class Stamp:
    """When the tasks of a data folder were last pruned, by whichever process: a file's time of change. Who prunes
    holds its lock: two at once, each with its own count, would remove too many."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else prunes, and will while the context is open."""
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # the disk can't be written: nothing can be removed, either
            yield False
            return
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)

    def take(self, seconds: float) -> bool:
        """Whether the last time is longer ago than ``seconds``; then this is the new last time. In a new data folder
        there is nothing to prune."""
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            pass
        except OSError:
            return False
        else:
            os.close(fd)
            return seconds == 0
        try:
            if 0 <= time.time() - os.stat(self._path).st_mtime < seconds:
                return False
            os.utime(self._path)
        except OSError:
            return False
        return True

