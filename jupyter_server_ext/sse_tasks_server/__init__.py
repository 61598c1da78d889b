"""The Jupyter server extension: tasks over HTTP and Server-Sent Events."""

from __future__ import annotations

from typing import Any

__all__: list[str] = []


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .app import SseTasksApp

    return [{"module": "sse_tasks_server.app", "app": SseTasksApp}]
