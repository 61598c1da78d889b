"""What a kernel's cells call in a chaos run: the task manager, as notebooks have it. Answers are JSON texts."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from sse_tasks.errors import SseTasksError
from sse_tasks.following import Updates
from sse_tasks.task_manager import default_manager

__all__ = ["ask", "follow", "forget", "info", "restart", "start"]


def _answer(call: Any, *args: Any, **options: Any) -> str:
    try:
        info = call(*args, **options)
    except SseTasksError as error:
        return json.dumps({"code": error.code, "message": str(error)})
    return json.dumps({"taskId": info.task_id, "status": info.status, "cursor": info.cursor})


def start(task_type: str, input: dict[str, Any], options: dict[str, Any]) -> str:
    return _answer(default_manager().start, task_type, input, **options)


def ask(task_id: str, action: Any) -> str:
    return _answer(default_manager().ask, task_id, action)


def info(task_id: str) -> str:
    return _answer(default_manager().info, task_id)


def restart(task_id: str, fresh: bool, key: str | None) -> str:
    return _answer(default_manager().restart, task_id, fresh=fresh, idempotency_key=key)


def forget(task_id: str) -> str:
    try:
        default_manager().forget(task_id)
    except SseTasksError as error:
        return json.dumps({"code": error.code, "message": str(error)})
    return "{}"


def follow(task_id: str, path: str) -> str:
    """Writes every update of a task that comes to ``path``, on a thread of its own."""
    updates = Updates(default_manager(), task_id)
    threading.Thread(target=_write, args=(updates, Path(path), task_id), daemon=True).start()
    return "{}"


def _write(updates: Updates, path: Path, task_id: str) -> None:
    with open(path, "w", 1, encoding="utf-8") as file:
        file.write(json.dumps({"task": task_id, "from_end": False}) + "\n")
        for update in updates:
            file.write(json.dumps({"id": updates.cursor, "status": update.status}) + "\n")
        file.write(json.dumps({"done": "end"}) + "\n")
