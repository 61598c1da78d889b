"""A runner as a new interpreter: ``python -m sse_tasks.worker.runner_process SOCKET CONTROL REPORTS LEASH TITLE``.

The title is there for ``ps``.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys

from . import runner
from .control import SIGNAL
from .portable import hold_leash, kill_below

__all__ = ["main"]


def main() -> None:
    """The process: see the module's docstring."""
    fds = list(map(int, sys.argv[1:5]))
    for fd in fds:
        os.set_inheritable(fd, False)
    task, control, reports, leash = fds
    keeper = os.getppid()
    signal.signal(SIGNAL, signal.SIG_IGN)  # it may come before there is anybody to listen
    atexit.register(kill_below)  # the first to be registered is the last to be called
    hold_leash(leash)
    runner.main(socket.socket(fileno=task), control, reports, keeper)


if __name__ == "__main__":
    main()
