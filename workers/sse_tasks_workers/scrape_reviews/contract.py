"""What goes into ``scrape-reviews`` and what comes out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

__all__ = ["Compared", "ScrapeReviewsInput", "ScrapeReviewsOutput", "Stopped", "UrlOutcome"]

Paging = Literal["auto", "next", "page", "load_more", "scroll", "none"]

Stopped = Literal[
    "no_next_page", "max_pages", "max_reviews", "no_new_reviews", "repeated_page", "paging_off", "robots", "error",
    "finished",
]
"""Why the reading ended. ``max_pages``, ``max_reviews``, ``robots`` and ``error`` mean that there may well be more;
``finished`` is for several addresses together, each of which has a reason of its own."""

_Url = Annotated[str, Meta(pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://", examples=["https://shop.example/thing"],
                           max_length=4000)]
_TaskId = Annotated[str, Meta(pattern=r"^[0-9a-z]{26}$", examples=["1k1bh1g0mttfjwdnxw18d57f1q"])]
_Pattern = Annotated[str, Meta(max_length=400)]


class ScrapeReviewsInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where to read reviews, and how far to go. One of ``url``, ``urls`` and ``sitemap`` has to be given."""

    url: Annotated[_Url | None, Meta(description="The page with the reviews; http or https.")] = None
    urls: Annotated[list[_Url], Meta(description="Several such pages.", max_length=10_000)] = []
    sitemap: Annotated[_Url | None, Meta(description="A sitemap (XML, an index of them, plain text; gzip too) whose "
                                         "pages are read.")] = None
    sitemap_match: Annotated[_Pattern | None, Meta(description="Of the sitemap's addresses, only those like this; * is "
                                                   "any text.")] = None
    max_urls: Annotated[int, Meta(description="Read at most so many addresses.", ge=1, le=10_000)] = 1000
    concurrency: Annotated[int, Meta(description="Pages that are open at once.", ge=1, le=16)] = 1
    max_pages: Annotated[int, Meta(description="Read at most so many pages of each address; a click on \"show more\" "
                                   "and a scroll count like a page.", ge=1, le=10_000)] = 20
    max_reviews: Annotated[int, Meta(description="Stop after so many reviews of an address.", ge=1)] | None = None
    paging: Annotated[Paging, Meta(description="How to go on: by the page's next link (next), by raising ?page=N "
                                   "(page), by its button for more (load_more), by scrolling (scroll), by what the "
                                   "page offers (auto), or not at all (none).")] = "auto"
    render: Annotated[Literal["auto", "always"], Meta(
        description="Whether a browser's tab shows each page (always), or only as many as it takes to know that what "
        "the server sends says it all (auto).")] = "auto"
    profile: Annotated[str | dict[str, Any] | None, Meta(description="Where on the pages the reviews stand: a site "
                                                         "profile's name, file, or the profile itself.")] = None
    profile_folder: Annotated[str | None, Meta(description="A folder with site profiles of one's own.")] = None
    delay: Annotated[float, Meta(description="Seconds between two requests to a host; its robots.txt may ask for more.",
                                 ge=0, le=600)] = 1.0
    timeout: Annotated[float, Meta(description="Seconds that one page may take.", gt=0, le=600)] = 30.0
    respect_robots: Annotated[bool, Meta(description="Keep to the host's robots.txt.")] = True
    compare_with: Annotated[_TaskId | None, Meta(description="The id of an earlier task: only what is new or has "
                                                 "changed since is given.")] = None
    exports: Annotated[list[Literal["csv", "jsonl", "parquet"]], Meta(
        description="As what the reviews are written to the task's files at the end.")] = (
            msgspec.field(default_factory=lambda: ["csv", "jsonl", "parquet"]))
    allow_hosts: Annotated[list[str], Meta(description="Hosts with internal addresses that may be read besides the "
                                           "url's own: name or name:port.", max_length=100)] = []


class UrlOutcome(msgspec.Struct, kw_only=True):
    """What came of one address. The fields mean what they mean in ``ScrapeReviewsOutput``."""

    url: str
    found: int
    declared: int | None
    declared_ratings: int | None
    pages: int
    errors: list[str]
    stopped: Stopped
    partial: bool
    message: str


class Compared(msgspec.Struct, kw_only=True):
    """What was found, held against an earlier task and those that it was compared with.

    ``status`` is the earlier task's, when it was read: one that hadn't ended may have found more since. ``new`` and
    ``changed`` (rating, title, text or reply are others) are the items; ``known`` is as it was. ``missing`` counts the
    earlier ones that weren't met this time: they are gone, unless the result is ``partial``.
    """

    task_id: str
    status: str
    new: int
    changed: int
    known: int
    missing: int


class ScrapeReviewsOutput(msgspec.Struct, kw_only=True):
    """What was found, and honestly what not. The reviews themselves are the task's items.

    ``declared`` is how many reviews the page says there are, ``declared_ratings`` how many ratings (most of them
    without a word); None where it doesn't say. ``pages`` counts the pages that were loaded, and each click on "show
    more" or scroll that brought something. ``sources`` counts the reviews of each syntax before the same ones were
    merged.
    ``partial`` says that there is, or may well be, more than was found; ``stopped`` and ``message`` say why.
    ``urls`` has the outcome of each address, in the order in which they were given; the numbers above are their sums.
    ``rating_histogram``, ``rating_mean`` and ``per_month`` tell of the items: how often each rating was given, on the
    page's own scale where all have the same one of at most 10, else on one from 1 to 5; and how many reviews are of
    which month. What has no such rating or date is in none of them.
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
    urls: list[UrlOutcome]
    rating_histogram: dict[str, int] = {}
    rating_mean: float | None = None
    per_month: dict[str, int] = {}
    compared: Compared | None = None
