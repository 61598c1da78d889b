"""Tasks whose processes are new interpreters, as where there is no fork: the same promises, as far as they go.

The whole of the process tests runs so with ``SSE_TASKS_START_METHOD=spawn``; here is a part of them.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from sse_tasks.fingerprint import forkserver_key
from sse_tasks.registry import Worker
from sse_tasks.task_manager import TaskManager
from sse_tasks.worker.start_method import default_start_method

from ..places import WORKERS, Place, Task, command_of, descendants, kill, living, processes_of, wait_for, workers_of
from .test_controls import KINDS, aborted, begun
from .test_describing import BAD, GOOD
from .test_hand_over import check_slots, runs, settle

LINUX_ALONE = {
    "fcntl": ["F_SETPIPE_SZ"],
    "os": ["O_TMPFILE", "memfd_create", "pidfd_open", "sched_getaffinity", "splice"],
    "signal": ["SIGRTMIN", "SIGRTMAX", "pidfd_send_signal"],
    "socket": ["MSG_CMSG_CLOEXEC", "SOCK_CLOEXEC", "SOCK_NONBLOCK"],
}

IMPORT_ALL = """
import asyncio, concurrent.futures, ctypes, importlib, json, os, pkgutil, psutil, subprocess, sys, tempfile
import numpy, pandas, IPython, anywidget, httpx, tornado.ioloop  # what looks at the system for itself
for module, names in json.loads(sys.argv[1]).items():
    for name in names:
        vars(importlib.import_module(module)).pop(name, None)
def no_prctl(*_):
    raise AssertionError("a library of this system was asked for")
sys.platform, ctypes.CDLL, os.fork = "darwin", no_prctl, None
import sse_tasks
for found in pkgutil.walk_packages(sse_tasks.__path__, "sse_tasks."):
    if found.name.rpartition(".")[2] not in ("linux", "forking"):
        importlib.import_module(found.name)
print([name for name in ("linux", "forking") if "sse_tasks.worker." + name in sys.modules])
"""

LOOK = """
import sys
from sse_tasks.task_manager import TaskManager
info = TaskManager(data_dir=sys.argv[1]).info(sys.argv[2])
print(info.status.value, info.code)
"""


@pytest.fixture(scope="module", autouse=True)
def spawning() -> Iterator[None]:
    """All managers of this module ask for new interpreters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSE_TASKS_START_METHOD", "spawn")
        yield


@pytest.fixture(scope="module")
def patient(shared_place: Place) -> TaskManager:
    """A manager whose aborted tasks have more time than any test."""
    return shared_place.manager(abort_grace=60)


def interpreters(pid: int) -> list[str]:
    """The modules that the processes below ``pid`` were started with."""
    words = [command_of(each).split() for each in descendants(pid)]
    return [line[line.index("-m") + 1].rpartition(".")[2] for line in words if "-m" in line]


# -- which way -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("system", "asked", "method"), [
    ("linux", None, "fork"), ("linux", "spawn", "spawn"), ("linux", "fork", "fork"), ("linux", "thread", "fork"),
    ("darwin", None, "spawn"), ("darwin", "fork", "spawn")])
def test_fork_is_for_linux(monkeypatch: pytest.MonkeyPatch, system: str, asked: str | None, method: str) -> None:
    """New interpreters can be asked for on Linux; elsewhere there is nothing else, whatever is asked for."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.delenv("SSE_TASKS_START_METHOD")
    if asked is not None:
        monkeypatch.setenv("SSE_TASKS_START_METHOD", asked)

    assert default_start_method() == method


def test_each_way_has_its_forkserver() -> None:
    """One that forks is never asked by who wants new interpreters."""
    fork, spawn = (forkserver_key(sys.executable, {}, method) for method in ("fork", "spawn"))

    assert fork != spawn


# -- without what Linux alone has ----------------------------------------------------------------------------------


def test_all_modules_can_be_imported_elsewhere() -> None:
    """Without fork, prctl and the names that only Linux has, every module is there but the two that need them."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", IMPORT_ALL, json.dumps(LINUX_ALONE)],
                          text=True, capture_output=True, timeout=60)

    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_keeper_and_runner_are_programs_of_their_own(shared_place: Place, patient: TaskManager) -> None:
    """The runner was started with the task's mark and title; both have the limits that a worker's programs expect."""
    task = begun(shared_place, patient, "busy", how="sleep")

    [forkserver] = shared_place.forkservers()
    environ = Path(f"/proc/{task.runner()}/environ").read_bytes().split(b"\0")
    assert {"keeper_process", "runner_process"} <= set(interpreters(forkserver))
    assert f"SSE_TASK_ID={task.task_id}".encode() in environ
    assert f"sse-task busy {task.task_id}" in command_of(task.runner())
    assert shared_place.start("descriptor-limit", patient).end().result == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    task.ask("abort")
    aborted(task)


def test_worker_files_are_described_each_in_an_interpreter(shared_place: Place) -> None:
    """One that ends its process, or kills its group, says so, and the others are there."""
    folder = shared_place.scratch / "workers"
    folder.mkdir()
    (folder / "good.py").write_text(GOOD)
    for name in ("leaving", "group"):
        (folder / f"{name}.py").write_text(BAD[name][0])

    types = {info.name: info for info in shared_place.manager(worker_folders=[str(folder)]).task_types()}

    assert types["good"].error is None and types["good"].input is not None
    for name in ("leaving", "group"):
        assert BAD[name][1] in (types[name].error or "")


# -- controls and ends ---------------------------------------------------------------------------------------------


def test_every_control_in_every_kind_of_worker(shared_place: Place, patient: TaskManager) -> None:
    """Plain and async, with and without ctx: paused, resumed, paused again and aborted, each cleans up."""
    tasks = [begun(shared_place, patient, kind, how="ctx-sleep" if kind.endswith("ctx") else "sleep")
             for kind in KINDS]

    for action, status in (("pause", "paused"), ("resume", "running"), ("pause", "paused")):
        for task in tasks:
            task.ask(action)
        for task in tasks:
            task.until(status)
    for task in tasks:
        task.ask("abort")

    for task in tasks:
        aborted(task)
        assert "cleaned" in task.output()


def test_an_abort_interrupts_a_main_thread_that_waits(shared_place: Place, patient: TaskManager) -> None:
    """The signal is the main thread's, whatever other threads there are."""
    task = begun(shared_place, patient, "busy", how="join")

    task.ask("abort")

    aborted(task)
    assert "cleaned" in task.output()


def test_what_is_asked_before_the_runner_listens_is_heard(shared_place: Place, patient: TaskManager) -> None:
    """An interpreter takes its time to start; a request that comes meanwhile kills nobody, and isn't lost."""
    paused, stopped = (shared_place.start("busy", patient, how="sleep") for _ in range(2))
    for task, action in ((paused, "pause"), (stopped, "abort")):
        task.until("running")
        task.ask(action)

    paused.until("paused")
    paused.ask("abort")

    for task in (paused, stopped):
        aborted(task)


def test_whoever_does_not_leave_is_killed(shared_place: Place) -> None:
    """After the grace, with its word that it was aborted."""
    def swallow() -> None:
        import contextlib
        import time

        print("begun", flush=True)
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(1)

    hasty = shared_place.manager(abort_grace=0.2)
    task = Task(hasty, hasty.start_function("swallow", cloudpickle.dumps(Worker(swallow)), {}).task_id)
    wait_for("its worker to begin", lambda: "begun" in task.output())

    task.ask("abort")

    aborted(task)


def test_ends_are_told_as_what_they_are(shared_place: Place, patient: TaskManager) -> None:
    """An exception, an exit status, a signal, a result, and all items that came before a death."""
    tasks = {how: shared_place.start("fail", patient, how=how) for how in ("raise", "exit-3", "kill")}
    tasks["items"] = shared_place.start("emit_then", patient, count=2000, how="segfault")
    tasks["result"] = shared_place.start("give", patient, what="point")

    ends = {how: task.end() for how, task in tasks.items()}

    assert (ends["raise"].code, ends["raise"].error) == ("worker_error", "ValueError: a reason")
    assert ends["exit-3"].code == "worker_died" and "status 3" in (ends["exit-3"].error or "")
    assert ends["kill"].code == "worker_died" and "SIGKILL" in (ends["kill"].error or "")
    assert "SIGSEGV" in (ends["items"].error or "") and ends["items"].items == 2000
    assert ends["result"].result == {"x": 1.5, "seen": "2026-01-02"}


def test_a_workers_own_children_are_its_own(shared_place: Place, patient: TaskManager) -> None:
    """Forked ones have none of the task's handlers, and nobody else waits for them: their exit codes are right."""
    assert shared_place.start("child_of_fork", patient).end().result == {"terminated": -15, "sum": 4950}


# -- what dies -----------------------------------------------------------------------------------------------------


def test_no_grandchild_is_there_when_the_end_can_be_seen(shared_place: Place, patient: TaskManager) -> None:
    """Sessions of their own and double forks, by abort and by the runner's death: the mark finds them."""
    for end_it in (lambda task: task.ask("abort"), lambda task: kill(task.runner())):
        task = shared_place.start("tree", patient)
        task.until_message("grown")

        end_it(task)

        end = task.end()
        left = workers_of(task.task_id)
        assert left == [] and not task.temp_dir.exists()
        assert end.status in ("aborted", "failed")


def simple(place: Place, **traits: Any) -> TaskManager:
    """A manager with the simple workers alone: each file costs an interpreter."""
    folder = place.scratch / "workers"
    folder.mkdir()
    shutil.copy(WORKERS / "simple.py", folder)
    return place.manager(worker_folders=[str(folder)], **traits)


def tree(place: Place) -> Task:
    """A task with processes of all kinds."""
    task = place.start("tree", simple(place))
    task.until_message("grown")
    return task


@pytest.mark.parametrize("with_forkserver", [False, True])
def test_a_killed_keeper_takes_its_runner_along(place: Place, with_forkserver: bool) -> None:
    """By the forkserver, or by whoever looks next where that was killed as well: it failed, and nothing is left."""
    task = tree(place)
    assert len(processes_of(task.task_id)) == 6

    for pid in [*(place.forkservers() if with_forkserver else []), task.keeper()]:
        kill(pid)
    if not with_forkserver:
        task.end()  # by itself: nobody has to look
    end = settle(place, task)

    assert (end.status, end.code, end.items) == ("failed", "worker_died", 10)


def test_recovery_kills_what_is_left(place: Place) -> None:
    """All are killed that could have: a look from another process, with what there is elsewhere, finds the others."""
    task = tree(place)
    doomed = [*place.forkservers(), task.keeper(), task.runner()]
    for pid in doomed:
        kill(pid)
    wait_for("their end", lambda: not set(doomed) & set(living()))
    assert len(processes_of(task.task_id)) == 4

    done = subprocess.run([sys.executable, "-c", LOOK, place.data_dir, task.task_id], text=True, capture_output=True,
                          timeout=60)

    assert done.stdout == "failed worker_died\n", done.stderr
    assert processes_of(task.task_id) == []


def test_an_orphan_without_a_mark_is_written_down(place: Place) -> None:
    """What was below the keeper once is its task's, though nothing shows it any more: a recovery finds and kills it."""
    gate = place.scratch / "gate"
    os.mkfifo(gate)
    task = place.start("loses-a-child", gate=str(gate))
    wait_for("its child", lambda: (update := task.latest()) is not None and update.message)
    shell, orphan = map(int, (task.info().message or "").split())

    def recorded() -> set[int]:
        try:
            return {pid for pid, _ in json.loads((task.folder.path / "processes.json").read_bytes())}
        except FileNotFoundError:
            return set()

    wait_for("both to be written down", lambda: {shell, orphan} <= recorded())
    gate.write_text("")  # its parent ends
    wait_for("the next look", lambda: (pids := recorded()) and shell not in pids)
    assert orphan in recorded()
    for pid in [*place.forkservers(), task.keeper()]:
        kill(pid)
    assert settle(place, task).code == "worker_died"
    wait_for("the end of the orphan", lambda: orphan not in living())


def test_without_its_forkserver_what_runs_goes_on_and_what_waits_is_handed_on(place: Place) -> None:
    """Keepers need no forkserver; the waiting task gets another one, and runs once."""
    trace, gate = place.scratch / "trace", place.scratch / "gate"
    manager = simple(place, max_running=1)
    first = place.start("note_and_wait", path=str(place.scratch / "other"), open_path=str(gate))
    first.until_message("waiting")
    waiting = place.start("note", path=str(trace))

    [forkserver] = place.forkservers()
    kill(forkserver)
    wait_for("the forkserver to be gone", lambda: forkserver not in living())
    assert manager.info(waiting.task_id).status == "idle"
    gate.touch()

    assert first.end().result == "done"
    assert settle(place, Task(manager, waiting.task_id)).status == "completed" and runs(trace) == 1
    check_slots(place)
