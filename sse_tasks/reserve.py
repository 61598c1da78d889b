"""Room that is set aside on the disk beyond a file's end, so that a full disk keeps no task from saying how it ended.

Blocks are allocated and the size stays as it is (``fallocate`` with ``FALLOC_FL_KEEP_SIZE``): readers see nothing of
it, and nobody else can take it. A file of its own, removed when it is needed, would leave the room to whoever is first.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import Any

__all__ = ["give_back", "set_aside"]

_KEEP_SIZE = 1
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@cache
def _fallocate() -> Any:
    function = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)  # Linux alone has it
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    return function


def set_aside(fd: int, begin: int, size: int) -> bool:
    """Allocates ``size`` bytes from ``begin`` on; those that are allocated already cost nothing.

    False where the system or the filesystem can't. Raises OSError where there is no room.
    """
    fallocate = _fallocate()
    if fallocate is None:
        return False
    while fallocate(fd, _KEEP_SIZE, begin, size):
        code = ctypes.get_errno()
        if code in _NO_ROOM:
            raise OSError(code, os.strerror(code))
        if code != errno.EINTR:
            return False
    return True


def give_back(fd: int) -> None:
    """Frees what is allocated beyond the file's end."""
    try:
        os.ftruncate(fd, os.fstat(fd).st_size)
    except OSError:
        pass  # it stays allocated, and nothing else is wrong
