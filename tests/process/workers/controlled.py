"""Workers that are busy in all the ways there are, with ctx and without, plain and as coroutines."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import threading
import time

from sse_tasks import AsyncTaskContext, TaskContext, task


def _be_busy(how: str, path: str, ctx: TaskContext | None = None) -> None:
    try:
        print("begun", flush=True)
        match how:
            case "compute":
                fd = os.open(path or os.devnull, os.O_RDWR | os.O_CREAT)
                for count in itertools.count():
                    os.pwrite(fd, b"%d" % count, 0)
            case "sleep":
                time.sleep(1000)
            case "lock":
                lock = threading.Lock()
                lock.acquire()
                lock.acquire()
            case "socket":
                ours, _theirs = socket.socketpair()
                ours.recv(1)
            case "subprocess":
                subprocess.run(["sleep", "1000"])
            case "join":
                thread = threading.Thread(target=time.sleep, args=(1000,), daemon=True)
                thread.start()
                thread.join()
            case "checkpoints":
                assert ctx is not None
                while True:
                    ctx.checkpoint()
            case "ctx-sleep":
                assert ctx is not None
                ctx.sleep(1000)
            case "track":
                assert ctx is not None
                for _ in ctx.track(itertools.count()):
                    pass
    finally:
        print("cleaned", flush=True)


async def _be_busy_async(how: str, path: str, ctx: AsyncTaskContext | None = None) -> None:
    try:
        print("begun", flush=True)
        match how:
            case "compute":
                fd = os.open(path or os.devnull, os.O_RDWR | os.O_CREAT)
                for count in itertools.count():
                    os.pwrite(fd, b"%d" % count, 0)
                    await asyncio.sleep(0)
            case "sleep":
                await asyncio.sleep(1000)
            case "lock":
                lock = asyncio.Lock()
                await lock.acquire()
                await lock.acquire()
            case "socket":
                ours, _theirs = socket.socketpair()
                ours.setblocking(False)
                await asyncio.get_running_loop().sock_recv(ours, 1)
            case "subprocess":
                process = await asyncio.create_subprocess_exec("sleep", "1000")
                await process.wait()
            case "join":
                await asyncio.to_thread(time.sleep, 1000)
            case "checkpoints":
                assert ctx is not None
                while True:
                    await ctx.checkpoint()
            case "ctx-sleep":
                assert ctx is not None
                await ctx.sleep(1000)
            case "track":
                assert ctx is not None
                async for _ in ctx.track(itertools.count()):
                    pass
    finally:
        await asyncio.sleep(0.01)  # cleaning up may take its time, and is not cancelled again
        print("cleaned", flush=True)


@task
def busy(how: str, path: str = "") -> None:
    _be_busy(how, path)


@task
def busy_ctx(ctx: TaskContext, how: str, path: str = "") -> None:
    _be_busy(how, path, ctx)


@task
async def busy_async(how: str, path: str = "") -> None:
    await _be_busy_async(how, path)


@task
async def busy_async_ctx(ctx: AsyncTaskContext, how: str, path: str = "") -> None:
    await _be_busy_async(how, path, ctx)


@task
def stubborn(how: str) -> None:
    """Swallows whatever is raised in it, or never comes back to where it could be. Says that it has begun when an abort
    would meet it so, and not one step before."""
    match how:
        case "swallow":
            while True:
                with contextlib.suppress(BaseException):
                    print("begun", flush=True)
                    time.sleep(1)
        case "swallow-in-loop":
            async def swallow() -> None:
                while True:
                    with contextlib.suppress(BaseException):
                        print("begun", flush=True)
                        await asyncio.sleep(1)
            asyncio.run(swallow())
        case "c-code":
            collections.deque(itertools.chain(map(print, ["begun"]), itertools.repeat(1)), maxlen=0)
        case "slow-cleanup":
            try:
                print("begun", flush=True)
                time.sleep(1000)
            finally:
                time.sleep(1000)
        case "cleanup-fails":
            try:
                print("begun", flush=True)
                time.sleep(1000)
            finally:
                raise RuntimeError("the cleanup failed")
        case "exit-hangs":
            import atexit

            print("begun", flush=True)
            atexit.register(time.sleep, 1000)


@task
async def stubborn_async(how: str) -> None:
    while True:
        if how == "swallow":
            with contextlib.suppress(BaseException):
                print("begun", flush=True)
                await asyncio.sleep(1)
        else:
            print("begun", flush=True)
            time.sleep(0.01)  # never lets the loop run


@task
def swallow_each_ctx_call(ctx: TaskContext) -> int:
    """Goes on after each abort; counts them."""
    print("begun", flush=True)
    raised = 0
    while raised < 5:
        try:
            ctx.checkpoint()
        except BaseException:
            raised += 1
    return raised


@task
def gated(ctx: TaskContext, open_path: str) -> str:
    """Stands at no checkpoint until a file is there."""
    print("begun", flush=True)
    while not os.path.exists(open_path):
        time.sleep(0.005)
    ctx.checkpoint()
    return "through"


@task
def checkpoints_from_a_thread(ctx: TaskContext) -> None:
    """The main thread sleeps in ctx; another one makes ctx calls, and so takes what was said."""
    def chat() -> None:
        with contextlib.suppress(BaseException):
            while True:
                ctx.checkpoint()

    threading.Thread(target=chat, daemon=True).start()
    print("begun", flush=True)
    while True:
        ctx.sleep(1000)


@task
async def cleanup_after_ctx_call(ctx: AsyncTaskContext) -> None:
    """Is in a ctx call again and again when the abort comes."""
    try:
        print("begun", flush=True)
        while True:
            for _ in range(50):
                for _ in range(2000):
                    pass  # the abort comes here, most likely
                ctx.message("on")
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0.05)
        print("cleaned", flush=True)


@task
def child_of_fork() -> dict[str, int]:
    """What a worker's own children end with."""
    import multiprocessing

    context = multiprocessing.get_context("fork")
    child = context.Process(target=time.sleep, args=(1000,))
    child.start()
    child.terminate()
    child.join()
    with context.Pool(2) as pool:
        total = sum(pool.map(abs, range(100)))
    return {"terminated": child.exitcode or 0, "sum": total}


@task
def return_codes(count: int) -> int:
    """How many of its children's return codes were wrong."""
    script = "import sys; sys.exit(int(sys.argv[1]))"
    wrong = 0
    for first in range(0, count, 20):
        started = [(n, subprocess.Popen(["sh", "-c", f"exit {n % 256}"])) for n in range(first, first + 20)]
        wrong += sum(process.wait() != n % 256 for n, process in started)
    wrong += subprocess.run([sys.executable, "-c", script, "7"]).returncode != 7
    wrong += os.waitstatus_to_exitcode(os.system("exit 9")) != 9
    return wrong
