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
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec

from ..bell import Bell, Listener, sweep
from ..fingerprint import sdk_fingerprint
from ..folder import is_terminal
from ..queue import Queue
from ..recovery import KEPT, as_asked, back_off, conclude, say_died, try_again
from ..states import Ask, Between, Ending, State, status_of, transition
from ..types import Status, now_iso
from .channel import send, send_body
from .describe import describe_in_child
from .door import Door, Letter
from .held import Held
from .pairs import Pair, prepare
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
        prepare()
        sweep(self._runtime_dir)
        self._door = Door(self._runtime_dir, lock, self._selector)
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
        while not (self._is_idle() and self._leave()):
            self._wait(wake_read)
        self._spares.close()
        self._listener.close()

    def _is_busy(self) -> bool:
        return bool(self._held or self._kept or self._describers or not self._door.is_empty)

    def _is_idle(self) -> bool:
        return not self._is_busy() and (self._retired or time.monotonic() - self._busy_at > IDLE_SECONDS)

    def _leave(self) -> bool:
        """Out of sight first, then whatever has come in meanwhile is served: whoever did, keeps this process here."""
        for letter in self._door.hide():
            self._serve(letter)
        if not self._is_busy():
            return True
        self._door.open()
        return False

    def _wait(self, wake_fd: int) -> None:
        busy = self._is_busy()
        rung: set[str] = set()
        for key, _ in self._selector.select(self._patience(busy)):
            source = key.fileobj
            if source is self._listener:
                rung = self._listener.hear()
            elif source == wake_fd:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_fd, 512)
            else:
                for letter in self._door.take(source):
                    self._serve(letter)
        self._reap()
        if is_look := time.monotonic() >= self._looked + _LOOK_SECONDS:
            self._look()
        self._read_requests(rung, of_all=is_look)
        self._give_turns()
        if self._retired:
            self._spares.close()
        elif not self._held:
            self._spares.look()
        if busy:
            self._busy_at = time.monotonic()

    def _look(self) -> None:
        """What need not be looked at each time that something happens: none of it keeps a task waiting."""
        self._looked = time.monotonic()
        self._drop_removed()
        for kept in self._kept.values():
            kept.forget_what_is_over()
        self._door.look()
        if not self._listener.is_reachable():  # its name was taken away, as that of the door may be
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = Listener(self._runtime_dir, kind="f")
            self._selector.register(self._listener, selectors.EVENT_READ)
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

    # -- clients -------------------------------------------------------------------------------------------------

    def _serve(self, letter: Letter) -> None:
        connection, body, fds = letter
        try:
            message = json.loads(body)
            if message["op"] == "start":
                self._take_task(connection, message, body, fds)
            elif message["op"] == "describe":
                self._describers[describe_in_child(connection, message)] = connection
        except Exception:  # a message that makes no sense ends its connection, not this process
            traceback.print_exc()
            for fd in fds:
                os.close(fd)
            connection.close()

    def _take_task(self, connection: socket.socket, message: dict[str, Any], body: bytes, fds: list[int]) -> None:
        if not fds or fds[0] > self._max_fd:
            raise OSError(errno.EMFILE, "too many tasks wait here; whoever looks at this one tries again")
        self._hold(Held.of(message, body, fds[0]))
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

    def _read_requests(self, rung: set[str], *, of_all: bool) -> None:
        """What was asked of those that were rung for; of all, where a bell may have been lost."""
        for task_id in tuple(self._held) if of_all or len(rung) >= _MANY_BELLS else rung:
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
                send_body(pair.socket, held.message, [held.writer.fd, slot])
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

