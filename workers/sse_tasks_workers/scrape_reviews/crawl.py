"""The crawl: page after page, its reviews emitted as they are found, a checkpoint after each page.

What to do next is decided by plain functions over ``CrawlState``; the loop round them loads, emits and saves. The state
is all that a later attempt needs to go on as if nothing had happened.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from sse_tasks import TaskError

from .browser import BrowserSession, LoadedPage
from .contract import ScrapeReviewsInput, ScrapeReviewsOutput, Stopped
from .extraction import Page, read_page
from .guard import AddressGuard
from .merging import identity
from .paging import page_number, with_page_number
from .politeness import RETRY_AFTER_LIMIT_SECONDS, PageFailed, Politeness, backoff_seconds, user_agent
from .records import Review

if TYPE_CHECKING:
    from sse_tasks import AsyncTaskContext

__all__ = ["CrawlState", "advance", "crawl", "summary"]

ROUNDS_WITHOUT_NEW = 2
"""Pages in a row without a new review after which nothing more is expected."""
ERRORS_LIMIT = 50


class CrawlState(msgspec.Struct, kw_only=True):
    """Where a crawl stands between two pages. ``guessed``: nobody linked to ``next_url``, its number was raised."""

    url: str
    next_url: str
    start_url: str = ""
    guessed: bool = False
    linked: bool = False
    more: bool = False
    pages: int = 0
    found: int = 0
    declared: int | None = None
    declared_ratings: int | None = None
    rounds_without_new: int = 0
    sources: dict[str, int] = {}
    errors: list[str] = []
    visited: list[str] = []
    fingerprints: list[str] = []
    seen: set[str] = set()
    cookies: list[dict[str, Any]] = []
    title: str | None = None
    stopped: Stopped | None = None
    detail: str = ""

    def note(self, error: str) -> None:
        if len(self.errors) < ERRORS_LIMIT:
            self.errors.append(error)
        elif len(self.errors) == ERRORS_LIMIT:
            self.errors.append("… and more")


async def crawl(ctx: AsyncTaskContext, input: ScrapeReviewsInput) -> ScrapeReviewsOutput:
    """Runs ``scrape-reviews``. Raises TaskError where not even the first page can be had, or there is no browser."""
    import httpx

    _check_address(input.url)
    state = _resumed(ctx.saved, input.url) or CrawlState(url=input.url, next_url=input.url)
    if state.pages:
        ctx.message(f"Going on after page {state.pages}")
    async with AsyncExitStack() as stack:
        guard = await stack.enter_async_context(AddressGuard(input.url, input.allow_hosts))
        session = await stack.enter_async_context(BrowserSession(guard, state.cookies, ctx.files))
        client = await stack.enter_async_context(httpx.AsyncClient(
            proxy=guard.proxy, headers={"User-Agent": user_agent()}, follow_redirects=True, max_redirects=5, timeout=15,
        ))
        polite = Politeness(client, input.delay, input.respect_robots, ctx.sleep)
        while state.stopped is None:
            await _visit(ctx, input, state, session, polite)
            state.cookies = await session.cookies()
            await ctx.checkpoint(msgspec.to_builtins(state))
    output = summary(state)
    ctx.message(output.message)
    if output.declared is None and not output.partial:  # measured by pages so far, of which there were fewer
        ctx.progress(output.found, output.found, "Done")
    return output


async def _visit(ctx: AsyncTaskContext, input: ScrapeReviewsInput, state: CrawlState, session: BrowserSession,
                 polite: Politeness) -> None:
    number, url = state.pages + 1, state.next_url
    robots = await polite.robots(url)
    if not robots.allows(url):
        state.stopped = "robots"
        state.detail = robots.refused or f"robots.txt of {urlsplit(url).netloc} doesn't allow {url}"
        return
    ctx.message(f"Loading page {number}: {url}")
    try:
        loaded = await _load(ctx, input, session, polite, url)
    except PageFailed as why:
        _failed(state, why, number, url)
        return
    base = dt.datetime.now(dt.UTC)
    # In a thread, so that a page of any size doesn't keep a pause or an abort waiting.
    page = await asyncio.to_thread(read_page, loaded.html, loaded.url, number=number, base=base,
                                   start_url=state.start_url)
    new = advance(state, page, loaded, input)
    for review in new:
        ctx.emit(review)
    words = f"Page {number}: {_reviews(len(new))} ({_of(state)})"
    if state.declared is not None or input.max_reviews is not None:
        expected = min(n for n in (state.declared, input.max_reviews) if n is not None)
        ctx.progress(min(state.found, expected), expected, words)
    else:
        ctx.progress(state.pages, input.max_pages, words)


async def _load(ctx: AsyncTaskContext, input: ScrapeReviewsInput, session: BrowserSession, polite: Politeness,
                url: str) -> LoadedPage:
    """Loads a page, again with growing pauses where that may help."""
    attempt = 0
    while True:
        attempt += 1
        await polite.wait(url)
        try:
            try:
                return await session.load(url, input.timeout)
            finally:
                await polite.rest(url)
        except PageFailed as why:
            pause = max(backoff_seconds(attempt), why.retry_after or 0)
            if attempt >= why.attempts or pause > RETRY_AFTER_LIMIT_SECONDS:
                raise
            ctx.log.info("%s: %s; trying again in %g s", url, why, pause)
            ctx.message(f"{url}: {why}; trying again in {pause:g} s")
            await ctx.sleep(pause)


def _failed(state: CrawlState, why: PageFailed, number: int, url: str) -> None:
    if number == 1:
        raise TaskError(f"{url} can't be read: {why}.", code="page_failed")
    if state.guessed and why.status is not None and 400 <= why.status < 500 and why.status != 429:
        state.stopped, state.more = "no_next_page", False  # the address was a guess, and there is nothing behind it
        return
    state.note(f"page {number} ({url}): {why}")
    state.stopped, state.detail = "error", f"page {number} can't be read: {why}"


def advance(state: CrawlState, page: Page, loaded: LoadedPage, input: ScrapeReviewsInput) -> list[Review]:
    """Takes a page into the state and decides how to go on. Gives its new reviews, in page order."""
    url = loaded.url
    state.pages += 1
    state.start_url = state.start_url or url
    state.title = state.title or page.title
    state.visited += [u for u in dict.fromkeys((state.next_url, url)) if u not in state.visited]
    state.declared = page.declared.reviews if state.declared is None else state.declared
    state.declared_ratings = page.declared.ratings if state.declared_ratings is None else state.declared_ratings
    for problem in (*loaded.problems, *page.problems):
        state.note(f"page {state.pages} ({url}): {problem}")
    if page.fingerprint is not None and page.fingerprint in state.fingerprints:
        state.stopped = "repeated_page"
        state.detail = f"page {state.pages} ({url}) shows the same reviews as one before it"
        return []
    if page.fingerprint is not None:
        state.fingerprints.append(page.fingerprint)
    for syntax, count in page.sources.items():
        state.sources[syntax] = state.sources.get(syntax, 0) + count
    new = _new_reviews(state, page.reviews)
    left = len(new) if input.max_reviews is None else input.max_reviews - state.found
    taken = new[:left]
    state.found += len(taken)
    state.rounds_without_new = 0 if taken else state.rounds_without_new + 1
    _go_on(state, page, url, input)
    if input.max_reviews is not None and state.found >= input.max_reviews:
        state.more = len(new) > left or state.stopped is None or state.more
        state.stopped, state.detail = "max_reviews", f"max_reviews ({input.max_reviews}) was reached"
    return taken


def _new_reviews(state: CrawlState, reviews: list[Review]) -> list[Review]:
    new = []
    for review in reviews:
        name = identity(review)
        if name is None:  # nothing tells it from others, so it counts wherever it stands
            new.append(review)
        elif name not in state.seen:
            state.seen.add(name)
            new.append(review)
    return new


def _go_on(state: CrawlState, page: Page, url: str, input: ScrapeReviewsInput) -> None:
    was_guessed = state.guessed
    state.next_url, state.guessed = _next_address(state, page, url, input)
    state.more = bool(state.next_url) and not state.guessed
    if not state.next_url:
        state.stopped = "no_next_page"
        if page.next.refused:
            state.detail = f"the next link leads to {page.next.refused}, which looks like another thing's page"
    elif input.paging == "none":
        state.stopped = "paging_off"
    elif state.next_url in state.visited:
        state.stopped, state.more = "repeated_page", False
        state.detail = f"the next link leads back to {state.next_url}"
    elif state.rounds_without_new >= ROUNDS_WITHOUT_NEW or (was_guessed and not page.reviews):
        state.stopped = "no_new_reviews"
    elif state.pages >= input.max_pages:
        state.stopped, state.detail = "max_pages", f"max_pages ({input.max_pages}) was reached"


def _next_address(state: CrawlState, page: Page, url: str, input: ScrapeReviewsInput) -> tuple[str, bool]:
    """The next page's address, and whether it is a guess. In ``auto`` a page that links nowhere is asked for its
    successor only if it says that there are more reviews than it shows."""
    if input.paging == "page":
        return with_page_number(url, page_number(url) + 1), True
    if page.next.url:
        state.linked = True
        return page.next.url, False
    expects_more = state.declared is not None and state.declared > state.found
    if input.paging == "auto" and page.reviews and expects_more and not state.linked:
        return with_page_number(url, page_number(url) + 1), True
    return "", False


def summary(state: CrawlState) -> ScrapeReviewsOutput:
    """The result of a crawl that has stopped."""
    assert state.stopped is not None
    short = state.declared is not None and state.found < state.declared
    return ScrapeReviewsOutput(
        url=state.url,
        found=state.found,
        declared=state.declared,
        declared_ratings=state.declared_ratings,
        pages=state.pages,
        sources=state.sources,
        errors=state.errors,
        stopped=state.stopped,
        partial=short or state.more or state.stopped in {"max_pages", "robots", "error"},
        message=_message(state),
    )


_REASONS: dict[str, str] = {
    "no_next_page": "there is no next page",
    "no_new_reviews": "the last pages had no new reviews",
    "paging_off": "only one page was asked for",
}


def _message(state: CrawlState) -> str:
    assert state.stopped is not None
    reason = state.detail or _REASONS.get(state.stopped, state.stopped)
    if state.stopped == "no_next_page" and state.detail:
        reason = f"{_REASONS['no_next_page']}: {state.detail}"
    if state.found == 0 and state.pages:
        title = f" Its title is {state.title!r}." if state.title else ""
        says = f" It says that there are {state.declared}." if state.declared else ""
        return (f"No structured reviews (JSON-LD, microdata, RDFa, hReview) were found at {state.url}.{title}{says} "
                f"{_capital(reason)}.")
    said = _reviews(state.found) if state.declared is None else f"{state.found} of {_reviews(state.declared)}"
    return f"{said} on {state.pages} page{'' if state.pages == 1 else 's'}; {reason}."


def _of(state: CrawlState) -> str:
    return str(state.found) if state.declared is None else f"{state.found} of {state.declared}"


def _reviews(count: int) -> str:
    return f"{count} review{'' if count == 1 else 's'}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _resumed(saved: Any, url: str) -> CrawlState | None:
    """The state of an earlier attempt, if it is one of the same address."""
    try:
        state = msgspec.convert(saved, CrawlState) if saved is not None else None
    except msgspec.ValidationError:  # of another version
        return None
    return state if state is not None and state.url == url else None


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits:
        raise TaskError(f"{url[:200]!r} is no web address. It has to begin with http:// or https://.", code="bad_url")
