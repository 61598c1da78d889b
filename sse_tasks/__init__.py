"""Long jobs from a notebook, each in a process of its own, live, with pause, resume and abort."""

from .errors import TaskAborted, TaskAbortedError, TaskError, TaskFailedError
from .registry import task
from .types import Progress, Status, TaskInfo, TaskUpdate
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
    "task",
]
