"""The keeper: the small process that owns one task. Parent of its runner, only writer of its log.

Single-threaded, on one selector, and imports no worker. It takes what the runner reports, what people ask for and what
time brings, lets ``states.transition`` decide, and writes. When an attempt is over it kills what is left below it; only
then another one begins, or the terminal update is written.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec

from ..bell import Bell
from ..folder import TaskFolder
from ..log_writer import LogWriter
from ..recovery import KEPT, NextAttempt, as_asked, cut_items, end_fields, next_attempt
from ..states import (
    Ask,
    AttemptGone,
    Between,
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
    requested_of,
    status_of,
    transition,
)
from ..types import Status, TaskSpec
from .attempts import Attempt, Failure
from .control import ABORT, PAUSE, RESUME
from .ears import Ears
from .limits import Usage, result_too_large
from .metrics import NAMES_LIMIT, MetricsFile, TooManyNamesError
from .output import OutputFile
from .pairs import Runner, start_runner
from .parts import CheckpointFile, ItemsFile, write_result
from .picture import Picture, Throttle
from .processes import kill_children, reap, say_title

__all__ = ["Keeper", "keep"]

_LETTERS = {Signal.PAUSE: PAUSE, Signal.RESUME: RESUME, Signal.ABORT: ABORT}
_TRIED_AGAIN = frozenset({"progress", "items", "metrics", "checkpoint"})  # updates whose news the next one says, too
_STATE_BYTES = 64 << 20  # a report holds a result, an item or a state: what is larger than all of them is none
_END_TRIES, _END_SECONDS = 15, 0.2


def keep(task: dict[str, Any], log_fd: int, runner: Runner) -> None:
    """Runs a task to its end in this process, with the runner that has it already."""
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
        latest = writer.latest()
        self._state: State = Waiting() if latest is None or latest.started_at is None else Between()
        self._picture = Picture(spec.task_id, latest)
        self._items = ItemsFile(self._folder.path)
        self._metrics = MetricsFile(self._folder.path)
        self._metrics_left_out = False
        self._checkpoint = CheckpointFile(self._folder.path)
        self._saved = Throttle()  # of the lines that say so
        self._output_file = OutputFile(self._folder.path, spec.output_limit)
        self._usage = Usage(spec, self._folder.path)
        self._requests_read = 0
        self._turn_at = time.monotonic()
        self._error = "The task failed."
        self._left: list[int] = []
        self._terminated = False
        self._bell = Bell(Path(spec.runtime_dir))
        self._ears = Ears(Path(spec.runtime_dir), spec.task_id)
        self._attempt: Attempt | None = self._with(runner)

    def _with(self, runner: Runner) -> Attempt:
        return Attempt(runner, self._ears.selector, max(self._spec.result_limit, self._spec.item_limit, _STATE_BYTES))

    def run(self, task: dict[str, Any]) -> None:
        """Until the terminal update is written."""
        self._temp_dir()
        self._first_state()
        while not isinstance(self._state, Ending):
            self._await_turn(task)
            self._run_attempt()
            self._close_attempt()
        self._end()

    def rehearse(self, task: dict[str, Any]) -> None:
        """Goes as far as to let the worker begin, and lets go of everything: for ``rehearsal``."""
        self._first_state()
        self._await_turn(task)
        self._begin()
        if self._attempt is not None:
            self._attempt.close()
        self._let_go()

    def _first_state(self) -> None:
        """What was asked before, in one step: the forkserver has written those lines already."""
        self._state, self._requests_read = as_asked(self._folder, self._state)
        latest = self._writer.latest()
        if isinstance(self._state, Waiting | Between) and latest and latest.status != status_of(self._state):
            self._write("status")

    def _await_turn(self, task: dict[str, Any]) -> None:
        """Until the attempt may begin: at once, or when the back-off and a pause are over. Or until the task ends."""
        while isinstance(self._state, Waiting | Between):
            if (turn := self._turn_due()) is None or turn > time.monotonic():
                self._wait()
                continue
            try:
                self._attempt = self._attempt or self._with(start_runner(task))
            except OSError as error:
                self._fail("worker_died", f"No process could be started for the worker: {error.strerror}.")
            else:
                self._handle(Turn())

    def _turn_due(self) -> float | None:
        return self._turn_at if self._state in (Waiting(), Between()) else None

    def _run_attempt(self) -> None:
        """Lets the worker begin and listens until its runner is gone."""
        if self._attempt is None or isinstance(self._state, Ending):
            return
        self._begin()
        while self._attempt.exit_status is None:
            self._wait()

    def _begin(self) -> None:
        assert self._attempt is not None
        self._attempt.begin(self._checkpoint.saved(), self._picture.attempt)
        self._usage = Usage(self._spec, self._folder.path)

    # -- what comes in -------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Waits for the next thing to happen and deals with everything that has."""
        moments = [self._picture.due(), self._items.due(), self._metrics.due(), self._checkpoint.due(),
                   self._saved.due(), self._turn_due(), self._timeout_at()]
        if self._attempt is not None:
            moments += [self._attempt.deadline, self._attempt.look_at, self._usage.due()]
        heard = self._ears.wait(min((moment for moment in moments if moment is not None), default=math.inf))
        try:
            grown = self._read_reports(heard.ready)
            grown |= self._pump_output(heard.ready)
            self._see()
            if heard.look:
                self._look()
            if heard.terminate:
                self._terminate()
            self._flush()
        except OSError as error:
            self._disk_full(error)
        else:
            if grown:
                self._ring()
        self._watch_limits()
        self._reap()

    def _look(self) -> None:
        if self._writer.is_removed():  # nobody can see this task any more, or ask it to end
            self._disk_full(FileNotFoundError(errno.ENOENT, "it was removed"))
        actions, self._requests_read = self._folder.requests(self._requests_read)
        for action in actions:
            self._handle(Ask(action))  # type: ignore[arg-type]

    def _terminate(self) -> None:
        """SIGTERM, a shutdown: an abort with its own code."""
        before = self._state
        self._handle(Ask("abort"))
        self._terminated |= self._state != before

    def _read_reports(self, ready: set[int]) -> bool:
        """Takes what the runner has reported; whether there was anything."""
        lines = self._attempt.reports(ready) if self._attempt else None
        if lines is None:
            return False
        for line in filter(None, lines):
            try:
                self._take(line[:1], line[1:])
            except TooManyNamesError:
                self._leave_metric_out()
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # somebody else wrote there
                self._output_file.write(b"[sse_tasks: a report of the worker was garbled and is left out]\n")
        self._items.flush()
        return True

    def _see(self) -> None:
        """Takes what the worker has said of itself."""
        if self._attempt is not None and (news := self._attempt.news()) is not None:
            self._picture.take(news)

    def _leave_metric_out(self) -> None:
        if not self._metrics_left_out:
            self._metrics_left_out = True
            self._output_file.write(b"[sse_tasks: a task may have %d metrics; those of further names are left out]\n"
                                    % NAMES_LIMIT)

    def _pump_output(self, ready: set[int]) -> bool:
        data = self._attempt.output(ready) if self._attempt else b""
        self._output_file.write(data)
        return bool(data)

    def _take(self, kind: bytes, body: bytes) -> None:
        assert self._attempt is not None
        if kind == b"P":
            self._attempt.rung()
            if body:
                self._picture.take(msgspec.json.decode(body))
        elif kind == b"I":
            self._items.add(body)
        elif kind == b"M":
            self._metrics.add(body)
        elif kind == b"C":
            self._items.flush()
            self._metrics.flush()
            self._checkpoint.set(body, self._items.size, self._metrics.size)
        elif kind == b"S":
            self._handle(PauseReached())
        elif kind in (b"R", b"E", b"A") and self._attempt.failure is not None:
            return  # its time was over before, and another attempt follows
        elif kind == b"R":
            msgspec.json.decode(body, type=msgspec.Raw)
            self._take_result(body)
        elif kind == b"E":
            error = json.loads(body)
            self._fail(error["code"], error["error"])
        elif kind == b"A":
            self._handle(Finished(Outcome(status=Status.ABORTED)))
        else:
            raise ValueError("no report")
        if kind in (b"R", b"E", b"A"):
            self._attempt.deadline = time.monotonic() + self._spec.abort_grace  # for the interpreter to leave

    def _take_result(self, body: bytes) -> None:
        if not isinstance(self._state, Ending) and requested_of(self._state) != "abort":
            if len(body) > self._spec.result_limit:
                self._fail("result_limit", result_too_large(len(body), self._spec.result_limit))
            elif (exceeded := self._usage.files()) is not None:
                self._fail(*exceeded)
            else:
                write_result(self._folder.path, body)  # from here on an abort loses
        self._handle(Finished(Outcome(status=Status.COMPLETED)))

    def _reap(self) -> None:
        """Buries dead children; the runner's end is the worker's."""
        for pid, status in reap():
            if self._attempt is not None and pid == self._attempt.pid:
                self._attempt.exit_status = status

    # -- what time brings ----------------------------------------------------------------------------------------

    def _timeout_at(self) -> float | None:
        if (self._spec.timeout is None or self._attempt is None or self._attempt.failure is not None
                or self._state not in (Running(), Running("pause"))):
            return None
        ran = self._picture.ran_seconds()
        return None if ran is None else time.monotonic() + self._spec.timeout - ran

    def _watch_limits(self) -> None:
        attempt = self._attempt
        if attempt is None:
            return
        now = time.monotonic()
        timeout_at = self._timeout_at()
        if timeout_at is not None and now >= timeout_at:
            error = f"The task ran longer than its timeout of {self._spec.timeout:g} seconds."
            if next_attempt(self._spec, self._picture.attempt, "timeout", error) is None:
                self._fail("timeout", error)
            else:
                attempt.failure = Failure("timeout", error)  # until it is gone, the task can still be aborted
            self._tell(Signal.ABORT)
        if attempt.deadline is not None and now >= attempt.deadline:
            attempt.deadline = None
            attempt.kill()
        if now >= self._usage.due():
            exceeded = self._usage.look()
            if exceeded is not None and not isinstance(self._state, Waiting | Ending):
                self._fail(*exceeded)
                attempt.kill()  # without a grace, in which it would take more still

    # -- what is decided and written -----------------------------------------------------------------------------

    def _handle(self, event: Any) -> None:
        before = self._state
        self._state, wish = transition(before, event)
        if wish is Signal.START:
            self._picture.start(self._spec.retries + 1)
        if self._state != before:
            stands = isinstance(self._state, Paused) or self._state == Between(paused=True)
            self._picture.set_paused(stands)
            if stands or isinstance(before, Paused):
                self._checkpoint.flush(force=True)
            if not isinstance(self._state, Ending):
                self._items.flush()
                self._metrics.flush(force=stands)
                self._write("status")
        if wish in _LETTERS:
            self._tell(wish)  # type: ignore[arg-type]

    def _fail(self, code: str, error: str) -> None:
        if not isinstance(self._state, Ending):  # else it has failed already
            self._error = error
        self._handle(Finished(Outcome(status=Status.FAILED, code=code)))

    def _tell(self, wish: Signal) -> None:
        if self._attempt is None:
            return
        if wish is Signal.ABORT and self._attempt.deadline is None:  # a second one doesn't extend it
            self._attempt.deadline = time.monotonic() + self._spec.abort_grace
        self._attempt.tell(_LETTERS[wish])

    def _write(self, kind: str, **fields: Any) -> None:
        self._see()
        self._picture.items, self._picture.metrics = self._items.count, self._metrics.count
        self._items.counted()
        self._metrics.counted()
        try:
            self._writer.append(self._picture.update(kind, self._state, **fields))
        except OSError as error:
            if kind in _TRIED_AGAIN and error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._picture.try_again()  # nothing that it did is lost by that: who fills the disk is to fail, not all
            else:
                self._disk_full(error)
        self._ring()

    def _flush(self) -> None:
        """Writes what its throttle lets through now."""
        self._metrics.flush()
        if self._picture.is_due():
            self._write("progress")
        elif self._items.is_due():
            self._write("items")
        elif self._metrics.is_due():
            self._write("metrics")
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
            self._error = f"The task folder can't be written: {error.strerror}."
            self._state = transition(self._state, Finished(Outcome(status=Status.FAILED, code="disk_full")))[0]
            if self._attempt is not None:
                self._attempt.kill()

    # -- the end of an attempt -----------------------------------------------------------------------------------

    def _close_attempt(self) -> None:
        """The runner is gone: nothing of it may be left when another attempt begins, or the terminal update comes."""
        attempt = self._attempt
        if attempt is None:
            return
        self._left = kill_children()
        for take in (self._read_reports, self._pump_output):
            try:
                while take(attempt.sources):
                    pass
            except OSError as error:  # its last words, or its result, can't be kept: that is how it ended
                self._disk_full(error)
        self._see()
        self._reap()
        try:
            self._look()  # an abort that was asked before it died comes before another attempt
        except OSError as error:  # what has come in since can't be kept: likewise
            self._disk_full(error)
        if not isinstance(self._state, Ending):
            self._judge(attempt)
        attempt.close()
        self._attempt = None

    def _judge(self, attempt: Attempt) -> None:
        """The attempt has given neither result nor error: another one, or the end."""
        failure = attempt.failure or attempt.death(self._usage.resident)
        if failure is None:
            self._handle(Finished(Outcome(status=Status.ABORTED, code="terminated")))
            return
        following = next_attempt(self._spec, self._picture.attempt, failure.code, failure.error)
        if following is None or self._left or requested_of(self._state) == "abort":
            self._fail(failure.code, failure.error + (KEPT if failure.code == "worker_died" else ""))
            return
        try:
            self._prepare(following)
        except OSError as error:
            self._disk_full(error)

    def _prepare(self, following: NextAttempt) -> None:
        """For another attempt all is as the last saved state left it."""
        self._items.flush()
        self._metrics.flush(force=True)
        self._checkpoint.flush(force=True)
        cut_items(self._folder, self._picture.attempt)
        self._items = ItemsFile(self._folder.path)
        self._metrics = MetricsFile(self._folder.path)
        self._temp_dir()
        self._picture.announce(following.number, following.message)
        self._turn_at = time.monotonic() + following.delay
        self._handle(AttemptGone())

    def _temp_dir(self) -> None:
        """A new one, where an earlier attempt may have left something."""
        if self._spec.temp_dir:
            try:
                try:
                    os.mkdir(self._spec.temp_dir, mode=0o700)
                except FileExistsError:
                    shutil.rmtree(self._spec.temp_dir, ignore_errors=True)
                    os.mkdir(self._spec.temp_dir, mode=0o700)  # one that is somebody else's is not taken
            except OSError as error:
                self._disk_full(error)

    # -- the end -------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """No process of the task is left when the terminal update is written."""
        if self._attempt is not None:  # one that was never given its task
            self._close_attempt()
        shutil.rmtree(self._spec.temp_dir, ignore_errors=True)
        try:
            self._items.flush()
            self._checkpoint.flush(force=True)
            self._metrics.flush(force=True)
        except OSError as error:
            self._disk_full(error)
            self._items.drop()
        self._usage.close()
        self._picture.set_paused(False)
        self._handle_gone()
        self._let_go()

    def _let_go(self) -> None:
        self._ears.close()
        self._bell.close()
        self._writer.close()

    def _handle_gone(self) -> None:
        self._state = transition(self._state, Gone())[0]
        assert isinstance(self._state, Ended)
        fields = end_fields(self._folder, self._state.outcome, self._error)
        if self._terminated and self._state.outcome.status is Status.ABORTED:
            fields["code"] = "terminated"
        if self._left:
            fields["message"] = f"These processes could not be ended: {', '.join(map(str, self._left))}."
        self._picture.items, self._picture.metrics = self._items.written, self._metrics.count
        self._write_end(self._picture.update(fields.pop("type"), self._state, **fields))
        self._bell.ring(self._spec.task_id, to="mf")

    def _write_end(self, update: dict[str, Any]) -> None:
        """On a disk that is full to the last byte it is tried for some seconds; then whoever looks at the task will."""
        for _ in range(_END_TRIES):
            try:
                self._writer.append(update, sync=True)
                return
            except OSError:
                time.sleep(_END_SECONDS)
