"""Bells: datagrams that say "look at this task again". A hint, never data; one that is lost costs a second.

All sockets live in one runtime folder per data folder, short enough for a socket's path. Keepers listen under their
task's id, forkservers as ``f-…``, managers as ``m-…``. Who is refused is dead: the sender unlinks the name.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import stat
import tempfile
import time
from pathlib import Path

from .errors import StorageError

__all__ = ["Bell", "Listener", "choose_runtime_dir", "is_dead", "make_again", "sweep"]

_FRESH_SECONDS = 0.05
_SWEPT_SECONDS = 10.0  # a younger name may be one that is just being bound
_MAX_PATH_BYTES = 100  # a socket's path has 107, and names are added to the folder


class Bell:
    """Rings at others. Non-blocking: a full or dead socket is passed over."""

    def __init__(self, runtime_dir: Path) -> None:
        self._folder = str(runtime_dir)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._names: list[str] = []
        self._stamp = (0, 0.0)

    def ring(self, task_id: str, *, to: str = "m") -> None:
        """Says "look at ``task_id``" to the listeners whose kind is in ``to``: managers ``m``, forkservers ``f``."""
        message = task_id.encode()
        for name in self._listeners():
            if name[0] in to and name[1] == "-":
                self._send(message, name)

    def ring_task(self, task_id: str) -> None:
        """Says it to the task's keeper, if it has one."""
        self._send(task_id.encode(), task_id)

    def _send(self, message: bytes, name: str) -> None:
        path = f"{self._folder}/{name}"
        try:
            self._socket.sendto(message, path)
        except ConnectionRefusedError:
            try:
                os.unlink(path)
            except OSError:
                pass
        except OSError:
            pass  # nobody of that name, or its socket is full: then it has been woken already

    def _listeners(self) -> list[str]:
        """The names in the folder, listed anew only when it has changed."""
        try:
            changed = os.stat(self._folder).st_mtime_ns
            now = time.time()
            if self._stamp[0] != changed or self._stamp[1] - changed / 1e9 < _FRESH_SECONDS:
                self._names = [name for name in os.listdir(self._folder) if len(name) > 2]
                self._stamp = (changed, now)
        except OSError:
            return []
        return self._names

    def close(self) -> None:
        self._socket.close()


class Listener:
    """A bound socket that hears bells. Selectable; ``hear`` never blocks."""

    def __init__(self, runtime_dir: Path, name: str | None = None, kind: str = "m") -> None:
        self.path = str(runtime_dir / (name or f"{kind}-{secrets.token_hex(6)}"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        make_again(runtime_dir)
        try:
            os.unlink(self.path)
        except OSError:
            pass
        try:
            self._socket.bind(self.path)
        except OSError:
            pass  # it hears nothing then, and who looks each second sees the same

    def fileno(self) -> int:
        return self._socket.fileno()

    def hear(self) -> set[str]:
        """The task ids that were rung for since the last call."""
        heard = set()
        try:
            while True:
                heard.add(self._socket.recv(64).decode("ascii", "replace"))
        except OSError:
            return heard

    def is_reachable(self) -> bool:
        """Whether the name is still there: cleaners of temporary folders take it away."""
        return os.path.exists(self.path)

    def close(self) -> None:
        self._socket.close()
        try:
            os.unlink(self.path)
        except OSError:
            pass


def is_dead(path: str) -> bool:
    """Whether nobody listens any more at a socket's path, of whichever kind it is. Nobody is woken by the question."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:  # a living one of another kind, or gone
            pass
    return False


def sweep(runtime_dir: Path) -> None:
    """Removes the names of those who were killed: a keeper that nobody rings at any more, a forkserver's socket."""
    try:
        names = os.listdir(runtime_dir)
    except OSError:
        return
    for name in names:
        path = f"{runtime_dir}/{name}"
        try:
            about = os.lstat(path)
            old = abs(time.time() - about.st_mtime) > _SWEPT_SECONDS
            if old and stat.S_ISSOCK(about.st_mode) and is_dead(path):
                os.unlink(path)
        except OSError:
            continue  # another one sweeps, too


def choose_runtime_dir(data_dir: Path, wanted: str = "") -> Path:
    """The folder for sockets of ``data_dir``: the one that is written there, else ``wanted`` or the system's own place.

    A folder that others own or could write to is refused, and a new one made. Raises StorageError where there is no
    place for one.
    """
    note = data_dir / "runtime"
    try:
        text = note.read_text("utf-8")
        noted = Path(text) if os.path.isabs(text) and "\0" not in text else None
    except (OSError, UnicodeDecodeError, ValueError):
        noted = None
    if noted and len(os.fsencode(noted)) <= _MAX_PATH_BYTES - 30 and _make_private(noted):
        return noted
    name = hashlib.sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()[:8]
    base = wanted or (os.path.join(os.environ["XDG_RUNTIME_DIR"], "sse-tasks") if os.environ.get("XDG_RUNTIME_DIR")
                      else os.path.join(tempfile.gettempdir(), f"sse-tasks-{os.getuid()}"))
    base = os.path.abspath(os.path.expanduser(base))  # forkservers have another current folder
    chosen = Path(base) / name
    if len(os.fsencode(chosen)) > _MAX_PATH_BYTES - 30 or not (_make_private(Path(base)) and _make_private(chosen)):
        try:
            chosen = Path(tempfile.mkdtemp(prefix="sse-tasks-", dir="/tmp" if os.path.isdir("/tmp") else None))
        except OSError as error:
            raise StorageError(base, error.strerror or str(error)) from error
    partial = note.with_name(f"runtime.{os.getpid()}.partial")
    try:
        partial.write_text(str(chosen), "utf-8")
        os.rename(partial, note)
    except OSError:
        partial.unlink(missing_ok=True)  # the data folder is full or may only be read: tasks can be looked at still
    return chosen


def make_again(runtime_dir: Path) -> bool:
    """Makes a runtime folder that a cleaner of temporary folders took away; whether it is there, and private."""
    return _make_private(runtime_dir) or (_make_private(runtime_dir.parent) and _make_private(runtime_dir))


def _make_private(path: Path) -> bool:
    """Makes the folder if it is missing; whether it is a real folder, ours, and nobody else may write to it."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        about = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022
