"""How many reviews and ratings a page says there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .node_reviews import text_of, walk
from .nodes import Node
from .ratings import parse_count

__all__ = ["Declared", "declared_anywhere", "declared_by"]

_DECOYS = frozenset({"organization", "corporation", "onlinestore", "onlinebusiness", "website", "webpage"})


@dataclass(frozen=True)
class Declared:
    """What the page says of itself. Reviews and ratings are two numbers: most who rate write nothing."""

    reviews: int | None = None
    ratings: int | None = None


def declared_by(owners: list[Node]) -> Declared:
    """The numbers of the thing that the reviews found belong to."""
    for owner in sorted(dict.fromkeys(owners), key=lambda each: bool(each.types & _DECOYS)):  # a shop's own come last
        for aggregate in owner.all("aggregaterating"):
            if isinstance(aggregate, Node) and (counts := _counts(aggregate)) != Declared():
                return counts
    return Declared()


def declared_anywhere(tops: list[Node]) -> Declared:
    """The page's one aggregate. A shop's own is a decoy, and of several that differ nobody knows which is meant."""
    candidates: list[Declared] = []
    for node, owner, name in walk(tops):
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
    return text_of(value) if isinstance(value, Node) else value
