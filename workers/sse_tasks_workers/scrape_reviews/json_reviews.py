"""Reviews in a JSON document that a page loaded by itself (XHR, fetch) or holds for its own scripts.

Conservative: an object is a review only if it stands in a list and its keys say so. It needs words of its own that are
called a review's, and a rating, an author and a date; where the document itself speaks of reviews, one of these and
plainer names (``text``, ``description``) will do. Things with a price are goods, and what is below a review is its
reply. The shapes of the common review services (Bazaarvoice, Yotpo, PowerReviews, Judge.me, Okendo, Stamped,
Trustpilot) fit these rules; none is known by name.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from typing import Any

from .json_fields import flattened, has_body, names_a_rating, names_a_scale, review_of, tells
from .jsonld import BrokenBlock, nodes_of, parse_values
from .languages import language_tag
from .merging import merge_groups
from .node_reviews import resolve, reviews_of
from .records import Review
from .setting import PageSetting

__all__ = ["read_json"]

DEPTH_LIMIT = 30
OBJECTS_LIMIT = 100_000
CHARACTERS_LIMIT = 20_000_000
REVIEWS_LIMIT = 5_000

_GOODS = ("price", "saleprice", "currency", "pricerange", "offers", "cost", "ingredients", "calories", "stock",
          "addtocarturl", "msrp", "listprice", "availability", "releasedate", "duration", "runtime")
_REVIEW_WORD = re.compile(r"review|bewertung|rezension|opinion|\bavis|testimonial|feedback|recension|reseña|"
                          r"rating(?:s|list)", re.IGNORECASE)
_TALK_WORD = re.compile(r"comment|post|thread|topic|message|repl(?:y|ies)|discussion", re.IGNORECASE)
_REVIEW_SHAPE = frozenset({"reviewtext", "reviewbody", "reviewcontent", "reviewid", "reviewer", "reviewrating",
                           "reviewtitle", "reviewername", "ratingrange", "verifiedbuyer", "usernickname"})


def read_json(value: Any, url: str, *, number: int = 1, base: dt.datetime | None = None,
              language: str | None = None) -> list[Review]:
    """The reviews in ``value``, in its order, each marked with source ``json``; ``[]`` where there are none.

    ``value`` is the document's text (str or bytes) or what it was parsed to. ``url`` is where it came from,
    ``number`` the page of the crawl that loaded it, ``base`` when that was (relative dates count from there), and
    ``language`` that page's language tag. Never raises: what is no JSON, or nested too deeply, has no reviews.
    """
    setting = PageSetting(url, url, number, base or dt.datetime.now(dt.UTC), language_tag(language))
    values = _values(value) if isinstance(value, str | bytes | bytearray) else [value]
    stored: dict[str, Any] = {}
    _walk(values, lambda entry, path: _note_stored(entry, path, stored))
    linked = list(nodes_of(_linked(values)))
    resolve(linked)
    groups = [[review for review, _ in reviews_of(linked, "json", setting)]]
    groups.append([review_of(entry, setting) for entry in _entries(values, url, stored)])
    return merge_groups(group for group in groups if group)


def _values(text: str | bytes | bytearray) -> list[Any]:
    if not isinstance(text, str):
        text = bytes(text[:CHARACTERS_LIMIT]).decode("utf-8-sig", "replace")
    if len(text) > CHARACTERS_LIMIT:
        return []
    bare = text.lstrip("\ufeff \t\r\n")
    bare = re.sub(r"^(?:\)\]\}'|for\s*\(;;\);|while\(1\);)[,\s]*", "", bare)  # what keeps other sites' scripts out
    if not bare.startswith(("{", "[")):
        return []
    try:
        return parse_values(bare.strip())
    except BrokenBlock:
        return []


def _walk(values: Iterable[Any], takes: Callable[[dict[str, Any], tuple[str, ...]], bool]) -> None:
    """Shows ``takes`` each object in order with the keys that lead to it (``""`` for a list's place). What it takes is
    not gone into."""
    stack: list[tuple[Any, tuple[str, ...]]] = [(value, ()) for value in reversed(list(values))]
    seen = 0
    while stack and seen < OBJECTS_LIMIT:
        value, path = stack.pop()
        if len(path) > DEPTH_LIMIT:
            continue
        if isinstance(value, list):
            stack.extend((inner, (*path, "")) for inner in reversed(value))
        elif isinstance(value, dict):
            seen += 1
            if not takes(value, path):
                stack.extend((inner, (*path, str(key))) for key, inner in reversed(value.items())
                             if isinstance(inner, list | dict))


def _linked(values: list[Any]) -> list[Any]:
    """JSON-LD in the document: its topmost objects with a type."""
    found: list[Any] = []

    def takes(value: dict[str, Any], path: tuple[str, ...]) -> bool:
        if value.get("@type") or "@graph" in value:
            found.append(value)
            return True
        return False

    _walk(values, takes)
    return found


def _note_stored(entry: dict[str, Any], path: tuple[str, ...], stored: dict[str, Any]) -> bool:
    """Apollo's store of a page's data has each thing once, under its type and id, and names it so elsewhere."""
    if path and ":" in path[-1] and "__typename" in entry:
        stored.setdefault(path[-1], entry)
    return False


def _entries(values: list[Any], url: str, stored: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that are reviews, as flat dicts with plain keys. ``stored``: those that ``__ref`` may name."""
    found: list[dict[str, Any]] = []
    told_by_url = _REVIEW_WORD.search(url.split("?")[0]) is not None

    def takes(value: dict[str, Any], path: tuple[str, ...]) -> bool:
        if value.get("@type") or len(found) >= REVIEWS_LIMIT:
            return True
        if "" in path[-2:] or _in_map(path):
            flat = {name: stored.get(str(single["__ref"]), single) if isinstance(single, dict) and "__ref" in single
                    else single for name, single in flattened(value).items()}
            near = [key for key in path if key][-2:]
            if _is_review(flat, any(map(_REVIEW_WORD.search, near)), told_by_url, any(map(_TALK_WORD.search, near))):
                found.append(flat)
                return True
        return False

    _walk(values, takes)
    return found


def _in_map(path: tuple[str, ...]) -> bool:
    """``{"reviews": {"17": {…}, "18": {…}}}`` or ``{"Review:17": {…}, "User:3": {…}}``: a list by another name."""
    return (len(path) > 1 and _REVIEW_WORD.search(path[-2]) is not None) or (
        bool(path) and re.match(r"\w*review\w*:", path[-1], re.IGNORECASE) is not None)


def _is_review(flat: dict[str, Any], told_by_path: bool, told_by_url: bool, is_talk: bool) -> bool:
    if any(name in flat for name in _GOODS):
        return False
    rated, authored, dated = tells(flat)
    shaped = sum(name in flat for name in _REVIEW_SHAPE)
    if told_by_path or shaped >= 2:
        return (has_body(flat, plain=True) and rated + authored + dated >= 1) or (rated and authored and dated)
    if told_by_url:
        return has_body(flat, plain=True) and rated and authored + dated >= 1
    if is_talk and not names_a_scale(flat):  # what people gave a comment, a post
        return False
    return has_body(flat, plain=False) and rated and names_a_rating(flat) and authored and dated
