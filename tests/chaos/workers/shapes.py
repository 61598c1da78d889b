"""Workers of many shapes. Each writes beside its task what it does, so that a checker knows what has to be there.

A trace is ``CHAOS_TRACES/<task id>.jsonl``, a line for each step: ``[kind, run, …]``, where ``run`` names one process
that ran the worker. ``emitting`` and ``saving`` stand before the call, ``emitted`` and ``saved`` after it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sse_tasks import AsyncTaskContext, TaskContext, task

SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]


class Trace:
    """Where one run of a worker says what it does. Each line is one write, so a kill cuts none."""

    def __init__(self, ctx: TaskContext | AsyncTaskContext | None = None) -> None:
        task_id = os.environ["SSE_TASK_ID"]
        self._run = secrets.token_hex(4)
        path = os.path.join(os.environ["CHAOS_TRACES"], f"{task_id}.jsonl")
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.say("start", os.getpid(), os.getppid(), _parent_of(os.getppid()), ctx.attempt if ctx else None,
                 ctx.saved if ctx else None, b"runner_process" in Path("/proc/self/cmdline").read_bytes())

    def say(self, kind: str, *what: Any) -> None:
        os.write(self._fd, (json.dumps([kind, self._run, *what]) + "\n").encode())

    def emit(self, ctx: TaskContext | AsyncTaskContext, number: int) -> None:
        self.say("emitting", number)
        ctx.emit({"n": number, "run": self._run})
        self.say("emitted", number)

    def child(self, pid: int, *, marked: bool) -> None:
        """A process of this run, with the moment it began, so that its number alone is not taken for it."""
        try:
            began = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
        except OSError:
            return
        self.say("child", pid, began, marked)

    def returns(self, value: Any) -> Any:
        self.say("returned", value)
        return value


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def _first(ctx: TaskContext | AsyncTaskContext) -> int:
    return ctx.saved["next"] if ctx.saved else 0


@task
def chaos_steps(ctx: TaskContext, items: int, pause: float, save_every: int) -> int:
    """Items with running numbers, saved every few."""
    trace = Trace(ctx)
    for number in range(_first(ctx), items):
        trace.emit(ctx, number)
        ctx.progress(number + 1, items, f"step {number + 1}")
        if save_every and (number + 1) % save_every == 0:
            trace.say("saving", number + 1)
            ctx.checkpoint({"next": number + 1})
            trace.say("saved", number + 1)
        else:
            ctx.checkpoint()
        ctx.sleep(pause)
    return trace.returns(items)


@task
async def chaos_steps_async(ctx: AsyncTaskContext, items: int, pause: float, save_every: int) -> int:
    """The same as a coroutine."""
    trace = Trace(ctx)
    for number in range(_first(ctx), items):
        trace.emit(ctx, number)
        ctx.progress(number + 1, items)
        if save_every and (number + 1) % save_every == 0:
            trace.say("saving", number + 1)
            await ctx.checkpoint({"next": number + 1})
            trace.say("saved", number + 1)
        await ctx.sleep(pause)
    return trace.returns(items)


@task
def chaos_plain(seconds: float) -> str:
    """Knows nothing of its task."""
    trace = Trace()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        print("still here", flush=True)
        time.sleep(0.2)
    return trace.returns("plain")


@task
async def chaos_plain_async(seconds: float) -> str:
    """Knows nothing of its task, as a coroutine."""
    trace = Trace()
    for _ in range(int(seconds / 0.1)):
        await asyncio.sleep(0.1)
    return trace.returns("plain async")


@task
def chaos_endless(ctx: TaskContext) -> None:
    """Ends when it is aborted, or killed, and so do its children."""
    trace = Trace(ctx)
    trace.child(subprocess.Popen(["sleep", "600"], start_new_session=True).pid, marked=True)
    for number in itertools.count(_first(ctx)):
        trace.emit(ctx, number)
        ctx.checkpoint()
        ctx.sleep(1)


@task
def chaos_burst(ctx: TaskContext, items: int) -> int:
    """As many items as it can, saved every hundred."""
    trace = Trace(ctx)
    for number in range(_first(ctx), items):
        trace.emit(ctx, number)
        if (number + 1) % 100 == 0:
            ctx.message(f"{number + 1} items")
            trace.say("saving", number + 1)
            ctx.checkpoint({"next": number + 1})
            trace.say("saved", number + 1)
            ctx.sleep(0.05)
    return trace.returns(items)


@task
def chaos_quick(ctx: TaskContext) -> str:
    """One item, and over."""
    trace = Trace(ctx)
    trace.emit(ctx, 0)
    return trace.returns("quick")


@task
def chaos_fails(ctx: TaskContext, items: int) -> None:
    """Some items, then an error of its own."""
    trace = Trace(ctx)
    for number in range(items):
        trace.emit(ctx, number)
        ctx.sleep(0.1)
    trace.say("raises")
    raise ValueError("as it was told")


@task
def chaos_family(ctx: TaskContext, seconds: float) -> int:
    """Children in sessions of their own, an orphan, one without an environment, files in its folder for temporary
    ones, and other children whose exit codes it needs."""
    trace = Trace(ctx)
    tempfile.mkdtemp()
    trace.child(subprocess.Popen(SLEEPER, start_new_session=True).pid, marked=True)
    trace.child(subprocess.Popen(SLEEPER, start_new_session=True, env={}).pid, marked=False)
    orphan = subprocess.run(["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True,
                            check=False)
    trace.child(int(orphan.stdout), marked=True)
    number = _first(ctx)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        code = subprocess.run(["sh", "-c", f"exit {number % 7}"], check=False).returncode
        if code != number % 7:
            raise AssertionError(f"a child that ended with {number % 7} was said to have ended with {code}")
        trace.emit(ctx, number)
        number += 1
        trace.say("saving", number)
        ctx.checkpoint({"next": number})
        trace.say("saved", number)
        ctx.sleep(0.3)
    return trace.returns(number)


@task
def chaos_stubborn(ctx: TaskContext, seconds: float) -> int:
    """Doesn't let itself be aborted, and has a child that doesn't either."""
    trace = Trace(ctx)
    trace.child(subprocess.Popen(["sh", "-c", "trap '' TERM INT HUP; sleep 600; sleep 600"],
                                 start_new_session=True).pid, marked=True)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        try:
            time.sleep(0.2)
            trace.emit(ctx, number)
            number += 1
        except BaseException:
            number += 1  # whether it was emitted is not known, and no number may come twice
            trace.say("swallowed")
    return trace.returns(number)
