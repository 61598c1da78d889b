"""A chaos run: clients use tasks at random while everything that can die is killed at random; then all that is left is
checked. ``python -m tests.chaos.run --minutes 30 --seed 1 [--break bell|lock|kill]``

The seed decides what each actor draws, not how the machine interleaves them: a run with the same seed is alike, not
the same. Ends with 0 if nothing was wrong; else with 1, a report, and what the run left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sys
import time
from pathlib import Path

from . import processes
from .build import BREAKS, ROOT
from .checker import check
from .clients import ask, controller, list_all, starter
from .evidence import read_evidence
from .killers import killer
from .monitor import Monitor
from .overviews import OverviewClient
from .peers import PeerGone
from .streams import Stream
from .world import World

TELL_SECONDS = 10.0
FINISH_SECONDS = 5.0
END_SECONDS = 60.0
MOST_FAULTS = 30
ALL = 1000


async def chaos(world: World, minutes: float) -> None:
    """The run itself, and its end. Faults go to the books."""
    monitor = Monitor(world)
    await asyncio.gather(*(peer.start() for peer in (*world.servers, *world.kernels)))
    began = time.monotonic()
    _say(world, began, "up")
    actors = [asyncio.create_task(actor) for actor in (
        starter(world), controller(world, "controller 1"), controller(world, "controller 2"), killer(world))]
    overviews = [OverviewClient(world, number) for number in (1, 2)]
    for overview in overviews:
        overview.begin()
    others = [asyncio.create_task(monitor.run()), asyncio.create_task(_tell(world, began))]
    try:
        while time.monotonic() - began < minutes * 60 and len(world.faults) < MOST_FAULTS:
            done, _ = await asyncio.wait([*actors, *others], timeout=1, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # none ends by itself but by a fault of its own
        world.is_closing = True
        _, hanging = await asyncio.wait(actors, timeout=END_SECONDS)
        if hanging:
            world.fault(f"{len(hanging)} actors hang: {[task.get_coro().__qualname__ for task in hanging]}")
        _say(world, began, "stopping")
        await _end_tasks(world)
        await _end_streams(world)
        await asyncio.gather(*(overview.finish() for overview in overviews))
        with contextlib.suppress(PeerGone):  # none is killed any more
            await world.servers[0].kill()
            await world.servers[0].start()
            await list_all(world, world.servers[0], ALL)
    finally:
        for task in (*actors, *others):
            task.cancel()
        await asyncio.gather(*actors, *others, return_exceptions=True)
    await asyncio.to_thread(monitor.look)
    await _stop_peers(world, monitor)
    _say(world, began, "stopped")
    for what in ("starts", "updates seen", "snapshots seen"):
        if not world.totals[what]:
            world.fault(f"a run without {what} shows nothing")


async def _end_tasks(world: World) -> None:
    """Some end by themselves; the others are aborted."""
    await asyncio.sleep(FINISH_SECONDS)
    deadline = time.monotonic() + END_SECONDS
    asked: set[str] = set()
    while time.monotonic() < deadline:
        for server in world.servers:
            with contextlib.suppress(PeerGone, TimeoutError):
                await list_all(world, server)  # it ends what died with nobody to say so
        live = list(world.live)
        if not live:
            await asyncio.sleep(2)  # the monitor may not have seen what was started last
            if not world.live:
                return
        for task_id in live:
            if task_id not in asked:
                with contextlib.suppress(PeerGone, TimeoutError):
                    await ask(world, task_id, "abort", world.servers[0])
                    asked.add(task_id)
        await asyncio.sleep(2)  # what ends by itself is seen by the monitor
    for task_id in world.live:
        world.fault(f"task {task_id} doesn't end")


async def _end_streams(world: World) -> None:
    """Every client sees the end of its task."""
    deadline = time.monotonic() + END_SECONDS / 2
    while not all(stream.is_done for stream in Stream.all):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    for stream in Stream.all:
        await stream.give_up()


async def _stop_peers(world: World, monitor: Monitor) -> None:
    for kernel in world.kernels:
        await kernel.close()
    for server in world.servers:
        await server.http.aclose()
        await server.kill(signal.SIGTERM)
    monitor.look_for_children()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (there := processes.living(world.home)):
        for process in processes.forkservers(there):
            processes.kill(process, signal.SIGTERM)
        await asyncio.sleep(0.2)  # what they had forked ahead leaves with them
    monitor.look_at_the_rest()


async def _tell(world: World, began: float) -> None:
    while True:
        await asyncio.sleep(TELL_SECONDS)
        _say(world, began, "")


def _say(world: World, began: float, what: str) -> None:
    kills = sum(count for name, count in world.totals.items() if name.startswith("kills of "))
    statuses = [update.get("status") for update in world.live.values()]
    print(f"{time.monotonic() - began:6.0f} s  {world.totals['starts']} started, {len(world.ended)} ended, "
          f"{statuses.count('running')} run, {statuses.count('paused')} paused, {statuses.count('idle')} wait, "
          f"{kills} kills, {world.totals['updates seen']} updates seen over {world.totals['connections']} connections, "
          f"{len(world.faults)} faults {what}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--break", dest="broken", choices=list(BREAKS), help="run on a copy that is broken so")
    parser.add_argument("--source", type=Path, default=ROOT, help="the project whose library it runs on; this one")
    parser.add_argument("--keep", action="store_true", help="keep what the run leaves behind also if nothing is wrong")
    options = parser.parse_args()
    world = World(options.seed, options.broken, options.source)
    print(f"chaos: seed {options.seed}, {options.minutes:g} minutes, in {world.home}"
          f"{f', broken: {options.broken}' if options.broken else ''}", flush=True)
    try:
        asyncio.run(chaos(world, options.minutes))
        faults = check(read_evidence(world.home))
    finally:
        Monitor(world).end_everything()
    return _report(world, faults, keep=options.keep)


def _report(world: World, faults: list[str], *, keep: bool) -> int:
    ends = [read.last for read in read_evidence(world.home).tasks.values()]
    for status in ("completed", "failed", "aborted"):
        world.totals[f"tasks {status}"] = sum(end.get("status") == status for end in ends)
    print(f"\nseed {world.seed}")
    for name, count in sorted(world.totals.items()):
        print(f"  {count:8} {name}")
    if not faults:
        print("nothing was lost, nothing was left behind")
        if not keep:
            shutil.rmtree(world.home, ignore_errors=True)
        return 0
    print(f"\n{len(faults)} faults:")
    for fault in faults[:MOST_FAULTS]:
        print(f"- {fault}")
    if len(faults) > MOST_FAULTS:
        print(f"- and {len(faults) - MOST_FAULTS} more")
    print(f"\nseed {world.seed}; what the run left behind is in {world.home}")
    return 1


if __name__ == "__main__":
    if Path.cwd() != (root := Path(__file__).resolve().parents[2]):
        os.chdir(root)
    sys.exit(main())
