"""``<base_url>sse-tasks``: who gets the page, what it may do, and what it leads to."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import pytest
from jupyter_server.auth import Authorizer
from sse_tasks_server.page import PAGE_ROUTES, TasksPage, page_modules


class Doorman(Authorizer):
    """Lets through what it was told to."""

    allowed: ClassVar[set[tuple[str, str]]] = set()

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return (action, resource) in self.allowed


@pytest.fixture
def extension_config() -> dict[str, Any]:
    Doorman.allowed = {("read", "tasks")}
    return {"ServerApp": {"jpserver_extensions": {"sse_tasks_server": True}, "authorizer_class": Doorman}}


async def test_the_page_is_a_strict_frame(jp_fetch, jp_base_url, jp_root_dir):
    """No inline script, nothing from elsewhere, nobody else's frame; the server's address stands in it, and the browser
    is told of every module that it will need."""
    for method in ("GET", "HEAD"):
        answer = await jp_fetch("sse-tasks", method=method)
        assert answer.headers["Content-Type"].startswith("text/html")
        jupyters, ours = answer.headers.get_list("Content-Security-Policy")
        assert "frame-ancestors 'self'" in jupyters
        assert {"default-src 'none'", "script-src 'self'", "base-uri 'none'"} <= set(ours.split("; "))
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert any(cookie.startswith("_xsrf=") for cookie in answer.headers.get_list("Set-Cookie"))
    page = (await jp_fetch("sse-tasks")).body.decode()

    assert f'data-base-url="{jp_base_url}"' in page and f'data-root="{jp_root_dir}"' in page
    assert re.findall(r"<script[^>]*>(.*?)</script>", page) == [""]
    addresses = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page)
    assert len(addresses) == len(page_modules()) + 3
    for address in addresses:
        assert (await jp_fetch(*address.removeprefix(jp_base_url).split("/"))).code == 200


async def test_without_login_the_page_leads_to_it(jp_fetch, jp_base_url):
    """As any of Jupyter's pages: who has no login gets its address, with the way back."""
    answer = await jp_fetch("sse-tasks", headers={"Authorization": ""}, follow_redirects=False, raise_error=False)

    assert answer.code == 302
    assert answer.headers["Location"].startswith(f"{jp_base_url}login?next=")


async def test_the_page_needs_the_right_to_read_tasks(jp_fetch, jp_serverapp):
    """Without it a 403; and each method says itself that it needs a login."""
    Doorman.allowed.clear()
    answer = await jp_fetch("sse-tasks", raise_error=False)

    assert answer.code == 403
    for pattern, handler in PAGE_ROUTES:
        assert handler is TasksPage
        assert jp_serverapp.web_app._check_handler_auth(pattern, handler) == []


async def test_jupyterlabs_pages_know_the_servers_root(jp_serverapp, jp_root_dir):
    """A task says the whole path of its notebook: Lab's page can tell what that is below the server's root."""
    assert jp_serverapp.web_app.settings["page_config_data"]["sseTasksRoot"] == str(jp_root_dir)
