"""What a page of an address usually says, by the pages before it: so one that says less is noticed."""

from __future__ import annotations

from collections.abc import Sequence

from .records import Review

__all__ = ["Usual", "differ"]

_FIELDS = ("author", "rating", "date", "title", "body")


class Usual:
    """``learn`` from each page that isn't the last; a page ``falls_short`` if it has fewer reviews than those, or one
    without something that all of them have. Where that is found to be as it should, ``allow`` has it count as usual.
    """

    def __init__(self) -> None:
        self._most = 0
        self._count = 0
        self._fields: frozenset[str] | None = None

    def learn(self, reviews: Sequence[Review]) -> None:
        if len(reviews) > self._most:
            self._most = self._count = len(reviews)
        if self._fields is None and reviews:
            self._fields = _filled(reviews)

    def falls_short(self, reviews: Sequence[Review]) -> bool:
        return len(reviews) < self._count or not (self._fields or frozenset()) <= _filled(reviews)

    def allow(self, reviews: Sequence[Review]) -> None:
        self._count = min(self._count, len(reviews))
        if self._fields is not None:
            self._fields &= _filled(reviews)


def differ(reviews: Sequence[Review], others: Sequence[Review]) -> bool:
    """Whether the one way of having a page brought more than the other."""
    return len(reviews) != len(others) or _filled(reviews) != _filled(others)


def _filled(reviews: Sequence[Review]) -> frozenset[str]:
    """What each of them has."""
    return frozenset(name for name in _FIELDS if all(getattr(review, name) is not None for review in reviews))
