"""Workers that take more than they may."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

from sse_tasks import TaskContext, task
from sse_tasks.worker.context import ItemTooLargeError


@task
def take_memory(ctx: TaskContext, megabytes: int, where: str) -> str:
    """Takes memory, itself, in a child of its own session, or once for many forks that share it."""
    if where == "child":
        subprocess.Popen([sys.executable, "-c", f"x = bytearray(b'x') * ({megabytes} << 20); print(1, flush=True); "
                          "import time; time.sleep(1000)"], start_new_session=True)
    else:
        data = bytearray(b"x") * (megabytes << 20)
        if where == "shared":
            for _ in range(4):
                if os.fork() == 0:
                    time.sleep(1000)
                    os._exit(len(data) & 1)
    ctx.message("taken")
    ctx.sleep(1000 if where != "shared" else 1.5)
    return where


@task
def print_much(lines: int, first: str = "first line", last: str = "last line", pieces: int = 1) -> None:
    """Prints numbered lines between a first and a last one."""
    print(first)
    for begin in range(0, lines, max(1, lines // pieces)):
        sys.stdout.write("".join(f"line {n}\n" for n in range(begin, min(lines, begin + max(1, lines // pieces)))))
    print(last)


@task
def write_files(ctx: TaskContext, sizes: list[int], stay: bool) -> str:
    """Files in a folder of their own, and a link to a large one elsewhere."""
    folder = ctx.files / "below"
    folder.mkdir()
    for number, size in enumerate(sizes):
        (folder / f"{number}").write_bytes(b"x" * size)
    (folder / "link").symlink_to(sys.executable)
    if stay:
        ctx.sleep(1000)
    return "written"


@task
def give_back(size: int, as_object: bool = False) -> Any:
    """A result of a size: text, or an object that is kept in files/."""
    return Kept(size) if as_object else "x" * size


class Kept:
    """What JSON has no word for."""

    def __init__(self, size: int) -> None:
        self.data = b"x" * size


@task
def emit_large(ctx: TaskContext, size: int) -> str:
    """An item that is too large, and then another one."""
    try:
        ctx.emit("x" * size)
    except ItemTooLargeError as error:
        ctx.emit("small")
        return str(error)
    return "taken"


@task
def flood_reports(size: int) -> str:
    """A line without an end where reports are expected, then a newline."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.readlink(f"/proc/self/fd/{name}").startswith("pipe:"):
                for _ in range(size >> 16):
                    os.write(int(name), b"Rx" * (1 << 15))
                os.write(int(name), b"\n")
        except OSError:
            continue  # not to be written to
    return "done"


@task
def note_times(ctx: TaskContext, path: str) -> None:
    """Writes down when it began and when it ended."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"+{ctx.task_id}\n".encode())
    ctx.sleep(0.05)
    os.write(fd, f"-{ctx.task_id}\n".encode())
