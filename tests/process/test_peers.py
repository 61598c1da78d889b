"""Several managers and forkservers on one data folder: turns, slots, deaths, and folders cleaned away under them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sse_tasks.bell import Bell
from sse_tasks.folder import TaskFolder, create_task_folder, publish
from sse_tasks.hosts.local import host_id
from sse_tasks.types import TaskSpec, new_task_id, now_iso

from ..places import WORKERS, Place, Task, kill, living, processes_of, wait_for
from .test_hand_over import check_slots, runs

_STARTER = """
import json, os, resource, sys
if len(sys.argv) > 4:
    resource.setrlimit(resource.RLIMIT_NOFILE, tuple(map(int, sys.argv[4:])))
from sse_tasks.task_manager import TaskManager
manager = TaskManager(data_dir=sys.argv[1], worker_folders=[sys.argv[2]], max_running=int(sys.argv[3]))
for line in sys.stdin:
    task_type, input = json.loads(line)
    print(manager.start(task_type, input).task_id, flush=True)
"""


class Peer:
    """Another process that starts tasks, with an environment of its own."""

    def __init__(self, place: Place, max_running: int, limits: tuple[int, ...] = (), **environ: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _STARTER, str(place.data_dir), str(WORKERS), str(max_running), *map(str, limits)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environ)
        self._place = place

    def start(self, task_type: str, **input: object) -> Task:
        import json

        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([task_type, input]) + "\n")
        self._process.stdin.flush()
        task_id = self._process.stdout.readline().strip()
        return Task(self._place.manager(), task_id)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=60)


@pytest.fixture
def peer(place: Place, request: pytest.FixtureRequest) -> Callable[..., Peer]:
    """Makes peers, and ends them."""
    def make(max_running: int, limits: tuple[int, ...] = (), **environ: str) -> Peer:
        made = Peer(place, max_running, limits, **environ)
        request.addfinalizer(made.kill)
        return made

    return make


# -- turns ---------------------------------------------------------------------------------------------------------


def test_no_more_run_than_may_and_the_oldest_go_first(place: Place, peer: Callable[..., Peer]) -> None:
    """Two managers and two forkservers take turns by the time of start, two at a time, however they are mixed, and
    whether one of the two ends or both do at once."""
    path = place.scratch / "order"
    here = place.manager(max_running=2)
    there = peer(2, PYTHONHASHSEED="7")
    tasks: list[Task] = []
    for number in range(16):
        input = {"path": str(path), "word": str(number)}
        tasks.append(place.start("order", here, **input) if number % 2 else there.start("order", **input))
    assert len(place.forkservers()) == 2

    def begun() -> list[int]:
        return [int(word) for word in path.read_text().split()] if path.exists() else []

    ended: list[int] = []
    while len(ended) < 16:
        wait_for("two to run", lambda: len(begun()) >= min(16, len(ended) + 2))
        assert sorted(begun()) == list(range(min(16, len(ended) + 2)))
        for number in sorted(set(begun()) - set(ended))[:1 if len(ended) % 3 == 0 else 2]:
            Path(f"{path}-{number}").touch()
            ended.append(number)

    assert [task.end().status for task in tasks] == ["completed"] * 16
    assert sorted(begun()) == list(range(16))
    assert place.waiting() == []
    check_slots(place)


def test_places_are_counted_and_a_paused_one_lets_others_go(place: Place, peer: Callable[..., Peer]) -> None:
    """``position`` is the place in one queue for all; a task paused while it waits doesn't stop another's."""
    here, there = place.manager(max_running=1), peer(1, PYTHONHASHSEED="7")
    first = place.start("wait", here)
    first.until_message("waiting")
    second = there.start("wait")
    third, fourth = place.start("add", here, a=1), there.start("add", a=2)
    assert [task.info().position for task in (first, second, third, fourth)] == [None, 1, 2, 3]

    second.ask("pause")
    second.until("paused")
    first.ask("abort")

    assert third.end().result == 2 and fourth.end().result == 3
    assert (second.info().status, second.info().position) == ("paused", 1)
    second.ask("resume")
    second.until("running")


def test_a_paused_running_task_keeps_its_slot(place: Place) -> None:
    """Nobody takes its place while it stands still."""
    place.manager(max_running=1)
    first = place.start("wait")
    first.until_message("waiting")
    second = place.start("add", a=1)

    first.ask("pause")
    first.until("paused")
    assert second.info().status == "idle" and second.info().position == 1
    first.ask("abort")

    assert second.end().result == 2


def test_many_at_once_all_run_once(place: Place) -> None:
    """Sixty tasks from four threads, eight at a time: each ran once and ended once."""
    trace = place.scratch / "trace"
    manager = place.manager(max_running=8)
    manager.task_types()
    tasks: list[Task] = []

    def start() -> None:
        for _ in range(15):
            tasks.append(place.start("note", manager, path=str(trace)))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len({task.end(60).task_id for task in tasks}) == 60
    assert runs(trace) == 60
    check_slots(place)


@pytest.mark.parametrize("limits", [(48, 4096), (64, 64)], ids=["soft", "hard"])
def test_more_may_wait_than_a_process_has_descriptors(
        place: Place, peer: Callable[..., Peer], limits: tuple[int, int]) -> None:
    """With too few of them some wait outside, and all run in the end; a worker has the limit of its starter."""
    there = peer(1, limits)
    blocker = there.start("wait")
    blocker.until_message("waiting")
    tasks = [there.start("descriptor-limit") for _ in range(limits[0] + 10)]

    blocker.ask("abort")
    manager = place.manager(max_running=1)
    wait_for("all to end", lambda: all(info.is_ended for info in manager.list()[0]), 100)

    assert {task.one_terminal().result for task in tasks} == {limits[0]}
    assert max(len(list(task.folder.updates())) for task in tasks) < 8


# -- deaths --------------------------------------------------------------------------------------------------------


def test_tasks_go_on_without_their_starter(place: Place, peer: Callable[..., Peer]) -> None:
    """The process that started them is killed: what runs and what waits go on, and another manager controls them."""
    there = peer(1)
    first, second, third = there.start("wait"), there.start("wait"), there.start("add", a=1)
    first.until_message("waiting")

    there.kill()
    manager = place.manager(max_running=1)

    assert [info.status for info in manager.list()[0]] == ["idle", "idle", "running"]
    first.ask("pause")
    first.until("paused")
    first.ask("abort")
    assert first.end().status == "aborted"
    second.until("running")
    second.ask("abort")
    assert third.end().result == 2


def test_without_its_forkserver_what_runs_goes_on_and_what_waits_is_handed_on(place: Place) -> None:
    """Keepers need no forkserver; the waiting are taken by a manager that follows, and run once."""
    trace, gate = place.scratch / "trace", place.scratch / "gate"
    manager = place.manager(max_running=1)
    first = place.start("note_and_wait", path=str(place.scratch / "other"), open_path=str(gate))
    first.until_message("waiting")
    waiting = [place.start("note", path=str(trace)) for _ in range(3)]
    stop = manager.watch(lambda task_id: None)

    (forkserver,) = place.forkservers()
    kill(forkserver)
    wait_for("the forkserver to be gone", lambda: forkserver not in living())
    wait_for("another forkserver, by watching alone", place.forkservers)
    gate.touch()

    assert first.end().result == "done"
    assert [task.end().status for task in waiting] == ["completed"] * 3
    assert runs(trace) == 3 and runs(place.scratch / "other") == 1
    assert any("Handed over" in (u.message or "") for _, u in waiting[0].folder.updates())
    stop()
    check_slots(place)


@pytest.mark.parametrize("on_a_loop", [False, True])
async def test_watching_finds_what_has_died_without_a_word(place: Place, on_a_loop: bool) -> None:
    """Keeper and forkserver are killed: within seconds a follower hears of the end that its manager wrote."""
    task = place.start("tree")
    task.until_message("grown")
    heard: list[str] = []
    loop = asyncio.get_running_loop() if on_a_loop else None
    stop = task.manager.watch(heard.append, task.task_id, loop)
    heard.clear()

    for pid in [*place.forkservers(), task.keeper()]:
        kill(pid)

    end = await asyncio.to_thread(task.end)
    assert end.code == "worker_died"
    await asyncio.to_thread(wait_for, "the follower to hear", lambda: task.task_id in heard)
    stop()
    assert processes_of(task.task_id) == []


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_process_follows_by_itself(place: Place) -> None:
    """A process that was forked while its parent followed something starts tasks and hears of them, as any other."""
    manager = place.manager()
    parents: list[str] = []
    stop = manager.watch(parents.append)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            heard = threading.Event()
            manager.watch(lambda _: heard.set())
            manager.start("add", {"a": 1})
            status = 0 if heard.wait(30) else 2
        finally:
            os._exit(status)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    wait_for("the parent to hear, too", lambda: parents)
    stop()


def test_a_followers_fault_is_its_own(place: Place) -> None:
    """A callback that raises doesn't keep the others from hearing, now or later."""
    manager = place.manager()
    heard: list[str] = []

    def faulty(task_id: str) -> None:
        raise RuntimeError("a follower's fault")

    stops = [manager.watch(faulty), manager.watch(heard.append)]
    for _ in range(2):
        task = place.start("add", manager, a=1)
        task.end()
        wait_for("the bell", lambda task=task: task.task_id in heard)
    for stop in stops:
        stop()


def test_what_cannot_be_read_as_a_task_stops_nobody(place: Place) -> None:
    """A folder without a spec, an empty one and a garbled log are passed over by lists, looks and followers."""
    manager = place.manager()
    ids = [new_task_id() for _ in range(3)]
    for task_id in ids:
        (place.data_dir / "tasks" / task_id).mkdir()
    (place.data_dir / "tasks" / ids[0] / "events.jsonl").write_bytes(b"\x00\xff")
    (place.data_dir / "tasks" / ids[1] / "task.json").write_bytes(b"[" * 100_000)
    (place.data_dir / "tasks" / ids[1] / "events.jsonl").write_bytes(b'{"type":"status","status":"running"}\n')
    heard: list[str] = []
    stop = manager.watch(heard.append)

    task = place.start("add", manager, a=1)

    task.end()
    wait_for("the bell", lambda: task.task_id in heard)
    assert [info.task_id for info in manager.list()[0]] == [task.task_id]
    assert manager.live_ids() == []
    manager.recover_all()
    stop()


def test_a_task_of_another_host_is_read_as_lost_and_left_alone(place: Place) -> None:
    """A restarted machine's task is called ``host_lost``; its log is not written to."""
    manager = place.manager()
    spec = TaskSpec(task_id=new_task_id(), task_type="t", worker={"file": "t.py"}, input={}, created_at=now_iso(),
                    host="another:1")
    writer = create_task_folder(place.data_dir / "tasks", spec, {"type": "status", "status": "running",
                                                                 "startedAt": now_iso()})
    publish(writer)
    size = TaskFolder(place.data_dir / "tasks" / spec.task_id).log_size()
    assert manager.info(spec.task_id).status == "running"
    writer.close()

    info = manager.info(spec.task_id)

    assert (info.status, info.code) == ("failed", "host_lost")
    assert manager.folder(spec.task_id).log_size() == size
    assert host_id() != spec.host


def test_a_waiting_task_whose_interpreter_is_gone_fails_with_the_reason(place: Place) -> None:
    """Handing it on can't succeed: it fails once, in words, instead of being tried at each look."""
    manager = place.manager(max_running=1)
    blocker = place.start("wait")
    blocker.until_message("waiting")
    interpreter = place.scratch / "python"
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    interpreter.chmod(0o755)
    task = place.start("add", a=1, options={"interpreter": str(interpreter)})

    interpreter.unlink()
    for pid in place.forkservers():
        kill(pid)
    info = wait_for("its end", lambda: (i := manager.info(task.task_id)).is_ended and i)

    assert (info.status, info.code) == ("failed", "not_found") and str(interpreter) in (info.error or "")
    assert task.one_terminal() and task.task_id not in place.waiting()


# -- what is cleaned away ------------------------------------------------------------------------------------------


def test_the_folder_for_sockets_may_be_cleaned_away(place: Place) -> None:
    """Running and waiting tasks go on, hear requests again, and new ones start by the same forkserver."""
    manager = place.manager(max_running=2)
    first = place.start("wait")
    first.until_message("waiting")
    runtime = Path((place.data_dir / "runtime").read_text())
    forkservers = place.forkservers()

    shutil.rmtree(runtime)

    second = place.start("add", manager, a=1)
    assert second.end().result == 2
    wait_for("the forkserver that was there, alone", lambda: place.forkservers() == forkservers)
    assert first.latest().status == "running"  # type: ignore[union-attr]
    wait_for("the keeper's new bell", (runtime / first.task_id).exists)
    Bell(runtime).ring_task(first.task_id)
    first.ask("pause")
    first.until("paused")
    first.ask("abort")
    assert first.end().status == "aborted"


def test_a_start_that_fails_leaves_nothing(place: Place) -> None:
    """Where the folder can't be made visible, the caller is told, and no mark, folder or descriptor stays."""
    def descriptors() -> set[tuple[str, str]]:
        """Those of this process, each with what it leads to: what other tests have left may be closed meanwhile."""
        found = set()
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        return {each for each in found if not each[1].startswith("/proc/")}  # the listing's own

    manager = place.manager()
    place.start("add", manager, a=1).end()
    (tasks := place.data_dir / "tasks").chmod(0o700)
    before, open_before = (set(os.listdir(tasks)), place.waiting()), descriptors()
    shutil.rmtree(place.data_dir / "waiting")
    (place.data_dir / "waiting").touch()  # where a folder has to be

    with pytest.raises(Exception, match="can't be written"):
        place.start("add", manager, a=1)

    (place.data_dir / "waiting").unlink()
    (place.data_dir / "waiting").mkdir()
    assert (set(os.listdir(tasks)), place.waiting()) == before
    assert descriptors() - open_before == set()


def test_a_folder_removed_under_the_caller_is_no_obstacle(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel whose current folder was deleted can start tasks still."""
    gone = place.scratch / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        assert place.start("add", place.manager(), a=1).end().result == 2
    finally:
        with contextlib.suppress(OSError):
            os.chdir("/")
