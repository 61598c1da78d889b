"""When a task's end can be seen, nothing of it is there any more, whatever it had started and however it resists."""

from __future__ import annotations

import time

import pytest

from sse_tasks.task_manager import TaskManager
from sse_tasks.worker.start_method import forks

from ..places import Place, Task, kill, wait_for
from .abort_rounds import HOWS, SMALLEST_TREES, Tree, abort_rounds, manager_of


@pytest.fixture(scope="module")
def manager(shared_place: Place) -> TaskManager:
    return manager_of(shared_place)


def test_twenty_aborted_tasks_leave_nothing(place: Place) -> None:
    """Sessions and daemons of their own, ignored signals, swallowed aborts, threads, tight loops, long C calls, stopped
    trees, pools, subreapers, and children forked in the very moment of the abort; four tasks at once."""
    manager_of(place)

    assert abort_rounds(place, 20) == []
    assert len(HOWS) <= 20 and SMALLEST_TREES.keys() <= set(HOWS)


def test_without_fork_they_leave_nothing_either(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where keepers and runners are new interpreters, and no orphan falls to its keeper. By hand the whole of this file
    can be run so: SSE_TASKS_START_METHOD=spawn."""
    monkeypatch.setenv("SSE_TASKS_START_METHOD", "spawn")
    manager_of(place)

    assert abort_rounds(place, 4, hows=("sessions", "sigterm-ignored", "swallows", "stopped")) == []


@pytest.mark.parametrize("how", ["sessions", "stopped", *(["hops"] if forks() else []), "swallows"])
def test_a_paused_task_that_is_aborted_leaves_nothing(shared_place: Place, manager: TaskManager, how: str) -> None:
    """An abort while it stands still, or on its way there."""
    tree = Tree(shared_place, "be_stubborn", manager=manager, how=how)
    tree.grow(SMALLEST_TREES.get(how, 0))

    tree.task.ask("pause")
    if how != "swallows":
        tree.task.until("paused")
    tree.task.ask("abort")

    wait_for("the end", tree.has_ended)
    assert tree.left() == []
    assert tree.task.one_terminal().status == "aborted"


@pytest.mark.parametrize(("how", "status", "code"), [
    ("return", "completed", None), ("raise", "failed", "worker_error"), ("exit", "failed", "worker_died"),
    ("kill", "failed", "worker_died")])
def test_a_worker_that_ends_by_itself_leaves_nothing(
        shared_place: Place, manager: TaskManager, how: str, status: str, code: str | None) -> None:
    """Nothing detached survives its task: by a result, an error, an exit or a signal, what it had started goes too."""
    tree = Tree(shared_place, "leave_a_tree", manager=manager, how=how)

    wait_for("the end", tree.has_ended)
    assert tree.left() == []
    end = tree.task.one_terminal()
    assert (end.status, end.code, end.message) == (status, code, "grown")


@pytest.mark.parametrize("whom", ["runner", "keeper", "both"])
def test_a_task_whose_processes_are_killed_leaves_nothing(
        shared_place: Place, manager: TaskManager, whom: str) -> None:
    """SIGKILL of the worker's process, of its keeper, or of both: daemons and forks in the midst of it go too."""
    tree = Tree(shared_place, "leave_a_tree", manager=manager, how="wait")
    tree.grow(4)
    runner, keeper = tree.task.runner(), tree.task.keeper()

    for pid in {"runner": [runner], "keeper": [keeper], "both": [keeper, runner]}[whom]:
        kill(pid)

    wait_for("the end", tree.has_ended)
    assert tree.left() == []
    end = tree.task.one_terminal()
    assert (end.status, end.code) == ("failed", "worker_died")


def test_a_timeout_leaves_nothing(shared_place: Place, manager: TaskManager) -> None:
    """It ends what an abort would end."""
    began = time.monotonic()
    other = Tree(shared_place, "leave_a_tree", manager=manager, how="wait")
    other.grow(4)
    timeout = max(1.0, 6 * (time.monotonic() - began))  # on a slow machine, too, time enough to grow in
    tree = Tree(shared_place, "leave_a_tree", manager=manager, how="wait", timeout=timeout)
    tree.grow(4)

    wait_for("the end", tree.has_ended)
    assert tree.left() == []
    assert tree.task.one_terminal().code == "timeout"
    other.task.ask("abort")
    wait_for("the end", other.has_ended)
    assert other.left() == []


@pytest.mark.browser
@pytest.mark.parametrize("closes", [True, False])
def test_a_browser_with_many_tabs_leaves_nothing(place: Place, closes: bool) -> None:
    """A dozen processes of a real Chromium, in sessions of their own: closed in order, or left by a worker that exits
    at once."""
    tree = Tree(place, "open_tabs", manager=manager_of(place, grace=10), tabs=6, closes=closes)
    tree.grow(9)

    tree.task.ask("abort")

    wait_for("the end", tree.has_ended)
    assert tree.left() == []
    assert tree.task.one_terminal().status == "aborted"


def test_return_codes_of_its_children_are_right(shared_place: Place, manager: TaskManager) -> None:
    """Threads wait for three hundred children while orphans beside them fall to the keeper: no code is lost or wrong,
    since nobody but the worker waits for its children."""
    task = Task(manager, manager.start("return-codes", {"count": 300}).task_id)

    end = task.end(60)

    assert (end.status, end.result, end.message) == ("completed", 0, "322 looked at")
