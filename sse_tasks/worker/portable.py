"""Processes where there is no /proc, no subreaper and no death signal: by psutil, and best effort.

An orphan falls to process 1, so what belongs to a task is found by what it carries, and each look is repeated until it
finds nothing: a mark in the environment, the session of its keeper, an ancestor that belongs to the task, or that it
was seen below the keeper before. Who has lost all four is not found.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from .identity import MARK, NO_TASK, TREE, Process

__all__ = [
    "children",
    "descendants",
    "die_with_parent",
    "facts_of",
    "hold_leash",
    "kill_below",
    "kill_children",
    "kill_marked",
    "kill_process",
    "mark_of",
    "marked",
    "remember_children",
    "remember_started",
    "say_title",
    "signal_main_thread",
    "subreaper",
    "write_mark",
]

_LOOK_SECONDS = 1.0  # a look at all processes takes some milliseconds
_PAUSE_SECONDS = 0.005
_ORPHAN_SECONDS = 3.0
_OUT_OF_THE_WAY = 1000  # programs that close what they don't know begin at 3


@dataclass
class Started:
    """A process that was started here: the mark of its tree where it is the first of one, and where signals for its
    main thread are written."""

    tree: str | None
    leash: int | None


_own_tree = os.environ.get(TREE)  # what the worker makes of the variable later is its own affair
_started: dict[int, Started] = {}
_seen: dict[int, psutil.Process] = {}  # below this process
_looked = 0.0


def remember_started(pid: int, *, tree: str | None = None, leash: int | None = None) -> None:
    """Takes a new process into account; the leash is closed when it has been buried."""
    _started[pid] = Started(tree, leash)


def remember_children() -> None:
    """Notes who is below this process, once a second at most: later they may be nobody's. For the first of a tree."""
    global _looked
    if _own_tree is not None and time.monotonic() >= _looked + _LOOK_SECONDS:
        _looked = time.monotonic()
        for pid in [pid for pid, process in _seen.items() if not _is_alive(process)]:
            del _seen[pid]
        _seen.update((process.pid, process) for process in psutil.Process().children(recursive=True))


def subreaper() -> None:
    """Nothing: orphans fall to process 1, and are found otherwise."""


def write_mark(task_id: str) -> None:
    """Nothing: the mark came with the process's environment."""


def say_title(title: str) -> None:
    """Nothing: the title is the last of a runner's arguments."""


def die_with_parent(parent: int) -> None:
    """Nothing, unless the parent, named by its pid, has ended already: ``hold_leash`` sees to the rest."""
    if os.getppid() != parent:
        os._exit(1)


def hold_leash(fd: int) -> None:
    """This process, and all of its tree, is killed when its parent ends: ``fd`` is an end of a pipe, and nobody but the
    parent has the other one. A byte that comes is a signal for the main thread.

    It is a thread that sees to it: while the worker is in foreign code that holds the interpreter's lock, it can't.
    """
    try:
        leash = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
    except OSError:  # a lower limit: it stays where it is
        leash = fd
    else:
        os.close(fd)
    threading.Thread(target=_watch, args=(leash,), name="sse_tasks: the keeper's life", daemon=True).start()


def _watch(leash: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # what is sent to the process is the main one's
    main = threading.main_thread().ident
    assert main is not None
    try:
        while numbers := os.read(leash, 64):
            for number in numbers:
                signal.pthread_kill(main, number)
    except OSError:
        return  # the worker has closed its descriptors: whoever ends the task finds this process by its mark
    try:
        _kill_all(_in_own_tree(), _ORPHAN_SECONDS)
    finally:
        os.kill(os.getpid(), signal.SIGKILL)


def signal_main_thread(pid: int, number: int) -> None:
    """Sends a signal to the main thread of a process that was started here. Raises OSError."""
    started = _started.get(pid)
    if started is None or started.leash is None:
        raise ProcessLookupError(pid)
    os.write(started.leash, bytes([number]))


# -- who belongs to what -------------------------------------------------------------------------------------------


def children(pid: int | None = None) -> list[int]:
    """The direct children of a process (this one)."""
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def facts_of(pid: int) -> Process | None:
    """A living process; None for one that is gone or dead, or of somebody else."""
    try:
        process = psutil.Process(pid)
        if not _is_alive(process):
            return None
        return Process(pid, _started_at(process), process.memory_info().rss)
    except psutil.Error:
        return None


def _started_at(process: psutil.Process) -> int:
    """In the system's own unit where it shows that: as ``linux`` says it, so that each understands what the other has
    written down, and whatever becomes of the clock. Else in milliseconds."""
    try:
        with open(f"/proc/{process.pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return int(process.create_time() * 1000)


def descendants(pid: int) -> list[Process]:
    """The living processes below ``pid``, parents before their children; of this one's also those that were seen below
    it before and have lost their parent since, with what is below them."""
    try:
        below = psutil.Process(pid).children(recursive=True)
        if pid == os.getpid():
            orphans = [process for process in _seen.values() if process not in below and _is_alive(process)]
            _seen.update((process.pid, process) for process in below)
            below += orphans + [child for orphan in orphans for child in orphan.children(recursive=True)]
            below = list(dict.fromkeys(below))
    except psutil.Error:
        return []
    return [facts for process in below if (facts := facts_of(process.pid)) is not None]


def kill_process(process: Process) -> None:
    """Kills it if it is still this one."""
    try:
        found = psutil.Process(process.pid)
        if _started_at(found) == process.started:
            found.kill()
    except psutil.Error:
        pass


def mark_of(pid: int) -> str | None:
    """The task that a process belongs to by its mark, or None."""
    try:
        return _mark(psutil.Process(pid))
    except psutil.Error:
        return None


def marked(task_id: str) -> list[int]:
    """All processes that carry the task's mark, this one excepted."""
    own = os.getpid()
    return [process.pid for process in psutil.process_iter()
            if process.pid != own and _mark(process) == task_id and _is_alive(process)]


def _mark(process: psutil.Process) -> str | None:
    mark = _variable(process, MARK)
    return None if mark == NO_TASK else mark


def _variable(process: psutil.Process, name: str) -> str | None:
    """Of its environment as it was started with. None where it has none, or doesn't show it."""
    try:
        return process.environ().get(name)
    except (psutil.Error, OSError, ValueError):
        return None


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def _is_alive(process: psutil.Process) -> bool:
    """Whether it is still this process, and not just waited for. One whose main thread alone is dead holds its files
    still: it lives until the others are."""
    try:
        if not process.is_running():
            return False
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) or process.num_threads() > 1
    except psutil.Error:
        return False


def _look(belongs: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """The living processes that belong, and all below them; never this one."""
    own = os.getpid()
    everything = {process.pid: process for process in psutil.process_iter() if process.pid != own}
    found = {pid for pid, process in everything.items() if belongs(process)}
    parents = {pid: _parent(process) for pid, process in everything.items() if pid not in found}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return [everything[pid] for pid in sorted(found) if _is_alive(everything[pid])]


def _in_own_tree() -> Callable[[psutil.Process], bool]:
    """Belonging to the tree of a keeper, or of who describes, for one of its processes."""
    own, session = os.getpid(), os.getsid(0)
    return lambda process: (_parent(process) == own or _session(process.pid) == session
                            or _seen.get(process.pid) == process or _variable(process, TREE) == _own_tree)


def _in_tree(first: int, tree: str) -> Callable[[psutil.Process], bool]:
    """Belonging to the tree of the process ``first``, which is dead or dying."""
    try:
        is_reused = _variable(psutil.Process(first), TREE) != tree  # a stranger has its number by now
    except psutil.Error:
        is_reused = False
    return lambda process: ((_session(process.pid) == first and not is_reused) or _variable(process, TREE) == tree)


# -- ends ----------------------------------------------------------------------------------------------------------


def kill_children(spare: frozenset[int] = frozenset(), seconds: float = 10.0) -> list[int]:
    """Kills what was started here, and what belongs to it, until a look finds nothing; gives what is still there after
    ``seconds``. The first of a tree (a keeper) kills all of that; who has started trees, those but ``spare``."""
    left: list[int] = []
    if _own_tree is not None:
        left = _kill_all(_in_own_tree(), seconds)
    for pid, started in list(_started.items()):
        if pid in spare:
            continue
        if started.tree is not None:
            left += _kill_all(_in_tree(pid, started.tree), seconds)
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
        if started.leash is not None:
            os.close(started.leash)
        del _started[pid]
    return left


def kill_marked(task_id: str, seconds: float = 10.0) -> list[int]:
    """Kills whatever carries a task's mark, and what is below it, until a look finds nothing; gives what is left after
    ``seconds``."""
    return _kill_all(lambda process: _mark(process) == task_id, seconds)


def kill_below() -> None:
    """Kills what is below this process, which is about to leave: then they would be nobody's."""
    _kill_all(lambda process: _parent(process) == os.getpid(), _ORPHAN_SECONDS)


def _kill_all(belongs: Callable[[psutil.Process], bool], seconds: float) -> list[int]:
    deadline = time.monotonic() + seconds
    while True:
        left = _look(belongs)
        if not left or time.monotonic() > deadline:
            return [process.pid for process in left]
        for process in left:
            try:
                process.kill()
            except psutil.Error:  # it is gone, or another user's
                pass
        time.sleep(_PAUSE_SECONDS)  # they are nobody's children here, so nothing tells when they are gone
