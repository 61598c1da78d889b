"""Errors are always JSON, with a stable code and a sentence that a person can act on."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sse_tasks import retention
from sse_tasks.types import new_task_id

NO_ID = "0" * 26


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"SseTasksApp": {"max_input_bytes": 1000, "interpreters": {"own": sys.executable, "gone": "/no/python"}}}


def assert_error(answer: Any, status: int, code: str, path: str | None = None) -> str:
    """The shape of every error; gives its message."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    error = answer.json
    assert set(error) == {"success", "code", "message", "errors"}
    assert error["success"] is False and error["code"] == code
    assert error["message"] and "Traceback" not in answer.body.decode()
    if path is not None:
        assert path in [one["path"] for one in error["errors"]], error
        assert all(one["message"] for one in error["errors"])
    return error["message"]


async def test_not_json(call):
    """400: what can't be read as JSON, NaN among it; the sentence says why."""
    for body, said in (
            (b"{", "line 1 column 2"), (b"\xff\xfe{}", "byte 0 is no UTF-8"), (b'{"text": NaN}', "NaN is no JSON"),
            (b'{"text": Infinity}', "Infinity is no JSON"), (b"[" * 1000, "nested too deeply"),
            (b"text=x", "Expecting value")):
        assert said in assert_error(await call("POST", "tasks/echo", raw=body), 400, "not_json"), body


async def test_a_number_of_too_many_digits(call, app, monkeypatch):
    """400: Python doesn't read it, and its advice about that is none for who calls."""
    monkeypatch.setattr(app, "max_input_bytes", 10_000)

    message = assert_error(await call("POST", "tasks/echo", raw=b'{"times": 1%b}' % (b"0" * 5000)), 400, "not_json")
    assert "too many digits" in message and "sys." not in message


async def test_a_byte_order_mark_is_no_fault(call):
    """Some programs put one before their UTF-8."""
    assert (await call("POST", "tasks/echo", raw=b'\xef\xbb\xbf{"text": "x"}')).status == 201


async def test_json_that_is_no_object(call):
    """422: an input is an object."""
    for body in ([], "text", 5, None, True):
        assert_error(await call("POST", "tasks/echo", raw=json.dumps(body).encode()), 422, "invalid_input", "")


async def test_input_that_does_not_fit(call):
    """422: each wrong top-level field is listed, unknown ones included."""
    answer = await call("POST", "tasks/echo", {"text": 5, "times": "x", "more": 1})

    assert_error(answer, 422, "invalid_input")
    assert sorted(one["path"] for one in answer.json["errors"]) == ["more", "text", "times"]
    assert ".;" not in answer.json["message"]


async def test_start_options_that_make_no_sense(call):
    """422 with the parameter as path; one that isn't known is not silently ignored."""
    for path, value in (
            ("timeout", "soon"), ("timeout", "0"), ("timeout", "-1"), ("timeout", "nan"), ("timeout", "1_0"),
            ("retries", "x"), ("retries", "101"), ("retries", "-1"), ("retries", "1.5"), ("name", "x" * 300),
            ("tag", "x" * 300), ("name", "two\nlines"), ("tag", "a\x9b31mb")):
        assert_error(await call("POST", "tasks/echo", {}, **{path: value}), 422, "invalid_parameter", path)
    for path, value, near in (("interpreter", "ow", "own"), ("tmieout", "5", "timeout")):
        answer = await call("POST", "tasks/echo", {}, **{path: value})
        assert near in assert_error(answer, 422, "invalid_parameter", path)


async def test_start_in_a_named_interpreter(call, ended):
    """HTTP names an interpreter, never a path; one that isn't there is 503 and says when to come back."""
    answer = await call("POST", "tasks/echo", {"text": "x"}, interpreter="own")
    assert (await ended("echo", answer.json["taskId"]))["interpreter"] == sys.executable

    answer = await call("POST", "tasks/echo", {"text": "x"}, interpreter="gone")
    assert_error(answer, 503, "workers_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    for answer in (await call("POST", "tasks/echo", {}, interpreter=sys.executable),
                   await call("GET", "task-types", interpreter="nope")):
        assert_error(answer, 422, "invalid_parameter", "interpreter")


async def test_list_parameters_that_make_no_sense(call):
    """422 with the parameter as path."""
    for path, value in (
            ("status", "run"), ("limit", "0"), ("limit", "x"), ("limit", "1.5"), ("limit", "١"), ("limit", "9" * 400),
            ("after", "x"), ("type", "No Type"), ("state", "idle")):
        assert_error(await call("GET", "tasks", **{path: value}), 422, "invalid_parameter", path)


async def test_a_missing_task_id(call):
    """422: the stream and the abort need to know which task."""
    for method in ("GET", "DELETE"):
        assert_error(await call(method, "tasks/echo"), 422, "invalid_parameter", "taskId")


async def test_unknown_types_say_the_near_names(call):
    """404 for a type that isn't there."""
    message = assert_error(await call("POST", "tasks/ecco", {}), 404, "not_found")

    assert "echo" in message


async def test_unknown_and_malformed_names_are_404(call, start, app, monkeypatch):
    """404: unknown tasks, tasks of another type, and names that can't be any; those touch no disk."""
    task_id = await start("echo")
    for part in ("", "/updates", "/output", "/items", "/result", "/files", "/files/x"):
        assert_error(await call("GET", f"tasks/count/{task_id}{part}"), 404, "not_found")
        assert_error(await call("GET", f"tasks/echo/{NO_ID}{part}"), 404, "not_found")
    assert_error(await call("DELETE", f"tasks/count/{task_id}"), 404, "not_found")
    assert_error(await call("DELETE", "tasks/count", taskId=task_id), 404, "not_found")
    assert_error(await call("POST", "tasks/count", {"action": "pause", "taskId": task_id}), 404, "not_found")

    monkeypatch.setattr(type(app.manager), "folder", None)
    for bad in ("UPPER", "x" * 65, "-x", "%2e%2e", "ü"):
        assert_error(await call("GET", f"tasks/{bad}", taskId=task_id), 404, "not_found")
        assert_error(await call("POST", f"tasks/{bad}", {}), 404, "not_found")
        assert_error(await call("GET", f"tasks/{bad}/{task_id}"), 404, "not_found")
    for bad in ("short", "X" * 26, "..", "0" * 27, "0" * 25 + "/"):
        assert_error(await call("GET", "tasks/echo", taskId=bad), 404, "not_found")
        assert_error(await call("DELETE", "tasks/echo", taskId=bad), 404, "not_found")
        assert_error(await call("POST", "tasks/echo", {"action": "pause", "taskId": bad}), 404, "not_found")


async def test_near_task_ids(call, start):
    """404 for an id with a typing mistake says the one that was meant."""
    task_id = await start("echo")
    other = task_id[:-1] + ("0" if task_id[-1] != "0" else "1")

    assert task_id in assert_error(await call("GET", f"tasks/echo/{other}"), 404, "not_found")


async def test_other_addresses_and_methods(call, start):
    """404 and 405 below our addresses are ours, too; 405 says what is possible."""
    task_id = await start("echo")
    for path in (f"tasks/echo/{task_id}/nothing", "tasks/echo/x/y/z", "task-types/echo"):
        assert_error(await call("GET", path), 404, "not_found")
    for method, path in (("PUT", "tasks"), ("POST", "tasks"), ("PATCH", "tasks/echo"), ("PUT", "task-types"),
                         ("POST", f"tasks/echo/{task_id}/output")):
        answer = await call(method, path, {})
        assert_error(answer, 405, "method_not_allowed")
        assert "GET" in answer.headers["Allow"]


async def test_controls_of_an_ended_task(call, start, ended):
    """409: pause, resume and abort of an ended task, which stays as it is."""
    task_id = await start("echo")
    before = await ended("echo", task_id)

    for action in ("pause", "resume"):
        answer = await call("POST", "tasks/echo", {"action": action, "taskId": task_id})
        assert "completed" in assert_error(answer, 409, "task_ended")
    assert_error(await call("DELETE", "tasks/echo", taskId=task_id), 409, "task_ended")
    assert await ended("echo", task_id) == before


async def test_what_needs_an_ended_task(call, start, ended):
    """409: result and forgetting of a live task; 404: the result of one that has none."""
    task_id = await start("forever")
    assert_error(await call("GET", f"tasks/forever/{task_id}/result"), 409, "task_live")
    assert_error(await call("DELETE", f"tasks/forever/{task_id}"), 409, "task_live")
    await call("DELETE", "tasks/forever", taskId=task_id)
    await ended("forever", task_id)

    assert "aborted" in assert_error(await call("GET", f"tasks/forever/{task_id}/result"), 404, "not_found")


async def test_forgetting_parameters_that_make_no_sense(call):
    """422 with the parameter as path; live kinds can't be forgotten, and nothing is done."""
    for path, value in (
            ("status", "run"), ("status", "running"), ("status", "paused"), ("before", "yesterday"),
            ("before", "2026-13-01"), ("before", ""), ("status", ""), ("type", "echo"), ("limit", "5")):
        assert_error(await call("DELETE", "tasks", **{path: value}), 422, "invalid_parameter", path)


async def test_nobody_forgets_everything_by_accident(call, start, ended):
    """422: a DELETE of all tasks that doesn't say which."""
    task_id = await start("echo")
    await ended("echo", task_id)

    assert "before" in assert_error(await call("DELETE", "tasks"), 422, "invalid_parameter", "status")
    assert (await call("GET", f"tasks/echo/{task_id}")).status == 200


async def test_restarting_a_live_task(call, start):
    """409: it has not ended; 422: a ``fresh`` that is neither true nor false."""
    task_id = await start("forever")

    assert_error(await call("POST", f"tasks/forever/{task_id}/restart"), 409, "task_live")
    assert_error(await call("POST", f"tasks/forever/{task_id}/restart", fresh="maybe"), 422, "invalid_parameter",
                 "fresh")
    assert_error(await call("POST", f"tasks/forever/{task_id}/restart", {"text": "x"}), 422, "invalid_input", "")
    assert_error(await call("POST", f"tasks/forever/{NO_ID}/restart"), 404, "not_found")
    await call("DELETE", "tasks/forever", taskId=task_id)


async def test_too_many_waiting(call, app, start, ended, monkeypatch):
    """503: as many wait as may; it says how many, what to do and when to come back. Dead marks don't count."""
    await ended("echo", await start("echo"))
    monkeypatch.setattr(app.manager, "max_waiting", 1)
    waiting = app.manager.root / "waiting" / new_task_id()
    building = app.manager.root / "tasks" / f".new-{waiting.name}"
    building.mkdir()  # what another process is just about to start
    waiting.touch()

    answer = await call("POST", "tasks/echo", {})

    message = assert_error(answer, 503, "too_many_waiting")
    assert "1 task waits" in message and "max_waiting" in message
    assert int(answer.headers["Retry-After"]) > 0
    building.rmdir()
    assert (await call("POST", "tasks/echo", {})).status == 201 and not waiting.exists()


async def test_too_little_space(call, app, monkeypatch):
    """507: it says how much is free, how much must be, and where; nothing is made."""
    await call("GET", "task-types")
    monkeypatch.setattr(app.manager, "min_free_bytes", 1 << 60)
    before = sorted(os.listdir(app.manager.root / "tasks"))

    message = assert_error(await call("POST", "tasks/echo", {}), 507, "no_space")

    assert str(app.manager.root) in message and "1024 PiB" in message and "iB are free" in message
    assert sorted(os.listdir(app.manager.root / "tasks")) == before


async def test_a_task_that_is_in_use(call, app, start, ended, monkeypatch):
    """409: a task can't be forgotten while another process copies from it; many at once are forgotten without it."""
    task_id = await start("echo")
    await ended("echo", task_id)
    monkeypatch.setattr(retention, "_WAIT_SECONDS", 0.05)
    log = os.open(app.manager.folder(task_id).log_path, os.O_RDONLY)
    fcntl.flock(log, fcntl.LOCK_SH)

    assert_error(await call("DELETE", f"tasks/echo/{task_id}"), 409, "task_in_use")
    await call("DELETE", "tasks", status="completed")
    assert (await call("GET", f"tasks/echo/{task_id}")).status == 200
    os.close(log)
    assert (await call("DELETE", f"tasks/echo/{task_id}")).status == 204


async def test_a_data_folder_that_was_removed(alone, call, app, start, ended):
    """What was in it is 404, nothing is listed, and the next start makes it anew: the server goes on."""
    task_id = await start("echo")
    await ended("echo", task_id)
    shutil.rmtree(app.manager.root / "tasks")
    shutil.rmtree(app.manager.root / "waiting")

    assert_error(await call("GET", f"tasks/echo/{task_id}"), 404, "not_found")
    assert (await call("GET", "tasks")).json["tasks"] == []
    again = await start("echo", text="again")
    assert (await ended("echo", again))["result"] == {"text": "again"}


async def test_a_body_that_is_too_large(call, client):
    """413: more than max_input_bytes, also where it doesn't say how long it is."""
    assert "1,000" in assert_error(await call("POST", "tasks/echo", {"text": "x" * 1000}), 413, "input_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 100_000

    answer = await client.post("/tasks/echo", content=pieces())
    assert (answer.status_code, answer.json()["code"]) == (413, "input_too_large")


async def test_a_refused_body_leaves_the_connection_to_the_next_request(client):
    """Whoever keeps a connection, as browsers do, sends the next request over it, whatever was refused before."""
    def connection(answer: httpx.Response) -> Any:
        return answer.extensions["network_stream"].get_extra_info("client_addr")

    too_large = await client.post("/tasks/echo", json={"text": "x" * 1_000_000})
    forbidden = await client.post("/tasks/echo", json={"text": "x" * 1_000_000}, headers={"Authorization": "token no"})
    started = await client.post("/tasks/echo", json={})
    assert [one.status_code for one in (too_large, forbidden, started)] == [413, 403, 201]
    assert connection(too_large) == connection(forbidden) == connection(started) is not None


@pytest.mark.parametrize("where", ["tasks"])
async def test_a_data_folder_that_cannot_be_written(call, app, where, monkeypatch):
    """507: the folder is gone read-only, said with what to do."""
    await call("GET", "task-types")
    folder = app.manager.root / where
    hidden = folder.with_name("hidden")
    os.rename(folder, hidden)
    folder.write_text("no folder")  # a mode of 0500 would not stop root
    try:
        answer = await call("POST", "tasks/echo", {})
    finally:
        folder.unlink()
        os.rename(hidden, folder)

    assert "data_dir" in assert_error(answer, 507, "storage_unwritable")


async def test_a_fault_of_the_server_shows_no_traceback(call, app, monkeypatch):
    """500: what nobody foresaw is in the server's log, not on the wire."""
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret of the code")

    monkeypatch.setattr(type(app.manager), "list", broken)
    answer = await call("GET", "tasks")

    assert_error(answer, 500, "internal_error")
    assert "secret" not in answer.body.decode()


async def test_a_file_name_is_one_segment(call, raw, start, ended):
    """404: nothing outside ``files/`` has a name there, however it is written; links and pipes have none."""
    task_id = await start("leaves-files")
    await ended("leaves-files", task_id)
    url = f"tasks/leaves-files/{task_id}/files"
    for name in ("..", "%2e%2e", "%2e%2e%2ftask.json", "..%2ftask.json", "../task.json", "%2fetc%2fpasswd", "link",
                 "fifo", "folder", "no", "a%00b", ".", "x" * 300):
        answer = await raw("GET", f"{url}/{name}")
        assert answer.status == 404 and b"application/json" in answer.head, name
    assert (await raw("GET", f"{url}/%64ot.png")).status == 200
    assert_error(await call("GET", f"tasks/echo/{new_task_id()}/files/x"), 404, "not_found")
