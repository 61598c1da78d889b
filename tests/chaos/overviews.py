"""A client of the overview stream in a chaos run: it holds the stream, and writes down what it is told of all tasks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time

import httpx

from .peers import Server
from .world import World

__all__ = ["OverviewClient"]

QUIET_SECONDS = 20.0


class OverviewClient:
    """Over any number of connections; each begins with what is live."""

    all: list[OverviewClient] = []  # noqa: RUF012 - those of this run

    def __init__(self, world: World, number: int) -> None:
        self.name = f"overview-{number}"
        self.is_ready = False
        self.ready_since = 0.0
        self.told: dict[str, tuple[int, str]] = {}
        """Cursor and status of each task, as this connection has told it last."""
        self._world = world
        self._chance: random.Random = world.random(self.name)
        self._book = f"overviews/{self.name}"
        self._is_over = False
        OverviewClient.all.append(self)  # last: the monitor's thread looks at all of these

    def begin(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def finish(self) -> None:
        """When all is quiet: waits until it has been told all there is, or long enough, and leaves."""
        self._is_over = True
        deadline = time.monotonic() + QUIET_SECONDS
        while not (self.is_ready and not self.behind()):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)  # nothing tells that there is no more to come
        if self.is_ready:
            self._world.note(self._book, quiet=time.time())
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def behind(self) -> dict[str, tuple[int, str]]:
        """The tasks of which it hasn't been told the last, by what it was told."""
        world = self._world
        return {task_id: told for task_id, told in dict(self.told).items()
                if task_id not in world.forgetting and told[0] < world.last_cursor(task_id)}

    def missing(self) -> list[str]:
        """The live tasks that it hasn't been told of at all."""
        return [task_id for task_id in list(self._world.live) if task_id not in self.told]

    async def _run(self) -> None:
        while True:
            server = self._chance.choice(self._world.servers)
            if server.is_up:
                lives = server.lives
                stay = None if self._is_over else self._chance.choice([None, self._chance.uniform(1, 40)])
                try:
                    async with asyncio.timeout(stay):
                        await self._connect(server)
                except (TimeoutError, httpx.ReadTimeout):
                    pass
                except httpx.TransportError as error:
                    if await server.lives_on(lives):
                        self._world.fault(f"{self.name}: server {server.name} lives and broke the stream off: "
                                          f"{error!r}")
                finally:
                    if self.is_ready:
                        self._world.note(self._book, broken=time.time())
                    self.is_ready = False
            await asyncio.sleep(self._chance.uniform(0.02, 0.5))

    async def _connect(self, server: Server) -> None:
        self._world.note(self._book, connect=time.time(), server=server.name)
        self.told.clear()
        async with server.http.stream("GET", "/tasks", headers={"Accept": "text/event-stream"}) as response:
            if response.status_code != 200:
                await response.aread()
                self._world.fault(f"{self.name}: {response.status_code} {response.text}")
                return
            self._world.totals["overview connections"] += 1
            buffer = b""
            async for data in response.aiter_raw():
                buffer += data
                *blocks, buffer = buffer.split(b"\n\n")
                for block in blocks:
                    for line in block.split(b"\n"):
                        if line.startswith(b"data: "):
                            self._take(json.loads(line[6:]))

    def _take(self, event: dict) -> None:  # type: ignore[type-arg]
        match event["type"]:
            case "snapshot":
                task = event["task"]
                self.told[task["taskId"]] = task["cursor"], task["status"]
                self._world.totals["snapshots seen"] += 1
                self._world.note(self._book, task=task["taskId"], cursor=task["cursor"], status=task["status"],
                                 at=time.time())
            case "ready":
                self.is_ready, self.ready_since = True, time.monotonic()
                self._world.note(self._book, ready=time.time())
            case "gone":
                self.told.pop(event["taskId"], None)
                self._world.totals["tasks seen to go"] += 1
                self._world.note(self._book, gone=event["taskId"], at=time.time())
