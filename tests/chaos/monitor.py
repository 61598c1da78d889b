"""Looks at a chaos run once a second: for what must never be there, and for what must come in time.

Never: a process or a temporary folder of a task whose end is in its log already. In time: what was asked, a turn
where a slot is free, and updates at a client that is connected.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable

from . import processes
from .evidence import ENDED, read_lines, read_task
from .overviews import OverviewClient
from .streams import Stream
from .world import MAX_RUNNING, World, last_update

__all__ = ["Monitor"]

LOOK_SECONDS = 1.0
LATE_SECONDS = 20.0
"""What comes by a bell within milliseconds, and without one within seconds, is late after so long: the machine is busy
with other things, too."""
KEEPER_SECONDS = 10.0
"""A keeper writes the end and leaves right after."""


class Monitor:
    def __init__(self, world: World) -> None:
        self._world = world
        self._keepers_since: dict[int, float] = {}
        self._waits_since: dict[str, float] = {}
        self._behind_since: dict[tuple[int, int], float] = {}
        self._untold_since: dict[tuple[str, str, int], float] = {}
        self._checked: set[str] = set()

    async def run(self) -> None:
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        self._read()
        ended = frozenset(self._world.ended)
        self._look_for_leftovers(ended)  # after what has ended was read: whatever is there now is too much
        self._look_for_late_answers()
        self._look_at_the_queue()
        self._look_at_streams()
        self._look_at_overviews()

    def _read(self) -> None:
        """The last updates of the tasks that had not ended when they were looked at before."""
        world = self._world
        try:
            names = [name for name in os.listdir(world.tasks_dir) if not name.startswith(".")]
        except FileNotFoundError:
            return
        known = set(world.ended)
        for name in names:
            if name in known:
                continue
            update, _ = last_update(world.tasks_dir / name / "events.jsonl")
            if not update and not (world.tasks_dir / name).exists():
                continue  # forgotten between the two looks
            if update.get("status") in ENDED:
                world.ended.append(name)
                world.live.pop(name, None)
            else:
                world.live[name] = update

    def _look_for_leftovers(self, ended: Iterable[str]) -> None:
        now = time.monotonic()
        keepers = {}
        for process in processes.living(self._world.home):
            if process.task_id not in ended:
                continue
            if process.is_keeper:
                keepers[process.pid] = since = self._keepers_since.get(process.pid, now)
                if now - since < KEEPER_SECONDS:
                    continue
            self._world.fault(f"task {process.task_id} has ended, and process {process} is there",
                              f"left {process.pid}")
        self._keepers_since = keepers
        for task_id in set(ended) - self._checked:
            self._checked.add(task_id)
            folder = self._world.home / "t" / f"sse-task-{task_id}"
            if folder.exists():
                self._world.fault(f"task {task_id} has ended, and its temporary folder is there")

    def _look_for_late_answers(self) -> None:
        """Whatever was asked last has happened after a while."""
        for task_id, update in list(self._world.live.items()):
            path = self._world.tasks_dir / task_id / "requests.jsonl"
            try:
                age = time.time() - path.stat().st_mtime
                actions = [json.loads(line)["action"] for line in path.read_bytes().split(b"\n") if line]
            except (OSError, ValueError):
                continue
            if age < LATE_SECONDS or not actions:
                continue
            status = update.get("status")
            if ("abort" in actions or (actions[-1] == "pause" and status != "paused")
                    or (actions[-1] == "resume" and status == "paused")):
                update, _ = last_update(self._world.tasks_dir / task_id / "events.jsonl")
                if update.get("status") == status:
                    self._world.fault(f"task {task_id}: {actions[-1]} was asked {age:.0f} s ago, and it is still "
                                      f"{status} (requested: {update.get('requested')})", f"late {task_id}")

    def _look_at_the_queue(self) -> None:
        """Whoever is first in line, and not paused, gets the slot that is free."""
        live = self._world.live
        running = sum(bool(update.get("startedAt")) for update in live.values())
        first = min((task_id for task_id, update in live.items() if update.get("status") == "idle"), default=None)
        if first is None or running >= MAX_RUNNING:
            self._waits_since.clear()
            return
        since = self._waits_since.get(first, time.monotonic())
        self._waits_since = {first: since}
        if time.monotonic() - since > LATE_SECONDS:
            self._world.fault(f"task {first} is the first of those that wait and has not got its turn in "
                              f"{LATE_SECONDS:g} s, though only {running} of {MAX_RUNNING} run", f"turn {first}")

    def _look_at_streams(self) -> None:
        behind = {}
        for number, stream in enumerate(Stream.all):
            connected_since = stream.connected_since  # once: this is another thread
            if stream.is_done or connected_since is None or stream.is_slow:
                continue
            _, end = last_update(self._world.tasks_dir / stream.task_id / "events.jsonl")
            if stream.cursor < end:
                key = (number, stream.cursor)
                behind[key] = since = max(self._behind_since.get(key, time.monotonic()), connected_since)
                if time.monotonic() - since > LATE_SECONDS:
                    self._world.fault(f"client http-{number + 1} of task {stream.task_id} has stood at cursor "
                                      f"{stream.cursor} for {LATE_SECONDS:g} s; the log ends at {end}")
        self._behind_since = behind

    def _look_at_overviews(self) -> None:
        """Whoever holds the overview stream is told of each live task, and of the last of each that it was told of."""
        untold = {}
        for client in OverviewClient.all:
            if not client.is_ready:
                continue
            late = {task_id: cursor for task_id, (cursor, _) in client.behind().items()}
            for task_id, cursor in (late | dict.fromkeys(client.missing(), 0)).items():
                key = (client.name, task_id, cursor)
                untold[key] = since = max(self._untold_since.get(key, time.monotonic()), client.ready_since)
                if time.monotonic() - since > LATE_SECONDS and client.is_ready:
                    self._world.fault(f"{client.name} has been told nothing of task {task_id} behind cursor {cursor} "
                                      f"for {LATE_SECONDS:g} s", f"untold {key}")
        self._untold_since = untold

    # -- afterwards ----------------------------------------------------------------------------------------------

    def look_for_children(self) -> None:
        """What the workers said that they had started, alive by number and by the moment of its beginning. One without
        a mark, whose keeper and forkserver were both killed, can't be found by anybody: it is counted and ended."""
        world = self._world
        killed = {kill["pid"] for kill in read_lines(world.home / "kills.jsonl")}
        for trace in (world.home / "traces").glob("*.jsonl"):
            task = read_task(world.tasks_dir / trace.stem, trace)
            for run in task.runs:
                for pid, began, marked in run.children:
                    if processes.began(pid) != began:
                        continue
                    if not marked and ({run.keeper, run.forkserver} <= killed
                                       or (run.is_spawned and {run.keeper, run.pid} & killed)):
                        world.totals["processes without a mark that nobody could find"] += 1
                    else:
                        world.fault(f"task {task.task_id}: process {pid}, which its worker had started, is there")
                    with contextlib.suppress(OSError):
                        os.kill(pid, 9)

    def look_at_the_rest(self) -> None:
        """After all peers and forkservers have gone: processes, slots, names of dead keepers."""
        world = self._world
        for process in processes.living(world.home):
            world.fault(f"process {process} of this run is there, after everything was stopped")
        for slot in (world.home / "d" / "slots").iterdir():
            fd = os.open(slot, os.O_RDWR)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                world.fault(f"slot {slot.name} is still taken")
            finally:
                os.close(fd)
        for name in (path.name for path in (world.home / "r").rglob("*") if path.is_socket()):
            if name[1:2] != "-":
                world.totals["names of dead keepers among the sockets"] += 1
            else:
                world.totals["names of other dead processes among the sockets"] += 1
        for path in (world.home / "t").iterdir():
            if path.name.startswith("sse-task-"):
                world.fault(f"the temporary folder {path.name} is there")

    def end_everything(self) -> None:
        """Ends what is left, whatever it is."""
        for process in processes.living(self._world.home):
            processes.kill(process)
        shutil.rmtree(self._world.home / "t", ignore_errors=True)
