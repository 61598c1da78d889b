"""The overview stream: all tasks on one connection."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from .conftest import until

EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"SseTasksApp": {"heartbeat": 0.3}}


class View:
    """What a page knows by its overview stream."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.events: list[dict[str, Any]] = []
        self.raw = b""

    async def read(self, until: Any, seconds: float = 60) -> dict[str, Any]:
        """Reads on until an event satisfies ``until``."""
        seen = len(self.events)
        async with asyncio.timeout(seconds):
            while True:
                for event in self.events[seen:]:
                    seen += 1
                    if until(event):
                        return event
                chunk = await self._answer.chunk()
                assert chunk, "the stream ended"
                self.raw += chunk
                self.events += [json.loads(line[6:]) for line in chunk.split(b"\n") if line.startswith(b"data: ")]

    def of(self, task_id: str) -> list[dict[str, Any]]:
        return [e["task"] for e in self.events if e["type"] == "snapshot" and e["task"]["taskId"] == task_id]


def about(task_id: str, status: str) -> Any:
    return lambda e: e["type"] == "snapshot" and e["task"]["taskId"] == task_id and e["task"]["status"] == status


@pytest.fixture
def view(raw):
    async def view_() -> View:
        return View(await raw("GET", "tasks", "Accept: text/event-stream"))

    return view_


def is_ready(event: dict[str, Any]) -> bool:
    return event["type"] == "ready"


async def test_snapshots_of_live_tasks_then_ready(alone, view, log_by_hand, start, ended):
    """On connect every live task once, none that has ended, then ``ready``; no event has an id."""
    done = await start("echo")
    await ended("echo", done)
    live = [log_by_hand().task_id for _ in range(3)]

    page = await view()
    await page.read(is_ready)

    assert [e["type"] for e in page.events] == ["snapshot"] * 3 + ["ready"]
    assert [e["task"]["taskId"] for e in page.events[:3]] == live
    assert page.events[0]["task"]["taskType"] == "by-hand" and page.events[0]["task"]["cursor"] > 0
    assert b"\nid:" not in page.raw and page.raw.startswith(b"retry: 2000\n: ")


async def test_nothing_goes_back_while_a_page_connects(app, view, log_by_hand, monkeypatch):
    """What changed while the list of live tasks was read is not told as it was before that."""
    log, overview = log_by_hand(), app.overview
    live = overview.live

    def late() -> list[bytes]:
        log.progress(1)
        deadline = time.monotonic() + 20
        while b"1 " not in overview._snapshots.get(log.task_id, b"") and time.monotonic() < deadline:
            time.sleep(0.01)
        log.progress(2, ring=False)
        return live()

    monkeypatch.setattr(overview, "live", late)
    page = await view()
    await page.read(is_ready)
    log.complete()
    await page.read(about(log.task_id, "completed"))

    cursors = [task["cursor"] for task in page.of(log.task_id)]
    assert cursors == sorted(cursors) and len(cursors) > 1


async def test_a_task_is_seen_from_start_to_end_and_gone(view, call, start, tmp_path):
    """A new task appears, changes, ends, and is said to be gone once it is forgotten."""
    page = await view()
    await page.read(is_ready)

    task_id = await start("seconds", gate=str(tmp_path / "gate"))
    running = await page.read(lambda e: about(task_id, "running")(e) and e["task"].get("progress"))
    await page.read(lambda e: e.get("task", {}).get("cursor", 0) > running["task"]["cursor"])
    (tmp_path / "gate").touch()
    last = await page.read(about(task_id, "completed"))
    assert last["task"]["result"] >= running["task"]["progress"]["current"]

    await call("DELETE", f"tasks/seconds/{task_id}")
    assert await page.read(lambda e: e["type"] == "gone") == {"type": "gone", "taskId": task_id}


async def test_at_most_ten_snapshots_a_second(view, log_by_hand):
    """A task that changes all the time costs ten snapshots a second, and the last change is always told."""
    log = log_by_hand()
    page = await view()
    await page.read(is_ready)

    began = time.monotonic()
    number = 0
    while number < 50 or time.monotonic() - began < 1.0:
        number += 1
        log.progress(number)
        await asyncio.sleep(0.001)
    log.complete(message="done")
    await page.read(about(log.task_id, "completed"))

    assert 3 <= len(page.of(log.task_id)) <= 10 * (time.monotonic() - began) + 4
    assert page.of(log.task_id)[-1]["message"] == "done"


async def test_the_first_change_after_a_while_is_told_at_once(view, log_by_hand):
    """The limit delays nothing while little happens."""
    log = log_by_hand()
    page = await view()
    await page.read(is_ready)

    delays: list[float] = []
    while not delays or min(delays) >= 0.05:  # on a machine that is too busy, some take longer than the limit
        assert len(delays) < 50, delays
        await asyncio.sleep(0.12)  # longer than the limit: what is tested is that this suffices
        began = time.monotonic()
        log.progress(number := len(delays))
        await page.read(lambda e, n=number: e.get("task", {}).get("message") == f"{n} ")
        delays.append(time.monotonic() - began)


async def test_a_slow_reader_costs_one_snapshot_per_task(app, log_by_hand):
    """However long a reader slept, what it is owed is a set of tasks."""
    log, other = log_by_hand(), log_by_hand()
    woken = []
    reader = app.overview.join(lambda: woken.append(1))
    try:
        for number in range(50):
            log.progress(number)
            await asyncio.sleep(0.01)
        other.progress(1)
        await until(lambda: len(reader.pending) == 2, "two tasks that are owed")
        assert set(reader.pending) == {log.task_id, other.task_id} and len(woken) > 2
    finally:
        app.overview.leave(reader)
    assert not app.manager._watches


async def test_large_inputs_stay_out(view, call, log_by_hand):
    """A snapshot leaves out what is above 4 KiB."""
    page = await view()
    await page.read(is_ready)

    task_id = (await call("POST", "tasks/echo", {"text": "x" * 5000})).json["taskId"]
    task = (await page.read(about(task_id, "completed")))["task"]

    assert "input" not in task and "result" not in task and task["resultBytes"] > 5000


async def test_two_pages_see_the_same(view, log_by_hand):
    """Each page has its own connection and they share the work; one that leaves doesn't disturb the other."""
    log = log_by_hand()
    one, two = await view(), await view()
    await one.read(is_ready)
    await two.read(is_ready)

    log.progress(1)
    first = await one.read(about(log.task_id, "running"))
    assert await two.read(about(log.task_id, "running")) == first
    one._answer.writer.close()
    await asyncio.sleep(0.12)
    log.complete()
    await two.read(about(log.task_id, "completed"))


async def test_silence_is_kept_alive(alone, view):
    """A comment comes when nothing happens."""
    page = await view()
    await page.read(is_ready)

    assert await page._answer.chunk() == b":\n"


async def test_head(call):
    """HEAD of the overview answers at once, with the stream's headers."""
    answer = await call("HEAD", "tasks", headers=EVENTS)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
