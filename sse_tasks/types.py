"""What crosses the wire: updates, the picture of a task, what a task type says of itself.

The field names are the wire contract's, camelCase in JSON and snake_case in Python. Every reader ignores what it does
not know. A field that has nothing to say is absent from the JSON and ``None`` (or its default) in Python.
"""

from __future__ import annotations

import enum
import re
import secrets
import time
from typing import Any, Literal

import msgspec

__all__ = [
    "ENDED",
    "FORMAT",
    "Progress",
    "Status",
    "TaskInfo",
    "TaskSpec",
    "TaskTypeInfo",
    "TaskUpdate",
    "is_task_id",
    "is_task_type",
    "new_task_id",
]

FORMAT = 1
"""The task folder's format. A folder of a higher one is listed and not controlled."""

_TASK_TYPE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_TASK_ID = re.compile(r"[0-9a-z]{26}")
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: sorts like the number
_last_moment = 0


class Status(enum.StrEnum):
    """Where a task stands. ``idle`` is: accepted, waiting for its turn."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"


ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.ABORTED})
"""The statuses after which nothing follows."""

UpdateType = Literal["status", "progress", "result", "error", "items", "metrics", "checkpoint", "reset"]


class _Wire(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    pass


class Progress(_Wire):
    """How far a task is: ``percentage`` 0 to 100, ``current`` of ``total`` in the worker's own unit."""

    percentage: float | None = None
    current: int | float | None = None
    total: int | float | None = None
    message: str | None = None


class TaskUpdate(_Wire):
    """One event of a task, and a full picture of it: the latest alone is the state.

    ``type`` says what it was written for. ``timestamp`` and ``started_at`` are ISO 8601 in UTC with milliseconds,
    ``paused_seconds`` is how long the task stood still so far, ``items`` how many partial results it has emitted,
    ``metrics`` how many points of its metrics are kept.
    """

    type: str
    task_id: str = ""
    timestamp: str = ""
    status: Status = Status.IDLE
    message: str | None = None
    progress: Progress | None = None
    requested: Literal["pause", "abort"] | None = None
    items: int = 0
    metrics: int = 0
    attempt: int = 1
    started_at: str | None = None
    paused_seconds: float = 0
    result: Any = None
    result_bytes: int | None = None
    error: str | None = None
    code: str | None = None


class TaskInfo(_Wire):
    """What there is to say of a task, from its folder."""

    task_id: str
    task_type: str
    status: Status
    cursor: int = 0
    name: str | None = None
    tags: list[str] = []
    requested: Literal["pause", "abort"] | None = None
    progress: Progress | None = None
    message: str | None = None
    error: str | None = None
    code: str | None = None
    result: Any = None
    result_bytes: int | None = None
    input: Any = None
    attempt: int = 1
    retries: int = 0
    restart_of: str | None = None
    restarted_as: str | None = None
    created_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    saved_at: str | None = None
    paused_seconds: float = 0
    position: int | None = None
    items: int = 0
    items_bytes: int = 0
    metrics: int = 0
    metrics_bytes: int = 0
    output_bytes: int = 0
    files: int = 0
    origin: dict[str, str] | None = None
    interpreter: str | None = None
    cwd: str | None = None
    host: str | None = None
    format: int = FORMAT

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED


class TaskTypeInfo(_Wire):
    """What a task type says of itself: JSON Schemas of its input and output, where it comes from, or why it can't
    be loaded (``error``, one sentence; then ``input`` is absent). ``items`` is the schema of a partial result."""

    name: str
    doc: str = ""
    input: dict[str, Any] | None = None
    output: dict[str, Any] | None = None
    items: dict[str, Any] | None = None
    source: str = ""
    error: str | None = None


class TaskSpec(_Wire):
    """``task.json``: everything about a task that is settled when it starts, written once.

    ``worker`` says where the code is (see ``registry.load_worker``), ``environ`` holds names only: values travel over
    a socket and never touch the disk. ``claim`` names its idempotency key's file. Times are seconds, sizes
    bytes.
    """

    task_id: str
    task_type: str
    worker: dict[str, str]
    input: Any
    created_at: str
    format: int = FORMAT
    name: str | None = None
    tags: list[str] = []
    interpreter: str = ""
    cwd: str = "/"
    sys_path: list[str] = []
    environ: list[str] = []
    origin: dict[str, str] = {}
    host: str = ""
    restart_of: str | None = None
    claim: str = ""
    retries: int = 0
    retry_delay: float = 1.0
    timeout: float | None = None
    max_running: int = 1
    abort_grace: float = 5.0
    memory_limit: int | None = None
    output_limit: int = 20 << 20
    files_limit: int = 2 << 30
    result_limit: int = 256 << 20
    item_limit: int = 16 << 20
    runtime_dir: str = ""
    temp_dir: str = ""


def is_task_type(name: str) -> bool:
    """Whether ``name`` is shaped like a task type: ``[a-z0-9][a-z0-9-]{0,63}``."""
    return isinstance(name, str) and _TASK_TYPE.fullmatch(name) is not None


def is_task_id(text: str) -> bool:
    """Whether ``text`` is shaped like a task id: 26 characters ``[0-9a-z]``."""
    return isinstance(text, str) and _TASK_ID.fullmatch(text) is not None


def new_task_id() -> str:
    """26 characters: 11 of the time in microseconds, 15 (75 bits) from the system's source of secrets.

    Ids sort by start time, strictly so within one process.
    """
    global _last_moment
    _last_moment = moment = max(time.time_ns() // 1000, _last_moment + 1)
    number = (moment << 75) | secrets.randbits(75)
    return "".join(_DIGITS[(number >> shift) & 31] for shift in range(125, -5, -5))


def now_iso() -> str:
    """This moment as the wire writes it: ``2026-11-24T03:58:00.123Z``."""
    return iso_of(time.time())


def iso_of(moment: float) -> str:
    """A moment, in seconds since the epoch, as the wire writes it."""
    seconds, milliseconds = divmod(int(moment * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03}Z"


# msgspec learns a type when it first meets it, and two threads in which it does at once crash the process.
for _kind in (TaskUpdate, TaskInfo, TaskTypeInfo, TaskSpec):
    msgspec.json.Decoder(_kind)
