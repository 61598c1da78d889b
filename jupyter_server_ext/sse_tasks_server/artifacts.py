"""What a task wrote, as it is: output, items, metrics, result, files. None of it is trusted.

Sent as an attachment that may neither run nor be sniffed: without that, an artifact that is a page could start a
kernel with the reader's cookie.
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from sse_tasks.errors import BadParameterError, NothingThereError, SseTasksError, TaskLiveError
from sse_tasks.folder import TaskFolder

from .api import TasksApiHandler

__all__ = ["send_file", "send_items", "send_metrics", "send_output", "send_result"]

PIECE_BYTES = 1 << 18
STALLED_SECONDS = 60.0

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Accept-Ranges": "bytes",
}
_PLAIN_TYPES = frozenset({"application/json", "application/pdf", "image/gif", "image/jpeg", "image/png", "image/webp",
                          "text/csv", "text/plain"})
"""Content types that are said as they are; all others, pages and SVG with their scripts among them, are just bytes."""


async def send_output(handler: TasksApiHandler, folder: TaskFolder) -> None:
    await _send_part(handler, folder, "output.log", "text/plain; charset=utf-8")


async def send_items(handler: TasksApiHandler, folder: TaskFolder) -> None:
    await _send_lines(handler, folder, "items.jsonl")


async def send_metrics(handler: TasksApiHandler, folder: TaskFolder) -> None:
    await _send_lines(handler, folder, "metrics.jsonl")


async def _send_lines(handler: TasksApiHandler, folder: TaskFolder, name: str) -> None:
    """Whole lines after the byte ``after``; beyond the end starts anew, and ``X-Items-After`` says where it began."""
    text = handler.query("after") or "0"
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise BadParameterError("after", f"must be a number of bytes, not {text!r}.")
    await _send_part(handler, folder, name, "application/x-ndjson", after=int(text))


async def send_result(handler: TasksApiHandler, folder: TaskFolder) -> None:
    info = await handler.info(folder.task_id)
    if not info.is_ended:
        raise TaskLiveError("it has no result")
    if info.status != "completed":
        raise NothingThereError(f"The task has no result: it is {info.status}.")
    await _send(handler, folder.open_part("result.json"), "result.json", "application/json")


async def send_file(handler: TasksApiHandler, folder: TaskFolder, name: str) -> None:
    guess = mimetypes.guess_type(name)[0] or ""
    await _send(handler, folder.open_file(name), name, guess if guess in _PLAIN_TYPES else "application/octet-stream")


async def _send_part(handler: TasksApiHandler, folder: TaskFolder, name: str, content_type: str,
                     after: int | None = None) -> None:
    """Sends a part that grows; one that isn't there yet is empty."""
    try:
        fd = folder.open_part(name)
    except NothingThereError:
        fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    await _send(handler, fd, name, content_type, after)


async def _send(handler: TasksApiHandler, fd: int, name: str, content_type: str, after: int | None = None) -> None:
    """Sends what ``fd`` holds, and closes it. ``after`` asks for whole lines from there on instead of a Range."""
    try:
        begin, end = 0, os.fstat(fd).st_size
        if after is not None:
            end = _end_of_lines(fd, end)
            begin = after if after <= end else 0
            handler.set_header("X-Items-After", str(begin))
        elif "If-Range" not in handler.request.headers:  # nothing here has a validator that could match
            begin, end = _requested_range(handler, end)
        for header, value in _HEADERS.items():
            handler.set_header(header, value)
        handler.set_header("Content-Type", content_type)
        handler.set_attachment_header(name)
        handler.set_header("Content-Length", str(end - begin))
        await _copy(handler, fd, begin, end)
    except StreamClosedError:
        pass
    finally:
        os.close(fd)


async def _copy(handler: TasksApiHandler, fd: int, begin: int, end: int) -> None:
    handler._transforms = []  # a compressor would contradict the Content-Length of a part
    gone = asyncio.get_running_loop().create_future()
    handler.when_gone = lambda: None if gone.done() else gone.set_result(None)
    await _flush(handler, gone)
    if handler.request.method == "HEAD":
        return
    while begin < end:
        data = os.pread(fd, min(PIECE_BYTES, end - begin), begin)
        if not data:  # cut while it was sent: the reader must see that this is not the whole
            _drop(handler)
            return
        handler.write(data)
        await _flush(handler, gone)
        await asyncio.sleep(0)
        begin += len(data)


async def _flush(handler: TasksApiHandler, gone: asyncio.Future[None]) -> None:
    """Until the socket has taken it; Tornado leaves the flush unresolved when the connection is closed meanwhile."""
    flushed = handler.flush()
    if not flushed.done():
        await asyncio.wait((flushed, gone), timeout=STALLED_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not flushed.done():
            _drop(handler)
            raise StreamClosedError()
    await flushed


def _drop(handler: TasksApiHandler) -> None:
    connection = handler.request.connection
    assert isinstance(connection, HTTP1Connection)
    connection.close()


def _end_of_lines(fd: int, size: int) -> int:
    """The byte after the last newline: the writer may be in the middle of a line."""
    while size > 0:
        begin = max(0, size - PIECE_BYTES)
        newline = os.pread(fd, size - begin, begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        size = begin
    return 0


def _requested_range(handler: TasksApiHandler, size: int) -> tuple[int, int]:
    """First byte and the one after the last, with status and header set. What is no single range is not honoured."""
    match = _RANGE.fullmatch(handler.request.headers.get("Range", "").replace(" ", ""))
    if not match or match.groups() == ("", ""):
        return 0, size
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return 0, size
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if begin >= size:
        raise RangeNotSatisfiableError(size)
    handler.set_status(206)
    handler.set_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
    return begin, end


class RangeNotSatisfiableError(SseTasksError):
    """A Range that begins at or beyond the end; what grows may have it later."""

    code, status = "range_not_satisfiable", 416

    def __init__(self, size: int) -> None:
        super().__init__(f"There is nothing yet at that range: there are {size} bytes.")
        self.headers = {"Content-Range": f"bytes */{size}"}
