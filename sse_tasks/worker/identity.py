"""What tells the processes of a task from others: marks in the environment that all can see, pid and start time."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MARK", "NO_TASK", "TITLE_ROOM", "TREE", "Process"]

MARK = "SSE_TASK_ID"
NO_TASK = "0" * 26
TREE = "SSE_TASK_TREE"
"""Where orphans don't fall to their ancestors: what everything below one keeper has in common. Its keeper is started
before there is a task."""

TITLE_ROOM = "-" * 80  # a last argument of the forkserver that titles are written over


class Process(NamedTuple):
    """What tells a process from all others since the machine was started, in a unit of the system's own, and the memory
    that is resident for it, in bytes."""

    pid: int
    started: int
    resident: int
