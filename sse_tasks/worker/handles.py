"""A keeper and a runner as their parents hold them."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass

from .channel import send_body
from .slate import Slate

__all__ = ["PIPE_BYTES", "Pair", "Runner"]

PIPE_BYTES = 1 << 20


@dataclass
class Pair:
    """A keeper that waits for a task, as the forkserver holds it. To be handed ``{"op", "spec", "folder", "environ"}``
    over ``socket``, as the starter has sent it, with the descriptors of the locked log and the slot; closed without, it
    leaves."""

    pid: int
    socket: socket.socket

    def is_alive(self) -> bool:
        """Whether it can still be given a task. To be asked before its death was waited for."""
        return os.waitpid(self.pid, os.WNOHANG) == (0, 0)


@dataclass
class Runner:
    """A runner that waits for its task, as its keeper holds it: where to send the task and to write letters, where to
    read its reports and what it prints.

    It is sent two messages: the task, with which it makes itself ready, and ``{"saved", "attempt"}``, with which the
    worker begins.
    """

    pid: int
    task: socket.socket
    control: int
    reports: int
    output: int
    lent: tuple[int, ...] = ()
    """The runner's own ends of control and reports: held, so that it can open them again when the worker has closed
    them."""
    slate: Slate | None = None
    """Where it writes what the worker says of itself; without one, that comes with its reports."""

    def prepare(self, task: bytes) -> None:
        """Sends it its task. One that is dead already takes nothing: its end will tell."""
        with contextlib.suppress(OSError):
            send_body(self.task, task)
