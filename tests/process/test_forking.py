"""Workers that fork, report from other threads and coroutines, or put traps into their own folder."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from sse_tasks.errors import StorageError

from ..places import Place, kill


@pytest.mark.parametrize(("how", "status"), [("exit", 3), ("raise", 1), ("return", 0)])
def test_a_forked_child_does_not_decide_the_tasks_fate(shared_place: Place, how: str, status: int) -> None:
    """A child that leaves the worker's code ends as any process; the task ends by its own process alone."""
    task = shared_place.start("child-exits", how=how)

    assert task.end().result == f"parent {status}"


@pytest.mark.parametrize("size", [100, 300_000])
def test_forked_children_may_report(shared_place: Place, size: int) -> None:
    """Reports of several processes never mix, however large: every item is there, whole."""
    task = shared_place.start("children-report", size=size)

    update = task.end(60)

    assert (update.status, update.result, update.items) == ("completed", 0, 20)
    lines = (task.folder.path / "items.jsonl").read_text().splitlines()
    assert {(item["number"], item["turn"], len(item["text"])) for item in map(json.loads, lines)} == {
        (number, turn, size) for number in (0, 1, 2, 9) for turn in range(5)}


def test_spawned_children_know_the_workers_functions(shared_place: Place) -> None:
    """What a worker file defines can run in the new interpreters that multiprocessing starts."""
    task = shared_place.start("spawns")

    assert (task.end(60).result, task.output()) == (0, "from a new interpreter\n")


@pytest.mark.parametrize("name", ["thread-reports", "child-coroutine-reports"])
def test_an_abort_reaches_the_workers_main_part(place: Place, name: str) -> None:
    """Whoever calls ctx first, a helper thread or a child coroutine: the worker itself is interrupted and cleans up."""
    place.manager(abort_grace=60)
    for _ in range(5):
        task = place.start(name)
        task.until_message("chatter")
        task.ask("abort")

        assert task.end(30).status == "aborted"
        assert "CLEANED" in task.output()


def test_a_fifo_in_place_of_the_items(shared_place: Place) -> None:
    """It stops nobody: the task fails with a sentence, and others go on."""
    task = shared_place.start("fifo-for-items")

    update = task.end()

    assert (update.status, update.code) == ("failed", "disk_full")
    assert shared_place.start("child-exits", how="exit").end().status == "completed"


def test_fifos_in_place_of_the_requests_and_the_result(shared_place: Place) -> None:
    """Who asks something of such a task waits for nobody, and its forkserver ends it and serves the others."""
    task = shared_place.start("fifos-for-requests-and-result")
    task.until_message("made")

    with suppress(StorageError):
        task.ask("abort")
    kill(task.keeper())

    update = task.end()
    assert (update.status, update.code) == ("failed", "worker_died")
    assert shared_place.start("child-exits", how="exit").end().status == "completed"


def test_an_exception_without_stderr(shared_place: Place) -> None:
    """A closed stderr takes neither the exception nor its traceback away."""
    task = shared_place.start("raises-without-stderr")

    update = task.end()

    assert (update.code, update.error) == ("worker_error", "ValueError: boom")
    assert "ValueError: boom" in task.output()


def test_a_result_without_pickle_or_repr(shared_place: Place) -> None:
    """What can't be kept is invalid_output, also where it can't even be shown."""
    assert shared_place.start("no-repr").end().code == "invalid_output"
