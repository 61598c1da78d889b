"""A restart: a new task with an ended one's input, from its last checkpoint where there is a good one."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from sse_tasks import task
from sse_tasks.errors import (
    IdempotencyConflictError,
    InvalidInputError,
    NothingThereError,
    TaskLiveError,
    TaskNotFoundError,
    TaskTypeNotFoundError,
)
from sse_tasks.items import read_items
from sse_tasks.restarting import plan_restart
from sse_tasks.task_manager import TaskManager
from sse_tasks.worker_pickle import dump_worker

from ..places import Place, Task

WORKERS = Path(__file__).parent / "workers"


@pytest.fixture(scope="module")
def manager(shared_place: Place) -> TaskManager:
    return shared_place.manager(worker_folders=[str(WORKERS)])


@pytest.fixture(scope="module")
def died(shared_place: Place, manager: TaskManager) -> Task:
    """A task whose worker was killed after three checkpoints and one item more."""
    options = {"name": "Counting", "tags": ["a"], "timeout": 60.0, "retries": 0}
    died = shared_place.start("count_up", manager, options=options, to=5, die_at=3)
    assert died.end().code == "worker_died"
    return died


def restarted(manager: TaskManager, task: Task, **options: Any) -> Task:
    return Task(manager, manager.restart(task.task_id, **options).task_id)


def numbers(task: Task) -> list[Any]:
    return [json.loads(line)["number"] for line in task.items()]


def test_a_restart_goes_on_from_the_checkpoint(manager: TaskManager, died: Task) -> None:
    """It finds the saved state and exactly the items up to it, also those that JSON says only roughly; what came after
    is emitted anew, and neither lost nor doubled. The old task stays as it was."""
    before = died.items()
    new = restarted(manager, died, origin={"notebook": "a.ipynb"})

    assert new.end().result == {"began_at": 3}
    assert numbers(new) == [0, 1, 2, 3, 4]
    assert [str(item["inexact"]) for item in read_items(new.folder)] == ["nan"] * 5
    assert died.items() == before and died.one_terminal().code == "worker_died"
    first = next(update for _, update in new.folder.updates())
    assert (first.status, first.items) == ("idle", 3)
    assert first.message is not None and "from the last checkpoint, with 3 items" in first.message


def test_the_two_are_linked_and_alike(manager: TaskManager, died: Task) -> None:
    """The new one says what it is a restart of, the old one as what it was restarted, to managers that had seen it
    before too; type, input, name, tags, timeout and interpreter are the same, the origin is the restarter's."""
    other = TaskManager(data_dir=str(manager.root), runtime_dir=manager.socket_dir)
    other.info(died.task_id)

    new = restarted(manager, died, origin={"notebook": "b.ipynb"})

    old_info, new_info = other.info(died.task_id), new.info()
    assert (old_info.restarted_as, new_info.restart_of) == (new.task_id, died.task_id)
    assert other.list(status=["failed"])[0][-1].restarted_as == new.task_id
    old_spec, new_spec = died.folder.spec(), new.folder.spec()
    for field in ("task_type", "input", "name", "tags", "timeout", "retries", "interpreter", "cwd", "sys_path",
                  "worker"):
        assert getattr(old_spec, field) == getattr(new_spec, field), field
    assert new_info.origin == {"notebook": "b.ipynb"}
    new.end()
    other.close()


def test_fresh_begins_anew(manager: TaskManager, died: Task) -> None:
    """With ``fresh`` nothing of the checkpoint is there."""
    new = restarted(manager, died, fresh=True)

    assert new.end().code == "worker_died"  # as it did the first time: it has no state that says otherwise
    assert numbers(new) == [0, 1, 2, 3, "lost"]


@pytest.mark.parametrize(("broken", "why"), [
    ('{"items_bytes": 10, "sta', "can't be read"), ("[]", "no state"),
    ('{"items_bytes": true, "state": 1}', "no state"), ('{"items_bytes": -1, "state": 1}', "no state"),
    ('{"items_bytes": 10}', "no state"), ('{"items_bytes": 1000000, "state": 1}', "more items than there are"),
    ('{"items_bytes": 3, "state": 1}', "middle of an item"), ("\udcff", "can't be read"), (None, "no checkpoint")])
def test_a_checkpoint_that_is_no_good_is_said(manager: TaskManager, died: Task, tmp_path: Path, broken: str | None,
                                              why: str) -> None:
    """Torn, garbled, longer than the items or in the middle of one: the restart begins anew, and its first message says
    why."""
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "items.jsonl").write_bytes((died.folder.path / "items.jsonl").read_bytes())
    if broken is not None:
        (folder / "checkpoint.json").write_text(broken, "utf-8", "surrogateescape")

    plan = plan_restart(died.folder.spec(), type(died.folder)(folder), os.environ, fresh=False)

    assert plan.checkpoint is None and plan.items == 0
    assert plan.message.startswith("Restarted from the beginning: ") and why in plan.message
    (tmp_path / "new").mkdir()
    plan.fill(tmp_path / "new")
    assert os.listdir(tmp_path / "new") == []


def test_large_items_are_copied_in_little_memory(died: Task, tmp_path: Path) -> None:
    """Sixty megabytes of items take a few of memory, and are the same afterwards up to the checkpoint."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    line = b'"' + b"x" * 99_997 + b'"\n'
    with open(old / "items.jsonl", "wb") as file:
        file.writelines(line for _ in range(600))
    (old / "checkpoint.json").write_text(json.dumps({"items_bytes": 590 * len(line), "state": 590}))

    tracemalloc.start()
    plan = plan_restart(died.folder.spec(), type(died.folder)(old), os.environ, fresh=False)
    plan.fill(new)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert plan.items == 590 and (new / "items.jsonl").stat().st_size == 590 * len(line)
    assert (new / "checkpoint.json").read_bytes() == (old / "checkpoint.json").read_bytes()
    assert peak < 16 << 20


def test_a_restart_with_a_key_is_made_once(manager: TaskManager, died: Task) -> None:
    """Also when its task type is gone meanwhile; anew when what was made has been forgotten. A refused one takes no
    key."""
    first, is_new = manager.restart_or_find(died.task_id, idempotency_key="once")
    assert is_new and Task(manager, first.task_id).end().result == {"began_at": 3}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manager._types, "find", lambda *_: 1 / 0)
        assert manager.restart(died.task_id, idempotency_key="once").task_id == first.task_id
        with pytest.raises(ZeroDivisionError):
            manager.restart(died.task_id, idempotency_key="twice")
    with pytest.raises(IdempotencyConflictError, match=first.task_id):
        manager.restart(died.task_id, fresh=True, idempotency_key="once")

    manager.forget(first.task_id)

    again, is_new = manager.restart_or_find(died.task_id, fresh=True, idempotency_key="once")
    assert is_new and again.task_id != first.task_id
    twice, is_new = manager.restart_or_find(died.task_id, idempotency_key="twice")
    assert is_new
    for task_id in (again.task_id, twice.task_id):
        Task(manager, task_id).end()


def test_a_restart_of_a_restart_has_no_key(manager: TaskManager, died: Task) -> None:
    """A key belongs to the task that was made with it, and not to those that go on from there."""
    first = Task(manager, manager.restart(died.task_id, idempotency_key="of-the-first").task_id)
    first.end()
    second = restarted(manager, first)
    second.end()
    manager.forget(second.task_id)

    assert manager.restart(died.task_id, idempotency_key="of-the-first").task_id == first.task_id


def test_variables_that_are_missing_are_named(manager: TaskManager, shared_place: Place,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart has the restarter's environment; what the first one had beyond it is said, without its value."""
    monkeypatch.setenv("API_KEY_OF_TESTS", "a-secret")
    old = shared_place.start("echo", manager, text="x")
    old.end()
    monkeypatch.delenv("API_KEY_OF_TESTS")

    new = restarted(manager, old)

    message = next(update for _, update in new.folder.updates()).message or ""
    assert "lacks API_KEY_OF_TESTS" in message and "SHLVL" not in message
    assert new.end().result == "x"
    assert b"a-secret" not in b"".join(path.read_bytes() for path in new.folder.path.iterdir() if path.is_file())


def test_a_live_task_is_not_restarted(manager: TaskManager, shared_place: Place) -> None:
    """Nor is one that isn't there."""
    live = shared_place.start("forever", manager)

    with pytest.raises(TaskLiveError, match="can't be restarted"):
        manager.restart(live.task_id)
    with pytest.raises(TaskNotFoundError):
        manager.restart("0" * 26)
    live.ask("abort")
    live.end()


@task
def doubled(number: int) -> int:
    return number * 2


def test_a_function_of_a_notebook_is_restarted(manager: TaskManager) -> None:
    """The function that was sent by value goes along, through several restarts; where it is gone that is said."""
    first = Task(manager, manager.start_function("doubled", dump_worker(doubled), {"number": 21}).task_id)
    assert first.end().result == 42
    second = restarted(manager, first)
    assert second.end().result == 42
    manager.forget(first.task_id)
    third = restarted(manager, second)
    assert third.end().result == 42

    (third.folder.path / "worker.pickle").unlink()
    with pytest.raises(NothingThereError, match="run the cell"):
        manager.restart(third.task_id)


def test_a_task_type_that_is_gone_or_has_changed(place: Place, tmp_path: Path) -> None:
    """A restart with a worker that is no longer there, or takes other input, is refused with the reason; nothing is
    made. A worker that was mended meanwhile is the one that runs."""
    file = tmp_path / "changing.py"
    manager = place.manager(worker_folders=[str(tmp_path)])
    file.write_text("from sse_tasks import task\n@task\ndef changing(a: int = 0):\n    return 1 / a\n")
    old = place.start("changing", manager)
    assert old.end().code == "worker_error"

    file.write_text("from sse_tasks import task\n@task\ndef changing(a: int = 0):\n    return 'mended'\n")
    assert restarted(manager, old).end().result == "mended"
    given = place.start("changing", manager, a=5)
    given.end()
    count = len(place.task_ids())
    file.write_text("from sse_tasks import task\n@task\ndef changing(b: int):\n    return b\n")
    with pytest.raises(InvalidInputError):
        manager.restart(given.task_id)
    file.unlink()
    with pytest.raises(TaskTypeNotFoundError, match="changing"):
        manager.restart(given.task_id)
    assert len(place.task_ids()) == count and place.waiting() == []


def test_a_lost_task_is_restarted(manager: TaskManager, died: Task) -> None:
    """A task whose machine is gone has no end in its log, and goes on here from its checkpoint."""
    lost = died.folder.path.with_name("1" * 26)
    lost.mkdir()
    for name in ("items.jsonl", "items.exact.jsonl", "checkpoint.json"):
        (lost / name).write_bytes((died.folder.path / name).read_bytes())
    spec = json.loads((died.folder.path / "task.json").read_text())
    (lost / "task.json").write_text(json.dumps({**spec, "taskId": lost.name, "host": "another-machine:1"}))
    lines = (died.folder.path / "events.jsonl").read_bytes().splitlines(keepends=True)
    (lost / "events.jsonl").write_bytes(b"".join(lines[:-1]))
    assert manager.info(lost.name).code == "host_lost"

    new = restarted(manager, Task(manager, lost.name))

    assert new.end().result == {"began_at": 3}
    assert manager.info(lost.name).restarted_as == new.task_id
    assert (lost / "events.jsonl").read_bytes() == b"".join(lines[:-1])
