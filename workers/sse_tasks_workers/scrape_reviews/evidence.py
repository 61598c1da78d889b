"""What a page looked like when it failed: its picture, its HTML and a trace, in the task's files, capped in size."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

__all__ = ["Evidence"]

FAILURES_LIMIT = 5
"""Failed pages of a task that evidence is kept of."""
FILE_LIMIT_BYTES = 2_000_000
TRACE_SECONDS = 20.0
"""For a trace to be written."""


class Evidence:
    """Keeps ``failed-page.html``, ``.png`` and ``.trace.zip`` (for ``playwright show-trace``), then ``-2`` and so on.

    A trace doubles what each call to the browser costs. So an address's first page is traced, where most goes wrong,
    and each further attempt at a page; its later pages at first attempt are not.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._kept = 0
        self._tracing: weakref.WeakSet[BrowserContext] = weakref.WeakSet()

    async def begin(self, context: BrowserContext, traced: bool) -> None:
        """To be called before each page of ``context``."""
        traced = traced and self._folder is not None and self._kept < FAILURES_LIMIT
        is_on = context in self._tracing
        with contextlib.suppress(Exception):
            if traced and is_on:  # each page has a trace of its own
                await context.tracing.stop_chunk()
                await context.tracing.start_chunk()
            elif traced:
                await context.tracing.start(screenshots=False, snapshots=False, sources=False)
                self._tracing.add(context)
            elif is_on:
                self._tracing.discard(context)
                await context.tracing.stop()

    async def keep(self, context: BrowserContext, tab: Page) -> None:
        """Only what is quickly had: the page may be one that never answers."""
        if self._folder is None or self._kept >= FAILURES_LIMIT:
            return
        self._kept += 1
        stem = "failed-page" if self._kept == 1 else f"failed-page-{self._kept}"
        trace, picture = self._folder / f"{stem}.trace.zip", self._folder / f"{stem}.png"
        if tab.url != "about:blank":
            with contextlib.suppress(Exception):
                html = await asyncio.wait_for(tab.content(), 3)
                (self._folder / f"{stem}.html").write_text(html[:FILE_LIMIT_BYTES], "utf-8", "replace")
                await asyncio.wait_for(tab.screenshot(path=picture, timeout=3000), 4)
        with contextlib.suppress(Exception):
            if context in self._tracing:
                # By the browser's driver, not the page: it ends, however late on a busy machine.
                await asyncio.wait_for(context.tracing.stop_chunk(path=trace), TRACE_SECONDS)
                await asyncio.wait_for(context.tracing.start_chunk(), TRACE_SECONDS)
        for file in (trace, picture):
            with contextlib.suppress(OSError):
                if file.stat().st_size > FILE_LIMIT_BYTES:
                    file.unlink()
