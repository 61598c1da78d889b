"""Starts and restarts in a chaos run, many of them with a key: then they are sent again, to whoever is there, until an
answer has come, and sometimes to two at once."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from .killers import kill_soon
from .peers import Kernel, PeerGone, Server
from .world import World

__all__ = ["any_peer", "restart", "start"]

RETRY_SECONDS = 0.2
KEYED = 0.5
"""So many of the starts have a key."""
CUT_OFF = 0.05
"""At so many of those the server is killed just then: perhaps before there is a task, perhaps before its answer."""
CUT_OFF_SECONDS = 0.08

Shape = tuple[str, Callable[[random.Random], dict[str, Any]]]


def _steps(chance: random.Random) -> dict[str, Any]:
    return {"items": chance.choice([3, 20, 60]), "pause": chance.choice([0.01, 0.1, 0.3]),
            "save_every": chance.choice([0, 1, 5])}


SHAPES: list[tuple[int, Shape]] = [
    (4, ("chaos-steps", _steps)),
    (4, ("chaos-steps-async", _steps)),
    (2, ("chaos-steps", lambda chance: {"items": 400, "pause": 0.1, "save_every": 7})),
    (3, ("chaos-endless", lambda chance: {})),
    (2, ("chaos-plain", lambda chance: {"seconds": chance.uniform(0.5, 8)})),
    (2, ("chaos-plain-async", lambda chance: {"seconds": chance.uniform(0.5, 8)})),
    (2, ("chaos-burst", lambda chance: {"items": chance.choice([350, 3000])})),
    (2, ("chaos-quick", lambda chance: {})),
    (1, ("chaos-fails", lambda chance: {"items": chance.randrange(10)})),
    (3, ("chaos-family", lambda chance: {"seconds": chance.uniform(1, 12)})),
    (1, ("chaos-stubborn", lambda chance: {"seconds": chance.uniform(2, 15)})),
]


def any_peer(world: World, chance: random.Random, kernels: float = 0.3) -> Server | Kernel:
    """One that is there. Raises PeerGone."""
    peers: list[Any] = list(world.kernels if chance.random() < kernels else world.servers)
    chance.shuffle(peers)
    for peer in peers:
        if peer.is_up:
            return peer  # type: ignore[no-any-return]
    raise PeerGone


class Answer(NamedTuple):
    """What came to a start: an HTTP status (a kernel's answer has the one that fits), what was said, and the task."""

    status: int
    said: Any
    task_id: str | None


async def start(world: World, chance: random.Random) -> str | None:
    """The id of a new task, or None where it was refused as it may be. Raises PeerGone, TimeoutError."""
    task_type, make_input = chance.choices([shape for _, shape in SHAPES], [weight for weight, _ in SHAPES])[0]
    given = make_input(chance)
    options: dict[str, Any] = {}
    if chance.random() < 0.1:
        options["timeout"] = chance.uniform(0.5, 3)
    if chance.random() < 0.3:
        options["retries"] = chance.choice([1, 3])

    async def send(peer: Server | Kernel, key: str | None) -> Answer:
        world.totals["starts asked"] += 1
        if isinstance(peer, Kernel):
            keyed = {"idempotency_key": key} if key else {}
            answer = _of_kernel(await peer.call("start", task_type, given, options | keyed))
            if answer.task_id is not None and peer.name == "b":
                world.totals["starts as new interpreters"] += 1
            return answer
        return _of_server(await peer.call("POST", f"/tasks/{task_type}", json=given, params=options,
                                          headers={"Idempotency-Key": key} if key else {}))

    return await _made(world, chance, task_type, send)


async def restart(world: World, task_id: str, chance: random.Random) -> str | None:
    """The id of the new task that goes on where ``task_id`` ended. Raises PeerGone, TimeoutError."""
    fresh = chance.random() < 0.3
    task_type = world.type_of(task_id) or ""

    async def send(peer: Server | Kernel, key: str | None) -> Answer:
        if isinstance(peer, Kernel):
            return _of_kernel(await peer.call("restart", task_id, fresh, key))
        return _of_server(await peer.call("POST", f"/tasks/{task_type}/{task_id}/restart",
                                          params={"fresh": "true"} if fresh else {},
                                          headers={"Idempotency-Key": key} if key else {}))

    return await _made(world, chance, task_type, send, restart_of=task_id, fresh=fresh)


async def _made(world: World, chance: random.Random, task_type: str,
                send: Callable[[Server | Kernel, str | None], Any], **more: Any) -> str | None:
    """The task that ``send`` makes, once or, with a key, however often it is sent."""
    answers = [await send(any_peer(world, chance), None)] if chance.random() >= KEYED else await _sent_until_answered(
        world, chance, task_type, send, **more)
    made = {answer.task_id for answer in answers if answer.task_id}
    for answer in answers:
        if answer.task_id is None and not _may_be_refused(world, answer, more.get("restart_of")):
            world.fault(f"the start of {task_type} {more or ''} was refused: {answer.status} {answer.said}")
    if len(made) > 1:
        world.fault(f"one key made {len(made)} tasks: {sorted(made)}")
    for task_id in made:
        world.totals["restarts" if more else "starts of new inputs"] += 1
        world.note_start(task_id, task_type, **more)
        return task_id
    return None


async def _sent_until_answered(world: World, chance: random.Random, task_type: str,
                               send: Callable[[Server | Kernel, str | None], Any], **more: Any) -> list[Answer]:
    """Whoever lost the answer asks again; some ask two at once, or again for what they know. Gives all answers."""
    world.keys += 1
    key = f"key-{world.keys}"
    world.note("keys", key=key, type=task_type, **more)
    answers: list[Answer] = []

    async def ask(peer: Server | Kernel) -> None:
        answer = await send(peer, key)
        answers.append(answer)
        world.totals["answers to a key: the task that there was"] += answer.status == 200 and isinstance(peer, Server)
        if answer.task_id is not None:
            world.note("keyed", key=key, task=answer.task_id, status=answer.status)

    while not answers:
        at_once = [any_peer(world, chance) for _ in range(chance.choice([1, 1, 2]))] if _is_any_up(world) else []
        if at_once and isinstance(at_once[0], Server) and chance.random() < CUT_OFF and not world.is_closing:
            kill_soon(world, "server", at_once[0], chance, chance.uniform(0, CUT_OFF_SECONDS))
        results = await asyncio.gather(*(ask(peer) for peer in at_once), return_exceptions=True)
        for result in results:
            if isinstance(result, TimeoutError):
                raise result
            if isinstance(result, BaseException) and not isinstance(result, PeerGone):
                raise result
        if not answers:
            if world.is_closing and not _is_any_up(world):
                return []
            world.totals["starts sent again, as no answer came"] += bool(at_once)
            await asyncio.sleep(RETRY_SECONDS)
    if any(answer.task_id for answer in answers) and chance.random() < 0.3:
        with contextlib.suppress(PeerGone):
            await ask(any_peer(world, chance))
            world.totals["starts sent again for what was known"] += 1
    return answers


def _is_any_up(world: World) -> bool:
    return any(peer.is_up for peer in (*world.servers, *world.kernels))


def _of_kernel(answer: dict[str, Any]) -> Answer:
    status = {None: 200, "workers_unavailable": 503, "not_found": 404, "task_in_use": 409}.get(answer.get("code"), 400)
    return Answer(status, answer, answer.get("taskId"))


def _of_server(response: Any) -> Answer:
    is_made = response.status_code in (200, 201)
    return Answer(response.status_code, response.text, response.json()["taskId"] if is_made else None)


def _may_be_refused(world: World, answer: Answer, old: str | None) -> bool:
    """Where a forkserver, or what it had forked, was killed just now; and where the task that is to go on is being
    forgotten."""
    world.totals["starts refused"] += 1
    recent = min(time.time() - world.killed_at.get(kind, 0.0) for kind in ("forkserver", "spare"))
    return (answer.status == 503 and recent < 30) or (answer.status in (404, 409) and old in world.forgetting)
