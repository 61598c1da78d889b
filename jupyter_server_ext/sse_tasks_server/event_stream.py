"""One open ``text/event-stream`` answer, and the only writer of its connection.

Two overlapping writes on one Tornado response leave the first one unresolved for ever, so whoever has something to say
wakes the stream, and the stream's own coroutine says it.
"""

from __future__ import annotations

import asyncio

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from .api import TasksApiHandler

__all__ = ["EventStream", "frame"]

PIECE_BYTES = 1 << 17
STALLED_SECONDS = 60.0
"""A reader that takes nothing for so long is dropped; it comes back with its cursor."""

# Lines, not blocks: the empty line that ends a block without data is an empty event to httpx-sse.
_OPENING = b"retry: 2000\n: sse-tasks\n"
_HEARTBEAT = b":\n"
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept",
}


def frame(line: str) -> bytes:
    """An event without an id."""
    return b"data: %b\n\n" % line.encode("ascii")


class EventStream:
    """The answer to ``handler``, a context. Its methods raise StreamClosedError once the reader or the server goes."""

    def __init__(self, handler: TasksApiHandler) -> None:
        connection = handler.request.connection
        assert isinstance(connection, HTTP1Connection)
        self._connection = connection
        self._handler = handler
        self._heartbeat: float = handler.tasks_app.heartbeat
        self._loop = asyncio.get_running_loop()
        self._something = asyncio.Event()
        self._last_byte = self._loop.time()
        self._gone: asyncio.Future[None] = self._loop.create_future()

    def __enter__(self) -> EventStream:
        self._handler.when_gone = self.close
        self._held = self._handler.tasks_app.open_answers.holding(self.close)
        self._held.__enter__()
        self._timer = self._loop.call_later(self._heartbeat, self._beat)
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        self._held.__exit__(None, None, None)

    def wake(self) -> None:
        """Ends ``wait``."""
        self._something.set()

    def close(self) -> None:
        """For whoever knows that the reader has gone, or that the server goes and can't wait for a slow one."""
        if not self._gone.done():
            self._gone.set_result(None)
        self.wake()

    async def open(self) -> None:
        """Headers and first bytes, at once. Of a HEAD the headers alone."""
        for name, value in _HEADERS.items():
            self._handler.set_header(name, value)
        self._handler._transforms = []  # a compressor would hold events back until it has a block full
        self._connection.stream.set_nodelay(True)  # Nagle costs 15 ms and more an event under load
        if self._handler.request.method != "HEAD":
            self._handler.write(_OPENING)
        await self._handler.flush()
        self._last_byte = self._loop.time()

    async def send(self, data: bytes) -> None:
        """Writes whole events and waits until the socket has taken them."""
        for begin in range(0, len(data), PIECE_BYTES):
            if self._gone.done():
                raise StreamClosedError()
            piece = data if len(data) <= PIECE_BYTES else data[begin:begin + PIECE_BYTES]
            taken = self._connection.write(piece)
            if not taken.done():
                # Whoever closes a connection of Tornado's leaves its write unresolved for ever.
                await asyncio.wait((taken, self._gone), timeout=STALLED_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if not taken.done():
                    self._connection.close()
                    raise StreamClosedError()
        self._last_byte = self._loop.time()

    async def wait(self) -> bool:
        """Until ``wake`` is called, or a heartbeat is due; True if one was sent."""
        await self._something.wait()
        self._something.clear()
        if self._gone.done():
            raise StreamClosedError()
        is_due = self._loop.time() - self._last_byte >= self._heartbeat
        if is_due:
            await self.send(_HEARTBEAT)
        return is_due

    def _beat(self) -> None:
        """One timer for the stream's life that looks when the next heartbeat would be due: setting one up for each
        wait costs more than the event that ends it."""
        quiet = self._loop.time() - self._last_byte
        if quiet >= self._heartbeat:
            self.wake()
            quiet = 0
        self._timer = self._loop.call_later(self._heartbeat - quiet, self._beat)
