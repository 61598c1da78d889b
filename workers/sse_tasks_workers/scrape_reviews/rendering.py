"""Whether the further pages of an address have to be shown in a tab, by what those showed that were."""

from __future__ import annotations

from collections.abc import Sequence

from .records import Review
from .usual import Usual, differ

__all__ = ["Rendering"]

REFUSALS_LIMIT = 2
"""Pages in a row that can't be had without being shown, after which it isn't tried any more."""


class Rendering:
    """A page that was shown tells whether what the server sends says it all (``compared``); if so, those after it are
    read plainly, until one of them makes it doubtful.

    ``is_open``: the next page that is shown will tell. ``is_plain``: pages are read as the server sends them.
    """

    def __init__(self, *, always: bool) -> None:
        self.is_open = not always
        self.is_plain = False
        self._usual = Usual()
        self._refusals = 0

    def compared(self, says_the_same: bool, reviews: Sequence[Review]) -> None:
        """A page was read both ways: whether that gave the same, and which ``reviews``."""
        self.is_open, self.is_plain = False, says_the_same
        if says_the_same:
            self._usual.allow(reviews)

    def learn(self, reviews: Sequence[Review]) -> None:
        """What a page has that was taken."""
        self._usual.learn(reviews)

    def doubts(self, reviews: Sequence[Review]) -> bool:
        """Whether a page that wasn't shown has to be, with what it says; what is shown then will tell how to go on."""
        if self.is_plain and not self._usual.falls_short(reviews):
            return False
        self.is_open, self.is_plain = self.is_plain, False
        return True

    def shown_after_all(self, plain: Sequence[Review], shown: Sequence[Review]) -> None:
        """A doubtful page has been shown: where that brought more, so it may for any."""
        if differ(plain, shown):
            self.is_open = self.is_plain = False

    def had(self) -> None:
        """A page could be had plainly."""
        self._refusals = 0

    def refused(self) -> None:
        """A page that isn't the last one was asked for plainly in vain: each would be asked for twice so."""
        self._refusals += 1
        if self._refusals >= REFUSALS_LIMIT:
            self.is_open = self.is_plain = False
