"""The task manager: how a process sees all tasks of its user. A library object over the data folder.

Server, kernel and shell have one each, and none is the master: the folders are the truth.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from .claims import Claims, input_digest, restart_digest
from .configuration import load_config
from .describing import TaskTypes
from .errors import (
    BadParameterError,
    IdempotencyConflictError,
    NoSpaceError,
    StorageError,
    TaskEndedError,
    TaskInUseError,
    TaskLiveError,
    TaskNotFoundError,
    TooManyWaitingError,
)
from .folder import TaskFolder, is_controllable
from .hosts.local import LocalHost
from .importing import refuse_while_importing
from .index import TaskIndex
from .queue import Queue
from .registry import validate_input, worker_ref
from .restarting import plan_restart
from .retention import DAY_SECONDS, Limits, Stamp, bytes_of, prune, reading, removing
from .settings import TaskSettings
from .sizes import say_size
from .specs import new_spec, settled, tag_list
from .steady_clock import SteadyClock
from .types import ENDED, Status, TaskInfo, TaskSpec, TaskTypeInfo, is_task_type
from .watching import LoopWatch, ThreadWatch, Watch
from .worker.start_method import StartMethod

__all__ = ["TaskManager", "default_manager", "tag_list"]

Action = Literal["pause", "resume", "abort"]

_CLAIM_SECONDS = 30.0
_ASKED_FOR_FIRST = 200
_LOOKED_AT_ONCE = 20
_REST_SECONDS = 0.002


class TaskManager(TaskSettings):
    """Start, ask, list, follow. Every call is for any thread; those that read files take micro- to milliseconds.

    Configured in ``jupyter_sse_tasks_config.py`` or ``.json`` on Jupyter's config path. Sizes are bytes, times seconds.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._clock = SteadyClock(self.root / "clock")
        self._closing = False
        self._begin()
        _managers.add(self)

    def _begin(self) -> None:
        """Makes all that has threads or locks; in a forked process anew, where the parent's are not."""
        self._host = LocalHost(self.root, self._runtime, cast(StartMethod, self.start_method))
        self._queue = Queue(self.root)
        self._index = TaskIndex(self.root, self._host, self._queue)
        self._types = TaskTypes(self._host)
        self._claims = Claims(self.root / "claims")
        self._stamp = Stamp(self.root / "pruned")
        self._watches: dict[asyncio.AbstractEventLoop | None, Watch] = {}
        self._followed: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._askers = 0

    def close(self) -> None:
        """Stops following. Tasks go on."""
        self._closing = True
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

    # -- starting ------------------------------------------------------------------------------------------------

    def start(self, task_type: str, input: Mapping[str, Any] | None = None, *, name: str | None = None,
              tags: Iterable[str] = (), timeout: float | None = None, retries: int = 0, interpreter: str | None = None,
              origin: Mapping[str, str] | None = None, beside: Path | None = None, idempotency_key: str | None = None
              ) -> TaskInfo:
        """Starts a task of a registered type; it waits for its turn, then runs in a process of its own.

        ``timeout`` in seconds, pauses not counted. ``retries``: how many further attempts it has when its processes die
        or its time is over, 0 to 100. With the ``idempotency_key`` of a task of this type that is still there, that
        task is given instead, if its input is the same; the other options don't count.

        Raises TaskTypeNotFoundError, InvalidInputError, BadParameterError, IdempotencyConflictError,
        StartInProgressError, TooManyWaitingError, NoSpaceError, StorageError, WorkersUnavailableError.
        """
        return self.start_or_find(task_type, input, name=name, tags=tags, timeout=timeout, retries=retries,
                                  interpreter=interpreter, origin=origin, beside=beside,
                                  idempotency_key=idempotency_key)[0]

    def start_or_find(self, task_type: str, input: Mapping[str, Any] | None = None, *, beside: Path | None = None,
                      idempotency_key: str | None = None, patience: float = _CLAIM_SECONDS, **options: Any
                      ) -> tuple[TaskInfo, bool]:
        """Like ``start``, and whether the task is a new one. ``patience``: seconds to wait while another process
        starts a task with the same key."""
        info = self.task_type(task_type, options.get("interpreter"), beside)
        given = dict(input or {})
        validate_input(info, given)
        spec = new_spec(self, task_type, worker_ref(info), given, **options)
        return self._once(spec, idempotency_key, patience, input_digest(spec.input), lambda: self._launch(spec))

    def _once(self, spec: TaskSpec, key: str | None, patience: float, digest: str, launch: Callable[[], TaskInfo]
              ) -> tuple[TaskInfo, bool]:
        """Launches, or gives the task that the key has; and whether it is a new one. ``digest`` is what has to be the
        same of what has the same key."""
        if key is None:
            return launch(), True
        self._make_folders()
        with self._claims.hold(spec.task_type, key, patience) as claim:
            known = self._index.look(claim.task_id) if claim.task_id else None
            if known is not None:
                if claim.digest != digest:
                    raise IdempotencyConflictError(key, claim.task_id)
                return known, False
            self._check_room()
            spec.claim = claim.name
            try:
                claim.write(spec.task_id, digest)
            except OSError as error:
                raise StorageError(self.root, error.strerror or str(error)) from error
            return launch(), True

    def start_function(self, task_type: str, pickled: bytes, input: Mapping[str, Any], **options: Any) -> TaskInfo:
        """Starts a function that travels by value (cloudpickle). The caller has validated the input. Options and errors
        as with ``start``."""
        if not is_task_type(task_type):
            raise BadParameterError("task_type", f"{task_type!r} is no name of a task type (a-z, 0-9 and -)")
        spec = new_spec(self, task_type, {}, input, **options)
        spec.worker = {"pickle": str(self._index.folder_of(spec.task_id).path / "worker.pickle")}

        def fill(folder: Path) -> None:
            (folder / "worker.pickle").write_bytes(pickled)

        return self._launch(spec, fill=fill)

    def restart(self, task_id: str, *, fresh: bool = False, origin: Mapping[str, str] | None = None,
                idempotency_key: str | None = None) -> TaskInfo:
        """A new task with the input and the options of an ended one, in this process's environment. It begins with the
        state and the items of the last checkpoint, where there is one and ``fresh`` doesn't say otherwise. With the
        ``idempotency_key`` of a restart of the same task that is still there, that one is given instead.

        Raises TaskNotFoundError, TaskLiveError, TaskInUseError, and what ``start`` raises, as where its task type is no
        longer there or takes other input.
        """
        return self.restart_or_find(task_id, fresh=fresh, origin=origin, idempotency_key=idempotency_key)[0]

    def restart_or_find(self, task_id: str, *, fresh: bool = False, origin: Mapping[str, str] | None = None,
                        idempotency_key: str | None = None, patience: float = _CLAIM_SECONDS) -> tuple[TaskInfo, bool]:
        """Like ``restart``, and whether the task is a new one. ``patience`` as in ``start_or_find``."""
        if not self.info(task_id).is_ended:
            raise TaskLiveError("it can't be restarted")
        old = self._controllable(task_id)
        spec = msgspec.structs.replace(old, restart_of=task_id, origin=dict(origin or {}), claim="", **settled(self))
        return self._once(spec, idempotency_key, patience, restart_digest(task_id, fresh),
                          lambda: self._go_on(old, spec, fresh))

    def _go_on(self, old: TaskSpec, spec: TaskSpec, fresh: bool) -> TaskInfo:
        """Launches a restart of ``old``, and leaves a link to it there."""
        folder = self._index.folder_of(old.task_id)
        if "pickle" in spec.worker:
            spec.worker = {"pickle": str(self._index.folder_of(spec.task_id).path / "worker.pickle")}
        else:
            file = spec.worker.get("file")
            described = self._types.find(spec.task_type, spec.interpreter, [Path(file).parent] if file else [])
            validate_input(described, spec.input)
            spec.worker = worker_ref(described)
        with reading(folder):
            plan = plan_restart(old, folder, os.environ, fresh=fresh)
            restarted = self._launch(spec, fill=plan.fill, message=plan.message, items=plan.items,
                                     metrics=plan.metrics)
            with suppress(OSError):  # a link for people; the new task knows where it comes from
                partial = folder.path / f".restarted_as-{spec.task_id}"
                partial.write_text(spec.task_id, "ascii")
                os.replace(partial, folder.path / "restarted_as")
        self._index.drop(old.task_id)
        self._host.ring(old.task_id)
        return restarted

    def _launch(self, spec: TaskSpec, **options: Any) -> TaskInfo:
        refuse_while_importing()
        self._make_folders()  # they may have been removed
        self._check_room()
        self._host.start(spec, dict(os.environ), **options)
        if self._stamp.take(DAY_SECONDS):
            threading.Thread(target=self.prune, name="sse-tasks-prune", daemon=True).start()
        return self.info(spec.task_id)

    def _check_room(self) -> None:
        if len(self._queue.waiting()) >= self.max_waiting:
            self._host.sweep()  # some may have died
            if (waiting := len(self._queue.waiting())) >= self.max_waiting:
                raise TooManyWaitingError(waiting)
        free = shutil.disk_usage(self.root).free
        if free < self.min_free_bytes:
            raise NoSpaceError(self.root, say_size(free), say_size(self.min_free_bytes))

    # -- control -------------------------------------------------------------------------------------------------

    def ask(self, task_id: str, action: Action) -> TaskInfo:
        """Asks a task to ``pause``, ``resume`` or ``abort``: asked, not yet done. Raises TaskNotFoundError,
        TaskEndedError, StorageError."""
        info = self.info(task_id)
        if info.status in ENDED:
            raise TaskEndedError(action, info.status)
        self._controllable(task_id)
        self._host.ask(self._index.folder_of(task_id), action)
        return info

    def _controllable(self, task_id: str) -> TaskSpec:
        spec = self._index.spec(task_id)
        if not is_controllable(spec):
            raise BadParameterError("taskId", "the task was made by a newer version of sse_tasks: update this one")
        return spec

    def forget(self, task_id: str) -> None:
        """Removes an ended task with everything it made. Raises TaskNotFoundError, TaskLiveError, TaskInUseError,
        StorageError."""
        if not self.info(task_id).is_ended:
            raise TaskLiveError("it can't be forgotten")
        self._remove(task_id)

    def forget_ended(self, *, status: Iterable[str] = (), before: str | None = None) -> int:
        """Forgets many ended tasks: those of ``status`` (all, if empty) that ended ``before`` (as in ``endedAt``).
        Gives how many. Those that are just being restarted are left. Raises BadParameterError, StorageError."""
        wanted = {Status(one) for one in status} or ENDED
        if not wanted <= ENDED:
            raise BadParameterError("status", "only ended tasks can be forgotten: completed, failed, aborted")
        removed = 0
        for info in self.list(status=wanted, brief=True)[0]:
            if (before is None or (info.ended_at or "") < before) and not self._closing:
                try:
                    self._remove(info.task_id, 0)
                    removed += 1
                except (TaskNotFoundError, TaskInUseError):
                    pass
        return removed

    def _remove(self, task_id: str, seconds: float | None = None) -> None:
        folder = self._index.folder_of(task_id)
        with removing(folder, seconds):
            claim = self._index.spec(task_id).claim
            folder.remove()
        self._queue.remove(task_id)
        self._index.drop(task_id)
        if claim:
            self._claims.release(claim, task_id)
        self._host.ring(task_id)

    def prune(self) -> int:
        """Forgets the ended tasks that are older, more or larger than is to be kept (``keep_days``, ``keep_count``,
        ``keep_bytes``), what ended first first; gives how many. Never a live one, nor one that is followed here. While
        another process does so, nothing is done."""
        limits = Limits(days=self.keep_days, bytes=self.keep_bytes, count=self.keep_count)
        with self._stamp.alone() as alone:
            if not alone:
                return 0
            removed = prune(self._index.ended(), limits, lambda task_id: bytes_of(self._index.folder_of(task_id).path),
                            lambda task_id: self._remove(task_id, 0), lambda task_id: self._followed[task_id] > 0,
                            lambda: self._closing, self._clock.now)
        self._claims.prune(lambda task_id: self._index.folder_of(task_id).exists())
        return removed

    def prune_if_due(self, seconds: float) -> int:
        """``prune``, unless some process of this user did so less than ``seconds`` ago."""
        return self.prune() if self._stamp.take(seconds) else 0

    # -- looking -------------------------------------------------------------------------------------------------

    def folder(self, task_id: str) -> TaskFolder:
        """The folder of a task. Raises TaskNotFoundError."""
        return self._index.folder(task_id)

    def ids(self) -> list[str]:
        """The ids of all tasks, newest first."""
        return self._index.ids()

    def live_ids(self) -> list[str]:
        """The ids of the tasks that have not ended, newest first, as far as they have been looked at."""
        return self._index.live_ids()

    def known_live_ids(self) -> list[str]:
        """The same as far as it is known already: nothing is read."""
        return self._index.known_live_ids()

    def info(self, task_id: str, *, recover: bool = True) -> TaskInfo:
        """What there is to say of a task. One that has died is recovered first, which may take seconds: a forkserver
        may have to be started for it. Without ``recover``, for event loops, it is told as its log has it.

        Raises TaskNotFoundError.
        """
        self.folder(task_id)
        return self._index.info(task_id, recover=recover)

    def list(self, *, status: Iterable[str] = (), task_type: str | None = None, tag: str | None = None,
             limit: int | None = None, after: str | None = None, brief: bool = False
             ) -> tuple[list[TaskInfo], str | None]:
        """The tasks, newest first, and the cursor of the next page (``after``) or None. ``brief``: without inputs and
        results above 4 KiB, which have to be read anew."""
        with self._asking():
            return self._index.list(status=status, task_type=task_type, tag=tag, limit=limit, after=after, brief=brief)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """While the context is open, ``recover_all`` stands back."""
        with self._lock:
            self._askers += 1
        try:
            yield
        finally:
            with self._lock:
                self._askers -= 1

    def recover_if_dead(self, task_id: str) -> None:
        """Ends or hands on a task that has no terminal update and no process."""
        if self.may_be_dead(task_id):
            self._index.look(task_id)

    def may_be_dead(self, task_id: str) -> bool:
        """Whether nobody has this task, as far as is known here without reading its log."""
        return not self._index.is_known_ended(task_id) and not self._index.folder_of(task_id).is_held()

    def recover_all(self) -> None:
        """Looks at every task once, so that those that died while nobody looked are ended or handed on; and takes away
        what starters left behind that were killed. The newest first, which people ask for first, then the dead, then,
        to remember them, the ended."""
        self._host.sweep()
        ids = self.ids()
        for task_id in self._without_haste(ids[:_ASKED_FOR_FIRST]):
            self._index.look(task_id)
        for task_id in self._without_haste(reversed(ids)):
            if not self._index.is_over(task_id):
                self._index.look(task_id)
        looked = 0
        for task_id in self._without_haste(ids):
            if not self._index.is_known_ended(task_id) and self._index.is_over(task_id):
                self._index.look(task_id)
                looked += 1
                if looked % _LOOKED_AT_ONCE == 0:
                    time.sleep(_REST_SECONDS)  # nobody waits for this; others may be busy with the same processor

    def _without_haste(self, ids: Iterable[str]) -> Iterator[str]:
        """One after the other, while nobody asks for a list: two threads that read files take turns at each call, and
        both are slow. The end of the manager ends it."""
        for task_id in ids:
            while self._askers and not self._closing:
                time.sleep(_REST_SECONDS)
            if self._closing:
                return
            yield task_id

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
            if task_id is not None:
                self._followed[task_id] += 1

        def stop() -> None:
            with self._lock:
                if task_id is not None:
                    self._followed -= Counter([task_id])
                if self._watches.get(loop) is watch and watch.discard(task_id, callback):
                    del self._watches[loop]
                    watch.close()

        return stop

    def sizes(self, task_id: str) -> tuple[int, ...]:
        """What grows when something happens to a task; empty when it is gone."""
        folder = self._index.folder_of(task_id)
        log = folder.log_size()
        return (log, folder.output_size(), folder.items_size(), folder.metrics_size()) if log else ()


_managers: weakref.WeakSet[TaskManager] = weakref.WeakSet()
_inherited: list[object] = []  # what a forked process has of its parent's: to drop it would be to close it


def _begin_in_fork() -> None:
    global _default_lock
    _default_lock = threading.Lock()
    for manager in tuple(_managers):
        _inherited.append((manager._host, manager._watches))
        manager._begin()


os.register_at_fork(after_in_child=_begin_in_fork)

_default: TaskManager | None = None
_default_lock = threading.Lock()


def default_manager() -> TaskManager:
    """This process's manager, configured from Jupyter's config path; made on first use."""
    global _default
    with _default_lock:
        if _default is None:
            _default = TaskManager(config=load_config())
        return _default
