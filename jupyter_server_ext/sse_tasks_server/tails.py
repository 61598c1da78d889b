"""What all readers of one task's stream share: one bell, and chunks that are framed once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from sse_tasks.folder import TaskFolder
from sse_tasks.types import ENDED

if TYPE_CHECKING:
    from sse_tasks.task_manager import TaskManager

__all__ = ["CHUNK_BYTES", "Chunk", "Tail", "Tails", "ends_task"]

CHUNK_BYTES = 1 << 16
_CACHED_CHUNKS = 64
_CACHED_BYTES = 4 << 20


class _Ending(msgspec.Struct):
    """The least that says whether an update is the last one."""

    status: str = ""


_decode_ending = msgspec.json.Decoder(_Ending).decode


def ends_task(line: bytes) -> bool:
    """Whether an update's line is a terminal one."""
    return _decode_ending(line).status in ENDED


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole updates of a log as they are sent, and the cursor after them."""

    data: bytes
    cursor: int
    ended: bool


class Tail:
    """A task's log as its readers see it. They stand at cursors of their own; those at the same get the same bytes."""

    def __init__(self, folder: TaskFolder) -> None:
        self.folder = folder
        self.readers: list[Callable[[], None]] = []
        self._size = folder.log_size()
        self._chunks: dict[int, Chunk] = {}
        self._cached_bytes = 0

    def look(self) -> None:
        """Wakes the readers if the log has grown, or is gone."""
        size = self.folder.log_size()
        if size != self._size:
            self._size = size
            for wake in tuple(self.readers):
                wake()

    def chunk(self, cursor: int) -> Chunk | None:
        """What follows ``cursor``, 64 KiB of the log or one longer update; None at the end.

        Raises TaskNotFoundError when the task has been forgotten.
        """
        if cursor == self._size != 0:
            return None
        if (known := self._chunks.get(cursor)) is not None:
            return known
        lines = self.folder.read_log(cursor, CHUNK_BYTES)
        if not lines:
            return None
        last_cursor, last_line = lines[-1]
        chunk = Chunk(b"".join([b"id: %d\ndata: %b\n\n" % line for line in lines]), last_cursor, ends_task(last_line))
        self._keep(cursor, chunk)
        return chunk

    def _keep(self, cursor: int, chunk: Chunk) -> None:
        self._chunks[cursor] = chunk
        self._cached_bytes += len(chunk.data)
        while len(self._chunks) > _CACHED_CHUNKS or self._cached_bytes > _CACHED_BYTES:
            oldest = next(iter(self._chunks))
            self._cached_bytes -= len(self._chunks.pop(oldest).data)


class Tails:
    """The tails of the tasks that somebody follows, one each."""

    def __init__(self, manager: TaskManager) -> None:
        self._manager = manager
        self._tails: dict[str, Tail] = {}
        self._stops: dict[str, Callable[[], None]] = {}

    @contextmanager
    def follow(self, folder: TaskFolder, wake: Callable[[], None]) -> Iterator[Tail]:
        """The tail of a task; ``wake`` is called on this loop whenever its log may have grown."""
        tail = self._tails.get(folder.task_id) or self._begin(folder)
        tail.readers.append(wake)
        try:
            yield tail
        finally:
            tail.readers.remove(wake)
            if not tail.readers:
                del self._tails[folder.task_id]
                self._stops.pop(folder.task_id)()

    def _begin(self, folder: TaskFolder) -> Tail:
        def look(_: str) -> None:
            tail.look()

        # Watched before its first look: what is written between the two is seen twice rather than never.
        self._stops[folder.task_id] = self._manager.watch(look, folder.task_id, asyncio.get_running_loop())
        tail = self._tails[folder.task_id] = Tail(folder)
        return tail
