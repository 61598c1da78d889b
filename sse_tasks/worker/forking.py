"""Keeper and runner as forks, ahead of their task or for it.

The runner is forked before its keeper is given the task's descriptors; one that is forked later (another attempt)
closes them first. So no child can ever hold the task's lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import traceback
from collections.abc import Callable
from typing import Any

from . import runner as runner_process
from .channel import receive_body, to_body
from .control import SIGNAL
from .handles import PIPE_BYTES, Pair, Runner
from .linux import fork_into
from .processes import restore_descriptor_limit, say_title, subreaper
from .slate import Slate

__all__ = ["prepare", "start_pair", "start_runner"]


def prepare() -> None:
    """Loads and runs, in the forkserver and before anything is forked, what each keeper and runner would else load and
    run for the first time. Raises nothing."""
    from . import rehearsal  # which imports this module, as the keeper does

    try:
        rehearsal.rehearse_keeper()
        rehearsal.rehearse_runner()
    except Exception:  # it is of no use to a task, and no harm
        traceback.print_exc()


def start_pair(*, ahead: bool = False) -> Pair:
    """Forks a keeper, which forks its runner. ``ahead`` of a task they have time to rehearse."""
    ours, theirs = socket.socketpair()

    def life() -> None:
        restore_descriptor_limit()
        _reset_signals()
        os.setsid()
        subreaper()
        say_title("sse-tasks keeper, waits for a task")
        _wait_for_task(theirs, ahead=ahead)

    with theirs:
        return Pair(fork_into(life, theirs.fileno()), ours)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(SIGNAL, signal.SIG_IGN)  # it may reach a runner that doesn't listen yet
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _wait_for_task(forkserver: socket.socket, *, ahead: bool) -> None:
    """The keeper's life."""
    from . import keeper, rehearsal  # which import this module; by ``prepare`` they are there

    runner = _fork_runner(rehearsal.rehearse_runner if ahead else None)
    if ahead:
        with contextlib.suppress(Exception):  # likewise
            rehearsal.rehearse_keeper()
    given = receive_body(forkserver)
    if given is None:
        return
    forkserver.close()
    if os.waitpid(runner.pid, os.WNOHANG) != (0, 0):  # somebody has killed it while it waited
        runner = _fork_runner()
    task, (log_fd, slot_fd) = given
    runner.prepare(task)
    keeper.keep(json.loads(task), log_fd, runner)
    os.close(slot_fd)


def start_runner(task: dict[str, Any] | None = None) -> Runner:
    """Forks a runner below this process, its keeper, and sends it its task where that is known."""
    runner = _fork_runner()
    if task is not None:
        runner.prepare(to_body(task))
    return runner


def _fork_runner(rehearse: Callable[[], None] | None = None) -> Runner:
    task_ours, task_theirs = socket.socketpair()
    control_read, control_write = os.pipe()
    reports_read, reports_write = os.pipe()
    output_read, output_write = os.pipe()
    keeper, slate = os.getpid(), Slate()

    def life() -> None:
        for number in (1, 2):
            os.dup2(output_write, number)
        os.close(output_write)
        _reset_signals()
        say_title("sse-tasks runner, waits for its task")
        runner_process.main(task_theirs, control_read, reports_write, keeper, slate, rehearse)

    pid = fork_into(life, task_theirs.fileno(), control_read, reports_write, output_write)
    task_theirs.close()
    os.close(output_write)
    fcntl.fcntl(reports_read, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return Runner(pid, task_ours, control_write, reports_read, output_read, (control_read, reports_write), slate)
