"""Those who use tasks in a chaos run: they ask, look, follow, restart and forget, at whichever server or kernel is
there."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any

from .forgetting import forget
from .peers import Kernel, PeerGone, Server
from .starts import any_peer, restart, start
from .streams import Stream
from .world import World

__all__ = ["ask", "controller", "list_all", "starter"]

AT_ONCE = 10
LISTED = 100
RETRY_SECONDS = 0.2


async def starter(world: World) -> None:
    """Keeps some tasks alive, and most of them followed."""
    chance = world.random("starter")
    names = world.random("streams")
    while not world.is_closing:
        if len(world.live) + sum(task_id not in world.ended for task_id in list(world.types)[-AT_ONCE:]
                                 if task_id not in world.live) >= AT_ONCE:
            await asyncio.sleep(0.1)  # until some have ended: nothing tells
            continue
        try:
            task_id = await start(world, chance)
        except PeerGone:
            await asyncio.sleep(RETRY_SECONDS)
            continue
        except TimeoutError as error:
            world.fault(str(error))
            continue
        if task_id is not None:
            for _ in range(names.choice([0, 1, 1, 1, 2])):
                Stream(world, task_id, names.random()).begin()
            if names.random() < 0.25:
                await _follow_in_kernel(world, task_id, names)
        await asyncio.sleep(chance.uniform(0, 0.4))


async def _follow_in_kernel(world: World, task_id: str, chance: random.Random) -> None:
    kernel = chance.choice(world.kernels)
    world.totals["kernel followers"] += 1
    path = world.home / "seen" / f"kernel-{kernel.name}-{world.totals['kernel followers']}.jsonl"
    with contextlib.suppress(PeerGone, TimeoutError):
        await kernel.call("follow", task_id, str(path))


async def controller(world: World, name: str) -> None:
    """Asks something of a task, again and again."""
    chance = world.random(name)
    while not world.is_closing:
        await asyncio.sleep(chance.uniform(0.05, 0.6))
        paused = [task_id for task_id, update in world.live.items() if update.get("status") == "paused"]
        live = list(world.live)
        ended = [task_id for task_id in world.ended[-30:] if task_id not in world.forgotten]
        try:
            match chance.choices(["pause", "resume", "abort", "info", "list", "restart", "forget"],
                                 [7, 8, 3, 3, 1, 3, 2])[0]:
                case "resume" if paused:
                    await ask(world, chance.choice(paused), "resume", any_peer(world, chance))
                case "pause" if live and len(paused) < 4:
                    await ask(world, chance.choice(live), "pause", any_peer(world, chance))
                case "abort" if live:
                    await ask(world, chance.choice(live), "abort", any_peer(world, chance))
                case "info" if live or ended:
                    await _info(world, chance.choice([*live, *ended]), any_peer(world, chance))
                case "list":
                    await list_all(world, chance.choice(world.servers))
                case "restart" if ended and len(world.live) < AT_ONCE + 2:
                    new_id = await restart(world, chance.choice(ended[-20:]), chance)
                    if new_id is not None:
                        Stream(world, new_id, chance.random()).begin()
                case "forget" if ended:
                    await forget(world, chance)
        except PeerGone:
            await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError as error:
            world.fault(str(error))


async def ask(world: World, task_id: str, action: str, peer: Server | Kernel) -> None:
    """Raises PeerGone, TimeoutError."""
    task_type = world.type_of(task_id)
    world.note("asked", task=task_id, action=action, at=time.time())
    world.totals["asks"] += 1
    ended_before = world.has_ended(task_id)
    if isinstance(peer, Kernel):
        answer = await peer.call("ask", task_id, action)
        status = {None: 202, "task_ended": 409, "not_found": 404}.get(answer.get("code"), 500)
        said: Any = answer
    else:
        if action == "abort":
            response = await peer.call("DELETE", f"/tasks/{task_type}", params={"taskId": task_id})
        else:
            response = await peer.call("POST", f"/tasks/{task_type}", json={"action": action, "taskId": task_id})
        status, said = response.status_code, response.text
    has_ended = world.has_ended(task_id)
    if status == 404 and task_id in world.forgetting:
        return
    if not ((status == 202 and not ended_before) or (status == 409 and has_ended)):
        world.fault(f"{action} of task {task_id} was answered {status} {said}; it had "
                    f"{'' if ended_before else 'not '}ended before, and {'' if has_ended else 'not '}after")


async def _info(world: World, task_id: str, peer: Server | Kernel) -> None:
    if isinstance(peer, Kernel):
        answer = await peer.call("info", task_id)
        if answer.get("code") != "not_found" or task_id not in world.forgetting:
            _note_answer(world, answer)
    else:
        response = await peer.call("GET", f"/tasks/{world.type_of(task_id)}/{task_id}")
        if response.status_code == 200:
            _note_answer(world, response.json())
        elif response.status_code != 404 or task_id not in world.forgetting:
            world.fault(f"task {task_id} was asked for: {response.status_code} {response.text}")


def _note_answer(world: World, info: dict[str, Any]) -> None:
    if "cursor" not in info:
        world.fault(f"a task was asked for: {info}")
        return
    world.totals["infos"] += 1
    world.note("answers", task=info["taskId"], status=info["status"], cursor=info["cursor"])


async def list_all(world: World, server: Server, limit: int = LISTED) -> None:
    """What is confirmed is listed, newest first. Raises PeerGone, TimeoutError."""
    known = sorted(world.confirmed, reverse=True)
    forgotten = frozenset(world.forgotten)
    response = await server.call("GET", "/tasks", params={"limit": limit})
    if response.status_code != 200:
        world.fault(f"server {server.name} gave no list: {response.status_code} {response.text}")
        return
    infos = response.json()["tasks"]
    for info in infos:
        _note_answer(world, info)
    listed = {info["taskId"] for info in infos}
    oldest = min(listed) if len(infos) == limit else ""
    for task_id in known:
        if task_id > oldest and task_id not in listed and task_id not in world.forgetting:
            world.fault(f"server {server.name} doesn't list task {task_id}")
    if back := listed & forgotten:
        world.fault(f"server {server.name} lists tasks that were forgotten: {sorted(back)}")
