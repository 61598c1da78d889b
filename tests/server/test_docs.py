"""The page on HTTP says everything that there is."""

from __future__ import annotations

import re
from pathlib import Path

import sse_tasks_server.api
import sse_tasks_server.artifacts
from sse_tasks_server.app import SseTasksApp
from sse_tasks_server.handlers import ROUTES

from sse_tasks import errors

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


def test_every_route_is_documented():
    """Each pattern stands in the table of calls with each of its methods."""
    for pattern, handler in ROUTES:
        if ".*" in pattern:
            continue
        path = re.sub(r"\(\[\^/\]\+\)$", "{name}", pattern) if "files/" in pattern else pattern
        path = path.replace("([^/]+)", "{taskType}", 1).replace("([^/]+)", "{taskId}", 1).removeprefix("/api/")
        for method in ("GET", "POST", "DELETE"):
            if getattr(handler, method.lower()) is not handler._unimplemented_method:
                assert re.search(rf"^\| `{method} {re.escape(path)}[`?]", PAGE, re.MULTILINE), (method, path)


def test_every_error_code_is_documented():
    """Each code that HTTP can answer with stands in the table of errors, with its status."""
    codes = {(kind.status, kind.code) for kind in vars(errors).values()
             if isinstance(kind, type) and issubclass(kind, errors.SseTasksError) and "status" in vars(kind)}
    codes |= {(status, code) for status, code in sse_tasks_server.api._CODES.items()}
    codes.add((416, sse_tasks_server.artifacts.RangeNotSatisfiableError.code))
    codes -= {(500, "error"), (errors.WorkerDefinitionError.status, errors.WorkerDefinitionError.code)}
    for status, code in codes:
        assert f"| {status} | `{code}` |" in PAGE, (status, code)


def test_every_setting_is_documented():
    """Each setting of the extension stands in the table of settings, and its default in its help or there."""
    for name in SseTasksApp.class_own_traits(config=True):
        if name not in ("static_url_prefix",):
            assert f"| `SseTasksApp.{name}` |" in PAGE, name
