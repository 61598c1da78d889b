"""The reader of one address: loads its pages, parses them, asks them for more, and hands each over as a step.

It changes nothing that is saved by itself: a step does, when the crawl takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from sse_tasks import TaskError

from .ending import end_all
from .lane import Lane, LoadedPage
from .paging import page_number, with_page_number
from .politeness import RETRY_AFTER_LIMIT_SECONDS, PageFailed, backoff_seconds
from .reading import Reading, end_growing, expected_last_page, page_failed, reviews_in_words, take_more, take_page
from .records import Review
from .rendering import Rendering
from .whole_page import linked_page, read_whole, says_the_same

if TYPE_CHECKING:
    from .crawl import Crawl
    from .extraction import Page

__all__ = ["Reader"]

READ_SECONDS = 120.0
"""For what is on one page to be parsed."""


Loaded: TypeAlias = tuple[LoadedPage, str | None, bool]
"""A page, the next one that it links to, and whether it is taken into the state already."""


class Reader:
    """Reads one address to its end."""

    def __init__(self, crawl: Crawl, index: int) -> None:
        self._crawl = crawl
        self._index = index
        self._input = crawl.input
        url = crawl.state.urls[index]
        self._state = crawl.state.readings.setdefault(index, Reading(url=url, next_url=url))
        self._ahead: dict[str, asyncio.Task[Loaded]] = {}
        self._rendering = Rendering(always=self._input.render == "always")

    async def run(self) -> None:
        try:
            while self._state.stopped is None:
                await self._visit()
        finally:
            await end_all(self._ahead.values())  # pages that nobody needs any more

    async def _visit(self) -> None:
        state, url = self._state, self._state.next_url
        robots = await self._crawl.polite.robots(url)
        if not robots.allows(url):
            await self._hand_over(partial(self._stop_for_robots, robots.refused, url))
            return
        if len(self._crawl.state.urls) == 1:
            self._crawl.ctx.message(f"Loading page {max(state.documents, 1) if state.growing else state.documents + 1}"
                                     f": {url}")
        try:
            if (loading := self._ahead.pop(url, None)) is not None:
                loaded, following, is_taken = await loading
            else:
                loaded, following, is_taken = await self._load(url, ahead=False)
            if not is_taken:
                await self._take(loaded, following)
        except PageFailed as why:
            await self._hand_over(partial(self._fail, why))

    async def _take(self, loaded: LoadedPage, following: str | None) -> None:
        """Reads a loaded page and takes it in, shown first where it says too little without; ``following``: the page
        that it links to."""
        number, url = self._state.documents + 1, self._state.next_url
        if following is not None:
            await self._look_ahead(loaded.url, following)
        page = await self._parse(loaded, number)
        if not loaded.is_shown and self._rendering.doubts(page.reviews):
            loaded, following, is_taken = await self._show(url, ahead=False)
            if is_taken:
                return
            plain, page = page, await self._parse(loaded, number)
            self._rendering.shown_after_all(plain.reviews, page.reviews)
        await self._hand_over(partial(self._take_page, page, loaded))
        if self._rendering.is_open and loaded.is_shown and following is not None:
            await self._compare(loaded, page, number)
        self._rendering.learn(page.reviews)

    async def _load(self, url: str, *, ahead: bool) -> Loaded:
        """Loads a page, in a tab where it has to be shown. Raises PageFailed."""
        # Whatever else is right for all pages, the last one has to be shown, as far as it can be told.
        if not self._rendering.is_plain or page_number(url, 0) == expected_last_page(self._state):
            return await self._show(url, ahead=ahead)
        try:
            plain = await self._fetch(url)
        except PageFailed as why:
            await self._pause_after(why, url, 1)
            return await self._show(url, ahead=ahead, attempt=2)
        if plain is not None:
            self._rendering.had()
            return plain
        shown = await self._show(url, ahead=ahead)
        if shown[1] is not None:
            self._rendering.refused()
        return shown

    async def _fetch(self, url: str) -> Loaded | None:
        """Loads a page as the server sends it; None where it can't be had so, or links nowhere: it may be the last one,
        which may have to be asked for more. Raises PageFailed."""
        await self._crawl.may_go.wait()
        async with self._crawl.polite.turn(url), self._lane() as lane:
            loaded = await lane.fetch(url, self._input.timeout)
        following = None if loaded is None else await self._linked(loaded)
        return None if loaded is None or following is None else (loaded, following, False)

    async def _show(self, url: str, *, ahead: bool, attempt: int = 1) -> Loaded:
        """Loads a page in a tab, again with growing pauses where that may help. Raises PageFailed."""
        while True:
            await self._crawl.may_go.wait()
            try:
                async with AsyncExitStack() as stack:
                    async with self._crawl.polite.turn(url):
                        lane = await stack.enter_async_context(self._lane())
                        await lane.load(url, self._input.timeout, traced=attempt > 1 or self._state.documents == 0)
                    return await self._look(lane, ahead)
            except PageFailed as why:
                await self._pause_after(why, url, attempt)
                attempt += 1

    async def _pause_after(self, why: PageFailed, url: str, attempt: int) -> None:
        """Waits for the next try of a page that failed, or raises ``why`` where there is to be none."""
        crawl = self._crawl
        pause = max(backoff_seconds(attempt), why.retry_after or 0)
        if attempt >= why.attempts or pause > RETRY_AFTER_LIMIT_SECONDS:
            raise why
        crawl.ctx.log.info("%s: %s; trying again in %g s", url, why, pause)
        crawl.ctx.message(f"{url}: {why}; trying again in {pause:g} s")
        if why.retry_after:
            crawl.polite.hold(url, why.retry_after)
        await asyncio.sleep(pause)

    async def _look(self, lane: Lane, ahead: bool) -> Loaded:
        """Reads the tab. A page that links nowhere is taken in while the tab still shows it, since it may have to be
        asked for more; not the last one of several that were linked."""
        loaded = await lane.read()
        following = await self._linked(loaded)
        if following is not None and self._rendering.is_open:
            loaded = replace(loaded, sent=await lane.sent())
        if following is not None or ahead:
            return loaded, following, False
        await self._grow(lane, loaded)
        return loaded, None, True

    def _lane(self) -> AbstractAsyncContextManager[Lane]:
        return self._crawl.session.lane(f"{self._index}", self._state.cookies)

    async def _linked(self, loaded: LoadedPage) -> str | None:
        if self._input.paging not in {"auto", "next"} or self._state.growing:
            return None
        return await asyncio.to_thread(linked_page, loaded.html, loaded.url, self._state.start_url)

    async def _compare(self, loaded: LoadedPage, page: Page, number: int) -> None:
        """Learns whether further pages need be shown."""
        try:
            is_same = await asyncio.wait_for(
                asyncio.to_thread(says_the_same, loaded, page, **self._how(number)), READ_SECONDS)
        except Exception:  # what the server sent is too much for the parsers
            is_same = False
        self._rendering.compared(is_same, page.reviews)
        if is_same and not self._state.unshown:
            self._crawl.ctx.log.info("%s: what the server sends says it all; its further pages aren't shown in a tab.",
                                     self._state.url)

    async def _grow(self, lane: Lane, loaded: LoadedPage) -> None:
        """Takes the page in, and then what it shows after each time that it is asked for more."""
        state = self._state
        number = state.documents if state.growing else state.documents + 1
        page = await self._parse(loaded, number)
        await self._hand_over(partial(self._take_page, page, loaded, can_grow=lane.runs_scripts))
        known = {_name(review) for review in page.reviews}
        answers, rounds, fruitless = list(loaded.answers), 0, 0
        while state.growing and state.stopped is None:
            await self._crawl.may_go.wait()
            async with self._crawl.polite.turn(loaded.url):
                result = await lane.more(state.growing, page.load_more)
            if result != "changed":
                await self._hand_over(partial(self._end_growing, result))
                continue
            rounds += 1
            loaded = await lane.read()
            answers += loaded.answers
            page = await self._parse(replace(loaded, answers=answers), number)
            before, known = len(known), known | {_name(review) for review in page.reviews}
            fruitless = 0 if len(known) > before else fruitless + 1
            await self._hand_over(partial(self._take_more, page, loaded, rounds, fruitless))

    async def _parse(self, loaded: LoadedPage, number: int) -> Page:
        """In a thread, so that a page of any size doesn't keep a pause or an abort waiting."""
        try:
            return await asyncio.wait_for(asyncio.to_thread(read_whole, loaded, **self._how(number)), READ_SECONDS)
        except TimeoutError:
            raise PageFailed("what is on it couldn't be read in time") from None
        except Exception as why:  # one page that is too much for the parsers costs no other
            self._crawl.ctx.log.exception("%s can't be parsed", loaded.url)
            raise PageFailed(f"what is on it couldn't be read ({type(why).__name__})") from why

    def _how(self, number: int) -> dict[str, Any]:
        return {"number": number, "start_url": self._state.start_url, "profiles": self._crawl.profiles,
                "asked_url": self._state.url}

    async def _look_ahead(self, url: str, following: str) -> None:
        """Has the pages that surely come next on their way while this one is read: the linked one, and with more tabs
        those behind it, as far as the page says that there are any. Only where the host needn't be spared."""
        state, input, crawl = self._state, self._input, self._crawl
        if input.max_reviews is not None or await crawl.polite.spacing(following) > 0:
            return
        addresses = [following]
        last = expected_last_page(state)
        spare = input.concurrency - crawl.active - len(crawl.waiting)
        if spare > 0 and last is not None and following == with_page_number(url, page_number(url) + 1):
            first = page_number(following)
            addresses += [with_page_number(following, n) for n in range(first + 1, min(first + spare, last) + 1)]
        for place, address in enumerate(addresses, 1):
            if (state.documents + 1 + place > input.max_pages or address in state.visited or address in self._ahead
                    or not (await crawl.polite.robots(address)).allows(address)):
                continue
            self._ahead[address] = asyncio.create_task(self._load(address, ahead=True))

    # --- steps: called by the crawl's loop, which saves right behind them ---

    async def _hand_over(self, change: Callable[[], tuple[list[Review], str]]) -> None:
        def step() -> tuple[list[Review], str]:
            new, words = change()
            self._crawl.save(self._index, self._state)
            return new, words

        await self._crawl.hand_over(step)

    def _take_page(self, page: Page, loaded: LoadedPage, *, can_grow: bool = False) -> tuple[list[Review], str]:
        state = self._state
        state.cookies = loaded.cookies
        state.unshown += not loaded.is_shown
        new = take_page(state, page, loaded.url, loaded.problems, self._input, can_grow=can_grow)
        return new, f"Page {state.documents}: {reviews_in_words(len(new))} ({_of(state)})"

    def _take_more(self, page: Page, loaded: LoadedPage, rounds: int, fruitless: int) -> tuple[list[Review], str]:
        state = self._state
        state.cookies = loaded.cookies
        new = take_more(state, page, loaded.problems, self._input, rounds=rounds, fruitless=fruitless)
        return new, f"Page {state.documents}, asked for more: {reviews_in_words(len(new))} ({_of(state)})"

    def _end_growing(self, result: str) -> tuple[list[Review], str]:
        end_growing(self._state, result, self._input)
        return [], f"Page {self._state.documents} has no more ({_of(self._state)})"

    def _stop_for_robots(self, refused: str | None, url: str) -> tuple[list[Review], str]:
        self._state.stopped = "robots"
        self._state.detail = refused or f"robots.txt of {urlsplit(url).netloc} doesn't allow {url}"
        return [], ""

    def _fail(self, why: PageFailed) -> tuple[list[Review], str]:
        state = self._state
        if state.documents:
            page_failed(state, why)
        elif len(self._crawl.state.urls) == 1:
            raise TaskError(f"{state.url} can't be read: {why}.", code="page_failed")
        else:
            state.note(f"{why}")
            state.stopped, state.detail = "error", f"{state.url} can't be read: {why}"
        return [], f"{state.next_url}: {why}"


def _name(review: Review) -> str:
    return f"{review.id}\x1f{review.author}\x1f{review.date_raw}\x1f{review.rating}\x1f{review.title}\x1f{review.body}"


def _of(state: Reading) -> str:
    return str(state.found) if state.declared is None else f"{state.found} of {state.declared}"
