"""What is settled when a task starts: options checked, settings resolved, all of it written into its spec."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from .errors import BadParameterError, InvalidInputError
from .hosts.local import host_id, is_own, own_folder
from .labels import NO_LABEL, is_label
from .settings import TaskSettings
from .types import TaskSpec, new_task_id, now_iso
from .wire import to_plain

__all__ = ["MOST_RETRIES", "new_spec", "settled", "tag_list"]

MOST_RETRIES = 100


def new_spec(settings: TaskSettings, task_type: str, worker: dict[str, str], input: Mapping[str, Any], *,
             name: str | None = None, tags: Iterable[str] = (), timeout: float | None = None, retries: int = 0,
             interpreter: str | None = None, origin: Mapping[str, str] | None = None) -> TaskSpec:
    """Everything about a new task. Raises BadParameterError, InvalidInputError."""
    if timeout is None:
        timeout = settings.default_timeout
    if timeout is not None and (not isinstance(timeout, Real) or not 0 < timeout < float("inf")):
        raise BadParameterError("timeout", "a number of seconds greater than 0 is needed")
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MOST_RETRIES:
        raise BadParameterError("retries", f"a whole number from 0 to {MOST_RETRIES} is needed")
    if name is not None and (not isinstance(name, str) or not name.strip() or len(name) > 200):
        raise BadParameterError("name", "1 to 200 characters are needed")
    if name is not None and not is_label(name):
        raise BadParameterError("name", NO_LABEL)
    tags = tag_list(tags)
    try:
        input = to_plain(dict(input))
    except TypeError as error:
        raise InvalidInputError(task_type, [{"path": "", "message": str(error)}]) from None
    own = interpreter is None or is_own(interpreter)
    cwd = own_folder()
    return TaskSpec(task_type=task_type, worker=worker, input=input, name=name, tags=tags,
                    interpreter=interpreter or sys.executable, cwd=cwd,
                    sys_path=[entry or cwd for entry in sys.path] if own else [],
                    origin=dict(origin or {}), timeout=timeout, retries=retries, **settled(settings))


def settled(settings: TaskSettings) -> dict[str, Any]:
    """What whoever starts or restarts a task decides, by being who they are: names, time, place and limits."""
    task_id = new_task_id()
    return {
        "task_id": task_id, "created_at": now_iso(), "environ": sorted(os.environ), "host": host_id(),
        "max_running": settings.max_running, "abort_grace": settings.abort_grace, "retry_delay": settings.retry_delay,
        "memory_limit": settings.memory_limit, "output_limit": settings.output_limit,
        "files_limit": settings.files_limit, "result_limit": settings.result_limit, "item_limit": settings.item_limit,
        "runtime_dir": settings.socket_dir, "temp_dir": os.path.join(tempfile.gettempdir(), f"sse-task-{task_id}")}


def tag_list(tags: str | Iterable[str]) -> list[str]:
    """Tags as a task has them, each once; a bare text is one tag. Raises BadParameterError."""
    if not isinstance(tags, Iterable):
        raise BadParameterError("tags", f"a list of texts is needed, not {tags!r:.80}")
    given = [tags] if isinstance(tags, str) else list(tags)
    if any(not isinstance(tag, str) or not tag.strip() or len(tag) > 100 for tag in given):
        raise BadParameterError("tag", "1 to 100 characters are needed")
    if not all(map(is_label, given)):
        raise BadParameterError("tag", NO_LABEL)
    return list(dict.fromkeys(given))
