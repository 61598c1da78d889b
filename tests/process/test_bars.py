"""Bars and logging of code that knows nothing of tasks, as the task's progress and output."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sse_tasks.types import TaskUpdate

from ..places import Place, Task, wait_for


def said(update: TaskUpdate | None) -> tuple[object, ...] | None:
    """Current, total and message of its progress."""
    if update is None or update.progress is None:
        return None
    return update.progress.current, update.progress.total, update.progress.message


def output(task: Task) -> str:
    """As it was written: no line end is translated."""
    return (task.folder.path / "output.log").read_bytes().decode("utf-8", "replace")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_nested_bars(shared_place: Place, tmp_path: Path, method: str) -> None:
    """The outermost bar is the progress, the inner one stands in its message; both go to the output as in a terminal.
    So for both ways to start processes."""
    gate = tmp_path / "gate"
    task = shared_place.start("bars_nested", shared_place.manager(start_method=method), gate=str(gate))

    wait_for("both bars", lambda: said(task.latest()) == (2, 4, "epoch 2/4 · batch 7/10"))
    latest = task.latest()
    assert latest is not None and latest.progress is not None and latest.progress.percentage == 50
    gate.touch()

    end = task.end()
    assert end.status == "completed" and end.result == []
    assert msgspec.to_builtins(end.progress) == {"percentage": 100, "current": 4, "total": 4, "message": "epoch"}
    assert "\repoch:  " in output(task) and "\rbatch:  " in output(task) and "| 4/4 [" in output(task)


@pytest.mark.parametrize(("kind", "progress"), [
    ("manual", (10, 10, "step 4")), ("left", (8, 10, "left alone")), ("unknown", (3, None, "of how many")),
    ("postfix", (2, 2, "green, loss=0.5")), ("notebook", (3, 3, "nb")), ("broken", (5, 10, "half")),
    ("bytes", (1, 2, "files")), ("disabled", None), ("rich-tracked", (4, 4, "Tracking")),
    ("rich", (1, 2, "outer 1/2 · inner 3/5")), ("tqdm-rich", (3, 3, "both"))])
def test_kinds_of_bars(
        shared_place: Place, tmp_path: Path, kind: str, progress: tuple[object, ...] | None) -> None:
    """By iteration or by hand, with and without a total, of tqdm, its variants and rich: what a bar showed last stays;
    one that is disabled says nothing."""
    task = shared_place.start("bars_one", kind=kind, gate=str(tmp_path / "gate"))
    if kind == "bytes":
        wait_for("a part of the first file", lambda: said(task.latest()) == (0, 2, "files 0/2 · a 1.00MB/3.00MB"))
        (tmp_path / "gate").touch()
    end = task.end()

    assert end.status == "completed", task.output()
    assert said(end) == progress


def test_lines_beside_a_bar(shared_place: Place, tmp_path: Path) -> None:
    """``tqdm.write`` and bars on stdout go to the output, while it runs."""
    task = shared_place.start("bars_log", gate=str(tmp_path / "gate"))

    wait_for("the bar's last drawing", lambda: "2/2" in output(task) if task.output() else "")
    assert "line 0\n" in output(task) and "line 1\n" in output(task) and "\rwriting: 100%|" in output(task)
    (tmp_path / "gate").touch()
    task.end()


@pytest.mark.parametrize("kind", ["iterate", "update", "track", "advance"])
def test_a_turn_is_a_checkpoint(shared_place: Place, kind: str) -> None:
    """A worker with a ctx that never calls it can be paused, resumed and aborted at each turn of a bar."""
    task = shared_place.start("bars_ctx", kind=kind)
    wait_for("some turns", lambda: (progress := said(task.latest())) and progress[0])

    task.ask("pause")
    wait_for("the pause", lambda: (update := task.latest()) and update.status == "paused")
    task.ask("resume")
    wait_for("more turns", lambda: (update := task.latest()) and update.status == "running" and said(update))
    task.ask("pause")
    wait_for("the second pause", lambda: (update := task.latest()) and update.status == "paused")
    task.ask("abort")

    assert task.end().status == "aborted"
    assert "cleaned" in output(task)


def test_an_abort_that_was_swallowed_comes_again(shared_place: Place) -> None:
    """A worker that goes on after an abort meets it at the bar's next turn."""
    task = shared_place.start("bars_swallow", shared_place.manager(abort_grace=60))
    wait_for("some turns", lambda: (progress := said(task.latest())) and progress[0])

    task.ask("abort")

    assert task.end().status == "aborted"
    assert output(task).count("swallowed") <= 1


@pytest.mark.parametrize("kind", ["for", "plain", "blocking"])
def test_bars_in_a_coroutine(shared_place: Place, kind: str) -> None:
    """``async for`` over a bar can be paused; a plain loop over one goes on, for it would take its event loop with it.
    All can be aborted, also the one that never lets the loop turn."""
    task = shared_place.start("bars_async", shared_place.manager(abort_grace=60), kind=kind)
    wait_for("some turns", lambda: (progress := said(task.latest())) and progress[0])

    task.ask("pause")
    if kind == "for":
        wait_for("the pause", lambda: (update := task.latest()) and update.status == "paused")
    else:
        wait_for("the request", lambda: (update := task.latest()) and update.requested == "pause")
        before = said(task.latest())
        wait_for("more turns", lambda: said(task.latest()) != before)
        assert (update := task.latest()) and update.status == "running"
    task.ask("abort")

    assert task.end().status == "aborted"
    assert "cleaned" in output(task)


def test_the_workers_own_progress_wins(shared_place: Place) -> None:
    """Once a worker has called ``ctx.progress``, no bar speaks for it."""
    assert said(shared_place.start("bars_overruled").end()) == (1, 4, "said")


@pytest.mark.parametrize(("where", "progress"), [("thread", (20, 20, "elsewhere")), ("process", None)])
def test_bars_elsewhere(shared_place: Place, where: str, progress: tuple[object, ...] | None) -> None:
    """A thread's bar is the task's; that of a process which the worker forks is drawn alone."""
    task = shared_place.start("bars_elsewhere", where=where)

    assert said(task.end()) == progress
    assert "\relsewhere: 100%|" in output(task)


def test_a_flood_of_bars_leaves_the_output_readable(shared_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of short bars and of redrawings, rich's in colour too, write as much as a terminal would need."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    task = shared_place.start("bars_flood")
    end = task.end()

    assert end.status == "completed"
    assert said(end) == (1000, 1000, "rich")
    assert len(output(task)) < 60_000
    assert "5000/5000" in output(task)


def test_nothing_is_imported_for_them(shared_place: Place) -> None:
    """A worker that imports neither tqdm nor rich has neither in its process."""
    assert shared_place.start("bars_imported").end().result == []


@pytest.mark.parametrize(("kind", "lines"), [
    ("nothing", ["INFO some.library: l-info", "WARNING some.library: l-warning", "INFO root: r-info",
                 "WARNING root: r-warning"]),
    ("basic", ["<l-warning>", "<r-warning>"]),
    ("basic-debug", ["<l-debug>", "<l-info>", "<l-warning>", "<r-info>", "<r-warning>"]),
    ("own-handler", ["own l-info", "own l-warning", "INFO root: r-info", "WARNING root: r-warning"]),
    ("file", [])])
def test_logging(shared_place: Place, kind: str, lines: list[str]) -> None:
    """Records from INFO on are in the output, with level and name; what the worker has set up itself holds, and nothing
    comes twice."""
    task = shared_place.start("logs", kind=kind)
    task.end()

    shown = [line if line[0] in "<o" else line.partition(" ")[2] for line in task.output().splitlines()]
    assert shown == lines
