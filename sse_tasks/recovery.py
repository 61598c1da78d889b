"""How a task ends in its folder: the terminal update, from whoever holds the log. Keeper, forkserver, recoverer."""

from __future__ import annotations

import os
import shutil
from typing import Any

import msgspec

from .errors import TaskNotFoundError
from .folder import LogWriter, TaskFolder, is_terminal
from .types import Status, now_iso

__all__ = ["INLINE_RESULT_BYTES", "conclude", "result_fields", "say_died"]

INLINE_RESULT_BYTES = 1 << 20
"""A result up to this size stands in the terminal update; a larger one only in ``result.json``."""


def result_fields(folder: TaskFolder) -> dict[str, Any] | None:
    """``result`` and ``resultBytes`` of a terminal update, or None where no result was written."""
    try:
        data = (folder.path / "result.json").read_bytes()
    except OSError:
        return None
    fields: dict[str, Any] = {"resultBytes": len(data)}
    if len(data) <= INLINE_RESULT_BYTES:
        fields["result"] = msgspec.json.decode(data)
    return fields


def say_died(words: str) -> str:
    """The message of ``worker_died``."""
    hint = " It was likely out of memory." if "SIGKILL" in words else ""
    return f"The worker's process {words}.{hint} What it had done is kept."


def conclude(writer: LogWriter, *, error: str, code: str = "worker_died") -> None:
    """Writes the one terminal update of a task whose processes are gone, if it has none: ``completed`` where a result
    was written, else ``failed``. Removes its temporary folder."""
    folder = writer.folder
    writer.end_torn_line()  # by which it may turn out to be terminal
    latest = writer.latest()
    if is_terminal(latest):
        return
    try:
        shutil.rmtree(folder.spec().temp_dir, ignore_errors=True)
    except TaskNotFoundError:
        pass
    update: dict[str, Any] = msgspec.to_builtins(latest) if latest else {"taskId": folder.task_id}
    update.pop("requested", None)
    update["timestamp"] = now_iso()
    update["items"] = _count_lines(folder)
    if (result := result_fields(folder)) is not None:
        update |= {"type": "result", "status": Status.COMPLETED, **result}
    else:
        update |= {"type": "error", "status": Status.FAILED, "error": error, "code": code}
    writer.append(update, sync=True)


def _count_lines(folder: TaskFolder) -> int:
    try:
        fd = os.open(folder.path / "items.jsonl", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return 0
    count = 0
    try:
        while data := os.read(fd, 1 << 20):
            count += data.count(b"\n")
    finally:
        os.close(fd)
    return count
