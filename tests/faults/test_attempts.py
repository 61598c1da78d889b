"""Further attempts of a task whose processes die or whose time is over: from its checkpoint, never after an abort."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from sse_tasks.hosts.local import LocalHost
from sse_tasks.task_manager import TaskManager
from sse_tasks.types import TaskUpdate

from ..places import Place, Task, command_of, kill, living, processes_of, wait_for

WORKERS = Path(__file__).parent / "workers"


def manager_of(place: Place, **traits: Any) -> TaskManager:
    return place.manager(**{"worker_folders": [str(WORKERS)], "retry_delay": 0.02, "abort_grace": 0.5} | traits)


def start(place: Place, task_type: str, input: dict[str, Any], options: dict[str, Any], **traits: Any) -> Task:
    return place.start(task_type, manager_of(place, **traits), options=options, **input)


def updates(task: Task) -> list[TaskUpdate]:
    return [update for _, update in task.folder.updates()]


def announcement(task: Task, attempt: int) -> TaskUpdate:
    """The update by which an attempt was announced."""
    def look() -> list[TaskUpdate]:
        return [update for update in updates(task)
                if update.attempt == attempt and (update.message or "").startswith(f"Attempt {attempt} of")]

    return wait_for(f"attempt {attempt} to be announced", look)[0]


def check_gone(place: Place, task: Task) -> None:
    wait_for("all its processes to be gone", lambda: not processes_of(task.task_id))
    assert not task.temp_dir.exists() and place.waiting() == []
    # Where it wasn't its keeper that wrote its end, this goes after it, and the end may have to wait for the disk.
    wait_for("what was written down of them to be gone", lambda: not (task.folder.path / "processes.json").exists())


@pytest.mark.parametrize(("how", "words"), [("kill", "was killed by SIGKILL (Killed)"), ("exit", "exited with status 3")
                                            ])
def test_a_worker_that_dies_is_begun_again_from_its_checkpoint(shared_place: Place, how: str, words: str) -> None:
    """Each item is there once, in order; what was emitted after the checkpoint is kept beside; the log tells all."""
    task = start(shared_place, "count", {"upto": 14, "die_at": [7, 10, 12], "how": how}, {"retries": 3})
    end = task.end()

    assert (end.status, end.attempt, end.result) == ("completed", 4, {"began": 12, "attempt": 4}), (end, task.output())
    assert [json.loads(item) for item in task.items()] == [None if n % 5 == 4 else n for n in range(14)]
    assert end.items == 14
    exact = [json.loads(line) for line in (task.folder.path / "items.exact.jsonl").read_text().splitlines()]
    data = (task.folder.path / "items.jsonl").read_bytes()
    assert [data[line["at"]:line["at"] + 5] for line in exact] == [b"null\n"] * 2
    assert all(math.isnan(line["item"]) for line in exact)
    assert (task.folder.path / "items-1.jsonl").read_bytes() == b"6\n7\n"
    assert (task.folder.path / "items-2.jsonl").read_bytes() == b"null\n10\n"
    assert (task.folder.path / "items-3.jsonl").read_bytes() == b"12\n"
    said = announcement(task, 2)
    assert said.message == f"Attempt 2 of 4 in 0.02 s: The worker's process {words}."
    assert (said.status, said.items, said.type) == ("running", 6, "status")
    assert "in 0.04 s" in (announcement(task, 3).message or "")
    started = [update.started_at for update in updates(task) if update.started_at]
    assert started == [end.started_at] * len(started)
    numbers = [update.attempt for update in updates(task)]
    assert numbers == sorted(numbers)
    check_gone(shared_place, task)


def test_when_no_attempt_is_left_the_task_has_failed(shared_place: Place) -> None:
    """By the last death's own words, with the number of the last attempt."""
    task = start(shared_place, "count", {"upto": 9, "die_at": [4, 4]}, {"retries": 1})
    end = task.end()

    assert (end.status, end.code, end.attempt) == ("failed", "worker_died", 2)
    assert "SIGKILL" in (end.error or "") and "out of memory" not in (end.error or "")
    assert end.items == len(task.items()) == 5
    check_gone(shared_place, task)


def test_what_a_worker_raises_is_not_tried_again(shared_place: Place) -> None:
    """It would only be raised again."""
    end = start(shared_place, "count", {"upto": 9, "die_at": [4], "how": "raise"}, {"retries": 5}).end()

    assert (end.code, end.attempt) == ("worker_error", 1)


def test_a_timeout_is_each_attempts_own(shared_place: Place) -> None:
    """One attempt runs too long and is ended against its will; the next one has all its time again."""
    failing = start(shared_place, "slow_at_first", {"attempts": 9}, {"retries": 1, "timeout": 0.3})
    task = start(shared_place, "slow_at_first", {"attempts": 1, "swallow": True}, {"retries": 2, "timeout": 2},
                 abort_grace=0.1)
    end = task.end()

    assert (end.status, end.result) == ("completed", 2)
    assert "ran longer than its timeout of 2 seconds" in (announcement(task, 2).message or "")
    failed = failing.end()
    assert (failed.status, failed.code, failed.attempt) == ("failed", "timeout", 2)


def test_a_timeout_that_another_attempt_follows_can_still_be_aborted(shared_place: Place) -> None:
    """An abort that comes while the worker is being ended beats the next attempt."""
    task = start(shared_place, "slow_at_first", {"attempts": 9, "swallow": True}, {"retries": 5, "timeout": 1},
                 abort_grace=20)
    task.until_message("slow")
    wait_for("its time to be over", lambda: (task.latest() or TaskUpdate("")).message == "slow" and _told(task))

    task.ask("abort")
    kill(task.runner())

    end = task.end()
    assert (end.status, end.attempt) == ("aborted", 1)


def _told(task: Task) -> bool:
    """The worker has swallowed its end, and says so again."""
    return len([update for update in updates(task) if update.message == "slow"]) >= 2


@pytest.mark.parametrize("actions", [["abort"], ["pause", "abort"]])
def test_a_task_is_aborted_between_two_attempts(shared_place: Place, actions: list[str]) -> None:
    """At once, however long the back-off."""
    task = start(shared_place, "count", {"upto": 9, "die_at": [4]}, {"retries": 1}, retry_delay=50)
    announcement(task, 2)

    for action in actions:
        task.ask(action)
        if action == "pause":
            task.until("paused")

    assert (task.end().status, task.end().attempt) == ("aborted", 2)
    check_gone(shared_place, task)


def test_a_task_is_paused_between_two_attempts(shared_place: Place) -> None:
    """It is paused at once, stays so after the back-off, and goes on when it is resumed."""
    task = start(shared_place, "count", {"upto": 9, "die_at": [4]}, {"retries": 1}, retry_delay=1.0)
    announcement(task, 2)

    task.ask("pause")
    task.until("paused")
    other = start(shared_place, "count", {"upto": 3, "die_at": [2]}, {"retries": 1}, retry_delay=1.0)
    other.end()  # its back-off began later, and is over
    assert (task.latest() or TaskUpdate("")).status == "paused"
    task.ask("resume")

    end = task.end()
    assert (end.status, end.attempt) == ("completed", 2) and end.paused_seconds > 0


def test_a_pause_that_was_asked_outlives_the_attempt(shared_place: Place) -> None:
    """A worker that dies where it should have stopped: the task is paused, the next attempt waits for its resume."""
    task = start(shared_place, "die_paused", {}, {"retries": 1})
    task.until_message("there")

    task.ask("pause")
    paused = task.until("paused")
    assert paused.attempt == 2 and paused.requested is None
    task.ask("resume")

    assert task.end().result == 2


# -- the keeper, and all -------------------------------------------------------------------------------------------


def start_die_once(place: Place, monkeypatch: pytest.MonkeyPatch, **traits: Any) -> tuple[Task, int]:
    monkeypatch.setenv("SSE_TEST_SECRET", "values are kept")
    manager_of(place, **traits)
    path = place.scratch / "child"
    task = place.start("die_once", path=str(path), options={"retries": 2})
    task.until_message("there")
    return task, int(path.read_text())


def check_second(place: Place, task: Task, child: int) -> None:
    end = task.end()
    assert (end.status, end.attempt) == ("completed", 2), end
    assert end.result == {"saved": {"one": 1}, "attempt": 2, "secret": "values are kept", "temp": []}
    assert task.items() == [b"1"] and (task.folder.path / "items-1.jsonl").read_bytes() == b"2\n"
    assert child not in living()
    check_gone(place, task)


def test_a_killed_keepers_task_is_begun_again_by_its_forkserver(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the environment that it was started with, which stands on no disk."""
    task, child = start_die_once(place, monkeypatch)
    monkeypatch.delenv("SSE_TEST_SECRET")

    kill(task.keeper())

    said = announcement(task, 2)
    assert "The keeper's process was killed by SIGKILL" in (said.message or "") and said.status == "running"
    check_second(place, task, child)


def test_a_task_that_lost_everybody_is_begun_again_by_whoever_looks(
        place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeper and forkserver killed at once: a look recovers it, in the looker's environment, and says what it lacks."""
    task, child = start_die_once(place, monkeypatch)
    monkeypatch.delenv("SSE_TEST_SECRET")
    monkeypatch.setenv("SSE_TEST_OTHER", "1")

    for pid in (*place.forkservers(), task.keeper()):
        kill(pid)
    wait_for("a look at it", lambda: task.info().attempt == 2)

    said = announcement(task, 2)
    assert said.status == "running" and "Its environment lacks SSE_TEST_SECRET." in (said.message or "")
    end = task.end()
    assert end.result["secret"] is None and end.result["saved"] == {"one": 1} and task.items() == [b"1"]
    assert child not in living()
    check_gone(place, task)


def test_a_forkserver_killed_in_the_back_off_costs_no_attempt(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task waits with its mark: whoever looks hands it on as it is. Where that comes to nothing, as while the
    forkserver is dying and still takes what nobody will read, the task is not called dead: the next look tries again.
    """
    task, child = start_die_once(place, monkeypatch, retry_delay=1.0)
    kill(task.keeper())
    announcement(task, 2)
    wait_for("its mark", lambda: place.waiting() == [task.task_id])

    doomed = place.forkservers()
    for pid in doomed:
        kill(pid)
    wait_for("their death", lambda: not set(doomed) & set(living()))
    with monkeypatch.context() as broken:
        broken.setattr(LocalHost, "_hand_over", lambda *_: False)
        assert task.info().status == "running"
    wait_for("its end, by looking at it", lambda: task.info().is_ended)

    check_second(place, task, child)
    assert {update.attempt for update in updates(task)} == {1, 2}


@pytest.mark.parametrize("all_of_them", [False, True])
def test_a_task_that_was_being_aborted_is_aborted(
        place: Place, monkeypatch: pytest.MonkeyPatch, all_of_them: bool) -> None:
    """Whoever was to do it died: it gets no other attempt, and is what was asked for."""
    task, child = start_die_once(place, monkeypatch, abort_grace=30)
    doomed = [*(place.forkservers() if all_of_them else ()), task.keeper()]
    os.kill(doomed[-1], 19)
    task.ask("abort")

    for pid in doomed:
        kill(pid)
    wait_for("its end, by looking at it", lambda: task.info().is_ended)

    assert (task.end().status, task.end().attempt) == ("aborted", 1)
    assert child not in living()
    check_gone(place, task)


def test_other_tasks_have_the_slot_while_one_waits_for_its_attempt(place: Place) -> None:
    """A task whose keeper was killed gives its slot up for the back-off, and takes its turn after."""
    manager_of(place, max_running=1, retry_delay=0.5)
    task = place.start("die_once", path=str(place.scratch / "child"), options={"retries": 1})
    task.until_message("there")
    other = place.start("count", upto=3, die_at=[])

    kill(task.keeper())

    assert other.end().status == "completed"
    assert (task.latest() or TaskUpdate("")).attempt <= 2
    assert task.end().attempt == 2


def test_a_grandchild_without_a_mark_is_found_by_what_was_written_down(place: Place) -> None:
    """An empty environment, a session of its own, nobody's child: it doesn't outlive its task."""
    manager_of(place)
    task = place.start("unmarked_child")
    pid = int(wait_for("its grandchild", lambda: _number((task.latest() or TaskUpdate("")).message)))
    noted = task.folder.path / "processes.json"
    wait_for("it to be written down", lambda: noted.exists() and pid in dict(json.loads(noted.read_bytes())))
    assert pid not in processes_of(task.task_id)

    for each in (*place.forkservers(), task.keeper()):
        kill(each)
    wait_for("its end, by looking at it", lambda: task.info().is_ended)

    wait_for("the grandchild to be gone", lambda: pid not in living())
    assert task.one_terminal().code == "worker_died"
    check_gone(place, task)


def test_what_was_written_down_of_others_is_left_alone(place: Place) -> None:
    """A pid that belongs to another process by now isn't killed."""
    manager_of(place)
    bystander, task = place.start("hold"), place.start("hold")
    bystander.until_message("there")
    task.until_message("there")
    keeper = task.keeper()
    os.kill(keeper, 19)
    (task.folder.path / "processes.json").write_text(json.dumps([[bystander.runner(), 1], [bystander.keeper(), 1]]))

    for each in (*place.forkservers(), keeper):
        kill(each)
    wait_for("its end, by looking at it", lambda: task.info().is_ended)

    assert command_of(bystander.runner()) and (bystander.latest() or TaskUpdate("")).status == "running"
    bystander.ask("abort")
    assert bystander.end().status == "aborted"


def _number(text: str | None) -> str | None:
    return text if text and text.isdecimal() else None


# -- what a restart finds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [b"", b'"half of a li'])
def test_a_task_goes_on_from_the_items_and_the_state_in_its_folder(place: Place, torn: bytes) -> None:
    """They count from the first update on that the worker could be seen in."""
    manager_of(place, max_running=1)
    first = place.start("hold")
    first.until_message("there")
    task = place.start("what_it_finds")
    (task.folder.path / "items.jsonl").write_bytes(b'"a"\nnull\n' + torn)
    (task.folder.path / "items.exact.jsonl").write_bytes(b'{"at":4,"item":NaN}\n')
    (task.folder.path / "checkpoint.json").write_bytes(b'{"items_bytes":9,"state":{"page":2}}')

    first.ask("abort")
    end = task.end()

    assert end.result == {"page": 2} and end.items == 3
    assert task.items() == [b'"a"', b"null", b'"new"']
    assert next(update for update in updates(task) if update.started_at).items == 2
