"""What is done ahead of tasks, so that a start isn't felt, changes nothing that a task could see, and isn't kept."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sse_tasks.bell import is_dead
from sse_tasks.folder import create_task_folder, publish
from sse_tasks.types import TaskSpec, new_task_id, now_iso
from sse_tasks.worker.held import Held
from sse_tasks.worker.start_method import forks

from ..places import Place, command_of, descendants, kill, processes_of, wait_for

REHEARSE = """
import json, os, signal, sys
from sse_tasks.worker import rehearsal

def seen():
    fds = [os.readlink(f"/proc/self/fd/{fd}") for fd in range(100) if os.path.lexists(f"/proc/self/fd/{fd}")]
    handlers = {number: str(signal.getsignal(number)) for number in signal.valid_signals()}
    return {"environ": dict(os.environ), "path": sys.path, "cwd": os.getcwd(), "files": fds, "handlers": handlers,
            "wakeup": signal.set_wakeup_fd(-1), "streams": [str(sys.stdin), str(sys.stdout), str(sys.stderr)],
            "workers": [name for name in sys.modules if name.startswith("sse_tasks_worker")],
            "children": open("/proc/thread-self/children").read()}

before = seen()
rehearsal.rehearse_keeper()
rehearsal.rehearse_runner()
print(json.dumps([before, seen()]))
"""

BUSY = """
import time
from sse_tasks.worker import spares

spares._is_processor_free = lambda: False
began = time.monotonic()
pairs = spares.Spares()
while not pairs.pids:
    pairs.look()
    time.sleep(0.01)
print(time.monotonic() - began >= spares.BUSY_SECONDS)
pairs.close()
"""


@pytest.mark.skipif(not forks(), reason="only what is forked rehearses")
def test_a_rehearsal_leaves_no_trace(tmp_path: Path) -> None:
    """Environment, import path, signals, descriptors, modules and the disk are as they were; nothing is printed."""
    done = subprocess.run([sys.executable, "-c", REHEARSE], cwd=tmp_path, capture_output=True, text=True, check=True)

    before, after = json.loads(done.stdout)
    assert after == before
    assert done.stderr == "" and os.listdir(tmp_path) == []


@pytest.mark.skipif(not forks(), reason="only Linux says how many want the processor")
def test_spares_come_though_the_processor_is_taken() -> None:
    """Where something runs all the time, they are made a little later: a start isn't felt there either."""
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, check=True, timeout=60)

    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.skipif(not forks(), reason="only what is forked rehearses")
def test_a_spare_has_no_other_worker_in_it(place: Place) -> None:
    """A task that a spare runs sees its own module alone, and an event loop of its own making."""
    place.start("looks-around").end()

    def spares() -> list[int]:
        return [pid for forkserver in place.forkservers() for pid in descendants(forkserver)
                if "runner, waits" in command_of(pid)]

    wait_for("a spare", spares)
    result = place.start("looks-around").end().result

    assert result == {"modules": ["forking"], "first_on_path": "workers", "has_loop": False}


def test_the_names_of_the_killed_are_swept_away(place: Place) -> None:
    """Those of a keeper and its forkserver go with the next forkserver, if not before; those of the living stay."""
    place.manager(max_running=4)
    lost, lives = place.start("wait"), place.start("wait")
    for task in (lost, lives):
        task.until_message("waiting")
    folder = Path(lost.manager.socket_dir)
    for pid in [*place.forkservers(), lost.keeper()]:
        kill(pid)
    wait_for("their deaths", lambda: len(dead(folder)) >= 3)  # the keeper's, and the forkserver's two
    for name in os.listdir(folder):
        os.utime(folder / name, (1, 1))  # none of them is one that is just being bound

    place.start("add", a=1).end()

    wait_for("the names to go", lambda: not dead(folder))
    assert lives.task_id in os.listdir(folder) and lost.task_id not in os.listdir(folder)
    lives.ask("abort")
    lives.end()
    wait_for("all to be gone", lambda: not processes_of(lost.task_id))


def dead(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if is_dead(str(folder / name))]


def test_to_ask_whether_a_name_is_dead_wakes_nobody(tmp_path: Path) -> None:
    """Neither a listener for bells nor one for connections notices; a file, or nothing at all, isn't dead."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        path = str(tmp_path / f"s{kind:d}")
        with socket.socket(socket.AF_UNIX, kind) as listener:
            listener.bind(path)
            listener.setblocking(False)
            if kind == socket.SOCK_STREAM:
                listener.listen()
            assert not is_dead(path)
            with pytest.raises(BlockingIOError):
                listener.accept() if kind == socket.SOCK_STREAM else listener.recv(1)
        assert is_dead(path)
    assert not is_dead(str(tmp_path / "none"))


@pytest.mark.parametrize(("retries", "has_begun", "is_kept"), [
    (0, False, True), (0, True, False), (2, True, True)])
def test_a_forkserver_keeps_no_more_than_it_may_need(
        tmp_path: Path, retries: int, has_begun: bool, is_kept: bool) -> None:
    """Input and environment of a task that runs its only attempt are let go of; they may be large, and secret."""
    spec = TaskSpec(task_id=new_task_id(), task_type="a", worker={}, input="x" * 1000, created_at=now_iso(),
                    retries=retries)
    update = {"type": "status", "taskId": spec.task_id, "timestamp": now_iso(), "status": "idle"}
    writer = create_task_folder(tmp_path, spec, update)
    publish(writer)
    if has_begun:
        writer.append(update | {"status": "running", "startedAt": now_iso()})
    message = {"op": "start", "spec": {"taskId": spec.task_id, "taskType": "a", "worker": {}, "input": spec.input,
                                       "createdAt": spec.created_at, "retries": retries},
               "folder": str(writer.folder.path), "environ": {"SECRET": "1"}}
    held = Held.of(message, json.dumps(message).encode(), writer.fd)

    held.forget_what_is_over()

    assert bool(held.message) is is_kept
    assert held.spec.input is None and held.spec.task_id == spec.task_id
    held.writer.close()


def test_what_a_worker_writes_into_its_report_pipe_takes_no_report_along(shared_place: Place) -> None:
    """Raw bytes in mid-line, before an item and before the result: both come whole, and the output says so."""
    task = shared_place.start("scribbles")

    end = task.end()

    assert (end.status, end.result, end.items) == ("completed", "whole", 1)
    assert task.output().count("a report of the worker was garbled") == 2
