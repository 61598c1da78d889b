"""What is kept of ended tasks: within days, bytes and number, what ended first goes first, and never what is in use."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sse_tasks.claims import Claims
from sse_tasks.errors import TaskNotFoundError
from sse_tasks.folder import create_task_folder, publish
from sse_tasks.hosts.local import host_id
from sse_tasks.log_writer import LogWriter
from sse_tasks.retention import DAY_SECONDS, removing
from sse_tasks.task_manager import TaskManager
from sse_tasks.types import TaskSpec, new_task_id

from ..places import Place, wait_for

Managers = Callable[..., TaskManager]


@pytest.fixture
def managers(place: Place) -> Managers:
    """Makes managers of one data folder; without limits but those that are named."""
    def make(**limits: Any) -> TaskManager:
        return place.manager(**{"keep_days": None, "keep_bytes": None, "keep_count": None, **limits})

    return make


def moment(ago: timedelta) -> str:
    return (datetime.now(UTC) - ago).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make(manager: TaskManager, status: str, ago: timedelta = timedelta(hours=1), size: int = 0, **spec: Any
         ) -> LogWriter:
    """A task as its keeper would leave it, that ended a while ago; its log is held."""
    task_id = new_task_id()
    about = TaskSpec(task_id=task_id, task_type="by-hand", worker={}, input={}, host=host_id(), created_at=moment(ago),
                     **spec)
    update = {"taskId": task_id, "timestamp": moment(ago), "type": "status", "startedAt": moment(ago)}
    writer = create_task_folder(manager.root / "tasks", about, {**update, "status": "running"})
    publish(writer)
    (writer.folder.files_path / "data").write_bytes(b"x" * size)
    if status != "running":
        writer.append({**update, "status": status})
    return writer


def ended(manager: TaskManager, ago: timedelta = timedelta(hours=1), size: int = 0, status: str = "completed",
          **spec: Any) -> str:
    writer = make(manager, status, ago, size, **spec)
    writer.close()
    return writer.folder.task_id


def test_what_is_older_than_keep_days_is_forgotten(managers: Managers) -> None:
    """Whatever it ended as; younger tasks stay."""
    manager = managers(keep_days=30)
    old = [ended(manager, timedelta(days=31), status=status) for status in ("completed", "failed", "aborted")]
    young = [ended(manager, timedelta(days=29)), ended(manager)]

    assert manager.prune() == 3

    assert manager.ids() == sorted(young, reverse=True)
    assert sorted(os.listdir(manager.root / "tasks")) == sorted(young)
    with pytest.raises(TaskNotFoundError):
        manager.info(old[0])


def test_beyond_keep_count_what_ended_first_goes_first(managers: Managers) -> None:
    """Not what was started first."""
    manager = managers(keep_count=2)
    ids = [ended(manager, timedelta(hours=hours)) for hours in (2, 5, 3, 4)]

    assert manager.prune() == 2

    assert set(manager.ids()) == {ids[0], ids[2]}


def test_beyond_keep_bytes_what_ended_first_goes_first(managers: Managers) -> None:
    """Everything in the folder counts, and no more goes than has to."""
    manager = managers(keep_bytes="1 MiB")
    ids = [ended(manager, timedelta(hours=9 - number), size=400_000) for number in range(4)]

    assert manager.prune() == 2

    assert set(manager.ids()) == set(ids[2:])


def test_live_tasks_are_never_forgotten(managers: Managers) -> None:
    """However old, many and large they are; nor do they count."""
    manager = managers(keep_days=0.0001, keep_bytes=0, keep_count=0)
    live = [make(manager, "running", timedelta(days=400), size=100_000) for _ in range(3)]
    ended(manager)

    assert manager.prune() == 1

    assert set(manager.ids()) == {writer.folder.task_id for writer in live}
    for writer in live:
        writer.close()


def test_what_somebody_uses_is_not_forgotten(managers: Managers) -> None:
    """A task that is followed through this manager, copied by any process, or that has just ended stays for now."""
    manager = managers(keep_count=0)
    followed, copied, free, fresh = ended(manager), ended(manager), ended(manager), ended(manager, timedelta(seconds=1))
    stop = manager.watch(lambda _: None, followed)
    log = os.open(manager.folder(copied).log_path, os.O_RDONLY)
    fcntl.flock(log, fcntl.LOCK_SH)

    assert manager.prune() == 1
    assert set(manager.ids()) == {followed, copied, fresh} and free not in manager.ids()

    stop()
    os.close(log)
    assert manager.prune() == 2 and manager.ids() == [fresh]


def test_several_that_prune_at_once_remove_nothing_twice(managers: Managers) -> None:
    """Four managers together forget as many as there are too many, and none of them fails."""
    all_of_them = [managers(keep_count=10) for _ in range(4)]
    ids = [ended(all_of_them[0], timedelta(hours=2) - timedelta(seconds=number)) for number in range(60)]
    start = threading.Barrier(4)
    counts: list[int] = []

    def prune(manager: TaskManager) -> None:
        start.wait()
        counts.append(manager.prune())

    threads = [threading.Thread(target=prune, args=[manager]) for manager in all_of_them]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sum(counts) == 50 and len(counts) == 4
    assert set(all_of_them[0].ids()) == set(ids[50:])


def test_a_lost_task_is_forgotten_like_others(managers: Managers) -> None:
    """A task of a machine that is gone has no end in its log: its last sign of life counts."""
    manager = managers(keep_days=30)
    writer = make(manager, "running", timedelta(days=31))
    spec = writer.folder.path / "task.json"
    spec.write_text(spec.read_text().replace(host_id(), "another-machine:1"))
    writer.close()

    assert manager.info(writer.folder.task_id).code == "host_lost"
    assert manager.prune() == 1 and manager.ids() == []


def test_a_torn_log_on_a_full_disk_is_forgotten_too(managers: Managers) -> None:
    """Forgetting writes nothing: it is how a full disk gets room again."""
    manager = managers(keep_count=0)
    task_id = ended(manager)
    with open(manager.folder(task_id).log_path, "ab") as log:
        log.write(b'{"type": "sta')

    manager.forget(task_id)

    assert manager.ids() == []


def test_two_that_forget_the_same_task(managers: Managers) -> None:
    """The second is told that there is none."""
    manager = managers()
    task_id = ended(manager)
    folder = manager.folder(task_id)
    manager.forget(task_id)

    with pytest.raises(TaskNotFoundError):
        manager.forget(task_id)
    with pytest.raises(TaskNotFoundError), removing(folder):
        pass


def test_many_are_forgotten_by_status_and_time(managers: Managers) -> None:
    """Both have to fit; a live task is none of them."""
    manager = managers()
    ids = {(status, hours): ended(manager, timedelta(hours=hours), status=status)
           for status in ("completed", "failed") for hours in (1, 5)}
    live = make(manager, "running", timedelta(hours=9))

    assert manager.forget_ended(status=["failed"], before=moment(timedelta(hours=2))) == 1
    assert ids["failed", 5] not in manager.ids() and len(manager.ids()) == 4
    assert manager.forget_ended(status=["completed"]) == 2
    assert manager.forget_ended(before=moment(timedelta())) == 1
    assert manager.ids() == [live.folder.task_id]
    live.close()


def test_starts_prune_at_most_once_a_day(managers: Managers, place: Place) -> None:
    """A shell or kernel that starts tasks looks through all of them only when nobody did so for a day."""
    manager = managers(keep_count=0)
    ended(manager)
    stamp = manager.root / "pruned"
    place.start("add", manager, a=1).end()
    assert len(manager.ids()) == 2 and stamp.exists()

    os.utime(stamp, (0, os.stat(stamp).st_mtime - DAY_SECONDS - 1))
    place.start("add", manager, a=1).end()

    wait_for("the old task to be forgotten", lambda: len(manager.ids()) == 2)
    assert manager.prune_if_due(DAY_SECONDS) == 0


def test_keys_of_forgotten_tasks_are_free_again(managers: Managers) -> None:
    """With the task, or when the next one prunes, goes its idempotency key."""
    manager = managers()
    claims = Claims(manager.root / "claims")
    task_id = new_task_id()
    for key in ("gone", "there", "torn"):
        with claims.hold("by-hand", key, 0) as claim:
            if key == "there":
                task_id = ended(manager, claim=claim.name)
            if key != "torn":
                claim.write(task_id, "digest")
    assert len(os.listdir(manager.root / "claims")) == 3

    manager.prune()
    assert len(os.listdir(manager.root / "claims")) == 1

    manager.forget(task_id)
    assert os.listdir(manager.root / "claims") == []


# -- clocks --------------------------------------------------------------------------------------------------------


class Pruner:
    """A process of its own that prunes when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert self._says() == "ready"

    def _says(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def prune(self) -> tuple[int, int]:
        """How many it forgot, and how many tasks are left."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        removed, left = self._says().split()
        return int(removed), int(left)


@contextmanager
def pruner(place: Place, turn: Path) -> Iterator[Pruner]:
    """With ``keep_days`` of 30 and a clock that is turned by what stands in ``turn``."""
    command = [sys.executable, str(Path(__file__).with_name("turned_clock.py")), str(turn), "-m",
               "tests.faults.pruning", str(place.data_dir), str(place.home / "r"), "30"]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)
    with process:
        try:
            yield Pruner(process)
        finally:
            process.kill()


def test_a_clock_that_jumps_forward_makes_no_task_old(managers: Managers, place: Place) -> None:
    """By forty days, while a manager is there: neither it nor one that comes later, to which the wrong time is the only
    one that it has ever seen, forgets what is younger than keep_days. What is really older goes."""
    manager = managers()
    kept = [ended(manager), ended(manager, timedelta(days=29))]
    turn = place.scratch / "turn"
    with pruner(place, turn) as before:
        turn.write_text(str(int(40 * DAY_SECONDS)))
        assert before.prune() == (0, 2)
        with pruner(place, turn) as after:
            assert after.prune() == (0, 2)
            ended(manager, timedelta(days=31))
            assert after.prune() == (1, 2) and set(manager.ids()) == set(kept)


def test_a_clock_that_was_behind_and_is_set_right(managers: Managers, place: Place) -> None:
    """A machine that began in 1970, until somebody told it the time: nothing is forgotten for its age too early, and a
    number that is too large still counts."""
    turn = place.scratch / "turn"
    turn.write_text(str(-int(time.time())))
    with pruner(place, turn) as behind:
        manager = managers()
        ended(manager, timedelta(days=31))
        turn.write_text("0")
        assert behind.prune() == (0, 1)
    assert managers(keep_days=30).prune() == 0
    assert managers(keep_count=0).prune() == 1


@pytest.mark.parametrize("content", ["", "[]", '{"boot": "another", "began": 1.0}', '{"began": NaN}', None])
def test_what_another_boot_or_a_torn_write_left_is_replaced(managers: Managers, content: str | None) -> None:
    """What the clocks showed counts for one run of the machine; where nothing sensible is kept, it is written anew."""
    clock = managers().root / "clock"
    clock.unlink()
    if content is not None:
        clock.write_text(content)

    manager = managers(keep_days=30)
    ended(manager, timedelta(days=31))

    assert json.loads(clock.read_text())["began"] > 1e9
    assert manager.prune() == 1
    assert [name for name in os.listdir(manager.root) if name.startswith("clock-")] == []
