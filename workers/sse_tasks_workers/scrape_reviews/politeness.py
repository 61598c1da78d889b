"""What a guest does: keeps robots.txt, waits between two requests to a host, and backs off when told to."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import email.utils
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .addresses import host_and_port
from .ending import end_all

if TYPE_CHECKING:
    import httpx
    from protego import Protego

__all__ = ["PageFailed", "Politeness", "Robots", "backoff_seconds", "retry_after_seconds", "user_agent"]

ROBOTS_TOKEN = "sse-tasks"
"""The name that robots.txt knows this project by."""
ROBOTS_LIMIT = 500 * 1024
"""Bytes of a robots.txt that are read, as the robots exclusion standard demands."""
CRAWL_DELAY_LIMIT_SECONDS = 300.0
RETRY_AFTER_LIMIT_SECONDS = 300.0
"""A host that asks for more is left alone: the crawl ends and says so."""
BACKOFF_SECONDS = 1.0
HOST_LIMIT = 6
"""Requests for pages that one host gets at once, as from a browser."""
_ROBOTS_ATTEMPTS = 3
_VERSION = re.compile(rf"(?im)^(\s*user-agent\s*:\s*{ROBOTS_TOKEN})/\S*")
"""Rules for ``sse-tasks/1.2``, as a host's log shows it, are for us as well."""

Sleep = Callable[[float], Awaitable[None]]


class PageFailed(Exception):
    """A page that didn't come. ``attempts`` is how often it is worth trying in all, ``retry_after`` the host's wish."""

    def __init__(self, message: str, attempts: int = 1, retry_after: float | None = None,
                 status: int | None = None) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.retry_after = retry_after
        self.status = status


def user_agent() -> str:
    """Who we are, truly: ``sse-tasks/<version>``."""
    try:
        return f"{ROBOTS_TOKEN}/{version('sse_tasks')}"
    except PackageNotFoundError:  # run from a bare checkout
        return ROBOTS_TOKEN


def backoff_seconds(attempt: int) -> float:
    """How long to wait after failed attempt number ``attempt``, from 1."""
    return min(BACKOFF_SECONDS * 2.0 ** (attempt - 1), 60.0)


def retry_after_seconds(value: str | None, now: dt.datetime | None = None) -> float | None:
    """A ``Retry-After`` header, a number of seconds or a date; None where it is neither."""
    text = (value or "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max((moment - (now or dt.datetime.now(dt.UTC))).total_seconds(), 0.0)


class Robots:
    """One host's rules. ``refused`` says why all of it is forbidden, where it is because the rules can't be had."""

    def __init__(self, rules: Protego | None = None, refused: str | None = None) -> None:
        self._rules = rules
        self.refused = refused

    def allows(self, url: str) -> bool:
        if self.refused:
            return False
        return self._rules is None or bool(self._rules.can_fetch(url, ROBOTS_TOKEN))

    @property
    def crawl_delay(self) -> float:
        delay = self._rules.crawl_delay(ROBOTS_TOKEN) if self._rules is not None else None
        return min(float(delay or 0), CRAWL_DELAY_LIMIT_SECONDS)


class Politeness:
    """Asks robots.txt once for each host, and keeps ``delay`` seconds (or the host's crawl-delay) between requests.

    A host that has to be waited for gets one request at a time; without any delay it gets ``HOST_LIMIT`` at once.
    """

    def __init__(self, client: httpx.AsyncClient, delay: float, respect_robots: bool, sleep: Sleep) -> None:
        self._client = client
        self._delay = delay
        self._respect = respect_robots
        self._sleep = sleep
        self._robots: dict[str, asyncio.Future[Robots]] = {}
        self._next_turn: dict[str, float] = {}
        self._single: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._several: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(HOST_LIMIT))

    async def robots(self, url: str) -> Robots:
        """The rules for ``url``'s host. A 4xx means none; what can't be read forbids everything."""
        if not self._respect:
            return Robots()
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        known_by = f"{parts.scheme}://{host_and_port(url)}"
        if known_by not in self._robots:
            self._robots[known_by] = asyncio.ensure_future(self._fetch_robots(f"{origin}/robots.txt"))
        return await asyncio.shield(self._robots[known_by])

    async def close(self) -> None:
        """Ends what is still being asked for."""
        await end_all(self._robots.values())

    async def spacing(self, url: str) -> float:
        """Seconds between two requests to ``url``'s host."""
        return max(self._delay, (await self.robots(url)).crawl_delay)

    @contextlib.asynccontextmanager
    async def turn(self, url: str) -> AsyncIterator[None]:
        """``async with polite.turn(url):`` waits until the host's turn is there; the delay counts from its end on."""
        host, spacing = host_and_port(url), await self.spacing(url)  # however it is spelled
        async with self._single[host] if spacing > 0 else self._several[host]:
            pause = self._next_turn.get(host, 0.0) - time.monotonic()
            if pause > 0:
                await self._sleep(pause)
            try:
                yield
            finally:
                self.hold(url, spacing)

    def hold(self, url: str, seconds: float) -> None:
        """Nobody asks ``url``'s host for so long: it said that it wants a pause, or had its turn."""
        host = host_and_port(url)
        self._next_turn[host] = max(self._next_turn.get(host, 0.0), time.monotonic() + seconds)

    async def _fetch_robots(self, url: str) -> Robots:
        import httpx
        from protego import Protego

        why = ""
        for attempt in range(1, _ROBOTS_ATTEMPTS + 1):
            try:
                async with self._client.stream("GET", url) as response:
                    if response.status_code < 400:
                        return Robots(Protego.parse(_VERSION.sub(r"\1", await _limited_text(response))))
                    if response.status_code < 500 and response.status_code != 429:
                        return Robots()
                    why = f"status {response.status_code}"
            except httpx.HTTPError as error:
                why = str(error) or type(error).__name__
            except ValueError as error:  # an answer that isn't what it says to be
                why = str(error)
            if attempt < _ROBOTS_ATTEMPTS:
                await self._sleep(backoff_seconds(attempt))
        return Robots(refused=f"{url} can't be read ({why}), which forbids the whole host")


async def _limited_text(response: httpx.Response) -> str:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= ROBOTS_LIMIT:
            break
    return bytes(body[:ROBOTS_LIMIT]).decode("utf-8-sig", "replace").replace("\x00", "")
