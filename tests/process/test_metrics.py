"""``ctx.metric``: numbers over time, from the worker to the DataFrame."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sse_tasks.inline
import sse_tasks.worker.metrics
import sse_tasks.worker.picture
from sse_tasks.handle import Task as Handle
from sse_tasks.worker.metrics import ALL_KEPT, NAMES_LIMIT, MetricsFile

from ..places import Place, Task, wait_for
from .workers import measuring


def points(task: Task, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in (task.folder.path / name).read_text("ascii").splitlines()]
    except FileNotFoundError:
        return []


def handle(task: Task) -> Handle:
    return Handle(manager=task.manager).attach(task.task_id)


def test_points_are_kept_and_counted(shared_place: Place, tmp_path: Path) -> None:
    """A short task keeps every point, in order, with name, value, step and moment; its picture counts them, while it
    runs and at its end."""
    task = shared_place.start("measure", points=300, gate=str(tmp_path / "gate"))
    latest = wait_for("all to be counted", lambda: (u := task.latest()) is not None and u.metrics == 300 and u)
    assert (latest.type, latest.status) == ("metrics", "running")
    (tmp_path / "gate").touch()
    end = task.end()

    kept = points(task)
    assert [(point["name"], point["step"], point["value"]) for point in kept] == [
        ("loss", step, 1 / (step + 1)) for step in range(300)]
    assert kept[0].keys() == {"name", "value", "step", "timestamp"}
    assert sorted(point["timestamp"] for point in kept) == [point["timestamp"] for point in kept]
    assert end.started_at is not None and end.started_at <= kept[0]["timestamp"] <= kept[-1]["timestamp"]
    info = task.info()
    assert end.metrics == info.metrics == 300
    assert info.metrics_bytes == (task.folder.path / "metrics.jsonl").stat().st_size


def test_a_frame_of_them(shared_place: Place) -> None:
    """``t.metrics()`` is a DataFrame with name, value, step and time; of a task without any an empty one."""
    task = shared_place.start("measure")
    task.end()
    without = shared_place.start("add", a=1)
    without.end()

    frame = handle(task).metrics()
    assert frame["name"].tolist() == ["loss"] * 3
    assert frame["value"].tolist() == [1.0, 1 / 2, 1 / 3]
    assert frame["step"].tolist() == [0, 1, 2]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "name": "string", "value": "float64", "step": "Int64", "time": "datetime64[ms, UTC]"}
    empty = handle(without).metrics()
    assert len(empty) == 0 and empty.dtypes.equals(frame.dtypes)


def test_what_is_a_number(shared_place: Place) -> None:
    """Numbers and numpy's scalars are taken, NaN and what JSON can't say leave a gap; anything else is refused in a
    sentence, and the task goes on."""
    task = shared_place.start("measure_kinds")
    end = task.end()

    assert end.status == "completed"
    kept = points(task)
    assert [point["value"] for point in kept if point["name"] == "number"] == [
        1, 1, 0.5, 0.25, 7, 3.5, None, None, None, float(1 << 70)]
    assert all(type(point["value"]) is not bool for point in kept)
    assert (kept[-1]["name"], kept[-1]["step"]) == ("ä" * 100, 2)
    assert "step" not in kept[0]
    assert [refused.partition(":")[0] for refused in end.result] == [
        "TypeError", "TypeError", "TypeError", "TypeError", "TypeError", "ValueError", "ValueError", "TypeError"]
    assert "x is '1'" in end.result[0] and "step is 'first'" in end.result[4] and "1 to 100" in end.result[6]
    assert handle(task).metrics()["value"].isna().sum() == 3


def test_a_flood_is_thinned(shared_place: Place) -> None:
    """After the first 1,000 points of a name there is at most one each 50 ms; the last one is always there."""
    task = shared_place.start("measure", points=20_000)
    end = task.end()

    kept = points(task)
    steps = [point["step"] for point in kept]
    assert steps[:ALL_KEPT] == list(range(ALL_KEPT))
    assert steps == sorted(set(steps)) and steps[-1] == 19_999
    assert end.metrics == len(kept) < 10_000
    lines = [update for _, update in task.folder.updates() if update.type == "metrics"]
    assert len(lines) < len(kept) / 2


def test_the_thinning_follows_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each name one point per max(50 ms, running time ÷ 20,000), the latest."""
    now = [1000.0]
    for module in (sse_tasks.worker.metrics, sse_tasks.worker.picture):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    metrics = MetricsFile(tmp_path)

    def say(value: int, name: str = "a") -> int:
        """How many are in the file afterwards."""
        metrics.add(b'{"name":"%s","value":%d,"timestamp":"2026-01-01T00:00:00.000Z"}' % (name.encode(), value))
        metrics.flush()
        return metrics.count

    assert [say(0) for _ in range(ALL_KEPT)][-1] == ALL_KEPT
    assert say(1) == ALL_KEPT
    now[0] += 0.049
    metrics.counted()
    assert say(2) == ALL_KEPT and metrics.due() == pytest.approx(1000.05)
    assert say(3, "b") == ALL_KEPT + 1  # another name has its own
    now[0] += 0.002
    metrics.flush()
    assert metrics.count == ALL_KEPT + 2
    assert (tmp_path / "metrics.jsonl").read_text().splitlines()[-1].startswith('{"name":"a","value":2,')
    now[0] += 40_000  # the interval is 2 s by now
    assert say(4) == ALL_KEPT + 3
    now[0] += 1.9
    assert say(5) == ALL_KEPT + 3
    now[0] += 0.2
    assert say(6) == ALL_KEPT + 4
    say(7)
    metrics.flush(force=True)
    assert metrics.count == ALL_KEPT + 5
    assert metrics.size == (tmp_path / "metrics.jsonl").stat().st_size
    assert MetricsFile(tmp_path).count == metrics.count


def test_names_have_a_limit(shared_place: Place) -> None:
    """A task has at most 200 metrics; its output says once that others are left out."""
    task = shared_place.start("measure_names", names=NAMES_LIMIT + 50)
    task.end()

    assert {point["name"] for point in points(task)} == {f"name {n}" for n in range(NAMES_LIMIT)}
    assert task.output().count("200 metrics") == 1


def test_from_coroutines_and_threads(shared_place: Place) -> None:
    """It is a plain call in both kinds of workers, and from any thread."""
    task = shared_place.start("measure_async")

    assert task.end().metrics == 2
    assert [(point["name"], point["value"]) for point in points(task)] == [("here", 1), ("there", 2)]


def test_another_attempt_goes_on_from_the_checkpoint(shared_place: Place) -> None:
    """What was measured after the last saved state is cut with the items, and kept aside."""
    task = shared_place.start("measure_and_die", options={"retries": 1})
    end = task.end()

    assert (end.status, end.attempt, end.result) == ("completed", 2, 3)
    assert [point["value"] for point in points(task)] == [0, 1, 2, 3, 4, 5]
    assert [point["value"] for point in points(task, "metrics-1.jsonl")] == [3, 4]
    assert end.metrics == 6


def test_a_restart_takes_them_along(shared_place: Place) -> None:
    """A restarted task begins with the points up to the checkpoint, counted in its first update; a fresh one with
    none."""
    task = shared_place.start("measure_and_die")
    assert task.end().status == "failed"
    assert [point["value"] for point in points(task)] == [0, 1, 2, 3, 4]

    again = Task(task.manager, task.manager.restart(task.task_id).task_id)
    fresh = Task(task.manager, task.manager.restart(task.task_id, fresh=True).task_id)

    assert next(again.folder.updates())[1].metrics == 3
    assert again.end().result == 3
    assert [point["value"] for point in points(again)] == [0, 1, 2, 3, 4, 5]
    assert next(fresh.folder.updates())[1].metrics == 0
    fresh.end()
    assert [point["value"] for point in points(fresh)] == [0, 1, 2, 3, 4]


def test_inline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in the calling process, a number a second is printed."""
    moments = itertools.count()  # a millisecond from each look at the clock to the next
    monkeypatch.setattr(sse_tasks.inline, "time", SimpleNamespace(monotonic=lambda: next(moments) / 1000))
    measuring.measure(points=1500)

    assert capsys.readouterr().err == "[loss 1 at 0]\n[loss 0.000999001 at 1000]\n"
