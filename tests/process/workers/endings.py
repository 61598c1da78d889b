"""Workers that end in all the ways there are."""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import datetime
import os
import signal
import sys
from typing import Any

from sse_tasks import TaskContext, TaskError, task
from sse_tasks.errors import TaskAborted


class Thing:
    """A class that only this file knows."""

    def __init__(self, value: int) -> None:
        self.value = value

    def twice(self) -> int:
        return 2 * self.value


class BadText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@task
def fail(how: str) -> None:
    match how:
        case "raise":
            raise ValueError("a reason")
        case "raise-much":
            raise ValueError("x" * 100_000)
        case "raise-without-text":
            raise LookupError
        case "raise-bad-text":
            raise BadText
        case "raise-surrogate":
            raise ValueError("bad \ud800 text\nwith lines")
        case "task-error":
            raise TaskError("The shop is closed", code="closed")
        case "exit-0":
            os._exit(0)
        case "exit-3":
            os._exit(3)
        case "segfault":
            import faulthandler

            faulthandler.disable()
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "abort":
            os.abort()
        case "system-exit":
            sys.exit(4)
        case "system-exit-0":
            sys.exit()
        case "keyboard-interrupt":
            raise KeyboardInterrupt
        case "sigint":
            os.kill(os.getpid(), signal.SIGINT)
        case "recursion":
            fail.function("recursion")
        case "memory":
            raise MemoryError
        case "own-abort":
            raise TaskAborted("not asked for")
        case "own-cancel":
            raise asyncio.CancelledError
        case "group":
            raise ExceptionGroup("two", [ValueError("a"), KeyError("b")])


@dataclasses.dataclass
class Point:
    x: float
    seen: datetime.date


@task
def give(what: str) -> Any:
    import numpy
    import pandas

    return {
        "frame": lambda: pandas.DataFrame({"a": [1, 2], "b": ["x", None]}),
        "series": lambda: pandas.Series([1.5, 2.5], name="s"),
        "array": lambda: numpy.arange(6, dtype="int16").reshape(2, 3),
        "object-array": lambda: numpy.array([{}, None], dtype=object),
        "tuple": lambda: (1, (2, "x")),
        "nan": lambda: {"a": float("nan"), "b": [float("inf")], "c": 1 << 70},
        "set": lambda: {1, 2},
        "bytes": lambda: b"\x00\xff",
        "int-keys": lambda: {1: "a", (2, 3): "b"},
        "date": lambda: [datetime.date(2026, 1, 2)],
        "thing": lambda: Thing(21),
        "things": lambda: [Thing(1), {"t": Thing(2)}],
        "lambda": lambda: (lambda x: x + 1),
        "point": lambda: Point(1.5, datetime.date(2026, 1, 2)),
        "none": lambda: None,
        "surrogate": lambda: "a\ud800",
        "deep": lambda: _deep(400),
        "large": lambda: "x" * (3 << 20),
        "module": lambda: sys,
        "socket": lambda: __import__("socket").socket(),
        "generator": lambda: (n for n in range(3)),
    }[what]()


def _deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@task
def declared(value: Any) -> list[int]:
    """Returns what it is given; what it says that it returns is numbers."""
    return value


@task
def emit_then(ctx: TaskContext, count: int, how: str) -> None:
    """Emits and saves, then ends abruptly."""
    for number in range(count):
        ctx.emit({"n": number})
        if number % 10 == 9:
            ctx.checkpoint({"done": number + 1})
    fail.function(how)


@task
def emit_odd(ctx: TaskContext) -> int:
    """Items that JSON says roughly; and what it can't say."""
    ctx.emit(float("nan"))
    ctx.emit((1, 1 << 70))
    ctx.emit(Point(1.5, datetime.date(2026, 1, 2)))
    ctx.emit("line\nbreak\ttab\u2028")
    try:
        ctx.emit(object())
    except TypeError:
        return 4
    return -1


@task
def say(ctx: TaskContext, times: int) -> None:
    """Says more than anybody needs."""
    for number in range(times):
        ctx.progress(number + 1, times, f"step {number}")
        ctx.message(f"at {number}")


@task
def say_and_be_busy(ctx: TaskContext, how: str) -> None:
    """Says much at once, and then nothing for a long time: in a call that lets no other thread run, or killed."""
    for number in range(1000):
        ctx.progress(number + 1, 1000)
        ctx.message(f"at {number}")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    ctypes.PyDLL(None).sleep(600)


@task
def say_from_a_handler(ctx: TaskContext, times: int) -> int:
    """Calls of ctx in the midst of calls of ctx, as a worker's own timer makes them."""
    calls = []

    def handle(*_: object) -> None:
        calls.append(len(calls))
        ctx.message(f"call {len(calls)}")
        ctx.emit(len(calls))
        signal.setitimer(signal.ITIMER_REAL, 0.0003)  # once more, but never in the midst of itself

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0003)
    while len(calls) < times:
        ctx.progress(len(calls), times)
        ctx.emit("in order")
    signal.setitimer(signal.ITIMER_REAL, 0)
    ctx.message("done")
    return len(calls)


@task
def odd_progress(ctx: TaskContext) -> None:
    ctx.progress(float("nan"), 5)
    ctx.progress(1, 0)
    ctx.progress(7, 5)
    ctx.progress(-1, 5)
    ctx.progress(percentage=float("inf"))
    ctx.progress(10**30, 10**31, "huge")
    for wrong in ("three", [], 10**400):
        try:
            ctx.progress(wrong)
        except (TypeError, ValueError, OverflowError):
            continue
        raise AssertionError(wrong)
    ctx.message("bad \ud800 text")


@task
def write_output(how: str) -> None:
    """Writes to descriptors 1 and 2 in all ways."""
    import subprocess

    match how:
        case "raw":
            os.write(1, b"raw out\n")
            os.write(2, b"raw err\n")
            print("printed")
            print("to stderr", file=sys.stderr)
            subprocess.run(["sh", "-c", "echo child; echo child err >&2"])
            subprocess.run([sys.executable, "-c", "print('python child')"])
        case "partial":
            text = "é€😀".encode()
            for byte in text:
                os.write(1, bytes([byte]))
            os.write(1, b"\xff\xfe half: \xe2\x82")
        case "surrogate":
            print("\ud800 is printed")
        case "large":
            block = b"x" * 999 + b"\n"
            for _ in range(5000):
                os.write(1, block)
        case "without-newline":
            sys.stdout.write("no newline")
        case "then-killed":
            print("before the end")
            os.write(1, b"right before")
            os.kill(os.getpid(), signal.SIGKILL)
        case "closed":
            sys.stdout.close()
            os.close(1)
            os.close(2)


@task
def emit_for_ever(ctx: TaskContext) -> None:
    number = 0
    while True:
        ctx.emit(number)
        number += 1
        if number % 7 == 0:
            ctx.checkpoint({"done": number})
