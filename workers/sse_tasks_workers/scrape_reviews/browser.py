"""The browser: found, started, given a page to load, and closed on every way out.

Each page is loaded in a tab of its own and read once. Every call to it has a deadline, since those without one of their
own (``content``, ``title``) hang on a page that never stops running.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from sse_tasks import TaskError

from .guard import AddressGuard
from .politeness import PageFailed, retry_after_seconds, user_agent

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Frame, Playwright, Request, Response, Route
    from playwright.async_api import Page as Tab

__all__ = ["BROWSER_VARIABLE", "BrowserSession", "LoadedPage", "find_browser"]

BROWSER_VARIABLE = "SSE_TASKS_BROWSER"
CALL_SECONDS = 10.0
"""For one call to a page beyond its loading."""
CLOSE_SECONDS = 10.0
SETTLE_SECONDS = 1.5
"""How long a page's scripts may take to put reviews there that weren't in what the server sent."""
NAVIGATION_LIMIT = 8
POPUP_LIMIT = 20
HTML_LIMIT = 20_000_000
"""Characters of a page that are read."""
EVIDENCE_LIMIT = 2_000_000
PAGES_PER_CONTEXT = 50

_NAMES = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "microsoft-edge", "chrome")
_MAC_PATHS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_ARGUMENTS = ["--disable-dev-shm-usage", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio",
              "--disable-background-networking", "--disable-component-update", "--disable-sync",
              "--force-webrtc-ip-handling-policy=disable_non_proxied_udp"]
_BLOCKED = frozenset({"image", "media", "font"})
_REVIEW_MARK = (
    "xpath=//script[contains(@type, 'ld+json') and contains(., 'Review')] | //*[contains(@itemtype, 'Review')]"
    " | //*[contains(@typeof, 'Review')] | //*[contains(concat(' ', @class, ' '), ' hreview ')]"
)
# Errors that a second attempt can't mend, in words for a person. All others of the network are tried again.
_PERMANENT = {
    "ERR_TOO_MANY_REDIRECTS": "it redirects in a circle",
    "ERR_ABORTED": "it is no page: a download, or an empty answer",
    "Download is starting": "it is no page but a download",
    "ERR_CERT_": "its certificate is not valid",
    "ERR_SSL_": "no secure connection is possible",
    "ERR_UNKNOWN_URL_SCHEME": "its address is not http or https",
    "ERR_INVALID_": "its address or answer is not valid",
    "ERR_UNSAFE_PORT": "browsers refuse its port",
    "ERR_RESPONSE_HEADERS_": "its answer is not valid",
}

_STATUS_WORDS = {
    204: "it is an empty answer",
    205: "it is an empty answer",
    401: "it asks for a name and a password",
    404: "there is no such page",
    410: "the page is gone",
}

T = TypeVar("T")


def find_browser(playwrights_own: str | None = None) -> str:
    """The browser's path: ``SSE_TASKS_BROWSER``, else Playwright's own if it is installed, else the system's.

    Raises TaskError (``no_browser``) that says what to do.
    """
    if chosen := os.environ.get(BROWSER_VARIABLE):
        path = shutil.which(chosen)
        if path is None:
            raise TaskError(f"{BROWSER_VARIABLE} names {chosen!r}, which is no program. Correct it, or unset it to "
                            "have a browser looked for.", code="no_browser")
        return path
    if playwrights_own and os.access(playwrights_own, os.X_OK):
        return playwrights_own
    candidates = [*_NAMES, *(_MAC_PATHS if sys.platform == "darwin" else ())]
    if found := next(filter(None, map(shutil.which, candidates)), None):
        return found
    raise TaskError(f"No browser was found. Run `playwright install chromium`, or install Chromium or Chrome, or set "
                    f"{BROWSER_VARIABLE} to a browser's path.", code="no_browser")


@dataclass(frozen=True)
class LoadedPage:
    """``url`` is where it ended after redirects; ``problems`` say what of it may be missing."""

    url: str
    html: str
    problems: list[str] = field(default_factory=list)


class BrowserSession:
    """``async with BrowserSession(guard) as session:`` and then ``await session.load(url, seconds)``.

    The browser starts with the first page and again after a crash; one cookie jar lasts for the whole session.
    """

    def __init__(self, guard: AddressGuard, cookies: list[dict[str, Any]], evidence: Path | None = None) -> None:
        self._guard = guard
        self._cookies: list[Any] = cookies
        self._evidence = evidence
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._context: BrowserContext | None = None
        self._pages = 0

    async def __aenter__(self) -> BrowserSession:
        return self

    async def __aexit__(self, *error: object) -> None:
        # In a task of its own, so that a second cancellation can't leave the browser behind half closed.
        closing = asyncio.ensure_future(self._close())
        await asyncio.wait({closing}, timeout=CLOSE_SECONDS)

    async def _close(self) -> None:
        for step in (self._browser and self._browser.close, self._playwright and self._playwright.stop):
            if step:
                with contextlib.suppress(Exception):  # it may have crashed; closing has no one to tell
                    await step()
        self._browser = self._context = self._playwright = None

    async def cookies(self) -> list[dict[str, Any]]:
        """The jar, for the next attempt; at most 200 cookies."""
        if self._context is not None:
            with contextlib.suppress(Exception):
                self._cookies = list(await _bounded(self._context.cookies()))[:200]
        return self._cookies

    async def load(self, url: str, seconds: float) -> LoadedPage:
        """Loads ``url`` within so many ``seconds`` and gives what is on it. Raises PageFailed."""
        from playwright.async_api import Error

        try:
            tab = await self._tab()
        except (Error, TimeoutError) as why:
            await self._close()
            raise PageFailed(f"the browser couldn't open a page ({_first_line(why)})", attempts=2) from why
        try:
            return await self._load(tab, url, seconds)
        except PageFailed as why:
            if why.status is not None:
                await self._keep_evidence(tab)
            raise
        except TimeoutError as why:
            raise PageFailed(str(why) or "it doesn't react", attempts=2) from why
        except Error as why:
            raise _failure(str(why)) from why
        finally:
            with contextlib.suppress(Exception):
                await _bounded(tab.close(), 5)

    async def _load(self, tab: Tab, url: str, seconds: float) -> LoadedPage:
        from playwright.async_api import Error
        from playwright.async_api import TimeoutError as Overdue

        watch = _Watch(tab)
        problems: list[str] = []
        response: Response | None = None
        try:
            response = await watch.unless_looping(
                tab.goto(url, wait_until="domcontentloaded", timeout=seconds * 1000), seconds + 5)
        except (Overdue, TimeoutError):
            watch.raise_for_loop()
            self._raise_for_refusal(watch.address)
            if tab.url == "about:blank":
                raise PageFailed(f"there was no answer within {seconds:g} seconds", attempts=2) from None
            problems.append(f"it didn't finish loading within {seconds:g} seconds; what had arrived by then was read")
        except Error:
            self._raise_for_refusal(watch.address)
            if watch.response is not None:  # Chromium calls an error without a body a network error
                _check(watch.response)
            raise
        self._raise_for_refusal(watch.address)
        if response is not None:
            _check(response)
            with contextlib.suppress(Overdue):
                mark = tab.locator(_REVIEW_MARK).first
                await _bounded(mark.wait_for(state="attached", timeout=SETTLE_SECONDS * 1000))
        watch.raise_for_loop()
        try:
            html = await _bounded(tab.content())
        except TimeoutError:
            raise TimeoutError("its scripts never stop running") from None
        watch.raise_for_loop()
        self._raise_for_refusal(watch.address)
        if len(html) > HTML_LIMIT:
            problems.append(f"only the first {HTML_LIMIT:,} of its {len(html):,} characters were read")
        return LoadedPage(tab.url, html[:HTML_LIMIT], problems)

    async def _tab(self) -> Tab:
        if self._browser is None or not self._browser.is_connected():
            await self._close()
            await self._launch()
        assert self._browser is not None
        if self._context is None or self._pages % PAGES_PER_CONTEXT == 0:
            if self._context is not None:
                await self.cookies()
                await _bounded(self._context.close())
            self._context = await _bounded(self._browser.new_context(
                user_agent=f"Mozilla/5.0 (compatible; {user_agent()}) Chrome/{self._browser.version}",
                service_workers="block", accept_downloads=False,
            ))
            await self._context.route("**/*", _without_weight)
            if self._cookies:
                await self._context.add_cookies(self._cookies)
        self._pages += 1
        return await _bounded(self._context.new_page())

    async def _launch(self) -> None:
        from playwright.async_api import async_playwright

        self._playwright = await async_playwright().start()
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
        self._browser = await self._playwright.chromium.launch(
            executable_path=find_browser(self._playwright.chromium.executable_path),
            args=[*_ARGUMENTS, *(["--no-sandbox"] if is_root else [])],  # Chromium's sandbox refuses to run as root
            proxy={"server": self._guard.proxy} if self._guard.proxy else None,
            handle_sigint=False, handle_sigterm=False, handle_sighup=False,  # who stops the task closes it, in order
        )

    def _raise_for_refusal(self, address: str) -> None:
        where = _host_and_port(address)
        if where in self._guard.refused:
            raise PageFailed(f"it leads to {where}, an internal address that was not asked for. If that is meant, "
                             "name it in allow_hosts")

    async def _keep_evidence(self, tab: Tab) -> None:
        """What the page looked like when it failed, into the task's files; only if that is quickly done."""
        if self._evidence is None or tab.url == "about:blank":
            return
        with contextlib.suppress(Exception):
            html = await _bounded(tab.content(), 3)
            (self._evidence / "failed-page.html").write_text(html[:EVIDENCE_LIMIT], "utf-8", "replace")
            await _bounded(tab.screenshot(path=self._evidence / "failed-page.png", timeout=3000), 4)


class _Watch:
    """What a page does by itself: its navigations, where the last one led and what came of it, and its popups."""

    def __init__(self, tab: Tab) -> None:
        self._tab = tab
        self._navigations = 0
        self._popups = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._looping = asyncio.Event()
        self.address = ""
        self.response: Response | None = None
        tab.on("request", self._requested)
        tab.on("response", self._answered)
        tab.on("framenavigated", self._navigated)
        tab.on("popup", self._popped_up)

    def _requested(self, request: Request) -> None:
        if request.is_navigation_request() and request.frame == self._tab.main_frame:
            self.address = request.url

    def _answered(self, response: Response) -> None:
        if response.request.is_navigation_request() and response.frame == self._tab.main_frame:
            self.response = response

    def _navigated(self, frame: Frame) -> None:
        if frame == self._tab.main_frame:
            self._navigations += 1
            if self._navigations > NAVIGATION_LIMIT:
                self._looping.set()

    def _popped_up(self, popup: Tab) -> None:
        self._popups += 1
        closing = asyncio.ensure_future(_quietly(popup.close()))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def unless_looping(self, call: Coroutine[Any, Any, T], seconds: float) -> T:
        """``call``'s result; given up when the page only ever reloads, which no call of it would notice."""
        calling, looping = asyncio.ensure_future(call), asyncio.ensure_future(self._looping.wait())
        try:
            await asyncio.wait({calling, looping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            self.raise_for_loop()
            if not calling.done():
                raise TimeoutError
            return calling.result()
        finally:
            looping.cancel()
            calling.cancel()
            await asyncio.wait({calling, looping})
            if not calling.cancelled():
                calling.exception()  # it is told already, or nobody needs it

    def raise_for_loop(self) -> None:
        if self._navigations > NAVIGATION_LIMIT:
            raise PageFailed("it keeps reloading itself or sending the browser on")
        if self._popups > POPUP_LIMIT:
            raise PageFailed(f"it opened more than {POPUP_LIMIT} windows")


def _check(response: Response) -> None:
    status, kind = response.status, response.headers.get("content-type", "")
    if status == 429 or status >= 500:
        wait = retry_after_seconds(response.headers.get("retry-after"))
        words = "the host wants a pause" if status == 429 else "the host fails"
        raise PageFailed(f"{words} (status {status})", attempts=3, retry_after=wait, status=status)
    if status >= 400 or status in _STATUS_WORDS:
        words = _STATUS_WORDS.get(status, "the host refuses it")
        raise PageFailed(f"{words} (status {status})", status=status)
    if kind and not any(word in kind.lower() for word in ("html", "xml")):
        raise PageFailed(f"it is no page but {kind.split(';')[0].strip()[:60]}", status=status)


def _failure(text: str) -> PageFailed:
    for mark, words in _PERMANENT.items():
        if mark in text:
            return PageFailed(words)
    crashed = "crash" in text.lower() or "closed" in text.lower()
    return PageFailed("the page crashed the browser" if crashed else _first_line(text), attempts=2 if crashed else 3)


async def _without_weight(route: Route) -> None:
    with contextlib.suppress(Exception):  # the page may be gone by now
        await (route.abort() if route.request.resource_type in _BLOCKED else route.continue_())


async def _bounded(call: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
    return await asyncio.wait_for(call, CALL_SECONDS if seconds is None else seconds)


async def _quietly(call: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(Exception):
        await _bounded(call, 5)


def _first_line(text: object) -> str:
    line = str(text).strip().split("\n")[0]
    return line.removeprefix("Page.goto: ").split(" at http")[0][:200] or "no reason given"


def _host_and_port(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
