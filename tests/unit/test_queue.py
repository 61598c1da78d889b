"""Whose turn it is: the waiting in order, and slots that nobody can keep beyond its life."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sse_tasks.folder import create_task_folder, publish
from sse_tasks.log_writer import LogWriter
from sse_tasks.queue import Queue
from sse_tasks.types import TaskSpec, new_task_id, now_iso


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("tasks", "waiting", "slots"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def queue(data: Path) -> Queue:
    return Queue(data)


@pytest.fixture
def writers() -> Iterator[list[LogWriter]]:
    made: list[LogWriter] = []
    yield made
    for writer in made:
        writer.close()


def never(task_id: str) -> bool:
    return False


def put(queue: Queue, data: Path, writers: list[LogWriter]) -> str:
    """A task that waits, held by this process."""
    spec = TaskSpec(task_id=new_task_id(), task_type="t", worker={}, input={}, created_at=now_iso())
    writer = create_task_folder(data / "tasks", spec, {"type": "status", "status": "idle"})
    publish(writer)
    writers.append(writer)
    queue.put(spec.task_id)
    return spec.task_id


def test_the_waiting_are_listed_oldest_first(queue: Queue, data: Path, writers: list[LogWriter]) -> None:
    """Ids sort by start time; what is no id is passed over, and removing twice is no error."""
    ids = [put(queue, data, writers) for _ in range(5)]
    (data / "waiting" / ".nfs0001").write_text("")

    assert queue.waiting() == ids
    queue.remove(ids[2])
    queue.remove(ids[2])
    assert queue.waiting() == ids[:2] + ids[3:]


def test_the_oldest_goes_first_whoever_holds_it(queue: Queue, data: Path, writers: list[LogWriter]) -> None:
    """A forkserver lets an older live task of another one go ahead."""
    ids = [put(queue, data, writers) for _ in range(3)]

    assert queue.next_of({ids[0], ids[2]}, never) == ids[0]
    assert queue.next_of({ids[1], ids[2]}, never) is None
    assert queue.next_of(set(), never) is None


def test_dead_marks_do_not_count(queue: Queue, data: Path, writers: list[LogWriter]) -> None:
    """A mark without a folder, or of a task that nobody holds, stops no one."""
    dead = put(queue, data, writers)
    queue.put(new_task_id())
    mine = put(queue, data, writers)
    writers[0].close()

    assert queue.next_of({mine}, never) == mine
    assert dead in queue.waiting()


def test_a_paused_task_keeps_its_place_and_lets_others_go(queue: Queue, data: Path, writers: list[LogWriter]) -> None:
    """Paused here or elsewhere, it stops no one, and is first again when resumed."""
    ids = [put(queue, data, writers) for _ in range(3)]

    assert queue.next_of(set(ids), lambda task_id: task_id == ids[0]) == ids[1]
    writers[0].append({"type": "status", "status": "paused"})
    assert queue.next_of({ids[1]}, never) == ids[1]
    writers[0].append({"type": "status", "status": "idle"})
    assert queue.next_of({ids[1]}, never) is None


def test_slots_are_as_many_as_may_run(queue: Queue) -> None:
    """No more than ``max_running`` are given; one that is given back is free again."""
    slots = [queue.take_slot(3) for _ in range(3)]
    assert None not in slots and queue.take_slot(3) is None

    os.close(slots[1])  # type: ignore[arg-type]
    again = queue.take_slot(3)
    assert again is not None and queue.take_slot(3) is None
    more = queue.take_slot(4)
    assert more is not None and queue.take_slot(2) is None
    for fd in (slots[0], slots[2], again, more):
        os.close(fd)  # type: ignore[arg-type]


def test_a_dead_holder_gives_its_slot_back(queue: Queue, data: Path) -> None:
    """A slot is held by a process, and dies with it."""
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys; from pathlib import Path; from sse_tasks.queue import Queue\n"
         "slot = Queue(Path(sys.argv[1])).take_slot(1); print(slot is not None, flush=True); sys.stdin.read()",
         str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "True\n"
    assert queue.take_slot(1) is None

    holder.kill()
    holder.communicate(timeout=10)

    slot = queue.take_slot(1)
    assert slot is not None
    os.close(slot)
