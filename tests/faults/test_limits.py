"""What a task may take, and what is said when it takes more: memory, output, files, result, items, turns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sse_tasks.worker.limits import OutOfMemory
from sse_tasks.worker.output import OutputFile

from ..places import Place, Task, processes_of, wait_for

WORKERS = Path(__file__).parent / "workers"


def start(place: Place, task_type: str, input: dict[str, Any], options: dict[str, Any] | None = None,
          **traits: Any) -> Task:
    manager = place.manager(**{"worker_folders": [str(WORKERS)], "abort_grace": 0.5} | traits)
    return place.start(task_type, manager, options=options, **input)


# -- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["here", "child"])
def test_more_memory_than_allowed_ends_the_task(shared_place: Place, where: str) -> None:
    """The whole tree counts; the sentence names what was taken, the limit and the setting, and nothing is left."""
    task = start(shared_place, "take_memory", {"megabytes": 120, "where": where}, memory_limit="100 MiB",
                 abort_grace=30)

    end = task.end()

    assert (end.status, end.code) == ("failed", "memory")
    assert re.search(r"took 1\d\d(\.\d)? MiB of memory with its \d process(es)?; 100 MiB are allowed "
                     r"\(TaskManager\.memory_limit\)", end.error or "")
    wait_for("its processes to be gone", lambda: not processes_of(task.task_id))


def test_memory_that_forked_processes_share_counts_once(shared_place: Place) -> None:
    """A pool of processes that read the same data is not taken for one that has copied it."""
    task = start(shared_place, "take_memory", {"megabytes": 60, "where": "shared"}, memory_limit="150 MiB")

    assert task.end().result == "shared"


def test_out_of_memory_is_said_where_there_is_evidence(tmp_path: Path) -> None:
    """The kernel's own count of kills has grown, or nearly all memory was taken; a SIGKILL alone is none."""
    events, limit = tmp_path / "memory.events", tmp_path / "memory.max"
    events.write_text("low 0\noom 1\noom_kill 2\n")
    limit.write_text("1000\n")
    evidence = OutOfMemory([events, tmp_path / "missing"], [limit, tmp_path / "missing"])

    assert not evidence.is_likely(700)
    assert evidence.is_likely(900)
    events.write_text("low 0\noom 1\noom_kill 3\n")
    assert evidence.is_likely(0)


# -- output --------------------------------------------------------------------------------------------------------


def test_of_much_output_head_and_tail_are_kept(shared_place: Place) -> None:
    """Whole lines of both, and between them how much is left out: together it is what was printed."""
    task = start(shared_place, "print_much", {"lines": 200_000, "pieces": 40}, output_limit="64 KiB")

    assert task.end().status == "completed"

    output = task.output()
    head, left_out, tail = re.split(r"\[sse_tasks: [0-9.]+ [KM]iB \((\d+) bytes\) of output left out here\]\n", output)
    printed = "first line\n" + "".join(f"line {n}\n" for n in range(200_000)) + "last line\n"
    assert len(head) + int(left_out) + len(tail) == len(printed)
    assert printed.startswith(head) and printed.endswith(tail)
    assert head.endswith("\n") and tail.startswith("line ")
    assert 12 << 10 < len(head) <= 16 << 10 and len(tail) > 12 << 10 and len(output) <= 64 << 10


@pytest.mark.parametrize("limit", [0, 4000, 100_000])
@pytest.mark.parametrize("size", [90, 700, 300_000])
@pytest.mark.parametrize("line", [10, 10_000])
def test_the_output_is_never_larger_than_its_limit(tmp_path: Path, limit: int, size: int, line: int) -> None:
    """However it comes, and whoever goes on with it: nothing is lost that isn't counted."""
    file = OutputFile(tmp_path, limit)
    text = b"".join(b"%09d" % n + b"x" * (line - 10) + b"\n" for n in range(1 + 400_000 // line))
    written = 0
    for number, begin in enumerate(range(0, len(text), size)):
        if number == 150:
            break
        if number % 7 == 6:
            file = OutputFile(tmp_path, limit)  # another keeper
        piece = text[begin:begin + size]
        file.write(piece)
        written += len(piece)
        assert (tmp_path / "output.log").stat().st_size <= max(limit, 1024)

    output = (tmp_path / "output.log").read_bytes()
    parts = re.split(rb"\[sse_tasks: [^\n]* \((\d+) bytes\) of output left out here\]\n", output)
    assert text[:written].startswith(parts[0]) and text[:written].endswith(parts[-1])
    assert sum(map(len, parts[::2])) + sum(map(int, parts[1::2])) == written and len(parts) in (1, 3)
    assert line > 1000 or parts[0].endswith(b"\n")


@pytest.mark.parametrize("limit", range(4000, 4016))
def test_no_character_is_cut_in_two(tmp_path: Path, limit: int) -> None:
    """Where no line ends nearby, what is left out begins and ends between two characters."""
    file = OutputFile(tmp_path, limit)
    for _ in range(5):
        file.write("aü€😀".encode() * 300)

    output = (tmp_path / "output.log").read_text("utf-8")
    assert set(re.sub(r"\[sse_tasks: .*\]\n", "", output)) == set("aü€😀")


# -- files, results, items -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stay", [True, False])
def test_more_files_than_allowed_end_the_task(shared_place: Place, stay: bool) -> None:
    """While it runs and at its end; folders below count, links to elsewhere don't. What it wrote is kept."""
    task = start(shared_place, "write_files", {"sizes": [60_000, 60_000], "stay": stay}, files_limit=100_000)

    end = task.end()

    assert (end.status, end.code) == ("failed", "files_limit")
    assert "The task's files take 117.2 KiB; 97.7 KiB are allowed (TaskManager.files_limit)" in (end.error or "")
    assert (task.folder.files_path / "below" / "1").stat().st_size == 60_000
    assert start(shared_place, "write_files", {"sizes": [40_000, 40_000], "stay": False},
                 files_limit=100_000).end().status == "completed"


@pytest.mark.parametrize("as_object", [False, True])
def test_a_larger_result_than_allowed_fails(shared_place: Place, as_object: bool) -> None:
    """As JSON and as an object in files/; nothing of it is kept."""
    task = start(shared_place, "give_back", {"size": 200_000, "as_object": as_object}, result_limit=100_000)

    end = task.end()

    assert (end.status, end.code, end.result) == ("failed", "result_limit", None)
    assert re.search(r"takes 19\d(\.\d)? KiB; 97\.7 KiB are allowed \(TaskManager\.result_limit\)", end.error or "")
    assert not list(task.folder.path.glob("result*")) and not task.folder.files()
    assert start(shared_place, "give_back", {"size": 50_000, "as_object": as_object},
                 result_limit=100_000).end().status == "completed"


def test_a_larger_item_than_allowed_is_refused(shared_place: Place) -> None:
    """The worker is told, by an error that it can catch, and goes on."""
    task = start(shared_place, "emit_large", {"size": 3000}, item_limit="2 KiB")

    end = task.end()

    assert end.result == ("An item of 2.9 KiB was emitted; 2 KiB are allowed (TaskManager.item_limit). "
                          "Emit it in parts, or write it to ctx.files.")
    assert task.items() == [b'"small"']


# -- turns ---------------------------------------------------------------------------------------------------------


def test_tasks_of_two_interpreters_take_turns_by_one_limit(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two forkservers, as their environments differ, and one slot: one at a time, in the order of their starts."""
    path = place.scratch / "times"
    manager = place.manager(worker_folders=[str(WORKERS)], max_running=1)
    manager.task_types()
    first = place.start("take_memory", manager, megabytes=1, where="here")
    first.until_message("taken")
    tasks = []
    for number in range(6):
        monkeypatch.setenv("PYTHONHASHSEED", str(number % 2))
        tasks.append(place.start("note_times", manager, path=str(path)))
    assert len(place.forkservers()) == 3
    assert [task.info().position for task in tasks] == [1, 2, 3, 4, 5, 6]

    first.ask("abort")
    for task in tasks:
        assert task.end().status == "completed"

    assert path.read_text().split() == [f"{sign}{task.task_id}" for task in tasks for sign in "+-"]


def test_of_several_limits_the_largest_holds(place: Place) -> None:
    """Managers with different max_running: together no more run than the largest allows; the smaller's task has its
    turn when they have ended."""
    small, large = (place.manager(worker_folders=[str(WORKERS)], max_running=n) for n in (1, 2))
    running: list[Task] = [place.start("take_memory", large, megabytes=1, where="here") for _ in range(2)]
    for task in running:
        task.until_message("taken")
    waiting = place.start("note_times", small, path=str(place.scratch / "times"))
    assert waiting.info().status == "idle"

    for task in running:
        task.ask("abort")

    assert waiting.end().status == "completed"


def test_a_line_without_end_where_reports_are_expected_harms_nobody(shared_place: Place) -> None:
    """The keeper holds no more of it than a report can have, says so, and takes what follows."""
    task = start(shared_place, "flood_reports", {"size": 68 << 20}, result_limit=1000)

    end = task.end()

    assert end.result == "done" and "a report of the worker was garbled" in task.output()
