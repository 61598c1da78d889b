"""What a chaos run leaves behind, read without the library: task folders, traces of the workers, what clients saw, and
what was killed and asked.

::

    d/                    the data folder
    traces/<id>.jsonl     what the task's worker did (see ``workers/shapes.py``)
    seen/<client>.jsonl   {"task", "from_end"}, then {"after"} for each connection and {"id", "data"} for each event (a
                          kernel sees no lines: {"id", "status"}), at last {"done"}
    overviews/<client>.jsonl  what the overview stream told: {"connect", "server"}, {"task", "cursor", "status", "at"}
                          of a snapshot, {"ready"}, {"gone", "at"}, {"quiet"} where there was no more to come,
                          {"broken"}; the values of those without "at" are moments
    archive/<id>          what was there of a task before it was forgotten: further names of the same files
    forgets.jsonl         {"task"}: who was to be forgotten
    forgotten.jsonl       {"task", "at"}: what was answered to be
    keys.jsonl            {"key", "type"} and perhaps {"restart_of", "fresh"}: which keys starts were sent with
    keyed.jsonl           {"key", "task", "status"}: each answer that came to one
    kills.jsonl           {"kind", "pid", "task", "at"}
    asked.jsonl           {"task", "action", "at"}: what was sent, answered or not
    started.jsonl         {"task", "type"} and perhaps {"restart_of", "fresh"}: what was confirmed
    answers.jsonl         {"task", "status", "cursor"} of each TaskInfo that a client was given
    faults.jsonl          {"fault"}: what was wrong while it ran
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

__all__ = ["Evidence", "Run", "Seen", "Task", "read_evidence", "read_lines"]

ENDED = frozenset({"completed", "failed", "aborted"})


@dataclass
class Run:
    """One process that ran a task's worker."""

    name: str
    pid: int
    keeper: int
    forkserver: int
    attempt: int | None
    found: Any
    """``ctx.saved``."""
    is_spawned: bool = False
    """It is an interpreter of its own, not a fork."""
    emitting: list[int] = field(default_factory=list)
    emitted: set[int] = field(default_factory=set)
    saving: list[int] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    has_returned: bool = False
    returned: Any = None
    has_raised: bool = False
    children: list[tuple[int, str, bool]] = field(default_factory=list)
    """Number, moment of its beginning, whether it carries the mark."""


@dataclass
class Task:
    """One task folder, and the trace beside it."""

    task_id: str
    spec: dict[str, Any]
    log: list[tuple[int, bytes, dict[str, Any]]]
    """Cursor after the line, the line, and what it says."""
    after_end: bytes
    """Whatever stands in the log behind the first terminal update."""
    items: list[dict[str, Any]]
    item_ends: list[int]
    """The length of ``items.jsonl`` after each item."""
    tails: list[dict[str, Any]]
    """What was cut from ``items.jsonl``, oldest first."""
    bad_items: int
    checkpoint: dict[str, Any] | None
    result: tuple[Any] | None
    restarted_as: str | None
    runs: list[Run]
    overlaps: list[str]
    """What a run did after a later one had begun."""
    is_forgotten: bool = False
    """It is read from what was kept beside before."""

    @property
    def last(self) -> dict[str, Any]:
        return self.log[-1][2] if self.log else {}

    @property
    def is_ended(self) -> bool:
        return self.last.get("status") in ENDED

    @property
    def moments(self) -> list[float]:
        """When it was given to a process, and when it ended, in seconds since 1970."""
        found = [self.last["timestamp"]] if self.log else []
        attempt = None
        for _, _, update in self.log:
            if update.get("startedAt") and update.get("attempt", 1) != attempt:
                attempt = update.get("attempt", 1)
                found.append(update["timestamp"])
        return [datetime.fromisoformat(text).timestamp() for text in found]


@dataclass
class Seen:
    """What one client saw of a task: over its connections, in its order."""

    client: str
    task_id: str
    from_end: bool
    """It began at the latest update."""
    events: list[tuple[int | None, bytes]]
    """Cursor and line; of what a kernel was given, the status in place of the line."""
    connections: int
    afters: list[tuple[int, int]]
    """For each connection: how many events had come before, and the cursor that it gave."""
    done: str | None


@dataclass
class Connection:
    """What one connection to the overview stream told. Moments are seconds since 1970."""

    client: str
    server: str
    began: float
    snapshots: list[tuple[float, str, int, str]] = field(default_factory=list)
    """When, of which task, at which cursor, in which status."""
    ready: float | None = None
    gone: list[tuple[float, str]] = field(default_factory=list)
    quiet: bool = False
    ended: float | None = None


@dataclass
class Evidence:
    tasks: dict[str, Task]
    seen: list[Seen]
    overviews: list[Connection]
    forgets: set[str]
    forgotten: list[dict[str, Any]]
    keys: list[dict[str, Any]]
    keyed: list[dict[str, Any]]
    traced: list[str]
    """The tasks whose worker left a trace."""
    kills: list[dict[str, Any]]
    asked: list[dict[str, Any]]
    started: list[dict[str, Any]]
    answers: list[dict[str, Any]]
    faults: list[str]
    waiting: list[str]
    unfinished: list[str]
    """Folders of tasks that were never published, or not wholly removed."""


def read_evidence(home: Path) -> Evidence:
    tasks = home / "d" / "tasks"
    folders = [path for path in sorted(tasks.iterdir()) if not path.name.startswith(".")]
    kept = [path for path in sorted((home / "archive").glob("*")) if not (tasks / path.name).exists()]
    read = {path.name: read_task(path, home / "traces" / f"{path.name}.jsonl") for path in (*folders, *kept)}
    for path in kept:
        read[path.name].is_forgotten = True
    return Evidence(
        tasks=read,
        overviews=[one for path in sorted((home / "overviews").glob("*.jsonl")) for one in read_overview(path)],
        forgets={line["task"] for line in read_lines(home / "forgets.jsonl")},
        forgotten=list(read_lines(home / "forgotten.jsonl")),
        keys=list(read_lines(home / "keys.jsonl")),
        keyed=list(read_lines(home / "keyed.jsonl")),
        traced=sorted(path.stem for path in (home / "traces").glob("*.jsonl")),
        seen=[seen for path in sorted((home / "seen").glob("*.jsonl")) if (seen := read_seen(path)) is not None],
        kills=list(read_lines(home / "kills.jsonl")),
        asked=list(read_lines(home / "asked.jsonl")),
        started=list(read_lines(home / "started.jsonl")),
        answers=list(read_lines(home / "answers.jsonl")),
        faults=[line["fault"] for line in read_lines(home / "faults.jsonl")],
        waiting=sorted(path.name for path in (home / "d" / "waiting").iterdir()),
        unfinished=sorted(path.name for path in tasks.iterdir() if path.name.startswith(".")))


def read_lines(path: Path) -> Iterator[Any]:
    """The whole lines of a file that hold JSON; a torn last one is none."""
    try:
        data = path.read_bytes()
    except OSError:
        return
    for line in data[:data.rfind(b"\n") + 1].splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def read_task(path: Path, trace: Path) -> Task:
    log, after_end = _read_log(path / "events.jsonl")
    items, ends, bad = _read_items(path / "items.jsonl")
    tails: list[dict[str, Any]] = []
    for tail in sorted(path.glob("items-*.jsonl"), key=lambda file: int(file.stem.partition("-")[2])):
        found, _, worse = _read_items(tail)
        tails += found
        bad += worse
    runs, overlaps = _read_trace(trace)
    return Task(
        task_id=path.name, spec=_read_json(path / "task.json") or {}, log=log, after_end=after_end, items=items,
        item_ends=ends, tails=tails, bad_items=bad, checkpoint=_read_json(path / "checkpoint.json"),
        result=(_read_json(path / "result.json"),) if (path / "result.json").exists() else None,
        restarted_as=_read_text(path / "restarted_as"), runs=runs, overlaps=overlaps)


def _read_log(path: Path) -> tuple[list[tuple[int, bytes, dict[str, Any]]], bytes]:
    try:
        data = path.read_bytes()
    except OSError:
        return [], b""
    log = []
    after_end = b""
    cursor = 0
    while (stop := data.find(b"\n", cursor)) >= 0:
        line = data[cursor:stop]
        cursor = stop + 1
        try:
            update = json.loads(line)
        except ValueError:
            continue
        if not isinstance(update, dict) or "type" not in update:
            continue
        log.append((cursor, line, update))
        if update.get("status") in ENDED and not after_end:
            after_end = data[cursor:].strip()
    return log, after_end


def _read_items(path: Path) -> tuple[list[dict[str, Any]], list[int], int]:
    try:
        data = path.read_bytes()
    except OSError:
        return [], [], 0
    items, ends, bad, at = [], [], 0, 0
    for line in data.split(b"\n")[:-1]:
        at += len(line) + 1
        try:
            item = json.loads(line)
            items.append({"n": item["n"], "run": item["run"]})
            ends.append(at)
        except (ValueError, KeyError, TypeError):
            bad += 1
    return items, ends, bad


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return None


def _read_trace(path: Path) -> tuple[list[Run], list[str]]:
    runs: dict[str, Run] = {}
    overlaps: list[str] = []
    for kind, name, *what in read_lines(path):
        if kind == "start":
            runs[name] = Run(name, *what)
            continue
        run = runs[name]
        if name != next(reversed(runs)) and (pair := f"run {name} went on after run {next(reversed(runs))} had begun"
                                             ) not in overlaps:
            overlaps.append(pair)
        match kind:
            case "emitting":
                run.emitting.append(what[0])
            case "emitted":
                run.emitted.add(what[0])
            case "saving":
                run.saving.append(what[0])
            case "saved":
                run.saved.append(what[0])
            case "child":
                run.children.append((what[0], what[1], what[2]))
            case "returned":
                run.has_returned, run.returned = True, what[0]
            case "raises":
                run.has_raised = True
    return list(runs.values()), overlaps


def read_seen(path: Path) -> Seen | None:
    seen: Seen | None = None
    for line in read_lines(path):
        if "task" in line:
            seen = Seen(path.stem, line["task"], line["from_end"], [], 0, [], None)
        elif seen is None:
            continue
        elif "after" in line:
            seen.connections += 1
            seen.afters.append((len(seen.events), line["after"]))
        elif "data" in line:
            seen.events.append((line["id"], line["data"].encode()))
        elif "status" in line:
            seen.events.append((line["id"], line["status"].encode()))
        elif "done" in line:
            seen.done = line["done"]
    return seen


def read_overview(path: Path) -> list[Connection]:
    found: list[Connection] = []
    for line in read_lines(path):
        if "connect" in line:
            found.append(Connection(path.stem, line["server"], line["connect"]))
            continue
        one = found[-1]
        if "cursor" in line:
            one.snapshots.append((line["at"], line["task"], line["cursor"], line["status"]))
        elif "ready" in line:
            one.ready = line["ready"]
        elif "gone" in line:
            one.gone.append((line["at"], line["gone"]))
        elif "quiet" in line:
            one.quiet = True
        elif "broken" in line:
            one.ended = line["broken"]
    return found
