"""A machine or container that is gone, tried with PID namespaces: what it ran is told as lost, and left as it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sse_tasks.hosts.local import host_id

from ..places import Place, Task, descendants, kill, living, processes_of, wait_for
from .streams import WORKERS, begun, environment, steady_input

UNSHARE = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--pid", "--fork", "--mount-proc",
           "--kill-child"]


class Container:
    """A PID namespace with a task manager on the same data folder. Its first process is 1 there, with a start time of
    its own; when that is killed, the kernel kills all others."""

    def __init__(self, place: Place, max_running: int) -> None:
        self._process = subprocess.Popen(
            [*UNSHARE, sys.executable, str(Path(__file__).with_name("inside.py")), str(place.data_dir), str(WORKERS),
             str(max_running)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment(place))
        self._answer()

    def call(self, verb: str, *arguments: Any) -> dict[str, Any]:
        """Of TaskManager, in there: the id, status and code of the task that it is about."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([verb, *arguments]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def kill(self) -> None:
        """All of it, as by the end of a container."""
        inside = descendants(self._process.pid)
        for pid in inside[:1]:
            kill(pid)
        self._process.communicate(timeout=60)
        wait_for("the end of the container", lambda: not set(inside) & set(living()))


@pytest.fixture
def container(place: Place) -> Iterator[Container]:
    """A container in which one task may run at a time."""
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"PID namespaces can't be made here: {tried.stderr.strip()}")
    made = Container(place, 1)
    yield made
    made.kill()


def as_it_is(task: Task) -> dict[str, bytes]:
    """All that stands in a task's folder."""
    return {str(path.relative_to(task.folder.path)): path.read_bytes()
            for path in sorted(task.folder.path.rglob("*")) if path.is_file()}


def test_what_a_lost_container_ran_is_told_as_lost_with_all_that_it_had_done(
        place: Place, container: Container) -> None:
    """While it lives, its tasks are read as running, and hear what they are asked, from outside. After its end those
    that ran or waited there are ``host_lost``: every item is there, words say how to go on, nothing in their folders is
    changed however often one looks, and they keep no slot and no place from those that run here."""
    manager = place.manager(max_running=1, worker_folders=[str(WORKERS)])
    tasks = [Task(manager, container.call("start", "steady", steady_input(place, number))["id"]) for number in (0, 1)]
    wait_for("its first items", tasks[0].items)

    manager.recover_all()
    assert [info.status for info in manager.list()[0]] == ["idle", "running"]
    assert [info.host == host_id() for info in manager.list()[0]] == [False, False]
    tasks[0].ask("pause")
    tasks[0].until("paused")
    tasks[0].ask("resume")
    tasks[0].until("running")
    here = place.start("steady", manager, **steady_input(place, 2))
    assert here.info().position == 2
    kill(tasks[0].runner(), signal.SIGSTOP)  # so that what it has emitted is told of before the end
    wait_for("all of it to be told", lambda: (u := tasks[0].latest()) is not None and u.items == len(tasks[0].items()))
    container.kill()

    infos = [task.info() for task in tasks]
    assert [(info.status, info.code) for info in infos] == [("failed", "host_lost")] * 2
    assert all("Restart" in (info.error or "") for info in infos), infos[0].error
    assert infos[0].items == len(tasks[0].items()) > 0
    assert [json.loads(item)["step"] for item in tasks[0].items()] == list(range(1, infos[0].items + 1))
    before = [as_it_is(task) for task in tasks]
    heard: list[str] = []
    stop = manager.watch(heard.append)
    manager.recover_all()
    wait_for("the turn of the one that waits here", here.items)
    assert [as_it_is(task) for task in tasks] == before
    (place.scratch / "gate").touch()
    assert here.end().status == "completed" and begun(place) == [0, 2]
    assert place.waiting() == []
    for number, task in enumerate(tasks):
        again = Task(manager, manager.restart(task.task_id).task_id)
        assert (again.info().restart_of, again.end().status) == (task.task_id, "completed")
        assert again.info().input["number"] == number
    stop()


def test_what_dies_here_is_ended_from_here_and_not_from_a_container(place: Place, container: Container) -> None:
    """A manager in a container reads a task that runs outside as running, and a dead one as ``host_lost``; it kills
    and writes nothing. One on the task's own host then says what became of it."""
    manager = place.manager(max_running=1, worker_folders=[str(WORKERS)])
    task = place.start("steady", manager, **steady_input(place, 0))
    wait_for("its first items", task.items)
    container.call("recover_all")
    assert container.call("info", task.task_id)["status"] == "running"

    for pid in [*place.forkservers(), task.keeper()]:
        kill(pid)
    wait_for("the death of the keeper", lambda: not task.folder.is_held() and not processes_of(task.task_id))
    before = as_it_is(task)
    container.call("recover_all")
    seen = container.call("info", task.task_id)

    assert (seen["status"], seen["code"]) == ("failed", "host_lost") and as_it_is(task) == before
    assert task.info().code == "worker_died" and task.one_terminal().status == "failed"
