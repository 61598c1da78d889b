"""All addresses of a crawl: what is saved of them, and their results together."""

from __future__ import annotations

import msgspec

from sse_tasks import TaskError

from .comparing import ComparisonState
from .contract import ScrapeReviewsInput, ScrapeReviewsOutput, UrlOutcome
from .reading import Reading, reviews_in_words

__all__ = ["CrawlState", "summary"]

ERRORS_LIMIT = 50


class CrawlState(msgspec.Struct, kw_only=True):
    """All that a later attempt needs: the addresses, those being read, and what came of those that were."""

    asked: str
    """What the input named, to tell whether a saved state is this crawl's."""
    urls: list[str]
    readings: dict[int, Reading] = {}
    outcomes: dict[int, UrlOutcome] = {}
    sources: dict[str, int] = {}
    problems: list[str] = []
    comparison: ComparisonState | None = None


def summary(input: ScrapeReviewsInput, state: CrawlState) -> ScrapeReviewsOutput:
    """The result of a crawl that has ended. Raises TaskError (``page_failed``) where none of several can be read."""
    urls = [state.outcomes[i] for i in range(len(state.urls))]
    if len(urls) == 1:
        one = urls[0]
        return ScrapeReviewsOutput(
            url=one.url, found=one.found, declared=one.declared, declared_ratings=one.declared_ratings, pages=one.pages,
            sources=state.sources, errors=[*state.problems, *one.errors], stopped=one.stopped, partial=one.partial,
            message=one.message, urls=urls)
    failed = [one for one in urls if one.stopped == "error" and not one.pages]
    if len(failed) == len(urls):
        some = "; ".join(one.message for one in failed[:3])
        raise TaskError(f"None of the {len(urls)} addresses can be read: {some}", code="page_failed")
    errors = [*state.problems, *(f"{one.url}: {error}" for one in urls for error in one.errors)]
    found = sum(one.found for one in urls)
    incomplete = sum(one.partial for one in urls)
    words = f"{reviews_in_words(found)} at {len(urls)} addresses"
    if failed:
        words += f"; {len(failed)} of them can't be read"
    if incomplete > len(failed):
        words += f"; of {incomplete - len(failed)} there is more than was read"
    return ScrapeReviewsOutput(
        url=input.url or input.sitemap or urls[0].url,
        found=found,
        declared=_sum([one.declared for one in urls]),
        declared_ratings=_sum([one.declared_ratings for one in urls]),
        pages=sum(one.pages for one in urls),
        sources=state.sources,
        errors=errors if len(errors) <= ERRORS_LIMIT else [*errors[:ERRORS_LIMIT], "… and more"],
        stopped="finished",
        partial=bool(incomplete or state.problems),
        message=f"{words}.",
        urls=urls,
    )


def _sum(numbers: list[int | None]) -> int | None:
    """None where one of them isn't known: the others' sum would look like the whole."""
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
