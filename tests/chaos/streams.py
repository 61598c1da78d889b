"""A client of one task's event stream in a chaos run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time

import httpx

from .evidence import ENDED
from .peers import Server
from .world import World

__all__ = ["Stream"]


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
        self._end = "end"
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
                    if await server.lives_on(lives):
                        self._world.fault(f"client http-{self._number}: server {server.name} lives and broke the "
                                          f"stream off: {error!r}")
                finally:
                    self.connected_since = None
            if not self.is_done:
                await asyncio.sleep(self._chance.uniform(0.02, 0.5))
        self._world.note(self._book, done=self._end)

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
            if response.status_code == 404 and self.task_id in self._world.forgetting:
                self._end = "gone"
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
                if (server.is_up and self.task_id not in self._world.forgetting
                        and not self._world.has_ended(self.task_id)):
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
