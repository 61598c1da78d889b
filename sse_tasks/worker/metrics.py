"""``metrics.jsonl``: a task's numbers over time, one point a line, as its keeper writes them.

Of each name the first 1,000 points are all kept: a short task's chart has every number. Then there is at most one per
max(50 ms, running time ÷ 20,000): the latest wins, the last one is always written.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from .parts import append_lines, whole_lines
from .picture import Throttle, interval_seconds

__all__ = ["ALL_KEPT", "NAMES_LIMIT", "MetricsFile", "TooManyNamesError"]

NAMES_LIMIT = 200
"""So many metrics a task may have."""

ALL_KEPT = 1000
"""So many points of a name are kept, however fast they come."""


class TooManyNamesError(ValueError):
    """A point of a metric beyond the most that there may be. It is not kept."""


class _Point(msgspec.Struct):
    """What makes a line a point."""

    name: str
    value: float | None
    timestamp: str
    step: float | None = None


_decode = msgspec.json.Decoder(_Point).decode


class _Series:
    """One name's points: how many were kept, when the last one was, and the latest, where it has to wait."""

    __slots__ = ("count", "kept_at", "latest")

    def __init__(self) -> None:
        self.count = 0
        self.kept_at = 0.0
        self.latest: bytes | None = None


class MetricsFile:
    """There may be points already: of an earlier attempt, or of the task that this one is a restart of."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "metrics.jsonl"
        self._began = time.monotonic()
        self._series: dict[str, _Series] = {}
        self._waiting: dict[str, _Series] = {}  # those with a latest point
        self._lines: list[bytes] = []  # to be written now
        self._throttle = Throttle()  # of the updates that count them
        self.count, self.size = whole_lines(self._path)
        """How many points are in the file, and its bytes."""

    def add(self, body: bytes) -> None:
        """One point as the runner sent it. Raises DecodeError for what is none, TooManyNamesError."""
        name = _decode(body).name
        series = self._series.get(name)
        if series is None:
            if len(self._series) >= NAMES_LIMIT:
                raise TooManyNamesError(name)
            series = self._series[name] = _Series()
        if series.count < ALL_KEPT:
            self._keep(series, body)
        else:
            series.latest = body
            self._waiting[name] = series

    def _keep(self, series: _Series, line: bytes) -> None:
        self._lines.append(line)
        series.count += 1
        series.kept_at = time.monotonic()

    def due(self) -> float | None:
        """The moment (``time.monotonic``) when there is something to write or to count, or None."""
        if self._lines:
            return time.monotonic()
        moments = [self._due_of(series) for series in self._waiting.values()]
        if (counting := self._throttle.due()) is not None:
            moments.append(counting)
        return min(moments, default=None)

    def _due_of(self, series: _Series) -> float:
        return series.kept_at + interval_seconds(series.kept_at - self._began)

    def flush(self, *, force: bool = False) -> None:
        """Writes the points that are due; with ``force``, all. Raises OSError; what doesn't fit waits for the next."""
        if self._waiting:
            now = time.monotonic()
            for name, series in list(self._waiting.items()):
                if series.latest is not None and (force or self._due_of(series) <= now):
                    self._keep(series, series.latest)
                    series.latest = None
                    del self._waiting[name]
        if not self._lines:
            return
        sizes = [len(line) + 1 for line in self._lines]
        try:
            append_lines(self._path, self._lines)
        finally:  # what could not be written is left in the list
            done = len(sizes) - len(self._lines)
            self.count += done
            self.size += sum(sizes[:done])
            self._throttle.dirty |= done > 0

    def is_due(self) -> bool:
        """Whether an update is to say how many there are."""
        return self._throttle.is_due()

    def counted(self) -> None:
        """An update has said how many there are."""
        self._throttle.written()
