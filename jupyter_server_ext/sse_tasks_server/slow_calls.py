"""Calls that wait for other processes: for a worker file that takes long to import, or a forkserver that stands still.

Not on the loop's own threads: these are few, lists are made there, and the process doesn't end before they do.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["SlowCalls"]

T = TypeVar("T")

AT_ONCE = 8


class SlowCalls:
    """Runs them on threads that the end of the process doesn't wait for, a few at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def run(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """As ``asyncio.to_thread``."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            outcome: asyncio.Future[T] = loop.create_future()

            def settle(result: Any, error: BaseException | None) -> None:
                if outcome.done():
                    return  # nobody waits any more
                if error is None:
                    outcome.set_result(result)
                else:
                    outcome.set_exception(error)

            def call() -> None:
                result, raised = None, None
                try:
                    result = function(*args, **options)
                except BaseException as error:  # whatever it is, it belongs to who waits
                    raised = error
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(settle, result, raised)

            threading.Thread(target=call, name="sse-tasks-slow-call", daemon=True).start()
            return await outcome
