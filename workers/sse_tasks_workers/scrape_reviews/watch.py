"""What a page does by itself while it is loaded and read: navigations, windows, a crash."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from .politeness import PageFailed

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, CDPSession, Frame, Page

__all__ = ["PageWatch"]

NAVIGATION_LIMIT = 8
POPUP_LIMIT = 50

T = TypeVar("T")


class PageWatch:
    """``begin()`` before each page. ``address`` is where its last navigation led, ``request`` the browser's id of it,
    ``answer`` the status and headers that came of it.

    Other windows of the context are closed and counted.
    """

    def __init__(self, context: BrowserContext, tab: Page, cdp: CDPSession, frame: str) -> None:
        self._tab = tab
        self._closing: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._navigations = 0
        self._crashed = False
        self.popups = 0
        self.address = self.request = ""
        self.answer: tuple[int, dict[str, str]] | None = None
        self._frame = frame
        cdp.on("Page.windowOpen", self._opening)  # before the page goes on: all are counted when it is read
        cdp.on("Network.requestWillBeSent", self._requested)
        cdp.on("Network.responseReceived", self._answered)
        tab.on("framenavigated", self._navigated)
        tab.on("crash", self._broke)
        context.on("page", self._opened)

    def begin(self) -> None:
        self._over.clear()
        self._navigations = self.popups = 0
        self._crashed = False
        self.address = self.request = ""
        self.answer = None

    @property
    def has_arrived(self) -> bool:
        """Whether anything of the page has come."""
        return self._navigations > 0

    def _requested(self, event: dict[str, Any]) -> None:
        if event.get("type") == "Document" and event.get("frameId") == self._frame:
            self.address, self.request = str(event["request"]["url"]), str(event["requestId"])

    def _answered(self, event: dict[str, Any]) -> None:
        if event.get("type") == "Document" and event.get("frameId") == self._frame:
            response = event["response"]
            self.answer = int(response["status"]), {k.lower(): str(v) for k, v in response["headers"].items()}

    def _navigated(self, frame: Frame) -> None:
        if frame == self._tab.main_frame:
            self._navigations += 1
            if self._navigations > NAVIGATION_LIMIT:
                self._over.set()

    def _broke(self, tab: Page) -> None:
        self._crashed = True
        self._over.set()

    def _opening(self, event: dict[str, Any]) -> None:
        self.popups += 1
        if self.popups > POPUP_LIMIT:
            self._over.set()

    def _opened(self, popup: Page) -> None:
        if popup is self._tab:
            return
        closing = asyncio.ensure_future(_close(popup))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def run(self, call: Coroutine[Any, Any, T], seconds: float) -> T:
        """``call``'s result within so many seconds, else TimeoutError; given up when the page only ever reloads or has
        crashed, which no call of it would notice."""
        calling, over = asyncio.ensure_future(call), asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({calling, over}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            self.check()
            if not calling.done():
                raise TimeoutError
            return calling.result()
        finally:
            over.cancel()
            calling.cancel()
            await asyncio.wait({calling, over})
            if not calling.cancelled():
                calling.exception()  # it is told already, or nobody needs it

    def check(self) -> None:
        """Raises PageFailed if the page has done what can't be read past."""
        if self._crashed:
            raise PageFailed("the page crashed the browser", attempts=2)
        if self._navigations > NAVIGATION_LIMIT:
            raise PageFailed("it keeps reloading itself or sending the browser on")
        if self.popups > POPUP_LIMIT:
            raise PageFailed(f"it opened more than {POPUP_LIMIT} windows")


async def _close(popup: Page) -> None:
    with contextlib.suppress(Exception):
        await asyncio.wait_for(popup.close(), 5)
