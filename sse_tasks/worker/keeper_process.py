"""A keeper as a new interpreter: ``python -m sse_tasks.worker.keeper_process SOCKET DESCRIPTOR_LIMIT``.

It waits for its task on the socket, as a forked one does; closed without, it leaves.
"""

from __future__ import annotations

import os
import socket
import sys

from .channel import receive
from .identity import TREE
from .keeper import keep
from .pairs import start_runner
from .processes import restore_descriptor_limit

__all__ = ["main"]


def main() -> None:
    """The process: see the module's docstring."""
    fd, limit = map(int, sys.argv[1:3])
    os.set_inheritable(fd, False)
    os.setsid()
    restore_descriptor_limit(limit)
    with socket.socket(fileno=fd) as forkserver:
        given = receive(forkserver)
    if given is None:
        return
    task, (log_fd, slot_fd) = given
    task["environ"][TREE] = os.environ[TREE]
    keep(task, log_fd, start_runner(task))
    os.close(slot_fd)


if __name__ == "__main__":
    main()
