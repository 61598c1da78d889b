"""The processes of a task, written down while they live: a recoverer finds by ``processes.json`` what carries no mark.

A grandchild that was started with an empty environment is nobody's child once keeper and forkserver were killed
together. Pid and start time tell a process from any other that the machine has ever had since it was started.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from .processes import Process, descendants, facts_of, kill_process

__all__ = ["Record", "kill_recorded"]

_NAME = "processes.json"
_MOST = 1000
_SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # the folder is the worker's, too: no link, no FIFO


class Record:
    """``processes.json`` of one task: ``[[pid, start time], …]``, renewed when there are others than before."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._written: set[tuple[int, int]] = set()

    def write(self, processes: list[Process]) -> None:
        """Not synced: it is of use for as long as this machine runs. Raises OSError."""
        found = {(process.pid, process.started) for process in processes[:_MOST]}
        if found == self._written:
            return
        partial = self._path.with_name(f"{_NAME}.partial")
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFELY, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            json.dump(sorted(found), file)
        os.rename(partial, self._path)
        self._written = found

    def remove(self) -> None:
        self._written = set()
        with contextlib.suppress(OSError):
            self._path.unlink()


def kill_recorded(folder: Path) -> None:
    """Kills what is written down of a task and still lives, and everything below it."""
    try:
        with open(os.open(folder / _NAME, os.O_RDONLY | _SAFELY), "rb") as file:
            noted = {(int(pid), int(started)) for pid, started in json.load(file)}
    except (OSError, ValueError, TypeError):
        return
    found = {facts for pid, started in noted if (facts := facts_of(pid)) is not None and facts.started == started}
    found |= {below for process in found for below in descendants(process.pid)}
    for process in found:
        kill_process(process)
