"""The task folder: the directory that *is* the task. Spec, log, lock, cursor, and what a recovery writes.

``events.jsonl`` is the truth. Whoever appends to it holds ``flock(LOCK_EX)`` on it: a lock says that a writer lives,
a terminal line says that the task has ended. Its last whole line alone is the state. A cursor is a byte offset right
after a line's end. What follows the last newline, or is no update, isn't there.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from .errors import NothingThereError, StorageError, TaskNotFoundError
from .log_lines import latest_of, lines_after, parse
from .log_writer import LogWriter, lock_log
from .reserve import set_aside
from .types import ENDED, FORMAT, TaskSpec, TaskUpdate, is_task_id
from .wire import encode_exact

__all__ = ["TaskFolder", "create_task_folder"]

_REQUESTS_BYTES = 4096  # an abort can be asked for on a full disk
_SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # the folder is the worker's, too: no link, no FIFO
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PARTS = frozenset({"output.log", "items.jsonl", "metrics.jsonl", "result.json"})


_decode_spec = msgspec.json.Decoder(TaskSpec).decode


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class TaskFolder:
    """One task's folder, for reading. It holds no descriptor: every call opens what it needs."""

    __slots__ = ("_at", "task_id")

    def __init__(self, path: Path | str) -> None:
        self._at = f"{path}/"  # texts, as of thousands: to join paths costs more than to read what they name
        self.task_id = self._at[self._at.rfind("/", 0, -1) + 1:-1]

    def __repr__(self) -> str:
        return f"TaskFolder({str(self.path)!r})"

    @property
    def path(self) -> Path:
        return Path(self._at)

    def exists(self) -> bool:
        """Whether this is a task's folder: a real one with a log, of whoever looks or of the owner of all the others.

        A link that somebody put there, or another user's folder, is no task: its code would be run as ours.
        """
        try:
            about = os.lstat(self._at[:-1])
            if not stat.S_ISDIR(about.st_mode):
                return False
            if about.st_uid != os.geteuid() and about.st_uid != os.stat(self.path.parent).st_uid:
                return False
            return stat.S_ISREG(os.lstat(self._log).st_mode)
        except (OSError, ValueError):
            return False

    def is_readable(self) -> bool:
        """Whether whoever looks may read the log."""
        return os.access(self._log, os.R_OK, effective_ids=True)

    def changed(self) -> int:
        """When something was last made in the folder or removed from it, in nanoseconds since 1970. Raises OSError."""
        return os.stat(self._at[:-1]).st_mtime_ns

    @property
    def log_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def _log(self) -> str:
        return self._at + "events.jsonl"

    @property
    def files_path(self) -> Path:
        return self.path / "files"

    def spec(self) -> TaskSpec:
        """``task.json``. Raises TaskNotFoundError where it is gone or can't be read."""
        try:
            data = self._read_small("task.json")
            try:
                return _decode_spec(data)
            except (ValueError, RecursionError):  # msgspec's errors are ValueErrors; it lacks NaN and the like
                return msgspec.convert(json.loads(data), TaskSpec)
        except (OSError, ValueError, RecursionError) as error:
            raise TaskNotFoundError(self.task_id) from error

    def restarted_as(self) -> str | None:
        """The id of the task that goes on where this one ended; the latest, where there are several."""
        try:
            task_id = self._read_small("restarted_as").decode("ascii").strip()
        except (OSError, ValueError):
            return None
        return task_id if is_task_id(task_id) else None

    def _read_small(self, name: str) -> bytes:
        """The whole of a file, through no link and from no pipe: the worker could write here. Raises OSError."""
        fd = os.open(self._at + name, os.O_RDONLY | _SAFELY)
        try:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode):
                raise OSError(errno.EINVAL, "no file")
            parts = [os.read(fd, about.st_size + 1)]
            while parts[-1]:
                parts.append(os.read(fd, about.st_size + 1))
            return b"".join(parts)
        finally:
            os.close(fd)

    # -- the log -------------------------------------------------------------------------------------------------

    def latest(self) -> tuple[TaskUpdate | None, int]:
        """The last update and the cursor after it; ``(None, 0)`` where there is none."""
        try:
            fd = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None, 0
        try:
            return latest_of(fd)
        finally:
            os.close(fd)

    def read_log(self, cursor: int, limit: int = 1 << 16) -> list[tuple[int, bytes]]:
        """The updates after ``cursor``: pairs of the cursor after the line, and the line without its newline.

        About ``limit`` bytes at a time, one line at least; empty at the end. Lines that are no updates are skipped,
        without ever holding much of them. Raises TaskNotFoundError when the folder is gone.
        """
        try:
            fd = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise TaskNotFoundError(self.task_id) from error
        try:
            return lines_after(fd, cursor, limit)
        finally:
            os.close(fd)

    def updates(self, cursor: int = 0) -> Iterator[tuple[int, TaskUpdate]]:
        """Every update after ``cursor`` that is there now, with the cursor after it."""
        while lines := self.read_log(cursor):
            for end, line in lines:
                if (update := parse(line)) is not None:
                    yield end, update
            cursor = lines[-1][0]

    def is_cursor(self, cursor: int) -> bool:
        """Whether ``cursor`` is 0 or stands right after a line of the log."""
        if cursor == 0:
            return True
        try:
            fd = os.open(self.log_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            return 0 < cursor <= os.fstat(fd).st_size and os.pread(fd, 1, cursor - 1) == b"\n"
        finally:
            os.close(fd)

    def is_held(self) -> bool:
        """Whether a writer of this task lives on this machine: forkserver, keeper or recoverer."""
        try:
            fd = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in (errno.EAGAIN, errno.EACCES)
        finally:
            os.close(fd)
        return False

    # -- the other parts -----------------------------------------------------------------------------------------

    def _size(self, name: str) -> int:
        try:
            return os.lstat(self._at + name).st_size
        except OSError:
            return 0

    def log_size(self) -> int:
        return self._size("events.jsonl")

    def output_size(self) -> int:
        return self._size("output.log")

    def items_size(self) -> int:
        return self._size("items.jsonl")

    def metrics_size(self) -> int:
        return self._size("metrics.jsonl")

    def saved_at(self) -> float | None:
        """When the last checkpoint with a state was saved, in seconds since the epoch; None where none was."""
        try:
            return os.lstat(self.path / "checkpoint.json").st_mtime
        except OSError:
            return None

    def open_part(self, name: str) -> int:
        """A descriptor of ``output.log``, ``items.jsonl``, ``metrics.jsonl`` or ``result.json``.

        Raises NothingThereError.
        """
        if name not in _PARTS:
            raise NothingThereError(f"A task has no part {name!r}.")
        return self._open_regular(self.path, name, f"The task has no {name.split('.')[0]}.")

    def open_file(self, name: str) -> int:
        """A descriptor of the artifact ``name``, one path segment. Raises NothingThereError."""
        missing = f"The task has no file {name!r}."
        if "/" in name or "\0" in name or name in ("", ".", ".."):
            raise NothingThereError(missing)
        return self._open_regular(self.files_path, name, missing)

    def _open_regular(self, folder: Path, name: str, missing: str) -> int:
        """Never through a link, never something that would block, like a FIFO that the worker left there."""
        try:
            folder_fd = os.open(folder, _FOLDER_FLAGS)
        except OSError as error:
            raise NothingThereError(missing) from error
        try:
            fd = os.open(name, os.O_RDONLY | _SAFELY, dir_fd=folder_fd)
        except (OSError, ValueError) as error:
            raise NothingThereError(missing) from error
        finally:
            os.close(folder_fd)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise NothingThereError(missing)
        return fd

    def files(self) -> list[dict[str, Any]]:
        """The artifacts: ``name``, ``bytes``, ``modified`` (seconds since 1970), by name.

        Those that nobody could ask for, as their name is no UTF-8, are left out.
        """
        found: list[dict[str, Any]] = []
        with suppress(OSError):
            for entry in self._artifacts():
                about = entry.stat(follow_symlinks=False)
                found.append({"name": entry.name, "bytes": about.st_size, "modified": about.st_mtime})
        return sorted(found, key=lambda file: file["name"])

    def count_files(self) -> int:
        """How many ``files`` there are."""
        count = 0
        with suppress(OSError):
            for _ in self._artifacts():
                count += 1
        return count

    def _artifacts(self) -> Iterator[os.DirEntry[str]]:
        """Raises OSError."""
        fd = os.open(self._at + "files", _FOLDER_FLAGS)
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False) and _is_utf8(entry.name):
                        yield entry
        finally:
            os.close(fd)

    # -- requests ------------------------------------------------------------------------------------------------

    def append_request(self, action: str) -> None:
        """Asks for ``action``. One write that begins and ends with a newline, so any number of askers do no harm."""
        try:
            fd = os.open(self._at + "requests.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT | _SAFELY, 0o600)
        except FileNotFoundError as error:
            raise TaskNotFoundError(self.task_id) from error
        except OSError as error:
            raise StorageError(self.path, error.strerror or str(error)) from error
        try:
            os.write(fd, b'\n{"action":"%s"}\n' % action.encode())
        except OSError as error:
            raise StorageError(self.path, error.strerror or str(error)) from error
        finally:
            os.close(fd)

    def requests(self, cursor: int = 0) -> tuple[list[str], int]:
        """The actions asked for after ``cursor``, oldest first, and the new cursor."""
        try:
            with open(os.open(self._at + "requests.jsonl", os.O_RDONLY | _SAFELY), "rb") as file:
                file.seek(cursor)
                data = file.read()
        except OSError:
            return [], cursor
        end = data.rfind(b"\n") + 1
        actions = []
        for line in data[:end].split(b"\n"):
            try:
                action = json.loads(line)["action"]
            except (ValueError, TypeError, KeyError, RecursionError):
                continue  # a torn or foreign line asks for nothing
            if action in ("pause", "resume", "abort"):
                actions.append(action)
        return actions, cursor + end

    # -- writing -------------------------------------------------------------------------------------------------

    def claim(self) -> LogWriter | None:
        """The right to write this task's log, where nobody holds it; for recovery. Ends a torn line first."""
        if not self.exists():
            return None
        try:
            fd = os.open(self.log_path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        if not lock_log(fd):
            os.close(fd)
            return None
        writer = LogWriter(self, fd)
        if writer.is_removed():  # forgotten in the meantime
            writer.close()
            return None
        try:
            writer.end_torn_line()
        except OSError:  # a full disk: it can be read, and not mended now
            writer.close()
            return None
        return writer

    def remove(self) -> None:
        """Forgets the task. It is out of sight at once; what it held goes after."""
        hidden = self.path.with_name(f".gone-{self.task_id}")
        try:
            os.rename(self.path, hidden)
        except FileNotFoundError as error:
            raise TaskNotFoundError(self.task_id) from error
        except OSError as error:
            raise StorageError(self.path, error.strerror or str(error)) from error
        shutil.rmtree(hidden, ignore_errors=True)


def create_task_folder(tasks: Path, spec: TaskSpec, first: dict[str, Any]) -> LogWriter:
    """Builds ``.new-<id>`` with ``task.json`` and a locked log that holds ``first``; ``publish`` makes it visible.

    Visible means locked and with a line. Raises StorageError.
    """
    path = tasks / f".new-{spec.task_id}"
    writer = None
    try:
        path.mkdir(mode=0o700)
        (path / "files").mkdir(mode=0o700)
        (path / "task.json").write_text(encode_exact(msgspec.to_builtins(spec)), "ascii")
        requests = os.open(path / "requests.jsonl", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            set_aside(requests, 0, _REQUESTS_BYTES)
        finally:
            os.close(requests)
        fd = os.open(path / "events.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        writer = LogWriter(TaskFolder(tasks / spec.task_id), fd)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        writer.append(first)
    except BaseException as error:
        if writer is not None:
            discard(writer)
        shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, OSError):
            raise StorageError(tasks, error.strerror or str(error)) from error
        raise
    return writer


def publish(writer: LogWriter) -> None:
    """Renames the folder of ``create_task_folder`` into place."""
    path = writer.folder.path
    try:
        os.rename(path.with_name(f".new-{path.name}"), path)
    except OSError as error:
        raise StorageError(path.parent, error.strerror or str(error)) from error


def discard(writer: LogWriter) -> None:
    """Removes a folder that was not published, and lets go of its log."""
    writer.close()
    shutil.rmtree(writer.folder.path.with_name(f".new-{writer.folder.task_id}"), ignore_errors=True)


def is_terminal(update: TaskUpdate | None) -> bool:
    """Whether nothing follows this update."""
    return update is not None and update.status in ENDED


def is_controllable(spec: TaskSpec) -> bool:
    """Whether this version may write this folder."""
    return spec.format <= FORMAT
