"""What is remembered of tasks, and when it is read anew."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sse_tasks.folder import TaskFolder, create_task_folder, publish
from sse_tasks.hosts.local import host_id
from sse_tasks.index import BRIEF_BYTES
from sse_tasks.log_writer import LogWriter
from sse_tasks.task_manager import TaskManager
from sse_tasks.types import TaskSpec, new_task_id

from ..places import wait_for

Make = Callable[..., str]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[TaskManager]:
    manager = TaskManager(data_dir=str(tmp_path / "data"), runtime_dir=str(tmp_path / "r"))
    yield manager
    manager.close()


@pytest.fixture
def writers() -> Iterator[dict[str, LogWriter]]:
    """The logs of live tasks, which are held until the test ends."""
    held: dict[str, LogWriter] = {}
    yield held
    for writer in held.values():
        writer.close()


@pytest.fixture
def make(manager: TaskManager, writers: dict[str, LogWriter]) -> Make:
    """Makes tasks by hand, some time ago."""

    def make_(status: str = "completed", *, task_type: str = "t", input: Any = None, **update: Any) -> str:
        task_id = new_task_id()
        spec = TaskSpec(task_id=task_id, task_type=task_type, worker={}, input=input or {}, host=host_id(),
                        created_at="2026-01-01T00:00:00.000Z")
        first = {"taskId": task_id, "timestamp": "2026-01-01T00:00:00.000Z", "type": "status"}
        writer = create_task_folder(manager.root / "tasks", spec, {**first, "status": "running", "startedAt": "x"})
        publish(writer)
        if status == "running":
            writers[task_id] = writer
        else:
            writer.append({**first, "status": status, **update})
            writer.close()
        os.utime(writer.folder.path, (1e9, 1e9))
        return task_id

    return make_


def test_an_ended_task_is_read_once(manager: TaskManager, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is listed or looked at."""
    ids = [make(result=number) for number in range(3)]
    before = manager.list()[0]
    monkeypatch.setattr(TaskFolder, "latest", None)
    monkeypatch.setattr(TaskFolder, "spec", None)

    assert manager.list()[0] == before
    assert [manager.info(task_id).result for task_id in ids] == [0, 1, 2]
    assert manager.list(status=["running"])[0] == []


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "goes on"])
def test_a_change_without_a_bell_is_told(manager: TaskManager, make: Make, writers: dict[str, LogWriter],
                                         ends: bool) -> None:
    """A bell finds no room in a socket that nobody empties for a moment. What it had to say is told by the next look at
    the files, also of a task that others have seen to end meanwhile."""
    told: list[str] = []
    task_id = make("running")
    manager.info(task_id)
    stop = manager.watch(told.append)
    update = {"taskId": task_id, "timestamp": "2026-01-01T00:00:01.000Z"}

    if ends:
        writers[task_id].append({**update, "type": "status", "status": "completed"})
        assert manager.list(status=["running"])[0] == []
    else:
        writers[task_id].append({**update, "type": "progress", "status": "running", "message": "more"})

    wait_for("a word of it", lambda: task_id in told)
    stop()


def test_what_is_added_to_an_ended_task_is_seen(manager: TaskManager, make: Make) -> None:
    """By any process, as a restart does."""
    task_id = make()
    assert manager.info(task_id).restarted_as is None

    (manager.folder(task_id).path / "restarted_as").write_text("1" * 26)

    assert manager.info(task_id).restarted_as == "1" * 26
    assert manager.list()[0][0].restarted_as == "1" * 26


@pytest.mark.parametrize("content", ["", "x", "../../etc", "\0" * 26, "Z" * 26, "ü" * 26])
def test_a_link_that_is_no_id_is_none(manager: TaskManager, make: Make, content: str) -> None:
    """The file lies where a worker can write."""
    task_id = make()
    (manager.folder(task_id).path / "restarted_as").write_text(content)

    assert manager.info(task_id).restarted_as is None


@pytest.mark.parametrize("name", ["restarted_as", "task.json"])
def test_a_pipe_in_a_folder_keeps_nobody_waiting(manager: TaskManager, make: Make, name: str) -> None:
    """A worker can put one there: what is no file is not there, and the other tasks are listed."""
    task_id, other = make(), make()
    path = manager.folder(task_id).path / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)

    assert [info.task_id for info in manager.list()[0]] == ([other] if name == "task.json" else [other, task_id])
    assert all(info.restarted_as is None for info in manager.list()[0])


def test_that_a_task_has_ended_is_read_once(manager: TaskManager, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for live ones alone, as an overview does, reads the end of each log once, and no more of the ended."""
    for _ in range(3):
        make()
    running = make("running")
    assert [info.task_id for info in manager.list(status=["running"])[0]] == [running]
    read: list[str] = []
    latest = TaskFolder.latest
    monkeypatch.setattr(TaskFolder, "latest", lambda folder: read.append(folder.task_id) or latest(folder))

    assert [info.task_id for info in manager.list(status=["running"])[0]] == [running]
    assert manager.live_ids() == [running]
    assert set(read) == {running}


def test_many_files_are_not_counted_for_each_look(
        manager: TaskManager, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the task lives; once it has ended the number is what it is."""
    counted: list[str] = []

    def count(folder: TaskFolder) -> int:
        counted.append(folder.task_id)
        time.sleep(0.1)  # as with 100,000 files
        return len(counted)

    monkeypatch.setattr(TaskFolder, "count_files", count)
    monkeypatch.setattr("sse_tasks.index._COUNT_REST", 600)  # a minute: all looks lie within it
    live, ended = make("running"), make()

    assert [manager.info(live).files for _ in range(10)] == [1] * 10
    assert manager.info(ended).files == 2 and counted == [live, ended]


def test_large_inputs_and_results_are_not_remembered(manager: TaskManager, make: Make) -> None:
    """They are read anew for who wants them whole, and left out where a list is brief."""
    large = {"text": "x" * BRIEF_BYTES}
    task_id = make(input=large, result=large, resultBytes=len(str(large)))

    for _ in range(2):
        assert manager.info(task_id).input == manager.info(task_id).result == large
        assert manager.list()[0][0].input == large
    brief = manager.list(brief=True)[0][0]
    assert brief.input is None and brief.result is None and brief.result_bytes == len(str(large))


def test_filters_over_what_nobody_has_looked_at(manager: TaskManager, make: Make) -> None:
    """A status is found by the last line alone; type and cursor filter as ever."""
    ended = [make("completed"), make("failed"), make("aborted")]
    running = make("running", task_type="other")

    assert [info.task_id for info in manager.list(status=["running"])[0]] == [running]
    assert [info.task_id for info in manager.list(status=["failed", "aborted"])[0]] == [ended[2], ended[1]]
    assert [info.task_id for info in manager.list(task_type="other")[0]] == [running]
    first, following = manager.list(limit=2)
    assert [info.task_id for info in first] == [running, ended[2]] and following == ended[2]
    assert [info.task_id for info in manager.list(after=following)[0]] == [ended[1], ended[0]]


def test_a_few_at_a_time_are_looked_at_where_a_loop_waits(
        manager: TaskManager, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The live among many ended ones are found after some calls, and then in each."""
    monkeypatch.setattr("sse_tasks.index._LOOKED_AT_ONCE", 3)
    running = make("running")
    for _ in range(7):
        make()

    found = [manager.live_ids() for _ in range(4)]

    assert found == [[], [], [running], [running]]


def test_forgotten_elsewhere_is_forgotten_here(manager: TaskManager, make: Make) -> None:
    """What another process removed is in no list, and takes no memory."""
    ids = [make() for _ in range(3)]
    other = TaskManager(data_dir=str(manager.root), runtime_dir=manager.socket_dir)
    assert len(manager.list()[0]) == 3

    other.forget(ids[1])

    assert [info.task_id for info in manager.list()[0]] == [ids[2], ids[0]]
    assert len(manager._index._ended) == 2
    other.close()
