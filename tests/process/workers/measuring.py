"""Workers that record metrics."""

import os
import signal
import threading
import time

import numpy

from sse_tasks import AsyncTaskContext, TaskContext, task


@task
def measure(ctx: TaskContext, points: int = 3, gate: str = "") -> None:
    """A falling loss; then it waits until the gate is there, if there is to be one."""
    for step in range(points):
        ctx.metric("loss", 1 / (step + 1), step)
    while gate and not os.path.exists(gate):
        time.sleep(0.005)


@task
def measure_kinds(ctx: TaskContext) -> list[str]:
    """All that is a number, and what is none."""
    for value in (1, True, 0.5, numpy.float32(0.25), numpy.int64(7), numpy.array(3.5), float("nan"), -float("inf"),
                  10**400, 1 << 70):
        ctx.metric("number", value)
    ctx.metric("ä" * 100, 1, step=numpy.int64(2))
    refused = []
    for name, value, step in (("x", "1", None), ("x", None, None), ("x", [1], None), ("x", numpy.zeros(2), None),
                              ("x", 1, "first"), ("", 1, None), ("x" * 101, 1, None), (5, 1, None)):
        try:
            ctx.metric(name, value, step)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            refused.append(f"{type(error).__name__}: {error}")
    return refused


@task
def measure_names(ctx: TaskContext, names: int) -> None:
    """Many metrics, again and again."""
    for _ in range(3):
        for name in range(names):
            ctx.metric(f"name {name}", name)


@task
async def measure_async(ctx: AsyncTaskContext) -> None:
    """In a coroutine, and in a thread beside it."""
    ctx.metric("here", 1)
    thread = threading.Thread(target=ctx.metric, args=("there", 2))
    thread.start()
    thread.join()


@task
def measure_and_die(ctx: TaskContext, steps: int = 6, save_at: int = 3) -> int:
    """Saves its state once, and dies two steps later, in its first attempt."""
    first = (ctx.saved or {"next": 0})["next"]
    for step in range(first, steps):
        ctx.metric("step", step, step)
        if step + 1 == save_at:
            ctx.checkpoint({"next": save_at})
        if step == save_at + 1 and ctx.attempt == 1 and first == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return first
