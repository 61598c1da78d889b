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
import shutil
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
from ..fingerprint import sdk_fingerprint
from ..folder import LogWriter, TaskFolder, is_terminal
from ..queue import Queue
from ..recovery import KEPT, as_asked, back_off, conclude, say_died, try_again
from ..states import Ask, Between, Ending, State, Waiting, status_of, transition
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
_MANY_BELLS = 8  # as many as a socket may have room for: others may have been lost
_MOST_HAND_OVERS = 3  # of a task whose keepers die before it has begun


@dataclass
class Held:
    """A task that waits here for its turn: its first one, or that of another attempt, not before ``turn_at``."""

    spec: TaskSpec
    writer: LogWriter
    message: dict[str, Any]
    state: State  # Waiting or Between
    requests_read: int = 0
    turn_at: float = 0.0
    hand_overs: int = 0

    def lets_others_go_first(self) -> bool:
        return self.state not in (Waiting(), Between()) or self.turn_at > time.monotonic()


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
        # What a keeper has, for another attempt when it dies. Until it is buried, the descriptor keeps the log locked.
        self._kept: dict[int, Held] = {}
        self._describers: dict[int, socket.socket] = {}
        self._receivers: dict[socket.socket, Receiver] = {}
        self._spares = Spares()
        self._busy_at = self._looked = time.monotonic()
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
        rung: set[str] = set()
        for key, _ in self._selector.select(self._patience(busy)):
            source = key.fileobj
            if source is self._server:
                self._accept()
            elif source is self._listener:
                rung = self._listener.hear()
            elif source == wake_fd:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_fd, 512)
            elif isinstance(source, socket.socket):
                self._receive(source)
        self._reap()
        self._read_requests(rung)
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
            now = time.monotonic()
            return min([look, *(held.turn_at - now for held in self._held.values() if held.turn_at > now)])
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
        self._hold(Held(spec, LogWriter(TaskFolder(Path(message["folder"])), fds[0]), message, Waiting()))
        with contextlib.suppress(OSError):  # who has gone away meanwhile needs no answer
            send(connection, {"ok": True})
        connection.close()

    def _hold(self, held: Held) -> None:
        """A task waits here from now on. Its log says whether it has begun before."""
        latest = held.writer.latest()
        if latest is not None and latest.started_at is not None:
            held.state = Between()
            held.turn_at = time.monotonic() + back_off(held.spec, latest.attempt - 1)
        self._held[held.spec.task_id] = held
        state, held.requests_read = as_asked(held.writer.folder, held.state)
        self._become(held, state)

    # -- waiting tasks -------------------------------------------------------------------------------------------

    def _read_requests(self, rung: set[str]) -> None:
        """What was asked of those that were rung for; once a second, and where a bell may have been lost, of all."""
        now = time.monotonic()
        if len(rung) >= _MANY_BELLS or now >= self._looked + _LOOK_SECONDS:
            self._looked = now
            self._drop_removed()
            rung = set(self._held)
        for task_id in rung:
            if (held := self._held.get(task_id)) is not None:
                actions, held.requests_read = held.writer.folder.requests(held.requests_read)
                for action in actions:
                    if not isinstance(held.state, Ending):
                        self._become(held, transition(held.state, Ask(action))[0])  # type: ignore[arg-type]

    def _become(self, held: Held, state: State) -> None:
        """Says what was asked of a task that waits. An abort is done at once: it has no processes."""
        begun = isinstance(held.state, Between)
        held.state = state
        if not isinstance(state, Ending):
            self._write(held, status_of(state))
            return
        shutil.rmtree(held.spec.temp_dir, ignore_errors=True)  # a keeper that has died may have made it
        self._write(held, Status.ABORTED, "Task aborted" if begun else "Task aborted before it started")
        self._queue.remove(held.spec.task_id)
        del self._held[held.spec.task_id]
        held.writer.close()
        self._bell.ring(held.spec.task_id, to="f")

    def _write(self, held: Held, status: Status, message: str | None = None) -> None:
        latest = held.writer.latest()
        if latest is not None and latest.status == status:
            return
        update = msgspec.to_builtins(latest) if latest else {"taskId": held.spec.task_id, "attempt": 1}
        update |= {"type": "status", "timestamp": now_iso(), "status": status}
        if message is not None:
            update["message"] = message
        try:
            held.writer.append(update, sync=status is Status.ABORTED)
        except OSError:
            traceback.print_exc()
        self._bell.ring(held.spec.task_id)

    def _drop_removed(self) -> None:
        """Tasks whose folders were removed while they waited: nobody can see them any more, or ask them to end."""
        for task_id, held in list(self._held.items()):
            if held.writer.is_removed():
                del self._held[task_id]
                held.writer.close()
                self._queue.remove(task_id)

    def _give_turns(self) -> None:
        while self._held:
            task_id = self._queue.next_of(self._held, lambda id: self._held[id].lets_others_go_first())
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
        self._kept[pair.pid] = held
        held.hand_overs += 1
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

    def _bury(self, kept: Held, status: int) -> None:
        # Living keepers and describers are subreapers: an orphan that is this process's child was a dead one's.
        kill_children(spare=self._own())
        with contextlib.suppress(OSError):
            os.unlink(self._runtime_dir / kept.spec.task_id)  # a killed keeper's bell
        reason = say_died(wait_status_in_words(status), whose="keeper")
        try:
            if self._is_to_wait_again(kept, reason):
                self._queue.put(kept.spec.task_id)
                self._hold(kept)
                self._bell.ring(kept.spec.task_id, to="mf")
                return
        except Exception:  # a full disk, say: then this is the end of it
            traceback.print_exc()
        try:
            conclude(kept.writer, error=reason + KEPT)
        except Exception:  # likewise: whoever looks at the task tries again
            traceback.print_exc()
        kept.writer.close()
        self._bell.ring(kept.spec.task_id, to="mf")

    def _is_to_wait_again(self, kept: Held, reason: str) -> bool:
        """Whether a task whose keeper died gets another turn: one that had not begun, or has attempts left."""
        kept.writer.end_torn_line()
        latest = kept.writer.latest()
        if latest is None or latest.started_at is None:
            return not is_terminal(latest) and kept.hand_overs < _MOST_HAND_OVERS
        following = try_again(kept.writer, kept.spec, reason)
        if following is not None:
            kept.hand_overs = 0
        return following is not None


def main() -> None:
    """The process: see the module's docstring."""
    data_dir, runtime_dir, key, ready_fd = sys.argv[1:5]
    subreaper()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    Forkserver(Path(data_dir), Path(runtime_dir), key).run(int(ready_fd))


if __name__ == "__main__":
    main()

