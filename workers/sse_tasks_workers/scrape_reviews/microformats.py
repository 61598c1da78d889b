"""Reviews in microformats: the classic hReview and the h-review of microformats2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from .markup import absolute, element_language, element_text, given_id
from .nodes import Node
from .records import clean_text

__all__ = ["h_reviews", "hreviews"]

Element = Any


# --- hReview ---------------------------------------------------------------------------------------------------------


def hreviews(root: Element, base_url: str) -> list[Node]:
    """The classic hReview's reviews, and its aggregates as nodes of type ``aggregaterating``."""
    nodes = [_hreview(element, base_url) for element in _classed(root, "hreview")]
    nodes += [_haggregate(element, "count", "votes") for element in _classed(root, "hreview-aggregate")]
    return nodes


def _hreview(element: Element, base_url: str) -> Node:
    node = Node(types={"review"}, id=given_id(element), language=element_language(element))
    rating = Node(types={"rating"})
    for holder in _own(element, "rating"):
        for name, wanted in (("ratingvalue", "value"), ("bestrating", "best"), ("worstrating", "worst")):
            for part in _classed(holder, wanted):
                rating.add(name, _class_value(part))
        if not rating.first("ratingvalue"):
            rating.add("ratingvalue", _class_value(holder))
        node.add("reviewrating", rating)
        break
    for name, wanted in (("best", "bestrating"), ("worst", "worstrating")):
        for part in _own(element, name):
            if not rating.first(wanted):
                rating.add(wanted, _class_value(part))
    for reviewer in _own(element, "reviewer"):
        person = Node(types={"person"})
        named = next(_classed(reviewer, "fn"), reviewer)
        person.add("name", _class_value(named))
        for link in (reviewer, named, *_classed(reviewer, "url")):
            if link.tag == "a" and link.get("href"):
                person.add("url", absolute(link.get("href"), base_url))
        node.add("author", person)
    for source, target in (("dtreviewed", "datepublished"), ("summary", "name"), ("description", "reviewbody")):
        for part in _own(element, source):
            node.add(target, _class_value(part))
    for link in element.xpath(".//a[contains(concat(' ', normalize-space(@rel), ' '), ' bookmark ')]/@href")[:1]:
        node.add("url", absolute(link, base_url))
    for part in _own(element, "item"):
        thing = Node()
        thing.add("name", _class_value(next(_classed(part, "fn"), part)))
        node.add("itemreviewed", thing)
    return node


def _haggregate(element: Element, count: str, votes: str) -> Node:
    node = Node(types={"aggregaterating"})
    for source, target in ((count, "reviewcount"), (votes, "ratingcount")):
        for part in _classed(element, source):
            node.add(target, _class_value(part))
    return node


# --- h-review --------------------------------------------------------------------------------------------------------

_PREFIX = re.compile(r"(?:^|\s)(?:p|u|dt|e)-")
_ROOT = re.compile(r"(?:^|\s)h-[a-z][a-z0-9-]*")


def h_reviews(root: Element, base_url: str) -> list[Node]:
    """The reviews of microformats2, and its aggregates."""
    nodes = [_h_review(element, base_url) for element in _classed(root, "h-review")]
    nodes += [_haggregate(element, "p-count", "p-votes") for element in _classed(root, "h-review-aggregate")]
    return nodes


def _h_review(element: Element, base_url: str) -> Node:
    node = Node(types={"review"}, id=given_id(element), language=element_language(element))
    parts = _h_properties(element)
    rating = Node(types={"rating"})
    for source, target in (("p-rating", "ratingvalue"), ("p-best", "bestrating"), ("p-worst", "worstrating")):
        for part in parts.get(source, ()):
            rating.add(target, _class_value(part))
    # <span class="p-rating">4 out of <span class="p-best">5</span></span>: the best is named in words as well.
    if rating.properties:
        node.add("reviewrating", rating)
    for source in ("p-author", "p-reviewer"):
        for part in parts.get(source, ()):
            node.add("author", _h_card(part, base_url))
    dates = [*parts.get("dt-published", ()), *parts.get("dt-reviewed", ()), *parts.get("dt-dtreviewed", ())]
    for part in dates:
        node.add("datepublished", _class_value(part))
    for part in parts.get("p-name", ()):
        node.add("name", _class_value(part))
    bodies = ("e-content", "p-content", "p-description", "e-description", "p-summary")
    for part in next((found for name in bodies if (found := parts.get(name))), ()):
        node.add("reviewbody", clean_text(element_text(part)) or "")
        node.language = part.get("lang") or node.language
    for part in parts.get("u-url", ()):
        if part.get("href"):
            node.add("url", absolute(part.get("href"), base_url))
    for part in parts.get("u-photo", ()):
        node.add("image", absolute(part.get("src") or part.get("href") or "", base_url))
    for part in parts.get("p-item", ()):
        node.add("itemreviewed", _h_card(part, base_url))
    return node


def _h_properties(element: Element) -> dict[str, list[Element]]:
    """The properties of this thing and not of one within it, which is a property itself as a whole."""
    found: dict[str, list[Element]] = {}
    inner: Element | None = None
    for event, part in etree.iterwalk(element, events=("start", "end")):
        if part is element:
            continue
        if event == "end":
            inner = None if inner is part else inner
            continue
        if inner is None:
            names = part.get("class") or ""
            if _PREFIX.search(names):
                for name in names.split():
                    found.setdefault(name, []).append(part)
            if _ROOT.search(names):
                inner = part
    return found


def _h_card(element: Element, base_url: str) -> Node:
    thing = Node(types={"thing"})
    parts = _h_properties(element)
    names = parts.get("p-name")
    alt = element.get("alt") if element.tag == "img" else None
    thing.add("name", _class_value(names[0]) if names else alt or _class_value(element))
    for link in (*parts.get("u-url", ()), element):
        if link.tag == "a" and link.get("href"):
            thing.add("url", absolute(link.get("href"), base_url))
            break
    return thing


# --- values ----------------------------------------------------------------------------------------------------------


def _classed(element: Element, name: str) -> Iterator[Element]:
    yield from element.xpath("descendant::*[contains(concat(' ', normalize-space(@class), ' '), $c)]", c=f" {name} ")


def _own(element: Element, name: str) -> Iterator[Element]:
    """Parts of this review and not of one within it."""
    for part in _classed(element, name):
        nearest = next((a for a in part.iterancestors() if "hreview" in (a.get("class") or "").split()), None)
        if nearest is element:
            yield part


def _class_value(element: Element) -> str:
    """The value-class and abbr patterns: what a machine is to read, else the text."""
    for part in _classed(element, "value-title"):
        if part.get("title"):
            return str(part.get("title"))
    if element.tag == "abbr" and element.get("title"):
        return str(element.get("title"))
    if element.tag == "time" and element.get("datetime"):
        return str(element.get("datetime"))
    if values := list(_classed(element, "value")):
        return "".join(_class_value(v) for v in values)
    return clean_text(element_text(element)) or ""
