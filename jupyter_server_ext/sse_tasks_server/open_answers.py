"""The answers that are still being given: streams and long polls, which the server's end must not have to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["OpenAnswers"]


class OpenAnswers:
    """Knows how to tell each of them to end."""

    def __init__(self) -> None:
        self._closers: list[Callable[[], None]] = []
        self._empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._closers)

    @contextmanager
    def holding(self, close: Callable[[], None]) -> Iterator[None]:
        """While the context is open, ``close`` may be called to end it soon."""
        self._closers.append(close)
        try:
            yield
        finally:
            self._closers.remove(close)
            if not self._closers:
                self._empty.set()

    async def close_all(self) -> None:
        """Tells all of them, and returns when the last one has ended."""
        if self._closers:
            self._empty.clear()
            for close in tuple(self._closers):
                close()
            await self._empty.wait()
