"""The handle in a script: no kernel, no loop."""

from __future__ import annotations

import asyncio
import datetime
import gc
import math
import pickle
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas
import pytest
import traitlets

from sse_tasks import (
    Status,
    TaskAbortedError,
    TaskFailedError,
    get_task,
    list_tasks,
    start_task,
    task,
    task_manager,
    use_task,
)
from sse_tasks.errors import (
    BadParameterError,
    InvalidInputError,
    TaskEndedError,
    TaskLiveError,
    TaskNotFoundError,
    TaskTypeNotFoundError,
)
from sse_tasks.handle import Task
from sse_tasks.items import frame_of
from sse_tasks.types import TaskUpdate

from .conftest import put_sign

WORKERS = Path(__file__).parent / "workers"


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSE_TASKS_WORKERS", str(WORKERS))


@pytest.fixture
def running() -> Iterator[Task]:
    """A task that runs for long."""
    started = start_task("steps", steps=1000, seconds=60)
    next(update for update in started.updates() if update.progress)
    yield started
    with suppress(TaskEndedError):
        started.abort()


def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)


def followed() -> dict[str | None, list[Callable[[str], None]]]:
    """Who follows which task at this moment."""
    found: dict[str | None, list[Callable[[str], None]]] = {}
    for watch in task_manager.default_manager()._watches.values():
        with watch._lock:
            found |= {task_id: [*callbacks] for task_id, callbacks in watch._callbacks.items()}
    return found


def test_a_handle_says_all_of_its_task() -> None:
    """Id, type, status, progress, message, result, items, output, files: while it runs and when it has ended."""
    before = use_task()
    assert (before.task_id, before.task_type, before.status, before.is_done) == (None, None, "idle", False)
    assert repr(before) == "<Task, not started>"

    t = start_task("steps", {"steps": 2}, say="line")

    assert t.wait() == t.result == 2
    assert (t.task_type, t.status, t.is_done, t.error) == ("steps", Status.COMPLETED, True, None)
    assert (t.progress.current, t.progress.percentage, t.progress.message) == (2, 100, "line 2")
    assert t.items() == [{"step": 1, "at": "2026-01-01"}, {"step": 2, "at": "2026-01-02"}]
    assert t.output() == "line 1\nline 2\n"
    assert repr(t).startswith(f"<Task steps {t.task_id}: completed")


def test_results_and_items_are_what_they_were_in_python() -> None:
    """NaN, huge integers, dates, tuples and integer keys come back, though JSON has no word for them."""
    t = start_task("exact")
    result = t.wait()

    assert math.isnan(result[1]) and result["pair"] == (1, 2)
    assert result["when"] == datetime.date(2026, 1, 2) and result["big"] == 1 << 70
    nan, one, big = t.items()
    assert math.isnan(nan["n"]) and one == {"n": 1} and big == {"n": 1 << 70}


def test_a_handle_goes_to_another_process() -> None:
    """Pickled, it is a handle of the same task; one that has started nothing is again such a one."""
    t = start_task("steps")
    t.wait()

    copies = pickle.loads(pickle.dumps([t, use_task()]))

    assert [copy.task_id for copy in copies] == [t.task_id, None] and copies[0].result == t.result


def test_artifacts_are_paths_and_output_is_text() -> None:
    """`files()` gives paths by name; bytes that are no UTF-8 don't break `output()`."""
    t = start_task("leaves-files")
    t.wait()

    assert {name: path.read_text() for name, path in t.files().items()} == {"table.csv": "a,b\n1,2\n"}
    assert t.output() == "gr��e\n"


def test_a_frame_has_the_dtypes_of_its_values() -> None:
    """Integers stay integers beside gaps, whole floats stay floats, ISO dates become datetime64, nothing is guessed."""
    frame = frame_of([
        {"n": 1, "x": 4.0, "ok": True, "s": "a", "day": "2026-01-02", "utc": "2026-01-02T03:04:05Z", "mixed": 1,
         "no": "2026-02-31", "part": "2026-01-02", "naive": "2026-01-02", "list": [1], "big": 1 << 70, "none": None},
        {"n": None, "x": None, "ok": None, "s": None, "day": None, "utc": "2026-01-02T03:04:05.5+01:00",
         "mixed": "b", "no": None, "part": "soon", "naive": "2026-01-02T00:00:00Z", "list": None, "big": 1},
    ])

    kinds = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert kinds | {"day": kinds["day"][:10], "utc": kinds["utc"][:10] + kinds["utc"][-5:]} == {
        "n": "Int64", "x": "Float64", "ok": "boolean", "s": "string", "day": "datetime64", "utc": "datetime64 UTC]",
        "mixed": "object", "no": "string", "part": "string", "naive": "string", "list": "object", "big": "object",
        "none": "object"}
    assert frame["utc"][1] == pandas.Timestamp("2026-01-02T02:04:05.5Z")
    assert frame.isna().loc[1, ["n", "x", "ok", "s", "day"]].all()


def test_a_frame_of_anything_else() -> None:
    """Items that are no objects stand in one column, empty ones have a row too; no items, no rows."""
    assert frame_of([1, 2])["item"].tolist() == [1, 2]
    assert len(frame_of([])) == 0
    assert (len(frame_of([{}, {}])), len(frame_of([{}, {"a": 1}]))) == (2, 2)
    assert start_task("steps", steps=0).to_frame().empty


def test_a_frame_may_be_asked_for_at_any_time(running: Task) -> None:
    """Items are there while the task runs."""
    until(running.items, "the first item")
    assert running.to_frame()["at"].tolist() == [pandas.Timestamp("2026-01-01")]


def test_waiting_raises_how_it_ended(running: Task) -> None:
    """A failure with its sentence and code, an abort, and a timeout that says what goes on."""
    failed = start_task("steps", until=1)
    with pytest.raises(TaskFailedError, match=r"The shop is closed\.") as raised:
        failed.wait()
    assert raised.value.code == "closed" and failed.error == "The shop is closed."

    with pytest.raises(TimeoutError, match=r"steps .* has not ended in 0\.1 s\. It is running and goes on"):
        running.wait(timeout=0.1)
    for timeout in (math.nan, "5"):
        with pytest.raises(BadParameterError, match="must be a number of seconds"):
            running.wait(timeout)

    running.abort()
    with pytest.raises(TaskAbortedError):
        running.wait(timeout=60)
    with pytest.raises(TaskEndedError, match="it is aborted already"):
        running.pause()


def test_pause_and_resume(running: Task) -> None:
    """Asked, then done; the updates say when."""
    updates = running.updates(cursor=running.info.cursor)
    running.pause()
    assert next(update for update in updates if update.status == "paused")
    assert running.status is Status.PAUSED
    running.resume()
    assert next(update for update in updates if update.status == "running")


def test_updates_come_from_a_cursor_to_the_end() -> None:
    """All of them once; from any cursor that an iterator had on, the rest; from nowhere, an error."""
    t = start_task("steps", steps=5, seconds=0.06)
    updates = t.updates()
    every = []
    cursors = []
    for update in updates:
        every.append(update)
        cursors.append(updates.cursor)

    assert every[0].status == "idle" and every[-1].type == "result" and every[-1].result == 5
    assert [update.progress.current for update in every if update.progress][:1] == [1]
    assert list(t.updates(cursors[2])) == every[3:]
    assert list(t.updates(cursors[-1])) == []
    for nowhere in (cursors[0] + 1, -1, 10**9, "x"):
        with pytest.raises(BadParameterError, match="no place in the log"):
            t.updates(nowhere)


def test_threads_share_updates() -> None:
    """Of one `t.updates()` that several threads read, each update comes to one of them, and all of them end."""
    t = start_task("steps", steps=8, seconds=0.06)
    updates = t.updates()
    each: list[list[TaskUpdate]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=mine.extend, args=(updates,)) for mine in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert not any(thread.is_alive() for thread in threads)
    every = list(t.updates())
    assert sorted([update for mine in each for update in mine], key=every.index) == every


async def test_updates_and_the_end_can_be_awaited() -> None:
    """`async for` and `await`, several at a time."""
    tasks = [start_task("steps", steps=3, seconds=0.05) for _ in range(3)]

    async def last(t: Task) -> Status:
        return [update.status async for update in t.updates()][-1]

    assert await asyncio.gather(*map(last, tasks)) == ["completed"] * 3
    assert await asyncio.gather(*tasks) == [3, 3, 3]


def test_a_handle_calls_back_for_each_of_its_tasks() -> None:
    """Also where the next one is started right after the end of the one before."""
    told: list[int] = []
    t = use_task(on_complete=told.append)
    for steps in (1, 2, 3):
        t.start("steps", steps=steps)
        t.wait()

    until(lambda: len(told) == 3, "the last callback")
    assert told == [1, 2, 3]


def test_callbacks_without_a_kernel(tmp_path: Path) -> None:
    """They are called once, from the thread that follows."""
    called: list[tuple[str, object]] = []
    done = threading.Event()

    def on_complete(result: object) -> None:
        called.append((threading.current_thread().name, result))
        done.set()

    t = use_task(on_complete=on_complete).start("waits", path=str(tmp_path / "go"))
    put_sign(tmp_path / "go", "went")
    assert done.wait(60)
    t.wait()

    assert called == [("sse-tasks-watch", "went")]
    get_task(t.task_id, on_complete=on_complete)
    assert [result for _, result in called] == ["went", "went"]


def test_a_handle_that_is_dropped_stops_following(running: Task) -> None:
    """Neither the manager nor anything else keeps it alive."""
    watcher = weakref.ref(get_task(running.task_id))
    gc.collect()

    assert watcher() is None
    running.pause()
    until(lambda: all(len(callbacks) == 1 for callbacks in followed().values()), "the dropped handle's callback to go")


def test_a_task_that_has_ended_is_not_followed() -> None:
    """After the end nothing is left: no watch and no thread for it."""
    t = start_task("steps")
    t.wait()

    until(lambda: not t.is_connected, "the end to be noticed")
    until(lambda: t.task_id not in followed(), "the watch to end")


def test_traits_can_be_observed_and_not_set(running: Task) -> None:
    """`status` and the others are the task's."""
    with pytest.raises(traitlets.TraitError, match="read-only"):
        running.status = Status.COMPLETED
    assert set(running.trait_names()) == {"status", "progress", "message", "error", "result", "is_connected"}


def test_one_handle_has_one_task_at_a_time(running: Task) -> None:
    """A second start is refused while the first lives, and possible afterwards."""
    with pytest.raises(TaskLiveError):
        running.start("steps")
    running.abort()
    with pytest.raises(TaskAbortedError):
        running.wait()
    assert running.start("steps").wait() == 3


def test_a_restart_goes_on_from_the_checkpoint() -> None:
    """A new task with its own handle; items up to there are kept; each says what the other is; it is the last then."""
    t = start_task("goes-on")
    with pytest.raises(TaskFailedError) as raised:
        t.wait()
    assert raised.value.code == "worker_died"

    new = t.restart()

    assert new.wait() == {"begun_at": 2, "attempt": 1}
    assert new.items() == [{"step": 0}, {"step": 1}, {"step": 2}] and t.items() == new.items()[:2]
    assert (new.info.restart_of, t.info.restarted_as) == (t.task_id, new.task_id)
    assert f"Restarted from {t.task_id}." in repr(new) and f"Restarted as {new.task_id}." in repr(t)
    assert (t.status, get_task().task_id) == (Status.FAILED, new.task_id)


def test_a_fresh_restart_begins_at_the_first_step(running: Task) -> None:
    """So what killed it does so again; of a live task there is no restart."""
    with pytest.raises(TaskLiveError, match=r"has not ended yet, so it can't be restarted\. Wait for its end"):
        running.restart()
    t = start_task("goes-on", dies_at=1)
    with pytest.raises(TaskFailedError):
        t.wait()

    new = t.restart(fresh=True)
    with pytest.raises(TaskFailedError):
        new.wait()
    assert new.items() == [{"step": 0}]


def test_callbacks_and_observers_hear_of_the_restarted_task() -> None:
    """They were made for the job, whatever number of tasks it takes; each call belongs to one of the two."""
    called: list[object] = []
    seen: list[tuple[object, Status]] = []
    t = use_task(on_complete=called.append, on_error=called.append)
    t.observe(lambda change: seen.append((change.owner, change.new)), "status")
    t.start("goes-on")
    until(lambda: called, "the error")

    new = t.restart()
    new.wait()

    until(lambda: len(called) == 2, "the result")
    assert "SIGKILL" in str(called[0]) and called[1] == {"begun_at": 2, "attempt": 1}
    until(lambda: (new, Status.COMPLETED) in seen, "the end of the new one")
    assert [owner for owner, status in seen if status in ("completed", "failed")] == [t, new]


def test_the_last_task_is_the_one_that_goes_on() -> None:
    """Where it was restarted by the view's button, or by another process, `get_task()` gives the new one."""
    t = start_task("steps")
    t.wait()
    manager = task_manager.default_manager()
    first = manager.restart(t.task_id).task_id
    get_task(first).wait()
    second = manager.restart(first).task_id
    get_task(second).wait()

    assert get_task().task_id == second
    manager.forget(second)
    assert get_task().task_id == first


def test_a_further_attempt_goes_on_from_the_checkpoint() -> None:
    """`retries` are attempts of the same task after its process died; its words and its repr tell which it is."""
    t = use_task(retries=2).start("goes-on")

    messages = [update.message for update in t.updates() if update.message]
    assert t.wait() == {"begun_at": 2, "attempt": 2}
    assert t.items() == [{"step": 0}, {"step": 1}, {"step": 2}]
    assert any(message.startswith("Attempt 2 of 3 in ") for message in messages), messages
    assert "attempt 2 of 3" in repr(t)


def test_output_that_shrinks_is_read_as_it_is(running: Task) -> None:
    """Of a long output only head and tail are kept, so its file is written anew."""
    path = task_manager.default_manager().folder(running.task_id).path / "output.log"
    until(running.output, "output")
    path.write_text("head\n")
    assert running.output() == "head\n"
    path.unlink()
    assert running.output() == ""


def test_what_cannot_be_started_says_why() -> None:
    """Unknown types, wrong fields, input that is no JSON, options that make no sense, and a handle without a task."""
    with pytest.raises(TaskTypeNotFoundError, match="Did you mean steps"):
        start_task("stps")
    with pytest.raises(TaskTypeNotFoundError, match="no task type 5"):
        start_task(5)
    with pytest.raises(InvalidInputError, match="step: "):
        start_task("steps", step=1)
    with pytest.raises(BadParameterError, match="can't be written as JSON"):
        start_task("steps", steps=object())
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(BadParameterError, match="nested too deeply, or contains itself"):
        start_task("steps", steps=circle)
    for options, told in (({"timeout": -1}, "timeout"), ({"timeout": "5"}, "timeout"), ({"name": 5}, "name"),
                          ({"tags": 5}, "tags"), ({"tags": [5]}, "tag"),
                          ({"name": "\x1b[2J"}, "name"), ({"tags": ["a\nb"]}, "tag"),
                          ({"retries": -1}, "retries"), ({"retries": "5"}, "retries")):
        with pytest.raises(BadParameterError, match=f"{told}: "):
            use_task(**options).start("steps")
    with pytest.raises(BadParameterError, match="nothing has been started"):
        use_task().wait()


def test_tasks_are_found_again() -> None:
    """By id, by the beginning of one, as the last; and listed by status, type and tag."""
    t = use_task(name="mine", tags=["a"]).start("steps")
    t.wait()

    assert get_task(t.task_id).result == get_task(t.task_id[:25]).result == get_task().result == 3
    assert list_tasks(type="steps", tag="a", status="completed")[0].task_id == t.task_id
    assert list_tasks(limit=1)[0].name == "mine"
    with pytest.raises(TaskNotFoundError):
        get_task("zzz")
    with pytest.raises(BadParameterError, match="must be a text"):
        get_task(5)
    with pytest.raises(BadParameterError, match="none of idle"):
        list_tasks(status="done")


def test_a_bare_text_is_one_tag() -> None:
    """Not one for each of its letters."""
    assert use_task(tags="abc").start("steps", steps=0).info.tags == ["abc"]


def test_a_plain_function_travels_by_value() -> None:
    """A function that only this module has is started without ctx or worker file."""
    base = 40

    @task
    def adds(n: int) -> int:
        print("adding")
        return base + n

    t = adds.start(n=2)
    assert (t.wait(), t.output()) == (42, "adding\n")
