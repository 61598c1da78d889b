"""Long jobs from a notebook, each in a process of its own, live, with pause, resume and abort."""

from typing import Any

from .errors import TaskAborted, TaskAbortedError, TaskError, TaskFailedError
from .registry import task
from .types import Progress, Status, TaskInfo, TaskUpdate
from .use_task import get_task, list_tasks, start_task, use_task
from .worker.context import AsyncTaskContext, TaskContext

__version__ = "0.1.0"

__all__ = [
    "AsyncTaskContext",
    "Progress",
    "Status",
    "TaskAborted",
    "TaskAbortedError",
    "TaskContext",
    "TaskError",
    "TaskFailedError",
    "TaskInfo",
    "TaskUpdate",
    "get_task",
    "list_tasks",
    "start_task",
    "task",
    "use_task",
]


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext sse_tasks``"""
    from .magics import load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """``%unload_ext sse_tasks``"""
    from .magics import unload

    unload(ipython)
