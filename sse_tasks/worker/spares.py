"""Spare pairs of keeper and runner, forked ahead so that a start doesn't wait for forks. Each is used once."""

from __future__ import annotations

import os
import time
import traceback

from .pairs import Pair, start_pair

__all__ = ["Spares"]

COUNT = 2
WAIT_SECONDS = 0.05  # after a start, before its replacement is made: the new task goes first
BUSY_SECONDS = 1.0  # likewise where others want the processor, too: by then nobody starts one task after the other
KEPT_SECONDS = 60.0  # after the last start


class Spares:
    """The pairs that wait for a task. All calls are for the forkserver's one thread."""

    def __init__(self) -> None:
        self._pairs: list[Pair] = []
        self._taken_at = time.monotonic()

    @property
    def pids(self) -> list[int]:
        return [pair.pid for pair in self._pairs]

    def take(self) -> Pair:
        """A pair for one task; a new one where there is no spare. Raises OSError where none can be made."""
        self._taken_at = time.monotonic()
        while self._pairs:
            pair = self._pairs.pop(0)
            if pair.is_alive():
                return pair
            pair.socket.close()
        return start_pair()

    def due(self) -> float | None:
        """The moment (``time.monotonic``) when there is one to be made or given back; None where there is nothing."""
        if len(self._pairs) < COUNT and self._is_wanted():
            return self._taken_at + WAIT_SECONDS
        return self._taken_at + KEPT_SECONDS if self._pairs else None

    def _is_wanted(self) -> bool:
        return time.monotonic() < self._taken_at + KEPT_SECONDS

    def look(self) -> None:
        """Makes one that is missing, at once while nobody else waits for the processor; gives all back when idle."""
        waited = time.monotonic() - self._taken_at
        if not self._is_wanted():
            self.close()
        elif len(self._pairs) < COUNT and (
                waited >= BUSY_SECONDS or (waited >= WAIT_SECONDS and _is_processor_free())):
            try:
                self._pairs.append(start_pair(ahead=True))
            except OSError:  # no process or memory left for now
                traceback.print_exc()
                self._taken_at = time.monotonic()

    def buried(self, pid: int) -> bool:
        """Whether a child that has died was a spare: somebody has killed it."""
        for pair in self._pairs:
            if pair.pid == pid:
                self._pairs.remove(pair)
                pair.socket.close()
                return True
        return False

    def close(self) -> None:
        """Lets them go: a keeper whose socket closes without a task leaves, and its runner with it."""
        for pair in self._pairs:
            pair.socket.close()
        self._pairs.clear()


def _is_processor_free() -> bool:
    """Whether fewer processes want to run than there are processors. This one is among them."""
    try:
        with open("/proc/loadavg", "rb") as file:
            running = int(file.read().split()[3].partition(b"/")[0])
    except (OSError, IndexError, ValueError):
        return True
    return running <= (os.cpu_count() or 1)
