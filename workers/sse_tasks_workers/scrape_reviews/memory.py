"""A renderer that takes too much memory is killed: a page must not take the machine along."""

from __future__ import annotations

import asyncio
import contextlib

import psutil

from .ending import end_all

__all__ = ["RENDERER_LIMIT_BYTES", "MemoryGuard"]

RENDERER_LIMIT_BYTES = 1_200_000_000
LOOK_SECONDS = 1.0


class MemoryGuard:
    """Looks at this task's renderers each second, from ``start`` to ``stop``. ``killed`` counts those it ended."""

    def __init__(self) -> None:
        self._looking: asyncio.Task[None] | None = None
        self.killed = 0

    def start(self) -> None:
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        if self._looking is not None:
            await end_all({self._looking})

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.killed += await asyncio.to_thread(_kill_the_large)


def _kill_the_large() -> int:
    killed = 0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.memory_info().rss > RENDERER_LIMIT_BYTES and "--type=renderer" in " ".join(process.cmdline()):
                process.kill()
                killed += 1
    return killed
