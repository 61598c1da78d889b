"""Task types that the notebooks' tests start."""

import datetime
import os
import signal
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from sse_tasks import TaskContext, TaskError, task


class Address(msgspec.Struct):
    city: str
    zip_code: int | None = None


@dataclass
class Window:
    since: datetime.date
    days: int = 7


@task("typed")
def typed(
    url: Annotated[str, "the page"], max_pages: int = 5, headless: bool = True, tags: list[str] = [],  # noqa: B006
    color: Literal["red", "blue"] = "red", address: Address | None = None, window: Window | None = None,
    ratio: float | str = 0.5, since: datetime.date | None = None,
) -> str:
    """Says what it was given, in Python's words."""
    return repr((url, max_pages, headless, tags, color, address, window, ratio, since))


@task("steps")
def steps(ctx: TaskContext, steps: int = 3, seconds: float = 0.0, say: str = "step", until: int | None = None) -> int:
    """Counts, with progress, output and items; ``until`` is where it fails."""
    for step in range(1, steps + 1):
        ctx.progress(step, steps, f"{say} {step}")
        print(say, step, flush=True)
        ctx.emit({"step": step, "at": f"2026-01-{step:02}"})
        if step == until:
            raise TaskError("The shop is closed.", code="closed")
        ctx.sleep(seconds)
    return steps


@task("waits")
def waits(ctx: TaskContext, path: str) -> str:
    """Counts until there is a file at ``path``, and gives its text."""
    step = 0
    while not os.path.exists(path):
        step += 1
        ctx.progress(step)
        print("step", step, flush=True)
        ctx.sleep(0.02)
    with open(path) as file:
        return file.read()


@task("goes-on")
def goes_on(ctx: TaskContext, steps: int = 3, dies_at: int = 2) -> dict[str, int]:
    """Emits steps and saves each. Its process is killed at one, where it began at the first."""
    begun_at = ctx.saved["step"] if ctx.saved else 0
    for step in range(begun_at, steps):
        if step == dies_at and not begun_at:
            print("dying", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        ctx.emit({"step": step})
        ctx.checkpoint({"step": step + 1})
    return {"begun_at": begun_at, "attempt": ctx.attempt}


@task("exact")
def exact(ctx: TaskContext) -> Any:
    """Emits and returns what JSON has no word for."""
    for item in ({"n": float("nan")}, {"n": 1}, {"n": 1 << 70}):
        ctx.emit(item)
    return {1: float("nan"), "when": datetime.date(2026, 1, 2), "pair": (1, 2), "big": 1 << 70}


@task("leaves-files")
def leaves_files(ctx: TaskContext) -> None:
    """Leaves an artifact, and output that is not quite UTF-8."""
    (ctx.files / "table.csv").write_text("a,b\n1,2\n")
    import sys

    sys.stdout.buffer.write(b"gr\xfc\xdfe\n")
    sys.stdout.flush()
