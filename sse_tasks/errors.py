"""Every error that a person may meet: a class with a stable code, an HTTP status, and a sentence that it builds itself.

Messages say what to do. Foreign errors (OSError and the like) are mapped to these at the boundary, once.
"""

from __future__ import annotations

import bisect
import difflib
import re
from collections.abc import Iterable

__all__ = [
    "BadParameterError",
    "IdempotencyConflictError",
    "InputTooLargeError",
    "InvalidInputError",
    "NoSpaceError",
    "NotAuthorizedError",
    "NotJsonError",
    "NotSignedInError",
    "NothingThereError",
    "SseTasksError",
    "StartInProgressError",
    "StorageError",
    "TaskAborted",
    "TaskAbortedError",
    "TaskEndedError",
    "TaskError",
    "TaskFailedError",
    "TaskInUseError",
    "TaskLiveError",
    "TaskNotFoundError",
    "TaskTypeNotFoundError",
    "TooManyWaitingError",
    "WorkerDefinitionError",
    "WorkerLoadError",
    "WorkersUnavailableError",
]

RESERVED_CODES = frozenset({
    "worker_error", "worker_died", "timeout", "memory", "invalid_output", "invalid_input", "not_found",
    "files_limit", "result_limit", "disk_full", "host_lost", "terminated",
})
"""Codes of a failed task that only the library gives."""

_COMPARED = 1000
"""The most names that are all compared with what somebody wrote."""

_CODE = re.compile(r"[a-z0-9_]{1,40}")


def near_names(name: str, names: Iterable[str], prefix: str = "") -> str:
    """`` Did you mean …?`` with the nearest of ``names``, else what there is, else nothing."""
    known = sorted(set(names))
    if len(known) > _COMPARED:  # by their likeness it would take a second for 20,000
        at = bisect.bisect(known, name)  # around it are those that begin alike
        around = known[max(0, at - 50): at + 50]
        near = difflib.get_close_matches(name, around, n=3, cutoff=0.8)
        return f" Did you mean {' or '.join(prefix + n for n in near)}?" if near else ""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return f" Did you mean {' or '.join(prefix + n for n in near)}?"
    if known:
        shown = ", ".join(prefix + n for n in known[:12])
        return f" There {'is' if len(known) == 1 else 'are'}: {shown}{', …' if len(known) > 12 else ''}."
    return ""


class SseTasksError(Exception):
    """What all errors of this library have in common.

    ``code`` is stable, ``status`` the HTTP status, ``errors`` a list of ``{"path", "message"}`` where single fields
    are at fault, ``str()`` one sentence for a person.
    """

    code = "error"
    status = 500

    def __init__(self, message: str, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []

    @property
    def message(self) -> str:
        return str(self)


class NotJsonError(SseTasksError):
    code, status = "not_json", 400

    def __init__(self, detail: str) -> None:
        super().__init__(f"The body is not JSON: {detail}")


class NotAuthorizedError(SseTasksError):
    """Somebody who is known lacks the right."""

    code, status = "forbidden", 403


class NotSignedInError(SseTasksError):
    """Nobody knows who asks. Not 401: Jupyter answers so, and browsers would show a window of their own."""

    code, status = "not_signed_in", 403

    def __init__(self) -> None:
        super().__init__("Log in, or send a token in the header Authorization; "
                         "with a cookie, send its _xsrf as X-XSRFToken too.")


class TaskTypeNotFoundError(SseTasksError):
    code, status = "not_found", 404

    def __init__(self, task_type: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no task type {task_type!r}.{near_names(str(task_type), known)}")


class TaskNotFoundError(SseTasksError):
    code, status = "not_found", 404

    def __init__(self, task_id: str, known: Iterable[str] = ()) -> None:
        near = difflib.get_close_matches(task_id, list(known), n=3, cutoff=0.7)
        hint = (f" Did you mean {' or '.join(near)}?" if near
                else " It may have been forgotten; %tasks --all lists those there are.")
        super().__init__(f"There is no task {task_id!r}.{hint}")


class NothingThereError(SseTasksError):
    """A task that has no such result, file or other part."""

    code, status = "not_found", 404


class TaskEndedError(SseTasksError):
    """A request to a task that has ended."""

    code, status = "task_ended", 409

    def __init__(self, action: str, status: str) -> None:
        super().__init__(f"The task can't be asked to {action}: it is {status} already.")


class TaskLiveError(SseTasksError):
    """Something that needs an ended task."""

    code, status = "task_live", 409

    def __init__(self, what: str) -> None:
        super().__init__(f"The task has not ended yet, so {what}. Wait for its end, or abort it.")


class TaskInUseError(SseTasksError):
    """Forgetting a task while somebody copies from it, or the other way round."""

    code, status = "task_in_use", 409

    def __init__(self, task_id: str) -> None:
        super().__init__(f"The task {task_id} is just being restarted or forgotten by another process. "
                         "Try again in a moment.")


class IdempotencyConflictError(SseTasksError):
    """A key that was used for something else."""

    code, status = "idempotency_conflict", 409

    def __init__(self, key: str, task_id: str) -> None:
        super().__init__(f"The idempotency key {key!r} belongs to the task {task_id}, which was started with another "
                         "input, or restarted from another task or otherwise. Take a new key for something new.")


class InputTooLargeError(SseTasksError):
    code, status = "input_too_large", 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"The input is larger than the {limit:,} bytes that are allowed (max_input_bytes). "
                         "Put the data into a file and pass its name.")


class InvalidInputError(SseTasksError):
    """The input doesn't fit the task type's schema; ``errors`` lists each field at fault."""

    code, status = "invalid_input", 422

    def __init__(self, task_type: str, errors: list[dict[str, str]]) -> None:
        faults = [f"{e['path']}: {e['message']}" if e["path"] else e["message"] for e in errors]
        told = "; ".join([*(fault.rstrip(".") for fault in faults[:-1]), *faults[-1:]])
        super().__init__(f"The input of {task_type} doesn't fit: {told}", errors)


class BadParameterError(SseTasksError):
    """A start option, list parameter or the like that makes no sense."""

    code, status = "invalid_parameter", 422

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}", [{"path": path, "message": message}])


class WorkersUnavailableError(SseTasksError):
    """No forkserver could be started for an interpreter."""

    code, status = "workers_unavailable", 503

    def __init__(self, interpreter: str, why: str) -> None:
        super().__init__(f"No task can start with {interpreter}: {why}")


class TooManyWaitingError(SseTasksError):
    """The queue is as long as it may be."""

    code, status = "too_many_waiting", 503

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting:,} task{'s wait' if waiting != 1 else ' waits'} already, as many as may "
                         "(TaskManager.max_waiting). Try again when some have had their turn, or abort some.")


class StartInProgressError(SseTasksError):
    """Another process is starting a task with the same idempotency key, and takes its time."""

    code, status = "start_in_progress", 503

    def __init__(self, key: str) -> None:
        super().__init__(f"A task with the idempotency key {key!r} is just being started. Try again in a moment.")


class NoSpaceError(SseTasksError):
    """Less space than has to stay free."""

    code, status = "no_space", 507

    def __init__(self, path: object, free: str, needed: str) -> None:
        super().__init__(f"Only {free} are free at {path}, and {needed} must stay free (TaskManager.min_free_bytes). "
                         "Free some space, forget some tasks, or set another folder: TaskManager.data_dir.")


class StorageError(SseTasksError):
    """The data folder can't be written."""

    code, status = "storage_unwritable", 507

    def __init__(self, path: object, why: str) -> None:
        super().__init__(f"{path} can't be written ({why}). Free some space or set another folder: "
                         "TaskManager.data_dir or SSE_TASKS_DATA_DIR.")


class WorkerDefinitionError(SseTasksError, TypeError):
    """A ``@task`` that can't work as it is written: told where it is defined."""

    code, status = "bad_worker", 422


class WorkerLoadError(SseTasksError):
    """A worker's module that can't be imported."""

    code, status = "not_found", 404

    def __init__(self, task_type: str, source: str, why: str) -> None:
        super().__init__(f"The worker of {task_type} can't be loaded from {source}: {why}")


class TaskFailedError(SseTasksError):
    """Raised by ``wait()`` for a task that failed. ``code`` says how (``worker_error``, ``worker_died``, …)."""

    def __init__(self, task_id: str, error: str, code: str) -> None:
        super().__init__(error)
        self.task_id = task_id
        self.code = code


class TaskAbortedError(SseTasksError):
    """Raised by ``wait()`` for a task that was aborted."""

    code = "aborted"

    def __init__(self, task_id: str, message: str) -> None:
        super().__init__(message)
        self.task_id = task_id


class TaskError(SseTasksError):
    """For workers: ``raise TaskError("The shop is closed", code="closed")`` fails with a sentence for people.

    ``code`` matches ``[a-z0-9_]{1,40}`` and is none of the library's own.
    """

    def __init__(self, message: str, code: str = "task_error") -> None:
        super().__init__(message)
        if not _CODE.fullmatch(code) or code in RESERVED_CODES:
            raise ValueError(f"TaskError code {code!r} must match [a-z0-9_]{{1,40}} and be none of "
                             f"{', '.join(sorted(RESERVED_CODES))}.")
        self.code = code


class TaskAborted(BaseException):
    """Raised in a plain function where it stands when its task is aborted. Let it pass; clean up in ``finally``."""
