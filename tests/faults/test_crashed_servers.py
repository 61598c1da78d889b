"""Servers and kernels that are killed, stopped, or race each other: what they started lives on, and happens once."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from sse_tasks.errors import SseTasksError

from ..places import Place, Task, kill, living, wait_for
from ..server_process import ServerProcess
from .streams import WORKERS, Reader, begun, environment, framed, server_of, steady_input

MANAGER = """
import json
from sse_tasks.errors import SseTasksError
from sse_tasks.task_manager import TaskManager
manager = TaskManager(max_running=%d)
def start(*inputs):
    print(json.dumps([manager.start("steady", input).task_id for input in inputs]))
def attempt(verb, *arguments):
    try:
        verb(*arguments)
        return "done"
    except SseTasksError as error:
        return error.code
"""


class Kernel:
    """A real kernel with a task manager of its own."""

    def __init__(self, place: Place, max_running: int) -> None:
        self._manager, self._client = start_new_kernel(kernel_name="python3", env=os.environ | environment(place))
        self.run(MANAGER % max_running)

    def run(self, code: str) -> Any:
        """Runs a cell; what it prints is JSON."""
        printed = []

        def hook(message: dict[str, Any]) -> None:
            assert message["msg_type"] != "error", message["content"]["traceback"]
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        self._client.execute_interactive(code, timeout=60, output_hook=hook)
        return json.loads("".join(printed) or "null")

    def start(self, *inputs: dict[str, Any]) -> list[str]:
        return self.run(f"start(*{list(inputs)!r})")

    def kill(self) -> None:
        self._manager.provisioner.process.kill()
        self._manager.provisioner.process.wait(60)

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture
def make_server(place: Place) -> Iterator[Callable[..., ServerProcess]]:
    """Jupyter servers on the place's data folder; none is left."""
    made: list[ServerProcess] = []

    def make(*options: str, max_running: int = 20) -> ServerProcess:
        made.append(server_of(place, *options, max_running=max_running))
        return made[-1]

    yield make
    for server in made:
        server.process.kill()
        server.process.wait(60)


@pytest.fixture
def make_kernel(place: Place) -> Iterator[Callable[[int], Kernel]]:
    made: list[Kernel] = []

    def make(max_running: int) -> Kernel:
        made.append(Kernel(place, max_running))
        return made[-1]

    yield make
    for kernel in made:
        kernel.close()


def start_by(server: ServerProcess, *inputs: dict[str, Any]) -> list[str]:
    with server.client() as api:
        return [api.post("/tasks/steady", json=input).json()["taskId"] for input in inputs]


def listed(server: ServerProcess) -> dict[str, dict[str, Any]]:
    with server.client() as api:
        return {task["taskId"]: task for task in api.get("/tasks", params={"limit": 200}).json()["tasks"]}


def statuses(tasks: list[Task]) -> list[str]:
    return [update.status.value if (update := task.latest()) else "" for task in tasks]


def until_statuses(tasks: list[Task], *wanted: str) -> None:
    """Until their logs say so, whoever wrote it."""
    try:
        wait_for(", ".join(wanted), lambda: statuses(tasks) == list(wanted))
    except AssertionError as error:
        raise AssertionError(f"{error}; they are {statuses(tasks)}") from None


def until_it_works(task: Task) -> None:
    wait_for("its first items", task.items)


def test_a_killed_server_and_a_killed_kernel_cost_their_tasks_nothing(
        place: Place, make_server: Callable[..., ServerProcess], make_kernel: Callable[[int], Kernel]) -> None:
    """Twenty tasks run and twenty wait when server and kernel are killed. With neither, the first go on and end, and
    the others get their turn. A new server lists all at its first answer, a client that comes back with its cursor has
    every update of the log once, byte for byte, and the tasks do what they are told."""
    server, kernel = make_server(), make_kernel(20)
    inputs = [steady_input(place, number, "first" if number < 20 else "second") for number in range(40)]
    ids = [*start_by(server, *inputs[:10]), *kernel.start(*inputs[10:20]), *start_by(server, *inputs[20:30]),
           *kernel.start(*inputs[30:])]
    manager = place.manager(max_running=20, worker_folders=[str(WORKERS)])
    tasks = [Task(manager, task_id) for task_id in ids]
    until_statuses(tasks, *["running"] * 20, *["idle"] * 20)
    seen = listed(server)
    assert [seen[task_id].get("position") for task_id in ids] == [None] * 20 + list(range(1, 21))
    followed = [tasks[number] for number in (0, 10, 20, 30)]
    cut = [Reader(server, task) for task in followed]
    for reader, events in zip(cut, (4, 4, 1, 1), strict=True):
        reader.until_events(events)

    server.process.kill()
    kernel.kill()
    for reader in cut:
        reader.end()
    sizes = [task.folder.log_size() for task in tasks[:20]]
    wait_for("all that run to go on", lambda: all(
        task.folder.log_size() > size + 500 for task, size in zip(tasks, sizes, strict=False)))
    (place.scratch / "first").touch()
    until_statuses(tasks, *["completed"] * 20, *["running"] * 20)

    server = make_server()
    seen = listed(server)
    assert [seen[task_id]["status"] for task_id in ids] == ["completed"] * 20 + ["running"] * 20
    again = [Reader(server, task, after=reader) for task, reader in zip(followed, cut, strict=True)]
    with server.client() as api:
        for action, status in (("pause", "paused"), ("resume", "running")):
            answer = api.post("/tasks/steady", json={"action": action, "taskId": ids[30]})
            assert answer.status_code == 202
            tasks[30].until(status)
        assert api.delete("/tasks/steady", params={"taskId": ids[39]}).status_code == 202
        assert tasks[39].end().status == "aborted"
    (place.scratch / "second").touch()

    assert [task.end().status for task in tasks] == ["completed"] * 39 + ["aborted"]
    assert begun(place) == list(range(40))
    for reader, task in zip(again, followed, strict=True):
        assert reader.end() == framed(task.folder) and not reader.was_cut
        assert [json.loads(item)["step"] for item in task.items()] == list(range(1, task.latest().items + 1))
    assert all(reader.was_cut for reader in cut)
    assert place.waiting() == []


def test_a_server_that_is_told_to_abort_what_it_started_does_so(
        place: Place, make_server: Callable[..., ServerProcess]) -> None:
    """With ``on_server_stop=abort`` it leaves in time though many run, wait, or don't end when they are asked to; all
    that it started are aborted, none of those that waited has begun, and what others started goes on."""
    server = make_server("--SseTasksApp.on_server_stop=abort", max_running=4)
    manager = place.manager(max_running=5, worker_folders=[str(WORKERS)])
    foreign = place.start("steady", manager, **steady_input(place, 0))
    until_it_works(foreign)
    own = [Task(manager, task_id) for task_id in start_by(server, *(
        steady_input(place, number, pace=60 if number < 3 else 0.2) for number in range(1, 9)))]
    until_statuses(own, *["running"] * 3, *["idle"] * 5)
    wait_for("all that run to work", lambda: begun(place) == [0, 1, 2, 3])

    assert server.stop() is not None

    assert [task.end().status for task in own] == ["aborted"] * 8
    assert begun(place) == [0, 1, 2, 3] and foreign.latest().status == "running"
    (place.scratch / "gate").touch()
    assert foreign.end().status == "completed"


def test_two_servers_and_a_kernel_race_for_everything_and_it_happens_once(
        place: Place, make_server: Callable[..., ServerProcess], make_kernel: Callable[[int], Kernel]) -> None:
    """Each sees and streams what the others started. When all of them abort the same tasks, recover the same dead ones
    and forget the same ended ones at once, one of them being killed and started anew meanwhile: every task has begun at
    most once, has one terminal update, and was forgotten by exactly one."""
    servers, kernel = [make_server(max_running=6), make_server(max_running=6)], make_kernel(6)
    manager = place.manager(max_running=6, worker_folders=[str(WORKERS)])
    inputs = [steady_input(place, number) for number in range(12)]
    ids = [*start_by(servers[0], *inputs[:4]), *start_by(servers[1], *inputs[4:8]), *kernel.start(*inputs[8:])]
    tasks = [Task(manager, task_id) for task_id in ids]
    until_statuses(tasks, *["running"] * 6, *["idle"] * 6)
    readers = [Reader(server, task) for task in (tasks[0], tasks[4], tasks[8]) for server in servers]
    assert sorted(kernel.run("print(json.dumps(manager.ids()))")) == sorted(ids)

    # Dead: the keepers of three that run, and the forkserver with all that wait. Everybody looks, one anew.
    doomed = [servers[0].process.pid, *(task.keeper() for task in tasks[:3]), *place.forkservers()]
    for pid in doomed:
        kill(pid)
    wait_for("their deaths", lambda: not set(doomed) & set(living()))
    with ThreadPoolExecutor() as pool:
        looks = [pool.submit(make_server, max_running=6), pool.submit(listed, servers[1]),
                 pool.submit(kernel.run, "_ = manager.list()"), pool.submit(manager.list)]
        servers[0] = looks[0].result(100)
        for look in looks:
            look.result(60)
    until_statuses(tasks[:6], *["failed"] * 3, *["running"] * 3)
    wait_for("the next three", lambda: sum(task.info().status == "running" for task in tasks[6:]) == 3)
    wait_for("their work", lambda: len(begun(place)) >= 9)
    assert sorted(begun(place))[:6] == list(range(6)) and len(set(begun(place))) == len(begun(place)) == 9

    def race(code: str, own: Callable[[str], None], send: Callable[[Any, Task], Any]) -> list[list[str]]:
        """For each task, what each of the four was told."""
        def by_server(server: ServerProcess) -> list[str]:
            with server.client() as api:
                answers = [send(api, task) for task in tasks]
            return ["done" if answer.is_success else answer.json()["code"] for answer in answers]

        def by_us() -> list[str]:
            told = []
            for task_id in ids:
                try:
                    own(task_id)
                    told.append("done")
                except SseTasksError as error:
                    told.append(error.code)
            return told

        with ThreadPoolExecutor() as pool:
            racers = [*(pool.submit(by_server, server) for server in servers), pool.submit(by_us),
                      pool.submit(kernel.run, f"print(json.dumps([{code} for id in {ids!r}]))")]
            return [list(told) for told in zip(*(racer.result(60) for racer in racers), strict=True)]

    told = race("attempt(manager.ask, id, 'abort')", lambda task_id: manager.ask(task_id, "abort"),
                lambda api, task: api.delete("/tasks/steady", params={"taskId": task.task_id}))
    assert [task.end().status for task in tasks] == ["failed"] * 3 + ["aborted"] * 9
    assert all(set(answers) <= {"done", "task_ended"} for answers in told)
    assert sorted(set(begun(place))) == begun(place), "one that waited may have had its turn before its abort; once"
    for reader in readers:
        reader.end()
    assert all(reader.events == framed(tasks[number].folder)
               for reader, number in zip(readers, (0, 0, 4, 4, 8, 8), strict=True) if not reader.was_cut)

    told = race("attempt(manager.forget, id)", manager.forget,
                lambda api, task: api.delete(f"/tasks/steady/{task.task_id}"))
    assert all(sorted(answers) == ["done", *["not_found"] * 3] for answers in told), told
    assert os.listdir(place.data_dir / "tasks") == [] and listed(servers[0]) == {}


@pytest.mark.parametrize("victims", ["runner keeper", "runner forkserver", "keeper forkserver",
                                     "runner keeper forkserver", "forkserver"])
def test_whichever_of_a_tasks_processes_die_at_once_it_does_not_run_for_ever(place: Place, victims: str) -> None:
    """Of a task that runs and one that waits, with a follower and nobody to clear anything by hand: what lost its
    keeper or runner has failed, in words that name the death, with its items; the rest goes on to its own end."""
    manager = place.manager(max_running=1, worker_folders=[str(WORKERS)])
    running = place.start("steady", **steady_input(place, 0))
    until_it_works(running)
    waiting = place.start("steady", **steady_input(place, 1))
    doomed = {"runner": running.runner, "keeper": running.keeper, "forkserver": lambda: place.forkservers()[0]}
    stop = manager.watch(lambda _: None)

    pids = [doomed[name]() for name in victims.split()]
    for pid in pids:
        kill(pid)
    wait_for("their deaths", lambda: not set(pids) & set(living()))
    (place.scratch / "gate").touch()

    end = running.end()
    if victims == "forkserver":
        assert end.status == "completed"
    else:
        assert (end.status, end.code) == ("failed", "worker_died") and "killed" in (end.error or "")
    assert [json.loads(item)["step"] for item in running.items()] == list(range(1, end.items + 1)) and end.items
    assert waiting.end().status == "completed" and begun(place) == [0, 1]
    stop()


def test_starts_go_on_while_forkservers_die(place: Place) -> None:
    """However often forkservers are killed between starts, each started task runs once and ends once."""
    manager = place.manager(max_running=4, worker_folders=[str(WORKERS)])
    (place.scratch / "gate").touch()
    stop = manager.watch(lambda _: None)
    tasks: list[Task] = []

    def start(numbers: range) -> None:
        for number in numbers:
            tasks.append(place.start("steady", manager, **steady_input(place, number)))

    starters = [threading.Thread(target=start, args=(range(first, first + 15),)) for first in (0, 15)]
    for starter in starters:
        starter.start()
    for _ in range(4):
        for pid in wait_for("a forkserver", place.forkservers):
            kill(pid)
        before = len(tasks)
        wait_for("the next starts", lambda before=before: len(tasks) > before or not starters[0].is_alive())
    for starter in starters:
        starter.join(60)
        assert not starter.is_alive()

    ends = [task.end() for task in tasks]
    assert [end for end in ends if end.status != "completed"] == []
    assert begun(place) == list(range(30))
    stop()
