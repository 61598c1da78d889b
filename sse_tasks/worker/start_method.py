"""How processes come to be here: ``fork`` on Linux, ``spawn`` elsewhere, where a fork of a process that has met the
system's frameworks may crash. Spawn can be asked for on Linux, too.

A forkserver is started for one of them, says so to what it starts by a variable of the environment, and never mixes.
"""

from __future__ import annotations

import os
import sys
from typing import Literal

__all__ = ["INTERPRETER", "START_METHODS", "VARIABLE", "StartMethod", "default_start_method", "forks"]

StartMethod = Literal["fork", "spawn"]

START_METHODS: tuple[StartMethod, ...] = ("fork", "spawn")
VARIABLE = "SSE_TASKS_START_METHOD"
INTERPRETER = "SSE_TASKS_INTERPRETER"
"""What a forkserver was started by, told to it: it may be a script around the interpreter that it finds itself in."""


def default_start_method() -> StartMethod:
    """What ``SSE_TASKS_START_METHOD`` says; without it, what the system does well. There is no fork but on Linux."""
    if sys.platform != "linux" or os.environ.get(VARIABLE) == "spawn":
        return "spawn"
    return "fork"


def forks() -> bool:
    """Whether this process, and what it starts, uses what Linux alone has."""
    return default_start_method() == "fork"
