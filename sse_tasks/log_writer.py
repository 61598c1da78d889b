"""Writing a task's log: whole lines, by whoever holds its lock, and room for the last one on a full disk.

Nobody unlocks: ``LOCK_UN`` on one duplicate of a descriptor frees all of them. Descriptors are closed.
"""

from __future__ import annotations

import fcntl
import os
import random
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .log_lines import latest_of
from .reserve import give_back, set_aside
from .types import ENDED, TaskUpdate
from .wire import encode_update

if TYPE_CHECKING:
    from .folder import TaskFolder

__all__ = ["LogWriter", "lock_log"]

_RESERVE_BYTES = 16384  # of the log, for lines that are never left out
_LAST_RESERVE_BYTES = 4096  # of these, for the terminal one
_STEP_BYTES = 16384
_SHORT_TEXT = 200  # characters; each takes up to 12 bytes of a line
_LOCK_TRIES = 50


class LogWriter:
    """A locked log. Owns its descriptor, which may be handed to another process."""

    def __init__(self, folder: TaskFolder, fd: int) -> None:
        self.folder = folder
        self.fd = fd
        self._torn = True  # perhaps, by whoever wrote before
        self._room = 0  # up to here the disk has room for sure

    def fileno(self) -> int:
        return self.fd

    def is_removed(self) -> bool:
        """Whether the folder was removed from under its task: nobody will ever read what is written now."""
        return os.fstat(self.fd).st_nlink == 0

    def append(self, update: dict[str, Any], *, sync: bool = False) -> int:
        """Writes one update (wire names); gives the cursor after it. With ``sync`` it is on the disk, too.

        Some room is always left for changes of the status, and above all for the terminal update; both lose long texts
        and the result before they give up. Raises OSError, as on a full disk.
        """
        is_last = update.get("status") in ENDED
        try:
            self._write(encode_update(update), 0 if is_last else _RESERVE_BYTES)
        except OSError:
            if not is_last and update.get("type") != "status":
                raise
            self._write(encode_update(_shortened(update)), 0 if is_last else _LAST_RESERVE_BYTES)
        if is_last:
            give_back(self.fd)
        if sync:
            os.fsync(self.fd)
        return os.fstat(self.fd).st_size

    def _write(self, data: bytes, reserve: int = 0) -> None:
        if self._torn:
            self.end_torn_line()
        size = os.fstat(self.fd).st_size
        wanted = len(data) + reserve
        if size + wanted > self._room:
            spare = _STEP_BYTES if reserve else 0
            try:
                there = set_aside(self.fd, size, wanted + spare)
            except OSError:
                spare = 0
                there = set_aside(self.fd, size, wanted)
            self._room = size + wanted + spare if there else sys.maxsize
        self._torn = True
        try:
            while data:  # a write that stops in mid-line has met a full disk: the next one fits, or raises
                data = data[os.write(self.fd, data):]
        except OSError:
            if self._room == sys.maxsize:  # nothing is set aside: what was written in vain takes the next line's room
                with suppress(OSError):
                    os.ftruncate(self.fd, size)
            raise
        self._torn = False

    def latest(self) -> TaskUpdate | None:
        return latest_of(self.fd)[0]

    def end_torn_line(self) -> None:
        size = os.fstat(self.fd).st_size
        if size and os.pread(self.fd, 1, size - 1) != b"\n":
            os.write(self.fd, b"\n")

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def lock_log(fd: int) -> bool:
    """Locks a log for writing, unless a writer lives. Probes, which hold a shared lock for a moment, are waited for."""
    for _ in range(_LOCK_TRIES):
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            try:
                fcntl.flock(fd, kind | fcntl.LOCK_NB)
            except OSError:
                continue
            if kind == fcntl.LOCK_EX:
                return True
            break  # only probes are there
        else:
            return False
        time.sleep(random.uniform(0.0001, 0.001))  # unequal, so that two recoverers don't keep each other away
    return False


def _shortened(update: dict[str, Any]) -> dict[str, Any]:
    """What fits into the room that is set aside: an update without its result and without long texts."""
    short = {name: value[:_SHORT_TEXT] if isinstance(value, str) else value
             for name, value in update.items() if name != "result"}
    if isinstance(progress := short.get("progress"), dict):
        short["progress"] = {name: value for name, value in progress.items() if name != "message"}
    return short
