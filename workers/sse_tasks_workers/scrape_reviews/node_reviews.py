"""Nodes of any graph syntax to reviews: which nodes are one, what they belong to, and their fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from .dates import parse_date
from .languages import decide_language, language_tag
from .nodes import Node, local_name
from .ratings import Rating, parse_count, parse_rating
from .records import Review, clean_text, web_address
from .setting import PageSetting

__all__ = ["REVIEW_TYPES", "resolve", "reviews_of", "text_of", "walk"]

REVIEW_TYPES = frozenset({"review", "userreview", "criticreview", "employerreview"})
"""schema.org's ClaimReview and MediaReview check facts and rate nothing; Comment and Answer are replies."""

_REPLIES = frozenset({"comment", "comments", "reply", "replies", "response", "potentialaction", "ownerresponse",
                      "merchantreply", "ownerreply"})
_OTHER_THINGS = frozenset({"isrelatedto", "issimilarto", "isaccessoryorsparepartfor", "isconsumablefor"})
"""What hangs on these is another thing that a shop shows beside this one."""
_OWNER_REPLIES = ("ownerresponse", "ownerreply", "merchantreply", "response", "reply")
_OWNERS = frozenset({"organization", "corporation", "localbusiness", "onlinestore", "onlinebusiness", "brand", "store",
                     "restaurant", "hotel", "lodgingbusiness", "foodestablishment"})
_VERIFIED = ("verified", "isverified", "verifiedpurchase", "verifiedbuyer", "verifiedreviewer")
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


def resolve(tops: list[Node]) -> None:
    """Puts the thing itself where a node only names its id. What is told of one thing in several places has one name
    and one aggregate; but reviews haven't, since there are pages that give all of them the same id."""
    by_id: dict[str, Node] = {}
    for node, _, _ in list(walk(tops)):
        if node.id and (node.properties or node.types):
            first = by_id.setdefault(node.id, node)
            if first is not node and first.types & node.types and not first.types & REVIEW_TYPES:
                for name in ("name", "aggregaterating"):
                    if values := first.all(name) or node.all(name):
                        first.properties.setdefault(name, values)
                        node.properties.setdefault(name, values)
    for node, _, _ in list(walk(tops)):
        for values in node.properties.values():
            for i, value in enumerate(values):
                if isinstance(value, Node) and value.id and not value.properties and not value.types:
                    values[i] = by_id.get(value.id, value)


def walk(tops: Iterable[Node]) -> Iterator[tuple[Node, Node | None, str]]:
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
        children = [(child, inner_owner, as_what) for as_what, child in node.children()
                    if as_what not in _REPLIES and as_what not in _OTHER_THINGS]
        stack.extend(reversed(children))


def reviews_of(tops: list[Node], syntax: str, setting: PageSetting) -> Iterator[tuple[Review, Node | None]]:
    for node, owner, name in walk(tops):
        if any(isinstance(thing, Node) and thing.types & REVIEW_TYPES for thing in node.all("itemreviewed")):
            continue  # of a review: an answer to it
        untyped = not node.types and name == "review" and node.first("reviewbody", "reviewrating", "ratingvalue")
        if not (node.types & REVIEW_TYPES or untyped):
            continue
        reviewed = node.first("itemreviewed")
        owner = reviewed if isinstance(reviewed, Node) and reviewed.properties else owner
        review = _review(node, owner, syntax, setting)
        if any(part is not None for part in (review.author, review.rating, review.date_raw, review.title, review.body)):
            yield review, owner


def _review(node: Node, owner: Node | None, syntax: str, setting: PageSetting) -> Review:
    title = _first_text(node.all("name"), 2000) or _first_text(node.all("headline"), 2000)
    body = next(filter(None, (_first_text(node.all(name)) for name in ("reviewbody", "description", "text"))), None)
    stated = language_tag(text_of(node.first("inlanguage"))) or node.language
    language, language_source = decide_language(stated, setting.language, title, body)
    author, author_url = _author(node.all("author"))
    rating = _rating(node)
    date_raw = _first_text(node.all("datepublished", "datecreated"), 200)
    # A date is in the language that the page is made in, whatever that of the review is.
    date, precision = parse_date(date_raw, setting.language or language, setting.base) if date_raw else (None, None)
    reply, reply_author, reply_date = _reply(node)
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
        title=title,
        body=body,
        language=language,
        language_source=language_source,
        verified=_verified(node),
        helpful_votes=_helpful_votes(node),
        reply=reply,
        reply_author=reply_author,
        reply_date=parse_date(reply_date, setting.language or language, setting.base)[0] if reply_date else None,
        images=_images(node),
        item=text_of(owner.first("name"), 500) if owner is not None else text_of(node.first("itemreviewed"), 500),
        url=_link(node.first("url")),
        source=syntax,
        page=setting.number,
        page_url=setting.url,
    )


def _rating(node: Node) -> Rating:
    ratings = node.all("reviewrating", "starrating")
    whole = [r for r in ratings if not (isinstance(r, Node) and r.first("reviewaspect"))] or ratings[:1]
    for rating in whole:
        if isinstance(rating, Node) and (rating.properties.keys() & {"ratingvalue", "bestrating", "worstrating"}):
            return parse_rating(*(text_of(rating.first(n), 200) for n in ("ratingvalue", "bestrating", "worstrating")))
        return parse_rating(text_of(rating, 200))
    return parse_rating(*(text_of(node.first(n), 200) for n in ("ratingvalue", "bestrating", "worstrating")))


def text_of(value: Any, limit: int = 100_000) -> str | None:
    """A value's words: a text itself, a link's words, a thing's name."""
    if isinstance(value, Node):
        name = value.first("name")
        return clean_text(value.text, limit) or (None if isinstance(name, Node) else clean_text(name, limit))
    return clean_text(value, limit)


def _first_text(values: Iterable[Any], limit: int = 100_000) -> str | None:
    return next((text for text in (text_of(value, limit) for value in values) if text), None)


def _link(value: Any) -> str | None:
    return web_address(value.first("url") if isinstance(value, Node) else value)


def _author(values: list[Any]) -> tuple[str | None, str | None]:
    names: list[str] = []
    url = None
    for value in values[:10]:
        name: str | None
        if isinstance(value, Node):
            given, family = text_of(value.first("givenname")), text_of(value.first("familyname"))
            name = _first_text(value.all("name"), 500) or " ".join(filter(None, (given, family))) or None
            name = name or clean_text(value.text, 500) or text_of(value.first("alternatename"), 500)
            identifier = value.id if value.id and value.id.startswith(("http://", "https://")) else None
            url = url or _link(value.first("url", "sameas")) or clean_text(identifier, 2000)
        else:
            name = clean_text(value, 500)
            if name and re.match(r"https?://\S+$", name):
                name, url = None, url or name
        if name and name not in names:
            names.append(name)
    return ", ".join(names) or None, url


def _identifier(node: Node) -> str | None:
    value = node.first("identifier", "reviewid")
    # A PropertyValue has it as its value.
    return text_of(value.first("ratingvalue", "name") if isinstance(value, Node) else value, 1000)


def _verified(node: Node) -> bool | None:
    value = node.first(*_VERIFIED)
    if isinstance(value, bool):
        return value
    word = (text_of(value, 10) or "").lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _helpful_votes(node: Node) -> int | None:
    """``upvoteCount``, or the counter of a LikeAction."""
    for name in ("upvotecount", "helpfulvotes"):
        if (count := parse_count(_plain(node.first(name)))) is not None:
            return count
    for counter in node.all("interactionstatistic"):
        if isinstance(counter, Node):
            kind = counter.first("interactiontype")
            kinds = kind.types | {local_name(kind.id or "")} if isinstance(kind, Node) else {local_name(str(kind))}
            if kinds & {"likeaction", "agreeaction"}:
                return parse_count(_plain(counter.first("userinteractioncount")))
    return None


def _plain(value: Any) -> Any:
    return text_of(value) if isinstance(value, Node) else value


def _reply(node: Node) -> tuple[str | None, str | None, str | None]:
    """Text, author and raw date of the owner's answer. A comment is one only if an organisation wrote it: others
    comment too."""
    for name in (*_OWNER_REPLIES, "comment"):
        for value in node.all(name):
            if not isinstance(value, Node):
                if name != "comment" and (text := clean_text(value)):
                    return text, None, None
                continue
            authors = [author for author in value.all("author") if isinstance(author, Node)]
            if name == "comment" and not any(author.types & _OWNERS for author in authors):
                continue
            body = _first_text(value.all("text", "reviewbody", "description")) or clean_text(value.text)
            if body:
                author = _author(value.all("author"))[0]
                return body, author, _first_text(value.all("datepublished", "datecreated"), 200)
    return None, None, None


def _images(node: Node) -> list[str] | None:
    targets = []
    for value in (*node.all("image"), *node.all("associatedmedia"), *node.all("photo")):
        if isinstance(value, Node):
            if not value.types & {"videoobject", "audioobject"}:
                targets.append(_link(value.first("contenturl")) or _link(value.first("url")))
        else:
            targets.append(_link(value))
    return list(dict.fromkeys(target for target in targets[:50] if target)) or None
