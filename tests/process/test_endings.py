"""How tasks end, what they leave, and what they say: results, errors, deaths, items, checkpoints and output."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import msgspec
import numpy
import pandas
import pytest

from sse_tasks.errors import InvalidInputError
from sse_tasks.worker.results import load_result

from ..places import Place, Task, kill, processes_of, wait_for


def gone(task: Task) -> None:
    wait_for("its processes to be gone", lambda: not processes_of(task.task_id))
    assert not task.temp_dir.exists()


@pytest.mark.parametrize(("how", "code", "words"), [
    ("raise", "worker_error", "ValueError: a reason"),
    ("raise-without-text", "worker_error", "LookupError"),
    ("raise-bad-text", "worker_error", "BadText"),
    ("raise-surrogate", "worker_error", "ValueError: bad \ufffd text\nwith lines"),
    ("task-error", "closed", "The shop is closed"),
    ("exit-0", "worker_died", "exited with status 0"),
    ("exit-3", "worker_died", "exited with status 3"),
    ("segfault", "worker_died", "SIGSEGV"),
    ("kill", "worker_died", "SIGKILL"),
    ("abort", "worker_died", "SIGABRT"),
    ("system-exit", "worker_error", "SystemExit: 4"),
    ("system-exit-0", "worker_error", "SystemExit"),
    ("keyboard-interrupt", "worker_error", "KeyboardInterrupt"),
    ("sigint", "worker_died", "SIGINT"),
    ("recursion", "worker_error", "RecursionError"),
    ("memory", "worker_error", "MemoryError"),
    ("own-abort", "worker_error", "not asked for"),
    ("own-cancel", "worker_error", "CancelledError"),
    ("group", "worker_error", "two (2 sub-exceptions)"),
])
def test_how_a_failed_task_says_why(shared_place: Place, how: str, code: str, words: str) -> None:
    """Exceptions, exits and deaths by signals: failed, with the right code, in words that name it."""
    task = shared_place.start("fail", how=how)

    end = task.end()

    assert (end.status, end.type, end.code) == ("failed", "error", code)
    assert words in (end.error or "")
    assert end.result is None
    gone(task)


def test_a_long_error_is_cut_and_whole_in_the_output(shared_place: Place) -> None:
    """Every update, list and snapshot carries the error: 4,000 characters of it."""
    task = shared_place.start("fail", how="raise-much")

    error = task.end().error or ""

    assert error.startswith("ValueError: xxx") and error.endswith("… (cut; the whole is in the task's output)")
    assert len(error) < 4100 and "x" * 100_000 in task.output()


def test_the_traceback_is_the_workers_own_and_in_its_output(shared_place: Place) -> None:
    """What people see begins in the worker's file; the wire has the sentence alone."""
    task = shared_place.start("fail", how="raise")

    end = task.end()

    assert "endings.py" in task.output() and "ValueError: a reason" in task.output()
    assert "runner.py" not in task.output() and "endings.py" not in (end.error or "")


# -- results -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [
    "frame", "series", "array", "object-array", "tuple", "nan", "set", "bytes", "int-keys", "date", "thing", "things",
    "lambda", "point", "none", "surrogate", "deep", "large"])
def test_whatever_a_worker_returns_comes_back(shared_place: Place, what: str) -> None:
    """Frames, arrays, tuples, NaN, dates, classes and functions of the worker's file; the wire has JSON of each."""
    task = shared_place.start("give", what=what)

    end = task.end()
    assert end.status == "completed", (end.error, task.output())
    wire = (task.folder.path / "result.json").read_bytes()
    json.loads(wire, parse_constant=pytest.fail)
    assert end.result_bytes == len(wire)
    assert end.result == (msgspec.json.decode(wire) if len(wire) <= 1 << 20 else None)
    value: Any = load_result(task.folder)

    match what:
        case "frame":
            pandas.testing.assert_frame_equal(value, pandas.DataFrame({"a": [1, 2], "b": ["x", None]}))
            assert end.result["shape"] == [2, 2] and end.result["type"].endswith("DataFrame")
        case "series":
            pandas.testing.assert_series_equal(value, pandas.Series([1.5, 2.5], name="s"))
        case "array":
            assert value.dtype == "int16" and (value == numpy.arange(6).reshape(2, 3)).all()
        case "object-array":
            assert list(value) == [{}, None]
        case "tuple":
            assert value == (1, (2, "x")) and end.result == [1, [2, "x"]]
        case "nan":
            assert math.isnan(value["a"]) and value["b"] == [math.inf] and value["c"] == 1 << 70
            assert end.result == {"a": None, "b": [None], "c": str(1 << 70)}
        case "set":
            assert value == {1, 2}
        case "bytes":
            assert value == b"\x00\xff"
        case "int-keys":
            assert value == {1: "a", (2, 3): "b"}
        case "date":
            assert value == [datetime.date(2026, 1, 2)] and end.result == ["2026-01-02"]
        case "thing":
            assert value.twice() == 42
        case "things":
            assert value[0].value == 1 and value[1]["t"].twice() == 4
        case "lambda":
            assert value(1) == 2
        case "point":
            assert value == {"x": 1.5, "seen": datetime.date(2026, 1, 2)} and end.result["seen"] == "2026-01-02"
        case "none":
            assert value is None and wire == b"null"
        case "surrogate":
            assert value == "a\ud800" and end.result == "a\ufffd"
        case "deep":
            assert value and isinstance(value[0], list)
        case "large":
            assert len(value) == 3 << 20 and end.result is None and end.result_bytes == (3 << 20) + 2


@pytest.mark.parametrize("what", ["socket", "generator"])
def test_what_cannot_be_kept_is_said_and_shown(shared_place: Place, what: str) -> None:
    """A result that no pickle holds fails as ``invalid_output``, with its repr in the output."""
    task = shared_place.start("give", what=what)

    end = task.end()

    assert (end.status, end.code) == ("failed", "invalid_output")
    assert what in task.output()


def test_a_declared_result_type_is_kept_to(shared_place: Place) -> None:
    """What doesn't fit it fails as ``invalid_output``; what does, is completed."""
    good, bad = shared_place.start("declared", value=[1, 2]), shared_place.start("declared", value=["x"])

    assert good.end().result == [1, 2]
    end = bad.end()
    assert (end.status, end.code) == ("failed", "invalid_output") and "'x'" in bad.output()


@pytest.mark.parametrize("value", [object(), [[[object()]]]])
def test_an_input_that_is_no_json_is_refused_before_anything_is_made(shared_place: Place, value: Any) -> None:
    """It is the caller's error, and leaves no folder."""
    before = shared_place.task_ids()

    with pytest.raises(InvalidInputError):
        shared_place.start("declared", value=value)

    assert shared_place.task_ids() == before


def test_an_input_nested_too_deeply_is_refused(shared_place: Place) -> None:
    """What parsers would choke on later never becomes a task."""
    value: list[Any] = []
    for _ in range(600):
        value = [value]

    with pytest.raises(InvalidInputError):
        shared_place.start("declared", value=value)


# -- items and checkpoints -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "count"), [("kill", 5000), ("exit-3", 1234), ("segfault", 25), ("raise", 9)])
def test_every_item_emitted_before_a_death_is_there(shared_place: Place, how: str, count: int) -> None:
    """What was in the pipe survives the worker: items in order, their number said, state and length as one."""
    task = shared_place.start("emit_then", count=count, how=how)

    end = task.end()

    assert [json.loads(line)["n"] for line in task.items()] == list(range(count))
    assert end.items == count
    if count >= 10:
        saved = json.loads((task.folder.path / "checkpoint.json").read_bytes())
        before = (task.folder.path / "items.jsonl").read_bytes()[:saved["items_bytes"]]
        assert before.count(b"\n") == saved["state"]["done"] == count // 10 * 10


def test_a_killed_keeper_leaves_state_and_items_that_fit(place: Place) -> None:
    """At whatever moment it is killed, the saved state belongs to a prefix of the items that is there."""
    for _ in range(5):
        task = place.start("emit_for_ever")
        wait_for("a saved state", (task.folder.path / "checkpoint.json").exists)
        kill(task.keeper())
        end = task.end()
        saved = json.loads((task.folder.path / "checkpoint.json").read_bytes())
        data = (task.folder.path / "items.jsonl").read_bytes()
        assert len(data) >= saved["items_bytes"]
        assert data[:saved["items_bytes"]].count(b"\n") == saved["state"]["done"]
        assert end.items == data.count(b"\n") and [int(line) for line in task.items()] == list(range(end.items))


def test_items_of_all_kinds(shared_place: Place) -> None:
    """The wire's items are strict JSON, a line each; what Python would lose stands beside, with its place."""
    task = shared_place.start("emit_odd")

    assert task.end().result == 4
    assert [json.loads(line, parse_constant=pytest.fail) for line in task.items()] == [
        None, [1, str(1 << 70)], {"x": 1.5, "seen": "2026-01-02"}, "line\nbreak\ttab\u2028"]
    exact = [json.loads(line) for line in (task.folder.path / "items.exact.jsonl").read_text().splitlines()]
    assert math.isnan(exact[0]["item"]) and exact[0]["at"] == 0
    assert exact[1] == {"at": len("null\n"), "item": [1, 1 << 70]}


# -- updates -------------------------------------------------------------------------------------------------------


def test_progress_is_throttled_and_the_last_is_there(shared_place: Place) -> None:
    """Of fifty thousand reports a few are written, each a full picture; the last one stands in the terminal update."""
    task = shared_place.start("say", times=25_000)

    end = task.end(60)

    updates = [update for _, update in task.folder.updates()]
    assert end.message == "at 24999" and end.progress is not None and end.progress.current == 25_000
    assert end.progress.percentage == 100
    moments = [datetime.datetime.fromisoformat(u.timestamp) for u in updates if u.type == "progress"]
    seconds = (moments[-1] - moments[0]).total_seconds() if moments else 0
    assert len(moments) <= seconds / 0.05 + 2
    assert all(u.started_at == end.started_at for u in updates if u.status != "idle")


@pytest.mark.parametrize("how", ["busy", "killed"])
def test_what_was_said_last_is_seen_whatever_the_worker_does_then(shared_place: Place, how: str) -> None:
    """Of a thousand words within a moment the last one shows, also while a call keeps all threads of the worker
    waiting, and after a kill."""
    task = shared_place.start("say_and_be_busy", how=how)

    if how == "busy":
        task.until_message("at 999")
        task.ask("abort")
    end = task.end()

    assert (end.status, end.message) == (("aborted", "Task aborted") if how == "busy" else ("failed", "at 999"))
    assert end.progress is not None and end.progress.current == 1000


def test_a_handler_may_speak_while_its_worker_speaks(shared_place: Place) -> None:
    """A signal's handler that calls ctx in the midst of the worker's own call waits for nobody, and loses nothing."""
    task = shared_place.start("say_from_a_handler", times=300)

    end = task.end()

    assert (end.status, end.message) == ("completed", "done"), task.output()
    numbers = [item for item in map(json.loads, task.items()) if item != "in order"]
    assert numbers == list(range(1, end.result + 1))


def test_odd_progress_harms_nobody(shared_place: Place) -> None:
    """NaN, zero totals, overshoot and lone surrogates: the log stays valid, percentages between 0 and 100."""
    task = shared_place.start("odd_progress")

    end = task.end()

    assert end.status == "completed" and end.message == "bad \ufffd text", task.output()
    assert end.progress is not None and end.progress.current == 1e30
    assert end.progress.percentage == pytest.approx(10)
    for _, line in task.folder.read_log(0):
        update = json.loads(line, parse_constant=pytest.fail)
        assert 0 <= update.get("progress", {}).get("percentage", 0) <= 100


# -- output --------------------------------------------------------------------------------------------------------


def test_output_of_all_kinds_is_captured(shared_place: Place) -> None:
    """Prints, raw writes and children's output, of both descriptors."""
    task = shared_place.start("write_output", how="raw")

    task.end()

    assert sorted(task.output().split("\n")) == sorted(
        ["raw out", "raw err", "printed", "to stderr", "child", "child err", "python child", ""])


@pytest.mark.parametrize(("how", "status", "data"), [
    ("partial", "completed", "é€😀".encode() + b"\xff\xfe half: \xe2\x82"),
    ("surrogate", "completed", b"\\ud800 is printed\n"),
    ("without-newline", "completed", b"no newline"),
    ("then-killed", "failed", b"before the end\nright before"),
    ("large", "completed", (b"x" * 999 + b"\n") * 5000),
    ("closed", "completed", b""),
])
def test_output_is_kept_byte_by_byte(shared_place: Place, how: str, status: str, data: bytes) -> None:
    """Halves of characters, no newline at the end, much at once, right before a kill: all of it is there, as it was."""
    task = shared_place.start("write_output", how=how)

    assert task.end().status == status
    path = task.folder.path / "output.log"
    assert (path.read_bytes() if path.exists() else b"") == data


def test_a_worker_that_cannot_be_loaded_any_more_fails_by_name(place: Place) -> None:
    """A file broken between its description and its run: ``not_found``, with the reason."""
    folder = place.scratch / "w"
    folder.mkdir()
    (folder / "w.py").write_text("from sse_tasks import task\n@task\ndef w() -> int:\n    return 1\n")
    manager = place.manager(worker_folders=[str(folder)], max_running=1)
    assert place.start("w", manager).end().result == 1
    blocker = Task(manager, manager.start_function("gate", _pickled(), {}).task_id)
    blocker.until("running")
    task = place.start("w", manager)
    (folder / "w.py").write_text("import nothing_of_that_name\n")
    blocker.ask("abort")

    end = task.end()

    assert (end.status, end.code) == ("failed", "not_found") and "nothing_of_that_name" in (end.error or "")
    assert place.start("w2", _rewritten(place, folder)).end().result == 2


def _pickled() -> bytes:
    import cloudpickle

    def gate() -> None:
        import time

        time.sleep(1000)

    from sse_tasks.registry import Worker

    return cloudpickle.dumps(Worker(gate))


def _rewritten(place: Place, folder: Any) -> Any:
    (folder / "w.py").write_text("from sse_tasks import task\n@task\ndef w2() -> int:\n    return 2\n")
    return place.manager(worker_folders=[str(folder)])
