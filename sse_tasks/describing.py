"""Task types as a manager knows them: described by a throw-away process, remembered while their files stay the same."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from .errors import TaskTypeNotFoundError
from .hosts.local import LocalHost, is_own, own_folder
from .importing import refuse_while_importing
from .registry import Registry, merge
from .types import TaskTypeInfo, is_task_type

__all__ = ["TaskTypes"]

Stamp = tuple[int, int] | None


def _stamp(path: str | Path | None) -> Stamp:
    """Changes when the file does: its time of change and its size."""
    if path is None:
        return None
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size


class TaskTypes:
    """What the task types of each interpreter say of themselves. For any thread."""

    def __init__(self, host: LocalHost) -> None:
        self._host = host
        self._files: dict[tuple[str, str], tuple[Stamp, list[TaskTypeInfo]]] = {}
        self._modules: dict[str, list[tuple[str | None, Stamp, list[TaskTypeInfo]]]] = {}
        self._lock = threading.Lock()

    def find(self, name: str, interpreter: str, folders: Sequence[Path]) -> TaskTypeInfo:
        """One task type. Raises TaskTypeNotFoundError, with the near names."""
        known = self.known(interpreter, folders)
        if not is_task_type(name) or name not in known:
            raise TaskTypeNotFoundError(name, known)
        return known[name]

    def known(self, interpreter: str, folders: Sequence[Path]) -> dict[str, TaskTypeInfo]:
        """By name. Only what has changed is asked for again. Raises WorkersUnavailableError, WorkerDefinitionError."""
        refuse_while_importing()
        with self._lock:
            listed = {path: _stamp(path) for path in Registry(folders).files()}
            stamps = {path: stamp for path, stamp in listed.items() if stamp is not None}  # the others have just gone
            changed = [path for path, stamp in stamps.items()
                       if self._files.get((interpreter, str(path)), (None, []))[0] != stamp]
            modules = self._modules.get(interpreter)
            if modules is None or changed or any(_stamp(file) != stamp for file, stamp, _ in modules):
                self._ask(interpreter, changed, stamps)
            infos = [info for path in stamps for info in self._files[interpreter, str(path)][1]]
            infos += [info for _, _, module_infos in self._modules[interpreter] for info in module_infos]
        return merge(infos)

    def _ask(self, interpreter: str, files: list[Path], stamps: Mapping[Path, Stamp]) -> None:
        sys_path = [entry or own_folder() for entry in sys.path] if is_own(interpreter) else None
        answer = self._host.describe(interpreter, os.environ, sys_path, files)
        for path in files:
            infos = msgspec.convert(answer["files"][str(path)], list[TaskTypeInfo])
            self._files[interpreter, str(path)] = stamps[path], infos
        self._modules[interpreter] = [
            (module["file"], _stamp(module["file"]), msgspec.convert(module["infos"], list[TaskTypeInfo]))
            for module in answer["modules"]]
