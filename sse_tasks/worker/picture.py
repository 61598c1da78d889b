"""The full picture of a task that each update carries, and the throttle of its progress lines."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from ..states import State, requested_of, status_of
from ..types import TaskUpdate, now_iso

__all__ = ["MIN_INTERVAL_SECONDS", "Picture", "Throttle", "interval_seconds"]

MIN_INTERVAL_SECONDS = 0.05
INTERVALS_PER_LIFE = 20_000  # a log stays under some tens of megabytes a day


def interval_seconds(running: float) -> float:
    """The least time between two lines of one kind in a task that has run so many seconds."""
    return max(MIN_INTERVAL_SECONDS, running / INTERVALS_PER_LIFE)


class Throttle:
    """At most one line per max(50 ms, running time ÷ 20,000); the latest wins, the last is always written."""

    def __init__(self) -> None:
        self._began = self._written = time.monotonic()
        self._written -= MIN_INTERVAL_SECONDS
        self.dirty = False

    def due(self) -> float | None:
        """The moment (``time.monotonic``) when there is something to write, or None."""
        if not self.dirty:
            return None
        return self._written + interval_seconds(self._written - self._began)

    def is_due(self) -> bool:
        moment = self.due()
        return moment is not None and time.monotonic() >= moment

    def written(self) -> None:
        self._written = time.monotonic()
        self.dirty = False


class Picture:
    """What is known of a task: message, progress, counts, times."""

    def __init__(self, task_id: str, latest: TaskUpdate | None) -> None:
        self.items = 0
        self.metrics = 0
        self._task_id = task_id
        self._message = latest.message if latest else None
        self._progress: dict[str, Any] | None = (
            msgspec.to_builtins(latest.progress) if latest and latest.progress else None)
        self.attempt = latest.attempt if latest else 1
        self._started_at = latest.started_at if latest else None
        self._started: float | None = None  # the attempt
        self._paused_seconds = latest.paused_seconds if latest else 0.0
        self._paused_before = 0.0  # of these, how many before the attempt
        self._paused_since: float | None = None
        self._throttle = Throttle()

    def start(self, attempts: int) -> None:
        """An attempt begins, of ``attempts`` that the task has. What an earlier one said of itself is no more."""
        if self._started_at is None:
            self._started_at = now_iso()
        elif self.attempt > 1:
            self._message, self._progress = f"Attempt {self.attempt} of {attempts}", None
        self._started = time.monotonic()
        self._paused_before = self._paused_seconds

    def announce(self, attempt: int, message: str) -> None:
        """Another attempt follows."""
        self.attempt = attempt
        self._message = message
        self._started = None

    def take(self, said: dict[str, Any]) -> None:
        """A report of the runner: ``progress`` and ``message``, each if it was said."""
        self._progress = said.get("progress", self._progress)
        self._message = said.get("message", self._message)
        self._throttle.dirty = True

    def try_again(self) -> None:
        """What an update said is not written yet: the next one says it, and what has come since."""
        self._throttle.dirty = True

    def due(self) -> float | None:
        return self._throttle.due()

    def is_due(self) -> bool:
        return self._throttle.is_due()

    def set_paused(self, paused: bool) -> None:
        now = time.monotonic()
        if paused and self._paused_since is None:
            self._paused_since = now
        elif not paused and self._paused_since is not None:
            self._paused_seconds += now - self._paused_since
            self._paused_since = None

    def ran_seconds(self) -> float | None:
        """How long the attempt has run, its pauses not counted; None before it began."""
        if self._started is None:
            return None
        now = self._paused_since or time.monotonic()
        return now - self._started - (self._paused_seconds - self._paused_before)

    def update(self, kind: str, state: State, **fields: Any) -> dict[str, Any]:
        """An update with wire names. What the throttle held back is in it."""
        self._throttle.written()
        return {"type": kind, "taskId": self._task_id, "timestamp": now_iso(), "status": status_of(state),
                "message": self._message, "progress": self._progress, "requested": requested_of(state),
                "items": self.items or None, "metrics": self.metrics or None, "attempt": self.attempt,
                "startedAt": self._started_at,
                "pausedSeconds": round(self._paused_seconds, 3) or None,
                **{k: v for k, v in fields.items() if v is not None}}
