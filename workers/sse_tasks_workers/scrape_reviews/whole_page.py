"""A loaded page as a whole: its HTML, its frames and the JSON that it loaded, read and merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from .addresses import without_credentials
from .exports import has_pyarrow
from .extraction import Page, read_page
from .json_reviews import read_json
from .lane import LoadedPage
from .markup import parse_page
from .merging import merge_groups, page_fingerprint
from .paging import find_next
from .profiles import Profile
from .records import Review
from .walls import what_is_shown

__all__ = ["linked_page", "read_whole", "says_the_same", "warm_up"]

GUESSED = "guessed"


def linked_page(html: str, url: str, start_url: str) -> str | None:
    """The next page, if a link leads there: quickly found, so that it can be on its way while this one is read."""
    root = parse_page(html)
    if root is None:
        return None
    base = root.find(".//base[@href]")
    return None if base is not None else find_next(root, url, url, start_url or url).url


def read_whole(loaded: LoadedPage, *, number: int, start_url: str, profiles: Sequence[Profile], asked_url: str) -> Page:
    """Everything of interest in a loaded page. To be called in a thread: a large page takes seconds."""
    base = loaded.loaded_at
    page = read_page(loaded.html, loaded.url, number=number, base=base, start_url=start_url, profiles=profiles)
    groups: list[list[Review]] = [page.reviews]
    for url, html in loaded.frames:
        framed = read_page(html, url, number=number, base=base, start_url=url, profiles=profiles)
        if framed.reviews:
            groups.append([msgspec.structs.replace(review, page_url=loaded.url) for review in framed.reviews])
            page.sources = dict(Counter(page.sources) + Counter(framed.sources))
            page.profile = page.profile or framed.profile
            page.problems += framed.problems
        if page.declared.reviews is None and page.declared.ratings is None:
            page.declared = framed.declared
    for url, text in loaded.answers:
        if answered := read_json(text, url, number=number, base=base, language=page.language):
            groups.append([msgspec.structs.replace(review, page_url=loaded.url) for review in answered])
            page.sources["json"] = page.sources.get("json", 0) + len(answered)
    if len(groups) > 1:
        sure = [[review for review in group if review.source != GUESSED] for group in groups]
        if any(sure):  # what only looked like reviews counts where nothing says what they are
            groups = sure
            page.sources.pop(GUESSED, None)
        page.reviews = merge_groups([group for group in groups if group])
        page.fingerprint = page_fingerprint(page.reviews, loaded.html)
    for review in page.reviews:
        review.asked_url = without_credentials(asked_url)
        review.page_url = without_credentials(review.page_url)
    if not page.reviews:
        page.shown = what_is_shown(loaded.html, page.title)
    return page


def says_the_same(loaded: LoadedPage, page: Page, **how: Any) -> bool:
    """Whether what the server sent for a shown page says all that ``page`` has of it: its scripts, frames and answers
    brought nothing. ``how`` are the arguments that ``page`` was read with."""
    if loaded.sent is None:
        return False
    sent = read_whole(replace(loaded, html=loaded.sent, frames=[], answers=[]), **how)
    return bool(sent.reviews) and all(getattr(sent, name) == getattr(page, name)
                                      for name in ("reviews", "declared", "next", "load_more", "profile"))


def warm_up(with_parquet: bool = False) -> None:
    """Has the parsers and profiles loaded, which the first page would wait for otherwise; then, while pages load, what
    ``with_parquet`` the end would wait for."""
    read_page('<script type="application/ld+json">{"@type": "Review", "author": "A", "datePublished": "2026-01-01"}'
              "</script>", "http://page.example/")
    if with_parquet:
        has_pyarrow()
