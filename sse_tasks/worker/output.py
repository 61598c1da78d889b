"""``output.log``: what the worker and its children wrote to their descriptors 1 and 2; of much of it, head and tail."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..sizes import say_size

__all__ = ["OutputFile"]

_SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # the folder is the worker's, too: no link, no FIFO
_LEAST_BYTES = 1024  # a smaller limit counts as this: head, tail and what is said between them need some room
_CHUNK_BYTES = 1 << 20
_NEARBY_BYTES = 4096  # so far a line's begin is looked for
_CHARACTER = re.compile(rb"[^\x80-\xbf]")
_BEGUN = re.compile(rb"([\xc0-\xff]|[\xe0-\xff][\x80-\xbf]|[\xf0-\xff][\x80-\xbf]{2})\Z")
_SAID = re.compile(rb"\[sse_tasks: [^\n]{1,20} \(([0-9]+) bytes\) of output left out here\]\n")


class OutputFile:
    """Appends, and stays within ``limit`` bytes: when there is more, the file is replaced by its first quarter, a line
    that says how much is left out, and its last quarter. What is copied is as much as comes in between two times, and
    memory stays as it is."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._path = folder / "output.log"
        self._limit = max(limit, _LEAST_BYTES)
        self._quarter = self._limit // 4
        self._size: int | None = None  # not looked at yet
        self._head = 0  # its length, once something was left out
        self._said = 0  # the length of the line that says so
        self._left_out = 0

    def write(self, data: bytes) -> None:
        """Raises OSError."""
        if not data:
            return
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _SAFELY, 0o600)
        try:
            if self._size is None:
                self._size = os.fstat(fd).st_size
                self._find_gap(fd)
            if self._size + len(data) <= self._limit:
                self._size += _write_all(fd, data)
            else:
                self._cut(fd, data)
        except OSError:
            self._size = None
            raise
        finally:
            os.close(fd)

    def _find_gap(self, fd: int) -> None:
        """What an earlier keeper of the task has left out stands right behind the head."""
        begin = max(0, self._quarter - _NEARBY_BYTES)
        match = _SAID.search(os.pread(fd, self._quarter - begin + 100, begin))
        if match:
            self._head, self._said, self._left_out = begin + match.start(), len(match[0]), int(match[1])

    def _cut(self, fd: int, data: bytes) -> None:
        """Head and tail of what is there and ``data`` together."""
        assert self._size is not None
        if not self._said and self._size < self._quarter:  # the head is not whole yet
            piece, data = data[:self._quarter - self._size], data[self._quarter - self._size:]
            self._size += _write_all(fd, piece)
        nearby = min(_NEARBY_BYTES, self._quarter)
        head = self._head if self._said else _line_end(os.pread(fd, nearby, self._quarter - nearby), self._quarter)
        tail = self._size + len(data) - self._quarter  # where it begins, as if data were there
        if tail < self._size:
            tail += _line_begin(os.pread(fd, _NEARBY_BYTES, tail))
        else:
            tail += _line_begin(data[tail - self._size:tail - self._size + _NEARBY_BYTES])
        self._left_out += tail - head - self._said
        said = (f"[sse_tasks: {say_size(self._left_out)} ({self._left_out} bytes) of output left out here]\n"
                ).encode("ascii")
        partial = self._path.with_name("output.log.partial")
        new = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFELY, 0o600)
        try:
            _copy(fd, new, 0, head)
            _write_all(new, said)
            if tail < self._size:
                _copy(fd, new, tail, self._size)
            _write_all(new, data[max(0, tail - self._size):])
            size = os.fstat(new).st_size
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        finally:
            os.close(new)
        os.rename(partial, self._path)
        self._size, self._head, self._said = size, head, len(said)


def _line_end(before: bytes, end: int) -> int:
    """The end of the last line in ``before``, which ends at ``end``; where none is nearby, of its last character."""
    newline = before.rfind(b"\n")
    return end - _begun_character(before) if newline < 0 else end - len(before) + newline + 1


def _line_begin(data: bytes) -> int:
    """Where the first line begins in ``data``; where none does, the first character."""
    newline = data.find(b"\n")
    if newline < 0 and (character := _CHARACTER.search(data[:4])):
        return character.start()
    return newline + 1


def _begun_character(data: bytes) -> int:
    """How many bytes at the end of ``data`` are the begin of a character of UTF-8 that has more of them."""
    begun = _BEGUN.search(data[-3:])
    return len(begun[0]) if begun else 0


def _copy(source: int, target: int, begin: int, end: int) -> None:
    while begin < end and (data := os.pread(source, min(_CHUNK_BYTES, end - begin), begin)):
        begin += _write_all(target, data)


def _write_all(fd: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
    return len(data)
