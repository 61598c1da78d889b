"""What goes into ``scrape-reviews`` and what comes out."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["ScrapeReviewsInput", "ScrapeReviewsOutput", "Stopped"]

Paging = Literal["auto", "next", "page", "none"]

Stopped = Literal[
    "no_next_page", "max_pages", "max_reviews", "no_new_reviews", "repeated_page", "paging_off", "robots", "error"
]
"""Why the reading ended. ``max_pages``, ``max_reviews``, ``robots`` and ``error`` mean that there may well be more."""


class ScrapeReviewsInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where to read reviews, and how far to go."""

    url: Annotated[str, Meta(description="The page with the reviews; http or https.",
                             pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://", max_length=4000)]
    max_pages: Annotated[int, Meta(description="Read at most so many pages.", ge=1, le=10_000)] = 20
    max_reviews: Annotated[int, Meta(description="Stop after so many reviews.", ge=1)] | None = None
    paging: Annotated[Paging, Meta(description="How to go on: by the page's next link (next), by raising ?page=N "
                                   "(page), by what the page offers (auto), or not at all (none).")] = "auto"
    delay: Annotated[float, Meta(description="Seconds between two requests to a host; its robots.txt may ask for more.",
                                 ge=0, le=600)] = 1.0
    timeout: Annotated[float, Meta(description="Seconds that one page may take.", gt=0, le=600)] = 30.0
    respect_robots: Annotated[bool, Meta(description="Keep to the host's robots.txt.")] = True
    allow_hosts: Annotated[list[str], Meta(description="Hosts with internal addresses that may be read besides the "
                                           "url's own: name or name:port.", max_length=100)] = []


class ScrapeReviewsOutput(msgspec.Struct, kw_only=True):
    """What was found, and honestly what not. The reviews themselves are the task's items.

    ``declared`` is how many reviews the page says there are, ``declared_ratings`` how many ratings (most of them
    without a word); None where it doesn't say. ``sources`` counts the reviews of each syntax before the same ones were
    merged.
    ``partial`` says that there is, or may well be, more than was found; ``stopped`` and ``message`` say why.
    """

    url: str
    found: int
    declared: int | None
    declared_ratings: int | None
    pages: int
    sources: dict[str, int]
    errors: list[str]
    stopped: Stopped
    partial: bool
    message: str
