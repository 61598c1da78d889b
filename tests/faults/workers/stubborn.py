"""Workers that make it hard to end them, with all that they have started.

Each says "grown" once its whole tree is there. What it starts inherits the write end of a FIFO: whoever reads that one
sees its end only when nothing of the tree lives any more, however it hides.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ctypes
import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from sse_tasks import AsyncTaskContext, TaskContext, task
from sse_tasks.worker.start_method import forks

_PR_SET_CHILD_SUBREAPER = 36
_LONGEST_SECONDS = 60.0


def _forked(work: Callable[[], object]) -> int:
    """A child that does ``work`` and nothing else."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def _sleep() -> NoReturn:
    while True:
        time.sleep(1000)


def _daemon(work: Callable[[], object]) -> None:
    """The double fork of a textbook: a session of its own, no parent, no descriptor but the FIFO's."""
    def first() -> None:
        os.setsid()
        _forked(second)

    def second() -> None:
        os.chdir("/")
        os.umask(0)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        work()

    os.waitpid(_forked(first), 0)


def _hop() -> NoReturn:
    """Never the same process for longer than it takes to fork: each one leaves as soon as the next is there.
    Bounded, as everything here that forks: what a broken build lets live would take the machine."""
    end = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
    os._exit(0)


def _fork_and_leave() -> NoReturn:
    """Forks children for ever, each of which is dead at once, or an orphan that forks once more."""
    end = time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            _daemon(lambda: None)
    os._exit(0)


def _ignoring(work: Callable[[], object]) -> None:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    work()


def _stop() -> NoReturn:
    while True:
        os.kill(os.getpid(), signal.SIGSTOP)


def _is_stopped(pid: int) -> bool:
    return b") T " in Path(f"/proc/{pid}/stat").read_bytes()


def _reaper() -> None:
    """A subreaper of its own: orphans below it are its children, not the keeper's."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for _ in range(3):
        _daemon(_sleep)
    _sleep()


def _swallow() -> NoReturn:
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass


def _be_busy(_: object = None) -> None:
    while True:
        pass


def _files_for_ever() -> None:
    """Fills TMPDIR as long as it lives."""
    number = 0
    while True:
        with contextlib.suppress(OSError):
            folder = Path(os.environ["TMPDIR"]) / f"{os.getpid()}-{number % 50}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / str(number)).write_text("x")
        number += 1


@task
def be_stubborn(ctx: TaskContext, how: str, fifo: str) -> None:
    """Grows a tree and then doesn't end."""
    os.set_inheritable(os.open(fifo, os.O_WRONLY), True)
    Path(os.environ["TMPDIR"], "left").write_text("something")
    grown = ctx.message
    match how:
        case "sessions":
            for _ in range(3):
                subprocess.Popen(["sh", "-c", "setsid sleep 1000 & sleep 1000 & wait"], start_new_session=True,
                                 close_fds=False)
        case "daemons":
            for _ in range(5):
                _daemon(_sleep)
            for _ in range(2 if forks() else 0):  # without a mark in its environment; elsewhere it may stay
                subprocess.Popen(["setsid", "-f", "env", "-i", "sleep", "1000"], close_fds=False).wait()
        case "sigterm-ignored":
            subprocess.Popen(["sh", "-c", "trap '' TERM INT HUP; sleep 1000; sleep 1000"], close_fds=False)
            for _ in range(3):
                _forked(lambda: _ignoring(_sleep))
            grown("grown")
            _ignoring(_swallow)
        case "swallows":
            _forked(_swallow)
            grown("grown")
            _swallow()
        case "threads":
            for _ in range(30):
                threading.Thread(target=_swallow).start()
            threading.Thread(target=_be_busy).start()
            _daemon(_sleep)
        case "tight-loop":
            _forked(_be_busy)
            grown("grown")
            try:
                _be_busy()
            finally:
                _be_busy()
        case "sum":
            grown("grown")
            sum(range(10**12))
        case "pbkdf2":
            grown("grown")
            hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2**31 - 1)
        case "numpy":
            import numpy

            matrix = numpy.ones((6000, 6000))
            grown("grown")
            while True:
                matrix = matrix @ matrix
        case "stopped":
            stopped = [_forked(_stop) for _ in range(3)]
            shell = subprocess.Popen(["sh", "-c", "sleep 1000 & kill -STOP $! $$"], close_fds=False)
            while not all(map(_is_stopped, [*stopped, shell.pid])):
                time.sleep(0.002)
        case "stops-itself":
            grown("grown")
            _stop()
        case "pool":
            pool = multiprocessing.get_context("fork").Pool(4)
            result = pool.map_async(_be_busy, range(100))
            grown("grown")
            result.get()
        case "spawned-pool":
            context = multiprocessing.get_context("spawn")
            processes = [context.Process(target=time.sleep, args=(1000,)) for _ in range(2)]
            for process in processes:
                process.start()
        case "futures":
            executor = concurrent.futures.ProcessPoolExecutor(4)
            futures = [executor.submit(_sleep) for _ in range(8)]
            grown("grown")
            while True:
                with contextlib.suppress(BaseException):
                    concurrent.futures.wait(futures)
        case "subreaper":
            _forked(_reaper)
        case "hops":
            for _ in range(3):
                _daemon(_hop)
        case "forks":
            for _ in range(2):
                _forked(_fork_and_leave)
            grown("grown")
            _fork_and_leave()
        case "forks-when-aborted":
            grown("grown")
            try:
                _sleep()
            finally:
                for _ in range(10):
                    _daemon(_sleep)
                _daemon(_hop)
                _forked(_fork_and_leave)
        case "fills-tmp":
            for _ in range(2):
                _daemon(_files_for_ever)
        case _:
            raise ValueError(how)
    grown("grown")
    ctx.sleep(1000)


@task
async def open_tabs(ctx: AsyncTaskContext, tabs: int, fifo: str, closes: bool = True) -> None:
    """A real browser with so many busy tabs; it is closed in order, or not at all."""
    os.open(fifo, os.O_WRONLY)
    from playwright.async_api import async_playwright
    from sse_tasks_workers.get_browser import find_browser

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_browser(playwright.chromium.executable_path),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"], handle_sigint=False,
            handle_sigterm=False, handle_sighup=False)
        context = await browser.new_context()
        for number in range(tabs):
            tab = await context.new_page()
            await tab.set_content(f"<h1>{number}</h1><script>setInterval(() => new Array(1e5).fill(1), 50)</script>")
        ctx.message("grown")
        try:
            await asyncio.sleep(1000)
        finally:
            if not closes:
                os._exit(1)


@task
def return_codes(ctx: TaskContext, count: int) -> int:
    """How many return codes of its children were wrong, while orphans die beside them and threads wait at once."""
    wrong = []

    def check(first: int) -> None:
        for number in range(first, count, 3):
            wrong.append(subprocess.run(["sh", "-c", f"exit {number % 256}"]).returncode != number % 256)

    orphans = [_forked(_fork_and_leave) for _ in range(2)]
    threads = [threading.Thread(target=check, args=(first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    for number in range(20):
        pid = os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", f"exit {number}")
        wrong.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != number)
    for thread in threads:
        thread.join()
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
        wrong.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != -signal.SIGKILL)
    ctx.message(f"{len(wrong)} looked at")
    return sum(wrong)


@task
def leave_a_tree(ctx: TaskContext, how: str, fifo: str) -> str:
    """Ends by itself, while what it started doesn't."""
    os.set_inheritable(os.open(fifo, os.O_WRONLY), True)
    for _ in range(3):
        _daemon(_sleep)
    if forks():  # elsewhere it may outrun its end
        _daemon(_hop)
    multiprocessing.get_context("fork").Process(target=_sleep, daemon=True).start()
    ctx.message("grown")
    match how:
        case "return":
            return "done"
        case "raise":
            raise ValueError("a reason")
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "wait":
            _sleep()
    sys.exit(1)
