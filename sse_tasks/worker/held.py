"""A task as its forkserver holds it: while it waits for its turn, and, for when its keeper dies, while it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..folder import TaskFolder
from ..log_writer import LogWriter
from ..states import Between, State, Waiting
from ..types import TaskSpec

__all__ = ["Held"]


@dataclass
class Held:
    """A task that waits for its first turn, or for that of another attempt, not before ``turn_at``."""

    spec: TaskSpec
    """Without what a worker alone needs of it."""
    writer: LogWriter
    message: bytes
    """What a keeper is given: see ``pairs.Pair``."""
    state: State  # Waiting or Between
    requests_read: int = 0
    turn_at: float = 0.0
    hand_overs: int = 0

    @classmethod
    def of(cls, given: dict[str, Any], message: bytes, log_fd: int) -> Held:
        """One that has just come: ``message`` read, as it was sent, and the descriptor of its locked log. Raises
        ValueError, KeyError."""
        spec = msgspec.convert(given["spec"], TaskSpec)
        lean = msgspec.structs.replace(spec, input=None, environ=[], sys_path=[])
        return cls(lean, LogWriter(TaskFolder(Path(given["folder"])), log_fd), message, Waiting())

    def lets_others_go_first(self) -> bool:
        return self.state not in (Waiting(), Between()) or self.turn_at > time.monotonic()

    def forget_what_is_over(self) -> None:
        """Lets go of the message, which may be large and holds an environment, when no keeper will be given it any
        more: the task has begun, and it has one attempt. While it has more, whichever process they meet needs it."""
        if self.message and not self.spec.retries:
            latest = self.writer.latest()
            if latest is not None and latest.started_at is not None:
                self.message = b""
