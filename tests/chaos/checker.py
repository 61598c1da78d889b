"""What has to hold after a chaos run, and every place where it doesn't. Pure: evidence in, faults in words out.

What is promised of items: an item whose ``emit`` has returned is in the pipe, which survives the runner. So it is there
unless its keeper was killed; then there is what the keeper had written: the first items without a gap, and at least as
many as any update has counted. What is promised of a saved state is the same, and that the items that belong to it are
there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .evidence import ENDED, Evidence, Run, Seen, Task
from .promises import check_answers, check_forgotten, check_keys, check_overviews

__all__ = ["check"]

NEXT = {
    "idle": {"idle", "paused", "running", "failed", "aborted"},
    "running": {"running", "paused", "completed", "failed", "aborted"},
    "paused": {"paused", "running", "completed", "failed", "aborted"},
}
NEXT_BEFORE_START = {"idle": NEXT["idle"], "paused": {"paused", "idle", "failed", "aborted"}}
TYPE_OF_END = {"completed": "result", "failed": "error", "aborted": "status"}
MOST_OF_ONE = 6
"""Of one task, so many faults are told."""
LONG_LOG_BYTES = 1 << 20
"""Of a log that is no longer, a reader may skip nothing."""
SPARE_SECONDS = 5.0
"""A process that was forked ahead may be killed in the moment in which it is given a task."""


def check(evidence: Evidence) -> list[str]:
    """Every fault, as a sentence that begins with what it is about."""
    faults = list(evidence.faults)
    for task in evidence.tasks.values():
        kills = [kill for kill in evidence.kills if _concerns(kill, task)]
        asked = {one["action"] for one in evidence.asked if one["task"] == task.task_id}
        found = [*check_log(task), *check_end(task, kills, asked), *check_runs(task, kills),
                 *check_restart(task, evidence.tasks)]
        if len(found) > MOST_OF_ONE:
            found[MOST_OF_ONE:] = [f"{len(found) - MOST_OF_ONE} more like these"]
        faults += [f"task {task.task_id} ({task.spec.get('taskType')}): {fault}" for fault in found]
    for one in evidence.started:
        if one["task"] not in evidence.tasks:
            faults.append(f"task {one['task']}: its start was confirmed, and it is not there")
    for seen in evidence.seen:
        faults += [f"client {seen.client} of task {seen.task_id}: {fault}" for fault in
                   check_seen(seen, evidence.tasks.get(seen.task_id))]
    for check_all in (check_answers, check_forgotten, check_keys, check_overviews):
        faults += check_all(evidence)
    faults += [f"waiting/{name} is there, and nothing waits" for name in evidence.waiting]
    faults += [f"tasks/{name} was left behind" for name in evidence.unfinished]
    return faults


def _concerns(kill: dict[str, Any], task: Task) -> bool:
    """Whether a kill can be why a task, or an attempt of it, ended."""
    if kill["kind"] not in ("runner", "keeper", "spare"):
        return False
    if kill["kind"] == "spare":
        pids = {pid for run in task.runs for pid in (run.pid, run.keeper)}
        return kill["pid"] in pids or any(abs(kill["at"] - moment) < SPARE_SECONDS for moment in task.moments)
    return kill["task"] == task.task_id


def check_log(task: Task) -> Iterator[str]:
    """One terminal update, nothing behind it, and states only as the table allows."""
    if not task.log:
        yield "its log holds no update"
        return
    ends = [update for _, _, update in task.log if update.get("status") in ENDED]
    if not ends:
        yield f"it has not ended: its last update is {task.last}"
    if len(ends) > 1:
        yield f"it has {len(ends)} terminal updates: {[(u['status'], u.get('code')) for u in ends]}"
    if task.after_end:
        yield f"behind its terminal update stands {task.after_end[:300]!r}"
    before: dict[str, Any] | None = None
    for _, _, update in task.log:
        if before is not None and before.get("status") in ENDED:
            return  # said above
        if update.get("status") not in {*NEXT, *ENDED}:
            yield f"an update that is no full picture: {update}"
            continue
        yield from _check_update(task, before, update)
        before = update


def _check_update(task: Task, before: dict[str, Any] | None, update: dict[str, Any]) -> Iterator[str]:
    status = update.get("status")
    if update.get("taskId") != task.task_id:
        yield f"an update of another task: {update}"
    if before is None:
        if status != "idle" or update.get("startedAt"):
            yield f"its first update is {status}"
        return
    has_started = bool(before.get("startedAt"))
    allowed = NEXT if has_started else NEXT_BEFORE_START
    if status not in allowed.get(before["status"], ()):
        yield f"it went from {before['status']} ({'' if has_started else 'not '}started) to {status}"
    if has_started and not update.get("startedAt"):
        yield f"it had started, and then had not: {update}"
    if status == "completed" and not update.get("startedAt"):
        yield "it completed and had never started"
    attempt, attempt_before = update.get("attempt", 1), before.get("attempt", 1)
    if attempt not in (attempt_before, attempt_before + 1) or attempt > 1 + task.spec.get("retries", 0):
        yield f"attempt {attempt} came after {attempt_before}, with {task.spec.get('retries', 0)} retries"
    if attempt == attempt_before:
        grown = update.get("items", 0) - before.get("items", 0)
        if grown < 0 and status not in ENDED:  # a dead keeper may have counted what a cut took away
            yield f"it had {before.get('items')} items, and then {update.get('items', 0)}"
        if grown > 0 and before["status"] == "paused" and status == "paused" and has_started:
            yield f"it emitted {grown} items while it was paused"
    requested = update.get("requested")
    if (requested == "pause" and status != "running") or (requested == "abort" and status not in ("running", "paused")):
        yield f"{requested} is requested of one that is {status}"
    if status in ENDED:
        if update.get("type") != TYPE_OF_END[status]:
            yield f"it {status}, said by a line of type {update.get('type')}"
        if status == "failed" and not (update.get("code") and update.get("error")):
            yield f"it failed without a code or a sentence: {update}"


def check_end(task: Task, kills: list[dict[str, Any]], asked: set[str]) -> Iterator[str]:
    """It ended as it had to: by what its worker did, by what was killed, or by what was asked."""
    if not task.is_ended:
        return
    last = task.last
    status, code = last["status"], last.get("code")
    returned = [run for run in task.runs if run.has_returned]
    if task.result is not None and status != "completed":
        yield f"it has a result and is {status}"
    match status:
        case "completed":
            if not returned:
                yield "it completed, and its worker had not returned"
            elif task.result is None or task.result[0] != returned[-1].returned:
                yield f"its result is {task.result}, and its worker returned {returned[-1].returned!r}"
        case "aborted":
            if "abort" not in asked:
                yield f"it was aborted ({code}), and nobody had asked for it"
        case "failed":
            known = {"worker_died": bool(kills), "timeout": task.spec.get("timeout") is not None,
                     "worker_error": any(run.has_raised for run in task.runs)}
            if not known.get(code, False):
                yield f"it failed with {code} for no reason that is known: {last.get('error')!r}"
    if last.get("items", 0) != len(task.items):
        yield f"its end counts {last.get('items', 0)} items, and there are {len(task.items)}"


def check_runs(task: Task, kills: list[dict[str, Any]]) -> Iterator[str]:
    """Its worker ran once for each attempt, never twice at a time, and what it did is there."""
    yield from task.overlaps
    if task.bad_items:
        yield f"{task.bad_items} of its items are garbled"
    attempts = max((update.get("attempt", 1) for _, _, update in task.log), default=1)
    if len(task.runs) > attempts:
        yield f"its worker ran {len(task.runs)} times in {attempts} attempts"
    killed = {kill["pid"] for kill in kills}
    own = {run.name for run in task.runs}
    there: dict[str, list[int]] = {}
    for item in (*task.items, *task.tails):
        there.setdefault(item["run"], []).append(item["n"])
    before: Run | None = None
    for run in task.runs:
        keeper_lives = run.keeper not in killed
        yield from _check_items(run, there.get(run.name, []), keeper_lives)
        if before is not None:
            yield from _check_saved(before, run, before.keeper not in killed)
        before = run
    foreign = [item for item in task.items if item["run"] not in own]
    if foreign and not task.spec.get("restartOf"):
        yield f"{len(foreign)} items are of no run of its worker"
    yield from _check_order(task, own)
    yield from _check_counts(task)
    yield from _check_checkpoint(task, killed)


def _check_items(run: Run, there: list[int], keeper_lives: bool) -> Iterator[str]:
    if len(set(there)) != len(there):
        yield f"run {run.name}: items twice: {sorted({n for n in there if there.count(n) > 1})[:10]}"
        return
    known = [number for number in run.emitting if number in run.emitted or number in there]
    if unknown := set(there) - set(run.emitting):
        yield f"run {run.name}: items that it never emitted: {sorted(unknown)[:10]}"
    elif keeper_lives and there != known:
        missing = [number for number in known if number not in there]
        yield (f"run {run.name}: {len(missing)} of {len(known)} items are lost: {missing[:10]}" if missing else
               f"run {run.name}: its items are out of order: {there[:20]}")
    elif not keeper_lives and there != known[:len(there)]:
        yield f"run {run.name}: what its dead keeper wrote has a gap: {there[-10:]} of {known[:len(there) + 5][-15:]}"


def _check_saved(before: Run, run: Run, keeper_lived: bool) -> Iterator[str]:
    """A further attempt goes on from a state that the one before had saved, the last one if its keeper lived."""
    found = run.found["next"] if run.found else None
    known = before.found["next"] if before.found else None
    if found != known and found not in before.saving:
        yield f"run {run.name}: found {found}, which run {before.name} never saved"
    least = before.saved[-1] if keeper_lived and before.saved else known
    if least is not None and (found is None or found < least):
        yield f"run {run.name}: found {found}, and {least} had been saved"


def _check_order(task: Task, own: set[str]) -> Iterator[str]:
    """The numbers go up, and each run begins where what was kept of the one before ends."""
    number, run = -1, None
    for item in task.items:
        if item["n"] <= number:
            yield f"item {item['n']} comes after item {number}"
            return
        # Within a run of its own the trace says what has to be there; a stubborn one may begin at any number.
        if (item["n"] != number + 1 and (item["run"] != run or run not in own)
                and task.spec.get("taskType") != "chaos-stubborn"):
            yield f"items {number + 1} to {item['n'] - 1} are missing"
        number, run = item["n"], item["run"]


def _check_counts(task: Task) -> Iterator[str]:
    """No update counts items that aren't there. What was cut for a further attempt was there before."""
    for attempt in {update.get("attempt", 1) for _, _, update in task.log}:
        counted = max(update.get("items", 0) for _, _, update in task.log if update.get("attempt", 1) == attempt)
        runs = [run for run in task.runs if run.attempt in (attempt, None)]
        if not runs:
            continue
        run = runs[-1]
        own = [item["n"] for item in (*task.items, *task.tails) if item["run"] == run.name]
        first = run.found["next"] if run.found else 0
        if counted > first + len(own):
            yield f"attempt {attempt}: an update counts {counted} items, and {first + len(own)} are there"


def _check_checkpoint(task: Task, killed: set[int]) -> Iterator[str]:
    """The saved state and the items that belong to it fit together, and it is the last one."""
    checkpoint = task.checkpoint
    least = [run.saved[-1] for run in task.runs if run.saved and run.keeper not in killed]
    if checkpoint is None or checkpoint.get("state") is None:
        if least:
            yield f"the state {least[-1]} was saved, and there is none"
        return
    number = checkpoint["state"]["next"]
    length = checkpoint["items_bytes"]
    if length and length not in task.item_ends:
        yield f"its checkpoint stands at {length}, where no item of items.jsonl ends"
    elif (count := task.item_ends.index(length) + 1 if length else 0) != number:
        yield f"its checkpoint {number} comes with {count} items"
    if least and number < least[-1]:
        yield f"the state {least[-1]} was saved, and {number} is there"


def check_restart(task: Task, tasks: dict[str, Task]) -> Iterator[str]:
    """A restart goes on from the state of the one before, with the items that belong to it."""
    old = tasks.get(task.spec.get("restartOf") or "")
    if old is None:
        if task.spec.get("restartOf"):
            yield f"it restarts {task.spec['restartOf']}, which is not there"
        return
    if old.restarted_as is not None and old.restarted_as not in tasks:
        yield f"{old.task_id} says that it was restarted as {old.restarted_as}, which is not there"
    if not old.is_ended or old.last["timestamp"] > task.log[0][2].get("timestamp", "~"):
        yield f"it restarts {old.task_id}, which had not ended"
    foreign = [item for item in task.items if item["run"] not in {run.name for run in task.runs}]
    state = old.checkpoint["state"] if old.checkpoint else None
    if not foreign and (not task.runs or task.runs[0].found is None):
        return  # afresh, or from one that had saved nothing
    if task.runs and task.runs[0].found != state:
        yield f"it restarts {old.task_id} from {task.runs[0].found}, where {state} was saved"
    count = old.item_ends.index(old.checkpoint["items_bytes"]) + 1 if old.checkpoint and old.checkpoint[
        "items_bytes"] in old.item_ends else 0
    if task.items[:count] != old.items[:count]:
        yield f"it restarts {old.task_id}, and has not its first {count} items"


def check_seen(seen: Seen, task: Task | None) -> Iterator[str]:
    """What a client saw is the log from its beginning, each line once, to the end if it came to one."""
    if task is None:
        if seen.events:
            yield "the task is gone"
        return
    if seen.done == "gone" and not task.is_forgotten:
        yield "it was told that the task is not there, and it is"
    if seen.done == "never":
        yield f"it waited for the end and never saw it: {len(seen.events)} of {len(task.log)} updates came"
    is_kernel = seen.client.startswith("kernel")
    log = [(cursor, (update.get("status") or "idle").encode() if is_kernel else line)
           for cursor, line, update in task.log]
    at = log.index(seen.events[0]) if seen.from_end and seen.events and seen.events[0] in log else 0
    for number, (cursor, line) in enumerate(seen.events):
        if cursor is None:
            yield f"event {number + 1} has no cursor: {line[:200]!r}"
            continue
        if at < len(log) and log[at] == (cursor, line):
            at += 1
            continue
        if (cursor, line) not in log:
            yield f"event {number + 1} is not in the log: {cursor} {line[:200]!r}"
            return
        place = log.index((cursor, line))
        if place < at:
            yield f"event {number + 1} came twice or too late: {cursor}"
            return
        if not _may_skip(task, at, place):
            yield f"{place - at} updates before event {number + 1} never came: {log[at][1][:200]!r}"
            return
        at = place + 1
    for count, after in seen.afters:
        had = next((cursor for cursor, _ in reversed(seen.events[:count]) if cursor is not None), 0)
        if after != had:
            yield f"it came back with cursor {after} and had {had}"  # the client's own fault: nothing else would show
    if seen.done == "end" and task.is_ended and at != len(log):
        yield f"it was told the end, and {len(log) - at} updates never came"
    if seen.done == "end" and not task.is_ended:
        yield "it was told the end of a task that has not ended"


def _may_skip(task: Task, begin: int, stop: int) -> bool:
    """Of a very long log a reader may skip progress that is older than the next line of another type."""
    if task.log[-1][0] <= LONG_LOG_BYTES:
        return False
    return all(update["type"] == "progress" for _, _, update in task.log[begin:stop])
