"""The names in a folder, listed anew only when it has changed: of 10,000 tasks a listing takes milliseconds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["FRESH_SECONDS", "Listing"]

FRESH_SECONDS = 0.05
"""A change within this time of the last look may have left no trace in the folder's time of change: clocks tick."""


class Listing:
    """The names in ``folder`` that ``is_wanted``, sorted. For any thread."""

    def __init__(self, folder: Path, is_wanted: Callable[[str], bool]) -> None:
        self._folder = folder
        self._is_wanted = is_wanted
        self._known: tuple[int, tuple[str, ...]] | None = None

    def names(self) -> tuple[str, ...]:
        """Raises OSError where the folder can't be read."""
        now = time.time()
        changed = os.stat(self._folder).st_mtime_ns
        known = self._known
        if known is not None and known[0] == changed:
            return known[1]
        names = tuple(sorted(name for name in os.listdir(self._folder) if self._is_wanted(name)))
        self._known = (changed, names) if now - changed / 1e9 > FRESH_SECONDS else None
        return names
