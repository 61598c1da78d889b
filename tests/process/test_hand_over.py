"""Each party of a hand-over killed between each two of its steps: a task ends exactly once, and runs at most once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sse_tasks.queue import Queue
from sse_tasks.types import TaskUpdate
from sse_tasks.worker.start_method import forks

from ..places import STARTER, WORKERS, Place, Task, descendants, kill, processes_of, wait_for

EITHER, ONCE, NEVER = (0, 1), (1,), (0,)


def settle(place: Place, task: Task, seconds: float = 60) -> TaskUpdate:
    """What a manager's looks make of a task, and that nothing of it is left anywhere."""
    wait_for("its end, by looking at it", lambda: task.info().is_ended, seconds)
    end = task.one_terminal()
    assert end == task.latest()
    check_clean(place, task)
    return end


def check_clean(place: Place, task: Task) -> None:
    wait_for("all its processes to be gone", lambda: not processes_of(task.task_id))
    assert not task.temp_dir.exists()
    assert place.waiting() == []
    check_slots(place)


def check_slots(place: Place, count: int = 8) -> None:
    """All slots are free: they can be taken, all of them."""
    queue = Queue(place.data_dir)

    def take_all() -> bool:
        slots = [queue.take_slot(count) for _ in range(count)]
        for slot in slots:
            if slot is not None:
                os.close(slot)
        return None not in slots

    wait_for(f"{count} free slots", take_all)


def runs(trace: Path) -> int:
    return trace.read_text().count("ran") if trace.exists() else 0


def test_the_scan_finds_a_living_tree(place: Place) -> None:
    """Marks and parentage show runner, children, and grandchildren in sessions of their own: no test is blind."""
    task = place.start("tree")
    task.until_message("grown")

    by_mark = set(processes_of(task.task_id))
    below = set(descendants(task.keeper()))

    assert task.keeper() in by_mark and task.runner() in by_mark
    # Runner, child, grandchild, forked child; and the orphan, where it doesn't fall to process 1.
    assert len(below) == (5 if forks() else 4)
    assert below <= by_mark
    assert below < set(descendants(place.forkservers()[0]))
    assert task.temp_dir.exists()
    task.ask("abort")
    assert settle(place, task).status == "aborted"


@pytest.mark.parametrize(("step", "status", "times"), [
    ("forkserver-has-taken-the-task", "completed", ONCE),
    ("forkserver-has-taken-a-slot", "completed", ONCE),
    ("forkserver-has-forked", "completed", ONCE),
    ("forkserver-has-unmarked", "completed", ONCE),
    ("forkserver-has-handed-over", "completed", ONCE),
    ("keeper-has-received", "completed", ONCE),
    ("keeper-has-its-bell", "completed", ONCE),
    ("keeper-has-read-the-requests", "completed", ONCE),
    ("keeper-has-written-running", "failed", NEVER),
    ("keeper-has-given-the-task", "failed", EITHER),
    ("keeper-has-the-result", "completed", ONCE),
    ("keeper-has-written-the-end", "completed", ONCE),
    ("runner-has-begun", "failed or completed", EITHER),  # seen before the task came, it was replaced by another one
    ("runner-has-its-task", "failed", NEVER),
    ("runner-has-its-result", "failed", ONCE),
    ("runner-has-reported", "completed", ONCE),
])
def test_a_party_killed_at_a_step(place: Place, step: str, status: str, times: tuple[int, ...]) -> None:
    """Whoever dies: one terminal update, no second run, no process, no temporary folder, no slot and no mark kept."""
    trace = place.scratch / "trace"

    task = place.start("note", path=str(trace), options={"interpreter": place.stepping_interpreter(step)})
    wait_for(f"the step {step}", place.reached(step).exists)
    end = settle(place, task)

    assert end.status in status.split(" or ")
    assert runs(trace) in (times if times != EITHER or end.status == "failed" else ONCE)
    if end.status == "failed":
        assert end.code == "worker_died" and "SIGKILL" in (end.error or "")
    else:
        assert end.result == "ran"


@pytest.mark.parametrize("action", ["pause", "abort"])
def test_what_is_asked_before_the_runner_listens_is_heard(place: Place, action: str) -> None:
    """A request that comes while the worker's process is just being made kills nobody, and isn't lost."""
    step = "runner-is-slow-to-listen"
    task = place.start("busy", how="sleep", options={"interpreter": place.stepping_interpreter(step)})
    task.until("running")

    task.ask(action)
    task.until_requested(action)
    place.reached(step).touch()

    if action == "pause":
        task.until("paused")
        task.ask("abort")
    assert settle(place, task).status == "aborted"


@pytest.mark.parametrize(("step", "visible"), [
    ("made-the-folder", False), ("marked", False), ("published", True), ("sent-a-part", True), ("sent", True)])
def test_a_starter_killed_at_a_step(place: Place, step: str, visible: bool) -> None:
    """A start is a task or nothing: it goes on without its starter once it is visible, and is swept away otherwise."""
    trace = place.scratch / "trace"
    manager = place.manager()
    manager.task_types()

    starter = subprocess.run([sys.executable, STARTER, step, place.data_dir, WORKERS, trace], timeout=60)

    assert starter.returncode == -9
    if visible:
        task = Task(manager, place.task_ids()[0])
        assert settle(place, task).status == "completed"
        assert runs(trace) == 1
    else:
        assert place.task_ids() == [] and manager.list()[0] == []
        for made in (place.data_dir / "tasks").iterdir():
            os.utime(made, (time.time() - 100, time.time() - 100))
        manager.recover_all()
        assert list((place.data_dir / "tasks").iterdir()) == [] and place.waiting() == []
        check_slots(place)


def test_what_is_being_started_is_not_swept_away(place: Place) -> None:
    """A folder that somebody is building, its mark, and the mark of a task that waits all stay."""
    manager = place.manager(max_running=1)
    running, waiting = place.start("wait"), place.start("wait")
    running.until_message("waiting")
    new = place.data_dir / "tasks" / f".new-{'0' * 26}"
    new.mkdir()
    Queue(place.data_dir).put("0" * 26)

    manager.recover_all()

    assert new.exists() and place.waiting() == sorted(["0" * 26, waiting.task_id])


@pytest.mark.parametrize("victims", ["keeper", "keeper-and-forkserver", "runner"])
def test_a_working_task_whose_processes_are_killed(place: Place, victims: str) -> None:
    """In the midst of its work, with children of all kinds: it failed, what it had emitted is kept, nothing is left."""
    task = place.start("tree")
    task.until_message("grown")
    tree = processes_of(task.task_id)
    doomed = {"keeper": [task.keeper()], "runner": [task.runner()],
              "keeper-and-forkserver": [*place.forkservers(), task.keeper()]}[victims]

    for pid in doomed:
        kill(pid)
    if victims != "keeper-and-forkserver":
        task.end()  # by itself: nobody has to look
    end = settle(place, task)

    assert (end.status, end.code) == ("failed", "worker_died")
    assert len(tree) == 6 and processes_of(task.task_id) == []
    assert [int(item) for item in task.items()] == list(range(end.items)) and end.items == 10


def test_a_recoverers_look_at_a_dying_task_never_lies(place: Place) -> None:
    """Several managers look at once at a task that lost its forkserver: none calls it ended, and it runs once."""
    trace, gate = place.scratch / "trace", place.scratch / "gate"
    managers = [place.manager(max_running=1) for _ in range(4)]
    first = place.start("note_and_wait", path=str(place.scratch / "other"), open_path=str(gate))
    first.until_message("waiting")
    task = place.start("note", path=str(trace))

    for pid in place.forkservers():
        kill(pid)
    seen = set()

    def look() -> bool:
        seen.update(manager.info(task.task_id).status.value for manager in managers)
        return "Handed over" in ((task.latest() or TaskUpdate("")).message or "")

    wait_for("it to be handed on", look)
    for _ in range(100):
        look()

    assert seen == {"idle"}
    assert first.info().status == "running"
    gate.touch()
    assert first.end().result == "done"
    assert settle(place, task).status == "completed" and runs(trace) == 1
