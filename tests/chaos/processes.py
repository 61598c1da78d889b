"""What is alive of a chaos run, by /proc alone: the checker doesn't ask the library that it checks."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Process", "began", "forkservers", "keepers", "kill", "living", "spares"]

MARK = b"SSE_TASK_ID="
KEEPER_MODULE, RUNNER_MODULE = "sse_tasks.worker.keeper_process", "sse_tasks.worker.runner_process"
"""What a new interpreter was started as, where it is no fork with a title."""


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    command: str
    mark: str
    """The task that it belongs to by its environment; empty, or zeros, where it belongs to none."""

    @property
    def is_keeper(self) -> bool:
        return self.command.startswith("sse-task keeper ") or KEEPER_MODULE in self.command

    @property
    def is_runner(self) -> bool:
        return (self.command.startswith("sse-task ") and not self.is_keeper) or RUNNER_MODULE in self.command

    @property
    def task_id(self) -> str:
        """The task that it says it belongs to, by its title or its mark."""
        words = self.command.split()
        return words[-1] if self.command.startswith("sse-task ") and len(words) > 2 else (
            self.mark if self.mark.strip("0") else "")

    def __str__(self) -> str:
        return f"{self.pid} (parent {self.parent}) {self.command[:120]!r}"


def living(home: Path) -> list[Process]:
    """The processes of the run in ``home``, this one excepted: by command, environment or title."""
    needle = os.fsencode(home)
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            environ = Path(f"/proc/{name}/environ").read_bytes()
            fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] in (b"Z", b"X") or not (needle in command or needle in environ):
            continue
        at = (b"\0" + environ).find(b"\0" + MARK)
        mark = environ[at + len(MARK):at + len(MARK) + 26].decode("ascii", "replace") if at >= 0 else ""
        text = command.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace").rstrip()
        found.append(Process(int(name), int(fields[1]), text, mark))
    return found


def _is_forkserver_like(process: Process) -> bool:
    return "sse_tasks.worker.forkserver" in process.command


def forkservers(processes: Iterable[Process]) -> list[Process]:
    """The forkservers themselves; what they fork looks the same until it has a task."""
    alike = {process.pid: process for process in processes if _is_forkserver_like(process)}
    return [process for process in alike.values() if process.parent not in alike]


def spares(processes: Iterable[Process]) -> list[Process]:
    """What forkservers have forked and has no task yet: keepers, runners, describers."""
    alike = {process.pid: process for process in processes if _is_forkserver_like(process)}
    return [process for process in alike.values() if process.parent in alike]


def keepers(processes: Iterable[Process]) -> dict[Process, str]:
    """Those that keep a task, and which. One that is a new interpreter has no title: its runner says it."""
    processes = list(processes)
    found = {process: process.task_id for process in processes if process.is_keeper}
    for process in processes:
        if process.is_runner:
            found |= {keeper: process.task_id for keeper in found if keeper.pid == process.parent}
    return {keeper: task_id for keeper, task_id in found.items() if task_id}


def began(pid: int) -> str | None:
    """The moment at which a living process began, in the kernel's ticks."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def kill(process: Process, number: int = signal.SIGKILL) -> bool:
    """Signals this very process, not one that has got its number since; whether it was there."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
        if command.decode("utf-8", "replace").rstrip() != process.command:
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            os.close(handle)
    return True
