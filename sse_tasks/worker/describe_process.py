"""Describing in new interpreters: ``python -m sse_tasks.worker.describe_process answer|import …``, which answers a
client, or imports one worker for the process that does.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import tempfile
import traceback
from typing import Any, NoReturn

from .channel import receive, send
from .describe import Import, answer
from .identity import TREE
from .portable import hold_leash, remember_started
from .processes import descriptor_limit, restore_descriptor_limit
from .spawning import start_interpreter

__all__ = ["main", "start_describer", "start_importer"]


def start_describer(client: socket.socket, message: dict[str, Any]) -> int:
    """A process that answers ``client``. Environments are never written to a disk: it is started with its own, and
    the rest, which may be long, lies in a file that has no name."""
    tree = secrets.token_hex(13)
    rest = {name: message[name] for name in ("cwd", "sys_path", "files")}
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(rest).encode("ascii"))
        file.seek(0)
        passed = [client.fileno(), file.fileno()]
        pid = start_interpreter("describe_process", "answer", *passed, descriptor_limit(), passed=passed,
                                environ=message["environ"] | {TREE: tree})
    remember_started(pid, tree=tree)
    return pid


def start_importer(what: dict[str, Any], theirs: socket.socket, ours: socket.socket) -> int:
    """A process that imports, and says by ``theirs`` what it found. It dies with this one."""
    leash_read, leash = os.pipe()
    passed = [theirs.fileno(), leash_read]
    folder = os.getcwd()
    try:
        os.chdir("/")  # an interpreter imports from where it is started, before it is told from where to
        pid = start_interpreter("describe_process", "import", *passed, passed=passed, environ=os.environ)
    except OSError:
        os.close(leash)
        raise
    finally:
        os.close(leash_read)
        os.chdir(folder)
    remember_started(pid, leash=leash)
    send(ours, {"what": what, "sys_path": sys.path, "cwd": folder})
    return pid


def main() -> None:
    """The process: see the module's docstring."""
    role, fds = sys.argv[1], list(map(int, sys.argv[2:4]))
    for fd in fds:
        os.set_inheritable(fd, False)
    with socket.socket(fileno=fds[0]) as other:
        if role == "answer":
            os.setsid()
            restore_descriptor_limit(int(sys.argv[4]))
            with open(fds[1], encoding="ascii") as file:
                rest = json.load(file)
            answer(other, rest)
        else:
            _import(other, fds[1])


def _import(parent: socket.socket, leash: int) -> NoReturn:
    status = 1
    try:
        os.setpgid(0, 0)  # one that signals its group means itself
        hold_leash(leash)
        given = receive(parent)
        if given is not None:
            os.chdir(given[0]["cwd"])
            sys.path[:] = given[0]["sys_path"]
            send(parent, Import(**given[0]["what"]).run())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)  # whatever threads and exit functions there are by now


if __name__ == "__main__":
    main()
