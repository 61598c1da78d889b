"""The Jupyter server extension: tasks over HTTP and Server-Sent Events."""

from __future__ import annotations

from typing import Any

from sse_tasks import __version__

__all__ = ["__version__"]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .app import SseTasksApp

    return [{"module": "sse_tasks_server.app", "app": SseTasksApp}]
