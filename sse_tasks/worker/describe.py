"""Task types described in throw-away children of the forkserver.

One child answers; it starts one more for each file and each installed module, which imports that and says what it is. A
file that ends its process, or never comes to an end, costs nobody else their answer.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ..registry import Registry, describe_entry_point, describe_file, fit_name
from ..types import TaskTypeInfo
from .channel import Receiver, send
from .processes import die_with_parent, kill_children, restore_descriptor_limit, subreaper, wait_status_in_words
from .start_method import forks

if forks():
    from .linux import fork_into

__all__ = ["Import", "answer", "describe_in_child"]

_IMPORT_SECONDS = 10.0
_AT_ONCE = 4  # imports side by side: they take processors and memory


@dataclass
class Import:
    """A file or module, and what the process that imports it has said."""

    name: str
    source: str
    is_file: bool
    infos: list[TaskTypeInfo] = field(default_factory=list)
    module_file: str | None = None

    def run(self) -> dict[str, Any]:
        """Imports it, here: for a process of its own."""
        if self.is_file:
            return {"infos": msgspec.to_builtins(describe_file(Path(self.source))), "file": self.source}
        return {"infos": msgspec.to_builtins(describe_entry_point(self.name, self.source)),
                "file": getattr(sys.modules.get(self.source), "__file__", None)}

    def take(self, said: dict[str, Any]) -> None:
        self.infos, self.module_file = msgspec.convert(said["infos"], list[TaskTypeInfo]), said["file"]

    def fail(self, error: str) -> None:
        self.infos = [TaskTypeInfo(name=fit_name(self.name), source=self.source, error=error)]


class Importer:
    """The process of one import, seen from its parent."""

    def __init__(self, what: Import) -> None:
        self._what = what
        self.socket, theirs = socket.socketpair()
        self.deadline = time.monotonic() + _IMPORT_SECONDS
        with theirs:
            self._pid = _start_importer(what, theirs, self.socket)
        self.socket.setblocking(False)
        self._receiver = Receiver(self.socket)
        self.is_mute = False  # it has closed its socket, so only its death or its deadline is to come

    def is_done(self) -> bool:
        """Whether it has answered, died or taken too long; then it is killed, and ``Import`` has what came of it."""
        dead, status = os.waitpid(self._pid, os.WNOHANG)  # first: what it sent before it died is there then
        said = self._said()
        if said is not None:
            self._what.take(said)
        elif dead:
            self._what.fail(f"The process that imported it {wait_status_in_words(status)}.")
        elif time.monotonic() > self.deadline:
            self._what.fail(f"It took longer than {_IMPORT_SECONDS:g} s to import. It is tried again when it changes.")
        else:
            return False
        if not dead:
            os.kill(self._pid, signal.SIGKILL)
        return True

    def _said(self) -> dict[str, Any] | None:
        try:
            while self._receiver.feed():
                if (message := self._receiver.take()) is not None:
                    return message[0]
            self.is_mute = True
        except BlockingIOError:  # nothing more for now
            pass
        except (OSError, ValueError):
            self.is_mute = True
        return None


def describe_in_child(client: socket.socket, message: dict[str, Any]) -> int:
    """Starts a child that answers ``client``; gives its pid.

    The message has ``sys_path`` (None: the interpreter's own), ``cwd``, ``environ``, ``files`` (paths); the answer is
    ``{"files": {path: infos}, "modules": [{"module", "file", "infos"}]}``, the modules being the installed packages'
    entry points.
    """
    if not forks():
        from .describe_process import start_describer

        return start_describer(client, message)

    def life() -> None:
        restore_descriptor_limit()
        os.environ.clear()
        os.environ.update(message["environ"])
        answer(client, message)

    return fork_into(life, client.fileno())


def answer(client: socket.socket, message: dict[str, Any]) -> None:
    """The life of the process that answers."""
    subreaper()  # what a worker file starts falls to this process, which kills it
    client.setblocking(True)
    os.chdir(message["cwd"])
    if message["sys_path"] is not None:
        sys.path[:] = message["sys_path"]
    files = [Import(Path(path).stem, path, is_file=True) for path in message["files"]]
    modules = [Import(name, module, is_file=False) for name, module in Registry().entry_points()]
    try:
        _import_all([*files, *modules])
    finally:
        kill_children()
    send(client, {
        "files": {file.source: msgspec.to_builtins(file.infos) for file in files},
        "modules": [{"module": module.source, "file": module.module_file,
                     "infos": msgspec.to_builtins(module.infos)} for module in modules],
    })


def _import_all(imports: list[Import]) -> None:
    """Each in a process of its own, a few at a time."""
    waiting, running = imports[::-1], set[Importer]()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)  # the dead say so
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        selector.register(wake_read, selectors.EVENT_READ)
        while waiting or running:
            while waiting and len(running) < _AT_ONCE:
                importer = Importer(waiting.pop())
                running.add(importer)
                selector.register(importer.socket, selectors.EVENT_READ, importer)
            first = min(importer.deadline for importer in running)
            ready = {key.data for key, _ in selector.select(max(0.0, first - time.monotonic()) + 0.01)}
            if None in ready:
                os.read(wake_read, 512)
            for importer in list(running):
                done = importer.is_done()
                if (done or importer.is_mute) and importer.socket in selector.get_map():
                    selector.unregister(importer.socket)
                if done:
                    running.remove(importer)
                    importer.socket.close()


def _start_importer(what: Import, theirs: socket.socket, ours: socket.socket) -> int:
    if not forks():
        from .describe_process import start_importer

        return start_importer({"name": what.name, "source": what.source, "is_file": what.is_file}, theirs, ours)
    parent = os.getpid()

    def life() -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()  # one that signals its group means itself
        die_with_parent(parent)
        send(theirs, what.run())

    return fork_into(life, theirs.fileno())
