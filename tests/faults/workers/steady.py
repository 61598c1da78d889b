"""Light workers that go on until somebody opens a gate: a file."""

from __future__ import annotations

import os

from sse_tasks import TaskContext, task


def _note(path: str, line: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


@task
def steady(ctx: TaskContext, number: int, trace: str, gate: str, pace: float = 0.2) -> int:
    """Says once that it began; then counts, and emits what it counts, until the gate is open."""
    _note(trace, str(number))
    step = 0
    while not os.path.exists(gate):
        step += 1
        ctx.emit({"number": number, "step": step})
        ctx.progress(step, message=f"Step {step} of {number}")
        ctx.sleep(pace)
    return step


@task
def silent(ctx: TaskContext, gate: str, how: str = "return", chatter: bool = False) -> str:
    """Says one thing, writes nothing (or reports all the time) until the gate is open, and then ends as it was told."""
    ctx.message("silent")
    step = 0
    while not os.path.exists(gate):
        ctx.sleep(0.02)
        if chatter:
            step += 1
            ctx.progress(step, message="x" * 2000)
    match how:
        case "raise":
            raise ValueError("It went wrong. " * 50)
        case "die":
            os._exit(3)
        case "large":
            return "r" * 600_000
        case "larger":
            return "r" * (3 << 20)
    return "done"


@task
def write(ctx: TaskContext, what: str, gate: str, size: int = 65536) -> None:
    """From the opening of the gate on, writes more and more of one kind: items, output, states or files."""
    ctx.message("ready")
    while not os.path.exists(gate):
        ctx.sleep(0.02)
    number = 0
    while True:
        number += 1
        if what == "items":
            ctx.emit("i" * size)
        elif what == "output":
            print("o" * size, flush=True)
        elif what == "states":
            ctx.checkpoint({"number": number, "padding": "s" * size * (1 + number % 32)})
        elif what == "progress":
            ctx.progress(number, message="p" * 3000)
        ctx.sleep(0.001)
