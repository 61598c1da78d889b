"""A port of loopback that stays ours from the moment on that we know its number, also while nobody listens there."""

from __future__ import annotations

import socket


def hold_port() -> socket.socket:
    """A socket that has a free port and doesn't listen: the system gives that port to nobody who asks for any, and a
    server may still listen there by its number, as often as it likes. Until it is closed."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder
