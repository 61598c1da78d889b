"""The checker of chaos runs, on runs that are written by hand: one that is right, and each fault that it must see."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ..chaos.build import BREAKS, make_copy
from ..chaos.checker import check
from ..chaos.evidence import read_evidence
from ..chaos.world import last_update

TASK = "1" * 26
AGAIN = "2" * 26
GONE = "4" * 26
RUNNER, KEEPER, FORKSERVER = 101, 100, 99
ITEM_BYTES = 22  # of a line of items.jsonl


AT = datetime.fromisoformat("2026-11-24T10:00:00.000Z").timestamp()


def claim(key: str) -> str:
    return hashlib.sha256(f"chaos-steps\0{key}".encode()).hexdigest()


class Book:
    """A run's folder that is written by hand: two attempts of one task, a task that was restarted from it with a key,
    and one that was forgotten."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for folder in (f"d/tasks/{TASK}", f"d/tasks/{AGAIN}", f"archive/{GONE}", "d/waiting", "traces", "seen",
                       "overviews"):
            (home / folder).mkdir(parents=True)
        for task_id, more in ((TASK, {"retries": 1}), (AGAIN, {"restartOf": TASK, "claim": claim("key-1")})):
            self.write(f"d/tasks/{task_id}/task.json", [{"taskId": task_id, "taskType": "chaos-steps", **more}])
        self.write(f"archive/{GONE}/task.json", [{"taskId": GONE, "taskType": "chaos-plain"}])
        self.log = [
            self.update("idle", "status"),
            self.update("running", "status", startedAt="2026-11-24T10:00:01.000Z"),
            self.update("running", "items", items=3, startedAt="2026-11-24T10:00:01.000Z"),
            self.update("running", "status", items=2, attempt=2, startedAt="2026-11-24T10:00:01.000Z"),
            self.update("paused", "status", items=2, attempt=2, startedAt="2026-11-24T10:00:01.000Z"),
            self.update("running", "status", items=2, attempt=2, startedAt="2026-11-24T10:00:01.000Z"),
            self.update("aborted", "status", items=3, attempt=2, startedAt="2026-11-24T10:00:01.000Z",
                        timestamp="2026-11-24T10:00:09.000Z"),
        ]
        self.items = [{"n": 0, "run": "r1"}, {"n": 1, "run": "r1"}, {"n": 2, "run": "r2"}]
        self.tail = [{"n": 2, "run": "r1"}]
        self.checkpoint: Any = {"items_bytes": 2 * ITEM_BYTES, "state": {"next": 2}}
        self.trace: list[list[Any]] = [
            ["start", "r1", RUNNER, KEEPER, FORKSERVER, 1, None],
            *(["emitting", "r1", 0], ["emitted", "r1", 0], ["emitting", "r1", 1], ["emitted", "r1", 1]),
            *(["saving", "r1", 2], ["saved", "r1", 2], ["emitting", "r1", 2], ["emitted", "r1", 2]),
            ["start", "r2", RUNNER + 10, KEEPER, FORKSERVER, 2, {"next": 2}],
            *(["emitting", "r2", 2], ["emitted", "r2", 2], ["emitting", "r2", 3]),
        ]
        self.again_log = [
            self.update("idle", "status", taskId=AGAIN, timestamp="2026-11-24T10:01:00.000Z"),
            self.update("running", "status", taskId=AGAIN, startedAt="2026-11-24T10:01:01.000Z"),
            self.update("completed", "result", taskId=AGAIN, items=3, result=3, startedAt="2026-11-24T10:01:01.000Z",
                        timestamp="2026-11-24T10:01:02.000Z"),
        ]
        self.again_items = [*self.items[:2], {"n": 2, "run": "r3"}]
        self.again_trace: list[list[Any]] = [
            ["start", "r3", 301, 300, FORKSERVER, 1, {"next": 2}], ["emitting", "r3", 2], ["emitted", "r3", 2],
            ["returned", "r3", 3]]
        self.again_result: Any = 3
        self.gone_log = [
            self.update("idle", "status", taskId=GONE),
            self.update("running", "status", taskId=GONE, startedAt="2026-11-24T10:00:01.000Z"),
            self.update("completed", "result", taskId=GONE, result="plain", startedAt="2026-11-24T10:00:01.000Z",
                        timestamp="2026-11-24T10:00:02.000Z"),
        ]
        self.forgets = [{"task": GONE}]
        self.forgotten: list[dict[str, Any]] = [{"task": GONE, "at": AT + 20}]
        self.keys = [{"key": "key-1", "type": "chaos-steps", "restart_of": TASK, "fresh": False},
                     {"key": "key-2", "type": "chaos-steps"}]
        self.keyed = [{"key": "key-1", "task": AGAIN, "status": 201}, {"key": "key-1", "task": AGAIN, "status": 200}]
        self.overview: list[dict[str, Any]] | None = None
        self.seen: list[dict[str, Any]] | None = None
        self.kernel: list[dict[str, Any]] | None = None
        self.kills = [{"kind": "runner", "pid": RUNNER, "task": TASK, "at": 0}]
        self.asked = [{"task": TASK, "action": "abort", "at": 0}]
        self.started = [{"task": TASK, "at": AT}, {"task": AGAIN, "at": AT + 60}, {"task": GONE, "at": AT}]
        self.answers: list[dict[str, Any]] = []

    @staticmethod
    def update(status: str, kind: str, **more: Any) -> dict[str, Any]:
        return {"type": kind, "taskId": TASK, "timestamp": "2026-11-24T10:00:00.000Z", "status": status} | more

    def events(self, log: list[dict[str, Any]] | None = None) -> list[tuple[int, bytes]]:
        """A log's cursors and lines; those of the first task."""
        found, cursor = [], 0
        for update in self.log if log is None else log:
            line = json.dumps(update).encode()
            cursor += len(line) + 1
            found.append((cursor, line))
        return found

    def stream(self) -> list[dict[str, Any]]:
        """What a client saw that came back once."""
        events = [{"id": cursor, "data": line.decode()} for cursor, line in self.events()]
        return [{"task": TASK, "from_end": False}, {"after": 0}, *events[:3], {"after": events[2]["id"]}, *events[3:],
                {"done": "end"}]

    def told(self) -> list[dict[str, Any]]:
        """What a client of the overview stream was told, over two connections."""
        cursors = [cursor for cursor, _ in self.events()]
        gone = [cursor for cursor, _ in self.events(self.gone_log)]
        again = self.events(self.again_log)[-1][0]
        return [{"connect": AT + 0.5, "server": "a"}, self.snapshot(TASK, cursors[0], "idle", 0.6),
                self.snapshot(GONE, gone[0], "idle", 0.6), {"ready": AT + 0.7},
                self.snapshot(TASK, cursors[2], "running", 2), self.snapshot(GONE, gone[2], "completed", 3),
                self.snapshot(TASK, cursors[-1], self.log[-1]["status"], 9), {"gone": GONE, "at": AT + 20},
                {"broken": AT + 50},
                {"connect": AT + 59, "server": "b"}, {"ready": AT + 60},
                self.snapshot(AGAIN, again, "completed", 62), {"quiet": AT + 70}, {"broken": AT + 70}]

    @staticmethod
    def snapshot(task_id: str, cursor: int, status: str, after: float) -> dict[str, Any]:
        return {"task": task_id, "cursor": cursor, "status": status, "at": AT + after}

    def write(self, name: str, lines: list[Any], text: str = "") -> None:
        (self.home / name).write_text("".join(json.dumps(line) + "\n" for line in lines) + text)

    def faults(self) -> list[str]:
        """What the checker says of it."""
        task, again = f"d/tasks/{TASK}", f"d/tasks/{AGAIN}"
        self.write(f"{task}/events.jsonl", self.log)
        self.write(f"{task}/items.jsonl", self.items)
        self.write(f"{task}/items-1.jsonl", self.tail)
        if self.checkpoint is not None:
            self.write(f"{task}/checkpoint.json", [self.checkpoint])
        self.write(f"{again}/events.jsonl", self.again_log)
        self.write(f"{again}/items.jsonl", self.again_items)
        if self.again_result is not None:
            self.write(f"{again}/result.json", [self.again_result])
        self.write(f"archive/{GONE}/events.jsonl", self.gone_log)
        self.write(f"archive/{GONE}/result.json", ["plain"])
        self.write(f"traces/{GONE}.jsonl", [["start", "r4", 401, 400, FORKSERVER, None, None, True],
                                            ["returned", "r4", "plain"]])
        self.write("overviews/overview-1.jsonl", self.told() if self.overview is None else self.overview)
        self.write(f"traces/{TASK}.jsonl", self.trace)
        self.write(f"traces/{AGAIN}.jsonl", self.again_trace)
        self.write("seen/http-1.jsonl", self.stream() if self.seen is None else self.seen)
        kernel = [{"task": TASK, "from_end": False}, *({"id": cursor, "status": json.loads(line).get("status", "idle")}
                                                      for cursor, line in self.events()), {"done": "end"}]
        self.write("seen/kernel-a-1.jsonl", kernel if self.kernel is None else self.kernel)
        for name in ("kills", "asked", "started", "answers", "forgets", "forgotten", "keys", "keyed"):
            self.write(f"{name}.jsonl", getattr(self, name))
        return check(read_evidence(self.home))


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_a_run_without_a_fault_has_none(book: Book) -> None:
    """Attempts, a pause, a restart with a key, an abort, a reconnect, a task forgotten: all as it has to be."""
    book.answers = [{"task": TASK, "status": "paused", "cursor": book.events()[4][0]}]

    assert book.faults() == []


def second_end(book: Book) -> None:
    book.log.append(book.log[-1])


def late_progress(book: Book) -> None:
    book.log.append(book.log[2])


def no_end(book: Book) -> None:
    del book.log[-1]


def back_to_idle(book: Book) -> None:
    book.log.insert(3, book.update("idle", "status"))


def half_a_picture(book: Book) -> None:
    book.log.insert(3, {"type": "status", "taskId": TASK})


def completed_at_once(book: Book) -> None:
    del book.again_log[1]


def grown_in_pause(book: Book) -> None:
    book.log.insert(5, book.log[4] | {"type": "items", "items": 3})


def attempt_too_many(book: Book) -> None:
    book.log[-1]["attempt"] = 3


def abort_by_nobody(book: Book) -> None:
    book.asked = []


def death_for_no_reason(book: Book) -> None:
    book.log[-1] |= {"type": "error", "status": "failed", "code": "worker_died", "error": "…"}
    book.kills = []


def result_and_abort(book: Book) -> None:
    book.write(f"d/tasks/{TASK}/result.json", [3])


def wrong_result(book: Book) -> None:
    book.again_result = 4


def completed_without_return(book: Book) -> None:
    del book.again_trace[-1]


def item_lost(book: Book) -> None:
    book.tail = []


def item_doubled(book: Book) -> None:
    book.items.insert(1, book.items[0])


def items_swapped(book: Book) -> None:
    book.items[0], book.items[1] = book.items[1], book.items[0]


def item_of_nobody(book: Book) -> None:
    book.items.append({"n": 9, "run": "r2"})


def miscounted(book: Book) -> None:
    book.log[-1]["items"] = 4


def gap_of_a_dead_keeper(book: Book) -> None:
    book.kills = [{"kind": "keeper", "pid": KEEPER, "task": TASK, "at": 0}]
    book.items = [book.items[0], book.items[2]]


def two_at_a_time(book: Book) -> None:
    book.trace.append(["emitting", "r1", 3])


def run_too_many(book: Book) -> None:
    book.again_trace.insert(0, ["start", "r0", 301, 300, FORKSERVER, 1, {"next": 2}])


def older_state_found(book: Book) -> None:
    book.trace[9][6] = None


def state_lost(book: Book) -> None:
    book.checkpoint = None


def state_without_its_items(book: Book) -> None:
    book.checkpoint["items_bytes"] = ITEM_BYTES


def restart_from_another_state(book: Book) -> None:
    book.again_trace[0][6] = {"next": 1}


def restart_without_items(book: Book) -> None:
    del book.again_items[0]


def start_forgotten(book: Book) -> None:
    book.started.append({"task": "3" * 26})


def update_not_seen(book: Book) -> None:
    book.seen = book.stream()
    del book.seen[6]


def update_seen_twice(book: Book) -> None:
    book.seen = book.stream()
    book.seen.insert(6, book.seen[4])


def update_seen_that_is_none(book: Book) -> None:
    book.seen = book.stream()
    book.seen[3] = {"id": 77, "data": "{}"}


def end_not_seen(book: Book) -> None:
    book.seen = book.stream()
    del book.seen[-2]


def end_waited_for(book: Book) -> None:
    book.seen = [*book.stream()[:5], {"done": "never"}]


def reset_seen(book: Book) -> None:
    book.seen = book.stream()
    book.seen.insert(5, {"id": None, "data": '{"type":"reset"}'})


def update_missed_by_a_kernel(book: Book) -> None:
    events = book.events()
    book.kernel = [{"task": TASK, "from_end": False}, {"id": events[0][0], "status": "idle"},
                   {"id": events[2][0], "status": "running"}]


def told_otherwise(book: Book) -> None:
    book.answers = [{"task": TASK, "status": "running", "cursor": book.events()[4][0]}]


def told_of_no_update(book: Book) -> None:
    book.answers = [{"task": TASK, "status": "running", "cursor": 5}]


def mark_left(book: Book) -> None:
    (book.home / "d" / "waiting" / TASK).touch()


def half_a_folder_left(book: Book) -> None:
    (book.home / "d" / "tasks" / f".new-{TASK}").mkdir()


def seen_while_it_ran(book: Book) -> None:
    book.write("faults.jsonl", [{"fault": "a process of a task that has ended is there"}])


def lost_without_a_wish(book: Book) -> None:
    book.forgets, book.forgotten = [], []


def lost_whole(book: Book) -> None:
    shutil.rmtree(book.home / f"d/tasks/{AGAIN}")
    book.faults = lambda: check(read_evidence(book.home))  # type: ignore[method-assign]
    book.write(f"traces/{AGAIN}.jsonl", book.again_trace)


def forgotten_and_there(book: Book) -> None:
    book.forgets.append({"task": AGAIN})
    book.forgotten.append({"task": AGAIN, "at": AT + 80})


def forgotten_twice(book: Book) -> None:
    book.forgotten.append({"task": GONE, "at": AT + 21})


def told_gone_and_there(book: Book) -> None:
    book.seen = [*book.stream()[:5], {"done": "gone"}]


def written_after_it_was_forgotten(book: Book) -> None:
    book.gone_log.append(book.gone_log[1])


def two_of_one_key(book: Book) -> None:
    book.write(f"d/tasks/{TASK}/task.json", [{"taskId": TASK, "taskType": "chaos-steps", "retries": 1,
                                              "claim": claim("key-1")}])


def answer_of_another_key(book: Book) -> None:
    book.keyed.append({"key": "key-2", "task": AGAIN, "status": 200})


def two_new_ones(book: Book) -> None:
    book.keyed[1]["status"] = 201


def key_of_another_restart(book: Book) -> None:
    book.keys[0]["restart_of"] = GONE


def key_of_nobody(book: Book) -> None:
    book.keys, book.keyed = [], []


def overview_tells_otherwise(book: Book) -> None:
    book.overview = book.told()
    book.overview[4]["status"] = "paused"


def overview_goes_back(book: Book) -> None:
    book.overview = book.told()
    book.overview.insert(7, book.overview[4])


def overview_lacks_what_lives(book: Book) -> None:
    book.overview = book.told()
    del book.overview[1]


def overview_stops_before_the_end(book: Book) -> None:
    book.overview = book.told()
    book.overview[-3] |= {"cursor": book.events(book.again_log)[1][0], "status": "running"}


def overview_tells_of_nobody(book: Book) -> None:
    book.overview = book.told()
    book.overview[1]["task"] = "3" * 26


def overview_forgets_to_say_gone(book: Book) -> None:
    book.overview = book.told()
    del book.overview[7]


def overview_says_gone_of_one_that_is_there(book: Book) -> None:
    book.overview = book.told()
    book.overview[7]["gone"] = TASK


def overview_brings_back_what_is_gone(book: Book) -> None:
    book.overview = book.told()
    book.overview.insert(8, book.overview[5] | {"at": AT + 30})


@pytest.mark.parametrize("spoil,words", [
    (lost_without_a_wish, "nobody wanted it to be forgotten"), (lost_whole, "its worker ran, and it is not there"),
    (forgotten_and_there, "it was forgotten, and it is there"), (forgotten_twice, "forgotten 2 times"),
    (told_gone_and_there, "is not there, and it is"), (written_after_it_was_forgotten, "behind its terminal update"),
    (two_of_one_key, "it made 2 tasks"), (answer_of_another_key, "was not made with it"),
    (two_new_ones, "several were told"), (key_of_another_restart, "it was to restart"),
    (key_of_nobody, "a key that nobody sent"), (overview_tells_otherwise, "the log says otherwise"),
    (overview_goes_back, "and before at"), (overview_lacks_what_lives, "which lived"),
    (overview_stops_before_the_end, "all was quiet"), (overview_tells_of_nobody, "which is not there"),
    (overview_forgets_to_say_gone, "not told that task"), (overview_says_gone_of_one_that_is_there, "nobody wanted"),
    (overview_brings_back_what_is_gone, "came back"),
    (second_end, "2 terminal updates"), (late_progress, "behind its terminal update"), (no_end, "has not ended"),
    (back_to_idle, "from running (started) to idle"), (half_a_picture, "no full picture"),
    (completed_at_once, "(not started) to completed"),
    (grown_in_pause, "while it was paused"), (attempt_too_many, "attempt 3"), (abort_by_nobody, "nobody had asked"),
    (death_for_no_reason, "no reason that is known"), (result_and_abort, "has a result and is aborted"),
    (wrong_result, "its worker returned 3"), (completed_without_return, "had not returned"), (item_lost, "are lost"),
    (item_doubled, "items twice"), (items_swapped, "out of order"), (item_of_nobody, "never emitted"),
    (miscounted, "counts 4 items"), (gap_of_a_dead_keeper, "has a gap"), (two_at_a_time, "r1 went on after run r2"),
    (run_too_many, "ran 2 times in 1 attempts"), (older_state_found, "2 had been saved"),
    (state_lost, "state 2 was saved"), (state_without_its_items, "comes with 1 items"),
    (restart_from_another_state, "where {'next': 2} was saved"), (restart_without_items, "has not its first 2 items"),
    (start_forgotten, "is not there"), (update_not_seen, "never came"), (update_seen_twice, "twice or too late"),
    (update_seen_that_is_none, "not in the log"), (end_not_seen, "1 updates never came"),
    (end_waited_for, "never saw it"), (reset_seen, "has no cursor"), (update_missed_by_a_kernel, "never came"),
    (told_otherwise, "was told running"), (told_of_no_update, "where no update ends"), (mark_left, "waiting/"),
    (half_a_folder_left, "left behind"), (seen_while_it_ran, "a process of a task"),
], ids=lambda value: value.__name__ if callable(value) else "")
def test_each_fault_is_seen(book: Book, spoil: Callable[[Book], None], words: str) -> None:
    """Whatever is spoilt in a good run is told, in words that say what it is."""
    spoil(book)

    assert any(words in fault for fault in book.faults()), book.faults()


def test_what_a_dead_keeper_had_not_written_may_be_missing(book: Book) -> None:
    """Items in the pipe survive the runner, not the keeper: what no update has counted is not promised then."""
    del book.trace[9:]  # one attempt, ended by its keeper's death
    book.trace += [["emitting", "r1", 3], ["emitted", "r1", 3]]
    book.items, book.tail = [{"n": number, "run": "r1"} for number in range(3)], []
    dead = book.update("failed", "error", items=3, code="worker_died", error="…", startedAt="2026-11-24T10:00:01.000Z")
    book.log[3:] = [dead]
    book.again_items = [*book.items[:2], book.again_items[2]]

    assert any("are lost: [3]" in fault for fault in book.faults())
    book.kills = [{"kind": "keeper", "pid": KEEPER, "task": TASK, "at": 0}]
    assert book.faults() == []


def test_items_that_an_update_has_counted_are_there(book: Book) -> None:
    """Also when the keeper was killed: they are written before the line that counts them."""
    test_what_a_dead_keeper_had_not_written_may_be_missing(book)
    book.log[2]["items"] = 4

    assert any("counts 4 items, and 3 are there" in fault for fault in book.faults())


@pytest.mark.parametrize("broken", list(BREAKS))
def test_builds_can_be_broken(tmp_path: Path, broken: str) -> None:
    """What a broken build replaces is in the library as it is now."""
    code = make_copy(tmp_path, broken)

    assert (code / "sse_tasks_server").is_dir()


def test_the_last_update_is_the_last_whole_line(tmp_path: Path) -> None:
    """What is torn, or no JSON, isn't there; long logs are read from their end."""
    log = tmp_path / "events.jsonl"
    first, last = b'{"a":"' + b"x" * 20_000 + b'"}\n', b'{"b":2}\n'

    log.write_bytes(first + last + b"garbage\n" + b'{"c"')
    assert last_update(log) == ({"b": 2}, len(first + last))
    log.write_bytes(first + b'{"c"')
    assert last_update(log)[1] == len(first)
    log.write_bytes(b"")
    assert last_update(log) == ({}, 0)
