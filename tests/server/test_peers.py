"""No process is the master: two servers, a kernel and this process see, follow and steer each other's tasks."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse, connect_sse
from jupyter_client.manager import start_new_kernel

from ..server_process import TOKEN, ServerProcess
from .conftest import LIVE, WORKERS, end_after_some_updates, until


async def test_each_server_shows_what_the_other_started(call, start, ended, server: ServerProcess):
    """A task of one server is in the other's list, stream, output and result, while it runs and after."""
    with server.client() as other:
        here = await start("seconds", run=0.5)
        there = other.post("/tasks/count", json={"to": 2}).json()["taskId"]

        assert here in [task["taskId"] for task in other.get("/tasks").json()["tasks"]]
        await ended("count", there)
        assert (await call("GET", f"tasks/count/{there}/result")).json == 2
        await ended("seconds", here)
        assert other.get(f"/tasks/seconds/{here}").json()["status"] == "completed"
        assert other.get(f"/tasks/seconds/{here}/items").text.startswith('{"step":1}\n')


async def test_each_server_controls_what_the_other_started(call, start, ended, server: ServerProcess):
    """Pause, resume and abort reach a task whichever server is asked."""
    task_id = await start("forever")

    async def has_status(status: str) -> bool:
        return (await call("GET", f"tasks/forever/{task_id}")).json["status"] == status

    with server.client() as other:
        await until(lambda: has_status("running"), "the start")
        assert other.post("/tasks/forever", json={"action": "pause", "taskId": task_id}).status_code == 202
        await until(lambda: has_status("paused"), "the pause")
        assert other.post("/tasks/forever", json={"action": "resume", "taskId": task_id}).status_code == 202
        await until(lambda: has_status("running"), "the resumption")
        assert other.delete("/tasks/forever", params={"taskId": task_id}).status_code == 202
        assert (await ended("forever", task_id))["status"] == "aborted"


async def test_streams_of_both_servers_are_the_same(app, client, start, tmp_path, server: ServerProcess):
    """The same task followed through two servers gives the same events with the same ids, live."""
    task_id = await start("seconds", gate=str(tmp_path / "gate"))
    going = asyncio.create_task(end_after_some_updates(app, task_id, tmp_path / "gate"))

    async def follow(api: httpx.AsyncClient) -> list[tuple[str, str]]:
        async with aconnect_sse(api, "GET", "/tasks/seconds", params={"taskId": task_id}) as source:
            return [(event.id, event.data) async for event in source.aiter_sse()]

    async with httpx.AsyncClient(base_url=server.api, headers=client.headers, timeout=60) as other:
        here, there = await asyncio.gather(follow(client), follow(other))

    await going
    assert here == there and len(here) > 10
    assert json.loads(here[-1][1])["status"] == "completed"


async def test_a_cursor_of_one_server_is_good_at_the_other(call, start, ended, server: ServerProcess):
    """A reader may go on at another server: the cursor is the log's, not the server's."""
    task_id = await start("count", to=2)
    await ended("count", task_id)
    body = (await call("GET", "tasks/count", taskId=task_id)).body
    opening, first = body[:body.index(b"id: ")], body[body.index(b"id: "):body.index(b"\n\n")]
    cursor = first.split(b"\n")[0][4:].decode()

    with server.client() as other:
        rest = other.get("/tasks/count", params={"taskId": task_id}, headers={"Last-Event-ID": cursor}).content

    assert opening + first + b"\n\n" + rest.removeprefix(opening) == body


async def test_forgotten_at_one_server_is_gone_at_the_other(raw, call, start, ended, server: ServerProcess):
    """``gone`` reaches the overview of the server that was not asked."""
    task_id = await start("echo")
    await ended("echo", task_id)
    overview = await raw("GET", "tasks", "Accept: text/event-stream")
    chunk = b""
    while b"ready" not in chunk:
        chunk = await overview.chunk()

    with server.client() as other:
        assert other.delete(f"/tasks/echo/{task_id}").status_code == 204
    while b'"gone"' not in chunk or task_id.encode() not in chunk:
        chunk = await overview.chunk()
    assert (await call("GET", f"tasks/echo/{task_id}")).status == 404


async def test_curl_follows_a_task(start, jp_http_port, jp_base_url):
    """curl -N sees the stream and ends with it."""
    task_id = await start("count", to=3, pause_between=0.1)

    process = await asyncio.create_subprocess_exec(
        "curl", "-sSN", "-H", f"Authorization: token {TOKEN}",
        f"http://127.0.0.1:{jp_http_port}{jp_base_url}api/tasks/count?taskId={task_id}",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, error = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 0, error
    assert b'"status":"completed"' in out.rstrip().split(b"\n")[-1]


@pytest.fixture(scope="module")
def kernel() -> Iterator[Any]:
    """A real kernel: ``kernel(code)`` runs a cell and gives what it printed."""
    manager, client = start_new_kernel(kernel_name="python3")

    def run(code: str) -> str:
        printed = []

        def hook(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] == "error":
                printed.append("\n".join(content["traceback"]))

        client.execute_interactive(code, timeout=60, output_hook=hook)
        return "".join(printed).strip()

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_kernel_s_task_is_the_server_s_too(kernel, server: ServerProcess):
    """A task that a kernel started is listed, streamed and controlled by a server, and outlives its kernel's cell."""
    kernel(f"""
        import os
        os.environ["SSE_TASKS_WORKERS"] = {str(WORKERS)!r}
        from sse_tasks.task_manager import TaskManager
        manager = TaskManager()
    """)
    task_id = kernel('print(manager.start("forever", {}, origin={"notebook": "a.ipynb", "cell": "1"}).task_id)')
    assert len(task_id) == 26, task_id

    with server.client() as api:
        listed = {task["taskId"]: task for task in api.get("/tasks", params={"status": LIVE}).json()["tasks"]}
        assert listed[task_id]["origin"] == {"notebook": "a.ipynb", "cell": "1"}
        with connect_sse(api, "GET", "/tasks/forever", params={"taskId": task_id}) as source:
            statuses = []
            for event in source.iter_sse():
                status = json.loads(event.data)["status"]
                statuses.append(status)
                if status == "running" and "paused" not in statuses:
                    api.post("/tasks/forever", json={"action": "pause", "taskId": task_id})
                if status == "paused":
                    api.delete("/tasks/forever", params={"taskId": task_id})
        assert statuses[0] == "idle" and "paused" in statuses and statuses[-1] == "aborted"
    assert kernel(f"print(manager.info({task_id!r}).status)") == "aborted"


def test_a_server_s_task_is_the_kernel_s_too(kernel, server: ServerProcess):
    """A kernel sees and aborts what a server started."""
    with server.client() as api:
        task_id = api.post("/tasks/forever", json={}).json()["taskId"]

        kernel(f"manager.ask({task_id!r}, 'abort')")

        with connect_sse(api, "GET", "/tasks/forever", params={"taskId": task_id}) as source:
            last = [json.loads(event.data) for event in source.iter_sse()][-1]
        assert last["status"] == "aborted"
