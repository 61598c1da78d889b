"""The runner: the process that runs one task's worker, and only that one.

It is started by its keeper, waits for its task on a socket, and reports over a pipe, one line each, empty ones between
them:

====  =====================================================================
``P``  progress: it stands on the slate, or here: JSON of ``{"progress": …, "message": …}``
``I``  an item: its JSON, and behind a tab its exact form where that differs
``M``  a point of a metric: JSON of ``{"name": …, "value": …, "step": …, "timestamp": …}``
``C``  a checkpoint's state, in Python's dialect of JSON
``S``  it stands still
``R``  the worker's result as JSON; what else Python needs of it lies in the folder
``E``  how the worker failed: JSON of ``{"code": …, "error": …}``
``A``  the worker ended because it was aborted
====  =====================================================================

What is in the pipe survives the runner, and what stands on the slate.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from os import _exit, getpid, write
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

import msgspec

from ..errors import InvalidInputError, SseTasksError, TaskAborted, TaskError, WorkerLoadError
from ..folder import TaskFolder
from ..items import write_item_schema
from ..registry import InvalidOutputError, Worker, load_worker
from ..types import TaskSpec, now_iso
from ..wire import encode
from .bar_hooks import follow_bars
from .bars import Bars
from .channel import Receiver
from .context import AsyncTaskContext, TaskContext
from .control import Control
from .limits import result_too_large
from .line import Line, LineCutError, out_of_the_way
from .log_output import show_logs
from .processes import MARK, die_with_parent, say_title, write_mark
from .results import drop_result, keep_result, kept_bytes
from .slate import Slate

__all__ = ["main"]

_ERROR_CHARACTERS = 4000


class LastWord(NamedTuple):
    """How the worker ended: a report's kind and body, and what the task's output is to say after it."""

    kind: str
    body: Any
    output: str = ""


class Pipe:
    """The reports of this process to its keeper. Whole lines, from any thread, and from what the worker has forked:
    once it has, all of them take turns by a lock on a file. What a signal's handler reports in the midst of a report
    comes after it."""

    def __init__(self, fd: int, slate: Slate | None = None) -> None:
        self._line = Line(fd, writes=True)
        self._slate = slate
        self._lock = threading.RLock()
        self._waiting: deque[memoryview] = deque()
        self._is_writing = False
        self._shared_fd: int | None = None
        os.register_at_fork(before=self._share, after_in_child=self._stand_alone)

    def _share(self) -> None:
        if self._shared_fd is None:
            with contextlib.suppress(OSError):
                fd, path = tempfile.mkstemp()
                os.unlink(path)
                self._shared_fd = out_of_the_way(fd)

    def _stand_alone(self) -> None:
        self._lock = threading.RLock()  # a thread that isn't here may have held it
        self._waiting.clear()
        self._is_writing = False
        self._slate = None  # its parent's

    def send(self, kind: str, body: str = "") -> None:
        # What the worker may have written there itself, in mid-line, must not take a report with it.
        self._waiting.append(memoryview(f"\n{kind}{body}\n".encode("ascii")))
        with self._lock:
            while self._waiting and not self._is_writing:
                self._is_writing = True
                try:
                    self._write_next()
                finally:
                    self._is_writing = False

    def _write_next(self) -> None:
        if self._waiting:  # still: a handler may have come in between
            self._take_turn(fcntl.LOCK_EX)
            self._line.write(self._waiting.popleft())
            self._take_turn(fcntl.LOCK_UN)

    def _take_turn(self, operation: int) -> None:
        if self._shared_fd is not None:
            try:
                fcntl.lockf(self._shared_fd, operation)
            except OSError:  # the worker has closed it: from now on long lines of several processes may mix
                self._shared_fd = None

    def progress(self, progress: dict[str, Any] | None, message: str | None) -> None:
        if self._slate is not None:
            if self._slate.say(progress, message):
                self.send("P")
            return
        said = {k: v for k, v in (("progress", progress), ("message", message)) if v is not None}
        self.send("P", encode(said)[0])

    def item(self, wire: str, exact: str | None) -> None:
        self.send("I", wire if exact is None else f"{wire}\t{exact}")

    def metric(self, name: str, value: float | None, step: float | None) -> None:
        point: dict[str, Any] = {"name": name, "value": value}
        if step is not None:
            point["step"] = step
        self.send("M", encode(point | {"timestamp": now_iso()})[0])

    def state(self, exact: str) -> None:
        self.send("C", exact)

    def paused(self) -> None:
        self.send("S")


def main(task_socket: socket.socket, control_fd: int, pipe_fd: int, keeper: int, slate: Slate | None = None,
         rehearse: Callable[[], None] | None = None) -> NoReturn:
    """The process's life. ``keeper`` is its parent's pid. ``rehearse`` is called before it waits for its task. Never
    returns."""
    try:
        _live(task_socket, control_fd, Pipe(out_of_the_way(pipe_fd), slate), keeper, rehearse)
    except LineCutError as error:
        _say(f"{error.strerror}")
    except BaseException:  # it must not return into the keeper's code
        traceback.print_exc()
    finally:
        _exit(1)


def _live(task_socket: socket.socket, control_fd: int, pipe: Pipe, keeper: int,
          rehearse: Callable[[], None] | None) -> None:
    die_with_parent(keeper)
    os.setpgid(0, 0)  # a worker's killpg(0) must not reach keeper and forkserver
    control = Control(out_of_the_way(control_fd), pipe.paused)
    control.listen()
    _open_streams()
    if rehearse is not None:
        with contextlib.suppress(Exception):  # what is wrong with it the forkserver's log says
            rehearse()
    receiver = Receiver(task_socket)
    task = _receive(receiver)
    spec = msgspec.convert(task["spec"], TaskSpec)
    folder = TaskFolder(Path(task["folder"]))
    fault = _enter(spec, task["environ"])
    bars = Bars(control, pipe)
    follow_bars(bars)
    show_logs()
    begin = _receive(receiver)  # not before the log says that the task runs
    task_socket.close()
    try:
        if fault is not None:
            raise fault
        worker = load_worker(spec.worker, spec.task_type)
        last = _run(worker, spec, folder, control, pipe, begin, bars)
    except SseTasksError as error:
        cause = error.__cause__ if isinstance(error, WorkerLoadError) else None
        last = LastWord("E", {"code": error.code, "error": str(error)}, "" if cause is None else _traceback(cause))
    except OSError as error:
        last = LastWord("E", {"code": "worker_error", "error": f"The task can't start: {error}"})
    control.close()
    pipe.send(last.kind, last.body if isinstance(last.body, str) else encode(last.body)[0])
    if last.output:  # after the report: a disk that has no room for it is not why this task has failed
        _say(last.output)
    _leave()


def _receive(receiver: Receiver) -> dict[str, Any]:
    """What the keeper sends next: it may have come already. Where it sends no more, this process has nothing to do."""
    while (given := receiver.take()) is None:
        if not receiver.feed():
            _exit(0)
    return given[0]


def _open_streams() -> None:
    """Input and output of the task, whatever the process that this one was forked from had made of its own."""
    sys.stdout = open(1, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115 - for the process's life
    sys.stderr = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115


def _enter(spec: TaskSpec, environ: dict[str, str]) -> OSError | None:
    """Makes this process the task's: mark, environment, folder, import path. Gives what stands in the way of it."""
    write_mark(spec.task_id)
    os.environ.clear()
    os.environ.update(environ)
    os.environ[MARK] = spec.task_id
    os.environ["TMPDIR"] = spec.temp_dir
    time.tzset()
    say_title(f"sse-task {spec.task_type} {spec.task_id}")
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # the kernel takes a task before keeper or server
            file.write("500")
    except OSError:
        pass
    try:
        os.chdir(spec.cwd)
    except OSError as error:
        return error
    if spec.sys_path:  # none: another interpreter than the starter's, with a path of its own
        sys.path[:] = spec.sys_path
    sys.argv[:] = [spec.task_type]
    tempfile.tempdir = None  # the forkserver may have asked for it already
    return None


def _run(worker: Worker, spec: TaskSpec, folder: TaskFolder, control: Control, pipe: Pipe,
         begin: dict[str, Any], bars: Bars) -> LastWord:
    arguments = worker.convert(spec.input)
    write_item_schema(folder, worker.item_schema())
    log = logging.getLogger("sse_tasks.task")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    context = (AsyncTaskContext if worker.is_async else TaskContext)(
        task_id=spec.task_id, input=spec.input, files=folder.files_path, saved=begin["saved"], attempt=begin["attempt"],
        log=log, control=control, reporter=pipe, item_limit=spec.item_limit)
    bars.context = context
    control.hold = not worker.takes_ctx
    pid = getpid()
    try:
        if worker.is_async:
            result = asyncio.run(_as_task(worker.call(context, arguments), control))
        else:
            control.open()
            result = worker.call(context, arguments)
        control.close()
        if getpid() != pid:
            _leave_fork(None)
        return _result(worker, folder, result, spec.result_limit)
    except BaseException as error:
        control.close()
        if getpid() != pid:
            _leave_fork(error)
        return _failure(error, control)


async def _as_task(coroutine: Any, control: Control) -> Any:
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    assert task is not None
    control.interrupt = lambda: _cancel(loop, task, control)
    control.is_main_part = lambda: _current_task() is task
    control.open()
    return await coroutine


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # a thread without a loop
        return None


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any], control: Control) -> None:
    def cancel() -> None:
        if not control.raised:  # a call of ctx came first: the worker is cleaning up
            task.cancel()

    try:
        loop.call_soon_threadsafe(cancel)
    except RuntimeError:
        pass  # the loop has been closed: the worker is ending anyway


def _result(worker: Worker, folder: TaskFolder, result: Any, limit: int) -> LastWord:
    try:
        worker.check_output(result)
    except InvalidOutputError as error:
        return LastWord("E", {"code": "invalid_output",
                              "error": f"The worker's result doesn't fit its declared type: {error}"}, _shown(result))
    try:
        wire = keep_result(result, folder, worker.function)
        if (size := max(len(wire), kept_bytes(folder))) > limit:
            drop_result(folder)
            return LastWord("E", {"code": "result_limit", "error": result_too_large(size, limit)})
        return LastWord("R", wire)
    except BaseException as error:  # the worker's own classes have their say in it
        why = f"{type(error).__name__}: {_cut(_text(error))}"
        return LastWord("E", {"code": "invalid_output", "error": f"The worker's result can't be kept ({why}); its "
                                                                 "output has its repr."}, _shown(result))


def _failure(error: BaseException, control: Control) -> LastWord:
    if control.wants_abort and isinstance(error, TaskAborted | asyncio.CancelledError):
        return LastWord("A", "")
    code, text = "worker_error", _text(error)
    if isinstance(error, InvalidInputError | TaskError):
        code = error.code
    else:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return LastWord("E", {"code": code, "error": _cut(text)}, _traceback(error))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # the worker's own class, with a fault of its own
        return ""


def _cut(text: str) -> str:
    """An error as updates, lists and snapshots carry it, each time."""
    if len(text) <= _ERROR_CHARACTERS:
        return text
    return f"{text[:_ERROR_CHARACTERS]}… (cut; the whole is in the task's output)"


def _traceback(error: BaseException) -> str:
    """The worker's traceback, from its own code on."""
    here = os.path.dirname(__file__)
    frame: TracebackType | None = error.__traceback__
    while frame is not None and (frame.tb_frame.f_code.co_filename.startswith(here)
                                 or "/asyncio/" in frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    try:
        lines = traceback.format_exception(type(error), error, frame or error.__traceback__)
    except BaseException:  # a fault in the worker's own class
        lines = [f"{type(error).__name__} (its traceback can't be shown)"]
    return "".join(lines)


def _shown(value: Any) -> str:
    try:
        return repr(value)[:10_000]
    except BaseException:
        return f"<{type(value).__qualname__} without a repr>"


def _say(text: str) -> None:
    """Into the task's output, also where the worker has closed or replaced ``sys.stderr``."""
    with contextlib.suppress(Exception):
        sys.stderr.flush()
    data = memoryview(text.rstrip("\n").encode("utf-8", "backslashreplace") + b"\n")
    with contextlib.suppress(OSError):
        while data:
            data = data[write(2, data):]


def _leave_fork(error: BaseException | None) -> NoReturn:
    """A process that the worker forked came out of the worker's code: it ends as any other, and says nothing."""
    status = 0
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        status = 1
        _say(_traceback(error))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    _exit(status)


def _leave() -> NoReturn:
    """Ends like an interpreter, without waiting for the worker's threads: the task is over."""
    for end in (lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL), atexit._run_exitfuncs, logging.shutdown,
                lambda: sys.stdout.flush(), lambda: sys.stderr.flush()):
        try:
            end()
        except BaseException:  # the outcome has been told: nothing that fails now may change it
            pass
    _exit(0)
