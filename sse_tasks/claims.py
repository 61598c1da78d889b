"""Idempotent starts: the same key, task type and input give the same task, however many processes ask at once. So do
restarts of the same task.

``claims/<hash of type and key>`` holds the task's id and a hash of its input, or what it is a restart of. Who starts
holds the file's lock, and writes into it before the task becomes visible: whoever gets the lock next finds the task, or
sees that the claimer died before there was one, and starts it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import BadParameterError, StartInProgressError, StorageError

__all__ = ["Claim", "Claims", "input_digest", "restart_digest"]

_KEY = re.compile(r"[!-~]{1,255}")
_LOOK_SECONDS = 0.01
_MOST_BYTES = 4096


def input_digest(input: Any) -> str:
    """What tells one input from another; the order of keys doesn't."""
    return hashlib.sha256(json.dumps(input, sort_keys=True).encode()).hexdigest()


def restart_digest(task_id: str, fresh: bool) -> str:
    """What tells one restart from another, and from every start."""
    return f"{'fresh ' if fresh else ''}restart of {task_id}"


class Claim:
    """A key that this process holds: ``task_id`` and ``digest`` of what was asked for, empty where nobody has
    started yet."""

    def __init__(self, name: str, fd: int) -> None:
        self.name = name
        self.task_id = self.digest = ""
        self._fd = fd
        try:
            content = json.loads(os.pread(fd, _MOST_BYTES, 0))
            self.task_id, self.digest = str(content["taskId"]), str(content["input"])
        except (ValueError, KeyError, TypeError):
            pass  # new, or its writer was killed: then there is no task yet

    def write(self, task_id: str, digest: str) -> None:
        """Binds the key to a task. Raises OSError."""
        data = json.dumps({"taskId": task_id, "input": digest}).encode()
        os.ftruncate(self._fd, 0)
        if os.pwrite(self._fd, data, 0) != len(data):
            raise OSError("the disk is full")
        self.task_id, self.digest = task_id, digest


class Claims:
    """All keys of one data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, task_type: str, key: str, seconds: float) -> Iterator[Claim]:
        """The key's claim, which nobody else holds until the context ends. Waits for it up to ``seconds``.

        Raises BadParameterError, StartInProgressError, StorageError.
        """
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise BadParameterError("Idempotency-Key", "1 to 255 visible ASCII characters are needed")
        name = hashlib.sha256(f"{task_type}\0{key}".encode()).hexdigest()
        deadline = time.monotonic() + seconds
        try:
            while (fd := self._lock(name)) is None:
                if time.monotonic() >= deadline:
                    raise StartInProgressError(key)
                time.sleep(_LOOK_SECONDS)
        except OSError as error:
            raise StorageError(self._folder, error.strerror or str(error)) from error
        try:
            yield Claim(name, fd)
        finally:
            os.close(fd)

    def _lock(self, name: str) -> int | None:
        """The locked descriptor of a claim, or None where somebody else has it now."""
        path = self._folder / name
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except (BlockingIOError, FileNotFoundError):
            pass  # held, or released for good between the two calls
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return None

    def release(self, name: str, task_id: str) -> None:
        """Frees the key of a task that has been forgotten."""
        self._release_if(name, lambda claim: claim.task_id == task_id)

    def prune(self, is_there: Callable[[str], bool]) -> None:
        """Frees the keys of tasks that are gone."""
        with suppress(OSError):
            for name in os.listdir(self._folder):
                self._release_if(name, lambda claim: not is_there(claim.task_id))

    def _release_if(self, name: str, is_free: Callable[[Claim], bool]) -> None:
        path = self._folder / name
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(path)) and is_free(Claim(name, fd)):
                os.unlink(path)
        except OSError:
            pass  # somebody starts with it just now, or has freed it
        finally:
            os.close(fd)
