"""Those who use tasks in a chaos run: they start, ask, look and follow, at whichever server or kernel is there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable
from typing import Any

import httpx

from .evidence import ENDED
from .peers import Kernel, PeerGone, Server
from .world import World

__all__ = ["Stream", "ask", "controller", "list_all", "starter"]

AT_ONCE = 10
LISTED = 100
RETRY_SECONDS = 0.2

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


def _peer(world: World, chance: random.Random, kernels: float = 0.3) -> Server | Kernel:
    """One that is there. Raises PeerGone."""
    peers: list[Any] = list(world.kernels if chance.random() < kernels else world.servers)
    chance.shuffle(peers)
    for peer in peers:
        if peer.is_up:
            return peer  # type: ignore[no-any-return]
    raise PeerGone


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
            task_id = await _start(world, chance)
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


async def _start(world: World, chance: random.Random) -> str | None:
    task_type, make_input = chance.choices([shape for _, shape in SHAPES], [weight for weight, _ in SHAPES])[0]
    given = make_input(chance)
    options: dict[str, Any] = {}
    if chance.random() < 0.1:
        options["timeout"] = chance.uniform(0.5, 3)
    if chance.random() < 0.3 and world.has_retries:
        options["retries"] = chance.choice([1, 3])
    peer = _peer(world, chance)
    world.totals["starts asked"] += 1
    if isinstance(peer, Kernel):
        answer = await peer.call("start", task_type, given, options)
        if "code" in answer:
            return _refused(world, task_type, 503 if answer["code"] == "workers_unavailable" else 400, answer)
        task_id = answer["taskId"]
    else:
        response = await peer.call("POST", f"/tasks/{task_type}", json=given, params=options)
        if response.status_code == 422 and "retries" in options:
            world.has_retries = False
            return None
        if response.status_code != 201:
            return _refused(world, task_type, response.status_code, response.text)
        task_id = response.json()["taskId"]
    world.note_start(task_id, task_type)
    return str(task_id)


def _refused(world: World, task_type: str, status: int, answer: Any) -> None:
    """Only where a forkserver, or what it had forked, was killed just now, a start may fail."""
    recent = min(time.time() - world.killed_at.get(kind, 0.0) for kind in ("forkserver", "spare"))
    if status == 503 and recent < 30:
        world.totals["starts refused"] += 1
        return
    world.fault(f"the start of {task_type} was refused: {status} {answer}")


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
        try:
            match chance.choices(["pause", "resume", "abort", "info", "list", "restart"], [7, 8, 3, 3, 1, 3])[0]:
                case "resume" if paused:
                    await ask(world, chance.choice(paused), "resume", _peer(world, chance))
                case "pause" if live and len(paused) < 4:
                    await ask(world, chance.choice(live), "pause", _peer(world, chance))
                case "abort" if live:
                    await ask(world, chance.choice(live), "abort", _peer(world, chance))
                case "info" if live or world.ended:
                    await _info(world, chance.choice([*live, *world.ended[-20:]]), _peer(world, chance))
                case "list":
                    await list_all(world, chance.choice(world.servers))
                case "restart" if world.ended and world.has_restart and len(world.live) < AT_ONCE + 2:
                    await _restart(world, chance.choice(world.ended[-20:]), chance)
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
        status = {None: 202, "task_ended": 409}.get(answer.get("code"), 500)
        said: Any = answer
    else:
        if action == "abort":
            response = await peer.call("DELETE", f"/tasks/{task_type}", params={"taskId": task_id})
        else:
            response = await peer.call("POST", f"/tasks/{task_type}", json={"action": action, "taskId": task_id})
        status, said = response.status_code, response.text
    has_ended = world.has_ended(task_id)
    if not ((status == 202 and not ended_before) or (status == 409 and has_ended)):
        world.fault(f"{action} of task {task_id} was answered {status} {said}; it had "
                    f"{'' if ended_before else 'not '}ended before, and {'' if has_ended else 'not '}after")


async def _info(world: World, task_id: str, peer: Server | Kernel) -> None:
    if isinstance(peer, Kernel):
        _note_answer(world, await peer.call("info", task_id))
    else:
        response = await peer.call("GET", f"/tasks/{world.type_of(task_id)}/{task_id}")
        if response.status_code == 200:
            _note_answer(world, response.json())
        else:
            world.fault(f"task {task_id} was asked for: {response.status_code} {response.text}")


def _note_answer(world: World, info: dict[str, Any]) -> None:
    if "cursor" not in info:
        world.fault(f"a task was asked for: {info}")
        return
    world.totals["infos"] += 1
    world.note("answers", task=info["taskId"], status=info["status"], cursor=info["cursor"])


async def list_all(world: World, server: Server, limit: int = LISTED) -> None:
    """What is confirmed is listed, newest first. Raises PeerGone, TimeoutError."""
    known = sorted(world.types, reverse=True)
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
        if task_id > oldest and task_id not in listed:
            world.fault(f"server {server.name} doesn't list task {task_id}")


async def _restart(world: World, task_id: str, chance: random.Random) -> None:
    fresh = chance.random() < 0.3
    peer = _peer(world, chance)
    if isinstance(peer, Kernel):
        answer = await peer.call("restart", task_id, fresh)
        status = {None: 201, "missing": 404, "workers_unavailable": 503}.get(answer.get("code"), 400)
        said: Any = answer
    else:
        response = await peer.call("POST", f"/tasks/{world.type_of(task_id)}/{task_id}/restart",
                                   params={"fresh": "true"} if fresh else {})
        status, said = response.status_code, response.json() if response.content else {}
    if status in (404, 405):
        world.has_restart = False
    elif status == 201:
        world.totals["restarts"] += 1
        world.note_start(said["taskId"], world.type_of(task_id) or "", restart_of=task_id, fresh=fresh)
        Stream(world, said["taskId"], chance.random()).begin()
    else:
        _refused(world, f"task {task_id} anew", status, said)


class Stream:
    """A client of one task's event stream, from its beginning to its end, over any number of connections."""

    all: list[Stream] = []  # noqa: RUF012 - those of this run

    def __init__(self, world: World, task_id: str, chance: float) -> None:
        self.task_id = task_id
        self.cursor = 0
        self.connected_since: float | None = None
        self.server = ""
        self._world = world
        self._number = len(Stream.all) + 1
        self._chance = random.Random(f"{world.seed} stream {self._number} {chance}")
        self._from_end = self._chance.random() < 0.15
        self._slow = self._chance.random() < 0.15
        self._book = f"seen/http-{self._number}"
        self.is_done = False
        self._has_ended = False
        Stream.all.append(self)  # last: the monitor's thread looks at all of these

    @property
    def is_slow(self) -> bool:
        return self._slow

    def begin(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def give_up(self) -> None:
        """For one that should have seen the end by now."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if not self.is_done:
            self._world.note(self._book, done="never")

    async def _run(self) -> None:
        self._world.note(self._book, task=self.task_id, from_end=self._from_end)
        while not self.is_done:
            server = self._chance.choice(self._world.servers)
            if server.is_up:
                lives = server.lives
                try:
                    # Some stay for a moment only: whoever closes the laptop comes back with the cursor.
                    stay = self._chance.choice([None, None, self._chance.uniform(0.05, 3)])
                    async with asyncio.timeout(stay):
                        await self._connect(server)
                except (TimeoutError, httpx.ReadTimeout):
                    pass
                except httpx.TransportError as error:
                    await asyncio.sleep(0.3)  # a killed server's end is known a little after the connection's
                    if server.is_up and server.lives == lives:
                        self._world.fault(f"client http-{self._number}: server {server.name} lives and broke the "
                                          f"stream off: {error!r}")
                finally:
                    self.connected_since = None
            if not self.is_done:
                await asyncio.sleep(self._chance.uniform(0.02, 0.5))
        self._world.note(self._book, done="end")

    async def _connect(self, server: Server) -> None:
        headers = {"Accept": "text/event-stream"}
        params = {"taskId": self.task_id}
        if self.cursor:
            if self._chance.random() < 0.5:
                headers["Last-Event-ID"] = str(self.cursor)
            else:
                params["lastEventId"] = str(self.cursor)
        elif self._from_end:
            params["from"] = "end"
        url = f"/tasks/{self._world.type_of(self.task_id)}"
        async with server.http.stream("GET", url, params=params, headers=headers) as response:
            self._world.totals["connections"] += 1
            self._world.note(self._book, after=self.cursor, server=server.name)
            if response.status_code == 204:
                if not self._has_ended:
                    self._world.fault(f"client http-{self._number} of task {self.task_id}: 204 at cursor {self.cursor}")
                self.is_done = True
                return
            if response.status_code != 200:
                await response.aread()
                self._world.fault(f"the stream of task {self.task_id}: {response.status_code} {response.text}")
                return
            self.server = server.name
            self.connected_since = time.monotonic()
            buffer = b""
            async for data in response.aiter_raw():
                buffer += data
                *blocks, buffer = buffer.split(b"\n\n")
                for block in blocks:
                    self._take(block)
                if self._slow:
                    await asyncio.sleep(0.3)
        if self._has_ended:
            self.is_done = self._chance.random() < 0.7  # else it comes back, for the 204
        else:
            self._world.totals["streams ended early"] += 1
            if server.is_up:
                await asyncio.sleep(0.3)
                if server.is_up and not self._world.has_ended(self.task_id):
                    self._world.fault(f"client http-{self._number}: the stream of task {self.task_id} ended at cursor "
                                      f"{self.cursor}, and neither task nor server had")

    def _take(self, block: bytes) -> None:
        cursor: int | None = None
        data: bytes | None = None
        for line in block.split(b"\n"):
            if line.startswith(b"id: "):
                cursor = int(line[4:])
            elif line.startswith(b"data: "):
                data = line[6:]
        if data is None:
            return
        self._world.totals["updates seen"] += 1
        self._world.note(self._book, id=cursor, data=data.decode("ascii"))
        if cursor is not None:
            self.cursor = cursor
        if json.loads(data).get("status") in ENDED:
            self._has_ended = True
