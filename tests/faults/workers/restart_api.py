"""Workers that save checkpoints, and end in ways that invite a restart."""

from __future__ import annotations

import os
import signal
from typing import Any

from sse_tasks import TaskContext, task


@task
def count_up(ctx: TaskContext, to: int = 5, die_at: int = -1) -> dict[str, Any]:
    """Emits and saves each number; dies once at ``die_at``, right after an item that no checkpoint knows."""
    begin = (ctx.saved or {"next": 0})["next"]
    for number in range(begin, to):
        ctx.emit({"number": number, "inexact": float("nan")})
        if number == die_at and not ctx.saved:
            ctx.emit({"number": "lost", "inexact": float("inf")})
            os.kill(os.getpid(), signal.SIGKILL)
        ctx.checkpoint({"next": number + 1})
        if number + 1 == die_at and not ctx.saved:
            ctx.sleep(0.1)  # longer than between two saves
    return {"began_at": begin}


@task
def echo(text: str = "") -> str:
    return text


@task
def forever(ctx: TaskContext) -> None:
    while True:
        ctx.sleep(60)
