"""Workers that fork, report from threads and children, or put traps into their folder."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
import time

from sse_tasks import AsyncTaskContext, TaskContext, task


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
