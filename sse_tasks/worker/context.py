"""What a worker sees of its task: ``ctx``."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, TypeVar

from ..sizes import say_size
from ..wire import encode, encode_exact, to_plain
from .control import Control

__all__ = ["AsyncTaskContext", "ItemTooLargeError", "TaskContext"]

T = TypeVar("T")

_MESSAGE_CHARACTERS = 4000
_METRIC_NAME_CHARACTERS = 100


class ItemTooLargeError(ValueError):
    """A partial result that is larger than the task's limit. It is not kept."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"An item of {say_size(size)} was emitted; {say_size(limit)} are allowed "
                         "(TaskManager.item_limit). Emit it in parts, or write it to ctx.files.")


class Reporter(Protocol):
    """Where a context's reports go: the pipe to the keeper, or a test's list."""

    def progress(self, progress: dict[str, Any] | None, message: str | None) -> None: ...
    def item(self, wire: str, exact: str | None) -> None: ...
    def metric(self, name: str, value: float | None, step: float | None) -> None: ...
    def state(self, exact: str) -> None: ...


class _Context:
    def __init__(self, *, task_id: str, input: Any, files: Path, saved: Any, attempt: int, log: logging.Logger,
                 control: Control, reporter: Reporter, item_limit: int | None = None) -> None:
        self.task_id = task_id
        """The task's id."""
        self.input = input
        """The input as it was given: a dict."""
        self.files = files
        """A folder whose files are the task's artifacts."""
        self.saved = saved
        """The state of an earlier run's last checkpoint, or None."""
        self.attempt = attempt
        """1, and one more with each retry."""
        self.log = log
        """A logger into the task's output."""
        self._control = control
        self._report = reporter
        self._item_limit = item_limit
        self.says_progress = False
        """Whether ``progress`` was called: then no bar speaks for the task."""

    def progress(self, current: float | None = None, total: float | None = None, message: str | None = None, *,
                 percentage: float | None = None) -> None:
        """Says how far the task is: ``current`` of ``total``, and a few words. The percentage (0 to 100) follows from
        them, or is given. What is left out is absent from the progress that people see."""
        with self._control.shield():
            self.says_progress = True
            current, total, percentage = _number(current), _number(total), _number(percentage)
            if percentage is None and current is not None and total:
                percentage = 100.0 * current / total
            if percentage is not None:
                percentage = min(100.0, max(0.0, percentage))
            said = {"percentage": percentage, "current": current, "total": total,
                    "message": None if message is None else _words(message)}
            self._report.progress({k: v for k, v in said.items() if v is not None}, None)

    def message(self, text: str) -> None:
        """Says in a sentence what the task does now."""
        with self._control.shield():
            self._report.progress(None, _words(text))

    def emit(self, item: Any) -> None:
        """Adds a partial result, which is kept whatever happens later. JSON data, structs and dataclasses among it.

        Raises TypeError for anything else, ItemTooLargeError (a ValueError) above the task's ``item_limit``.
        """
        with self._control.shield():
            wire, exact = encode(item)
            if self._item_limit is not None and len(wire) > self._item_limit:
                raise ItemTooLargeError(len(wire), self._item_limit)
            self._report.item(wire, exact)

    def metric(self, name: str, value: Any, step: float | None = None) -> None:
        """Records a number over time, for charts and ``t.metrics()``: ``ctx.metric("loss", 0.31)``.

        ``value`` is a number, or what ``float()`` makes one of: numpy's and torch's scalars too. NaN and infinities
        leave a gap. ``step`` is a number to draw it by, instead of the time. The first 1,000 points of a name are all
        kept, then the latest every 50 ms, less often in a long task, and the last one always.

        Raises TypeError for what is no number, ValueError for a name that isn't 1 to 100 characters.
        """
        with self._control.shield():
            if not isinstance(name, str):
                raise TypeError(f"a metric's name is a string, not {name!r:.80}: ctx.metric(\"loss\", 0.31)")
            if not 1 <= len(name) <= _METRIC_NAME_CHARACTERS:
                raise ValueError(f"a metric's name has 1 to {_METRIC_NAME_CHARACTERS} characters, not {len(name)}")
            self._report.metric(name, _measured(name, value), None if step is None else _measured("step", step))

    def _save(self, state: Any) -> None:
        if state is not None:
            self._report.state(encode_exact(to_plain(state)))


def _words(text: Any) -> str:
    """What is said as every update, list and snapshot carries it: a sentence, not a document."""
    words = str(text)
    return words if len(words) <= _MESSAGE_CHARACTERS else f"{words[:_MESSAGE_CHARACTERS - 1]}…"


def _number(value: Any) -> float | None:
    """A number as JSON has it: readers of updates rely on that. None for NaN and infinities.

    Raises TypeError for what is no number.
    """
    if value is None or (type(value) is int and -(1 << 63) <= value < 1 << 63):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"progress takes numbers, not {value!r:.80}; words go into message=") from None
    return number if math.isfinite(number) else None


def _measured(what: str, value: Any) -> float | None:
    """A metric's number as JSON has it; None for NaN and infinities. Raises TypeError for what is no number."""
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return int(value)
    try:
        if value is None or isinstance(value, str | bytes | bytearray):
            raise TypeError
        number = float(value)
    except OverflowError:
        return None
    except Exception:  # an array's or a tensor's own, of which each library has another one
        raise TypeError(f"a metric takes numbers; {what} is {value!r:.80}") from None
    return number if math.isfinite(number) else None


class TaskContext(_Context):
    """The ``ctx`` of a plain function. Its calls may be made from any thread."""

    def checkpoint(self, state: Any = None) -> None:
        """Here the task can stop and go on from: it pauses, or ``TaskAborted`` is raised, if that was asked.

        With a ``state`` (JSON data), a restart finds it in ``ctx.saved``, together with the items emitted so far.
        """
        with self._control.shield():
            self._save(state)
            self._control.look()
            if self._control.wants_pause:
                self._control.stand_still()

    def sleep(self, seconds: float) -> None:
        """Sleeps. It can be paused and aborted meanwhile; time paused doesn't count."""
        with self._control.shield():
            end = monotonic() + seconds
            while not self._control.wants_abort:
                if self._control.wants_pause:
                    end += self._control.stand_still()
                    continue
                left = end - monotonic()
                if left <= 0:
                    break
                self._control.wait(left)

    def track(self, iterable: Iterable[T], message: str | None = None, total: float | None = None) -> Iterator[T]:
        """Gives the elements on, with progress and a checkpoint at each step."""
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        self.progress(0, total, message)
        for count, element in enumerate(iterable, 1):
            self.checkpoint()
            yield element
            self.progress(count, total, message)


class AsyncTaskContext(_Context):
    """The ``ctx`` of an ``async def``. ``progress``, ``message``, ``emit`` and ``metric`` are plain calls."""

    async def checkpoint(self, state: Any = None) -> None:
        """Here the task can stop and go on from: it pauses, or is cancelled, if that was asked.

        With a ``state`` (JSON data), a restart finds it in ``ctx.saved``, together with the items emitted so far.
        """
        with self._control.shield():
            self._save(state)
            self._control.look()
        await self._stand_still()
        self._control.check()

    async def sleep(self, seconds: float) -> None:
        """Sleeps. It can be paused and aborted meanwhile; time paused doesn't count."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            end += await self._stand_still()
            self._control.check()
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await self._changed(left, while_paused=False)

    async def track(self, iterable: Iterable[T] | AsyncIterable[T], message: str | None = None,
                    total: float | None = None) -> AsyncIterator[T]:
        """Gives the elements on, with progress and a checkpoint at each step."""
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        count = 0
        self.progress(count, total, message)
        async for element in _as_async(iterable):
            await self.checkpoint()
            yield element
            count += 1
            self.progress(count, total, message)

    async def _stand_still(self) -> float:
        if not self._control.wants_pause:
            return 0.0
        began = monotonic()
        while self._control.wants_pause:
            self._control.say_paused()
            while self._control.is_paused:
                await self._changed(None, while_paused=True)
        return monotonic() - began

    async def _changed(self, seconds: float | None, *, while_paused: bool) -> None:
        """Until the keeper has said something else than what the caller believes, or for ``seconds``."""
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(heard.set)

        self._control.on_change.add(wake)
        try:
            self._control.read()
            believed = self._control.is_paused if while_paused else not self._control.wants_pause
            if believed and not self._control.wants_abort:
                async with asyncio.timeout(seconds):
                    await heard.wait()
        except TimeoutError:
            pass
        finally:
            self._control.on_change.discard(wake)
        self._control.read()


async def _as_async(iterable: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(iterable, AsyncIterable):
        async for element in iterable:
            yield element
    else:
        for element in iterable:
            yield element
