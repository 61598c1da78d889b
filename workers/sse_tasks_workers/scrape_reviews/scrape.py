"""What a task of ``scrape-reviews`` does first: it starts the browser, and gets ready for the rest meanwhile."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from sse_tasks import TaskError

from .addresses import allowed_hosts, check_address
from .browser import BrowserSession
from .contract import ScrapeReviewsInput, ScrapeReviewsOutput
from .guard import AddressGuard

if TYPE_CHECKING:
    from sse_tasks import AsyncTaskContext

__all__ = ["scrape"]


async def scrape(ctx: AsyncTaskContext, input: ScrapeReviewsInput) -> ScrapeReviewsOutput:
    """Runs ``scrape-reviews``. Raises TaskError where not a single page can be had, or there is no browser."""
    given = [*filter(None, (input.url, input.sitemap)), *input.urls]
    if not given:
        raise TaskError("Nothing to read was given: give url, urls or sitemap.", code="bad_url")
    for url in given:
        check_address(url)
    async with AsyncExitStack() as stack:
        guard = await stack.enter_async_context(AddressGuard(given, input.allow_hosts))
        session = await stack.enter_async_context(BrowserSession(
            guard, input.concurrency, ctx.files, allowed_hosts(input.allow_hosts)))
        session.begin()
        module = await asyncio.to_thread(importlib.import_module, ".crawl", __package__)
        output: ScrapeReviewsOutput = await module.crawl(ctx, input, guard, session)
    return output
