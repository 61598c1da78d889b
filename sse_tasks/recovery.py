"""What becomes of a task whose processes are gone, from whoever holds its log: keeper, forkserver, recoverer.

Another attempt where it deserves one, else the one terminal update.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from .errors import TaskNotFoundError
from .folder import TaskFolder, is_terminal
from .log_writer import LogWriter
from .states import Ask, Between, Ended, Ending, Outcome, State, Waiting, status_of, transition
from .types import Status, TaskSpec, now_iso

__all__ = ["INLINE_RESULT_BYTES", "KEPT", "RETRIED_CODES", "NextAttempt", "as_asked", "back_off", "conclude",
           "cut_items", "end_fields", "metrics_bytes", "next_attempt", "say_died", "try_again"]

INLINE_RESULT_BYTES = 1 << 20
"""A result up to this size stands in the terminal update; a larger one only in ``result.json``."""

RETRIED_CODES = frozenset({"worker_died", "timeout"})
"""Ends that another attempt may mend. What the worker itself raised would only be raised again, and a limit reached."""

KEPT = " What it had done is kept."
"""The end of each sentence that says how the processes of a task died."""

_LONGEST_BACK_OFF_SECONDS = 60.0
_SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # the folder is the worker's, too: no link, no FIFO


def _result_fields(folder: TaskFolder) -> dict[str, Any] | None:
    """``result`` and ``resultBytes`` of a terminal update, or None where no result was written."""
    try:
        data = (folder.path / "result.json").read_bytes()
    except OSError:
        return None
    fields: dict[str, Any] = {"resultBytes": len(data)}
    if len(data) <= INLINE_RESULT_BYTES:
        fields["result"] = msgspec.json.decode(data)
    return fields


def end_fields(folder: TaskFolder, outcome: Outcome, error: str) -> dict[str, Any]:
    """What a terminal update says beside the picture: its type, and of the result, the error or the abort."""
    match outcome.status:
        case Status.COMPLETED:
            return {"type": "result", **(_result_fields(folder) or {})}
        case Status.FAILED:
            return {"type": "error", "error": error, "code": outcome.code}
        case _:
            return {"type": "status", "message": "Task aborted", "code": outcome.code}


def say_died(words: str, *, whose: str = "worker", out_of_memory: bool = False) -> str:
    """Why a task has died: ``words`` of how its worker's or keeper's process did. ``KEPT`` may follow."""
    hint = " It was likely out of memory." if out_of_memory else ""
    return f"The {whose}'s process {words}.{hint}"


def as_asked(folder: TaskFolder, state: State) -> tuple[State, int]:
    """What all that was ever asked of a task makes of ``state``, in which nothing runs; and the requests' cursor."""
    actions, cursor = folder.requests()
    for action in actions:
        if not isinstance(state, Ending | Ended):
            state, _ = transition(state, Ask(action))  # type: ignore[arg-type]
    return state, cursor


# -- attempts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class NextAttempt:
    """The attempt that follows one that has failed: its number, after how many seconds it begins, and the message that
    announces it."""

    number: int
    delay: float
    message: str


def back_off(spec: TaskSpec, attempt: int) -> float:
    """The seconds between the end of ``attempt`` and the next one's begin: doubled each time, a minute at most."""
    return min(_LONGEST_BACK_OFF_SECONDS, spec.retry_delay * 2.0 ** min(attempt - 1, 30))


def next_attempt(spec: TaskSpec, attempt: int, code: str, reason: str) -> NextAttempt | None:
    """Whether another attempt follows the one that has just failed with ``code``, and which. That no abort was asked is
    for the caller to see to: the state machine knows."""
    if code not in RETRIED_CODES or attempt > spec.retries:
        return None
    delay = back_off(spec, attempt)
    return NextAttempt(number=attempt + 1, delay=delay, message=
                       f"Attempt {attempt + 1} of {spec.retries + 1} in {delay:g} s: {reason}")


def try_again(writer: LogWriter, spec: TaskSpec, reason: str) -> NextAttempt | None:
    """Announces another attempt of a task whose keeper is dead and whose processes are gone, where one follows.

    None where none does: then ``conclude`` says how it has ended. Raises OSError.
    """
    writer.end_torn_line()
    latest = writer.latest()
    state, _ = as_asked(writer.folder, Between())
    if latest is None or is_terminal(latest) or not isinstance(state, Between) or _has_result(writer.folder):
        return None
    following = next_attempt(spec, latest.attempt, "worker_died", reason)
    if following is not None:
        items, metrics = cut_items(writer.folder, latest.attempt)
        update = msgspec.to_builtins(latest) | {
            "type": "status", "timestamp": now_iso(), "status": status_of(state), "requested": None, "items": items,
            "metrics": metrics or None, "attempt": following.number, "message": following.message}
        writer.append(update)
    return following


def _has_result(folder: TaskFolder) -> bool:
    path = folder.path / "result.json"
    return path.is_file() and not path.is_symlink()


def cut_items(folder: TaskFolder, attempt: int) -> tuple[int, int]:
    """Cuts items and metrics to those that belong to the last saved state, from which the next attempt goes on; gives
    how many these are. What ``attempt`` had said after it is kept, as ``items-<attempt>.jsonl`` and
    ``metrics-<attempt>.jsonl``. Raises OSError."""
    try:
        with _opened(folder, "checkpoint.json") as fd, open(fd, "rb", closefd=False) as file:
            saved = json.load(file)
            size = int(saved["items_bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        saved, size = {}, 0
    _cut(folder, "items", size, attempt)
    _cut(folder, "items.exact", _exact_size(folder, size), attempt)
    _cut(folder, "metrics", metrics_bytes(saved), attempt)
    return _count_lines(folder, "items.jsonl"), _count_lines(folder, "metrics.jsonl")


def metrics_bytes(saved: dict[str, Any]) -> int:
    """How much of ``metrics.jsonl`` belongs to a saved checkpoint; none of it where that doesn't say."""
    length = saved.get("metrics_bytes")
    return length if isinstance(length, int) and not isinstance(length, bool) and length > 0 else 0


def _exact_size(folder: TaskFolder, size: int) -> int:
    """How much of ``items.exact.jsonl`` belongs to the first ``size`` bytes of the items."""
    end = 0
    try:
        with _opened(folder, "items.exact.jsonl") as fd, open(fd, "rb", closefd=False) as file:
            for line in file:
                if json.loads(line)["at"] >= size:
                    break
                end += len(line)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no such items; or a line that was torn by a death: it goes with what follows
    return end


def _cut(folder: TaskFolder, name: str, size: int, attempt: int) -> None:
    """The tail is there under its new name before it is gone under the old one."""
    try:
        with _opened(folder, f"{name}.jsonl", os.O_RDWR) as fd:
            if os.fstat(fd).st_size <= size:
                return
            tail = folder.path / f"{name}-{attempt}.jsonl"
            partial = tail.with_name(tail.name + ".partial")
            try:
                with open(partial, "wb") as file:
                    at = size
                    while data := os.pread(fd, 1 << 20, at):
                        at += file.write(data)
                os.rename(partial, tail)
            except OSError:
                partial.unlink(missing_ok=True)
                raise
            os.ftruncate(fd, size)
    except FileNotFoundError:
        pass


@contextmanager
def _opened(folder: TaskFolder, name: str, mode: int = os.O_RDONLY) -> Iterator[int]:
    fd = os.open(folder.path / name, mode | _SAFELY)
    try:
        yield fd
    finally:
        os.close(fd)


# -- the end -------------------------------------------------------------------------------------------------------


def conclude(writer: LogWriter, *, error: str, code: str = "worker_died") -> None:
    """Writes the one terminal update of a task whose processes are gone, if it has none: ``completed`` where a result
    was written, ``aborted`` where that was asked, else ``failed``. Removes its temporary folder."""
    folder = writer.folder
    writer.end_torn_line()  # by which it may turn out to be terminal
    latest = writer.latest()
    if is_terminal(latest):
        return
    try:
        shutil.rmtree(folder.spec().temp_dir, ignore_errors=True)
    except TaskNotFoundError:
        pass
    update: dict[str, Any] = msgspec.to_builtins(latest) if latest else {"taskId": folder.task_id}
    update.pop("requested", None)
    update["timestamp"] = now_iso()
    update["items"] = _count_lines(folder, "items.jsonl")
    update["metrics"] = _count_lines(folder, "metrics.jsonl") or None
    if _has_result(folder):
        outcome = Outcome(status=Status.COMPLETED)
    elif isinstance(as_asked(folder, Waiting())[0], Ending):  # an abort beats everything that has not ended
        outcome = Outcome(status=Status.ABORTED)
    else:
        outcome = Outcome(status=Status.FAILED, code=code)
    writer.append(update | {"status": outcome.status} | end_fields(folder, outcome, error), sync=True)
    with suppress(OSError):
        (folder.path / "processes.json").unlink()


def _count_lines(folder: TaskFolder, name: str) -> int:
    count = 0
    try:
        with _opened(folder, name) as fd:
            while data := os.read(fd, 1 << 20):
                count += data.count(b"\n")
    except OSError:
        pass
    return count
