"""Task types described in a throw-away child of the forkserver: it imports the workers, says what they are, exits."""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec

from ..registry import Registry, describe_entry_point, describe_file
from .channel import send
from .processes import close_all_but, restore_descriptor_limit

__all__ = ["describe_in_child"]

_DEADLINE_SECONDS = 60


def describe_in_child(client: socket.socket, message: dict[str, Any]) -> int:
    """Forks a child that answers ``client``; gives its pid.

    The message has ``sys_path`` (None: the interpreter's own), ``cwd``, ``environ``, ``files`` (paths); the answer is
    ``{"files": {path: infos}, "modules": [{"module", "file", "infos"}]}``, the modules being the installed packages'
    entry points.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        close_all_but(client.fileno())
        restore_descriptor_limit()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.alarm(_DEADLINE_SECONDS)  # an import that hangs must not hang whoever asked
        client.setblocking(True)
        os.environ.clear()
        os.environ.update(message["environ"])
        os.chdir(message["cwd"])
        if message["sys_path"] is not None:
            sys.path[:] = message["sys_path"]
        send(client, {
            "files": {path: msgspec.to_builtins(describe_file(Path(path))) for path in message["files"]},
            "modules": [{"module": module, "infos": msgspec.to_builtins(describe_entry_point(name, module)),
                         "file": getattr(sys.modules.get(module), "__file__", None)}
                        for name, module in Registry().entry_points()],
        })
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)
