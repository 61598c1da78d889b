"""The crawl: address after address, page after page, reviews emitted as they are found, a checkpoint after each page.

Tabs work side by side, but only one place changes what is known: a reader loads and parses, and then hands a *step* to
the crawl's own loop, which takes it into the state, emits the new reviews and saves the state, with nothing in between.
So whatever is killed at any moment, the items kept and the state kept belong together.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from .browser import BrowserSession
from .contract import ScrapeReviewsInput, ScrapeReviewsOutput, UrlOutcome
from .ending import end_all
from .findings import Findings
from .guard import AddressGuard
from .politeness import Politeness, user_agent
from .profiles import Profile, load_profiles
from .reader import Reader
from .reading import Reading, outcome
from .records import Review
from .sitemap import read_sitemap
from .totals import CrawlState, summary
from .whole_page import warm_up

if TYPE_CHECKING:
    from sse_tasks import AsyncTaskContext

__all__ = ["Crawl", "crawl"]

IDLE_SECONDS = 0.5
"""How long a pause may go unnoticed while all tabs are waiting for something."""

SWITCH_SECONDS = 0.0005
"""How long a thread that parses a page may keep the loop waiting, which has a score of short turns for each page."""

Step = Callable[[], tuple[list[Review], str]]
"""Changes the state; gives the reviews to emit and what to say."""


async def crawl(ctx: AsyncTaskContext, input: ScrapeReviewsInput, guard: AddressGuard,
                session: BrowserSession) -> ScrapeReviewsOutput:
    """Reads all addresses to their end and writes the files. Raises TaskError where not a single page can be had."""
    profiles = load_profiles(input.profile, input.profile_folder)
    resumed = _resumed(ctx.saved, input)
    async with AsyncExitStack() as stack:
        findings = await asyncio.to_thread(Findings, ctx, input, resumed.comparison if resumed else None)
        stack.callback(findings.close)
        stack.enter_context(_quick_turns())
        warming = asyncio.ensure_future(asyncio.to_thread(warm_up, "parquet" in input.exports))
        stack.push_async_callback(asyncio.wait, {warming})
        client = await stack.enter_async_context(httpx.AsyncClient(
            proxy=guard.proxy, verify=ssl.create_default_context(), headers={"User-Agent": user_agent()},
            follow_redirects=True, max_redirects=5, timeout=15,
        ))
        polite = Politeness(client, input.delay, input.respect_robots, asyncio.sleep)
        stack.push_async_callback(polite.close)
        state = resumed or await _begun(ctx, input, client, polite)
        reading = sum(each.pages for each in state.readings.values())
        if reading or state.outcomes:
            ctx.message(f"Going on after page {reading}" if len(state.urls) == 1
                        else f"Going on after {len(state.outcomes)} of {len(state.urls)} addresses")
        await Crawl(ctx, input, state, session, polite, profiles, findings).run()
        output = summary(input, state)
        await findings.finish(output, session)
    ctx.message(output.message)
    if not output.partial and (output.declared is None or len(state.urls) > 1):  # measured by pages or addresses so far
        ctx.progress(output.found, output.found, "Done")
    return output


@contextmanager
def _quick_turns() -> Iterator[None]:
    """Threads take shorter turns for as long as the block lasts."""
    before = sys.getswitchinterval()
    if before <= SWITCH_SECONDS:  # another crawl of this process has seen to it
        yield
        return
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


async def _begun(ctx: AsyncTaskContext, input: ScrapeReviewsInput, client: httpx.AsyncClient,
                 polite: Politeness) -> CrawlState:
    urls = [*filter(None, (input.url,)), *input.urls]
    problems: list[str] = []
    if input.sitemap is not None:
        ctx.message(f"Reading the sitemap {input.sitemap}")
        named, problems = await read_sitemap(client, polite, input.sitemap, input.sitemap_match, input.max_urls)
        urls += named
    urls = list(dict.fromkeys(urls))
    if len(urls) > input.max_urls:
        problems.append(f"only the first {input.max_urls} of {len(urls)} addresses were read (max_urls)")
    state = CrawlState(asked=_asked(input), urls=urls[: input.max_urls], problems=problems)
    if input.sitemap is not None:  # found once, so that a later attempt has the same addresses
        await ctx.checkpoint(msgspec.to_builtins(state, str_keys=True))
    return state


class Crawl:
    """One attempt. ``run`` returns when all addresses have an outcome."""

    def __init__(self, ctx: AsyncTaskContext, input: ScrapeReviewsInput, state: CrawlState, session: BrowserSession,
                 polite: Politeness, profiles: list[Profile], findings: Findings) -> None:
        self.ctx = ctx
        self.findings = findings
        self.input = input
        self.state = state
        self.session = session
        self.polite = polite
        self.profiles = profiles
        self._steps: asyncio.Queue[tuple[Step, asyncio.Future[None]]] = asyncio.Queue()
        self.may_go = asyncio.Event()
        self.may_go.set()
        done = state.outcomes.keys()
        begun = [i for i in sorted(state.readings) if i not in done]
        self.waiting = deque([*begun, *(i for i in range(len(state.urls)) if i not in done and i not in begun)])
        self.active = 0
        # The states as they are saved, so that a page of one address doesn't mean to write all others out again.
        self._saved: dict[str, Any] = msgspec.to_builtins(state, str_keys=True)

    async def run(self) -> None:
        readers = {asyncio.create_task(self._read_all())
                   for _ in range(min(self.input.concurrency, max(len(self.waiting), 1)))}
        try:
            while readers or not self._steps.empty():
                if self._steps.empty():
                    getting = asyncio.ensure_future(self._steps.get())
                    try:
                        done, _ = await asyncio.wait({getting, *readers}, timeout=IDLE_SECONDS,
                                                     return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        getting.cancel()  # of no effect on one that has got something
                    if getting in done:
                        await self._take(*getting.result())
                    else:
                        await self._stand_by(None)
                    for reader in done & readers:
                        readers.discard(reader)
                        reader.result()
                else:
                    await self._take(*self._steps.get_nowait())
        finally:
            await end_all(readers)

    async def _take(self, step: Step, taken: asyncio.Future[None]) -> None:
        try:
            new, words = step()
        except Exception as why:
            if not taken.cancelled():
                taken.set_exception(why)
            return
        self.findings.add(new)
        self._saved["comparison"] = self.findings.state()
        self._say(words)
        await self._stand_by(self._saved)  # saves before it waits for anything
        if not taken.cancelled():
            taken.set_result(None)

    async def _stand_by(self, state: Any) -> None:
        self.may_go.clear()
        await self.ctx.checkpoint(state)
        self.may_go.set()

    async def hand_over(self, step: Step) -> None:
        """Has ``step`` taken into the state, and returns when that is saved."""
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._steps.put((step, taken))
        await taken

    def _say(self, words: str) -> None:
        state, count = self.state, len(self.state.urls)
        if count > 1:
            self.ctx.progress(len(state.outcomes), count, f"{len(state.outcomes)} of {count} addresses; {words}")
            return
        reading = state.readings.get(0)
        if reading is None or not words:
            return
        if reading.declared is not None or self.input.max_reviews is not None:
            expected = min(n for n in (reading.declared, self.input.max_reviews) if n is not None)
            self.ctx.progress(min(reading.found, expected), expected, words)
        else:
            self.ctx.progress(reading.pages, self.input.max_pages, words)

    async def _read_all(self) -> None:
        while self.waiting:
            index = self.waiting.popleft()
            self.active += 1
            try:
                await Reader(self, index).run()
            finally:
                self.active -= 1

    def save(self, index: int, state: Reading) -> None:
        """What the next checkpoint saves of an address; its outcome alone once it has one."""
        key = str(index)
        if state.stopped is None:
            self._saved["readings"][key] = msgspec.to_builtins(state)
            return
        self._finish(index, outcome(state), state.sources)

    def _finish(self, index: int, result: UrlOutcome, sources: dict[str, int]) -> None:
        for syntax, count in sources.items():
            self.state.sources[syntax] = self.state.sources.get(syntax, 0) + count
        self.state.outcomes[index] = result
        self._saved["outcomes"][str(index)] = msgspec.to_builtins(result)
        self._saved["sources"] = dict(self.state.sources)
        self._saved["readings"].pop(str(index), None)
        if len(self.state.urls) > 1:
            self.state.readings.pop(index, None)


def _asked(input: ScrapeReviewsInput) -> str:
    return "\n".join([input.url or "", input.sitemap or "", input.sitemap_match or "", *input.urls])


def _resumed(saved: Any, input: ScrapeReviewsInput) -> CrawlState | None:
    """The state of an earlier attempt, if it is one of the same addresses."""
    try:
        state = msgspec.convert(saved, CrawlState, str_keys=True) if saved is not None else None
    except msgspec.ValidationError:  # of another version
        return None
    return state if state is not None and state.asked == _asked(input) else None
