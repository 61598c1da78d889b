"""This machine as a host: start a task folder, ask, recover. Reading and bells are the folder's and ``bell``'s."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from ..bell import Bell, sweep
from ..errors import SseTasksError, StorageError, WorkersUnavailableError
from ..fingerprint import exec_environ, forkserver_key
from ..folder import TaskFolder, create_task_folder, discard, is_controllable, is_terminal, publish
from ..log_writer import LogWriter
from ..queue import Queue
from ..recovery import KEPT, conclude, try_again
from ..types import Status, TaskSpec, now_iso
from ..worker.channel import receive, send
from ..worker.processes import MARK, NO_TASK, TITLE_ROOM, kill_marked
from ..worker.recorded import kill_recorded
from ..worker.start_method import INTERPRETER, VARIABLE, StartMethod, default_start_method

__all__ = ["LocalHost", "host_id", "is_own", "own_folder"]

_CONNECT_SECONDS = 5.0
_SPAWN_SECONDS = 30.0
_LEFT_SECONDS = 60.0


@cache
def host_id() -> str:
    """Tells one run of one machine or container from another: boot id and start time of process 1."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        started = Path("/proc/1/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        import platform

        import psutil

        return f"{platform.node()}:{psutil.boot_time():.0f}"
    return f"{boot}:{started}"


class LocalHost:
    """Starts and recovers tasks of one data folder by forkservers of this machine. For any thread."""

    def __init__(self, data_dir: Path, runtime_dir: Path, start_method: StartMethod | None = None) -> None:
        self._data_dir = data_dir
        self._runtime_dir = runtime_dir
        self._start_method = start_method or default_start_method()
        self._queue = Queue(data_dir)
        self._bell = Bell(runtime_dir)
        self._spawned: list[subprocess.Popen[bytes]] = []
        self._spawning = threading.Lock()

    def close(self) -> None:
        self._bell.close()
        for process in self._spawned:
            process.poll()

    # -- the verbs -----------------------------------------------------------------------------------------------

    def start(self, spec: TaskSpec, environ: Mapping[str, str], *, fill: Callable[[Path], None] | None = None,
              message: str | None = None, items: int = 0, metrics: int = 0) -> TaskFolder:
        """Makes the task's folder and hands it to a forkserver. ``fill`` puts into it what else the task begins with,
        before anybody sees it; ``message``, ``items`` and ``metrics`` stand in its first update.

        Raises StorageError, WorkersUnavailableError, and what ``fill`` raises; then nothing is left of it.
        """
        first = {"type": "status", "taskId": spec.task_id, "timestamp": spec.created_at, "status": "idle", "attempt": 1}
        if message is not None:
            first["message"] = message
        if items:
            first["items"] = items
        if metrics:
            first["metrics"] = metrics
        tasks = self._data_dir / "tasks"
        writer = create_task_folder(tasks, spec, first)
        connection = None
        try:
            if fill is not None:
                fill(tasks / f".new-{spec.task_id}")
            connection = self._connect(spec.interpreter, environ)  # not before: it would wait for what may take long
            self._queue.put(spec.task_id)
            publish(writer)
            folder = writer.folder
        except BaseException as error:
            if connection is not None:
                connection.close()
            discard(writer)
            self._queue.remove(spec.task_id)
            if isinstance(error, OSError):
                raise StorageError(self._data_dir, error.strerror or str(error)) from error
            raise
        with connection:
            try:
                taken = self._hand_over(connection, spec, folder, environ, writer.fd)
            finally:
                writer.close()
        self._bell.ring(spec.task_id)
        if not taken:
            self.recover(folder)
        return folder

    def ask(self, folder: TaskFolder, action: str) -> None:
        """Appends a request, then rings: whoever has the task sees it."""
        folder.append_request(action)
        self._bell.ring_task(folder.task_id)
        self._bell.ring(folder.task_id, to="mf")

    def recover(self, folder: TaskFolder) -> bool:
        """Ends, or hands on, a task that no process has; whether there was anything to do. Anyone may call it, at any
        time: where a writer lives, on this machine or by this format, nothing happens."""
        writer = folder.claim()
        if writer is None:
            return False
        try:
            spec = folder.spec()
            latest = writer.latest()
            if is_terminal(latest) or spec.host != host_id() or not is_controllable(spec):
                self._queue.remove(folder.task_id)
                return False
            begun = latest is not None and latest.started_at is not None
            if begun and folder.task_id not in self._queue.waiting():  # else it waits for its next attempt
                kill_marked(spec.task_id)
                kill_recorded(folder.path)
                self._bell.ring_task(spec.task_id)  # the killed keeper's name goes with it
                reason = "The task's processes were killed, all of them, with nobody left to say by what."
                if try_again(writer, spec, reason + _lacking(spec)) is None:
                    self._conclude(writer, reason + KEPT)
                    return True
            try:
                return self._hand_on(spec, folder, writer, begun)
            except WorkersUnavailableError as error:
                self._conclude(writer, str(error), code="worker_died" if begun else "not_found")
                return True
        except (OSError, SseTasksError):
            return False  # a full disk, a folder that is just being forgotten: nothing to be done now
        finally:
            writer.close()

    def _conclude(self, writer: LogWriter, error: str, code: str = "worker_died") -> None:
        task_id = writer.folder.task_id
        conclude(writer, error=error, code=code)
        self._queue.remove(task_id)
        writer.close()  # whoever hears the bell finds it ended, and in nobody's hands
        self._bell.ring(task_id, to="mf")

    def sweep(self) -> None:
        """Removes what starters, those who forgot a task, and listeners left behind when they were killed."""
        sweep(self._runtime_dir)
        tasks = self._data_dir / "tasks"
        for name in os.listdir(tasks):
            kind = name.partition("-")[0]
            if kind == ".gone" or (kind == ".new" and _is_left_behind(tasks / name)):
                shutil.rmtree(tasks / name, ignore_errors=True)
        for task_id in self._queue.waiting():
            if (tasks / f".new-{task_id}").exists():  # asked first: it may become visible in this moment
                continue
            folder = TaskFolder(tasks / task_id)
            if not folder.exists() or is_terminal(folder.latest()[0]):
                self._queue.remove(task_id)

    def describe(self, interpreter: str, environ: Mapping[str, str], sys_path: list[str] | None,
                 files: list[Path]) -> dict[str, Any]:
        """What the workers in ``files`` and the entry points say of themselves, asked in a throw-away process.

        Raises WorkersUnavailableError.
        """
        with self._connect(interpreter, environ) as connection:
            send(connection, {"op": "describe", "sys_path": sys_path, "cwd": own_folder(), "environ": dict(environ),
                              "files": list(map(str, files))})
            answer = receive(connection)
        if answer is None:
            raise WorkersUnavailableError(interpreter, "the process that was to describe the workers died; "
                                          f"{self._log_of(interpreter, environ)} may say why.")
        return answer[0]

    def ring(self, task_id: str) -> None:
        self._bell.ring(task_id)

    # -- forkservers ---------------------------------------------------------------------------------------------

    def _hand_over(self, connection: socket.socket, spec: TaskSpec, folder: TaskFolder, environ: Mapping[str, str],
                   log_fd: int) -> bool:
        """Sends the task; whether the forkserver has it. An open connection is never given up, a descriptor never
        sent twice: that is how two could come to have one task."""
        try:
            send(connection, {"op": "start", "spec": msgspec.to_builtins(spec), "folder": str(folder.path),
                              "environ": dict(environ)}, [log_fd])
            return receive(connection) is not None
        except OSError:
            return False

    def _hand_on(self, spec: TaskSpec, folder: TaskFolder, writer: LogWriter, begun: bool) -> bool:
        """A task that waits for its first or its next attempt goes to a forkserver of ours, with our environment."""
        message = f"Handed over: whoever started it is gone.{_lacking(spec)}"
        with self._connect(spec.interpreter, os.environ) as connection:
            latest = writer.latest()
            if not begun and (latest is None or latest.message != message):  # else it has been said before
                update = msgspec.to_builtins(latest) if latest else {"taskId": spec.task_id}
                writer.append(update | {"type": "status", "status": latest.status if latest else Status.IDLE,
                                        "timestamp": now_iso(), "message": message})
            self._queue.put(spec.task_id)
            return self._hand_over(connection, spec, folder, os.environ, writer.fd)

    def _connect(self, interpreter: str, environ: Mapping[str, str]) -> socket.socket:
        """A connection to the forkserver that fits, which is started if there is none."""
        key = forkserver_key(interpreter, dict(environ), self._start_method)
        connection = self._try_connect(key)
        if connection is not None:
            return connection
        with self._spawning:
            deadline = time.monotonic() + _CONNECT_SECONDS
            while True:
                if (connection := self._try_connect(key)) is not None:
                    return connection
                why = self._spawn(interpreter, environ, key)
                if (connection := self._try_connect(key)) is not None:
                    return connection
                if time.monotonic() > deadline:
                    raise WorkersUnavailableError(interpreter, why)

    def _try_connect(self, key: str) -> socket.socket | None:
        try:
            path = (self._data_dir / "forkservers" / key).read_text("utf-8")
        except OSError:
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
        except OSError as error:
            connection.close()
            if isinstance(error, ConnectionRefusedError):
                with contextlib.suppress(OSError):
                    os.unlink(path)  # a killed forkserver's: the next one takes another name
            return None
        return connection

    def _spawn(self, interpreter: str, environ: Mapping[str, str], key: str) -> str:
        """Starts a forkserver and waits until it listens or has gone; says why it may not have come up."""
        self._spawned = [process for process in self._spawned if process.poll() is None]
        log = self._data_dir / "forkservers" / f"{key}.log"
        try:
            output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(self._data_dir, error.strerror or str(error)) from error
        ready, theirs = os.pipe()
        try:
            process = subprocess.Popen(
                [interpreter, "-m", "sse_tasks.worker.forkserver", str(self._data_dir), str(self._runtime_dir), key,
                 str(theirs), TITLE_ROOM],
                env={**exec_environ(dict(environ)), MARK: NO_TASK, VARIABLE: self._start_method,
                     INTERPRETER: interpreter},
                cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(theirs,),
                start_new_session=True)
        except OSError as error:
            os.close(ready)
            raise WorkersUnavailableError(interpreter, f"it can't be run ({error.strerror or error}).") from error
        finally:
            os.close(theirs)
            os.close(output)
        self._spawned.append(process)
        try:
            waiting = select.poll()  # select() has no room for the descriptors of a large server
            waiting.register(ready, select.POLLIN)
            if not waiting.poll(_SPAWN_SECONDS * 1000):
                return f"its forkserver did not come up within {_SPAWN_SECONDS:g} s; see {log}."
            if os.read(ready, 1):
                return "its forkserver came up and can't be reached."
        finally:
            os.close(ready)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        last = _last_line(log)
        return f"its forkserver stopped at once{': ' + last if last else ''} ({log})."

    def _log_of(self, interpreter: str, environ: Mapping[str, str]) -> Path:
        key = forkserver_key(interpreter, dict(environ), self._start_method)
        return self._data_dir / "forkservers" / f"{key}.log"


def _lacking(spec: TaskSpec) -> str:
    """What a task lacks when it gets this process's environment."""
    missing = sorted(set(spec.environ) - set(os.environ))
    if not missing:
        return ""
    return f" Its environment lacks {', '.join(missing[:20])}{', …' if len(missing) > 20 else ''}."


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _is_left_behind(path: Path) -> bool:
    """Whether nobody is building this folder of a new task any more."""
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:
        return False
    return age > _LEFT_SECONDS and not TaskFolder(path).is_held()


def is_own(interpreter: str) -> bool:
    """Whether an interpreter is this process's own, so that this process's import path fits it.

    The Pythons of two virtual environments may be links to one file: where they stand tells them apart.
    """
    theirs, ours = ((os.path.realpath(path), os.path.realpath(os.path.dirname(path)))
                    for path in (interpreter, sys.executable))
    return theirs == ours


def own_folder() -> str:
    """The current folder, or the root where that has been removed."""
    try:
        return os.getcwd()
    except OSError:
        return "/"
