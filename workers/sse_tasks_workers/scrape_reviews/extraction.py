"""A page's HTML to its reviews: all syntaxes, merged, and how many reviews the page says there are.

Pure and synchronous; nothing here knows a single site. A page never makes it raise: what can't be read is named in
``problems`` and the rest is used.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import jsonld, markup
from .dates import parse_date
from .merging import merge_groups, page_fingerprint
from .nodes import Node
from .paging import NextPage, find_next
from .records import Review, clean_text, parse_count, parse_rating

__all__ = ["Declared", "Page", "read_page"]

REVIEW_TYPES = frozenset({"review", "userreview", "criticreview", "employerreview"})
"""schema.org's ClaimReview and MediaReview check facts and rate nothing; Comment and Answer are replies."""

_REPLIES = frozenset({"comment", "comments", "reply", "replies", "response", "potentialaction"})
_DECOYS = frozenset({"organization", "corporation", "onlinestore", "onlinebusiness", "website", "webpage"})
_VERIFIED = ("verified", "isverified", "verifiedpurchase", "verifiedbuyer", "verifiedreviewer")
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*")


@dataclass(frozen=True)
class Declared:
    """What the page says of itself. Reviews and ratings are two numbers: most who rate write nothing."""

    reviews: int | None = None
    ratings: int | None = None


@dataclass
class Page:
    """What was read from one page. ``sources`` counts the reviews of each syntax before they were merged."""

    reviews: list[Review] = field(default_factory=list)
    declared: Declared = field(default_factory=Declared)
    sources: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    next: NextPage = field(default_factory=NextPage)
    fingerprint: str | None = None
    title: str | None = None


@dataclass(frozen=True)
class _Setting:
    url: str
    number: int
    base: dt.datetime
    language: str | None


def read_page(html: str, url: str, *, number: int = 1, base: dt.datetime | None = None, start_url: str = "") -> Page:
    """Everything of interest on the page at ``url``.

    ``base`` is when it was fetched (relative dates count from there), ``number`` its place in the crawl, ``start_url``
    where that began: a next link has to be of the same thing.
    """
    root = markup.parse_page(html)
    if root is None:
        return Page()
    address = _base_address(root, url)
    setting = _Setting(url, number, base or dt.datetime.now(dt.UTC), _page_language(root))
    page = Page(title=clean_text(root.findtext(".//title"), 300))
    nodes: list[Node] = []
    groups: list[list[Review]] = []
    for syntax, tops in _descriptions(root, address, page.problems):
        found = list(_reviews(tops, syntax, setting))
        nodes += tops
        if found:
            groups.append([review for review, _ in found])
            page.sources[syntax] = page.sources.get(syntax, 0) + len(found)
            owners = [owner for _, owner in found if owner is not None]
            page.declared = page.declared if page.declared != Declared() else _declared_by(owners)
    page.reviews = merge_groups(groups)
    if page.declared == Declared():
        page.declared = _declared_anywhere(nodes)
    page.next = find_next(root, url, address, start_url or url)
    page.fingerprint = page_fingerprint(page.reviews, markup.element_text(root) if page.reviews else "")
    return page


def _base_address(root: Any, url: str) -> str:
    base = root.find(".//base[@href]")
    return url if base is None else markup.absolute(base.get("href"), url)


def _page_language(root: Any) -> str | None:
    return _language(root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang"))


def _descriptions(root: Any, address: str, problems: list[str]) -> Iterator[tuple[str, list[Node]]]:
    """Each source of the page with its top-level nodes. JSON-LD blocks may refer to each other by id."""
    blocks: list[list[Node]] = []
    for position, script in enumerate(filter(_is_jsonld, root.iter("script")), 1):
        try:
            blocks.append(jsonld.read_block(script.text or ""))
        except jsonld.BrokenBlock as why:
            problems.append(f"JSON-LD block {position} can't be read: {why}")
    _resolve([node for block in blocks for node in block])
    for block in blocks:
        yield "json-ld", block
    for syntax, read in (("microdata", markup.microdata), ("rdfa", markup.rdfa), ("hreview", markup.hreviews)):
        yield syntax, read(root, address)


def _is_jsonld(script: Any) -> bool:
    return script.get("type", "").split(";")[0].strip().lower() == "application/ld+json"


def _resolve(tops: list[Node]) -> None:
    """Puts the thing itself where a node only names its id."""
    by_id: dict[str, Node] = {}
    for node, _, _ in _walk(tops):
        if node.id and (node.properties or node.types):
            by_id.setdefault(node.id, node)
    for node, _, _ in list(_walk(tops)):
        for values in node.properties.values():
            for i, value in enumerate(values):
                if isinstance(value, Node) and value.id and not value.properties and not value.types:
                    values[i] = by_id.get(value.id, value)


def _walk(tops: Iterable[Node]) -> Iterator[tuple[Node, Node | None, str]]:
    """Every node once, in page order, with the thing that it belongs to and as what. Replies are left out."""
    seen: set[int] = set()
    stack: list[tuple[Node, Node | None, str]] = [(node, None, "") for node in reversed(list(tops))]
    # What hangs below another node is found there, with its owner, also when a graph lists it at its top as well.
    below = {id(child) for node, _, _ in stack for name, child in node.children() if name == "review"}
    stack = [entry for entry in stack if id(entry[0]) not in below]
    while stack:
        node, owner, name = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node, owner, name
        inner_owner = owner if node.types & REVIEW_TYPES else node
        children = [(child, inner_owner, as_what) for as_what, child in node.children() if as_what not in _REPLIES]
        stack.extend(reversed(children))


def _reviews(tops: list[Node], syntax: str, setting: _Setting) -> Iterator[tuple[Review, Node | None]]:
    for node, owner, name in _walk(tops):
        untyped = not node.types and name == "review" and node.first("reviewbody", "reviewrating", "ratingvalue")
        if not (node.types & REVIEW_TYPES or untyped):
            continue
        reviewed = node.first("itemreviewed")
        owner = reviewed if isinstance(reviewed, Node) and reviewed.properties else owner
        review = _review(node, owner, syntax, setting)
        if any(part is not None for part in (review.author, review.rating, review.date_raw, review.title, review.body)):
            yield review, owner


def _review(node: Node, owner: Node | None, syntax: str, setting: _Setting) -> Review:
    language = _language(_text(node.first("inlanguage"))) or _language(node.language) or setting.language
    author, author_url = _author(node.all("author"))
    rating = _rating(node)
    date_raw = _first_text(node.all("datepublished", "datecreated"), 200)
    date, precision = parse_date(date_raw, language, setting.base) if date_raw else (None, None)
    identifier = node.id or _identifier(node)
    return Review(
        id=None if identifier and identifier.startswith("_:") else clean_text(identifier, 1000),
        author=author,
        author_url=author_url,
        rating=rating.value,
        rating_raw=rating.raw,
        rating_best=rating.best,
        rating_worst=rating.worst,
        rating_normalised=rating.normalised,
        date=date,
        date_raw=date_raw,
        date_precision=precision,
        title=_first_text(node.all("name"), 2000) or _first_text(node.all("headline"), 2000),
        body=next(filter(None, (_first_text(node.all(name)) for name in ("reviewbody", "description", "text"))), None),
        language=language,
        verified=_verified(node),
        item=_text(owner.first("name"), 500) if owner is not None else _text(node.first("itemreviewed"), 500),
        url=_address(node.first("url")),
        source=syntax,
        page=setting.number,
        page_url=setting.url,
    )


def _rating(node: Node) -> Any:
    ratings = node.all("reviewrating", "starrating")
    whole = [r for r in ratings if not (isinstance(r, Node) and r.first("reviewaspect"))] or ratings[:1]
    for rating in whole:
        if isinstance(rating, Node) and (rating.properties.keys() & {"ratingvalue", "bestrating", "worstrating"}):
            return parse_rating(*(_text(rating.first(n), 200) for n in ("ratingvalue", "bestrating", "worstrating")))
        return parse_rating(_text(rating, 200))
    return parse_rating(*(_text(node.first(n), 200) for n in ("ratingvalue", "bestrating", "worstrating")))


def _text(value: Any, limit: int = 100_000) -> str | None:
    """A value's words: a text itself, a link's words, a thing's name."""
    if isinstance(value, Node):
        name = value.first("name")
        return clean_text(value.text, limit) or (None if isinstance(name, Node) else clean_text(name, limit))
    return clean_text(value, limit)


def _first_text(values: Iterable[Any], limit: int = 100_000) -> str | None:
    return next((text for text in (_text(value, limit) for value in values) if text), None)


def _address(value: Any) -> str | None:
    text = clean_text(value.first("url") if isinstance(value, Node) else value, 2000)
    return text if text and not re.match(r"(?i)\s*(?:javascript|data|vbscript):", text) else None


def _author(values: list[Any]) -> tuple[str | None, str | None]:
    names: list[str] = []
    url = None
    for value in values[:10]:
        name: str | None
        if isinstance(value, Node):
            given, family = _text(value.first("givenname")), _text(value.first("familyname"))
            name = _first_text(value.all("name"), 500) or " ".join(filter(None, (given, family))) or None
            name = name or clean_text(value.text, 500) or _text(value.first("alternatename"), 500)
            identifier = value.id if value.id and value.id.startswith(("http://", "https://")) else None
            url = url or _address(value.first("url", "sameas")) or clean_text(identifier, 2000)
        else:
            name = clean_text(value, 500)
            if name and re.match(r"https?://\S+$", name):
                name, url = None, url or name
        if name and name not in names:
            names.append(name)
    return ", ".join(names) or None, url


def _identifier(node: Node) -> str | None:
    value = node.first("identifier", "reviewid")
    return _text(value.first("ratingvalue", "name") if isinstance(value, Node) else value, 1000)  # PropertyValue.value


def _verified(node: Node) -> bool | None:
    value = node.first(*_VERIFIED)
    if isinstance(value, bool):
        return value
    word = (_text(value, 10) or "").lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _language(tag: Any) -> str | None:
    return tag if isinstance(tag, str) and len(tag) <= 35 and _LANGUAGE.fullmatch(tag) else None


# --- how many the page says there are --------------------------------------------------------------------------------


def _declared_by(owners: list[Node]) -> Declared:
    """The numbers of the thing that the reviews found belong to."""
    for owner in dict.fromkeys(owners):
        for aggregate in owner.all("aggregaterating"):
            if isinstance(aggregate, Node) and (counts := _counts(aggregate)) != Declared():
                return counts
    return Declared()


def _declared_anywhere(tops: list[Node]) -> Declared:
    """The page's one aggregate. A shop's own is a decoy, and of several that differ nobody knows which is meant."""
    candidates: list[Declared] = []
    for node, owner, name in _walk(tops):
        if not (node.types & {"aggregaterating", "review-aggregate"} or name == "aggregaterating"):
            continue
        reviewed = node.first("itemreviewed")
        about = reviewed if isinstance(reviewed, Node) else owner
        counts = _counts(node)
        if counts != Declared() and not (about is not None and about.types & _DECOYS) and counts not in candidates:
            candidates.append(counts)
    if len(candidates) == 1:
        return candidates[0]
    reviews = {c.reviews for c in candidates if c.reviews is not None}
    ratings = {c.ratings for c in candidates if c.ratings is not None}
    return Declared(reviews.pop() if len(reviews) == 1 else None, ratings.pop() if len(ratings) == 1 else None)


def _counts(node: Node) -> Declared:
    return Declared(parse_count(_raw(node.first("reviewcount"))), parse_count(_raw(node.first("ratingcount"))))


def _raw(value: Any) -> Any:
    return _text(value) if isinstance(value, Node) else value
