"""Who may do what: every route asks, for the action and the resource that the contract names."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import httpx
import pytest
from jupyter_server.auth import Authorizer
from sse_tasks_server import api, handlers

from ..server_process import TOKEN


class Doorman(Authorizer):
    """Notes what it is asked, and lets through what it was told to."""

    asked: ClassVar[list[tuple[str, str, str]]] = []
    allowed: ClassVar[set[tuple[str, str]]] = set()

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        if resource in ("tasks", "kernels"):
            self.asked.append((handler.request.method, action, resource))
        return (action, resource) in self.allowed


@pytest.fixture
def extension_config() -> dict[str, Any]:
    Doorman.asked.clear()
    Doorman.allowed = {("read", "tasks"), ("execute", "tasks"), ("write", "tasks")}
    return {"ServerApp": {"jpserver_extensions": {"sse_tasks_server": True}, "authorizer_class": Doorman}}


NO_TASK = "tasks/echo/" + "0" * 26

CALLS = [
    ("GET", "tasks", "read"), ("HEAD", "tasks", "read"), ("GET", "task-types", "read"), ("HEAD", "task-types", "read"),
    ("GET", "tasks/echo", "read"), ("HEAD", "tasks/echo", "read"), ("POST", "tasks/echo", "execute"),
    ("DELETE", "tasks/echo", "execute"), ("GET", NO_TASK, "read"), ("HEAD", NO_TASK, "read"),
    ("DELETE", NO_TASK, "write"), ("DELETE", "tasks", "write"), ("POST", f"{NO_TASK}/restart", "execute"),
    *((method, f"{NO_TASK}/{part}", "read") for method in ("GET", "HEAD")
      for part in ("updates", "output", "items", "metrics", "result", "files", "files/x")),
]


def test_every_route_is_asked_for_here():
    """The table above has every method of every route."""
    methods = sum(len([m for m in handler.SUPPORTED_METHODS
                       if m != "OPTIONS" and getattr(handler, m.lower()) is not handler._unimplemented_method])
                  for _, handler in handlers.ROUTES)

    assert methods == len(CALLS)


async def test_action_and_resource(call):
    """Exactly the named right is asked for, and without it nothing is done: 403 in JSON."""
    everything = set(Doorman.allowed)
    for method, path, action in CALLS:
        Doorman.asked.clear()
        Doorman.allowed = everything - {(action, "tasks")}

        answer = await call(method, path, {} if method == "POST" else None)

        assert Doorman.asked == [(method, action, "tasks")], path
        assert answer.status == 403, (method, path)
        if method != "HEAD":
            assert (answer.json["success"], answer.json["code"]) == (False, "forbidden"), (method, path)


async def test_without_login_nothing_is_said(call):
    """403 with a code of its own, never a redirect, before anyone is asked."""
    for method, path, _ in CALLS:
        for headers in ({"Authorization": ""}, {"Authorization": "token wrong"}):
            answer = await call(method, path, {} if method == "POST" else None,
                                headers={**headers, "Accept": "text/event-stream"})
            assert answer.status == 403 and "Location" not in answer.headers, (method, path)
            if method != "HEAD":
                assert answer.json["code"] == "not_signed_in" and "token" in answer.json["message"], (method, path)
    assert Doorman.asked == []


async def test_a_host_name_that_is_refused_is_told(call):
    """With a good token, too, jupyter answers to its own names only: the 403 says so, and asks for no login."""
    answer = await call("GET", "tasks", headers={"Host": "elsewhere.example"})

    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert "header Host" in answer.json["message"] and "token" not in answer.json["message"]


async def test_servers_that_need_a_login_everywhere(call, jp_serverapp, monkeypatch):
    """With ``allow_unauthenticated_access`` off nothing changes: each method says itself that it needs a login."""
    monkeypatch.setitem(jp_serverapp.web_app.settings, "allow_unauthenticated_access", False)

    for pattern, handler in handlers.ROUTES:
        assert jp_serverapp.web_app._check_handler_auth(pattern, handler) == []
    assert (await call("GET", "tasks")).status == 200
    assert (await call("OPTIONS", "tasks", headers={"Authorization": ""})).status == 200
    answer = await call("GET", "tasks", headers={"Authorization": ""})
    assert (answer.status, answer.json["code"]) == (403, "not_signed_in")


async def test_running_code_needs_the_right_to_kernels(call, monkeypatch):
    """A task type that executes the caller's code is refused to who may not execute kernels."""
    monkeypatch.setattr(api, "CODE_RUNNING_TYPES", frozenset({"echo"}))
    answer = await call("POST", "tasks/echo", {})
    assert answer.status == 403 and "kernels" in answer.json["message"]
    assert Doorman.asked[-1] == ("POST", "execute", "kernels")

    Doorman.allowed.add(("execute", "kernels"))
    started = await call("POST", "tasks/echo", {})
    assert started.status == 201
    Doorman.allowed.remove(("execute", "kernels"))
    answer = await call("POST", f"tasks/echo/{started.json['taskId']}/restart")
    assert answer.status == 403 and "kernels" in answer.json["message"]


async def test_cookies_need_the_xsrf_token(http_server, jp_http_port, jp_base_url):
    """A page that only has the cookie can't start, control or forget; with X-XSRFToken it can. Tokens need none."""
    root = f"http://127.0.0.1:{jp_http_port}{jp_base_url}"
    async with httpx.AsyncClient(base_url=root) as browser:
        await browser.get("login")  # the page whose form sets the cookie _xsrf
        login = await browser.get("login", params={"token": TOKEN})
        assert login.status_code in (200, 302) and browser.cookies
        for method, path in (("POST", "api/tasks/echo"), ("DELETE", "api/tasks/echo?taskId=x"),
                             ("DELETE", "api/tasks/echo/" + "0" * 26)):
            answer = await browser.request(method, path)
            assert answer.status_code == 403 and answer.json()["code"] == "forbidden"
            assert "X-XSRFToken" in answer.json()["message"]

        xsrf = {"X-XSRFToken": browser.cookies["_xsrf"]}
        answer = await browser.post("api/tasks/echo", content=json.dumps({"text": "x"}), headers=xsrf)
        assert answer.status_code == 201
        assert (await browser.get("api/tasks")).status_code == 200

    async with httpx.AsyncClient(base_url=root) as script:
        answer = await script.post("api/tasks/echo", headers={"Authorization": f"token {TOKEN}"})
        assert answer.status_code == 201
