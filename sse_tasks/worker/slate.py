"""What a worker says of itself, in memory that its runner and its keeper share: the latest, as often as it likes.

A worker may say how far it is a million times a second; people see twenty. So the runner writes what is said on the
slate, which takes a microsecond, and rings its keeper when that could be asleep: not more often than each
``RING_SECONDS``, since whoever was rung for looks once more, ``LOOK_SECONDS`` later. What stands on the slate survives
the runner.
"""

from __future__ import annotations

import mmap
import threading
from struct import Struct
from time import monotonic
from typing import Any
from zlib import crc32

import msgspec

from ..wire import encode

__all__ = ["LOOK_SECONDS", "Slate"]

RING_SECONDS = 0.02
LOOK_SECONDS = 0.05
"""What was written later than ``RING_SECONDS`` after a ring rings itself: a look that is later still sees all else."""

_ROOM = 1 << 16  # two texts of some thousand characters, however they are written
_COUNT = Struct("<Q")
_HEAD = Struct("<QII")  # which one it is, its length and its checksum
_TRIES = 20

_encode = msgspec.json.Encoder().encode


class Slate:
    """Made by a keeper before it forks its runner. Two places that are written in turns, so that a runner that is
    killed in the midst of one leaves the other; the count of all that were written says which one is whole."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _COUNT.size + 2 * (_HEAD.size + _ROOM))
        self._count = 0
        self._said: dict[str, Any] = {}
        self._rung_at = 0.0
        self._lock = threading.RLock()
        self._is_new = self._is_writing = False

    def close(self) -> None:
        self._memory.close()

    # -- the runner's side: from any of its threads and handlers of signals, not from what it forks ----------------

    def say(self, progress: dict[str, Any] | None, message: str | None) -> bool:
        """Writes down what is said, beside what was said before of the other; whether the keeper has to be rung for."""
        rings = False
        with self._lock:
            if progress is not None:
                self._said["progress"] = progress
            if message is not None:
                self._said["message"] = message
            self._is_new = True
            while self._is_new and not self._is_writing:  # a handler leaves it to what it has interrupted
                self._is_writing = True
                self._is_new = False
                try:
                    rings |= self._write()
                finally:
                    self._is_writing = False
        return rings

    def _write(self) -> bool:
        try:
            text = _encode(self._said)
        except UnicodeEncodeError:  # half a character
            text = encode(self._said)[0].encode("ascii")
        self._count += 1
        place = _place(self._count)
        _HEAD.pack_into(self._memory, place, self._count, len(text), crc32(text))
        self._memory[place + _HEAD.size:place + _HEAD.size + len(text)] = text
        _COUNT.pack_into(self._memory, 0, self._count)
        now = monotonic()  # not before: it is written by now, however long that took
        if now - self._rung_at < RING_SECONDS:
            return False
        self._rung_at = now
        return True

    # -- the keeper's side ----------------------------------------------------------------------------------------

    def news(self) -> dict[str, Any] | None:
        """What is new of ``progress`` and ``message`` since the last time: empty where the same was said again, None
        where nothing was said."""
        for _ in range(_TRIES):
            (count,) = _COUNT.unpack_from(self._memory, 0)
            if count == self._count:
                break
            place = _place(count)
            number, length, checksum = _HEAD.unpack_from(self._memory, place)
            text = self._memory[place + _HEAD.size:place + _HEAD.size + min(length, _ROOM)]
            if number == count and crc32(text) == checksum:  # else it was written anew meanwhile
                self._count = count
                before, self._said = self._said, msgspec.json.decode(text, type=dict[str, Any])
                return {name: value for name, value in self._said.items() if value != before.get(name)}
        return None


def _place(count: int) -> int:
    return _COUNT.size + count % 2 * (_HEAD.size + _ROOM)
