"""Those who kill in a chaos run, and those who start again what people would start again."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable

from . import processes
from .peers import Kernel, Server
from .processes import Process
from .world import World

__all__ = ["KINDS", "kill_soon", "killer"]

KINDS = {"runner": 8, "keeper": 5, "forkserver": 2, "spare": 1, "server": 2, "kernel": 2}
"""What is killed, and how often in relation to the others."""

EVERY_SECONDS = 1.5


async def killer(world: World) -> None:
    """Kills something, again and again."""
    chance = world.random("killer")
    while not world.is_closing:
        await asyncio.sleep(chance.expovariate(1 / EVERY_SECONDS))
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        if kind in ("server", "kernel"):
            peers: list[Server | Kernel] = [*(world.servers if kind == "server" else world.kernels)]
            peer = chance.choice(peers)
            if peer.is_up:
                kill_soon(world, kind, peer, chance)
        else:
            await asyncio.to_thread(_kill_process, world, kind, chance)
    for revival in list(world.revivals):
        await revival


def kill_soon(world: World, kind: str, peer: Server | Kernel, chance: random.Random, seconds: float = 0.0) -> None:
    """Kills a server or kernel after so long, and starts it again."""
    revival = asyncio.create_task(_kill_and_revive(world, kind, peer, chance, seconds))
    world.revivals.add(revival)
    revival.add_done_callback(world.revivals.discard)


async def _kill_and_revive(world: World, kind: str, peer: Server | Kernel, chance: random.Random,
                           seconds: float) -> None:
    await asyncio.sleep(seconds)  # chance itself
    if not peer.is_up:
        return
    number = signal.SIGTERM if chance.random() < 0.2 else signal.SIGKILL
    pause = chance.uniform(0, 2)
    _note(world, kind, peer.pid, None)
    try:
        await peer.kill(number)
        await asyncio.sleep(pause)  # nobody starts it again at once
        await peer.start()
    except (RuntimeError, TimeoutError) as error:
        world.fault(str(error))


def _kill_process(world: World, kind: str, chance: random.Random) -> None:
    there = processes.living(world.home)
    find: dict[str, Callable[[], list[Process]]] = {
        "runner": lambda: [one for one in there if one.is_runner and any(
            other.is_keeper and other.pid == one.parent for other in there)],
        "keeper": lambda: list(processes.keepers(there)),
        "forkserver": lambda: processes.forkservers(there),
        "spare": lambda: processes.spares(there),
    }
    if victims := sorted(find[kind](), key=lambda one: one.pid):
        victim = chance.choice(victims)
        task_id = processes.keepers(there).get(victim, victim.task_id)
        _note(world, kind, victim.pid, task_id or None)  # before: who sees its effect finds it in the books
        processes.kill(victim)


def _note(world: World, kind: str, pid: int, task_id: str | None) -> None:
    world.totals[f"kills of {kind}s"] += 1
    world.killed_at[kind] = time.time()
    world.note("kills", kind=kind, pid=pid, task=task_id, at=time.time())


