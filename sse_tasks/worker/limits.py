"""What a task may take: memory of its whole tree, files, its result. Looked at once a second by its keeper.

Never by ``RLIMIT_AS``, which kills browsers: they reserve far more than they use.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from ..sizes import say_size
from ..types import TaskSpec
from .processes import Process, descendants
from .recorded import Record

__all__ = ["Exceeded", "OutOfMemory", "Usage", "file_bytes", "result_too_large"]

_LOOK_SECONDS = 1.0
_FIRST_LOOK_SECONDS = 0.2
_SHARE = 50  # a look that took a moment is followed by fifty such moments without one
_NEAR = 0.8  # of the machine's memory: then a SIGKILL is likely the kernel's


class Exceeded(NamedTuple):
    """A limit that was reached: the code that the task fails with, and the sentence."""

    code: str
    error: str


class Usage:
    """What one task takes: looked at while its worker runs."""

    def __init__(self, spec: TaskSpec, folder: Path) -> None:
        self._spec = spec
        self._files = folder / "files"
        self._metrics = folder / "metrics.jsonl"
        self._record = Record(folder)
        self._due = time.monotonic() + _FIRST_LOOK_SECONDS
        self.resident = 0
        """Memory in bytes that was resident at the last look, shared pages counted once for each process."""

    def due(self) -> float:
        """The moment (``time.monotonic``) of the next look."""
        return self._due

    def look(self) -> Exceeded | None:
        """Measures, writes down the processes, and gives the limit that was reached, if any."""
        began = time.monotonic()
        tree = descendants(os.getpid())
        self.resident = sum(process.resident for process in tree)
        exceeded = self._memory(tree) or self.files()
        try:
            self._record.write(tree)
        except OSError:
            pass  # a full disk is told of by what has to be written
        now = time.monotonic()
        self._due = now + max(_LOOK_SECONDS, _SHARE * (now - began))
        return exceeded

    def _memory(self, tree: list[Process]) -> Exceeded | None:
        limit = self._spec.memory_limit
        if limit is None or self.resident <= limit:
            return None
        # Forked processes share pages (the runner its keeper's, a pool its parent's data), and the sum above counts
        # them in each. Their proportional share is right, and takes milliseconds per gigabyte: it is asked for here
        # alone.
        used = sum(map(_proportional, tree))
        if used <= limit:
            return None
        count = len(tree)
        return Exceeded("memory", f"The task took {say_size(used)} of memory with its {count} "
                        f"process{'es' if count != 1 else ''}; {say_size(limit)} are allowed "
                        "(TaskManager.memory_limit).")

    def files(self) -> Exceeded | None:
        """Whether there is more in ``files/``, with the metrics, than there may be."""
        used, limit = file_bytes(self._files) + _size_of(self._metrics), self._spec.files_limit
        if used <= limit:
            return None
        return Exceeded("files_limit", f"The task's files take {say_size(used)}; {say_size(limit)} are "
                        "allowed (TaskManager.files_limit). They are kept.")

    def close(self) -> None:
        """The task has ended: there is no process to be written down."""
        self._record.remove()


def result_too_large(size: int, limit: int) -> str:
    """The sentence for a result of ``size`` bytes."""
    return (f"The worker's result takes {say_size(size)}; {say_size(limit)} are allowed "
            "(TaskManager.result_limit). Write it to ctx.files, or emit it in parts.")


def file_bytes(folder: Path) -> int:
    """What the regular files below a folder take; links are not followed."""
    total = 0
    folders = [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        elif entry.is_file(follow_symlinks=False):
                            total += entry.stat(follow_symlinks=False).st_size
                    except OSError:
                        continue  # just removed
        except OSError:
            continue
    return total


def _size_of(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def _proportional(process: Process) -> int:
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass  # another user's, or gone
    return process.resident


class OutOfMemory:
    """Evidence that it was the kernel that killed, for want of memory: made when an attempt begins, asked when it
    has ended."""

    def __init__(self, kills: list[Path] | None = None, limits: list[Path] | None = None) -> None:
        folders = _own_groups()
        self._counters = kills if kills is not None else [
            folder / name for folder in folders for name in ("memory.events", "memory.oom_control")]
        self._limits = limits if limits is not None else [
            folder / name for folder in folders for name in ("memory.max", "memory.limit_in_bytes")]
        self._before = self._kills()

    def is_likely(self, resident: int) -> bool:
        """Whether a process of this group was killed for memory since, or ``resident`` bytes, measured last, are near
        all there is."""
        return self._kills() > self._before or resident > _NEAR * self._there_is()

    def _kills(self) -> int:
        total = 0
        for path in self._counters:
            try:
                total += sum(int(line.split()[1]) for line in path.read_bytes().splitlines()
                             if line.startswith(b"oom_kill "))
            except (OSError, ValueError, IndexError):
                continue
        return total

    def _there_is(self) -> int:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
        for path in self._limits:
            try:
                found.append(int(path.read_bytes()))
            except (OSError, ValueError):  # none there, or no limit: "max"
                continue
        return min(found)


def _own_groups() -> list[Path]:
    """The folder of this process's control group, as either version of them shows it."""
    found = []
    try:
        for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                found += [Path("/sys/fs/cgroup") / path.lstrip("/")]
            elif "memory" in controllers.split(","):
                found += [Path("/sys/fs/cgroup/memory") / path.lstrip("/"), Path("/sys/fs/cgroup/memory")]
    except (OSError, ValueError):
        pass
    return found
