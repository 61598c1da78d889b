"""The lines of a task's log: which of them are updates, from a cursor on, and from the end back.

A cursor is a byte offset right after a line's end. What follows the last newline, or is no update, isn't there: lines
that a crash tore, and whatever a disk puts between them, however much of it, are passed over and never held.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import msgspec

from .types import TaskUpdate

__all__ = ["is_update", "latest_of", "lines_after", "parse"]

_TAIL_BYTES = 4096
_LONGEST_LINE = 16 << 20  # what is longer is damage: a result that stands in its line, all of it escaped, has 6 MiB
_SCAN_BYTES = 1 << 20


class _Line(msgspec.Struct):
    """The least that makes a line an update; its readers ask the status whether it is the last one."""

    type: str
    status: str = ""


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_update = msgspec.json.Decoder(TaskUpdate).decode


def is_update(line: bytes) -> bool:
    """Whether a line of a log is an update; a torn or garbled one is not."""
    try:
        _decode_line(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return line.isascii() and b"\r" not in line  # what the decoder skips may hold anything; CR ends a stream's line


def parse(line: bytes) -> TaskUpdate | None:
    """The update of a line, or None."""
    try:
        return _decode_update(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def lines_after(fd: int, cursor: int, limit: int) -> list[tuple[int, bytes]]:
    """The updates after ``cursor``: pairs of the cursor after the line, and the line without its newline.

    About ``limit`` bytes at a time, one line at least; empty at the end.
    """
    step = limit
    while True:
        chunk = os.pread(fd, limit, cursor)
        end = chunk.rfind(b"\n") + 1
        if end == 0:
            if len(chunk) < limit:
                return []
            if b"\0" not in chunk and limit < _LONGEST_LINE:
                limit *= 4  # one line is longer than that
                continue
            after = _after_newline(fd, cursor + len(chunk))
            if after is None:
                return []
            cursor, limit = after, step
            continue
        if b"{" not in chunk:
            cursor += end
            continue
        found = []
        for line in chunk[:end - 1].split(b"\n"):
            cursor += len(line) + 1
            if is_update(line):
                found.append((cursor, line))
        if found:
            return found


def latest_of(fd: int) -> tuple[TaskUpdate | None, int]:
    """The last update and the cursor after it; ``(None, 0)`` where there is none."""
    begin = max(0, os.fstat(fd).st_size - _TAIL_BYTES)
    tail = os.pread(fd, _TAIL_BYTES, begin)
    last = tail.rfind(b"\n", 0, -1) + 1
    if tail.endswith(b"\n") and (last or not begin) and (update := parse(tail[last:-1])) is not None:
        return update, begin + len(tail)  # as it nearly always is
    for cursor, line in _lines_backwards(fd):
        if (update := parse(line)) is not None:
            return update, cursor
    return None, 0


def _after_newline(fd: int, position: int) -> int | None:
    """The place after the next newline, or None; holes of the file are jumped over."""
    while True:
        if hasattr(os, "SEEK_DATA"):
            try:
                position = os.lseek(fd, position, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole follows
                    return None
        chunk = os.pread(fd, _SCAN_BYTES, position)
        if (newline := chunk.find(b"\n")) >= 0:
            return position + newline + 1
        if not chunk:
            return None
        position += len(chunk)


def _newline_before(fd: int, position: int) -> int:
    """The place after the last newline before ``position``, or 0."""
    while position > 0:
        begin = max(0, position - _SCAN_BYTES)
        if (newline := os.pread(fd, position - begin, begin).rfind(b"\n")) >= 0:
            return begin + newline + 1
        position = begin
    return 0


def _lines_backwards(fd: int) -> Iterator[tuple[int, bytes]]:
    """The log's whole lines from the last to the first, each with the cursor after it; reads no more than it has to."""
    position = os.fstat(fd).st_size
    buffer = b""
    while position > 0:
        if len(buffer) > _LONGEST_LINE or b"\0" in buffer[:1]:  # no update, but damage
            position, buffer = _newline_before(fd, position), b""
        step = min(position, max(_TAIL_BYTES, len(buffer)))
        position -= step
        buffer = os.pread(fd, step, position) + buffer
        while (stop := buffer.rfind(b"\n")) >= 0:
            begin = buffer.rfind(b"\n", 0, stop) + 1
            if begin == 0 and position > 0:
                break  # this line begins further back
            yield position + stop + 1, buffer[begin:stop]
            buffer = buffer[:begin]
