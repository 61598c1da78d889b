"""``<base_url>sse-tasks``: all tasks in a plain browser, without JupyterLab.

The page is a frame; what it shows comes from the files of the front end, which are served beside it, and from
``api/tasks``.
"""

from __future__ import annotations

import functools
import html
import re
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

import sse_tasks

__all__ = ["PAGE_ROUTES", "TasksPage", "announce_root"]

ROOT_KEY = "sseTasksRoot"
"""The name under which JupyterLab's and Notebook's pages find the server's root folder: tasks say by the whole path
which notebook they come from."""

_FRONTEND = Path(sse_tasks.__file__).parent / "frontend"
_IMPORT = re.compile(r"^import \{[^}]*\} from '\./(\w+\.js)';$", re.MULTILINE)
_POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:", "connect-src 'self'",
    "worker-src blob:", "manifest-src 'none'", "base-uri 'none'", "form-action 'none'"))
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Tasks</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="same-origin">
<link rel="icon" href="data:,">
{head}
</head>
<body class="sse-tasks-Page" data-base-url="{base_url}" data-root="{root}" data-notebooks="{notebooks}">
<main class="sse-tasks-Page-main"></main>
<noscript>This page needs JavaScript. <code>%tasks</code> in a notebook shows the same tasks.</noscript>
</body>
</html>
"""


class TasksPage(JupyterHandler):
    """The frame. Who has no login is sent to Jupyter's."""

    @web.authenticated
    @authorized(action="read", resource="tasks")
    def get(self) -> None:
        files = url_path_join(self.base_url, "static/sse_tasks")
        head = [f'<link rel="stylesheet" href="{files}/{sheet}">' for sheet in ("task_view.css", "task_list.css")]
        head += [f'<link rel="modulepreload" href="{files}/{module}">' for module in page_modules()]
        head.append(f'<script type="module" src="{files}/page.js"></script>')
        self.xsrf_token  # noqa: B018 - sets the cookie that the page's calls repeat
        # Beside Jupyter's own policy, which says who may frame its pages: of two, both hold.
        self.add_header("Content-Security-Policy", _POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-cache")
        self.finish(_PAGE.format(head="\n".join(head), base_url=html.escape(self.base_url),
                                 root=html.escape(str(self.settings.get("sse_tasks_root", ""))),
                                 notebooks=self._notebooks()))

    head = get

    def _notebooks(self) -> str:
        """Where this server opens notebooks, below its address; empty where it does not."""
        server = self.serverapp
        if server is None:
            return ""
        running = server.extension_manager.extension_apps
        is_notebook = str(server.default_url).startswith("/tree")
        places = {"notebook": "notebooks/", "jupyterlab": "lab/tree/"}
        if not is_notebook:
            places = dict(reversed(places.items()))
        return next((place for name, place in places.items() if running.get(name)), "")


@functools.cache
def page_modules() -> tuple[str, ...]:
    """The modules that the page's own imports, in whatever depth: the browser fetches them all at once."""
    found: dict[str, None] = {}

    def follow(name: str) -> None:
        for needed in _IMPORT.findall((_FRONTEND / name).read_text(encoding="utf-8")):
            if needed not in found:
                found[needed] = None
                follow(needed)

    follow("page.js")
    return tuple(found)


def announce_root(settings: dict[str, Any], root: str) -> None:
    """Lets the pages of this server know its root folder."""
    settings["sse_tasks_root"] = root
    settings.setdefault("page_config_data", {})[ROOT_KEY] = root


PAGE_ROUTES: list[tuple[str, type[JupyterHandler]]] = [(r"/sse-tasks", TasksPage)]
"""Patterns below the server's base address."""
