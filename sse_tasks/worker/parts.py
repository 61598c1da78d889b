"""The parts of a task folder that its keeper writes beside the log: items, checkpoint, result."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from .picture import MIN_INTERVAL_SECONDS, Throttle

__all__ = ["CheckpointFile", "ItemsFile", "append_lines", "whole_lines", "write_result"]


# The folder is the worker's, too: a FIFO that it put there must not stop the keeper, nor a link lead it elsewhere.
_SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def append_lines(path: Path, lines: list[bytes]) -> None:
    """Writes the lines and empties the list. A full disk takes as many as fit, whole ones, and leaves the others there.

    Raises OSError.
    """
    data = b"\n".join(lines) + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _SAFELY, 0o600)
    try:
        size = os.fstat(fd).st_size
        try:
            _write_all(fd, data)
        except OSError:
            fit = data.rfind(b"\n", 0, os.fstat(fd).st_size - size) + 1
            os.ftruncate(fd, size + fit)
            del lines[:data.count(b"\n", 0, fit)]
            raise
        lines.clear()
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def whole_lines(path: Path) -> tuple[int, int]:
    """How many lines a file has, and their bytes; one that a death cut short is taken away."""
    try:
        fd = os.open(path, os.O_RDWR | _SAFELY)
    except OSError:
        return 0, 0
    count = size = end = 0
    try:
        while data := os.read(fd, 1 << 20):
            if newlines := data.count(b"\n"):
                count += newlines
                end = size + data.rfind(b"\n") + 1
            size += len(data)
        if end < size:
            os.ftruncate(fd, end)
    finally:
        os.close(fd)
    return count, end


class ItemsFile:
    """``items.jsonl``, and ``items.exact.jsonl`` for those that JSON says roughly: ``{"at": offset, "item": …}``.

    There may be some already: of an earlier attempt, or of the task that this one is a restart of.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "items.jsonl"
        self._exact_path = folder / "items.exact.jsonl"
        self._lines: list[bytes] = []
        self._exact: list[bytes] = []
        self._throttle = Throttle()
        self.count, self.size = whole_lines(self._path)

    def add(self, body: bytes) -> None:
        """One item as the runner sent it. On the disk with the next ``flush``. Raises DecodeError for what is none."""
        wire, _, exact = body.partition(b"\t")
        msgspec.json.decode(wire, type=msgspec.Raw)
        if exact:
            self._exact.append(b'{"at":%d,"item":%s}' % (self.size, exact))
        self._lines.append(wire)
        self.size += len(wire) + 1
        self.count += 1

    def flush(self) -> bool:
        """Writes what was added; whether there was anything. Raises OSError; what doesn't fit waits for the next."""
        if not self._lines:
            return False
        if self._exact:
            append_lines(self._exact_path, self._exact)
        append_lines(self._path, self._lines)
        self._throttle.dirty = True
        return True

    @property
    def written(self) -> int:
        """How many are in the file."""
        return self.count - len(self._lines)

    def drop(self) -> None:
        """Gives up what could not be written: only what is on the disk counts."""
        self.count -= len(self._lines)
        self.size -= sum(len(line) + 1 for line in self._lines)
        self._lines.clear()
        self._exact.clear()

    def due(self) -> float | None:
        return self._throttle.due()

    def is_due(self) -> bool:
        return self._throttle.is_due()

    def counted(self) -> None:
        """An update has said how many there are."""
        self._throttle.written()


class CheckpointFile:
    """``checkpoint.json``: the last saved state, and the lengths of items and metrics that belong to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "checkpoint.json"
        self._pending: tuple[bytes, int, int] | None = None
        self._written = -MIN_INTERVAL_SECONDS

    def saved(self) -> Any:
        """The state that a worker finds in ``ctx.saved``, or None."""
        try:
            return json.loads(self._path.read_bytes())["state"]
        except (OSError, ValueError, KeyError):
            return None

    def set(self, state: bytes, items_bytes: int, metrics_bytes: int) -> None:
        self._pending = (state, items_bytes, metrics_bytes)

    def due(self) -> float | None:
        return None if self._pending is None else self._written + MIN_INTERVAL_SECONDS

    def is_due(self) -> bool:
        moment = self.due()
        return moment is not None and time.monotonic() >= moment

    def flush(self, *, force: bool = False) -> None:
        """Saves the latest state: both files are on the disk before the name changes."""
        if self._pending is None or not (force or self.is_due()):
            return
        state, items_bytes, metrics_bytes = self._pending
        try:
            fd = os.open(self._folder / "items.jsonl", os.O_RDONLY | _SAFELY)
        except FileNotFoundError:
            pass  # no item yet
        else:
            os.fsync(fd)
            os.close(fd)
        _replace(self._path, b'{"items_bytes":%d,"metrics_bytes":%d,"state":%s}' % (
            items_bytes, metrics_bytes, state))
        self._pending = None
        self._written = time.monotonic()


def write_result(folder: Path, wire: bytes) -> None:
    """``result.json``, whole and on the disk, or not at all."""
    _replace(folder / "result.json", wire)


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFELY, 0o600)
    try:
        _write_all(fd, data)
        os.fsync(fd)
    except OSError:
        partial.unlink(missing_ok=True)  # what is on a full disk keeps others from it
        raise
    finally:
        os.close(fd)
    os.rename(partial, path)
