"""Starts with an idempotency key: the same key, type and input are one task, whoever asks, however often, at once or
later."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sse_tasks.errors import BadParameterError, IdempotencyConflictError, NoSpaceError, StartInProgressError
from sse_tasks.hosts import local
from sse_tasks.task_manager import TaskManager
from sse_tasks.types import new_task_id

from ..places import Place, Task
from ..server_process import TOKEN, ServerProcess, start_server

WORKERS = Path(__file__).parent / "workers"

DYING_CLAIMER = """
import os, signal, sys
from sse_tasks.hosts import local
from sse_tasks.task_manager import TaskManager

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(local, sys.argv[3], die)
manager = TaskManager(data_dir=sys.argv[1], runtime_dir=sys.argv[2], worker_folders=[sys.argv[4]])
manager.start("echo", {"text": "x"}, idempotency_key="of the dead".replace(" ", "-"))
"""


@pytest.fixture
def manager(shared_place: Place) -> TaskManager:
    return shared_place.manager(worker_folders=[str(WORKERS)])


@pytest.fixture(scope="module")
def servers(shared_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """Two servers on one data folder."""
    folder = tmp_path_factory.mktemp("servers")
    env = {"SSE_TASKS_DATA_DIR": str(shared_place.data_dir), "SSE_TASKS_RUNTIME_DIR": str(shared_place.home / "r"),
           "SSE_TASKS_WORKERS": str(WORKERS)}
    running = [start_server(folder, env=env) for _ in range(2)]
    yield running
    for server in running:
        server.stop()


async def post_all(servers: list[ServerProcess], bodies: list[dict[str, Any]], key: str) -> list[httpx.Response]:
    """All at once, in turns to each server."""
    headers = {"Authorization": f"token {TOKEN}", "Idempotency-Key": key}
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(headers=headers, timeout=60, limits=limits) as client:
        return await asyncio.gather(*(client.post(f"{servers[number % len(servers)].api}/tasks/echo", json=body)
                                      for number, body in enumerate(bodies)))


async def test_fifty_equal_starts_at_once_are_one_task(servers: list[ServerProcess], manager: TaskManager) -> None:
    """Over two servers: one is told that it was made (201), the others that it is there (200), all with its id and
    address."""
    before = set(manager.ids())

    answers = await post_all(servers, [{"text": "x"}] * 50, "fifty")

    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    made = set(manager.ids()) - before
    assert len(made) == 1
    assert {answer.json()["taskId"] for answer in answers} == made
    assert {answer.headers["Location"] for answer in answers} == {f"/base/api/tasks/echo/{made.pop()}"}
    assert len({answer.text for answer in answers}) == 1


async def test_of_different_inputs_at_once_one_wins(servers: list[ServerProcess], manager: TaskManager) -> None:
    """Those with its input get the task, the others a 409 that names it."""
    before = set(manager.ids())

    answers = await post_all(servers, [{"text": str(number // 2 % 4)} for number in range(24)], "different")

    (made,) = set(manager.ids()) - before
    text = manager.info(made).input["text"]
    for number, answer in enumerate(answers):
        if str(number // 2 % 4) == text:
            assert answer.status_code in (200, 201) and answer.json()["taskId"] == made
        else:
            assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
            assert made in answer.json()["message"]
    assert [answer.status_code for answer in answers].count(201) == 1


async def test_a_key_outlives_its_server_and_holds_for_managers(
        servers: list[ServerProcess], manager: TaskManager) -> None:
    """A server that is started anew, and a manager without one, find the task, ended or not; so does a server the task
    that a manager started."""
    first = (await post_all(servers, [{"text": "x"}], "later"))[0].json()["taskId"]
    theirs = manager.start("echo", {"text": "y"}, idempotency_key="from-python").task_id
    Task(manager, first).end()
    stopped = servers[0]
    stopped.process.send_signal(signal.SIGKILL)
    stopped.process.wait(20)
    env = {"SSE_TASKS_DATA_DIR": str(manager.root), "SSE_TASKS_RUNTIME_DIR": manager.socket_dir,
           "SSE_TASKS_WORKERS": str(WORKERS)}
    servers[0] = await asyncio.to_thread(start_server, stopped.log.parent, env=env)

    again = await post_all(servers, [{"text": "x"}] * 2, "later")
    of_python = await post_all(servers, [{"text": "y"}], "from-python")

    assert [(answer.status_code, answer.json()["taskId"]) for answer in again] == [(200, first)] * 2
    assert [(answer.status_code, answer.json()["taskId"]) for answer in of_python] == [(200, theirs)]
    assert manager.start("echo", {"text": "x"}, idempotency_key="later", name="other").task_id == first


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ü", "a\tb"])
async def test_keys_that_are_none(servers: list[ServerProcess], manager: TaskManager, key: str) -> None:
    """422: 1 to 255 visible characters."""
    with pytest.raises(BadParameterError, match="visible"):
        manager.start("echo", {}, idempotency_key=key)
    async with httpx.AsyncClient(headers={"Authorization": f"token {TOKEN}"}, timeout=20) as client:
        answer = await client.post(f"{servers[1].api}/tasks/echo", headers={"Idempotency-Key": key.encode()})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "Idempotency-Key")


@pytest.mark.parametrize("step", ["create_task_folder", "publish"])
def test_a_claim_of_the_dead_is_taken_over(place: Place, step: str) -> None:
    """Killed between its claim and its task's appearance, a starter leaves a key that the next one can use."""
    claimer = subprocess.run([sys.executable, "-c", DYING_CLAIMER, str(place.data_dir), str(place.home / "r"), step,
                              str(WORKERS)], capture_output=True, text=True)
    assert claimer.returncode == -signal.SIGKILL, claimer.stderr
    assert len(os.listdir(place.data_dir / "claims")) == 1 and place.task_ids() == []

    manager = place.manager(worker_folders=[str(WORKERS)])
    with ThreadPoolExecutor(8) as pool:
        starts = list(pool.map(lambda _: manager.start_or_find("echo", {"text": "y"}, idempotency_key="of-the-dead"),
                               range(8)))

    assert sorted(is_new for _, is_new in starts) == [False] * 7 + [True]
    assert {info.task_id for info, _ in starts} == set(place.task_ids())
    assert Task(manager, starts[0][0].task_id).end().result == "y"


def test_a_torn_claim_is_none(manager: TaskManager) -> None:
    """Nothing was started before the claim was whole."""
    first = manager.start("echo", {"text": "x"}, idempotency_key="torn").task_id
    claim = manager.root / "claims" / manager.folder(first).spec().claim
    claim.write_bytes(claim.read_bytes()[:-1])

    second, is_new = manager.start_or_find("echo", {"text": "x"}, idempotency_key="torn")

    assert is_new and second.task_id != first


def test_a_key_belongs_to_a_type_and_goes_with_its_task(manager: TaskManager) -> None:
    """The same key of another type is another; a forgotten task's key starts anew, with any input; the order in which
    an input is written doesn't matter."""
    first = Task(manager, manager.start("count-up", {"to": 1, "die_at": -1}, idempotency_key="k").task_id)
    assert manager.start("echo", {}, idempotency_key="k").task_id != first.task_id
    assert manager.start("count-up", {"die_at": -1, "to": 1}, idempotency_key="k").task_id == first.task_id
    with pytest.raises(IdempotencyConflictError):
        manager.start("count-up", {"to": 2}, idempotency_key="k")
    first.end()

    manager.forget(first.task_id)

    second, is_new = manager.start_or_find("count-up", {"to": 2}, idempotency_key="k")
    assert is_new and second.task_id != first.task_id
    Task(manager, second.task_id).end()


def test_a_start_that_is_refused_claims_nothing(manager: TaskManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key whose start found no room, or no forkserver, is as free as before."""
    with monkeypatch.context() as full:
        full.setattr(manager, "min_free_bytes", 1 << 60)
        with pytest.raises(NoSpaceError):
            manager.start("echo", {"text": "a"}, idempotency_key="refused")
    with monkeypatch.context() as broken:
        broken.setattr(local.LocalHost, "start", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            manager.start("echo", {"text": "b"}, idempotency_key="refused")

    started, is_new = manager.start_or_find("echo", {"text": "c"}, idempotency_key="refused")

    assert is_new and Task(manager, started.task_id).end().result == "c"


async def test_restarts_at_once_with_a_key_are_one_task(servers: list[ServerProcess], manager: TaskManager) -> None:
    """Over two servers: the same new task for the same key, a task each without one. Another predecessor, other
    ``fresh``, or a start with that key: a 409 that names it."""
    old, other = (Task(manager, manager.start("echo", {"text": "x"}).task_id) for _ in range(2))
    old.end()
    other.end()
    before = set(manager.ids())

    async def restart(task: Task, key: str | None, number: int, **query: str) -> httpx.Response:
        headers = {"Authorization": f"token {TOKEN}"} | ({} if key is None else {"Idempotency-Key": key})
        async with httpx.AsyncClient(headers=headers, timeout=60) as client:
            return await client.post(f"{servers[number % 2].api}/tasks/echo/{task.task_id}/restart", params=query)

    with_key = await asyncio.gather(*(restart(old, "again", number) for number in range(4)))
    without = await asyncio.gather(*(restart(old, None, number) for number in range(4)))

    assert sorted(answer.status_code for answer in with_key) == [200] * 3 + [201]
    (one,) = {answer.json()["taskId"] for answer in with_key}
    assert {answer.headers["Location"] for answer in with_key} == {f"/base/api/tasks/echo/{one}"}
    assert [answer.status_code for answer in without] == [201] * 4
    made = {answer.json()["taskId"] for answer in without} | {one}
    assert set(manager.ids()) - before == made and len(made) == 5
    assert manager.info(one).restart_of == old.task_id
    assert (await restart(old, "again", 0, fresh="false")).json()["taskId"] == one
    for refused in (await restart(other, "again", 0), await restart(old, "again", 1, fresh="true"),
                    (await post_all(servers, [{"text": "x"}], "again"))[0]):
        assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_conflict")
        assert one in refused.json()["message"]
    assert (await restart(old, "a b", 0)).json()["errors"][0]["path"] == "Idempotency-Key"
    for task_id in made:
        Task(manager, task_id).end()


def test_who_must_not_wait_is_told(manager: TaskManager) -> None:
    """While another process starts with the same key, one that has no patience hears that it is being done."""
    with manager._claims.hold("echo", "busy", 0) as claim:
        with pytest.raises(StartInProgressError, match="just being started"):
            manager.start_or_find("echo", {}, idempotency_key="busy", patience=0.0)
        claim.write(new_task_id(), "of a start that failed")

    assert manager.start_or_find("echo", {}, idempotency_key="busy", patience=0.0)[1]
