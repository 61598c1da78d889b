"""Starting and finding tasks from Python: what notebooks import. The handle itself is ``sse_tasks.handle.Task``.

Imports nothing at its top: ``import sse_tasks`` imports this, also where no task is ever started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .handle import Task
    from .registry import Worker
    from .types import TaskInfo

__all__ = ["get_task", "list_tasks", "start_task", "start_worker", "use_task"]


def use_task(*, on_complete: Callable[[Any], object] | None = None, on_error: Callable[[str], object] | None = None,
             name: str | None = None, tags: Iterable[str] = (), timeout: float | None = None,
             retries: int = 0) -> Task:
    """A handle for a task that is yet to be started: ``use_task(on_complete=print).start("your-task", {…})``.

    ``on_complete`` is called with the result, ``on_error`` with the error of a task that failed (of one that was
    aborted neither is), once, on the kernel's loop; what they print lands in the cell that calls this. ``name`` and
    ``tags`` are for people to find the task by, ``timeout`` is in seconds, pauses not counted. ``retries`` is how many
    further attempts it has (0 to 100) when its processes die or its time is over.
    """
    from .handle import Task

    return Task(on_complete=on_complete, on_error=on_error, name=name, tags=tags, timeout=timeout, retries=retries)


def start_task(task_type: str, input: Any = None, /, **fields: Any) -> Task:
    """Starts a task and gives its handle: ``start_task("scrape-reviews", url="https://…", max_pages=5)``.

    ``input`` is the whole input where that is at hand: a dict, struct, dataclass or model. Raises
    TaskTypeNotFoundError, InvalidInputError, BadParameterError, TooManyWaitingError, NoSpaceError, StorageError,
    WorkersUnavailableError.
    """
    return use_task().start(task_type, input, **fields)


def start_worker(worker: Worker[..., Any], input: Mapping[str, Any]) -> Task:
    """Starts a function under ``@task`` that this process has: what ``your_task.start(param1="x")`` calls."""
    return use_task().start_worker(worker, input)


def get_task(task_id: str | None = None, *, on_complete: Callable[[Any], object] | None = None,
             on_error: Callable[[str], object] | None = None) -> Task:
    """A handle for a task that is there already, whoever started it, running or ended.

    A unique beginning of its id will do. Without an id: this notebook's last task, also after the kernel was restarted;
    where that was restarted (its view has a button), the one that goes on from it.
    The callbacks are ``use_task``'s; of a task that has ended they are called, too. Raises TaskNotFoundError,
    BadParameterError for a beginning that several ids have.
    """
    from .handle import Task

    found = Task(on_complete=on_complete, on_error=on_error)
    if task_id is not None:
        return found.attach(_full_id(task_id))
    if Task.last is not None and Task.last.task_id is not None:
        return found.attach(_newest_restart(Task.last.task_id))
    Task.last = found.attach(_newest_restart(_last_of_notebook()))
    return found


def list_tasks(*, status: str | Iterable[str] = (), type: str | None = None, tag: str | None = None,
               limit: int | None = None) -> list[TaskInfo]:
    """This user's tasks, newest first: those in one of the statuses, of one type, with one tag, ``limit`` at most."""
    from .errors import BadParameterError
    from .task_manager import default_manager
    from .types import Status

    wanted = [status] if isinstance(status, str) or not isinstance(status, Iterable) else list(status)
    for one in wanted:
        if one not in list(Status):
            raise BadParameterError("status", f"{one!r} is none of {', '.join(Status)}")
    return default_manager().list(status=wanted, task_type=type, tag=tag, limit=limit)[0]


def _full_id(beginning: str) -> str:
    from .errors import BadParameterError, TaskNotFoundError
    from .task_manager import default_manager

    if not isinstance(beginning, str):
        raise BadParameterError("task id", f"must be a text, the id or its beginning, not {beginning!r:.80}")
    ids = default_manager().ids()
    found = [task_id for task_id in ids if beginning and task_id.startswith(beginning)]
    if not found:
        raise TaskNotFoundError(beginning, ids)
    if len(found) > 1:
        raise BadParameterError("task id", f"{len(found)} ids begin with {beginning}, the newest is {found[0]}")
    return found[0]


def _newest_restart(task_id: str) -> str:
    """The task that goes on from this one, over any number of restarts; itself where there is none."""
    from .task_manager import default_manager

    manager = default_manager()
    while (following := manager.info(task_id).restarted_as) is not None and following in manager.ids():
        task_id = following
    return task_id


def _last_of_notebook() -> str:
    from .errors import BadParameterError
    from .kernel import notebook
    from .task_manager import default_manager

    manager, here = default_manager(), notebook()
    after: str | None = None
    while here is not None:
        infos, after = manager.list(limit=50, after=after)
        for info in infos:
            if (info.origin or {}).get("notebook") == here:
                return info.task_id
        if after is None:
            break
    raise BadParameterError("task id", "no task was started in this notebook yet; %tasks --all lists those of others")
