"""Pause, resume and abort in each state, whatever the worker does."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from sse_tasks.errors import TaskEndedError
from sse_tasks.task_manager import TaskManager

from ..places import Place, Task, kill, processes_of, wait_for, workers_of

KINDS = ["busy", "busy_ctx", "busy_async", "busy_async_ctx"]
HOWS = ["compute", "sleep", "lock", "socket", "subprocess", "join"]
CTX_HOWS = ["checkpoints", "ctx-sleep", "track"]
GRACE = 0.4


@pytest.fixture(scope="module")
def hasty(shared_place: Place) -> TaskManager:
    """A manager whose aborted tasks have little time."""
    return shared_place.manager(abort_grace=GRACE)


@pytest.fixture(scope="module")
def patient(shared_place: Place) -> TaskManager:
    """A manager whose aborted tasks have more time than any test: what ends, has ended by itself."""
    return shared_place.manager(abort_grace=60)


@pytest.fixture(autouse=True)
def nothing_left(shared_place: Place) -> Iterator[None]:
    """After each test, its tasks are ended."""
    before = set(shared_place.task_ids())
    yield
    for task_id in set(shared_place.task_ids()) - before:
        wait_for("its processes to be gone", lambda task_id=task_id: not processes_of(task_id))


def begun(place: Place, manager: TaskManager, kind: str, **input: object) -> Task:
    task = place.start(kind, manager, **input)
    wait_for("its worker to begin", lambda: "begun" in task.output())
    return task


def a_while(place: Place) -> None:
    """Lets as much time pass as a task needs from its start to its end."""
    place.start("add", a=1).end()


def aborted(task: Task, code: str | None = None) -> None:
    """It ends so, with nothing of it left in the moment when the end can be seen."""
    end = task.end()
    left = workers_of(task.task_id)
    assert (end.status, end.code, end.requested) == ("aborted", code, None)
    assert left == [] and not task.temp_dir.exists()


# -- abort ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", KINDS)
def test_abort_reaches_a_worker_wherever_it_stands(
        shared_place: Place, patient: TaskManager, kind: str, how: str) -> None:
    """Out of loops, sleeps, locks, sockets, children and threads: it is interrupted, cleans up, and is gone."""
    if (kind.startswith("busy_async"), how) == (True, "join"):
        return  # a loop waits for its threads when it closes; the grace ends that: see below
    task = begun(shared_place, patient, kind, how=how)

    task.ask("abort")

    aborted(task)
    assert "cleaned" in task.output()


@pytest.mark.parametrize("how", CTX_HOWS)
@pytest.mark.parametrize("kind", ["busy_ctx", "busy_async_ctx"])
def test_abort_reaches_a_worker_in_its_ctx(shared_place: Place, patient: TaskManager, kind: str, how: str) -> None:
    """Checkpoints, the context's sleep and track end by it."""
    task = begun(shared_place, patient, kind, how=how)

    task.ask("abort")

    aborted(task)
    assert "cleaned" in task.output()


@pytest.mark.parametrize(("kind", "how"), [
    ("stubborn", "swallow"), ("stubborn", "swallow-in-loop"), ("stubborn", "c-code"), ("stubborn", "slow-cleanup"),
    ("stubborn_async", "swallow"), ("stubborn_async", "blocks"), ("busy_async", "join")])
def test_whoever_does_not_leave_is_killed_after_the_grace(
        shared_place: Place, hasty: TaskManager, kind: str, how: str) -> None:
    """Whoever swallows the abort, or never returns to Python, is aborted all the same, and not before the grace."""
    task = begun(shared_place, hasty, kind, how=how)
    asked = time.monotonic()

    task.ask("abort")
    task.until_requested("abort")
    with suppress(TaskEndedError):  # the grace may be over by now
        task.ask("abort")

    aborted(task)
    assert time.monotonic() - asked >= GRACE


def test_an_abort_whose_cleanup_fails_is_an_abort(shared_place: Place, patient: TaskManager) -> None:
    """What the cleanup raised stands in the output."""
    task = begun(shared_place, patient, "stubborn", how="cleanup-fails")

    task.ask("abort")

    aborted(task)
    assert "the cleanup failed" in task.output()


def test_a_swallowed_abort_is_raised_by_every_later_call(shared_place: Place, patient: TaskManager) -> None:
    """A worker that goes on meets it again at each call of ctx, and is aborted even if it returns in the end."""
    task = begun(shared_place, patient, "swallow_each_ctx_call")

    task.ask("abort")

    aborted(task)


def test_a_coroutine_is_cancelled_once(shared_place: Place, patient: TaskManager) -> None:
    """Whether a call of ctx or an await meets the abort, the cleanup is not cancelled again."""
    for _ in range(10):
        task = begun(shared_place, patient, "cleanup_after_ctx_call")
        task.ask("abort")
        aborted(task)
        assert "cleaned" in task.output()


def test_a_result_whose_process_hangs_at_its_exit_counts(shared_place: Place, hasty: TaskManager) -> None:
    """Once the result is there, the process has the grace to leave, and the task is completed."""
    task = begun(shared_place, hasty, "stubborn", how="exit-hangs")

    assert task.end().status == "completed"


@pytest.mark.parametrize("kind", ["busy", "busy_ctx", "busy_async"])
def test_abort_in_the_moment_of_the_start(shared_place: Place, patient: TaskManager, kind: str) -> None:
    """However early it comes, the task is aborted, and what had begun has cleaned up."""
    for _ in range(10):
        task = shared_place.start(kind, patient, how="sleep")
        task.ask("abort")
        aborted(task)
        assert task.output().count("begun") <= task.output().count("cleaned")


# -- pause and resume ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", ["busy", "busy_async"])
def test_a_worker_without_ctx_is_held_wherever_it_stands(
        shared_place: Place, patient: TaskManager, hasty: TaskManager, kind: str, how: str) -> None:
    """Its paused main thread does nothing; resumed, it goes on; paused again, it can be aborted."""
    counter = shared_place.scratch / f"{kind}-{how}"
    stays = (kind, how) == ("busy_async", "join")  # its loop waits for its threads when it closes
    task = begun(shared_place, hasty if stays else patient, kind, how=how, path=str(counter))
    if how == "compute":
        wait_for("the counter", counter.exists)

    task.ask("pause")
    task.until("paused")
    if how == "compute":
        stood = counter.read_text()
        a_while(shared_place)
        assert counter.read_text() == stood
        task.ask("resume")
        wait_for("the counter to go on", lambda: counter.read_text() != stood)
    else:
        task.ask("resume")
    task.until("running")
    task.ask("pause")
    task.until("paused")
    task.ask("abort")

    aborted(task)
    assert "cleaned" in task.output()


@pytest.mark.parametrize("how", CTX_HOWS)
@pytest.mark.parametrize("kind", ["busy_ctx", "busy_async_ctx"])
def test_a_worker_with_ctx_stops_in_it(shared_place: Place, patient: TaskManager, kind: str, how: str) -> None:
    """At a checkpoint, in sleep and in track; the time is counted as paused, and an abort reaches it there."""
    task = begun(shared_place, patient, kind, how=how)

    task.ask("pause")
    paused = task.until("paused")
    a_while(shared_place)
    task.ask("resume")
    running = task.until("running")
    task.ask("pause")
    task.until("paused")
    a_while(shared_place)
    task.ask("abort")

    aborted(task)
    assert paused.paused_seconds == 0 < running.paused_seconds < task.one_terminal().paused_seconds
    assert "cleaned" in task.output()


def test_a_pause_not_yet_reached_is_asked_and_can_be_taken_back(shared_place: Place, patient: TaskManager) -> None:
    """A worker with ctx that stands at no checkpoint runs on; resumed before one, it never stops."""
    gate = shared_place.scratch / "gate"
    task = begun(shared_place, patient, "gated", open_path=str(gate))

    task.ask("pause")
    task.until_requested("pause")
    assert task.info().status == "running"
    task.ask("resume")
    task.until_requested(None)
    gate.touch()

    assert task.end().result == "through"
    assert [u.requested for _, u in task.folder.updates() if u.status == "running"] == [None, "pause", None]


def test_asking_again_has_no_second_effect(shared_place: Place, patient: TaskManager) -> None:
    """Pause while paused, resume while running, anything while aborting: nothing more is written."""
    task = begun(shared_place, patient, "busy_ctx", how="checkpoints")

    for action, status in (("resume", "running"), ("pause", "paused"), ("resume", "running")):
        for _ in range(3):
            task.ask(action)
        task.until(status)
    task.ask("abort")

    aborted(task)
    seen = [(u.status.value, u.requested) for _, u in task.folder.updates()]
    assert seen == [("idle", None), ("running", None), ("running", "pause"), ("paused", None), ("running", None),
                    ("running", "abort"), ("aborted", None)]


def test_resume_is_heard_though_another_thread_takes_it(shared_place: Place, patient: TaskManager) -> None:
    """With ctx calls in several threads, whichever reads what was said, the one that stands still goes on."""
    task = begun(shared_place, patient, "checkpoints_from_a_thread")

    for _ in range(10):
        task.ask("pause")
        task.until("paused")
        task.ask("resume")
        task.until("running")
    task.ask("abort")

    aborted(task)


def test_paused_time_does_not_count_toward_the_timeout(shared_place: Place, patient: TaskManager) -> None:
    """Paused for longer than their timeout, tasks go on: one whose work is done then completes; one that runs for as
    long, all in all, fails with ``timeout``."""
    gate = shared_place.scratch / "rested"

    def paused(timeout: float | None, kind: str, **input: str) -> Task:
        task = shared_place.start(kind, patient, options={"timeout": timeout}, **input)
        wait_for("its worker to begin", lambda: "begun" in task.output() or (shared_place.scratch / kind).exists())
        task.ask("pause")
        task.until("paused")
        return task

    began = time.monotonic()
    aborted_later = paused(None, "busy", how="sleep")
    timeout = max(0.6, 10 * (time.monotonic() - began))  # on a slow machine, too, time enough to be paused in
    rests = paused(timeout, "note_and_wait", path=str(shared_place.scratch / "note_and_wait"), open_path=str(gate))
    runs = paused(timeout, "busy", how="sleep")
    moment = time.monotonic()
    wait_for("more than the timeout to pass", lambda: time.monotonic() > moment + 1.3 * timeout)
    assert [task.info().status for task in (rests, runs)] == ["paused", "paused"]
    gate.touch()
    for task in (rests, runs):
        task.ask("resume")

    assert rests.end().result == "done"
    end = runs.end()
    assert (end.status, end.code) == ("failed", "timeout") and f"{timeout:g} seconds" in (end.error or "")
    assert "cleaned" in runs.output()
    aborted_later.ask("abort")
    aborted(aborted_later)


def test_a_timeout_says_so_whatever_the_cleanup_raises(shared_place: Place, patient: TaskManager) -> None:
    """Code and words of a timeout are not those of the error that followed from it."""
    task = shared_place.start("stubborn", patient, how="cleanup-fails", options={"timeout": 0.3})

    end = task.end()

    assert (end.code, "timeout" in (end.error or "")) == ("timeout", True)


# -- while it waits, and after the end -----------------------------------------------------------------------------


@pytest.fixture
def waiting(place: Place) -> tuple[Task, Task]:
    """A task that runs, and one that waits for its place."""
    place.manager(max_running=1, abort_grace=GRACE)
    first = place.start("wait")
    first.until_message("waiting")
    return first, place.start("note", path=str(place.scratch / "trace"))


def test_abort_while_waiting(place: Place, waiting: tuple[Task, Task]) -> None:
    """It never starts, and leaves the queue."""
    first, second = waiting

    second.ask("abort")

    end = second.end()
    assert (end.status, end.started_at) == ("aborted", None)
    wait_for("its mark to be gone", lambda: place.waiting() == [])
    assert not (place.scratch / "trace").exists() and first.info().status == "running"


def test_pause_and_resume_while_waiting(place: Place, waiting: tuple[Task, Task]) -> None:
    """It is paused at once, keeps its place though others go ahead, is idle again when resumed, and then runs."""
    first, second = waiting
    third = place.start("add", a=1)
    assert [task.info().position for task in (first, second, third)] == [None, 1, 2]

    second.ask("pause")
    second.until("paused")
    assert second.info().position == 1
    first.ask("abort")
    assert third.end().result == 2
    assert second.info().status == "paused" and not (place.scratch / "trace").exists()
    second.ask("resume")

    assert second.end().status == "completed"
    assert [u.status.value for _, u in second.folder.updates()][:4] == ["idle", "paused", "idle", "running"]


def test_a_paused_waiting_task_can_be_aborted(place: Place, waiting: tuple[Task, Task]) -> None:
    """Paused before its start, then aborted: it never ran."""
    _, second = waiting
    second.ask("pause")
    second.until("paused")

    second.ask("abort")

    assert second.end().status == "aborted"
    assert not (place.scratch / "trace").exists()


def test_a_task_paused_in_the_moment_of_its_turn(place: Place) -> None:
    """Whether the forkserver or the keeper sees the pause, the worker doesn't start before it is resumed."""
    place.manager(max_running=2)
    for number in range(15):
        trace = place.scratch / f"trace-{number}"
        task = place.start("note", path=str(trace))
        with suppress(TaskEndedError):  # on a slow machine it may come too late
            task.ask("pause")
        update = wait_for("paused, or the end", lambda task=task: (u := task.latest()) and (
            u.status != "idle" and u.status != "running") and u)
        if update.status == "paused" and update.started_at is None:
            assert not trace.exists()
        if not task.info().is_ended:
            task.ask("resume")
        assert task.end().status == "completed" and trace.read_text() == "ran\n"


@pytest.mark.parametrize("status", ["completed", "failed", "aborted"])
def test_an_ended_task_can_be_asked_for_nothing(shared_place: Place, patient: TaskManager, status: str) -> None:
    """Pause, resume and abort are refused, and its log stays as it is."""
    task = shared_place.start("busy" if status == "aborted" else "fail" if status == "failed" else "add", patient,
                              **({"how": "sleep"} if status == "aborted" else {"how": "raise"} if status == "failed"
                                 else {"a": 1}))
    if status == "aborted":
        task.ask("abort")
    task.end()
    size = task.folder.log_size()

    for action in ("pause", "resume", "abort"):
        with pytest.raises(TaskEndedError):
            task.ask(action)

    assert task.latest().status == status and task.folder.log_size() == size  # type: ignore[union-attr]


# -- signals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "how"), [("busy", "sleep"), ("busy_ctx", "ctx-sleep"), ("busy_async", "sleep")])
@pytest.mark.parametrize("whom", ["runner", "keeper", "both"])
def test_sigterm_is_an_abort_with_its_own_code(
        shared_place: Place, patient: TaskManager, whom: str, kind: str, how: str) -> None:
    """A shutdown that reaches runner, keeper or both lets the worker clean up, and says ``terminated``."""
    task = begun(shared_place, patient, kind, how=how)
    runner, keeper = task.runner(), task.keeper()

    for pid in {"runner": [runner], "keeper": [keeper], "both": [runner, keeper]}[whom]:
        kill(pid, 15)

    aborted(task, "terminated")
    assert "cleaned" in task.output()


def test_sigterm_to_a_worker_that_swallows_it_ends_after_the_grace(shared_place: Place, hasty: TaskManager) -> None:
    """The keeper knows of it, whoever it was sent to."""
    task = begun(shared_place, hasty, "stubborn", how="swallow")

    kill(task.runner(), 15)

    aborted(task, "terminated")


def test_a_workers_children_end_as_they_would_anywhere(shared_place: Place, patient: TaskManager) -> None:
    """Forked children have no signal handlers of the task; every return code is right."""
    codes = shared_place.start("return_codes", patient, count=200)
    forked = shared_place.start("child_of_fork", patient)

    assert codes.end(60).result == 0
    assert forked.end().result == {"terminated": -15, "sum": 4950}


def test_no_grandchild_is_there_when_the_end_can_be_seen(shared_place: Place, hasty: TaskManager) -> None:
    """Sessions of their own, double forks, ignored signals: twenty times, nothing is left with the terminal update."""
    for number in range(20):
        task = shared_place.start("tree", hasty)
        task.until_message("grown")
        if number % 2:
            task.ask("abort")
        else:
            kill(task.runner())
        end = task.end()
        left = workers_of(task.task_id)
        assert left == [] and not task.temp_dir.exists()
        assert end.status == ("aborted" if number % 2 else "failed")




@pytest.mark.parametrize("word", ["RESUME", "ABORT"])
def test_a_word_in_the_moment_of_the_standstill_is_heard(word: str) -> None:
    """What the keeper says when the pause has been reported, right before the worker waits for it, ends the wait."""
    code = textwrap.dedent(f"""
        import os, socket
        from sse_tasks.worker import control as c
        ours, theirs = socket.socketpair()
        class Line(c.Line):
            def wait(self, seconds):
                ours.send(c.{word})
                os.kill(os.getpid(), c.SIGNAL)  # the handler runs before the next line
                super().wait(seconds)
        c.Line = Line
        control = c.Control(theirs.fileno(), lambda: None)
        control.listen()
        control.hold = True
        control.interrupt = lambda: None  # as of a worker that is a coroutine
        ours.send(c.PAUSE)
        control.open()
        print("heard")
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("heard\n", "")
