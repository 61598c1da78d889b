"""Waiting for what a server in the tests' own process sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(what: str, condition: Callable[[], object], seconds: float = 40) -> None:
    """Waits for a condition of this process; says what it waited for when it didn't come."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.02)
