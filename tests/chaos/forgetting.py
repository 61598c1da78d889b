"""Who forgets ended tasks in a chaos run. What is there of one before is kept beside, so that it can still be
checked."""

from __future__ import annotations

import contextlib
import os
import random
import time
from typing import Any

from .peers import Kernel, PeerGone
from .starts import any_peer
from .world import World

__all__ = ["forget"]

KEPT = ("task.json", "events.jsonl", "items*.jsonl", "checkpoint.json", "result.json", "restarted_as")


async def forget(world: World, chance: random.Random) -> None:
    """Forgets one of the ended tasks; then nobody knows it any more. Raises PeerGone, TimeoutError."""
    known = [task_id for task_id in world.ended[-60:] if task_id in world.confirmed and task_id not in world.forgotten]
    if not known:
        return
    task_id = chance.choice(known)
    if not _keep(world, task_id):
        return
    peer = any_peer(world, chance)
    world.forgetting.add(task_id)
    world.note("forgets", task=task_id)
    world.totals["forgets asked"] += 1
    if isinstance(peer, Kernel):
        answer = await peer.call("forget", task_id)
        status = {None: 204, "not_found": 404, "task_in_use": 409}.get(answer.get("code"), 400)
        said: Any = answer
    else:
        response = await peer.call("DELETE", f"/tasks/{world.type_of(task_id)}/{task_id}")
        status, said = response.status_code, response.text
    if status not in (204, 404, 409):
        world.fault(f"task {task_id} was to be forgotten: {status} {said}")
    if status != 204:
        return
    world.totals["tasks forgotten"] += 1
    world.forgotten.add(task_id)
    world.note("forgotten", task=task_id, at=time.time())
    await _ask_all(world, task_id)


def _keep(world: World, task_id: str) -> bool:
    """Puts the files aside, as further names of the same files: whoever writes to them later is seen. False where
    somebody else was quicker."""
    folder, kept = world.tasks_dir / task_id, world.home / "archive" / task_id
    kept.mkdir(exist_ok=True)
    for pattern in KEPT:
        for path in folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                os.link(path, kept / path.name)
    return folder.exists()


async def _ask_all(world: World, task_id: str) -> None:
    for server in world.servers:
        with contextlib.suppress(PeerGone):
            response = await server.call("GET", f"/tasks/{world.type_of(task_id)}/{task_id}")
            if response.status_code != 404:
                world.fault(f"task {task_id} was forgotten, and server {server.name} knows it: {response.text}")
    for kernel in world.kernels:
        with contextlib.suppress(PeerGone):
            answer = await kernel.call("info", task_id)
            if answer.get("code") != "not_found":
                world.fault(f"task {task_id} was forgotten, and kernel {kernel.name} knows it: {answer}")
