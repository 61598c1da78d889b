"""The handle of a task in Python: what it says, what can be asked of it, and who is told when it changes."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import traitlets

from .errors import (
    BadParameterError,
    NothingThereError,
    TaskAbortedError,
    TaskFailedError,
    TaskLiveError,
    TaskNotFoundError,
)
from .folder import TaskFolder
from .following import Updates, end_of, end_of_async, watch_weakly
from .items import frame_of, read_item_schema, read_items
from .kernel import Cell, origin, running_loop, shell, workers_beside
from .live_views import TaskView
from .metrics import frame_of_metrics, read_metrics
from .registry import to_json
from .static_view import plain_text
from .task_manager import TaskManager, default_manager, tag_list
from .types import Progress, Status, TaskInfo
from .worker.results import load_result

if TYPE_CHECKING:
    import pandas

    from .registry import Worker

__all__ = ["Task"]

T = TypeVar("T")

_NOTHING: dict[str, Any] = {"status": Status.IDLE, "progress": None, "message": None, "error": None,
                            "is_connected": False}
"""What observers know before a task is started."""

_awaited: set[Task] = set()
"""Handles with callbacks whose task has not ended: nobody needs to hold them for being called back."""


class _Live(traitlets.TraitType[T, T]):
    """A trait that can be observed, not set, and is read from the task at each look."""

    def __init__(self, read: Callable[[Any], T], help: str) -> None:
        super().__init__(default_value=None, allow_none=True, read_only=True, help=help)
        self._read = read

    def get(self, obj: traitlets.HasTraits, cls: type[Any] | None = None) -> T:
        return self._read(obj)


class Task(traitlets.HasTraits):
    """One task, or none yet: made by ``use_task``, ``start_task`` and ``get_task``.

    ``status``, ``progress``, ``message``, ``error``, ``result`` and ``is_connected`` always say what is the case now,
    and can be observed: ``t.observe(function, "progress")``. Observers and callbacks are called on the kernel's loop,
    between two cells; in a script on a thread of their own. What they print lands in the cell that made the handle.
    """

    last: ClassVar[Task | None] = None
    """The last one that this process started."""

    status = _Live[Status](lambda task: task._status(), "Where the task stands; idle before it is started.")
    progress = _Live[Progress | None](lambda task: task._of_info("progress"), "How far it is.")
    message = _Live[str | None](lambda task: task._of_info("message"), "What it does, or how it ended, in words.")
    error = _Live[str | None](lambda task: task._of_info("error"), "Why it failed.")
    result = _Live[Any](lambda task: task._result(), "What the worker returned, once it is completed.")
    is_connected = _Live[bool](lambda task: task._stop is not None, "Whether updates reach this handle now.")

    def __init__(self, *, on_complete: Callable[[Any], object] | None = None,
                 on_error: Callable[[str], object] | None = None, name: str | None = None, tags: Iterable[str] = (),
                 timeout: float | None = None, retries: int = 0, manager: TaskManager | None = None) -> None:
        super().__init__()
        self._manager = manager or default_manager()
        self._options: dict[str, Any] = {"name": name, "tags": tag_list(tags), "timeout": timeout, "retries": retries}
        self._on_complete, self._on_error = on_complete, on_error
        self._cell = Cell()
        self._loop = running_loop()
        self._task_id: str | None = None
        self._known: TaskInfo | None = None
        self._told: dict[str, Any] = {}
        self._loaded: list[Any] = []
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self._is_called = False
        self._view: TaskView | None = None
        self._shown_at: int | None = None

    def __repr__(self) -> str:
        info = self.info
        return "<Task, not started>" if info is None else f"<Task {plain_text(info).splitlines()[0]}>"

    def __reduce__(self) -> tuple[Callable[[str | None], Task], tuple[str | None]]:
        """In another process it is a handle of the same task, without callbacks and observers."""
        return _attached, (self._task_id,)

    # -- starting ------------------------------------------------------------------------------------------------

    def start(self, task_type: str, input: Any = None, /, **fields: Any) -> Task:
        """Starts a task: ``t.start("your-task", {"param1": "x"})`` or ``t.start("your-task", param1="x")``.

        ``input`` may be a dict, struct, dataclass or model. Gives the handle itself. Raises TaskTypeNotFoundError,
        InvalidInputError, BadParameterError, TooManyWaitingError, NoSpaceError, StorageError, WorkersUnavailableError;
        TaskLiveError while an earlier task of this handle has not ended.
        """
        self._refuse_second()
        info = self._manager.start(task_type, _input(input, fields), origin=origin(), beside=workers_beside(),
                                   **self._options)
        return self._started(info)

    def start_worker(self, worker: Worker[..., Any], input: Mapping[str, Any]) -> Task:
        """Starts a function under ``@task`` that this process has; it travels by value. Raises as ``start`` does."""
        from .worker_pickle import dump_worker

        self._refuse_second()
        given = _input(None, input)
        worker.convert(given)
        return self._started(self._manager.start_function(worker.name, dump_worker(worker), given, origin=origin(),
                                                          **self._options))

    def _started(self, info: TaskInfo) -> Task:
        Task.last = self
        return self._follow(info)

    def attach(self, task_id: str) -> Task:
        """Follows a task that is there already. Raises TaskNotFoundError."""
        self._refuse_second()
        return self._follow(self._manager.info(task_id))

    def _refuse_second(self) -> None:
        if self._task_id is not None and not self.is_done:
            raise TaskLiveError("its handle can't start another one")

    # -- what it says --------------------------------------------------------------------------------------------

    @property
    def task_id(self) -> str | None:
        """The task's id; None before it is started."""
        return self._task_id

    @property
    def task_type(self) -> str | None:
        """The task's type; None before it is started."""
        return None if self._known is None else self._known.task_type

    @property
    def is_done(self) -> bool:
        """Whether the task has ended, in whatever way."""
        info = self.info
        return info is not None and info.is_ended

    @property
    def info(self) -> TaskInfo | None:
        """All there is to say of the task now; None before it is started."""
        if self._task_id is not None and self._known is not None and not self._known.is_ended:
            try:
                self._known = self._manager.info(self._task_id)
            except TaskNotFoundError:  # forgotten in the meantime: the last that was known
                pass
        return self._known

    def items(self) -> list[Any]:
        """The partial results so far, as the worker emitted them."""
        return read_items(self._folder())

    def to_frame(self) -> pandas.DataFrame:
        """The partial results so far, a row for each. Columns and dtypes are those that the task type declares
        (``@task(items=…)``), else what the values share; see ``sse_tasks.items.frame_of``."""
        return frame_of(self.items(), read_item_schema(self._folder()))

    def metrics(self) -> pandas.DataFrame:
        """What the worker measured so far (``ctx.metric``): a row for each point, with the columns ``name``, ``value``,
        ``step`` and ``time``. ``t.metrics().pivot_table(index="time", columns="name", values="value")`` has a column
        for each name."""
        return frame_of_metrics(read_metrics(self._folder()))

    def output(self) -> str:
        """What the task has printed so far, on stdout and stderr."""
        try:
            with open(self._folder().open_part("output.log"), "rb") as file:
                return file.read().decode(errors="replace")
        except NothingThereError:
            return ""

    def files(self) -> dict[str, Path]:
        """The task's artifacts so far, by name."""
        folder = self._folder()
        return {file["name"]: folder.files_path / file["name"] for file in folder.files()}

    def updates(self, cursor: int = 0) -> Updates:
        """Its updates, one after another to its end: ``for update in t.updates()``, or ``async for``.

        From the first one, or from a ``cursor`` on (``Updates.cursor``, ``TaskInfo.cursor``).
        """
        return Updates(self._manager, self._id(), cursor)

    # -- what can be asked of it ---------------------------------------------------------------------------------

    def pause(self) -> None:
        """Asks it to pause at its next checkpoint. Raises TaskEndedError."""
        self._manager.ask(self._id(), "pause")

    def resume(self) -> None:
        """Asks it to go on. Raises TaskEndedError."""
        self._manager.ask(self._id(), "resume")

    def abort(self) -> None:
        """Asks it to end. Raises TaskEndedError."""
        self._manager.ask(self._id(), "abort")

    def restart(self, *, fresh: bool = False) -> Task:
        """Starts a new task with the same input once this one has ended, and gives the new one's handle.

        It goes on from the last saved checkpoint, with the items up to there; ``fresh`` is from the beginning. What was
        asked of this handle (callbacks, observers) holds for the new one too. Raises TaskLiveError, TaskNotFoundError,
        and what ``start`` raises.
        """
        info = self._manager.restart(self._id(), fresh=fresh, origin=origin())
        self._known = self._manager.info(self._id())  # it says now what it was restarted as
        if self._view is not None:
            self._view.refresh()
        new = Task(on_complete=self._on_complete, on_error=self._on_error, manager=self._manager, **self._options)
        new._cell = self._cell
        new._trait_notifiers = {name: {kind: list(called) for kind, called in kinds.items()}
                                for name, kinds in self._trait_notifiers.items()}
        return new._started(info)

    def wait(self, timeout: float | None = None) -> Any:
        """Waits for its end and gives its result. Ctrl-C, or ``timeout`` seconds, end the waiting, not the task.

        Raises TaskFailedError, TaskAbortedError, TimeoutError, BadParameterError.
        """
        return self._outcome(end_of(self._manager, self._id(), timeout))

    def __await__(self) -> Generator[Any, None, Any]:
        return self._ended().__await__()

    async def _ended(self) -> Any:
        return self._outcome(await end_of_async(self._manager, self._id()))

    def _outcome(self, info: TaskInfo) -> Any:
        self._known = info
        if self._view is not None:
            self._view.settle()  # now, while the cell that waited still runs: what comes later, nbclient doesn't take
        if info.status is Status.FAILED:
            raise TaskFailedError(info.task_id, info.error or "The task failed.", info.code or "worker_error")
        if info.status is Status.ABORTED:
            raise TaskAbortedError(info.task_id, info.message or "The task was aborted.")
        return self.result

    # -- how it shows itself -------------------------------------------------------------------------------------

    def show(self) -> None:
        """Displays the live view in the cell that runs now."""
        self._shown_view().show()

    def mark_shown(self) -> None:
        """Says that this cell shows the task already: as its last value, it isn't shown a second time."""
        self._shown_at = getattr(shell(), "execution_count", None)

    def _ipython_display_(self) -> None:
        shown_at, self._shown_at = self._shown_at, None
        if shown_at is not None and shown_at == getattr(shell(), "execution_count", None):
            return
        if self._known is None:
            print(repr(self))
        else:
            self.show()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return ({"text/plain": repr(self)}, {}) if self._known is None else self._shown_view().bundle()

    def _shown_view(self) -> TaskView:
        self._id()
        info = self.info
        assert info is not None
        if self._view is None:
            self._view = TaskView(self._manager, info)
        return self._view

    # -- following -----------------------------------------------------------------------------------------------

    def _follow(self, info: TaskInfo) -> Task:
        self._catch_up()  # what nobody has been told yet of the task before
        self._task_id, self._known = info.task_id, info
        self._told = _NOTHING
        self._loaded, self._view, self._is_called = [], None, False
        if self._on_complete is not None or self._on_error is not None:
            _awaited.add(self)
        self._stop = watch_weakly(self._manager, info.task_id, self, Task._hear)
        self._hear()  # for what happened before
        return self

    def _hear(self) -> None:
        """On the manager's thread: something may have grown."""
        if self._loop is None:
            self._catch_up()
        elif not self._is_called:
            self._is_called = True
            try:
                self._loop.call_soon_threadsafe(self._catch_up)
            except RuntimeError:  # the kernel is leaving
                pass

    def _catch_up(self) -> None:
        """Tells observers what has changed, and at the end the callbacks, once."""
        self._is_called = False
        with self._lock:
            stop, info = self._stop, self.info
            if stop is None or info is None:
                return
            if info.is_ended:
                self._stop = None
                stop()
            before, self._told = self._told, {
                "status": info.status, "progress": info.progress, "message": info.message, "error": info.error,
                "is_connected": not info.is_ended}
        for name, new in self._told.items():
            if new != before[name]:
                self._call(self._notify, name, before[name], new)
        if info.is_ended:
            self._tell_end(info)

    def _tell_end(self, info: TaskInfo) -> None:
        _awaited.discard(self)
        on_complete, on_error = self._on_complete, self._on_error
        if info.status is Status.COMPLETED:
            # A result may be large: it is read for those only who ask for it.
            if any(self._trait_notifiers.get(name) for name in ("result", traitlets.All)):
                self._call(lambda: self._notify("result", None, self.result))
            if on_complete is not None:
                self._call(lambda: on_complete(self.result))
        elif info.status is Status.FAILED and on_error is not None:
            self._call(on_error, info.error or "The task failed.")

    def _notify(self, name: str, old: Any, new: Any) -> None:
        self.notify_change(traitlets.Bunch(name=name, old=old, new=new, owner=self, type="change"))

    def _call(self, function: Callable[..., object], *args: Any) -> None:
        """As the handle's cell did. What a callback raises is shown there, and stops nothing."""
        try:
            self._cell.run(function, *args)
        except Exception:  # a person's own code, called from ours
            self._cell.run(traceback.print_exc)

    def _status(self) -> Status:
        info = self.info
        return Status.IDLE if info is None else info.status

    def _of_info(self, field: str) -> Any:
        return getattr(self.info, field, None)

    def _result(self) -> Any:
        info = self.info
        if info is None or info.status is not Status.COMPLETED:
            return None
        if not self._loaded:
            self._loaded.append(load_result(self._folder()))
        return self._loaded[0]

    def _id(self) -> str:
        if self._task_id is None:
            raise BadParameterError("task", "nothing has been started with this handle yet: t.start(type, input)")
        return self._task_id

    def _folder(self) -> TaskFolder:
        return self._manager.folder(self._id())


def _attached(task_id: str | None) -> Task:
    return Task() if task_id is None else Task().attach(task_id)


def _input(whole: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    try:
        given = to_json({} if whole is None else whole)
        if not isinstance(given, dict):
            raise TypeError(f"{type(whole).__name__} has no fields.")
        return given | to_json(dict(fields))
    except (TypeError, ValueError) as error:
        raise BadParameterError("input", f"it can't be written as JSON: {error}") from None
