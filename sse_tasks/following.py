"""Following one task from Python: its updates one after another, its end, and hints that something has grown."""

from __future__ import annotations

import asyncio
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from numbers import Real
from typing import TypeVar

from .errors import BadParameterError, TaskNotFoundError
from .folder import is_terminal
from .task_manager import TaskManager
from .types import TaskInfo, TaskUpdate

__all__ = ["Updates", "end_of", "end_of_async", "watch_weakly"]

_LOOK_SECONDS = 5.0
"""Hints come by themselves. Only an end that nobody can write down (a full disk, a lost machine) needs a look."""

T = TypeVar("T")


def watch_weakly(manager: TaskManager, task_id: str, owner: T, method: Callable[[T], None]) -> Callable[[], None]:
    """As ``manager.watch``, but doesn't keep ``owner`` alive: once that is gone, the task's next sign ends it.

    No finalizer does: stopping takes the manager's lock, and garbage may be collected while this very thread holds it.
    """
    reference = weakref.ref(owner)

    def hear(_: str) -> None:
        alive = reference()
        if alive is None:
            stop()
        else:
            method(alive)

    stop = manager.watch(hear, task_id)
    return stop


def end_of(manager: TaskManager, task_id: str, timeout: float | None = None) -> TaskInfo:
    """Waits for the task's end, ``timeout`` seconds at most. Raises TimeoutError, TaskNotFoundError,
    BadParameterError."""
    if timeout is not None and (not isinstance(timeout, Real) or math.isnan(timeout)):
        raise BadParameterError("timeout", f"must be a number of seconds, not {timeout!r}")
    deadline = None if timeout is None else time.monotonic() + timeout
    grown = threading.Event()
    stop = manager.watch(lambda _: grown.set(), task_id)
    try:
        while not (info := manager.info(task_id)).is_ended:
            left = _LOOK_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{info.task_type} {task_id} has not ended in {timeout:g} s. It is {info.status} "
                                   "and goes on: wait again, or abort it.")
            grown.wait(min(left, _LOOK_SECONDS))
            grown.clear()
        return info
    finally:
        stop()


async def end_of_async(manager: TaskManager, task_id: str) -> TaskInfo:
    """Waits for the task's end on the running loop. Raises TaskNotFoundError."""
    bell = _LoopBell()
    stop = manager.watch(lambda _: bell.ring(), task_id)
    try:
        while not (info := manager.info(task_id)).is_ended:
            await bell.heard()
        return info
    finally:
        stop()


class _LoopBell:
    """An event of the running loop that any thread may set."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def ring(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # the loop is closed: nobody waits any more
            pass

    async def heard(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):  # wait_for swallows a cancellation that comes with the event
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()


class Updates:
    """A task's updates from a cursor on, to its end: for ``for`` and for ``async for``.

    Every update of the log comes, once, in order; where several threads share these updates, to one of them. ``cursor``
    is the place after the last one that was given.
    """

    def __init__(self, manager: TaskManager, task_id: str, cursor: int = 0) -> None:
        """Raises TaskNotFoundError, BadParameterError for a cursor that stands nowhere in this task's log."""
        self._manager = manager
        self._folder = manager.folder(task_id)
        if not isinstance(cursor, int) or not self._folder.is_cursor(cursor):
            raise BadParameterError("cursor", f"{cursor!r:.80} is no place in the log of this task")
        self.cursor = cursor
        self._there: Iterator[tuple[int, TaskUpdate]] = iter(())
        self._is_over = False
        self._stop: Callable[[], None] | None = None
        self._turn = threading.RLock()
        self._grown = threading.Event()
        self._bell: _LoopBell | None = None

    def __repr__(self) -> str:
        return f"<Updates of {self._folder.task_id} from {self.cursor}>"

    def __iter__(self) -> Updates:
        return self

    def __aiter__(self) -> Updates:
        return self

    def __next__(self) -> TaskUpdate:
        while (update := self._next()) is None:
            if self._is_over:
                raise StopIteration
            self._grown.wait(_LOOK_SECONDS)
            self._grown.clear()
        return update

    async def __anext__(self) -> TaskUpdate:
        if self._bell is None:
            self._bell = _LoopBell()
        while (update := self._next()) is None:
            if self._is_over:
                raise StopAsyncIteration
            await self._bell.heard()
        return update

    def close(self) -> None:
        """Stops following. Dropping it does the same."""
        with self._turn:
            self._is_over = True
            self._there = iter(())
            stop, self._stop = self._stop, None
        if stop is not None:
            stop()
        self._hear()  # for whoever waits on another thread

    def _next(self) -> TaskUpdate | None:
        """The next update that is there; None if it has to be waited for, or nothing follows any more."""
        with self._turn:
            return self._next_in_turn()

    def _next_in_turn(self) -> TaskUpdate | None:
        if self._is_over:
            return None
        if self._stop is None:
            self._stop = watch_weakly(self._manager, self._folder.task_id, self, Updates._hear)
        found = next(self._there, None)
        if found is None:
            is_ended = self._is_ended()  # asked before the log is read: what it says is there then
            self._there = self._folder.updates(self.cursor)
            found = next(self._there, None)
            if found is None:
                if is_ended:
                    self.close()
                return None
        self.cursor, update = found
        if is_terminal(update):
            self.close()
        return update

    def _is_ended(self) -> bool:
        try:
            return self._manager.info(self._folder.task_id).is_ended
        except TaskNotFoundError:
            return True

    def _hear(self) -> None:
        self._grown.set()
        if self._bell is not None:
            self._bell.ring()
