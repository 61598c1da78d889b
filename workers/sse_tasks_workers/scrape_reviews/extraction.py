"""A page's HTML to its reviews: all syntaxes and the site's profile, merged, and how many the page says there are.

Structured data comes first, then what a site profile finds. Only a page with neither is looked through for reviews in
data that it holds for its own scripts, and at last for blocks that look like reviews. Pure and synchronous; nothing in
the code knows a single site. A page never makes it raise: what can't be read is named in ``problems`` and the rest is
used.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from . import jsonld, markup, microformats
from .declared import Declared, declared_anywhere, declared_by
from .json_reviews import read_json
from .languages import language_tag
from .merging import merge_groups, page_fingerprint
from .node_reviews import resolve, reviews_of
from .nodes import Node
from .paging import NextPage, find_next
from .profile_reading import fits, next_control, page_count, read_by_profile
from .profiles import Profile, shipped_profiles
from .records import Review, clean_text
from .repeated_blocks import guess_reviews
from .setting import PageSetting

__all__ = ["Declared", "Page", "read_page"]


@dataclass
class Page:
    """What was read from one page. ``sources`` counts the reviews of each syntax before they were merged.

    ``profile`` names the site profile that fitted, ``load_more`` is its CSS selector of the control that shows more
    reviews, where the page has one. ``language`` is the page's own, as a tag. ``shown`` is what one without reviews
    seems to be, in words.
    """

    reviews: list[Review] = field(default_factory=list)
    declared: Declared = field(default_factory=Declared)
    sources: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    next: NextPage = field(default_factory=NextPage)
    fingerprint: str | None = None
    title: str | None = None
    load_more: str | None = None
    profile: str | None = None
    language: str | None = None
    shown: str | None = None


def read_page(html: str, url: str, *, number: int = 1, base: dt.datetime | None = None, start_url: str = "",
              profiles: Sequence[Profile] = ()) -> Page:
    """Everything of interest on the page at ``url``.

    ``base`` is when it was fetched (relative dates count from there), ``number`` its place in the crawl, ``start_url``
    where that began: a next link has to be of the same thing. ``profiles`` are tried before those that ship; the
    first that fits and finds reviews is used.
    """
    html, truncated = markup.capped(html)
    root = markup.parse_page(html)
    page = Page()
    if truncated:
        page.problems.append("it is too large; what stands behind its first "
                             f"{markup.TAGS_LIMIT} tags or {markup.CHARACTERS_LIMIT} characters was not read")
    if root is None:
        return page
    page.title = clean_text(root.findtext(".//title"), 300)
    setting = PageSetting(url, _base_address(root, url), number, base or dt.datetime.now(dt.UTC),
                          language_tag(markup.page_language(root)))
    page.language = setting.language
    groups, nodes = _structured(root, setting, page, html)
    page.next = find_next(root, url, setting.address, start_url or url)
    if markup.is_too_deep(root):
        page.problems.append(f"it is nested deeper than {markup.DEPTH_LIMIT} levels; only structured data was read")
    else:
        groups += _by_profile(root, setting, page, [*profiles, *shipped_profiles()], html)
        if not any(groups):
            groups += _unmarked(root, setting, page)
    page.reviews = _without_doubtful_scales(merge_groups(groups))
    if page.declared == Declared():
        page.declared = declared_anywhere(nodes)
    page.fingerprint = page_fingerprint(page.reviews, markup.element_text(root) if page.reviews else "")
    return page


def _without_doubtful_scales(reviews: list[Review]) -> list[Review]:
    """Where one review has an 8 and none says of how many, a 3 beside it isn't of five either."""
    unstated = [review for review in reviews if review.rating is not None and review.rating_best is None]
    if all(review.rating <= 5 for review in unstated if review.rating is not None):
        return reviews
    return [msgspec.structs.replace(review, rating_normalised=None) if review.rating_best is None else review
            for review in reviews]


def _base_address(root: Any, url: str) -> str:
    base = root.find(".//base[@href]")
    return url if base is None else markup.absolute(base.get("href"), url)


def _structured(root: Any, setting: PageSetting, page: Page, html: str) -> tuple[list[list[Review]], list[Node]]:
    """The reviews of each source of structured data, and all nodes in them."""
    nodes: list[Node] = []
    groups: list[list[Review]] = []
    owners: list[Node] = []
    for syntax, tops in _descriptions(root, setting.address, page.problems, html):
        found = list(reviews_of(tops, syntax, setting))
        nodes += tops
        if found:
            groups.append([review for review, _ in found])
            page.sources[syntax] = page.sources.get(syntax, 0) + len(found)
            owners += [owner for _, owner in found if owner is not None]
    page.declared = declared_by(owners)
    return groups, nodes


def _descriptions(root: Any, address: str, problems: list[str], html: str) -> Iterator[tuple[str, list[Node]]]:
    """Each source of the page with its top-level nodes. JSON-LD blocks may refer to each other by id."""
    blocks: list[list[Node]] = []
    for position, script in enumerate(_scripts(root, "application/ld+json"), 1):
        try:
            blocks.append(jsonld.read_block(script))
        except jsonld.BrokenBlock as why:
            problems.append(f"JSON-LD block {position} can't be read: {why}")
    resolve([node for block in blocks for node in block])
    for block in blocks:
        yield "json-ld", block
    html = html.lower()
    for syntax, mark, read in (("microdata", "itemscope", markup.microdata), ("rdfa", "typeof", markup.rdfa),
                               ("hreview", "hreview", microformats.hreviews),
                               ("h-review", "h-review", microformats.h_reviews)):
        if mark in html:  # cheap, and most pages have but one of them
            yield syntax, read(root, address)


def _scripts(root: Any, wanted: str) -> Iterator[str]:
    for script in root.iter("script"):
        if script.get("type", "").split(";")[0].strip().lower() == wanted:
            yield script.text or ""


def _by_profile(root: Any, setting: PageSetting, page: Page, profiles: Sequence[Profile],
                html: str) -> list[list[Review]]:
    for profile in profiles:
        if not fits(profile, root, setting.url, html) or not (found := read_by_profile(profile, root, setting)):
            continue
        page.profile = profile.name
        page.sources["profile"] = len(found)
        target, page.load_more = next_control(profile, root, setting)
        page.next = NextPage(target) if target else page.next
        total, ratings = page_count(root, profile.total), page_count(root, profile.total_ratings)
        if page.declared == Declared() and (total is not None or ratings is not None):
            page.declared = Declared(total, ratings)
        return [found]
    return []


def _unmarked(root: Any, setting: PageSetting, page: Page) -> list[list[Review]]:
    """What a page without structured data and profile has: data for its own scripts, else a list by its looks."""
    groups = [found for text in _scripts(root, "application/json")
              if (found := read_json(text, setting.url, number=setting.number, base=setting.base,
                                     language=setting.language))]
    if groups:
        page.sources["json"] = sum(map(len, groups))
        return groups
    found = guess_reviews(root, setting)
    if found:
        page.sources["guessed"] = len(found)
    return [found]
