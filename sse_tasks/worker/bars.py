"""Bars of code that knows nothing of tasks, tqdm's and rich's, as the task's progress.

The outermost one that lives is the progress; those inside it are told in its message: ``epoch 2/5 · batch 31/100``. A
worker that calls ``ctx.progress`` speaks for itself: then no bar does. Each turn of a bar is a checkpoint. In a thread,
and in a coroutine that could only be paused with its whole loop, it is none.

Nothing here may raise into the code that draws a bar, except for the abort that a checkpoint is there for.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import operator
import os
import re
import signal
import threading
from collections.abc import Callable
from threading import get_ident
from time import monotonic
from typing import Any, NamedTuple

from .context import AsyncTaskContext, Reporter, TaskContext
from .control import SIGNAL, Control

__all__ = ["Bar", "Bars", "Look", "Pace"]

_REPORT_SECONDS = 0.005  # of turns that come faster, some are told; the keeper writes fewer still
_REPORTS_AT_ONCE = 100
_SHOWN = 4
_DESCRIPTION_CHARACTERS = 200
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Look(NamedTuple):
    """What a bar shows at this moment."""

    current: Any
    total: Any
    description: str = ""
    more: str = ""
    """What stands behind the numbers."""
    in_words: Callable[[Any], str] | None = None
    """How it writes a number, where that isn't plain."""

    @property
    def is_full(self) -> bool:
        return bool(self.total) and self.current >= self.total


class Bar:
    """One bar. ``look`` gives None once there is nothing to be seen any more. ``current`` is for its hooks alone."""

    __slots__ = ("current", "iterates", "look")

    def __init__(self, look: Callable[[Bar], Look | None]) -> None:
        self.look = look
        self.current: Any = 0
        self.iterates = False


class Pace:
    """So many seconds between two times on average; of a rest, up to ``at_once`` may follow each other."""

    def __init__(self, seconds: float, at_once: int) -> None:
        self._seconds = seconds
        self._slack = seconds * (at_once - 1)
        self._used_until = 0.0

    def allows(self) -> bool:
        now = monotonic()
        if self._used_until - now > self._slack:
            return False
        self._used_until = max(self._used_until, now) + self._seconds
        return True

    @property
    def free_at(self) -> float:
        """From this moment (``time.monotonic``) on it allows something."""
        return self._used_until - self._slack


class Bars:
    """The bars of one task's worker. Called from any of its threads."""

    def __init__(self, control: Control, reporter: Reporter) -> None:
        self._control = control
        self._reporter = reporter
        self._main = get_ident()
        self._began = monotonic()
        self._live: list[Bar] = []  # in the order in which they came; replaced, never changed
        self._pace = Pace(_REPORT_SECONDS, _REPORTS_AT_ONCE)
        self._reporting = threading.Lock()
        self._is_wanted = False
        self._is_here = True
        self.quiet_until = 0.0
        """Until this moment (``time.monotonic``) a turn would do nothing: millions of them need not ask."""
        self.context: TaskContext | AsyncTaskContext | None = None
        control.on_change.add(self._listen)
        os.register_at_fork(after_in_child=self._forget)

    def _listen(self) -> None:
        self.quiet_until = 0.0

    def _forget(self) -> None:
        """A process that the worker forks has bars of its own: they are drawn, and don't speak for the task."""
        self._is_here = False
        self._live = []
        self.quiet_until = math.inf

    @property
    def age_seconds(self) -> float:
        """How long the worker has run."""
        return monotonic() - self._began

    # -- what the hooks tell -------------------------------------------------------------------------------------

    def begin(self, bar: Bar) -> None:
        """A bar has appeared. One that is full by now has nothing to do with it."""
        before = [each for each in self._live if not _is_over(each)]
        self._live = [*before, bar]
        if not before or self._pace.allows():
            self._report()

    def turn(self, bar: Bar) -> None:
        """It has moved: also a checkpoint."""
        if self._is_here:
            if self._pace.allows():
                self._see(bar)
            self.quiet_until = self._pace.free_at
            if self._control.has_news:
                self.checkpoint()

    def look(self, bar: Bar) -> None:
        """It may show something else now."""
        if self._is_here and self._pace.allows():
            self._see(bar)

    def _see(self, bar: Bar) -> None:
        if bar not in self._live:
            self._live = [*self._live, bar]
        self._report()

    def end(self, *bars: Bar) -> None:
        """They are about to vanish: their last state is told, and stays when no other bar is there."""
        others = [each for each in self._live if each not in bars]
        if len(others) < len(self._live):
            if not others or self._pace.allows():
                self._report()
            self.drop(*bars)

    def drop(self, *bars: Bar) -> None:
        """They are no more: nothing is told."""
        self._live = [each for each in self._live if each not in bars]

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Pauses here, or raises the abort, if that was asked and this is a place for it."""
        control = self._control
        if not self._is_here or get_ident() != self._main or control.shields:
            return
        is_plain = control.interrupt is None
        control.shields += 1
        try:
            control.read()
            if control.wants_pause and (is_plain or control.hold):
                control.stand_still()
        finally:
            control.shields -= 1
        if not control.wants_abort:
            return
        if is_plain or control.is_main_part():
            control.check()
        else:  # another coroutine: the worker's own is cancelled, not this one
            with contextlib.suppress(asyncio.CancelledError):
                control.check()

    async def checkpoint_async(self) -> None:
        """The same between two turns of an ``async for``."""
        control, context = self._control, self.context
        if self._is_here and control.has_news and not control.hold and isinstance(context, AsyncTaskContext):
            await context.checkpoint()

    # -- what is reported ----------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Tells what is to be seen now. Whoever comes while another thread does leaves it to that one: bars are drawn
        under locks of their library, so nobody waits here."""
        if not self._is_here or (self.context is not None and self.context.says_progress):
            return
        control, is_main = self._control, get_ident() == self._main
        if is_main:
            control.shields += 1  # an abort must not be raised with the lock held
        try:
            self._is_wanted = True
            while self._is_wanted and self._reporting.acquire(blocking=False):
                try:
                    self._is_wanted = False
                    if (progress := _progress_of(self._live)) is not None:
                        self._reporter.progress(progress, None)
                finally:
                    self._reporting.release()
        except Exception:  # a bar's own code, or no line to the keeper: what follows will tell
            pass
        finally:
            if is_main:
                control.shields -= 1
                if control.unread and not control.shields:
                    signal.raise_signal(SIGNAL)  # the one that was put off


def _look(bar: Bar) -> Look | None:
    try:
        return bar.look(bar)
    except Exception:  # another version of its library, or a worker's own class
        return None


def _is_over(bar: Bar) -> bool:
    look = _look(bar)
    try:
        return look is None or look.is_full
    except Exception:  # numbers that can't be compared
        return False


def _progress_of(bars: list[Bar]) -> dict[str, Any] | None:
    looks = [look for bar in bars if (look := _look(bar)) is not None]
    if not looks:
        return None
    outer = looks[0]
    current, total = _plain(outer.current), _plain(outer.total)
    said: dict[str, Any] = {"percentage": None, "current": current, "total": total, "message": _words(looks)}
    if current is not None and total:
        said["percentage"] = min(100.0, max(0.0, 100.0 * current / total))
    return {name: value for name, value in said.items() if value is not None}


def _words(looks: list[Look]) -> str | None:
    """What is said beside the numbers: of one bar its description, of several each with its own numbers."""
    if len(looks) == 1:
        return _with_more(_description(looks[0]), looks[0]) or None
    parts = [_with_more(f"{_description(look)} {_numbers(look)}".strip(), look) for look in looks[:_SHOWN]]
    if len(looks) > _SHOWN:
        parts.append(f"{len(looks) - _SHOWN} more")
    return " · ".join(parts)


def _description(look: Look) -> str:
    return _COLOURS.sub("", str(look.description)).strip().rstrip(":").rstrip()[:_DESCRIPTION_CHARACTERS]


def _with_more(words: str, look: Look) -> str:
    more = _COLOURS.sub("", str(look.more)).strip()[:_DESCRIPTION_CHARACTERS]
    return ", ".join(part for part in (words, more) if part)


def _numbers(look: Look) -> str:
    write = look.in_words or _number_in_words
    return write(look.current) if not look.total else f"{write(look.current)}/{write(look.total)}"


def _number_in_words(value: Any) -> str:
    number = _plain(value)
    return "?" if number is None else f"{number:g}" if isinstance(number, float) else str(number)


def _plain(value: Any) -> float | None:
    """A number as JSON has it: whole ones as such, numpy's too; None for what is none."""
    if value is None:
        return None
    try:
        number: float = operator.index(value)
        return number if -(1 << 63) <= number < 1 << 63 else None
    except TypeError:
        pass
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
