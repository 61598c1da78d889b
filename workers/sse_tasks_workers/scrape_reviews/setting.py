"""What a page's reviews have in common: where and when they were read."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

__all__ = ["PageSetting"]


@dataclass(frozen=True)
class PageSetting:
    """``url`` is the page's address, ``address`` what its links are relative to, ``number`` its place in the crawl,
    ``base`` when it was fetched, ``language`` its language tag."""

    url: str
    address: str
    number: int
    base: dt.datetime
    language: str | None
