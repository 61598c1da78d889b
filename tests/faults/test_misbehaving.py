"""Workers that misbehave harm nobody but themselves, and what they had to say is there."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest
from httpx_sse import connect_sse

from sse_tasks.task_manager import TaskManager
from sse_tasks.worker.results import load_result

from ..places import Place, Task, processes_of, wait_for
from ..server_process import ServerProcess, start_server
from .abort_rounds import WORKERS, manager_of

SERVER_GROWTH_BYTES = 24 << 20
"""What a server may grow by while its tasks produce a thousand times as much."""


@pytest.fixture(scope="module")
def manager(shared_place: Place) -> TaskManager:
    return manager_of(shared_place, grace=1.0)


def start(manager: TaskManager, task_type: str, **input: Any) -> Task:
    return Task(manager, manager.start(task_type, input).task_id)


def gone(task: Task) -> None:
    wait_for("its processes to be gone", lambda: not processes_of(task.task_id))
    assert not task.temp_dir.exists()


# -- what they do to their own process -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", [
    "stdout-closed", "descriptors-0-to-2-closed", "stdout-none", "stdout-replaced", "descriptors-closed",
    "descriptors-closed-one-by-one", "descriptors-taken", "descriptors-scribbled-on", "no-descriptors-allowed",
    "no-file-may-grow", "chdir", "setsid", "signals-replaced", "threads", "threads-exit", "fork-bomb", "garbage",
    "modules-broken", "modules-gone", "settings"])
def test_whatever_a_worker_does_to_its_process_its_reports_arrive(
        shared_place: Place, manager: TaskManager, how: str) -> None:
    """Closed streams and descriptors, no folder to stand in, replaced signal handlers and modules, thousands of
    threads, hundreds of processes: progress, items, state and result come through, and the task is completed."""
    task = start(manager, "misbehave", how=how)

    end = task.end(60)

    assert end.status == "completed", (end, task.output())
    assert end.result == {"how": how} and end.message == "after"
    assert end.progress is not None and end.progress.percentage == 50
    assert [json.loads(line) for line in task.items()][-1] == {"how": how}
    assert json.loads((task.folder.path / "checkpoint.json").read_bytes())["state"] == {"how": how}
    for file in task.folder.files_path.glob("*.txt"):
        assert file.read_text() in ("mine", "from nowhere")
    gone(task)


@pytest.mark.parametrize(("how", "status"), [
    ("children-cancelled", "completed"), ("loop-stopped", "failed"), ("descriptors-closed", "failed")])
def test_whatever_a_coroutine_does_to_its_loop_its_end_is_told(
        shared_place: Place, manager: TaskManager, how: str, status: str) -> None:
    """Thousands of children, a loop that was stopped or has lost its descriptors: a result, or the error."""
    task = start(manager, "misbehave-in-loop", how=how)

    end = task.end()

    assert (end.status, end.code) == (status, None if status == "completed" else "worker_error"), task.output()
    gone(task)


@pytest.mark.parametrize(("how", "code", "words"), [
    ("huge-error", "worker_error", "(cut; the whole is in the task's output)"),
    ("chained-errors", "worker_error", "ValueError: number 2999"),
    ("last-words", "worker_error", "LastWords"),
    ("interrupt", "worker_error", "KeyboardInterrupt: \ufffd"),
    ("exit-in-a-thread", "worker_died", "exited with status 5"),
    ("recursion", "worker_error", "RecursionError"),
    ("broken-and-raises", "worker_error", "ValueError: a reason"),
    ("kills-its-group", "worker_died", "SIGKILL"),
    ("alarm", "worker_died", "SIGALRM"),
    ("default-signal", "worker_died", "was killed by"),
    ("no-json", "invalid_output", "can't be kept"),
    ("angry-result", "invalid_output", "can't be kept"),
    ("circle", "invalid_output", "can't be kept"),
])
def test_however_a_worker_ends_it_is_told_in_words(
        shared_place: Place, manager: TaskManager, how: str, code: str, words: str) -> None:
    """Errors too large or too deep, results that nothing can hold, exits and signals: the code and a sentence."""
    task = start(manager, "end-badly", how=how)

    end = task.end(60)

    assert (end.status, end.code) == ("failed", code), (end, task.output()[-2000:])
    assert words in (end.error or "") and len(end.error or "") < 5000
    assert end.items == 1
    gone(task)


def test_a_worker_that_cannot_report_any_more_says_why_in_its_output(
        shared_place: Place, manager: TaskManager) -> None:
    """Its descriptors closed, and no new ones allowed: its process dies, and its output tells what to leave alone."""
    task = start(manager, "end-badly", how="line-cut")

    end = task.end()

    assert (end.status, end.code, end.items) == ("failed", "worker_died", 1)
    assert "Close only those that you have opened" in task.output()


def test_a_deaf_worker_hears_in_its_ctx(shared_place: Place, manager: TaskManager) -> None:
    """Without the keeper's signal and with every descriptor closed, it is paused, resumed and aborted by its ctx."""
    task = start(manager, "wait-deaf")
    task.until_message("deaf")

    for action, status in (("pause", "paused"), ("resume", "running"), ("abort", "aborted")):
        task.ask(action)
        task.until(status)

    assert task.one_terminal().status == "aborted"
    gone(task)


def test_odd_data_is_valid_for_everybody_and_exact_in_python(shared_place: Place, manager: TaskManager) -> None:
    """NaN, infinities, huge integers and lone surrogates in messages, items, states and results."""
    task = start(manager, "odd-data")

    end = task.end()

    assert end.status == "completed", task.output()
    assert end.result == {"\ufffd": [None, None, str(1 << 80), "a\ufffd"], "\x00": "\u2028"}
    assert end.message == "\ufffd message" and end.progress is not None and end.progress.message == "\ufffd step"
    for line in [*(line for _, line in task.folder.read_log(0)), *task.items()]:
        json.loads(line.decode("ascii"), parse_constant=pytest.fail)
    for odd in (load_result(task.folder), json.loads((task.folder.path / "checkpoint.json").read_bytes())["state"]):
        assert math.isnan(odd["\ud800"][0]) and odd["\ud800"][1:] == [-math.inf, 1 << 80, "a\udfff"]


# -- what they do to everybody else --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(shared_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = start_server(tmp_path_factory.mktemp("server"), "--TaskManager.max_running=8", env={
        "SSE_TASKS_WORKERS": str(WORKERS), "SSE_TASKS_DATA_DIR": str(shared_place.data_dir),
        "SSE_TASKS_RUNTIME_DIR": str(shared_place.home / "r")})
    try:
        with running.client() as client:  # what it loads with its first task is no growth
            follow(client, "report-much", started(client, "report-much", times=10))
        yield running
    finally:
        running.stop()


def started(client: httpx.Client, task_type: str, **input: Any) -> str:
    return client.post(f"/tasks/{task_type}", json=input).json()["taskId"]


def follow(client: httpx.Client, task_type: str, task_id: str) -> list[dict[str, Any]]:
    with connect_sse(client, "GET", f"/tasks/{task_type}", params={"taskId": task_id}, timeout=60) as source:
        return [json.loads(event.data) for event in source.iter_sse() if event.data]


class Pings:
    """Asks a server for its status, again and again, in a thread; sees how large its process becomes."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._process = psutil.Process(server.process.pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ping)
        self.seconds: list[float] = []
        self.before = self._process.memory_info().rss
        self.largest = 0

    def _ping(self) -> None:
        with self._server.client() as client:
            while not self._over.is_set():
                began = time.perf_counter()
                client.get("/status").raise_for_status()
                self.seconds.append(time.perf_counter() - began)
                self.largest = max(self.largest, self._process.memory_info().rss)
                self._over.wait(0.02)

    def __enter__(self) -> Pings:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        return self.largest - self.before


def small_log(task: Task) -> None:
    """The latest of every twentieth of a second is written, and the last."""
    end = task.one_terminal()
    assert end.progress is not None and end.progress.current == 1_000_000
    assert task.folder.log_size() < 1 << 20


def head_and_tail(task: Task) -> None:
    """What is kept is as much as the limit, begins and ends as the output did, and says what is missing."""
    output = (task.folder.path / "output.log").read_bytes()
    assert 1 << 20 < len(output) <= task.folder.spec().output_limit
    assert output.startswith(b"the first line\n") and output.endswith(b"the last line\n")
    assert len([line for line in output.splitlines()[1:-1] if line.strip(b"x")]) == 1


def whole_result(task: Task) -> None:
    """The update says how large it is, and Python gets it."""
    end = task.one_terminal()
    assert end.result is None and end.result_bytes == (task.folder.path / "result.json").stat().st_size > 99 << 20
    assert load_result(task.folder) == ["x" * ((1 << 20) - 3)] * 100


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("task_type", "input", "check"), [
    ("report-much", {"times": 1_000_000}, small_log), ("flood", {"megabytes": 1024}, head_and_tail),
    ("return-much", {"megabytes": 100}, whole_result), ("misbehave", {"how": "threads"}, gone),
    ("misbehave", {"how": "fork-bomb"}, gone)])
def test_a_server_answers_all_the_while_and_does_not_grow(
        manager: TaskManager, server: ServerProcess, task_type: str, input: dict[str, Any],
        check: Callable[[Task], None]) -> None:
    """A million updates, a gigabyte of output, a result of 100 MB, 5,000 threads, a fork bomb: while the server streams
    such a task to three clients it answers others, and its size stays what it was."""
    ends: list[dict[str, Any]] = []

    def watch(task_id: str) -> None:
        with server.client() as client:
            ends.append(follow(client, task_type, task_id)[-1])

    with server.client() as client, Pings(server) as pings:
        task_id = started(client, task_type, **input)
        watchers = [threading.Thread(target=watch, args=(task_id,)) for _ in range(3)]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()
        if check is whole_result:
            with client.stream("GET", f"/tasks/{task_type}/{task_id}/result") as answer:
                assert sum(map(len, answer.iter_raw())) == ends[0]["resultBytes"]

    assert [end["status"] for end in ends] == ["completed"] * 3, ends
    assert len(pings.seconds) > 3
    assert pings.growth < SERVER_GROWTH_BYTES
    check(Task(manager, task_id))
