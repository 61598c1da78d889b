"""A task's updates to one reader: the event stream, and the long poll for where streams don't pass.

A subscriber is an offset in a file and a socket. Replay and live tail are one code path: send what the log has from
the cursor; at its end, when the socket has drained, wait for the bell. A slow reader's data is in the file, so it
needs no buffer here.
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any, NamedTuple

import msgspec
from tornado.iostream import StreamClosedError

from sse_tasks.errors import BadParameterError, TaskNotFoundError
from sse_tasks.folder import TaskFolder
from sse_tasks.types import Status, TaskUpdate

from .api import TasksApiHandler, to_json
from .event_stream import EventStream, frame
from .tails import CHUNK_BYTES, Tail, ends_task

__all__ = ["follow_task", "poll_task"]

POLL_BYTES = 1 << 20
POLL_SECONDS = 30.0

_CURSOR = re.compile(r"[0-9]{1,18}")
_CURSOR_PARAMETERS = ("lastEventId", "last_event_id", "evs_last_event_id")
_RESET = '{"type":"reset"}'


class Place(NamedTuple):
    """Where a reader begins. ``reset``: what it said it had isn't there. ``resumed``: it had something."""

    cursor: int
    reset: bool = False
    resumed: bool = False


async def follow_task(handler: TasksApiHandler, folder: TaskFolder) -> None:
    """Answers with the stream of a task, from where the reader left off."""
    place = _place(folder, _stated_cursor(handler), handler.query("from"))
    # Whether it has ended is asked first: what is written between the two looks would be lost.
    if place.resumed and (await handler.info(folder.task_id)).is_ended and not folder.read_log(place.cursor):
        handler.set_status(204)  # what stops every client
        return
    with EventStream(handler) as stream:
        try:
            await stream.open()
            if handler.request.method == "HEAD":
                return
            if place.reset:
                await stream.send(frame(_RESET))
            with handler.tasks_app.tails.follow(folder, stream.wake) as tail:
                await _send_updates(handler, stream, tail, place.cursor)
        except TaskNotFoundError:
            pass  # forgotten under its readers: one that comes back is told so
        except StreamClosedError:
            pass


async def _send_updates(handler: TasksApiHandler, stream: EventStream, tail: Tail, cursor: int) -> None:
    is_quiet = True
    while True:
        while (chunk := tail.chunk(cursor)) is not None:
            await stream.send(chunk.data)
            if chunk.ended:
                return
            cursor = chunk.cursor
            if len(chunk.data) > CHUNK_BYTES // 2:
                await asyncio.sleep(0)  # a quick reader of a long log leaves the others their turn
        if is_quiet and (end := await _unwritten_end(handler, tail.folder)) is not None:
            tail.look()
            if tail.chunk(cursor) is not None:
                continue  # it was written just now
            await stream.send(frame(end))
            return
        is_quiet = await stream.wait()


async def poll_task(handler: TasksApiHandler, folder: TaskFolder) -> None:
    """Answers with the updates after ``after``, waiting up to ``wait`` seconds for the first."""
    wait = min(handler.number("wait", default=0.0, least=0.0), POLL_SECONDS)
    place = _place(folder, handler.query("after"), None)
    lines, cursor, ended = await _updates(folder, place.cursor)
    if not lines:
        ended = (await handler.info(folder.task_id)).is_ended
        if wait and not ended:
            await _growth(handler, folder, cursor, wait)
        lines, cursor, wrote_end = await _updates(folder, cursor)
        ended = wrote_end or (ended and not lines)
    if place.reset:
        lines.insert(0, _RESET.encode())
    handler.finish(b'{"updates":[%b],"cursor":%d,"ended":%b}'
                   % (b",".join(lines), cursor, b"true" if ended else b"false"))


async def _growth(handler: TasksApiHandler, folder: TaskFolder, cursor: int, seconds: float) -> None:
    """Waits until something follows ``cursor``, the reader goes, or the server does."""
    something = asyncio.Event()
    handler.when_gone = something.set
    app = handler.tasks_app
    with app.open_answers.holding(something.set), app.tails.follow(folder, something.set) as tail:
        if tail.chunk(cursor) is None:
            try:
                async with asyncio.timeout(seconds):
                    await something.wait()
            except TimeoutError:
                pass


async def _updates(folder: TaskFolder, cursor: int) -> tuple[list[bytes], int, bool]:
    """The lines after ``cursor``, 1 MiB of them or one longer line; the cursor after them; is the last one terminal?"""
    lines: list[bytes] = []
    room = POLL_BYTES
    while found := folder.read_log(cursor, CHUNK_BYTES):
        for end, line in found:
            room -= len(line) + 1
            if room < 0 and lines:
                return lines, cursor, False
            lines.append(line)
            cursor = end
        await asyncio.sleep(0)
    return lines, cursor, bool(lines) and ends_task(lines[-1])


def _stated_cursor(handler: TasksApiHandler) -> str | None:
    """What the reader says it has. The header wins: the query of an EventSource that reconnects is stale."""
    header = handler.request.headers.get("Last-Event-ID", "").strip()
    return header or next((text for name in _CURSOR_PARAMETERS if (text := handler.query(name))), None)


def _place(folder: TaskFolder, stated: str | None, start: str | None) -> Place:
    if start not in (None, "", "start", "end"):
        raise BadParameterError("from", f"must be 'start' or 'end', not {start!r}.")
    if stated and stated.strip("0"):
        if _CURSOR.fullmatch(stated) and folder.is_cursor(int(stated)):
            return Place(int(stated), resumed=True)
        return Place(0, reset=True)
    if start == "end":
        return Place(_before_latest(folder))
    return Place(0)


def _before_latest(folder: TaskFolder) -> int:
    """The cursor before the latest update, so that it is the first to be read."""
    end = folder.latest()[1]
    if end == 0:
        return 0
    fd = os.open(folder.log_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        step = 4096
        while True:
            begin = max(0, end - step)
            newline = os.pread(fd, end - 1 - begin, begin).rfind(b"\n")
            if newline >= 0 or begin == 0:
                return begin + newline + 1
            step *= 4
    finally:
        os.close(fd)


async def _unwritten_end(handler: TasksApiHandler, folder: TaskFolder) -> str | None:
    """The end of a task whose log will never say so, as that of a machine that is gone; None while it goes on."""
    info = await handler.info(folder.task_id)
    if not info.is_ended:
        return None
    kind: dict[Any, str] = {Status.COMPLETED: "result", Status.FAILED: "error"}
    update = TaskUpdate(
        type=kind.get(info.status, "status"), task_id=info.task_id, timestamp=info.ended_at or "", status=info.status,
        message=info.message, progress=info.progress, items=info.items, metrics=info.metrics, attempt=info.attempt,
        started_at=info.started_at, paused_seconds=info.paused_seconds, result=info.result,
        result_bytes=info.result_bytes, error=info.error, code=info.code)
    return to_json(msgspec.to_builtins(update, str_keys=True))
