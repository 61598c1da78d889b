"""The forkserver: the parent of all keepers of one Python interpreter and one data folder.

It imports the library and what a runner needs of the standard library, nothing else ever, and does nothing but fork,
hold waiting tasks, and reap. ``python -m sse_tasks.worker.forkserver DATA_DIR RUNTIME_DIR KEY READY_FD``

It answers on a stream socket: ``{"op": "start", "spec", "folder", "environ"}`` with the descriptor of the locked log,
and ``{"op": "describe", …}``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import secrets
import selectors
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..bell import Bell, Listener, make_again
from ..errors import TaskEndedError
from ..fingerprint import sdk_fingerprint
from ..folder import LogWriter, TaskFolder
from ..queue import Queue
from ..recovery import conclude, say_died
from ..states import Ask, Ending, Waiting, status_of, transition
from ..types import Status, TaskSpec, now_iso
from .channel import Receiver, send
from .describe import describe_in_child
from .pairs import Pair
from .processes import kill_children, raise_descriptor_limit, reap, subreaper, wait_status_in_words
from .spares import Spares

__all__ = ["Forkserver", "main"]

IDLE_SECONDS = 300.0
_LOOK_SECONDS = 1.0
_BUSY_PROCESSOR_SECONDS = 0.1
_SPARE_DESCRIPTORS = 32  # each task that waits here holds one; these are for what gives them turns
_IDLE_LOOK_SECONDS = 2.0  # less than clients try for


@dataclass
class Held:
    """A task that waits here for its turn."""

    spec: TaskSpec
    writer: LogWriter
    message: dict[str, Any]
    state: Waiting | Ending
    requests_read: int = 0


@dataclass
class Kept:
    """A task that a keeper has. The descriptor keeps its log locked until the keeper has been buried."""

    spec: TaskSpec
    writer: LogWriter


class Forkserver:
    """Owns the sockets, the waiting tasks and the keepers of this process."""

    def __init__(self, data_dir: Path, runtime_dir: Path, key: str) -> None:
        self._runtime_dir = runtime_dir
        self._note = data_dir / "forkservers" / key
        self._fingerprint = sdk_fingerprint()
        self._queue = Queue(data_dir)
        self._bell = Bell(runtime_dir)
        self._listener = Listener(runtime_dir, kind="f")
        self._selector = selectors.DefaultSelector()
        self._held: dict[str, Held] = {}
        self._kept: dict[int, Kept] = {}
        self._describers: dict[int, socket.socket] = {}
        self._receivers: dict[socket.socket, Receiver] = {}
        self._spares = Spares()
        self._busy_at = time.monotonic()
        self._retired = False
        self._max_fd = raise_descriptor_limit() - _SPARE_DESCRIPTORS

    def run(self, ready_fd: int) -> None:
        """Until it has been idle for a while, or its library has changed and nothing is held."""
        lock = os.open(self._note, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another one is there already; whoever started this one sees the pipe close, and looks again
        self._listen(lock)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for source in (self._listener, wake_read):
            self._selector.register(source, selectors.EVENT_READ)
        gc.freeze()
        os.write(ready_fd, b"1")
        os.close(ready_fd)
        while not (self._is_idle() and self._leave(lock)):
            self._wait(wake_read, lock)
        self._spares.close()
        self._listener.close()

    def _listen(self, lock: int) -> None:
        """Binds a new socket and writes its path where clients look."""
        self._path = self._runtime_dir / f"s-{secrets.token_hex(6)}"
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.setblocking(False)
        make_again(self._runtime_dir)
        with contextlib.suppress(OSError):  # the next look tries again
            self._server.bind(str(self._path))
            self._server.listen(128)
        self._selector.register(self._server, selectors.EVENT_READ)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(self._path).encode(), 0)

    def _is_idle(self) -> bool:
        busy = self._held or self._kept or self._describers or self._receivers
        return not busy and (self._retired or time.monotonic() - self._busy_at > IDLE_SECONDS)

    def _leave(self, lock: int) -> bool:
        """Out of sight first, then whatever has come in meanwhile is served: whoever did, keeps this process here."""
        os.ftruncate(lock, 0)
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        self._accept()
        self._selector.unregister(self._server)
        self._server.close()
        if not (self._receivers or self._held or self._describers):
            return True
        self._listen(lock)
        return False

    def _wait(self, wake_fd: int, lock: int) -> None:
        busy = bool(self._held or self._kept or self._describers or self._receivers)
        for key, _ in self._selector.select(self._patience(busy)):
            source = key.fileobj
            if source is self._server:
                self._accept()
            elif source is self._listener:
                self._listener.hear()
            elif source == wake_fd:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_fd, 512)
            elif isinstance(source, socket.socket):
                self._receive(source)
        self._reap()
        self._read_requests()
        self._give_turns()
        if self._retired:
            self._spares.close()
        elif not self._held:
            self._spares.look()
        self._renew_sockets(lock)
        if busy:
            self._busy_at = time.monotonic()
        if not self._retired and (sdk_fingerprint() != self._fingerprint or not self._note.exists()):
            self._retired = True  # the library was changed, or the data folder removed

    def _patience(self, busy: bool) -> float:
        """For how many seconds nothing needs to be looked at, if nothing happens."""
        look = _LOOK_SECONDS if busy else _IDLE_LOOK_SECONDS
        due = self._spares.due()
        if due is None or self._held or self._retired:
            return look
        left = due - time.monotonic()
        return min(look, left) if left > 0 else _BUSY_PROCESSOR_SECONDS  # it was due, and the processor is taken

    def _renew_sockets(self, lock: int) -> None:
        """Cleaners of temporary folders take names away: without new ones, no task could start any more."""
        if not self._listener.is_reachable():
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = Listener(self._runtime_dir, kind="f")
            self._selector.register(self._listener, selectors.EVENT_READ)
        if not self._path.exists():
            self._selector.unregister(self._server)
            self._server.close()
            self._listen(lock)

    # -- clients -------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # nobody there any more, or no descriptor left for now
                return
            connection.setblocking(False)
            self._receivers[connection] = Receiver(connection)
            self._selector.register(connection, selectors.EVENT_READ)
            self._receive(connection)

    def _receive(self, connection: socket.socket) -> None:
        receiver = self._receivers[connection]
        try:
            alive = receiver.feed()
            taken = receiver.take()
        except BlockingIOError:
            return
        except (OSError, ValueError):
            alive, taken = False, None
        if taken is None:
            if not alive:
                self._drop(connection)
            return
        message, fds = taken
        self._selector.unregister(connection)
        del self._receivers[connection]
        try:
            if message["op"] == "start":
                self._take_task(connection, message, fds)
            elif message["op"] == "describe":
                self._describers[describe_in_child(connection, message)] = connection
        except Exception:  # a message that makes no sense ends its connection, not this process
            traceback.print_exc()
            for fd in fds:
                os.close(fd)
            connection.close()

    def _drop(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        self._receivers.pop(connection).drop()
        connection.close()

    def _take_task(self, connection: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        if not fds or fds[0] > self._max_fd:
            raise OSError(errno.EMFILE, "too many tasks wait here; whoever looks at this one tries again")
        spec = msgspec.convert(message["spec"], TaskSpec)
        folder = TaskFolder(Path(message["folder"]))
        state = Waiting()
        self._held[spec.task_id] = Held(spec, LogWriter(folder, fds[0]), message, state)
        with contextlib.suppress(OSError):  # who has gone away meanwhile needs no answer
            send(connection, {"ok": True})
        connection.close()

    # -- waiting tasks -------------------------------------------------------------------------------------------

    def _read_requests(self) -> None:
        for held in list(self._held.values()):
            actions, held.requests_read = held.writer.folder.requests(held.requests_read)
            for action in actions:
                self._ask(held, action)

    def _ask(self, held: Held, action: str) -> None:
        before = held.state
        try:
            state, _ = transition(before, Ask(action))  # type: ignore[arg-type]
        except TaskEndedError:
            return
        if state == before or not isinstance(state, Waiting | Ending):
            return
        held.state = state
        status = status_of(state) if isinstance(state, Waiting) else Status.ABORTED
        message = "Task aborted before it started" if isinstance(state, Ending) else None
        self._write(held, status, message)
        if isinstance(state, Ending):
            self._queue.remove(held.spec.task_id)
            del self._held[held.spec.task_id]
            held.writer.close()
            self._bell.ring(held.spec.task_id, to="f")

    def _write(self, held: Held, status: Status, message: str | None) -> None:
        latest = held.writer.latest()
        if latest is not None and latest.status == status:
            return
        try:
            held.writer.append({"type": "status", "taskId": held.spec.task_id, "timestamp": now_iso(), "status": status,
                                "attempt": 1, "message": message or (latest.message if latest else None)},
                               sync=status is Status.ABORTED)
        except OSError:
            traceback.print_exc()
        self._bell.ring(held.spec.task_id)

    def _give_turns(self) -> None:
        while self._held:
            task_id = self._queue.next_of(self._held, lambda id: self._held[id].state == Waiting(paused=True))
            if task_id is None:
                return
            slot = self._queue.take_slot(self._held[task_id].spec.max_running)
            if slot is None:
                return
            try:
                pair = self._spares.take()
            except OSError:  # no process or memory left for now: it keeps its place, and the next look tries again
                traceback.print_exc()
                os.close(slot)
                return
            self._hand_over(self._held.pop(task_id), slot, pair)

    def _hand_over(self, held: Held, slot: int, pair: Pair) -> None:
        """A keeper gets the task. The mark goes first: what dies now is recovered by its log, not by its mark."""
        self._kept[pair.pid] = Kept(held.spec, held.writer)
        self._queue.remove(held.spec.task_id)
        try:
            with pair.socket:
                send(pair.socket, {k: held.message[k] for k in ("spec", "folder", "environ")}, [held.writer.fd, slot])
        except OSError:
            traceback.print_exc()  # the keeper has died: it is buried by _reap
        os.close(slot)

    # -- the dead ------------------------------------------------------------------------------------------------

    def _own(self) -> frozenset[int]:
        """The children that are meant to be here."""
        return frozenset([*self._kept, *self._describers, *self._spares.pids])

    def _reap(self) -> None:
        """Buries keepers. What fell from a dead one to this process is killed before its task is called ended."""
        for pid, status in reap():
            if self._spares.buried(pid):
                kill_children(spare=self._own())  # its runner
            if (describer := self._describers.pop(pid, None)) is not None:
                describer.close()
                if status:  # it was killed, and could not kill what a worker file had started
                    kill_children(spare=self._own())
            if (kept := self._kept.pop(pid, None)) is not None:
                self._bury(kept, status)

    def _bury(self, kept: Kept, status: int) -> None:
        # Living keepers and describers are subreapers: an orphan that is this process's child was a dead one's.
        kill_children(spare=self._own())
        try:
            conclude(kept.writer, error=say_died(wait_status_in_words(status)).replace("worker's", "keeper's", 1))
        except Exception:  # a full disk, say: whoever looks at the task tries again
            traceback.print_exc()
        kept.writer.close()
        with contextlib.suppress(OSError):
            os.unlink(self._runtime_dir / kept.spec.task_id)  # a killed keeper's bell
        self._bell.ring(kept.spec.task_id, to="mf")


def main() -> None:
    """The process: see the module's docstring."""
    data_dir, runtime_dir, key, ready_fd = sys.argv[1:5]
    subreaper()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    Forkserver(Path(data_dir), Path(runtime_dir), key).run(int(ready_fd))


if __name__ == "__main__":
    main()

