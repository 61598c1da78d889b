"""Where a forkserver's clients come in: a stream socket, whose path stands in the forkserver's note."""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..bell import make_again
from .channel import Receiver

__all__ = ["Door", "Letter"]


class Letter(NamedTuple):
    """One message, whole, with its descriptors. Who takes it owns both, and answers on the connection."""

    connection: socket.socket
    body: bytes
    fds: list[int]


class Door:
    """One client is one message. ``note`` is the descriptor of the file where clients look for the socket's path."""

    def __init__(self, runtime_dir: Path, note: int, selector: selectors.BaseSelector) -> None:
        self._runtime_dir = runtime_dir
        self._note = note
        self._selector = selector
        self._receivers: dict[socket.socket, Receiver] = {}
        self.open()

    def open(self) -> None:
        """Binds a new socket and writes its path where clients look."""
        self._path = self._runtime_dir / f"s-{secrets.token_hex(6)}"
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.setblocking(False)
        make_again(self._runtime_dir)
        with contextlib.suppress(OSError):  # the next look tries again
            self._server.bind(str(self._path))
            self._server.listen(128)
        self._selector.register(self._server, selectors.EVENT_READ)
        os.ftruncate(self._note, 0)
        os.pwrite(self._note, str(self._path).encode(), 0)

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in it whose message is not whole yet."""
        return not self._receivers

    def look(self) -> None:
        """Cleaners of temporary folders take names away: without a new one, no task could start any more."""
        if not self._path.exists():
            self._close()
            self.open()

    def take(self, source: object) -> Iterator[Letter]:
        """What has come: ``source`` is what the selector gave, this door's own socket or a client's."""
        if source is self._server:
            yield from self._accept()
        elif source in self._receivers:
            assert isinstance(source, socket.socket)
            yield from self._receive(source)

    def hide(self) -> Iterator[Letter]:
        """Out of sight; then what had been queued until then comes in. ``open`` opens it again."""
        os.ftruncate(self._note, 0)
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        yield from self._accept()
        self._close()

    def _close(self) -> None:
        self._selector.unregister(self._server)
        self._server.close()

    def _accept(self) -> Iterator[Letter]:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # nobody there any more, or no descriptor left for now
                return
            connection.setblocking(False)
            self._receivers[connection] = Receiver(connection)
            self._selector.register(connection, selectors.EVENT_READ)
            yield from self._receive(connection)

    def _receive(self, connection: socket.socket) -> Iterator[Letter]:
        receiver = self._receivers[connection]
        try:
            alive = receiver.feed()
            taken = receiver.take_body()
        except BlockingIOError:
            return
        except (OSError, ValueError):
            alive, taken = False, None
        if taken is None and alive:
            return
        self._selector.unregister(connection)
        del self._receivers[connection]
        if taken is None:
            receiver.drop()
            connection.close()
        else:
            yield Letter(connection, *taken)
