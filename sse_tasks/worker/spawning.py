"""Keeper and runner as new interpreters, which say by their arguments what was passed to them.

The keeper is started ahead, its runner when the task is known: what others see of a process's environment is what it
was started with, and the task's mark must be there.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ..types import TaskSpec
from .channel import to_body
from .handles import PIPE_BYTES, Pair, Runner
from .identity import MARK, TREE
from .portable import remember_started
from .processes import descriptor_limit
from .start_method import INTERPRETER, VARIABLE

__all__ = ["prepare", "start_interpreter", "start_pair", "start_runner", "wide_pair"]

_RESET = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # an ignored signal stays so in a new program


def start_interpreter(module: str, *arguments: object, passed: Iterable[int], environ: Mapping[str, str],
                      output: int | None = None) -> int:
    """Runs ``-m module`` with the descriptors ``passed``, which its arguments name; gives its pid. ``output`` becomes
    its descriptors 1 and 2. For a process of one thread: others would pass the descriptors on as well.

    Raises OSError.
    """
    interpreter = os.environ.get(INTERPRETER) or sys.executable
    passed = list(passed)
    for fd in passed:
        os.set_inheritable(fd, True)
    try:
        return os.posix_spawnp(
            interpreter, [interpreter, "-m", f"{__package__}.{module}", *map(str, arguments)],
            {**environ, VARIABLE: "spawn", INTERPRETER: interpreter},
            file_actions=[] if output is None else [(os.POSIX_SPAWN_DUP2, output, fd) for fd in (1, 2)],
            setsigmask=(), setsigdef=_RESET)
    finally:
        for fd in passed:
            os.set_inheritable(fd, False)


def wide_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends between which a task finds room at once, so that whoever sends it doesn't wait for an interpreter."""
    pair = socket.socketpair()
    for end in pair:
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            try:
                end.setsockopt(socket.SOL_SOCKET, buffer, PIPE_BYTES)
            except OSError:  # more than the system gives
                pass
    return pair


def prepare() -> None:
    """Nothing: what a new interpreter does has no use of what this one has done."""


def start_pair(*, ahead: bool = False) -> Pair:
    """A keeper. It makes its runner when it is given a task."""
    ours, theirs = wide_pair()
    tree = secrets.token_hex(13)
    try:
        with theirs:
            pid = start_interpreter("keeper_process", theirs.fileno(), descriptor_limit(), passed=[theirs.fileno()],
                                    environ=os.environ | {TREE: tree})
    except OSError:
        ours.close()
        raise
    remember_started(pid, tree=tree)
    return Pair(pid, ours)


def start_runner(task: dict[str, Any] | None = None) -> Runner:
    """A runner with its task and the task's environment, below this process, its keeper."""
    if task is None:
        raise ValueError("a new interpreter needs to know its task's mark")
    spec = msgspec.convert(task["spec"], TaskSpec)
    task_ours, task_theirs = wide_pair()
    pipes = [os.pipe() for _ in range(4)]
    (control_read, control), (reports, reports_write), (output, output_write), (leash_read, leash) = pipes
    passed = [task_theirs.fileno(), control_read, reports_write, leash_read]
    try:
        pid = start_interpreter(
            "runner_process", *passed, f"sse-task {spec.task_type} {spec.task_id}", passed=passed,
            environ=task["environ"] | {MARK: spec.task_id, TREE: os.environ[TREE]}, output=output_write)
    except OSError:
        task_ours.close()
        for fd in (control, reports, output, leash):
            os.close(fd)
        raise
    finally:
        task_theirs.close()
        for fd in (control_read, reports_write, output_write, leash_read):
            os.close(fd)
    remember_started(pid, leash=leash)
    runner = Runner(pid, task_ours, control, reports, output)
    runner.prepare(to_body(task))
    return runner
