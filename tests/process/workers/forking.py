"""Workers that fork, report from threads and children, or put traps into their folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
import time

from sse_tasks import AsyncTaskContext, TaskContext, task
from sse_tasks.registry import Worker


@task
def child_exits(ctx: TaskContext, how: str) -> str:
    pid = os.fork()
    if pid == 0:
        if how == "exit":
            sys.exit(3)
        if how == "raise":
            raise ValueError("the child's")
        return "the child's"
    return f"parent {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}"


@task
def children_report(ctx: TaskContext, size: int) -> int:
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_report, args=(ctx, number, size)) for number in range(3)]
    for child in children:
        child.start()
    _report(ctx, 9, size)
    for child in children:
        child.join()
    return sum(child.exitcode or 0 for child in children)


def _report(ctx: TaskContext, number: int, size: int) -> None:
    for turn in range(5):
        ctx.progress(turn, 5, "z" * 1000)
        ctx.emit({"number": number, "turn": turn, "text": "y" * size})


@task
def spawns(ctx: TaskContext) -> int | None:
    child = multiprocessing.get_context("spawn").Process(target=_greet)
    child.start()
    child.join()
    return child.exitcode


def _greet() -> None:
    print("from a new interpreter")


@task
def thread_reports(ctx: TaskContext) -> None:
    def chatter() -> None:
        while True:
            ctx.message("chatter")
            ctx.sleep(0.01)

    try:
        threading.Thread(target=chatter, daemon=True).start()
        time.sleep(600)
    finally:
        print("CLEANED")


@task
async def child_coroutine_reports(ctx: AsyncTaskContext) -> None:
    async def chatter() -> None:
        while True:
            ctx.message("chatter")
            await asyncio.sleep(0)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(chatter())
            await asyncio.sleep(600)
    finally:
        print("CLEANED")


@task
def fifo_for_items(ctx: TaskContext) -> None:
    os.mkfifo(ctx.files.parent / "items.jsonl")
    ctx.emit(1)
    time.sleep(600)


@task
def fifos_for_requests_and_result(ctx: TaskContext) -> None:
    for name in ("requests.jsonl", "result.json"):
        path = ctx.files.parent / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    ctx.message("made")
    time.sleep(600)


@task
def raises_without_stderr() -> None:
    sys.stderr.close()
    raise ValueError("boom")


@task
def no_repr() -> object:
    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

        def __reduce__(self) -> str:
            raise RuntimeError("no pickle")

    return Mute()


@task
def scribbles(ctx: TaskContext) -> str:
    """Writes into every pipe that is none of its own, in mid-line."""
    def scribble() -> None:
        for name in os.listdir("/proc/self/fd"):
            fd = int(name)
            with contextlib.suppress(OSError):
                is_pipe = stat.S_ISFIFO(os.fstat(fd).st_mode)
                if fd > 2 and is_pipe and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
                    os.write(fd, b"P{scribbled")

    scribble()
    ctx.emit(1)
    scribble()
    return "whole"


@task
def looks_around() -> dict[str, object]:
    """What of other workers and of what was done before it can be seen here."""
    try:
        asyncio.get_running_loop()
        has_loop = True
    except RuntimeError:
        has_loop = False
    return {"modules": [name for name, module in sys.modules.copy().items()
                        if any(isinstance(value, Worker) for value in vars(module).values())],
            "first_on_path": os.path.basename(sys.path[0]), "has_loop": has_loop}


@task
def loses_a_child(ctx: TaskContext, gate: str) -> None:
    """A process of another session and without a mark, whose parent lives until the gate, a FIFO, is opened."""
    shell = subprocess.Popen(["sh", "-c", "setsid env -i sleep 1000 & echo $!; : < \"$0\"", gate],
                             stdout=subprocess.PIPE)
    assert shell.stdout is not None
    ctx.message(f"{shell.pid} {int(shell.stdout.readline())}")
    shell.wait()
    time.sleep(600)
