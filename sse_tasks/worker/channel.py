"""Messages with descriptors over a Unix stream socket: a length, then JSON in Python's dialect."""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from typing import Any

__all__ = ["Receiver", "receive", "receive_body", "send", "send_body", "to_body"]

_HEADER = struct.Struct("!I")
_MAX_FDS = 4
_MAX_BYTES = 256 << 20
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # Linux; elsewhere it is said of each afterwards


def to_body(message: dict[str, Any]) -> bytes:
    """A message as it is sent, but for its length."""
    return json.dumps(message).encode("ascii")


def send(sock: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """Sends one message; the descriptors go with its first byte. The sender keeps its own copies."""
    send_body(sock, to_body(message), fds)


def send_body(sock: socket.socket, body: bytes, fds: list[int] | None = None) -> None:
    """Sends on, as it came, a message that another one has sent; descriptors as with ``send``."""
    data = memoryview(_HEADER.pack(len(body)) + body)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = sock.sendmsg([data], rights)
    if sent < len(data):  # sending nothing to one who has read all and left would be an error
        sock.sendall(data[sent:])


class Receiver:
    """Puts messages together from what has arrived. Owns the descriptors until it gives them away."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._data = bytearray()
        self._fds: list[int] = []

    def feed(self) -> bool:
        """Takes one piece from the socket; False at its end. Blocks if the socket does."""
        data, ancillary, _, _ = self.sock.recvmsg(1 << 16, socket.CMSG_SPACE(_MAX_FDS * 4), _CLOSE_ON_EXEC)
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(content[:len(content) - len(content) % fds.itemsize])
                for fd in () if _CLOSE_ON_EXEC else fds:
                    os.set_inheritable(fd, False)
                self._fds.extend(fds)
        self._data += data
        return bool(data)

    def take(self) -> tuple[dict[str, Any], list[int]] | None:
        """The next whole message and its descriptors, or None. Raises ValueError for what is no message."""
        given = self.take_body()
        return given and (json.loads(given[0]), given[1])

    def take_body(self) -> tuple[bytes, list[int]] | None:
        """Likewise, for who sends it on."""
        if len(self._data) < _HEADER.size:
            return None
        (size,) = _HEADER.unpack_from(self._data)
        if size > _MAX_BYTES:
            raise ValueError(f"a message of {size} bytes")
        end = _HEADER.size + size
        if len(self._data) < end:
            return None
        body = bytes(self._data[_HEADER.size:end])
        del self._data[:end]
        fds, self._fds = self._fds, []
        return body, fds

    def drop(self) -> None:
        """Closes the descriptors of a message that will never be whole: one may hold a task's lock."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Waits for one message on a blocking socket; None if the other end closes first."""
    given = receive_body(sock)
    return given and (json.loads(given[0]), given[1])


def receive_body(sock: socket.socket) -> tuple[bytes, list[int]] | None:
    """Likewise, for who sends it on."""
    receiver = Receiver(sock)
    while (given := receiver.take_body()) is None:
        if not receiver.feed():
            return None
    return given
