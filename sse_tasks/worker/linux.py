"""Processes as Linux shows them: /proc and prctl.

Forked processes show their parent's environment block, so the forkserver is started with zeros as its mark, and
``write_mark`` overwrites them in place. Orphans fall to a subreaper, so children are all that there is to kill.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
import traceback
from collections.abc import Callable
from functools import cache

from .identity import MARK, NO_TASK, Process

__all__ = [
    "children",
    "close_all_but",
    "descendants",
    "die_with_parent",
    "facts_of",
    "fork_into",
    "kill_children",
    "kill_marked",
    "kill_process",
    "mark_of",
    "marked",
    "remember_children",
    "say_title",
    "signal_main_thread",
    "subreaper",
    "write_mark",
]

_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_libc = ctypes.CDLL(None, use_errno=True)


def subreaper() -> None:
    """Orphans below this process become its children."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """This process is killed when its parent, named by its pid, ends; at once if it has ended already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def close_all_but(*keep: int) -> None:
    """Closes every descriptor above 2 that is not named."""
    low = 3
    for fd in sorted(keep):
        if fd >= low:
            os.closerange(low, fd)
            low = fd + 1
    os.closerange(low, max([low, *(int(name) for name in os.listdir("/proc/self/fd"))]) + 1)


def fork_into(life: Callable[[], object], *keep: int) -> int:
    """Forks a child that lives ``life`` with the descriptors ``keep`` and 0 to 2 alone; gives its pid. It exits with 0,
    or with 1 where ``life`` raises."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        close_all_but(*keep)
        life()
        status = 0
    except BaseException:  # it must never return into its parent's code
        traceback.print_exc()
    finally:
        os._exit(status)


@cache
def _memory(first_field: int) -> tuple[int, int]:
    """Two neighbouring addresses of /proc/self/stat, by the number of the first (see proc(5)): those of arguments and
    environment, which are the same in all that is forked."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[first_field - 3]), int(fields[first_field - 2])


def write_mark(task_id: str) -> None:
    """Puts the task's id where /proc shows this process's environment."""
    start, end = _memory(50)
    block = ctypes.string_at(start, end - start)
    at = (b"\0" + block).find(b"\0" + MARK.encode() + b"=")
    if at >= 0:
        ctypes.memmove(start + at + len(MARK) + 1, task_id.encode("ascii")[:26], 26)


def say_title(title: str) -> None:
    """What ``ps`` shows of this process."""
    start, end = _memory(48)
    room = end - start - 1
    ctypes.memmove(start, title.encode("utf-8", "replace")[:room].ljust(room, b"\0"), room)
    _libc.prctl(_PR_SET_NAME, title.encode("utf-8", "replace")[:15], 0, 0, 0)


def mark_of(pid: int) -> str | None:
    """The task that a process belongs to by its mark, or None."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            block = b"\0" + file.read()
    except OSError:
        return None
    at = block.find(b"\0" + MARK.encode() + b"=")
    if at < 0:
        return None
    mark = block[at + len(MARK) + 2:at + len(MARK) + 28].decode("ascii", "replace")
    return None if mark == NO_TASK else mark


def marked(task_id: str) -> list[int]:
    """All processes that carry the task's mark, this one excepted."""
    own = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own
            and mark_of(int(name)) == task_id and not _is_zombie(int(name))]


def _is_zombie(pid: int) -> bool:
    """Whether nothing of it is left. While the main thread alone is dead, the others hold its files."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
            return fields[0] in (b"Z", b"X") and int(fields[17]) <= 1
    except OSError:
        return True


def children(pid: int | None = None) -> list[int]:
    """The direct children of a process (this one), dead ones that nobody has waited for among them."""
    own = pid or os.getpid()
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{own}/task"):
            with open(f"/proc/{own}/task/{thread}/children", "rb") as file:
                found.extend(map(int, file.read().split()))
    except OSError:
        pass
    return found


def facts_of(pid: int) -> Process | None:
    """A living process; None for one that is gone or dead."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) < 22 or fields[0] in (b"Z", b"X"):
        return None
    return Process(pid, int(fields[19]), int(fields[21]) * _PAGE_BYTES)


def descendants(pid: int) -> list[Process]:
    """The living processes below ``pid``, parents before their children."""
    below = children(pid)
    for each in below:  # grows meanwhile
        below.extend(children(each))
    return [process for each in dict.fromkeys(below) if (process := facts_of(each)) is not None]


def kill_process(process: Process) -> None:
    """Held by a descriptor, it can't become another one between the look and the signal."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        now = facts_of(process.pid)
        if now is not None and now.started == process.started:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    except OSError:
        pass
    finally:
        os.close(fd)


def signal_main_thread(pid: int, number: int) -> None:
    """Sends a signal to a process's main thread. Sent to the process, another thread may take it, and then it does not
    interrupt what the main one waits in. Raises OSError."""
    if _libc.tgkill(pid, pid, number):
        raise OSError(ctypes.get_errno(), "tgkill")


def remember_children() -> None:
    """Nothing: orphans fall to this process, so that none can be lost."""


def kill_children(spare: frozenset[int] = frozenset(), seconds: float = 10.0) -> list[int]:
    """Kills this process's direct children, and what then falls to it, until none is left.

    Only children that have not been waited for are killed, so no pid can have been used again. Gives those that are
    still there after ``seconds``: another user's, or stuck in the kernel.
    """
    deadline = time.monotonic() + seconds
    pause = 0.0005
    while True:
        left = [pid for pid in children() if pid not in spare]
        if not left:
            return []
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        reaped = 0
        for pid in left:
            try:
                reaped += os.waitpid(pid, os.WNOHANG)[0] != 0
            except ChildProcessError:
                reaped += 1
        if not reaped:
            if time.monotonic() > deadline:
                return left
            time.sleep(pause)  # they are dying: there is nothing to select on but their pids, and new ones may come
            pause = min(pause * 2, 0.02)


def kill_marked(task_id: str, seconds: float = 10.0) -> list[int]:
    """Kills whatever carries a task's mark until a scan finds nothing; gives what is left after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        left = marked(task_id)
        if not left or time.monotonic() > deadline:
            return left
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.002)  # they are nobody's children here, so nothing tells when they are gone
