"""What becomes of ended tasks over HTTP: restarted, forgotten, or pruned by the server itself."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import UTC, datetime, timedelta

from sse_tasks_server import handlers

from sse_tasks.claims import Claims
from sse_tasks.folder import TaskFolder
from sse_tasks.types import is_task_id

from .conftest import until
from .test_errors import assert_error

OLD = "2026-01-01T00:00:00.000Z"  # when those that are made by hand end


async def test_restart_gives_a_new_task(call, start, ended, jp_base_url, app):
    """201 with the new task's id and address; each says of the other what it is; options beside the input go along."""
    task_id = (await call("POST", "tasks/echo", {"text": "x"}, name="A name", tag="t", timeout=60)).json["taskId"]
    await ended("echo", task_id)

    answer = await call("POST", f"tasks/echo/{task_id}/restart")

    new = answer.json["taskId"]
    assert answer.status == 201 and is_task_id(new) and new != task_id
    assert answer.json == {"success": True, "taskId": new, "message": "echo task started"}
    assert answer.headers["Location"] == f"{jp_base_url}api/tasks/echo/{new}"
    info = await ended("echo", new)
    assert (info["result"], info["restartOf"], info["name"], info["tags"]) == ({"text": "x"}, task_id, "A name", ["t"])
    assert info["origin"] == {"server": app.address} and "no checkpoint" in info["message"]
    assert (await call("GET", f"tasks/echo/{task_id}")).json["restartedAs"] == new


async def test_restart_anew(call, start, ended):
    """``fresh`` leaves a checkpoint aside."""
    task_id = await start("echo")
    await ended("echo", task_id)
    for fresh in ("true", "1", "True"):
        new = (await call("POST", f"tasks/echo/{task_id}/restart", fresh=fresh)).json["taskId"]
        assert (await ended("echo", new))["message"] == "Restarted from the beginning."


async def test_a_restart_is_seen_in_the_overview(raw, call, start, ended):
    """Views learn at once that an ended task has a successor."""
    task_id = await start("echo")
    await ended("echo", task_id)
    overview = await raw("GET", "tasks", "Accept: text/event-stream")
    seen = b""
    while b"ready" not in seen:
        seen += await overview.chunk()

    new = (await call("POST", f"tasks/echo/{task_id}/restart")).json["taskId"]

    while b'"restartedAs":"%b"' % new.encode() not in seen:
        seen += await overview.chunk()
    await ended("echo", new)


async def test_many_are_forgotten_at_once(call, start, ended, log_by_hand):
    """By status and time, the time in any zone; the answer says how many; live ones and younger ones stay."""
    old = [log_by_hand() for _ in range(3)]
    for log in old:
        log.complete(timestamp=OLD)
        log.writer.close()
    live = log_by_hand()
    young = await start("echo")
    await ended("echo", young)

    answer = await call("DELETE", "tasks", status="failed", before="2026-01-02")
    assert (answer.status, answer.json) == (200, {"success": True, "removed": 0})
    for before in ("2026-01-01T00:00:59+00:01", "0001-01-01T00:00:00Z"):  # the second is "no time" in Go
        assert (await call("DELETE", "tasks", before=before)).json["removed"] == 0
    answer = await call("DELETE", "tasks", status=["completed", "failed"], before="2026-01-01T02:00:01+02:00")
    assert answer.json == {"success": True, "removed": 3}

    for log in old:
        assert (await call("GET", f"tasks/by-hand/{log.task_id}")).status == 404
    assert (await call("GET", f"tasks/by-hand/{live.task_id}")).status == 200
    assert (await call("GET", f"tasks/echo/{young}")).status == 200


async def test_a_server_forgets_what_is_too_old_or_too_much(app, call, log_by_hand, monkeypatch):
    """When it starts, and when there are more ended tasks than are to be kept."""
    def make() -> str:
        log = log_by_hand()
        log.complete(timestamp=OLD)
        log.writer.close()
        return log.task_id

    for limit in ("keep_days", "keep_count"):
        task_id = make()
        monkeypatch.setattr(app.manager, "keep_days", 1 if limit == "keep_days" else None)
        monkeypatch.setattr(app.manager, "keep_count", 0 if limit == "keep_count" else None)

        await (app._begin() if limit == "keep_days" else app._look())

        assert (await call("GET", f"tasks/by-hand/{task_id}")).status == 404
        assert not os.path.exists(app.manager.root / "tasks" / task_id)


async def test_a_key_that_is_busy(call, app, monkeypatch):
    """A start waits for another with its key, and keeps no thread busy; 503 when it takes too long."""
    claims = Claims(app.manager.root / "claims")
    headers = {"Idempotency-Key": "busy"}
    await call("GET", "task-types")
    with claims.hold("echo", "busy", 0):
        starts = [asyncio.create_task(call("POST", "tasks/echo", {}, headers=headers)) for _ in range(8)]
        listed = [await call("GET", "tasks") for _ in range(3)]
        assert {answer.status for answer in listed} == {200}
        assert not any(start.done() for start in starts)
        monkeypatch.setattr(handlers, "_CLAIM_SECONDS", 0.0)
        answer = await call("POST", "tasks/echo", {}, headers=headers)
        assert_error(answer, 503, "start_in_progress")
        assert int(answer.headers["Retry-After"]) > 0
        monkeypatch.setattr(handlers, "_CLAIM_SECONDS", 30.0)

    answers = await asyncio.gather(*starts)

    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.json["taskId"] for answer in answers}) == 1


async def test_retries_travel_beside_the_input(call, ended):
    """They are in the task's picture."""
    task_id = (await call("POST", "tasks/echo", {}, retries="3")).json["taskId"]

    assert (await ended("echo", task_id))["retries"] == 3


async def test_who_waits_is_told_why(app, call, log_by_hand):
    """A task that waits for longer than a moment says its place and how many may run."""
    log = log_by_hand()
    (app.manager.root / "waiting" / log.task_id).touch()

    info = (await call("GET", f"tasks/by-hand/{log.task_id}")).json

    assert info["position"] >= 1
    assert info["message"].startswith(f"Waiting for its turn: place {info['position']}")
    (app.manager.root / "waiting" / log.task_id).unlink()


async def test_the_server_s_first_look_holds_up_nobody(app, call, monkeypatch):
    """While it goes through all tasks, which may take seconds, requests are answered."""
    looking = threading.Event()
    seen = threading.Event()

    def slow() -> None:
        looking.set()
        assert seen.wait(60)

    await asyncio.to_thread(app._first_look.join)
    monkeypatch.setattr(app.manager, "recover_all", slow)
    await app._start_jupyter_server_extension(None)

    await until(looking.is_set, "the first look")
    assert (await call("GET", "tasks")).status == 200
    seen.set()
    await app._beginning


async def test_a_task_that_has_died_holds_up_nobody(app, call, raw, log_by_hand, monkeypatch):
    """To end it, or to hand it on, may take seconds: a forkserver may have to start. Whoever finds it, a request for it
    or a stream, other requests are answered meanwhile."""
    logs = [log_by_hand() for _ in range(3)]
    for log in logs:
        log.progress(1)
    going_on = threading.Event()
    busy: set[str] = set()

    def slow(folder: TaskFolder) -> bool:
        busy.update((folder.task_id, threading.current_thread().name))
        assert going_on.wait(60)
        return False

    monkeypatch.setattr(app.manager._host, "recover", slow)
    stream = await raw("GET", f"tasks/by-hand?taskId={logs[0].task_id}")
    overview = await raw("GET", "tasks", "Accept: text/event-stream")
    while b'"ready"' not in await overview.chunk():
        pass
    for log in logs:
        log.writer.close()  # what its processes' death does
    asked = asyncio.create_task(call("GET", f"tasks/by-hand/{logs[1].task_id}"))
    paused = asyncio.create_task(call("POST", "tasks/by-hand", {"action": "pause", "taskId": logs[2].task_id}))

    await until(lambda: {logs[1].task_id, logs[2].task_id, "sse-tasks-look"} <= busy, "all of them to be busy")
    assert (await call("GET", "task-types")).status == 200
    assert not asked.done() and not paused.done()
    going_on.set()
    assert (await asked).status == 200 and (await paused).status == 409
    stream.writer.close()


async def test_keys_and_times_of_tasks_are_in_utc(call, start, ended):
    """``before`` compares with ``endedAt``: what ends now is not before a second ago."""
    task_id = await start("echo")
    ended_at = (await ended("echo", task_id))["endedAt"]
    before = (datetime.fromisoformat(ended_at).astimezone(UTC) - timedelta(seconds=1)).isoformat()

    await call("DELETE", "tasks", status="completed", before=before)

    assert (await call("GET", f"tasks/echo/{task_id}")).status == 200
