"""Workers of the tests: what a task computes is nothing; how it behaves is all."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from sse_tasks import TaskContext, task


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task
def note(ctx: TaskContext, path: str, word: str = "ran") -> str:
    """Leaves a trace of having been run."""
    with open(path, "a") as file:
        file.write(word + "\n")
    return word


@task
def note_and_wait(ctx: TaskContext, path: str, open_path: str) -> str:
    """Leaves a trace, and waits until a file is there."""
    with open(path, "a") as file:
        file.write("ran\n")
    ctx.message("waiting")
    while not os.path.exists(open_path):
        ctx.sleep(0.01)
    return "done"


@task
def wait(ctx: TaskContext) -> None:
    ctx.message("waiting")
    while True:
        ctx.sleep(1)


@task
def order(ctx: TaskContext, path: str, word: str) -> None:
    """Writes down that it began, and goes on until a file is there."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, word.encode() + b"\n")
    os.close(fd)
    while not os.path.exists(f"{path}-{word}"):
        ctx.sleep(0.01)


@task
def tree(ctx: TaskContext) -> None:
    """Grows a child, its grandchild in a session of its own, a forked child that has no parent left, and an orphan."""
    for number in range(10):
        ctx.emit(number)
    sleeper = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
               "print('up', flush=True); time.sleep(1000)"]
    child = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, "
         "start_new_session=True); p.stdout.readline(); print('up', flush=True); p.wait()", *sleeper],
        stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    ready, say = os.pipe()
    if os.fork() == 0:  # double fork: an orphan in a session of its own
        os.setsid()
        if os.fork() == 0:
            os.write(say, b"1")
            time.sleep(1000)
        os._exit(0)
    os.wait()
    os.read(ready, 1)
    if os.fork() == 0:
        os.write(say, b"1")
        time.sleep(1000)
    os.read(ready, 1)
    ctx.message("grown")
    while True:
        ctx.sleep(1)


@task
def descriptor_limit() -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
