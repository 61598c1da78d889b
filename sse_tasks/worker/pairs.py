"""How a keeper and its runner come to be: a pair, forked ahead of its task or for it, and used for one task only.

The runner is forked before its keeper is given the task's descriptors; one that is forked later (another attempt)
closes them first. So no child can ever hold the task's lock.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import traceback
from dataclasses import dataclass
from typing import Any

from . import runner as runner_process
from .channel import receive
from .control import SIGNAL
from .processes import close_all_but, restore_descriptor_limit, subreaper

__all__ = ["Pair", "Runner", "start_pair", "start_runner"]

PIPE_BYTES = 1 << 20


@dataclass
class Pair:
    """A keeper that waits for a task, as the forkserver holds it. To be handed ``{"spec", "folder", "environ"}`` over
    ``socket``, with the descriptors of the locked log and the slot; closed without, it leaves."""

    pid: int
    socket: socket.socket

    def is_alive(self) -> bool:
        """Whether it can still be given a task. To be asked before its death was waited for."""
        return os.waitpid(self.pid, os.WNOHANG) == (0, 0)


@dataclass
class Runner:
    """A runner that waits for its task, as its keeper holds it: where to send the task and to write letters, where to
    read its reports and what it prints."""

    pid: int
    task: socket.socket
    control: int
    reports: int
    output: int


def start_pair() -> Pair:
    """Forks a keeper, which forks its runner."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return Pair(pid, ours)
    try:
        close_all_but(theirs.fileno())
        restore_descriptor_limit()
        _reset_signals()
        os.setsid()
        subreaper()
        _wait_for_task(theirs)
    except BaseException:  # a forked child must never return into the forkserver's code
        traceback.print_exc()
    finally:
        os._exit(1)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(SIGNAL, signal.SIG_IGN)  # it may reach a runner that doesn't listen yet
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _wait_for_task(forkserver: socket.socket) -> None:
    """The keeper's life."""
    from . import keeper  # which imports this module

    runner = start_runner()
    given: tuple[dict[str, Any], list[int]] | None = receive(forkserver)
    if given is None:
        os._exit(0)
    forkserver.close()
    if os.waitpid(runner.pid, os.WNOHANG) != (0, 0):  # somebody has killed it while it waited
        runner = start_runner()
    task, (log_fd, slot_fd) = given
    keeper.keep(task, log_fd, runner)
    os.close(slot_fd)
    os._exit(0)


def start_runner() -> Runner:
    """Forks a runner below this process, its keeper."""
    task_ours, task_theirs = socket.socketpair()
    control_read, control_write = os.pipe()
    reports_read, reports_write = os.pipe()
    output_read, output_write = os.pipe()
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(output_write, 1)
            os.dup2(output_write, 2)
            close_all_but(task_theirs.fileno(), control_read, reports_write)
            _reset_signals()
            runner_process.main(task_theirs, control_read, reports_write, keeper)
        except BaseException:  # as above: it must not return into the keeper's code
            traceback.print_exc()
        finally:
            os._exit(1)
    task_theirs.close()
    for fd in (control_read, reports_write, output_write):
        os.close(fd)
    fcntl.fcntl(reports_read, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return Runner(pid, task_ours, control_write, reports_read, output_read)
