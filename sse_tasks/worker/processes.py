"""A task's processes: their marks, their children, their ends. The names that everybody imports; Linux shows and does
more than others, so what is behind them differs.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator

from .identity import MARK, NO_TASK, TITLE_ROOM, Process
from .start_method import forks

if forks():
    from .linux import (
        children,
        descendants,
        die_with_parent,
        facts_of,
        kill_children,
        kill_marked,
        kill_process,
        mark_of,
        marked,
        remember_children,
        say_title,
        signal_main_thread,
        subreaper,
        write_mark,
    )
else:
    from .portable import (
        children,
        descendants,
        die_with_parent,
        facts_of,
        kill_children,
        kill_marked,
        kill_process,
        mark_of,
        marked,
        remember_children,
        say_title,
        signal_main_thread,
        subreaper,
        write_mark,
    )

__all__ = [
    "MARK",
    "NO_TASK",
    "TITLE_ROOM",
    "Process",
    "children",
    "descendants",
    "descriptor_limit",
    "die_with_parent",
    "facts_of",
    "kill_children",
    "kill_marked",
    "kill_process",
    "mark_of",
    "marked",
    "raise_descriptor_limit",
    "reap",
    "restore_descriptor_limit",
    "say_title",
    "signal_main_thread",
    "subreaper",
    "wait_status_in_words",
    "write_mark",
]

_MOST_ON_MACOS = 10_240  # where the hard limit is said to be infinite
_soft_limit, _hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_descriptor_limit() -> int:
    """As many descriptors for this process as it may have; gives how many."""
    for limit in (_hard_limit, _MOST_ON_MACOS):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, _hard_limit))
        except (OSError, ValueError):
            continue
        return limit
    return _soft_limit


def descriptor_limit() -> int:
    """The limit that this process was started with, to be restored in those that it starts."""
    return _soft_limit


def restore_descriptor_limit(limit: int = _soft_limit) -> None:
    """The limit that this process's ancestor was started with: programs that use select() rely on it."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, _hard_limit))


def reap() -> Iterator[tuple[int, int]]:
    """Waits for the children that are dead by now, so that none of them stays a zombie: pid and wait status of each."""
    remember_children()
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def wait_status_in_words(status: int) -> str:
    """A ``waitpid`` status for people: "was killed by SIGSEGV (Segmentation fault)", "exited with status 3"."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name} ({signal.strsignal(-code) or 'unknown'})"
