"""The browser: found, started, its tabs given out one after the other, and closed on every way out.

One browser serves the whole task. What is loaded and read in a tab is ``Lane``'s; here is who may have one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sse_tasks import TaskError

from .evidence import Evidence
from .failures import first_line
from .guard import AddressGuard
from .lane import Lane, LoadedPage, bounded
from .memory import MemoryGuard
from .politeness import PageFailed

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Playwright

__all__ = ["BROWSER_VARIABLE", "BrowserSession", "Canvas", "LoadedPage", "find_browser"]

BROWSER_VARIABLE = "SSE_TASKS_BROWSER"
CLOSE_SECONDS = 10.0
SCRIPT_MEMORY_MB = 512
"""What one page's scripts may have; a renderer as a whole is watched by MemoryGuard."""

_NAMES = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "microsoft-edge", "chrome")
_MAC_PATHS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
# Chromium takes the last list of these alone, so Playwright's own are in it. A process kept ready for a next page is of
# one context only: with several tabs each page would throw away another one's and start its own anew.
_FEATURES_OFF = ("SpareRendererForSitePerProcess", "AvoidUnnecessaryBeforeUnloadCheckSync",
                 "DestroyProfileOnBrowserClose", "HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "LensOverlay",
                 "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect",
                 "TcpPortRandomizationWin", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled",
                 "PreconnectToSearch", "msForceBrowserSignIn", "msEdgeUpdateLaunchServicesPreferredVersion")
# Images and fonts are switched off in the renderer itself: a filter on requests would cost each request two hops.
_ARGUMENTS = ["--disable-dev-shm-usage", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio",
              "--disable-background-networking", "--disable-component-update", "--disable-sync",
              "--force-webrtc-ip-handling-policy=disable_non_proxied_udp", "--blink-settings=imagesEnabled=false",
              "--disable-remote-fonts", f"--disable-features={','.join(_FEATURES_OFF)}",
              f"--js-flags=--max-old-space-size={SCRIPT_MEMORY_MB}"]


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


class Canvas:
    """What ``BrowserSession.canvas`` gives out."""

    def __init__(self, tab: Page) -> None:
        self._tab = tab

    async def draw(self, html: str, selector: str) -> bytes:
        """The part of a page of our own that ``selector`` names, as a PNG of double size; what lies outside of it is
        transparent. Raises playwright's Error, and TimeoutError."""
        await bounded(self._tab.set_content(html, wait_until="domcontentloaded"))
        return await bounded(self._tab.locator(selector).screenshot(omit_background=True, animations="disabled"))


class BrowserSession:
    """``async with BrowserSession(guard, lanes) as session:`` and then ``async with session.lane(owner, cookies)``.

    The browser starts with ``begin()`` or the first page, and again after a crash. At most ``lanes`` tabs are open.
    """

    def __init__(self, guard: AddressGuard, lanes: int = 1, evidence: Path | None = None,
                 frame_hosts: frozenset[str] = frozenset()) -> None:
        self._guard = guard
        self._evidence = Evidence(evidence)
        self._frame_hosts = frame_hosts
        self._starting = asyncio.Lock()
        self._driver: asyncio.Future[Playwright] | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._browser: Browser | None = None
        self._memory = MemoryGuard()
        self._free = [Lane(self._context, guard, self._evidence, frame_hosts) for _ in range(lanes)]
        self._lanes = list(self._free)
        self._turn = asyncio.Semaphore(lanes)

    async def __aenter__(self) -> BrowserSession:
        return self

    async def __aexit__(self, *error: object) -> None:
        # In a task of its own, so that a second cancellation can't leave the browser behind half closed.
        closing = asyncio.ensure_future(self._close())
        await asyncio.wait({closing}, timeout=CLOSE_SECONDS)

    def begin(self) -> None:
        """Starts the browser, while the caller does something else. What goes wrong in it is told by the first page,
        which tries again."""
        if self._beginning is None:
            self._beginning = asyncio.create_task(self._begin())

    async def _begin(self) -> None:
        with contextlib.suppress(Exception):
            async with self._starting:
                if self._browser is None:
                    await self._launch()

    @contextlib.asynccontextmanager
    async def lane(self, owner: str, cookies: list[dict[str, Any]]) -> AsyncIterator[Lane]:
        """A tab, for as long as the block lasts; the one that ``owner`` had last, if it is free. ``cookies`` are put
        into it if somebody else had it in between."""
        async with self._turn:
            lane = next((lane for lane in self._free if lane.owner == owner), self._free[0])
            self._free.remove(lane)
            try:
                await lane.take(owner, cookies)
                yield lane
            finally:
                self._free.append(lane)

    @contextlib.asynccontextmanager
    async def canvas(self, width: int) -> AsyncIterator[Canvas]:
        """A tab of its own for pictures, ``width`` CSS pixels wide, for as long as the block lasts: no script runs and
        nothing is asked for. Raises playwright's Error, TimeoutError, and TaskError where there is no browser."""
        async with self._starting:
            if self._browser is None or not self._browser.is_connected():
                await self._launch()
        assert self._browser is not None
        context = await bounded(self._browser.new_context(
            java_script_enabled=False, offline=True, service_workers="block", accept_downloads=False,
            viewport={"width": width, "height": 200}, device_scale_factor=2, color_scheme="light"))
        try:
            yield Canvas(await bounded(context.new_page()))
        finally:
            with contextlib.suppress(Exception):  # the picture is there, or why it isn't is told already
                await bounded(context.close())

    async def _context(self) -> Any:
        """A fresh context of the running browser. Raises PageFailed, or TaskError where there is no browser."""
        from playwright.async_api import Error

        from .politeness import user_agent

        try:
            async with self._starting:
                if self._browser is None or not self._browser.is_connected():
                    await self._launch()
            assert self._browser is not None
            return await bounded(self._browser.new_context(
                user_agent=f"Mozilla/5.0 (compatible; {user_agent()}) Chrome/{self._browser.version}",
                service_workers="block", accept_downloads=False,
            ))
        except (Error, TimeoutError) as why:
            raise PageFailed(f"the browser couldn't be started ({first_line(why)})", attempts=2) from why

    async def _launch(self) -> None:
        from playwright.async_api import async_playwright

        if self._driver is None:
            self._driver = asyncio.ensure_future(async_playwright().start())
        if self._browser is not None:
            with contextlib.suppress(Exception):  # it has crashed; what is left of it goes
                await bounded(self._browser.close(), 5)
        playwright = await asyncio.shield(self._driver)
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
        self._browser = await playwright.chromium.launch(
            executable_path=find_browser(playwright.chromium.executable_path),
            args=[*_ARGUMENTS, *(["--no-sandbox"] if is_root else [])],  # Chromium's sandbox refuses to run as root
            proxy={"server": self._guard.proxy} if self._guard.proxy else None,
            handle_sigint=False, handle_sigterm=False, handle_sighup=False,  # who stops the task closes it, in order
        )
        self._memory.start()

    async def _close(self) -> None:
        if self._beginning is not None:  # a browser that is just starting is closed like any other
            await asyncio.wait({self._beginning}, timeout=CLOSE_SECONDS / 2)
            self._beginning.cancel()
        await self._memory.stop()
        if self._browser is not None:
            with contextlib.suppress(Exception):  # it may have crashed; closing has no one to tell
                await self._browser.close()
        if self._driver is not None:
            with contextlib.suppress(Exception):
                await (await self._driver).stop()
        self._browser = self._driver = None
