"""Disks that are full, may only be read, lose or garble something; folders of others; a clock that jumps back.

Each time: words that say so, the other tasks unharmed, what was written still readable, nothing left.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sse_tasks.errors import SseTasksError, StorageError, TaskNotFoundError
from sse_tasks.folder import TaskFolder, create_task_folder, publish
from sse_tasks.hosts.local import host_id
from sse_tasks.task_manager import TaskManager
from sse_tasks.types import TaskSpec, new_task_id, now_iso

from ..places import Place, Task, descendants, kill, living, processes_of, wait_for
from ..server_process import ServerProcess
from .disks import fill, place_on_a_disk, read_only
from .streams import WORKERS, Reader, begun, framed, server_of, steady_input

NOBODY = 65534


def manager_of(place: Place, **traits: Any) -> TaskManager:
    return place.manager(**{"worker_folders": [str(WORKERS)], "min_free_bytes": 0} | traits)


@pytest.fixture
def disk() -> Iterator[Place]:
    """A place on a disk of 3 MiB."""
    with place_on_a_disk("3m") as place:
        yield place


# -- full ----------------------------------------------------------------------------------------------------------


def stands_still(task: Task) -> bool:
    """Whether nothing is written into the log of a task for so long that several reports would have been."""
    size, until = task.folder.log_size(), time.monotonic() + 0.3
    while time.monotonic() < until and task.folder.log_size() == size:
        time.sleep(0.01)
    return task.folder.log_size() == size


@pytest.mark.parametrize("what", ["items", "output", "states"])
def test_who_fills_the_disk_fails_with_that_and_the_others_go_on(disk: Place, what: str) -> None:
    """``disk_full``, in words; all that was written before is whole and counted right. Another task, which has nothing
    to keep but reports all the time, is paused and resumed while no byte is free, and reports again when there is room.
    """
    manager = manager_of(disk)
    spare = disk.data_dir / "spare"
    spare.write_bytes(bytes(1 << 20))  # when this goes there is room for more than a moment's reports
    gate, other_gate = disk.scratch / "gate", disk.scratch / "other"
    filling = disk.start("write", manager, what=what, gate=str(gate))
    other = disk.start("silent", manager, gate=str(other_gate), chatter=True)
    filling.until_message("ready")
    other.until("running")

    gate.touch()
    end = filling.end()

    assert (end.status, end.code) == ("failed", "disk_full") and "No space left" in (end.error or "")
    assert len(filling.items()) == end.items == len([json.loads(item) for item in filling.items()])
    assert (filling.folder.path / "items.jsonl").read_bytes()[-1:] in (b"", b"\n") if end.items else True
    if what == "states":
        assert json.loads((filling.folder.path / "checkpoint.json").read_bytes())["state"]["number"] > 0
    assert not list(filling.folder.path.glob("*.partial"))
    wait_for("its last process to leave", lambda: not processes_of(filling.task_id))
    ballast = fill(disk)
    wait_for("reports that find no room", lambda: stands_still(other))
    for action, status in (("pause", "paused"), ("resume", "running")):
        other.ask(action)
        other.until(status)
    wait_for("reports that find no room", lambda: stands_still(other))
    ballast.unlink()
    spare.unlink()
    wait_for("its reports to be written again", lambda: not stands_still(other))
    other_gate.touch()
    assert other.end().result == "done"


def test_a_disk_that_is_full_at_the_very_end_keeps_no_task_from_saying_how_it_ended(disk: Place) -> None:
    """Not one byte is free when a worker raises, dies, is aborted or returns what can't be kept any more, or when a
    keeper is killed: each has its own terminal update, in the log, with its code. The abort can be asked for then, too,
    also of one that waits."""
    manager = manager_of(disk)
    gate = disk.scratch / "gate"
    tasks = {how: disk.start("silent", manager, gate=str(gate), how=how) for how in ("raise", "die", "large", "larger")}
    aborted, orphaned = (disk.start("silent", manager, gate=str(disk.scratch / "never")) for _ in range(2))
    waiting = disk.start("silent", manager_of(disk, max_running=1), gate=str(gate))
    for task in (*tasks.values(), aborted, orphaned):
        task.until_message("silent")

    fill(disk)
    kill(orphaned.keeper())
    aborted.ask("abort")
    waiting.ask("abort")
    gate.touch()

    ends = {how: task.end() for how, task in tasks.items()}
    assert [(end.status, end.code) for end in ends.values()] == [
        ("failed", "worker_error"), ("failed", "worker_died"), ("failed", "disk_full"), ("failed", "disk_full")]
    assert (ends["raise"].error or "").startswith("ValueError: It went wrong.")
    assert "status 3" in (ends["die"].error or "") and "No space left" in (ends["large"].error or "")
    assert aborted.end().status == "aborted" and waiting.end().status == "aborted"
    assert orphaned.end().code == "worker_died" and "SIGKILL" in (orphaned.end().error or "")
    again = manager_of(disk)
    for task in (*tasks.values(), aborted, orphaned, waiting):
        assert again.info(task.task_id).code == task.latest().code
        wait_for("its last process to leave", lambda task=task: not processes_of(task.task_id))


def test_a_result_that_leaves_no_room_for_itself_in_the_log_is_there_all_the_same(disk: Place) -> None:
    """The update says that the task has completed and how large its result is; the result is in its own file."""
    manager = manager_of(disk)
    gate = disk.scratch / "gate"
    task = disk.start("silent", manager, gate=str(gate), how="large")
    task.until_message("silent")

    fill(disk, but=650_000)
    gate.touch()

    end = task.end()
    assert (end.status, end.result, end.result_bytes) == ("completed", None, 600_002)
    with open(task.folder.open_part("result.json"), "rb") as file:
        assert json.load(file) == "r" * 600_000


def test_on_a_full_disk_nothing_starts_nothing_is_lost_and_all_can_be_read(disk: Place) -> None:
    """A start says what is wrong and leaves nothing. What waits when its forkserver dies has not failed by that: it
    gets its turn when there is room. A manager that is new then lists all that there is."""
    manager = manager_of(disk, max_running=1)
    assert disk.start("steady", manager, **steady_input(disk, 0, gate="")).end().status == "completed"
    running, waiting = (disk.start("silent", manager, gate=str(disk.scratch / "gate")) for _ in range(2))
    running.until_message("silent")

    ballast = fill(disk)
    before = sorted(os.listdir(disk.data_dir / "tasks")), disk.waiting()
    with pytest.raises(StorageError, match="No space left"):
        disk.start("steady", manager, **steady_input(disk, 1))
    assert (sorted(os.listdir(disk.data_dir / "tasks")), disk.waiting()) == before
    for pid in disk.forkservers():
        kill(pid)
    wait_for("the forkserver's death", lambda: not disk.forkservers())
    (disk.data_dir / "runtime").unlink()
    fresh = manager_of(disk, max_running=1)
    fresh.recover_all()
    assert [info.status for info in fresh.list()[0]] == ["idle", "running", "completed"]
    assert waiting.latest().status == "idle"

    ballast.unlink()
    (disk.scratch / "gate").touch()
    wait_for("the turn of the one that waited", lambda: fresh.info(waiting.task_id).is_ended)
    assert (running.end().result, waiting.end().result) == ("done", "done")


# -- read-only -----------------------------------------------------------------------------------------------------


def test_a_data_folder_that_may_only_be_read_is_read(disk: Place) -> None:
    """Tasks are listed and their logs read, by a manager that is made then, too; what would have to write says that it
    can't. A worker that has something to keep fails with those words, and one that hasn't goes on."""
    manager = manager_of(disk)
    gate = disk.scratch / "gate"
    writing = disk.start("write", manager, what="items", gate=str(gate))
    quiet = disk.start("silent", manager, gate=str(disk.scratch / "other"))
    writing.until_message("ready")
    quiet.until_message("silent")

    with read_only(disk):
        gate.touch()
        end = writing.end()
        assert (end.status, end.code) == ("failed", "disk_full") and "Read-only file system" in (end.error or "")
        fresh = manager_of(disk)
        assert [info.status for info in fresh.list()[0]] == ["running", "failed"]
        assert list(fresh.folder(writing.task_id).updates())[-1][1] == end
        for attempt in (lambda: disk.start("silent", fresh, gate=""), lambda: fresh.ask(quiet.task_id, "pause"),
                        lambda: fresh.forget(writing.task_id)):
            with pytest.raises(StorageError, match="Read-only file system"):
                attempt()
        assert quiet.latest().status == "running"

    (disk.scratch / "other").touch()
    assert quiet.end().result == "done"
    manager.forget(writing.task_id)


# -- removed -------------------------------------------------------------------------------------------------------


def remove(path: Path) -> None:
    """Removes a folder into which somebody may be writing."""
    def is_gone() -> bool:
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()

    wait_for("the folder to be gone", is_gone)


def test_a_task_whose_folder_is_removed_leaves_nothing_behind(place: Place) -> None:
    """One that runs and one that waits: their processes and marks are gone soon, whoever asks for them is told that
    there is no such task, and the one behind them gets its turn."""
    manager = manager_of(place, max_running=1)
    tasks = [place.start("silent", manager, gate=str(place.scratch / "never")) for _ in range(2)]
    behind = place.start("steady", manager, **steady_input(place, 0, gate=""))
    tasks[0].until_message("silent")
    runner, temp_dir = tasks[0].runner(), tasks[0].temp_dir

    for task in tasks:
        remove(task.folder.path)

    wait_for("the end of its processes", lambda: runner not in living() and not processes_of(tasks[0].task_id))
    assert behind.end().status == "completed"
    for task in tasks:
        with pytest.raises(TaskNotFoundError):
            task.info()
    assert place.waiting() == [] and not temp_dir.exists()
    wait_for("whatever the other one had to leave", lambda: not processes_of(tasks[1].task_id))


def test_a_data_folder_that_is_removed_takes_all_along(place: Place) -> None:
    """No process of it stays, and whoever starts a task then is told, or has a new folder."""
    manager = manager_of(place, max_running=1)
    tasks = [place.start("silent", manager, gate=str(place.scratch / "never")) for _ in range(2)]
    tasks[0].until_message("silent")
    (forkserver,) = place.forkservers()
    pids = [forkserver, *descendants(forkserver)]

    remove(place.data_dir)

    wait_for("the end of all processes", lambda: not set(pids) & set(living()))
    assert manager.list() == ([], None)
    try:
        assert place.start("steady", manager, **steady_input(place, 0, gate="")).end().status == "completed"
    except StorageError as error:
        assert str(place.data_dir) in str(error)


# -- garbled and huge ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def huge_place() -> Iterator[tuple[Place, ServerProcess]]:
    """A place with a server, for logs that a disk has spoilt."""
    place = Place()
    server = server_of(place)
    yield place, server
    server.stop()
    assert not place.close()


def finished(place: Place, number: int) -> Task:
    """A task that has ended with a few updates."""
    (place.scratch / f"gate-{number}").unlink(missing_ok=True)
    task = place.start("steady", manager_of(place), **steady_input(place, number, gate=f"gate-{number}", pace=0.06))
    wait_for("some items", lambda: len(task.items()) >= 6)
    return task


def test_what_a_disk_garbled_is_left_out_and_the_rest_is_there(huge_place: tuple[Place, ServerProcess]) -> None:
    """Of a task that died, zeros lie over the middle of the log and half a line at its end: it is told as dead, and a
    stream has every other update, once, in order, with the cursors that lead to the rest."""
    place, server = huge_place
    task = finished(place, 1)
    for pid in [*place.forkservers(), task.keeper()]:
        kill(pid)
    wait_for("its death", lambda: not task.folder.is_held() and not processes_of(task.task_id))
    with open(task.folder.log_path, "r+b") as file:
        lines = file.read().split(b"\n")
        file.seek(len(lines[0]) + len(lines[1]) // 2)
        file.write(bytes(len(lines[2])))
        file.seek(0, os.SEEK_END)
        file.write(b'{"type":"status","taskId":"')

    assert task.info().code == "worker_died"
    events = Reader(server, task).end()

    kept = [event for event in framed(task.folder) if b"\0" not in event and not event.endswith(b'"taskId":"')]
    assert events == kept and len(kept) >= len(lines) - 4
    assert json.loads(events[-1].split(b"data: ")[1])["code"] == "worker_died"
    resumed = Reader(server, task)
    resumed.end()
    assert resumed.events[1:] == [*events[1:]]


def memory_peak(pid: int) -> int:
    """The most bytes that a process has held so far."""
    for line in Path(f"/proc/{pid}/status").read_text().split("\n"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10
    raise AssertionError("no peak")


def test_two_gigabytes_of_log_cost_neither_memory_nor_the_others_time(huge_place: tuple[Place, ServerProcess]) -> None:
    """Its latest update, a reader that comes back near the end, and one that begins at the start: each is served
    without holding much of it, and the server answers others meanwhile."""
    place, server = huge_place
    task = finished(place, 2)
    (place.scratch / "gate-2").touch()
    task.end()
    log = task.folder.log_path.read_bytes()
    begin = 2 << 30
    with open(task.folder.log_path, "r+b") as file:  # the same lines at its begin and its end, and nothing between
        file.truncate(begin)
        file.seek(begin)
        file.write(b"\n" + log)
    before = memory_peak(server.process.pid)

    update, cursor = task.folder.latest()
    assert update is not None and update.status == "completed" and cursor == begin + 1 + len(log)
    near = begin + 1 + log.index(b"\n") + 1
    with server.client() as api:
        path, params = "/tasks/steady", {"taskId": task.task_id}
        resumed = api.get(path, params=params, headers={"Last-Event-ID": str(near)}).content
        assert resumed.count(b"\nid: ") == log.count(b"\n") - 1
        info = api.get(f"{path}/{task.task_id}").json()
        assert (info["status"], info["cursor"]) == ("completed", cursor)
        cut = log.rstrip(b"\n")[:log.rstrip(b"\n").rindex(b"\n") + 1]
        with open(task.folder.log_path, "r+b") as file:  # without an end at its begin, which would end the stream
            file.write(cut + b" " * (len(log) - len(cut) - 1))
        whole = Reader(server, task)
        while whole._thread.is_alive():
            assert api.get("/tasks").status_code == 200
        assert len(whole.end()) == 2 * log.count(b"\n") - 1
    assert memory_peak(server.process.pid) - before < 100 << 20


# -- others' folders -----------------------------------------------------------------------------------------------


def planted(place: Place, tasks: Path, number: int) -> Path:
    """A task that waits for whoever looks at it; it would run."""
    spec = TaskSpec(task_id=new_task_id(), task_type="steady", worker={"file": str(WORKERS / "steady.py")},
                    input=steady_input(place, number, gate=""), created_at=now_iso(), interpreter=sys.executable,
                    sys_path=list(sys.path), host=host_id(), runtime_dir=str(place.home / "r"))
    writer = create_task_folder(tasks, spec, {"type": "status", "taskId": spec.task_id, "status": "idle"})
    publish(writer)
    writer.close()
    return writer.folder.path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_what_others_own_and_what_links_lead_to_is_no_task_of_ours(place: Place) -> None:
    """A folder of another user, one behind a link, and one whose log is a link are neither listed nor run, and can't be
    asked for; one of ours that lay there likewise is."""
    manager = manager_of(place)
    tasks, elsewhere = place.data_dir / "tasks", place.scratch / "elsewhere"
    elsewhere.mkdir()
    foreign, ours, linked, half = (planted(place, where, number) for number, where in enumerate(
        (tasks, tasks, elsewhere, tasks)))
    os.chown(foreign, NOBODY, NOBODY)
    (tasks / linked.name).symlink_to(linked)
    (half / "events.jsonl").rename(elsewhere / "log")
    (half / "events.jsonl").symlink_to(elsewhere / "log")

    manager.recover_all()

    assert Task(manager, ours.name).end().status == "completed"
    assert [info.task_id for info in manager.list()[0]] == [ours.name] and begun(place) == [1]
    for path in (foreign, linked, half):
        for verb in (manager.info, manager.forget, lambda task_id: manager.ask(task_id, "abort")):
            with pytest.raises(TaskNotFoundError):
                verb(path.name)
    assert TaskFolder(linked).latest()[0].status == "idle"  # type: ignore[union-attr]


def as_nobody(place: Place) -> str:
    """What a manager of another user says of the tasks; in a forked child, as only root may read the interpreter."""
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            manager = TaskManager(data_dir=str(place.data_dir), runtime_dir=str(place.home / "r"))
            infos = [manager.list()[0], manager.list(brief=True)[0]]
            said = json.dumps([[f"{info.task_id} {info.status}" for info in each] for each in infos])
        except SseTasksError as error:
            said = f"{error.code}: {error}"
        except BaseException as error:
            said = repr(error)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with open(read) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_data_folder_with_somebody_elses_task_in_it_can_still_be_used(place: Place) -> None:
    """As after one start as root: what root's task holds can't be read, and that hides no other task. Where the data
    folder itself is root's, it says so."""
    place.home.chmod(0o755)
    manager = manager_of(place)
    roots = place.start("steady", manager, **steady_input(place, 0, gate=""))
    own = place.start("steady", manager, **steady_input(place, 1, gate=""))
    assert (roots.end().status, own.end().status) == ("completed", "completed")
    for top in (place.data_dir, place.home / "r"):
        for path in [top, *top.rglob("*")]:
            if not path.is_relative_to(roots.folder.path):
                os.chown(path, NOBODY, NOBODY)

    listed = f"{own.task_id} completed"
    assert as_nobody(place) == json.dumps([[listed], [listed]])

    os.chown(place.data_dir, 0, 0)
    place.data_dir.chmod(0o700)
    said = as_nobody(place)
    assert said.startswith("storage_unwritable") and "Permission denied" in said and str(place.data_dir) in said


# -- clocks --------------------------------------------------------------------------------------------------------


def test_a_clock_that_jumps_back_keeps_nobody_waiting(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids go on growing in a process; a running task's updates keep coming, its timeout and pauses are counted right,
    and the order of its log is that in which it was written."""
    interpreter, jump = place.scratch / "python", place.scratch / "jump"
    script = Path(__file__).with_name("turned_clock.py")
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} {script} {jump} "$@"\n')
    interpreter.chmod(0o755)
    manager = manager_of(place)
    task = place.start("steady", manager, options={"interpreter": str(interpreter), "timeout": 3000.0},
                       **steady_input(place, 0, pace=0.06))
    wait_for("its first items", task.items)

    jump.touch()
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 3600 * 10 ** 9)
    seen = len(task.items())
    wait_for("more of its updates", lambda: task.latest().items > seen + 5)
    task.ask("pause")
    task.until("paused")
    task.ask("resume")
    later = place.start("steady", manager, **steady_input(place, 1))
    ids = [task.task_id, later.task_id, *(new_task_id() for _ in range(100))]
    assert ids == sorted(set(ids))
    (place.scratch / "gate").touch()

    end = task.end()
    assert end.status == "completed" and end.paused_seconds < 60
    assert end.timestamp < end.started_at
    counts = [update.items for _, update in task.folder.updates()]
    assert counts == sorted(counts)
    assert later.end().status == "completed"
    assert [info.task_id for info in manager.list()[0]] == ids[1::-1]
