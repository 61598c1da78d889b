"""Processes as the kernel shows them: children, marks, ends. Linux: /proc and prctl.

A task's processes carry its id as ``SSE_TASK_ID`` in the environment that /proc shows. Forked ones show their parent's
block, so the forkserver is started with zeros there, and ``write_mark`` overwrites them in place.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from collections.abc import Iterator

__all__ = [
    "MARK",
    "NO_TASK",
    "children",
    "close_all_but",
    "die_with_parent",
    "kill_children",
    "kill_marked",
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

MARK = "SSE_TASK_ID"
NO_TASK = "0" * 26
TITLE_ROOM = "-" * 80  # a last argument of the forkserver that titles are written over

_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36
_descriptor_limits = resource.getrlimit(resource.RLIMIT_NOFILE)
_libc = ctypes.CDLL(None, use_errno=True)


def subreaper() -> None:
    """Orphans below this process become its children."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def raise_descriptor_limit() -> int:
    """As many descriptors for this process as it may have; gives how many."""
    soft, hard = _descriptor_limits
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return soft
    return hard


def restore_descriptor_limit() -> None:
    """The limit that this process's ancestor was started with: programs that use select() rely on it."""
    resource.setrlimit(resource.RLIMIT_NOFILE, _descriptor_limits)


def die_with_parent(parent: int) -> None:
    """This process is killed when its parent ends; at once if it has ended already."""
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


def _memory(first_field: int) -> tuple[int, int]:
    """Two neighbouring addresses of /proc/self/stat, by the number of the first (see proc(5))."""
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
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
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


def signal_main_thread(pid: int, number: int) -> None:
    """Sends a signal to a process's main thread. Sent to the process, another thread may take it, and then it does not
    interrupt what the main one waits in. Raises OSError."""
    if _libc.tgkill(pid, pid, number):
        raise OSError(ctypes.get_errno(), "tgkill")


def reap() -> Iterator[tuple[int, int]]:
    """Waits for the children that are dead by now, so that none of them stays a zombie: pid and wait status of each."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


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
