"""Workers that die and are begun again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sse_tasks import TaskContext, task


@task
def count(ctx: TaskContext, upto: int, die_at: list[int], how: str = "kill") -> dict[str, Any]:
    """Emits the numbers below ``upto``, saves after each third, dies after the one that is named for its attempt."""
    begin = ctx.saved["next"] if ctx.saved else 0
    for number in range(begin, upto):
        ctx.emit(float("nan") if number % 5 == 4 else number)
        if number % 3 == 2:
            ctx.checkpoint({"next": number + 1})
        if ctx.attempt <= len(die_at) and number == die_at[ctx.attempt - 1]:
            die(how)
    return {"began": begin, "attempt": ctx.attempt}


def die(how: str) -> None:
    Path(os.environ["TMPDIR"], "left").write_text("by an earlier attempt")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(3)
    raise ValueError("a reason")


@task
def die_once(ctx: TaskContext, path: str) -> dict[str, Any]:
    """The first attempt says that it is there and waits to be killed; the next one says what it found."""
    if ctx.attempt == 1:
        ctx.emit(1)
        ctx.checkpoint({"one": 1})
        ctx.emit(2)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
        Path(path).write_text(str(child.pid))
        ctx.message("there")
        while True:
            time.sleep(1)
    return {"saved": ctx.saved, "attempt": ctx.attempt, "secret": os.environ.get("SSE_TEST_SECRET"),
            "temp": sorted(os.listdir(os.environ["TMPDIR"]))}


@task
def slow_at_first(ctx: TaskContext, attempts: int, swallow: bool = False) -> int:
    """Takes too long in its first ``attempts`` attempts, and doesn't leave when it is told to."""
    while ctx.attempt <= attempts:
        try:
            ctx.message("slow")
            time.sleep(1000)
        except BaseException:
            if not swallow:
                raise
    return ctx.attempt


@task
def die_paused(ctx: TaskContext) -> int:
    """Dies where it should have stopped for a pause."""
    ctx.message("there")
    while ctx.attempt == 1:
        if ctx._control.wants_pause:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.005)
        ctx._control.read()
    return ctx.attempt


@task
def unmarked_child(ctx: TaskContext) -> None:
    """Has a grandchild in a session of its own, with an empty environment."""
    script = ("import os, subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'],"
              " env={}, start_new_session=True, stdout=subprocess.DEVNULL); print(p.pid, flush=True)")
    process = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    ctx.message(process.stdout.decode().strip())
    while True:
        ctx.sleep(1)


@task
def what_it_finds(ctx: TaskContext) -> Any:
    """What an earlier run left for it; then one more item."""
    ctx.emit("new")
    return ctx.saved


@task
def hold(ctx: TaskContext) -> None:
    """Takes up a slot."""
    ctx.message("there")
    while True:
        ctx.sleep(1)
