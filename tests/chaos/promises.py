"""What has to hold of all tasks together after a chaos run: what clients were told of them, which of them were
forgotten, and which were made with a key."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .evidence import Connection, Evidence, Task

__all__ = ["check_answers", "check_forgotten", "check_keys", "check_overviews"]

LATE_SECONDS = 20.0
"""Later than that nothing may be told to who is connected."""
CLOCK_SECONDS = 0.5
"""A moment that a client noted is so much later than the moment itself, at most, on a busy machine."""


def check_answers(evidence: Evidence) -> Iterator[str]:
    """Each TaskInfo that a client was given said what the log says at its cursor."""
    for answer in evidence.answers:
        task = evidence.tasks.get(answer["task"])
        if task is None:
            yield f"task {answer['task']}: a client was told of it, and it is not there"
            continue
        update = next((update for cursor, _, update in task.log if cursor == answer["cursor"]), None)
        if update is None:
            yield f"task {answer['task']}: a client was told of cursor {answer['cursor']}, where no update ends"
        elif update.get("status") != answer["status"]:
            yield (f"task {answer['task']}: a client was told {answer['status']} at cursor {answer['cursor']}, where "
                   f"the log says {update.get('status')}")


def check_forgotten(evidence: Evidence) -> Iterator[str]:
    """What is not there was to be forgotten; what was answered to be forgotten is not there, and was so once."""
    for task_id, count in Counter(line["task"] for line in evidence.forgotten).items():
        task = evidence.tasks.get(task_id)
        if task is not None and not task.is_forgotten:
            yield f"task {task_id}: it was forgotten, and it is there"
        if count > 1:
            yield f"task {task_id}: it was forgotten {count} times"
    for task in evidence.tasks.values():
        if task.is_forgotten and task.task_id not in evidence.forgets:
            yield f"task {task.task_id}: it is not there, and nobody wanted it to be forgotten"
    for task_id in evidence.traced:
        if task_id not in evidence.tasks:
            yield f"task {task_id}: its worker ran, and it is not there"


def check_keys(evidence: Evidence) -> Iterator[str]:
    """A key makes one task, however often it was sent; and all that had an answer were told of that one."""
    made: dict[str, list[Task]] = {}
    for task in evidence.tasks.values():
        if claim := task.spec.get("claim"):
            made.setdefault(claim, []).append(task)
    answers: dict[str, list[dict[str, Any]]] = {}
    for answer in evidence.keyed:
        answers.setdefault(answer["key"], []).append(answer)
    for sent in evidence.keys:
        key = sent["key"]
        tasks = made.pop(hashlib.sha256(f"{sent['type']}\0{key}".encode()).hexdigest(), [])
        there = {task.task_id for task in tasks}
        told = {answer["task"] for answer in answers.get(key, ())}
        if len(there) > 1:
            yield f"{key}: it made {len(there)} tasks: {sorted(there)}"
        if not told <= there:
            yield f"{key}: {sorted(told - there)} was the answer, and was not made with it"
        if sum(answer["status"] == 201 for answer in answers.get(key, ())) > 1:
            yield f"{key}: several were told that theirs is a new task"
        for task in tasks:
            if task.spec.get("restartOf") != sent.get("restart_of"):
                yield f"{key}: it was to restart {sent.get('restart_of')}, and restarted {task.spec.get('restartOf')}"
    for tasks in made.values():
        yield f"task {tasks[0].task_id}: it was made with a key that nobody sent"


def check_overviews(evidence: Evidence) -> Iterator[str]:
    """Each snapshot says what the log says; what lives is there when it is ready; nothing goes back; at last it is
    told."""
    ends = {task.task_id: task.moments[0] if task.is_ended else float("inf") for task in evidence.tasks.values()}
    forgotten = {line["task"]: line["at"] for line in evidence.forgotten}
    begins = {line["task"]: line["at"] for line in evidence.started if "at" in line}
    for one in evidence.overviews:
        who = f"{one.client} at server {one.server}"
        last: dict[str, int] = {}
        gone: set[str] = set()
        for _, task_id, cursor, status in one.snapshots:
            task = evidence.tasks.get(task_id)
            if task is None:
                yield f"{who}: it was told of task {task_id}, which is not there"
            elif not _says(task, cursor, status):
                yield f"{who}: it was told {status} of task {task_id} at cursor {cursor}, where the log says otherwise"
            if cursor < last.get(task_id, 0):
                yield f"{who}: it was told of task {task_id} at cursor {cursor}, and before at {last[task_id]}"
            last[task_id] = cursor
        for moment, task_id in one.gone:
            gone.add(task_id)
            if task_id not in evidence.forgets:
                yield f"{who}: it was told that task {task_id} is gone, and nobody wanted it to be forgotten"
            if any(at > moment for at, other, _, _ in one.snapshots if other == task_id):
                yield f"{who}: task {task_id} came back after it was gone"
        if one.ready is not None:
            told = {task_id for at, task_id, _, _ in one.snapshots if at <= one.ready}
            for task_id, began in begins.items():
                if began < one.began and ends.get(task_id, 0.0) > one.ready + CLOCK_SECONDS and task_id not in told:
                    yield f"{who}: it was ready, and had not been told of task {task_id}, which lived"
        yield from _check_last(one, who, evidence, last, gone, forgotten)


def _check_last(one: Connection, who: str, evidence: Evidence, last: dict[str, int], gone: set[str],
                forgotten: dict[str, float]) -> Iterator[str]:
    for task_id, cursor in last.items():
        task = evidence.tasks.get(task_id)
        if task is None or task_id in gone:
            continue
        if one.quiet and not task.is_forgotten and cursor != task.log[-1][0]:
            yield f"{who}: all was quiet, and the last that it was told of task {task_id} was cursor {cursor}"
        told_before = any(at < forgotten.get(task_id, 0.0) for at, other, _, _ in one.snapshots if other == task_id)
        if told_before and one.ended is not None and one.ended > forgotten[task_id] + LATE_SECONDS:
            yield f"{who}: it was not told that task {task_id} is gone"


def _says(task: Task, cursor: int, status: str) -> bool:
    return any(status == update.get("status") for at, _, update in task.log if at == cursor)
