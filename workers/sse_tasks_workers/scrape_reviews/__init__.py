"""The task type ``scrape-reviews``: reads the reviews of a web page and of those after it.

Importing this is cheap: the browser and the parsers are imported when a task runs.
"""

from __future__ import annotations

from sse_tasks import AsyncTaskContext, task

from .contract import ScrapeReviewsInput, ScrapeReviewsOutput
from .records import Review

__all__ = ["ScrapeReviewsInput", "ScrapeReviewsOutput", "scrape_reviews"]


@task("scrape-reviews", items=Review)
async def scrape_reviews(ctx: AsyncTaskContext, input: ScrapeReviewsInput) -> ScrapeReviewsOutput:
    """Read the reviews of a web page and the pages after it, with a real browser.

    Each review is an item (``t.items()``, ``t.to_frame()``); the result says how many were found, how many the page
    says there are, and why the reading ended.
    """
    from .scrape import scrape

    return await scrape(ctx, input)
