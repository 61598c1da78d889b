"""Tasks are ended for sure: cancelled until they are done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["end_all"]

AGAIN_SECONDS = 0.3
"""``asyncio.wait_for`` of Python 3.11 swallows a cancellation that comes in the moment of its call's end."""
GIVE_UP_SECONDS = 30.0


async def end_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Returns when all of ``tasks`` have ended. What they raised is nobody's business any more."""
    everything = set(tasks)
    left = {task for task in everything if not task.done()}
    for _ in range(int(GIVE_UP_SECONDS / AGAIN_SECONDS)):
        if not left:
            break
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    for task in everything - left:
        if not task.cancelled():
            task.exception()
