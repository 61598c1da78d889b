"""What a keeper and a runner do when a task begins, done once ahead for nobody, while there is time.

A forked process copies each page of memory when it first writes to it, and in Python to read is to write; the first run
of any code fills caches, too. Together that takes longer than the beginning itself. Nothing that is done here is seen
anywhere: it writes to memory alone, and what it changes in this process is put back.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec

from ..folder import TaskFolder
from ..log_writer import LogWriter
from ..registry import load_worker
from ..types import Status, TaskSpec, now_iso
from ..wire import encode
from .channel import receive, send
from .identity import NO_TASK
from .keeper import Keeper
from .pairs import Runner
from .processes import write_mark

__all__ = ["rehearse_keeper", "rehearse_runner"]

_NOWHERE = "/dev/null"  # no folder, so that nothing can be made below it
_WORKER = {"file": str(Path(__file__).with_name("rehearsed_worker.py"))}
_NAME = "rehearsed"


def _task() -> dict[str, Any]:
    """A task as a forkserver is given it: through JSON, and of nobody."""
    spec = TaskSpec(task_id=NO_TASK, task_type=_NAME, worker=_WORKER, input={"text": "", "number": 2},
                    created_at=now_iso(), environ=list(os.environ), sys_path=list(sys.path), runtime_dir=_NOWHERE)
    task = {"spec": msgspec.to_builtins(spec), "folder": f"{_NOWHERE}/{NO_TASK}", "environ": dict(os.environ)}
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, task)
        received = receive(theirs)
    assert received is not None
    return received[0]


def rehearse_keeper() -> None:
    """A keeper's way to the moment when its runner has the task. For a process without handlers of its own."""
    task = _task()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGCHLD, signal.SIGTERM)}
    spec = msgspec.convert(task["spec"], TaskSpec)
    writer = LogWriter(TaskFolder(Path(task["folder"])), os.memfd_create("rehearsal"))
    ours, theirs = socket.socketpair()
    (control_read, control), (reports, reports_write), (output, output_write) = (os.pipe() for _ in range(3))
    try:
        with theirs:
            writer.append({"type": "status", "taskId": NO_TASK, "timestamp": now_iso(), "status": Status.IDLE})
            Keeper(spec, writer, Runner(0, ours, control, reports, output,
                                        (control_read, reports_write, output_write))).rehearse(task)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def rehearse_runner() -> None:
    """A runner's way from its task to its worker's first line, but for what ``runner`` itself does ahead."""
    task = _task()
    spec = msgspec.convert(task["spec"], TaskSpec)
    environ, path = dict(os.environ), list(sys.path)
    try:
        write_mark(NO_TASK)
        os.environ.clear()
        os.environ.update(environ)
        sys.path[:] = spec.sys_path
        worker = load_worker(spec.worker, spec.task_type)
        del sys.modules[worker.function.__module__]
        inspect.signature(worker.function).bind(None, **worker.convert(spec.input))
        encode({"progress": {"percentage": 0.0}, "message": spec.task_type})
        loop = asyncio.new_event_loop()  # it isn't made the current one: a worker finds none, as in any new process
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    finally:
        sys.path[:] = path
