"""The task manager: how a process sees all tasks of its user. A library object over the data folder.

Server, kernel and shell have one each, and none is the master: the folders are the truth.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import msgspec
from traitlets import Float, Int, List, Unicode, default
from traitlets.config import Configurable

from .bell import choose_runtime_dir
from .describing import TaskTypes
from .errors import (
    BadParameterError,
    InvalidInputError,
    StorageError,
    TaskEndedError,
    TaskLiveError,
    TaskNotFoundError,
)
from .folder import TaskFolder, is_controllable
from .hosts.local import LocalHost, host_id, own_folder
from .queue import Queue
from .registry import validate_input, worker_ref
from .types import (
    ENDED,
    Status,
    TaskInfo,
    TaskSpec,
    TaskTypeInfo,
    TaskUpdate,
    is_task_id,
    is_task_type,
    new_task_id,
    now_iso,
)
from .watching import LoopWatch, ThreadWatch, Watch
from .wire import to_plain

__all__ = ["TaskManager", "default_manager", "tag_list"]

Action = Literal["pause", "resume", "abort"]

_KEPT_RESULT_BYTES = 4096  # of an ended task in memory; a larger result is read anew each time


class TaskManager(Configurable):
    """Start, ask, list, follow. Every call is for any thread; those that read files take micro- to milliseconds.

    Configured in ``jupyter_sse_tasks_config.py`` or ``.json`` on Jupyter's config path. Sizes are bytes, times seconds.
    """

    data_dir = Unicode(help="Folder of the tasks (also SSE_TASKS_DATA_DIR); `sse_tasks` in Jupyter's data folder."
                       ).tag(config=True)
    runtime_dir = Unicode(help="Folder for sockets (also SSE_TASKS_RUNTIME_DIR); found by itself.").tag(config=True)
    worker_folders = List(Unicode(), help="Folders with worker files, beside those of SSE_TASKS_WORKERS."
                          ).tag(config=True)
    max_running = Int(min=1, help="How many tasks run at once; twice the cores.").tag(config=True)
    abort_grace = Float(5.0, min=0, help="Seconds that an aborted task has for cleaning up.").tag(config=True)
    default_timeout = Float(None, min=0, allow_none=True, help="Seconds after which a task fails, pauses not counted."
                            ).tag(config=True)

    @default("data_dir")
    def _default_data_dir(self) -> str:
        if folder := os.environ.get("SSE_TASKS_DATA_DIR"):
            return folder
        from jupyter_core.paths import jupyter_data_dir

        return os.path.join(jupyter_data_dir(), "sse_tasks")

    @default("runtime_dir")
    def _default_runtime_dir(self) -> str:
        return os.environ.get("SSE_TASKS_RUNTIME_DIR", "")

    @default("max_running")
    def _default_max_running(self) -> int:
        return 2 * (os.cpu_count() or 1)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = Path(self.data_dir).expanduser().absolute()
        self._tasks = self.root / "tasks"
        try:
            for name in ("tasks", "waiting", "slots", "forkservers"):
                (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(self.root, error.strerror or str(error)) from error
        self._runtime = choose_runtime_dir(self.root, self.runtime_dir)
        self._host = LocalHost(self.root, self._runtime)
        self._queue = Queue(self.root)
        self._types = TaskTypes(self._host)
        self._specs: dict[str, TaskSpec] = {}
        self._ended: dict[str, TaskInfo] = {}
        self._watches: dict[asyncio.AbstractEventLoop | None, Watch] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stops following. Tasks go on."""
        with self._lock:
            watches, self._watches = list(self._watches.values()), {}
        for watch in watches:
            watch.close()
        self._host.close()

    # -- task types ----------------------------------------------------------------------------------------------

    def folders(self, beside: Path | None = None) -> list[Path]:
        """Where worker files are looked for: ``beside`` (``workers/`` beside a notebook), SSE_TASKS_WORKERS, the
        trait ``worker_folders``; the first of a name counts."""
        listed = [Path(folder) for folder in os.environ.get("SSE_TASKS_WORKERS", "").split(os.pathsep) if folder]
        return [*([beside] if beside else []), *listed, *map(Path, self.worker_folders)]

    def task_types(self, interpreter: str | None = None, beside: Path | None = None) -> list[TaskTypeInfo]:
        """All task types, by name; those that can't be loaded say why in ``error``. Raises WorkersUnavailableError."""
        known = self._types.known(interpreter or sys.executable, self.folders(beside))
        return sorted(known.values(), key=lambda info: info.name)

    def task_type(self, name: str, interpreter: str | None = None, beside: Path | None = None) -> TaskTypeInfo:
        """One task type. Raises TaskTypeNotFoundError, with the near names."""
        return self._types.find(name, interpreter or sys.executable, self.folders(beside))

    # -- control -------------------------------------------------------------------------------------------------

    def start(self, task_type: str, input: Mapping[str, Any] | None = None, *, name: str | None = None,
              tags: Iterable[str] = (), timeout: float | None = None, interpreter: str | None = None,
              origin: Mapping[str, str] | None = None, beside: Path | None = None) -> TaskInfo:
        """Starts a task of a registered type; it waits for its turn, then runs in a process of its own.

        ``timeout`` in seconds, pauses not counted. Raises TaskTypeNotFoundError, InvalidInputError, BadParameterError,
        StorageError, WorkersUnavailableError.
        """
        info = self.task_type(task_type, interpreter, beside)
        given = dict(input or {})
        validate_input(info, given)
        spec = self._spec(task_type, worker_ref(info), given, name=name, tags=tags, timeout=timeout,
                          interpreter=interpreter, origin=origin)
        return self._start(spec, {})

    def start_function(self, task_type: str, pickled: bytes, input: Mapping[str, Any], **options: Any) -> TaskInfo:
        """Starts a function that travels by value (cloudpickle). The caller has validated the input."""
        if not is_task_type(task_type):
            raise BadParameterError("task_type", f"{task_type!r} is no name of a task type (a-z, 0-9 and -)")
        spec = self._spec(task_type, {"pickle": ""}, dict(input), **options)
        spec.worker = {"pickle": str(self._tasks / spec.task_id / "worker.pickle")}
        return self._start(spec, {"worker.pickle": pickled})

    def _start(self, spec: TaskSpec, files: Mapping[str, bytes]) -> TaskInfo:
        self._host.start(spec, dict(os.environ), files)
        return self.info(spec.task_id)

    def _spec(self, task_type: str, worker: dict[str, str], input: dict[str, Any], *, name: str | None = None,
              tags: Iterable[str] = (), timeout: float | None = None, interpreter: str | None = None,
              origin: Mapping[str, str] | None = None) -> TaskSpec:
        if timeout is None:
            timeout = self.default_timeout
        if timeout is not None and (not isinstance(timeout, Real) or not 0 < timeout < float("inf")):
            raise BadParameterError("timeout", "a number of seconds greater than 0 is needed")
        if name is not None and (not isinstance(name, str) or not name.strip() or len(name) > 200):
            raise BadParameterError("name", "1 to 200 characters are needed")
        tags = tag_list(tags)
        try:
            input = to_plain(input)
        except TypeError as error:
            raise InvalidInputError(task_type, [{"path": "", "message": str(error)}]) from None
        task_id = new_task_id()
        own = interpreter is None or os.path.realpath(interpreter) == os.path.realpath(sys.executable)
        cwd = own_folder()
        return TaskSpec(
            task_id=task_id, task_type=task_type, worker=worker, input=input, created_at=now_iso(), name=name,
            tags=tags, interpreter=interpreter or sys.executable, cwd=cwd,
            sys_path=[entry or cwd for entry in sys.path] if own else [], environ=sorted(os.environ),
            origin=dict(origin or {}), host=host_id(), timeout=timeout, max_running=self.max_running,
            abort_grace=self.abort_grace, runtime_dir=str(self._runtime),
            temp_dir=os.path.join(tempfile.gettempdir(), f"sse-task-{task_id}"))

    def ask(self, task_id: str, action: Action) -> TaskInfo:
        """Asks a task to ``pause``, ``resume`` or ``abort``: asked, not yet done. Raises TaskNotFoundError,
        TaskEndedError, StorageError."""
        info = self.info(task_id)
        if info.status in ENDED:
            raise TaskEndedError(action, info.status)
        if not is_controllable(self._spec_of(task_id)):
            raise BadParameterError("taskId", "the task was made by a newer version of sse_tasks: update this one")
        self._host.ask(self._folder(task_id), action)
        return info

    def forget(self, task_id: str) -> None:
        """Removes an ended task with everything it made. Raises TaskNotFoundError, TaskLiveError, StorageError."""
        if self.info(task_id).status not in ENDED:
            raise TaskLiveError("it can't be forgotten")
        self._folder(task_id).remove()
        self._queue.remove(task_id)
        self._specs.pop(task_id, None)
        self._ended.pop(task_id, None)
        self._host.ring(task_id)

    # -- looking -------------------------------------------------------------------------------------------------

    def _folder(self, task_id: str) -> TaskFolder:
        return TaskFolder(self._tasks / task_id)

    def folder(self, task_id: str) -> TaskFolder:
        """The folder of a task. Raises TaskNotFoundError."""
        if not is_task_id(task_id) or not self._folder(task_id).exists():
            raise TaskNotFoundError(task_id, self.ids())
        return self._folder(task_id)

    def ids(self) -> list[str]:
        """The ids of all tasks, newest first."""
        try:
            return sorted((name for name in os.listdir(self._tasks) if is_task_id(name)), reverse=True)
        except OSError:
            return []

    def live_ids(self) -> list[str]:
        """The ids of the tasks that have not ended, as far as they have been looked at."""
        looked = [self._info_quietly(task_id) for task_id in self.ids() if task_id not in self._ended]
        return [info.task_id for info in looked if info is not None and not info.is_ended]

    def info(self, task_id: str) -> TaskInfo:
        """What there is to say of a task. One that has died is recovered first. Raises TaskNotFoundError."""
        self.folder(task_id)
        return self._info(task_id)

    def list(self, *, status: Iterable[str] = (), task_type: str | None = None, tag: str | None = None,
             limit: int | None = None, after: str | None = None) -> tuple[list[TaskInfo], str | None]:
        """The tasks, newest first, and the cursor of the next page (``after``) or None."""
        wanted = {Status(one) for one in status}
        found: list[TaskInfo] = []
        for task_id in self.ids():
            if after is not None and task_id >= after:
                continue
            try:
                info = self._info(task_id)
            except TaskNotFoundError:
                continue  # forgotten while we looked
            if ((wanted and info.status not in wanted) or (task_type is not None and info.task_type != task_type)
                    or (tag is not None and tag not in info.tags)):
                continue
            if limit is not None and len(found) == limit:
                return found, found[-1].task_id if found else after
            found.append(info)
        return found, None

    def _spec_of(self, task_id: str) -> TaskSpec:
        spec = self._specs.get(task_id)
        if spec is None:
            spec = self._specs[task_id] = self._folder(task_id).spec()
        return spec

    def _info(self, task_id: str) -> TaskInfo:
        folder = self._folder(task_id)
        if not folder.exists():
            raise TaskNotFoundError(task_id)
        known = self._ended.get(task_id)
        if known is not None:
            update, _ = folder.latest() if known.result is None and known.result_bytes is not None else (None, 0)
            return msgspec.structs.replace(known, result=update.result if update else known.result)
        spec = self._spec_of(task_id)
        update, cursor = folder.latest()
        lost: dict[str, Any] = {}
        if (update is None or update.status not in ENDED) and not folder.is_held():
            self._host.recover(folder)
            held = folder.is_held()  # before the log is read: another recoverer may just have written the end
            update, cursor = folder.latest()
            if (update is None or update.status not in ENDED) and not held:
                lost = _lost(spec, update)
        info = TaskInfo(task_id=task_id, task_type=spec.task_type, name=spec.name, tags=spec.tags, input=spec.input,
                        status=Status.IDLE, created_at=spec.created_at, retries=spec.retries, cursor=cursor,
                        restart_of=spec.restart_of, origin=spec.origin or None, interpreter=spec.interpreter,
                        cwd=spec.cwd, host=spec.host, format=spec.format, items_bytes=folder.items_size(),
                        output_bytes=folder.output_size(), files=len(folder.files()))
        if update is not None:
            for field in ("status", "requested", "progress", "message", "error", "code", "result", "result_bytes",
                          "attempt", "started_at", "paused_seconds", "items"):
                setattr(info, field, getattr(update, field))
            if info.status in ENDED:
                info.ended_at = update.timestamp
                kept = None if (info.result_bytes or 0) > _KEPT_RESULT_BYTES else info.result
                self._ended[task_id] = msgspec.structs.replace(info, result=kept)
            elif info.started_at is None:
                info.position = self._position(task_id)
        for field, value in lost.items():
            setattr(info, field, value)
        return info

    def _position(self, task_id: str) -> int | None:
        waiting = self._queue.waiting()
        return waiting.index(task_id) + 1 if task_id in waiting else None

    # -- following -----------------------------------------------------------------------------------------------

    def watch(self, callback: Callable[[str], None], task_id: str | None = None,
              loop: asyncio.AbstractEventLoop | None = None) -> Callable[[], None]:
        """Calls ``callback(task_id)`` whenever something of that task (without: of any) may have grown: a hint, never
        data. With ``loop`` it is called there, else on a thread of the manager. Gives the function that stops it."""
        with self._lock:
            watch = self._watches.get(loop)
            if watch is None:
                watch = (ThreadWatch(self, self._runtime) if loop is None else LoopWatch(self, self._runtime, loop))
                self._watches[loop] = watch
            watch.add(task_id, callback)

        def stop() -> None:
            with self._lock:
                if watch.discard(task_id, callback) and self._watches.get(loop) is watch:
                    del self._watches[loop]
                    watch.close()

        return stop

    def sizes(self, task_id: str) -> tuple[int, ...]:
        """What grows when something happens to a task; empty when it is gone."""
        folder = self._folder(task_id)
        log = folder.log_size()
        return (log, folder.output_size(), folder.items_size()) if log else ()

    def recover_if_dead(self, task_id: str) -> None:
        """Ends or hands on a task that has no terminal update and no process."""
        if task_id not in self._ended and not self._folder(task_id).is_held():
            self._info_quietly(task_id)

    def _info_quietly(self, task_id: str) -> TaskInfo | None:
        try:
            return self._info(task_id)
        except TaskNotFoundError:
            return None  # just forgotten, or no folder that we can read

    def recover_all(self) -> None:
        """Looks at every task once, so that those that died while nobody looked are ended or handed on; and takes away
        what starters left behind that were killed."""
        self._host.sweep()
        for task_id in self.ids():
            self._info_quietly(task_id)


def tag_list(tags: str | Iterable[str]) -> list[str]:
    """Tags as a task has them, each once; a bare text is one tag. Raises BadParameterError."""
    if not isinstance(tags, Iterable):
        raise BadParameterError("tags", f"a list of texts is needed, not {tags!r:.80}")
    given = [tags] if isinstance(tags, str) else list(tags)
    if any(not isinstance(tag, str) or not tag.strip() or len(tag) > 100 for tag in given):
        raise BadParameterError("tag", "1 to 100 characters are needed")
    return list(dict.fromkeys(given))


def _lost(spec: TaskSpec, update: TaskUpdate | None) -> dict[str, Any]:
    """How a task is read that nobody here can write an end for, or hand on."""
    if spec.host != host_id():
        return {"status": Status.FAILED, "code": "host_lost", "error":
                "The machine or container that ran the task was stopped or restarted. What it had done is kept."}
    if update is None or update.started_at is None:
        return {}  # the next look tries again
    return {"status": Status.FAILED, "code": "worker_died", "error":
            "The task's processes are gone, and its folder can't be written to say so."}


_default: TaskManager | None = None
_default_lock = threading.Lock()


def default_manager() -> TaskManager:
    """This process's manager, configured from Jupyter's config path; made on first use."""
    global _default
    with _default_lock:
        if _default is None:
            _default = TaskManager(config=load_config())
        return _default


def load_config() -> Any:
    """What ``jupyter_sse_tasks_config.py`` and ``.json`` on Jupyter's config path say, the user's own last."""
    from jupyter_core.paths import jupyter_config_path
    from traitlets.config import Config
    from traitlets.config.loader import ConfigFileNotFound, JSONFileConfigLoader, PyFileConfigLoader

    config = Config()
    for folder in reversed(jupyter_config_path()):
        for loader in (PyFileConfigLoader("jupyter_sse_tasks_config.py", path=folder),
                       JSONFileConfigLoader("jupyter_sse_tasks_config.json", path=folder)):
            try:
                config.merge(loader.load_config())
            except ConfigFileNotFound:
                continue
    return config
