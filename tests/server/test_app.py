"""The extension as Jupyter sees it: settings, activity, static files, and the end of the server."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import prometheus_client
import pytest
import sse_tasks_server
from sse_tasks_server.app import SseTasksApp

import sse_tasks
from sse_tasks.task_manager import TaskManager

from ..places import wait_for
from ..server_process import start_server
from .conftest import WORKERS, until


def test_the_extension_is_found():
    """The package says which app it holds, and the file that enables it names the package."""
    assert sse_tasks_server._jupyter_server_extension_points() == [
        {"module": "sse_tasks_server.app", "app": SseTasksApp}]


async def test_live_tasks_keep_the_server_alive(alone, app, jp_serverapp, log_by_hand):
    """While a task lives the server reports activity, for a while after it too, and not for ever."""
    times = jp_serverapp.web_app.settings["last_activity_times"]
    log_by_hand()
    spec = app.manager.list(task_type="by-hand")[0][0]
    before = datetime.now(UTC)
    app.keep_server_alive = 1e12
    await app._look()
    assert app.current_activity() == {"tasks": 1}
    assert times["sse_tasks"] >= before
    assert jp_serverapp.web_app.last_activity() >= before

    app._seen_live = time.monotonic() - 1000
    assert app.current_activity() is None
    created = datetime.fromisoformat(spec.created_at)
    app.keep_server_alive = (datetime.now(UTC) - created - timedelta(seconds=5)).total_seconds()
    await app._look()
    assert app.current_activity() is None


async def test_a_data_folder_that_cannot_be_made(app, call, tmp_path, monkeypatch):
    """The extension loads all the same, says what is wrong to who asks, and works as soon as it is mended."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SSE_TASKS_DATA_DIR", str(tmp_path / "file" / "data"))
    app._first_look.join()
    vars(app).pop("manager").close()  # it had one already, when it was linked
    app._look_at_all()
    for method, path in (("GET", "tasks"), ("GET", "task-types"), ("POST", "tasks/echo")):
        answer = await call(method, path)
        assert (answer.status, answer.json["code"]) == (507, "storage_unwritable")
    await app._look()

    monkeypatch.setenv("SSE_TASKS_DATA_DIR", str(tmp_path / "data"))
    assert (await call("GET", "tasks")).json == {"tasks": [], "next": None}


async def test_a_start_is_activity_at_once(app, start):
    """A culler that looks right after a start sees it."""
    await start("echo")

    assert app.current_activity()


async def test_starts_and_ends_are_told(app, jp_serverapp, call, start, ended):
    """Events for jupyter_events and metrics on /metrics, for every task, and without its input or result."""
    heard: list[dict[str, Any]] = []

    async def listen(logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        heard.append(data)

    jp_serverapp.event_logger.add_listener(schema_id="urn:sse-tasks:task:v1", listener=listen)
    assert not app._looking.is_running()  # the looks below are all
    await app._look()
    failing, living = await start("fails"), await start("forever")
    await ended("fails", failing)
    await app._look()
    await app._look()
    await call("DELETE", "tasks/forever", taskId=living)
    await ended("forever", living)
    await app._look()

    def own() -> list[dict[str, Any]]:
        return [one for one in heard if one["taskId"] in (failing, living)]

    await until(lambda: len(own()) == 4, "four events")

    told = own()
    assert [(one["action"], one["taskId"]) for one in told] == [
        ("start", failing), ("end", failing), ("start", living), ("end", living)]
    assert (told[1]["status"], told[1]["code"], told[3]["status"]) == ("failed", "worker_error", "aborted")
    assert told[1]["endedAt"] >= told[1]["startedAt"] and "input" not in told[0]
    metrics = prometheus_client.generate_latest().decode()
    for line in ('sse_tasks_started_total', 'sse_tasks_ended_total{status="failed"}', 'sse_tasks_open_streams',
                 'sse_tasks_live{status="running"}'):
        assert f"\n{line} " in metrics


async def test_the_front_end_is_served(http_server, jp_http_port, jp_base_url):
    """The JavaScript of the library is at ``static/sse_tasks/``."""
    script = next(path for path in sorted((Path(sse_tasks.__file__).parent / "frontend").glob("*.js")))
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(f"http://127.0.0.1:{jp_http_port}{jp_base_url}static/sse_tasks/{script.name}",
                                   headers={"Authorization": "token a-token-for-tests"})

    assert answer.status_code == 200 and answer.content == script.read_bytes()
    assert "javascript" in answer.headers["content-type"]


async def test_the_end_of_the_extension_ends_streams_cleanly(raw, app, log_by_hand, call):
    """stop_extension ends every stream and long poll, is quick, and never raises, even twice."""
    log = log_by_hand()
    stream = await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    overview = await raw("GET", "tasks", "Accept: text/event-stream")
    poll = asyncio.create_task(call("GET", f"tasks/by-hand/{log.task_id}/updates", wait=30, after=log.progress(1)))

    await until(lambda: len(app.open_answers) == 3, "three open answers")

    await asyncio.wait_for(app.stop_extension(), 40)  # the reader's own time limit is 60 s
    assert (await stream.rest()).startswith(b"retry: 2000") and (await overview.rest()).endswith(b"\n\n")
    assert (await poll).status == 200
    await app.stop_extension()


async def test_a_stalled_reader_does_not_hold_up_the_end(raw, app, log_by_hand):
    """The server's end is quick though somebody takes nothing of what is sent."""
    log = log_by_hand()
    for number in range(200):
        log.progress(number, ring=False, padding=100_000)
    await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    await until(lambda: any(close.__self__._connection.stream.writing() for close in app.open_answers._closers),
                "a write that is stuck")

    await asyncio.wait_for(app.stop_extension(), 40)  # the reader's own time limit is 60 s


@pytest.mark.parametrize(("option", "status"), [("keep", "running"), ("abort", "aborted")])
def test_what_becomes_of_tasks_when_the_server_stops(tmp_path, option, status):
    """By default tasks go on without the server; with ``abort`` those that it started are asked to end, all forty that
    run or wait; the server's end is as soon."""
    server = start_server(tmp_path, f"--SseTasksApp.on_server_stop={option}", env={"SSE_TASKS_WORKERS": str(WORKERS)})
    manager = TaskManager()
    with server.client() as api:
        task_id = api.post("/tasks/forever", json={}).json()["taskId"]
        foreign = manager.start("forever", origin={"notebook": "a.ipynb"}).task_id
        wait_for("both to run", lambda: {manager.info(one).status for one in (task_id, foreign)} == {"running"})
        waiting = [api.post("/tasks/forever", json={}).json()["taskId"] for _ in range(39 if option == "abort" else 0)]

    following = threading.Event()
    ended: list[bool] = []

    def follow() -> None:
        with server.client() as api, api.stream("GET", "/tasks/forever", params={"taskId": task_id}) as answer:
            for _ in answer.iter_bytes():
                following.set()
            ended.append(True)  # and not by an error

    reader = threading.Thread(target=follow)
    reader.start()
    assert following.wait(60)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) is not None
    reader.join(60)
    assert ended == [True]

    wait_for(status, lambda: {manager.info(one).status for one in (task_id, *waiting)} == {status})
    fate: dict[str, Any] = {one: manager.info(one).status for one in (task_id, foreign)}
    assert fate[foreign] == "running"
    for one, state in fate.items():
        if state == "running":
            manager.ask(one, "abort")
    wait_for("their ends", lambda: all(manager.info(one).is_ended for one in fate))
    manager.close()


def test_settings_come_from_file_and_command_line(tmp_path, monkeypatch):
    """``jupyter_sse_tasks_config.json`` on the config path, and the command line, reach app and manager."""
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    (tmp_path / "jupyter_sse_tasks_config.json").write_text(json.dumps({
        "SseTasksApp": {"max_input_bytes": 10}, "TaskManager": {"max_running": 3}}))
    server = start_server(tmp_path, "--TaskManager.abort_grace=7", env={"SSE_TASKS_WORKERS": str(WORKERS)})
    manager = TaskManager()
    try:
        with server.client() as api:
            assert api.post("/tasks/echo", json={"text": "x" * 20}).status_code == 413
            task_id = api.post("/tasks/echo", json={}).json()["taskId"]
            spec = manager.folder(task_id).spec()
            assert (spec.max_running, spec.abort_grace) == (3, 7)
    finally:
        server.stop()
        manager.close()
