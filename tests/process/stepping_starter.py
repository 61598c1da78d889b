"""A process that starts ``note`` and is killed between two steps of it: ``STEP DATA_DIR WORKERS TRACE``."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from sse_tasks.hosts import local
from sse_tasks.queue import Queue
from sse_tasks.task_manager import TaskManager

step, data_dir, workers, trace = sys.argv[1:]


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def send_a_part(sock: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """The descriptor of the locked log has gone with the first bytes; the rest never comes."""
    if fds is None:
        return sending(sock, message)
    body = json.dumps(message).encode()
    socket.send_fds(sock, [struct.pack("!I", len(body)) + body[:100]], fds)
    die()


sending = local.send
manager = TaskManager(data_dir=data_dir, worker_folders=[workers])
manager.task_types()
match step:
    case "made-the-folder":
        Queue.put = die  # type: ignore[method-assign]
    case "marked":
        local.publish = die
    case "published":
        local.LocalHost._hand_over = die  # type: ignore[method-assign]
    case "sent-a-part":
        local.send = send_a_part  # type: ignore[assignment]
    case "sent":
        local.receive = die
manager.start("note", {"path": str(Path(trace))})
