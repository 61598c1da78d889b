"""The keeper: the small process that owns one task. Parent of its runner, only writer of its log.

Single-threaded, on one selector, and imports no worker. It takes what the runner reports, what people ask for and what
time brings, lets ``states.transition`` decide, and writes. At the end it kills what is left below it, and only then
writes the terminal update.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import msgspec

from ..bell import Bell, Listener
from ..folder import LogWriter, TaskFolder
from ..recovery import result_fields, say_died
from ..states import (
    Ask,
    Ended,
    Ending,
    Finished,
    Gone,
    Outcome,
    Paused,
    PauseReached,
    Running,
    Signal,
    State,
    Turn,
    Waiting,
    status_of,
    transition,
)
from ..types import Status, TaskSpec
from .channel import send
from .control import ABORT, PAUSE, RESUME, SIGNAL
from .pairs import PIPE_BYTES, Runner
from .parts import CheckpointFile, ItemsFile, OutputFile, write_result
from .picture import Picture, Throttle
from .processes import (
    kill_children,
    reap,
    say_title,
    signal_main_thread,
    wait_status_in_words,
)

__all__ = ["Keeper", "keep"]

_LETTERS = {Signal.PAUSE: PAUSE, Signal.RESUME: RESUME, Signal.ABORT: ABORT}
_LOOK_SECONDS = 1.0  # where no bell reaches


def keep(task: dict[str, Any], log_fd: int, runner: Runner) -> None:
    """Runs a task to its end in this process, with the runner that waits for it."""
    spec = msgspec.convert(task["spec"], TaskSpec)
    writer = LogWriter(TaskFolder(Path(task["folder"])), log_fd)
    say_title(f"sse-task keeper {spec.task_type} {spec.task_id}")
    Keeper(spec, writer, runner).run(task)


class Keeper:
    """One task from its turn to its end."""

    def __init__(self, spec: TaskSpec, writer: LogWriter, runner: Runner) -> None:
        self._spec = spec
        self._writer = writer
        self._folder = writer.folder
        self._runner = runner
        self._state: State = Waiting()
        self._picture = Picture(spec.task_id, writer.latest())
        self._items = ItemsFile(self._folder.path)
        self._checkpoint = CheckpointFile(self._folder.path)
        self._saved = Throttle()  # of the lines that say so
        self._output_file = OutputFile(self._folder.path)
        self._selector = selectors.DefaultSelector()
        self._requests_read = 0
        self._looked = time.monotonic()
        self._pieces: list[bytes] = []
        self._error: dict[str, Any] = {}
        self._terminated = False
        self._exit_status: int | None = None
        self._deadline: float | None = None  # after it, the runner is killed
        self._bell = Bell(Path(spec.runtime_dir))
        self._listener = Listener(Path(spec.runtime_dir), spec.task_id)

    def run(self, task: dict[str, Any]) -> None:
        """Until the terminal update is written."""
        wake_read, wake_write = os.pipe()
        for fd in (wake_read, wake_write, self._runner.reports, self._runner.output):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        for source in (wake_read, self._runner.reports, self._runner.output, self._listener):
            self._selector.register(source, selectors.EVENT_READ)
        self._temp_dir()
        self._first_state()
        while isinstance(self._state, Waiting):
            self._handle(Turn())
            if isinstance(self._state, Waiting):  # paused in the moment of its turn
                self._wait(wake_read)
        if not isinstance(self._state, Ending):
            with contextlib.suppress(OSError):  # a runner that is dead already: its end will tell
                send(self._runner.task, {**task, "saved": self._checkpoint.saved()})
        self._runner.task.close()  # a runner that was given nothing leaves
        while self._exit_status is None:
            self._wait(wake_read)
        self._end()

    def _first_state(self) -> None:
        """What was asked while the task waited, in one step: the forkserver has written those lines already."""
        actions, self._requests_read = self._folder.requests()
        for action in actions:
            if not isinstance(self._state, Ending):
                self._state, _ = transition(self._state, Ask(action))  # type: ignore[arg-type]
        latest = self._writer.latest()
        if isinstance(self._state, Waiting) and latest is not None and latest.status != status_of(self._state):
            self._write("status")

    # -- what comes in -------------------------------------------------------------------------------------------

    def _wait(self, wake_fd: int) -> None:
        """Waits for the next thing to happen and deals with everything that has."""
        moments = [self._picture.due(), self._items.due(), self._checkpoint.due(), self._saved.due(), self._deadline,
                   self._timeout_at(), self._looked + _LOOK_SECONDS]
        nearest = min(moment for moment in moments if moment is not None)
        ready = {key.fd for key, _ in self._selector.select(max(0.0, nearest - time.monotonic()))}
        signals = os.read(wake_fd, 512) if wake_fd in ready else b""
        try:
            grown = self._runner.reports in ready and self._read_reports()
            grown |= self._runner.output in ready and self._pump_output()
            if self._listener.fileno() in ready or time.monotonic() >= self._looked + _LOOK_SECONDS:
                self._look()
            if signal.SIGTERM in signals:
                self._terminate()
            self._flush()
        except OSError as error:
            self._disk_full(error)
        else:
            if grown:
                self._ring()
        self._watch_deadlines()
        self._reap()

    def _look(self) -> None:
        self._listener.hear()
        self._looked = time.monotonic()
        if not self._listener.is_reachable():  # somebody has cleaned the folder for sockets
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = Listener(Path(self._spec.runtime_dir), self._spec.task_id)
            self._selector.register(self._listener, selectors.EVENT_READ)
        actions, self._requests_read = self._folder.requests(self._requests_read)
        for action in actions:
            self._handle(Ask(action))  # type: ignore[arg-type]

    def _terminate(self) -> None:
        """SIGTERM, a shutdown: an abort with its own code."""
        before = self._state
        self._handle(Ask("abort"))
        self._terminated |= self._state != before

    def _read_reports(self) -> bool:
        """Takes what the runner has reported; whether there was anything."""
        data = self._read(self._runner.reports, PIPE_BYTES)
        if b"\n" not in data:
            self._pieces.append(data)
            return bool(data)
        *lines, rest = b"".join([*self._pieces, data]).split(b"\n")
        self._pieces = [rest]
        for line in lines:
            try:
                self._take(line[:1], line[1:])
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # somebody else wrote there
                self._output_file.write(b"[sse_tasks: a report of the worker was garbled and is left out]\n")
        self._items.flush()
        return True

    def _pump_output(self) -> bool:
        data = self._read(self._runner.output, PIPE_BYTES)
        self._output_file.write(data)
        return bool(data)

    def _read(self, fd: int, size: int) -> bytes:
        """What is in a pipe; nothing when it is empty. At its end it is listened to no more."""
        try:
            data = os.read(fd, size)
        except BlockingIOError:
            return b""
        if not data and fd in self._selector.get_map():
            self._selector.unregister(fd)
        return data

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == b"P":
            self._picture.take(msgspec.json.decode(body))
        elif kind == b"I":
            self._items.add(body)
        elif kind == b"C":
            self._items.flush()
            self._checkpoint.set(body, self._items.size)
        elif kind == b"S":
            self._handle(PauseReached())
        elif kind == b"R":
            msgspec.json.decode(body, type=msgspec.Raw)
            if not isinstance(self._state, Ending) and getattr(self._state, "requested", None) != "abort":
                write_result(self._folder.path, body)  # from here on an abort loses
            self._finish(Outcome(status=Status.COMPLETED))
        elif kind == b"E":
            error = json.loads(body)
            if not isinstance(self._state, Ending):  # else it has failed already, by its timeout
                self._error = error
            self._finish(Outcome(status=Status.FAILED, code=error["code"]))
        elif kind == b"A":
            self._finish(Outcome(status=Status.ABORTED))

    def _finish(self, outcome: Outcome) -> None:
        self._handle(Finished(outcome))
        self._deadline = time.monotonic() + self._spec.abort_grace  # for the interpreter to leave

    def _reap(self) -> None:
        """Buries dead children; the runner's end is the worker's."""
        for pid, status in reap():
            if pid == self._runner.pid:
                self._exit_status = status

    def _timeout_at(self) -> float | None:
        if (self._spec.timeout is None or isinstance(self._state, Waiting | Paused | Ending)
                or self._state == Running("abort")):
            return None
        ran = self._picture.ran_seconds()
        return None if ran is None else time.monotonic() + self._spec.timeout - ran

    def _watch_deadlines(self) -> None:
        now = time.monotonic()
        timeout_at = self._timeout_at()
        if timeout_at is not None and now >= timeout_at:
            self._error = {"code": "timeout", "error": f"The task ran longer than its timeout of "
                                                       f"{self._spec.timeout:g} seconds."}
            self._handle(Finished(Outcome(status=Status.FAILED, code="timeout")))
            self._tell(Signal.ABORT)
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._kill_runner()

    def _kill_runner(self) -> None:
        try:
            os.kill(self._runner.pid, signal.SIGKILL)  # not waited for yet, so it is still this one
        except ProcessLookupError:
            pass

    # -- what is decided and written -----------------------------------------------------------------------------

    def _handle(self, event: Any) -> None:
        before = self._state
        self._state, wish = transition(before, event)
        if wish is Signal.START:
            self._picture.start()
        if self._state != before:
            if isinstance(self._state, Paused) or isinstance(before, Paused):
                self._picture.set_paused(isinstance(self._state, Paused))
                self._checkpoint.flush(force=True)
            if not isinstance(self._state, Ending):
                self._items.flush()
                self._write("status")
        if wish in _LETTERS:
            self._tell(wish)  # type: ignore[arg-type]

    def _tell(self, wish: Signal) -> None:
        if wish is Signal.ABORT:
            self._deadline = time.monotonic() + self._spec.abort_grace
        try:
            os.write(self._runner.control, _LETTERS[wish])
            signal_main_thread(self._runner.pid, SIGNAL)
        except OSError:
            pass  # it is dead already: its end will tell

    def _write(self, kind: str, *, sync: bool = False, **fields: Any) -> None:
        self._picture.items = self._items.count
        self._items.counted()
        try:
            self._writer.append(self._picture.update(kind, self._state, **fields), sync=sync)
        except OSError as error:
            self._disk_full(error)
        self._ring()

    def _flush(self) -> None:
        """Writes what its throttle lets through now."""
        if self._picture.is_due():
            self._write("progress")
        elif self._items.is_due():
            self._write("items")
        if self._checkpoint.is_due():
            self._checkpoint.flush()
            self._saved.dirty = True
        if self._saved.is_due():
            self._saved.written()
            self._write("checkpoint")

    def _ring(self) -> None:
        self._bell.ring(self._spec.task_id)

    def _disk_full(self, error: OSError) -> None:
        if not isinstance(self._state, Ending | Ended):
            self._error = {"code": "disk_full", "error": f"The task folder can't be written: {error.strerror}."}
            self._state = transition(self._state, Finished(Outcome(status=Status.FAILED, code="disk_full")))[0]
            self._kill_runner()

    # -- the end -------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """The runner is gone: nothing of it may be left when the terminal update is written."""
        left = kill_children()
        with contextlib.suppress(OSError):
            while self._read_reports():
                pass
        with contextlib.suppress(OSError):
            while self._pump_output():
                pass
        self._reap()
        if not isinstance(self._state, Ending):
            status = self._exit_status or 0
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM:  # a shutdown met it unprepared
                self._handle(Finished(Outcome(status=Status.ABORTED, code="terminated")))
            else:
                self._error = {"code": "worker_died", "error": say_died(wait_status_in_words(status))}
                self._handle(Finished(Outcome(status=Status.FAILED, code="worker_died")))
        with contextlib.suppress(OSError):  # a disk that is full has ended the task already
            self._items.flush()
            self._checkpoint.flush(force=True)
        shutil.rmtree(self._spec.temp_dir, ignore_errors=True)
        self._picture.set_paused(False)
        self._handle_gone(left)
        self._listener.close()
        self._bell.close()
        self._selector.close()
        self._writer.close()

    def _handle_gone(self, left: list[int]) -> None:
        self._state = transition(self._state, Gone())[0]
        assert isinstance(self._state, Ended)
        outcome = self._state.outcome
        fields: dict[str, Any] = {}
        kind = "status"
        if outcome.status is Status.COMPLETED:
            kind, fields = "result", result_fields(self._folder) or {}
        elif outcome.status is Status.FAILED:
            kind, fields = "error", {"error": self._error.get("error", "The task failed."), "code": outcome.code}
        else:
            fields = {"message": "Task aborted", "code": "terminated" if self._terminated else outcome.code}
        if left:
            fields["message"] = f"These processes could not be ended: {', '.join(map(str, left))}."
        self._write(kind, sync=True, **fields)
        self._bell.ring(self._spec.task_id, to="mf")

    def _temp_dir(self) -> None:
        if self._spec.temp_dir:
            shutil.rmtree(self._spec.temp_dir, ignore_errors=True)
            try:
                os.mkdir(self._spec.temp_dir, mode=0o700)  # one that somebody else made in its place is not taken
            except OSError as error:
                self._disk_full(error)
