"""Workers that do what no worker should, and still have something to say at their end."""

from __future__ import annotations

import _thread
import asyncio
import builtins
import contextlib
import gc
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from typing import Any

from sse_tasks import AsyncTaskContext, TaskContext, task


class LastWords(Exception):
    """One whose text is a way out."""

    def __str__(self) -> str:
        raise SystemExit(7)


def _recurse(depth: int = 0) -> int:
    return _recurse(depth + 1) + 1


@task
def misbehave(ctx: TaskContext, how: str) -> Any:
    """Does it, then reports, saves and returns as any other."""
    ctx.message("before")
    match how:
        case "stdout-closed":
            sys.stdout.close()
            sys.stderr.close()
            sys.stdin.close()
        case "descriptors-0-to-2-closed":
            os.closerange(0, 3)
        case "stdout-none":
            sys.stdout = sys.stderr = None  # type: ignore[assignment]
        case "stdout-replaced":
            sys.stdout = sys.stderr = object()  # type: ignore[assignment]
        case "descriptors-closed":
            os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        case "descriptors-closed-one-by-one":
            for fd in range(3, 70_000):
                with contextlib.suppress(OSError):
                    os.close(fd)
        case "descriptors-taken":
            os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
            files = [(ctx.files / f"{number}.txt").open("w+") for number in range(50)]
            ctx.emit("one")
            ctx.checkpoint()
            for file in files:
                assert file.read() == ""
                file.write("mine")
                file.close()
        case "descriptors-scribbled-on":
            for name in os.listdir("/proc/self/fd"):
                if int(name) > 2:
                    with contextlib.suppress(OSError):
                        os.write(int(name), b"R not a report\nS" + b"\xff" * 100)
            ctx.message("taken for a part of that")
        case "no-descriptors-allowed":
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        case "no-file-may-grow":
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        case "chdir":
            gone = tempfile.mkdtemp()
            os.chdir(gone)
            shutil.rmtree(gone)
            (ctx.files / "made.txt").write_text("from nowhere")
        case "setsid":
            for call in (os.setsid, lambda: os.setpgid(0, 0), lambda: os.killpg(os.getppid(), 0)):
                with contextlib.suppress(OSError):
                    call()
        case "signals-replaced":
            for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, lambda *_: None)
            signal.signal(signal.SIGRTMIN + 5, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGRTMIN + 5, signal.SIGHUP):
                os.kill(os.getpid(), number)
        case "threads":
            threading.stack_size(64 << 10)
            blocked = threading.Lock()
            blocked.acquire()
            for _ in range(5000):
                _thread.start_new_thread(blocked.acquire, ())
            reporting = [threading.Thread(target=ctx.message, args=("of a thread",)) for _ in range(10)]
            for thread in reporting:
                thread.start()
            for thread in reporting:  # what follows them is to be the last word
                thread.join()
        case "threads-exit":
            for leave in (sys.exit, _thread.exit, lambda: sys.exit("words"), _recurse):
                thread = threading.Thread(target=leave)
                thread.start()
                thread.join()
        case "fork-bomb":
            _fork_bomb(300)
        case "garbage":
            gc.disable()
            gc.freeze()
            kept: list[Any] = []
            for _ in range(100_000):
                kept = [kept]
            del kept
        case "modules-broken":
            _break_modules()
        case "modules-gone":
            sys.modules.clear()
            sys.path.clear()
            os.environ.clear()
        case "settings":
            sys.setrecursionlimit(10**9)
            sys.setswitchinterval(100)
            threading.setprofile(_angry)
            sys.excepthook = sys.unraisablehook = threading.excepthook = _angry  # type: ignore[assignment]
            os.umask(0o777)
    ctx.progress(1, 2)
    ctx.emit({"how": how})
    ctx.checkpoint({"how": how})
    ctx.message("after")
    return {"how": how}


def _angry(*_: Any) -> None:
    raise RuntimeError("a hook of the worker")


def _break_modules() -> None:
    """Replaces what programs rely on, as patched libraries do, only worse."""
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("broken by the worker")

    for module, names in {
            os: ("write", "read", "getpid", "_exit", "open", "close", "kill", "fstat", "listdir", "getppid"),
            json: ("dumps", "loads", "JSONEncoder"),
            time: ("monotonic", "time", "sleep"),
            threading: ("get_ident", "Lock", "current_thread", "RLock"),
            select: ("select", "poll"),
            signal: ("signal", "pthread_sigmask"),
            builtins: ("print", "open"),
    }.items():
        for name in names:
            setattr(module, name, broken)


def _fork_bomb(limit: int) -> None:
    """Every process forks for as long as there is a token; none gives one back. Returns in the first one at the end."""
    tokens, given = os.pipe()
    os.write(given, b"x" * limit)
    os.close(given)
    first = os.getpid()
    while os.read(tokens, 1):
        os.fork()
    if os.getpid() != first:
        while True:
            time.sleep(1000)


@task
async def misbehave_in_loop(ctx: AsyncTaskContext, how: str) -> Any:
    """The same in a coroutine."""
    match how:
        case "children-cancelled":
            children = [asyncio.ensure_future(asyncio.sleep(1000)) for _ in range(5000)]
            ctx.message(f"{len(children)} children")
        case "loop-stopped":
            asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)
            await asyncio.sleep(1000)
        case "descriptors-closed":
            os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    ctx.emit({"how": how})
    await ctx.checkpoint({"how": how})
    return {"how": how}


@task
def end_badly(ctx: TaskContext, how: str) -> Any:
    """Ends in a way that needs words."""
    ctx.emit({"how": how})
    match how:
        case "huge-error":
            raise ValueError("x" * (50 << 20))
        case "chained-errors":
            error = ValueError("the first")
            for number in range(3000):
                later = ValueError(f"number {number}")
                later.__cause__ = error
                error = later
            raise error
        case "last-words":
            raise LastWords
        case "interrupt":
            raise KeyboardInterrupt("\ud800")
        case "exit-in-a-thread":
            threading.Thread(target=os._exit, args=(5,)).start()
            time.sleep(1000)
        case "recursion":
            _recurse()
        case "broken-and-raises":
            _break_modules()
            raise ValueError("a reason")
        case "kills-its-group":
            os.killpg(0, signal.SIGKILL)
        case "alarm":
            signal.alarm(1)
            time.sleep(1000)
        case "default-signal":
            signal.signal(signal.SIGRTMIN + 5, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGRTMIN + 5)
        case "line-cut":
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
            os.closerange(3, 70_000)
        case "no-json":
            return {"a lock": threading.Lock()}
        case "angry-result":
            return _Angry()
        case "circle":
            circle: list[Any] = []
            circle.append(circle)
            return [circle, threading.Lock()]


class _Angry:
    """An object that answers nothing."""

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(name)

    def __repr__(self) -> str:
        raise SystemExit("no repr")


@task
def wait_deaf(ctx: TaskContext) -> None:
    """Can't be interrupted by the keeper's signal, but comes to its ctx."""
    signal.signal(signal.SIGRTMIN + 5, signal.SIG_IGN)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    ctx.message("deaf")
    while True:
        ctx.sleep(0.02)


@task
def flood(ctx: TaskContext, megabytes: int) -> str:
    """Writes so much, with a line at its beginning and one at its end."""
    os.write(1, b"the first line\n")
    block = (b"x" * 1023 + b"\n") * 1024
    for _ in range(megabytes):
        view = memoryview(block)
        while view:
            view = view[os.write(1, view):]
    os.write(2, b"the last line\n")
    return "flooded"


@task
def report_much(ctx: TaskContext, times: int) -> int:
    """A tight loop of updates."""
    for number in range(times):
        ctx.progress(number + 1, times)
    return times


@task
def return_much(megabytes: int) -> list[str]:
    """A large result."""
    return ["x" * ((1 << 20) - 3)] * megabytes


@task
def odd_data(ctx: TaskContext) -> Any:
    """What JSON has no words for, in every place where data goes."""
    odd = {"\ud800": [float("nan"), float("-inf"), 1 << 80, "a\udfff"], "\x00": "\u2028"}
    ctx.message("\ud800 message")
    ctx.progress(float("nan"), float("inf"), "\udfff step")
    ctx.emit(odd)
    ctx.checkpoint(odd)
    return odd
