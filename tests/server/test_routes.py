"""Start, control, list, forget: every call that answers once."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sse_tasks.types import is_task_id

from .conftest import LIVE, until


async def test_start(call, app, jp_base_url, ended):
    """A POST starts a task: 201, its id, a sentence, and where it is to be found, below any base address."""
    answer = await call("POST", "tasks/echo", {"text": "hello"})

    task_id = answer.json["taskId"]
    assert answer.status == 201 and is_task_id(task_id)
    assert answer.json == {"success": True, "taskId": task_id, "message": "echo task started"}
    assert answer.headers["Location"] == f"{jp_base_url}api/tasks/echo/{task_id}"
    info = await ended("echo", task_id)
    assert (info["status"], info["result"], info["input"]) == ("completed", {"text": "hello"}, {"text": "hello"})
    assert info["origin"] == {"server": app.address}


async def test_an_empty_body_is_an_empty_object(call, ended):
    """No body starts with the defaults."""
    answer = await call("POST", "tasks/echo")

    assert (await ended("echo", answer.json["taskId"]))["result"] == {"text": ""}


async def test_start_options_travel_beside_the_input(call, ended):
    """Name, tags and timeout are query parameters; the input is only the body."""
    answer = await call("POST", "tasks/echo", {"text": "x"}, name="My task", tag=["a", "b"], timeout="60", retries="0")

    info = await ended("echo", answer.json["taskId"])
    assert (info["name"], info["tags"], info["input"]) == ("My task", ["a", "b"], {"text": "x"})


async def test_pause_resume_abort(call, start, ended):
    """Each is asked with 202 and done soon; asking again has no second effect."""
    task_id = await start("forever")
    url = f"tasks/forever/{task_id}"

    async def has_status(status: str) -> bool:
        return (await call("GET", url)).json["status"] == status

    await until(lambda: has_status("running"), "the start")
    for _ in range(2):
        answer = await call("POST", "tasks/forever", {"action": "pause", "taskId": task_id})
        assert answer.status == 202
        assert answer.json["success"] is True and answer.json["taskId"] == task_id
        assert answer.json["status"] in ("running", "paused") and answer.json["message"]
        await until(lambda: has_status("paused"), "the pause")
    assert (await call("POST", "tasks/forever", {"action": "resume", "taskId": task_id})).status == 202
    await until(lambda: has_status("running"), "the resumption")
    for _ in range(2):
        answer = await call("DELETE", "tasks/forever", taskId=task_id)
        assert answer.status in (202, 409)
    assert (await ended("forever", task_id))["status"] == "aborted"


async def test_what_is_no_control_is_an_input(call):
    """A body is a control exactly if its keys are action (pause or resume) and taskId, both strings."""
    for body in ({"action": "pause", "taskId": "x", "more": 1}, {"action": "restart", "taskId": "x"},
                 {"action": "pause"}, {"action": "pause", "taskId": 5}, {"taskId": "x"}):
        answer = await call("POST", "tasks/echo", body)

        assert (answer.status, answer.json["code"]) == (422, "invalid_input"), body


async def test_info_by_both_addresses(call, start, ended):
    """The task's own address, and the user's with Accept: application/json, say the same."""
    task_id = await start("count", to=2)
    await ended("count", task_id)

    own = await call("GET", f"tasks/count/{task_id}")
    asked = await call("GET", "tasks/count", taskId=task_id, headers={"Accept": "application/json"})

    assert own.json == asked.json
    assert own.json["items"] == 2 and own.json["itemsBytes"] == 26 and own.json["outputBytes"] > 0
    assert own.headers["Content-Type"] == "application/json"


async def test_list_and_its_filters(call, start, ended):
    """Newest first; by status, type and tag; page by page."""
    ids = [(await call("POST", "tasks/echo", {"text": str(n)}, tag="listed")).json["taskId"] for n in range(5)]
    for task_id in ids:
        await ended("echo", task_id)
    failing = (await call("POST", "tasks/fails", tag="listed")).json["taskId"]
    await ended("fails", failing)

    async def listed(**params: object) -> list[str]:
        answer = await call("GET", "tasks", tag="listed", **params)
        assert answer.status == 200
        return [task["taskId"] for task in answer.json["tasks"]]

    assert await listed() == [failing, *reversed(ids)]
    assert await listed(type="fails") == [failing]
    assert await listed(status="failed") == [failing]
    assert await listed(status=["failed", "completed"]) == [failing, *reversed(ids)]
    assert await listed(status="running") == []
    pages, after = [], {}
    while True:
        answer = (await call("GET", "tasks", tag="listed", limit=2, **after)).json
        pages.append([task["taskId"] for task in answer["tasks"]])
        if answer["next"] is None:
            break
        after = {"after": answer["next"]}
    assert pages == [[failing, ids[4]], [ids[3], ids[2]], [ids[1], ids[0]]]


async def test_lists_leave_out_what_is_large(call, ended):
    """Input and result above 4 KiB are absent in lists, and still there in the task's own picture."""
    task_id = (await call("POST", "tasks/echo", {"text": "x" * 5000}, tag="large")).json["taskId"]
    await ended("echo", task_id)

    listed = (await call("GET", "tasks", tag="large")).json["tasks"][0]
    whole = (await call("GET", f"tasks/echo/{task_id}")).json

    assert "input" not in listed and "result" not in listed and listed["resultBytes"] > 5000
    assert whole["input"] == whole["result"] == {"text": "x" * 5000}


async def test_what_is_nested_as_deep_as_may_be_harms_no_answer(call, start, ended):
    """An input 300 deep is taken. Pictures, lists and streams hold it some levels deeper, and are refused to nobody;
    one level more is a 422."""
    def nested(depth: int) -> dict[str, Any]:
        value: Any = "in"
        for _ in range(depth - 1):
            value = [value]
        return {"value": value}

    task_id = await start("gives-back", **nested(300))

    info = await ended("gives-back", task_id)
    assert (info["input"], info["result"]) == (nested(300), nested(300)["value"])
    listed = (await call("GET", "tasks")).json["tasks"]
    assert [one["input"] for one in listed if one["taskId"] == task_id] == [nested(300)]
    assert (await call("GET", f"tasks/gives-back/{task_id}/updates")).json["updates"][-1]["result"] == info["result"]
    assert (await call("POST", "tasks/gives-back", nested(301))).status == 422


async def test_task_types(call, app, tmp_path):
    """What can be started, with schemas; a file that can't be loaded is listed with its reason."""
    (tmp_path / "cannot-load.py").write_text("def broken(:")
    app.manager.worker_folders = [str(tmp_path)]

    types = {one["name"]: one for one in (await call("GET", "task-types")).json["taskTypes"]}

    assert types["echo"]["doc"] == "Says what it was given."
    assert types["echo"]["input"]["properties"]["times"] == {"type": "integer", "default": 1}
    assert types["echo"]["output"]["type"] == "object"
    assert types["echo"]["source"].endswith("server_tests.py")
    assert "SyntaxError" in types["cannot-load"]["error"] and "input" not in types["cannot-load"]


async def test_a_slow_worker_file_holds_up_no_list(call, app, tmp_path):
    """While what can be started is asked for, lists are answered; and the server's end waits for no such question."""
    os.mkfifo(tmp_path / "gate")
    (tmp_path / "slow-to-import.py").write_text(f"open({str(tmp_path / 'gate')!r}).read()")
    app.manager.worker_folders = [str(tmp_path)]
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    asked = [asyncio.create_task(call(*one)) for one in (("GET", "task-types"), ("POST", "tasks/echo"))]
    gate = await until(lambda: _opened(tmp_path / "gate"), "the import")

    listed = await call("GET", "tasks")
    waiting = [thread.daemon for thread in threading.enumerate() if thread.name == "sse-tasks-slow-call"]

    assert (listed.status, [one.done() for one in asked], waiting) == (200, [False, False], [True, True])
    os.close(gate)
    assert [answer.status for answer in await asyncio.gather(*asked)] == [200, 201]


def _opened(fifo):
    """A descriptor for writing, once somebody reads."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


async def test_forget(call, start, ended):
    """An ended task is removed with its folder: 204, then 404."""
    task_id = await start("echo")
    await ended("echo", task_id)

    assert (await call("DELETE", f"tasks/echo/{task_id}")).status == 204
    assert (await call("GET", f"tasks/echo/{task_id}")).status == 404
    assert (await call("DELETE", f"tasks/echo/{task_id}")).status == 404


async def test_numbers_that_json_has_not(call, start, ended):
    """NaN goes over the wire as null, everywhere."""
    task_id = await start("odd-numbers")
    info = await ended("odd-numbers", task_id)

    assert info["result"] == {"nan": None, "same": 0.0}
    assert (await call("GET", f"tasks/odd-numbers/{task_id}/result")).json == {"nan": None, "same": 0.0}


async def test_head_of_every_route(call, start, ended):
    """HEAD gives what GET would, without the body."""
    task_id = await start("count", to=2)
    await ended("count", task_id)
    for path in ("tasks", "task-types", f"tasks/count/{task_id}", *(
            f"tasks/count/{task_id}/{part}" for part in ("updates", "output", "items", "result", "files"))):
        get, head = await call("GET", path), await call("HEAD", path)
        assert (head.status, head.body) == (200, b""), path
        assert head.headers["Content-Length"] == get.headers["Content-Length"], path


async def test_cors_preflight(call, start):
    """A page of another origin may send what our calls need: Last-Event-ID among it."""
    for path in ("tasks", "tasks/echo", f"tasks/echo/{await start('echo')}/updates", "task-types"):
        answer = await call("OPTIONS", path, headers={"Access-Control-Request-Headers": "last-event-id"})
        allowed = answer.headers["Access-Control-Allow-Headers"].lower()
        assert answer.status == 200 and "last-event-id" in allowed and "x-xsrftoken" in allowed


async def test_many_starts_at_once(call, ended):
    """Fifty starts at the same time are fifty tasks, each with its own result."""
    answers = await asyncio.gather(*(call("POST", "tasks/echo", {"text": str(n)}, tag="many") for n in range(50)))

    results = [(await ended("echo", answer.json["taskId"]))["result"]["text"] for answer in answers]
    assert results == [str(n) for n in range(50)]
    live = (await call("GET", "tasks", status=LIVE, tag="many")).json["tasks"]
    assert live == []
