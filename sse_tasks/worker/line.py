"""A runner's end of a pipe to its keeper, which outlives what the worker does to it.

Programs close every descriptor that they don't know, and libraries replace functions of the standard library. So the
end has a number that no opened file gets, it is opened anew where it was closed, and what is called for it was taken
from its modules before the worker's code could run.
"""

from __future__ import annotations

import errno
import os
from fcntl import F_DUPFD_CLOEXEC, fcntl
from math import ceil
from os import O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY, close, getppid, listdir, read, readlink, write
from os import open as open_fd
from select import POLLIN, POLLNVAL, poll
from time import sleep

__all__ = ["Line", "LineCutError", "out_of_the_way"]

_FIRST = 1000  # above what files get in order, below what select() takes and most limits allow
_SLICE_SECONDS = 0.1


class LineCutError(OSError):
    """The worker has closed the line to its keeper, and it can't be opened again."""

    def __init__(self) -> None:
        super().__init__(errno.EBADF, "The worker has closed the descriptors by which its task reports, and they can't "
                                      "be opened again. Close only those that you have opened.")


def out_of_the_way(fd: int) -> int:
    """Moves a descriptor to a number that is free and high, if there may be one."""
    try:
        moved = fcntl(fd, F_DUPFD_CLOEXEC, _FIRST)
    except OSError:  # a lower limit: it stays where it is
        return fd
    close(fd)
    return moved


class Line:
    """``fd`` is this process's end; its parent, the keeper, holds the other one, and lends it where this is closed."""

    def __init__(self, fd: int, *, writes: bool) -> None:
        self._fd = fd
        self._flags = O_CLOEXEC | (O_WRONLY if writes else O_RDONLY | O_NONBLOCK)
        self._ends = f"/proc/{getppid()}/fd"
        self._name = _name_of(f"/proc/self/fd/{fd}")
        if not writes:
            os.set_blocking(fd, False)

    def write(self, data: memoryview) -> None:
        """Writes all of it. Raises LineCutError."""
        while data:
            try:
                data = data[write(self._fd, data):]
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                self._open_again()

    def read(self, size: int) -> bytes:
        """What is there: perhaps nothing. Raises LineCutError."""
        while True:
            try:
                return read(self._fd, size)
            except BlockingIOError:
                return b""
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                self._open_again()

    def wait(self, seconds: float | None) -> None:
        """Until there is something to read, or for ``seconds``, or for no reason."""
        poller = poll()
        poller.register(self._fd, POLLIN)
        for _, events in poller.poll(None if seconds is None else ceil(seconds * 1000)):
            if events & POLLNVAL:
                try:
                    self._open_again()
                except LineCutError:
                    sleep(_SLICE_SECONDS if seconds is None else min(seconds, _SLICE_SECONDS))

    def _open_again(self) -> None:
        """By the keeper's ends of the same pipe: opened there, a pipe gives whichever end is asked for."""
        try:
            for name in listdir(self._ends):
                if self._name.startswith("pipe:") and _name_of(f"{self._ends}/{name}") == self._name:
                    self._fd = out_of_the_way(open_fd(f"{self._ends}/{name}", self._flags))
                    return
        except OSError:
            pass
        raise LineCutError


def _name_of(link: str) -> str:
    try:
        return readlink(link)
    except OSError:  # no /proc, or a descriptor that was closed meanwhile
        return ""
