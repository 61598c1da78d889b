"""One attempt of a task, as its keeper holds it: the runner, what it reports and prints, and how it failed."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from dataclasses import dataclass
from typing import Any

from ..recovery import say_died
from .channel import send
from .control import SIGNAL
from .limits import OutOfMemory
from .pairs import PIPE_BYTES, Runner
from .processes import signal_main_thread, wait_status_in_words
from .slate import LOOK_SECONDS

__all__ = ["Attempt", "Failure"]

_TOO_LONG = b"?"


@dataclass(frozen=True)
class Failure:
    """How an attempt failed, where another may follow."""

    code: str
    error: str


class Attempt:
    """From the moment when its runner waits for the task until it was waited for."""

    def __init__(self, runner: Runner, selector: selectors.BaseSelector, longest: int) -> None:
        self._runner = runner
        self._selector = selector
        self._longest = longest  # report that is taken; the worker may write there, too
        self._pieces: list[bytes] = []
        self._size = 0
        self._skipping = False
        self.exit_status: int | None = None
        self.deadline: float | None = None
        """After this moment (``time.monotonic``) the runner is killed."""
        self.failure: Failure | None = None
        self.look_at: float | None = None
        """At this moment there may be news that nobody rings for."""
        self._sources = {runner.reports, runner.output}
        for fd in self._sources:
            os.set_blocking(fd, False)
            selector.register(fd, selectors.EVENT_READ)
        self._memory: OutOfMemory | None = None

    @property
    def pid(self) -> int:
        return self._runner.pid

    def begin(self, saved: Any, number: int) -> None:
        """Lets the worker begin, with the saved state; it is attempt ``number``. A runner that is dead already takes
        nothing: its end will tell."""
        with contextlib.suppress(OSError):
            send(self._runner.task, {"saved": saved, "attempt": number})
        self._runner.task.close()
        self._memory = OutOfMemory()

    def reports(self, ready: set[int]) -> list[bytes] | None:
        """The whole lines that have come, if the pipe is ready; None where nothing has. One that is longer than any
        report can be is not held in memory: instead of it comes one that is no report."""
        data = self._read(self._runner.reports, ready)
        if not data:
            return None
        if b"\n" not in data:
            self._hold(data)
            return []
        first, *lines = data.split(b"\n")
        rest = lines.pop()
        lines.insert(0, _TOO_LONG if self._skipping else b"".join([*self._pieces, first]))
        self._skipping = False
        self._pieces, self._size = [], 0
        self._hold(rest)
        return lines

    def _hold(self, data: bytes) -> None:
        """The beginning of a line, or more of it."""
        if self._skipping:
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._longest:
            self._pieces, self._size = [], 0
            self._skipping = True

    def rung(self) -> None:
        """The worker has said something of itself, and perhaps more since."""
        self.look_at = time.monotonic() + LOOK_SECONDS

    def news(self) -> dict[str, Any] | None:
        """What the worker has said of itself since the last time, as ``Slate.news``."""
        if self.look_at is not None and time.monotonic() >= self.look_at:
            self.look_at = None
        try:
            return self._runner.slate.news() if self._runner.slate is not None else None
        except ValueError:  # somebody else wrote there
            return None

    def output(self, ready: set[int]) -> bytes:
        """What was printed, if the pipe is ready."""
        return self._read(self._runner.output, ready)

    @property
    def sources(self) -> set[int]:
        """The descriptors to be read from; none at its end."""
        return self._sources

    def _read(self, fd: int, ready: set[int]) -> bytes:
        if fd not in ready or fd not in self._sources:
            return b""
        try:
            data = os.read(fd, PIPE_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            self._selector.unregister(fd)
            self._sources = self._sources - {fd}
        return data

    def tell(self, letter: bytes) -> None:
        """Writes a letter to the runner, and wakes it. Where it is dead, its end will tell."""
        if self.exit_status is not None:
            return  # its pid may be another's
        try:
            os.write(self._runner.control, letter)
            signal_main_thread(self._runner.pid, SIGNAL)
        except OSError:
            pass

    def kill(self) -> None:
        if self.exit_status is None:  # not waited for yet, so it is still this one
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._runner.pid, signal.SIGKILL)

    def death(self, resident: int) -> Failure | None:
        """How the runner died, with ``resident`` bytes in memory at the last look; None for a shutdown that met it
        unprepared."""
        status = self.exit_status or 0
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if number == signal.SIGTERM:
            return None
        starved = number == signal.SIGKILL and self._memory is not None and self._memory.is_likely(resident)
        return Failure("worker_died", say_died(wait_status_in_words(status), out_of_memory=starved))

    def close(self) -> None:
        """Nothing more comes of it."""
        for fd in self._sources:
            self._selector.unregister(fd)
        self._sources = set()
        for fd in (self._runner.reports, self._runner.output, self._runner.control, *self._runner.lent):
            os.close(fd)
        self._runner.task.close()
        if self._runner.slate is not None:
            self._runner.slate.close()
