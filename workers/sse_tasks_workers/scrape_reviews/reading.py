"""One address's reading: where it stands, and what to do next, decided by plain functions over ``Reading``.

Nothing here waits or loads. ``Reading`` is all that a later attempt needs to go on as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from typing import Any, Literal

import msgspec

from .contract import ScrapeReviewsInput, Stopped, UrlOutcome
from .extraction import Page
from .merging import identity
from .paging import is_page_of, page_number, with_page_number
from .politeness import PageFailed
from .records import Review
from .walls import EMPTY, KEPT_AWAY, MISSING

__all__ = ["Reading", "end_growing", "expected_last_page", "outcome", "page_failed", "take_more", "take_page"]

ROUNDS_WITHOUT_NEW = 2
"""Pages in a row, or times that a page was asked for more, without a new review after which nothing is expected."""
ERRORS_LIMIT = 50

Growing = Literal["", "load_more", "scroll"]


class Reading(msgspec.Struct, kw_only=True):
    """Where the reading of one address stands between two pages.

    ``guessed``: nobody linked to ``next_url``, its number was raised. ``pages`` counts documents and what they grew by.
    ``growing``: the document at ``next_url`` is being asked for more in that way; it is document number ``documents``,
    ``pages`` was ``pages_when_new`` then, and ``bare`` counts what it showed that can't be told from others.
    ``unshown`` counts the documents that were read as the server sent them.
    """

    url: str
    next_url: str
    start_url: str = ""
    guessed: bool = False
    linked: bool = False
    more: bool = False
    growing: Growing = ""
    grew: bool = False
    documents: int = 0
    unshown: int = 0
    pages: int = 0
    pages_when_new: int = 0
    found: int = 0
    declared: int | None = None
    declared_ratings: int | None = None
    rounds_without_new: int = 0
    sources: dict[str, int] = {}
    errors: list[str] = []
    visited: list[str] = []
    fingerprints: list[str] = []
    seen: set[str] = set()
    bare: dict[str, int] = {}
    cookies: list[dict[str, Any]] = []
    title: str | None = None
    item: str | None = None
    shown: str | None = None
    profile: str | None = None
    stopped: Stopped | None = None
    detail: str = ""

    def note(self, error: str) -> None:
        if error in self.errors:
            return
        if len(self.errors) < ERRORS_LIMIT:
            self.errors.append(error)
        elif len(self.errors) == ERRORS_LIMIT:
            self.errors.append("… and more")


def take_page(state: Reading, page: Page, url: str, problems: list[str], input: ScrapeReviewsInput, *,
              can_grow: bool = False) -> list[Review]:
    """Takes a document into the state and decides how to go on. Gives its new reviews, in page order.

    One that was growing when an earlier attempt ended is the same one again and counts no second time.
    """
    again = bool(state.growing)
    if not again and state.documents and (lost := _elsewhere(state, page, url)):
        if lost not in KEPT_AWAY and (state.guessed or (state.declared is not None and not _expects_more(state))):
            state.stopped, state.more = "no_next_page", False
        else:
            page_failed(state, PageFailed(f"it looks like {lost}"))
        return []
    if not again:
        state.documents += 1
        state.pages += 1
        state.pages_when_new = state.pages
        state.bare = {}
        state.grew = False
    state.start_url = state.start_url or url
    state.title = state.title or page.title
    state.item = state.item or next((review.item for review in page.reviews if review.item), None)
    state.shown = page.shown if state.documents == 1 else state.shown
    state.profile = state.profile or page.profile
    state.visited += [u for u in dict.fromkeys((state.next_url, url)) if u not in state.visited]
    _take_words(state, page, url, problems)
    if not again and page.fingerprint is not None and page.fingerprint in state.fingerprints:
        state.stopped = "repeated_page"
        state.detail = f"page {state.documents} ({url}) shows the same reviews as one before it"
        return []
    if page.fingerprint is not None and not again:
        state.fingerprints.append(page.fingerprint)
    if not again:
        for syntax, count in page.sources.items():
            state.sources[syntax] = state.sources.get(syntax, 0) + count
    taken, beyond = _new_reviews(state, page.reviews, input)
    if not again:
        state.rounds_without_new = 0 if taken else state.rounds_without_new + 1
        _go_on(state, page, url, input, can_grow)
    _limit_reviews(state, beyond, input)
    return taken


def _elsewhere(state: Reading, page: Page, url: str) -> str | None:
    """What came instead of a further page; None where it is one."""
    if page.shown in KEPT_AWAY or (page.shown in {EMPTY, MISSING} and not state.guessed):
        return page.shown
    if url == state.next_url or is_page_of(url, state.next_url) or is_page_of(url, state.start_url):
        return None
    is_same = bool(page.reviews) and (_bare_title(page.title) == _bare_title(state.title) or any(
        review.item == state.item is not None for review in page.reviews))
    return None if is_same else f"another thing's page, {url}"


def _bare_title(title: str | None) -> str | None:
    """The title without the page's number."""
    return title and re.sub(r"[\W\d_]+(?:page|seite|pagina|p)?[\W\d_]*$|\d+", "", title.casefold())


def take_more(state: Reading, page: Page, problems: list[str], input: ScrapeReviewsInput, *, rounds: int,
              fruitless: int) -> list[Review]:
    """Takes in what a document shows after it was asked for more: round number ``rounds``, of which the last
    ``fruitless`` brought nothing."""
    state.grew = True
    state.pages = max(state.pages, state.pages_when_new + rounds)
    _take_words(state, page, state.next_url, problems)
    taken, beyond = _new_reviews(state, page.reviews, input)
    for syntax, count in Counter(name for review in taken for name in review.source.split("+")).items():
        state.sources[syntax] = state.sources.get(syntax, 0) + count
    if fruitless >= ROUNDS_WITHOUT_NEW:
        _stop_growing(state, "no_new_reviews")
    elif state.growing == "scroll" and state.declared is not None and state.found >= state.declared:
        _stop_growing(state, "no_next_page")
    elif state.pages >= input.max_pages:
        state.more = True
        _stop_growing(state, "max_pages", f"max_pages ({input.max_pages}) was reached")
    _limit_reviews(state, beyond, input)
    return taken


def end_growing(state: Reading, result: str, input: ScrapeReviewsInput) -> None:
    """The document has no more by the way that was tried: the next way, a guess, or the end."""
    way = state.growing
    if input.paging == "auto" and way == "load_more" and not state.grew and result == "none":
        state.growing = "scroll"
        return
    guess = with_page_number(state.next_url, page_number(state.next_url) + 1)
    if (input.paging == "auto" and not state.grew and state.found and not state.linked and _expects_more(state)
            and guess not in state.visited):
        state.growing, state.next_url, state.guessed, state.more = "", guess, True, False
        if state.pages >= input.max_pages:
            state.stopped, state.detail = "max_pages", f"max_pages ({input.max_pages}) was reached"
        return
    detail = ""
    if way == "load_more" and input.paging == "load_more" and not state.grew:
        detail = "no button for more reviews was found" if result != "off" else "its button for more is switched off"
    _stop_growing(state, "no_next_page" if result in {"none", "off"} or not state.grew else "no_new_reviews", detail)


def page_failed(state: Reading, why: PageFailed) -> None:
    """A page after the first one didn't come."""
    url = state.next_url
    if state.guessed and why.status is not None and 400 <= why.status < 500 and why.status != 429:
        state.stopped, state.more = "no_next_page", False  # the address was a guess, and there is nothing behind it
        return
    number = max(state.documents, 1) if state.growing else state.documents + 1
    state.note(f"page {number} ({url}): {why}")
    state.stopped, state.detail = "error", f"page {number} can't be read: {why}"


def expected_last_page(state: Reading) -> int | None:
    """The number of the last page, if all have as many reviews as those so far and the page says how many there are."""
    if state.declared is None or not state.documents or not state.found:
        return None
    return math.ceil(state.declared / max(state.found / state.documents, 1))


def _take_words(state: Reading, page: Page, url: str, problems: list[str]) -> None:
    state.declared = page.declared.reviews if state.declared is None else state.declared
    state.declared_ratings = page.declared.ratings if state.declared_ratings is None else state.declared_ratings
    for problem in (*problems, *page.problems):
        state.note(f"page {state.documents} ({url}): {problem}")


def _new_reviews(state: Reading, reviews: list[Review], input: ScrapeReviewsInput) -> tuple[list[Review], bool]:
    """Those that weren't there before, as many as are wanted, and whether there were more. What nothing tells from
    others counts as often as its document shows it."""
    left = math.inf if input.max_reviews is None else input.max_reviews - state.found
    new: list[Review] = []
    shown: Counter[str] = Counter()
    for review in reviews:
        name = identity(review)
        if name is not None and name in state.seen:
            continue
        if name is None:
            bare = _bare(review)
            shown[bare] += 1
            if shown[bare] <= state.bare.get(bare, 0):
                continue
        if len(new) >= left:
            return _counted(state, new), True
        if name is not None:
            state.seen.add(name)
        else:
            state.bare[bare] = shown[bare]
        new.append(review)
    return _counted(state, new), False


def _counted(state: Reading, new: list[Review]) -> list[Review]:
    state.found += len(new)
    return new


def _bare(review: Review) -> str:
    words = (review.id, review.author, review.rating, review.date or review.date_raw, review.title, review.body)
    return hashlib.blake2b("\x1f".join(map(str, words)).encode("utf-8", "replace"), digest_size=9).hexdigest()


def _limit_reviews(state: Reading, beyond: bool, input: ScrapeReviewsInput) -> None:
    if input.max_reviews is not None and state.found >= input.max_reviews:
        state.more = beyond or state.stopped is None or state.more
        _stop_growing(state, "max_reviews", f"max_reviews ({input.max_reviews}) was reached")


def _stop_growing(state: Reading, stopped: Stopped, detail: str = "") -> None:
    state.growing, state.stopped, state.detail = "", stopped, detail


def _go_on(state: Reading, page: Page, url: str, input: ScrapeReviewsInput, can_grow: bool) -> None:
    was_guessed = state.guessed
    following, state.guessed = _next_address(state, page, url, input)
    growing = _way_to_grow(state, page, input, can_grow) if not following or state.guessed else ""
    if growing and input.paging != "page" and not was_guessed:
        state.next_url, state.guessed, state.growing = url, False, growing
        if state.pages >= input.max_pages:
            state.more = _expects_more(state)
            _stop_growing(state, "max_pages", f"max_pages ({input.max_pages}) was reached")
        return
    state.next_url = following
    state.more = bool(following) and not state.guessed
    if not following:
        state.stopped = "no_next_page"
        if page.next.refused:
            state.detail = f"the next link leads to {page.next.refused}, which looks like another thing's page"
    elif input.paging == "none":
        state.stopped = "paging_off"
    elif following in state.visited:
        state.stopped, state.more = "repeated_page", False
        state.detail = f"the next link leads back to {following}"
    elif state.rounds_without_new >= ROUNDS_WITHOUT_NEW or (was_guessed and not page.reviews):
        state.stopped = "no_new_reviews"
    elif state.pages >= input.max_pages:
        state.stopped, state.detail = "max_pages", f"max_pages ({input.max_pages}) was reached"


def _next_address(state: Reading, page: Page, url: str, input: ScrapeReviewsInput) -> tuple[str, bool]:
    """The next page's address, and whether it is a guess. In ``auto`` a page that links nowhere is asked for its
    successor only if it says that there are more reviews than it shows."""
    if input.paging == "page":
        return with_page_number(url, page_number(url) + 1), True
    if input.paging in {"load_more", "scroll"}:
        return "", False
    if page.next.url:
        state.linked = True
        return page.next.url, False
    if input.paging == "auto" and page.reviews and _expects_more(state) and not state.linked:
        return with_page_number(url, page_number(url) + 1), True
    return "", False


def _way_to_grow(state: Reading, page: Page, input: ScrapeReviewsInput, can_grow: bool) -> Growing:
    """How the document may be asked for more: by what was asked for, or by what it may have. Where a page has said how
    many there are and shows them all, or runs no script, there is nothing to ask."""
    if input.paging in {"load_more", "scroll"}:
        return "load_more" if input.paging == "load_more" else "scroll"
    if input.paging != "auto" or not can_grow or state.linked:
        return ""
    if state.declared is not None and not _expects_more(state):
        return ""
    return "load_more" if page.reviews or page.load_more else "scroll"


def _expects_more(state: Reading) -> bool:
    return state.declared is not None and state.declared > state.found


def outcome(state: Reading) -> UrlOutcome:
    """The result of a reading that has stopped."""
    assert state.stopped is not None
    short = state.declared is not None and state.found < state.declared
    return UrlOutcome(
        url=state.url,
        found=state.found,
        declared=state.declared,
        declared_ratings=state.declared_ratings,
        pages=state.pages,
        errors=state.errors,
        stopped=state.stopped,
        partial=short or state.more or state.stopped in {"max_pages", "robots", "error"},
        message=_message(state),
    )


_REASONS: dict[str, str] = {
    "no_next_page": "there is no next page",
    "no_new_reviews": "the last pages had no new reviews",
    "paging_off": "only one page was asked for",
}


def _message(state: Reading) -> str:
    assert state.stopped is not None
    reason = state.detail or _REASONS.get(state.stopped, state.stopped)
    if state.stopped == "no_next_page" and state.detail:
        reason = f"{_REASONS['no_next_page']}: {state.detail}"
    if state.stopped == "no_next_page" and state.grew:
        reason = "the page has no more"
    if state.found == 0 and state.pages:
        title = f" Its title is {state.title!r}." if state.title else ""
        says = f" It says that there are {state.declared}." if state.declared else ""
        looks = f" It looks like {state.shown}." if state.shown else ""
        return f"No reviews were found at {state.url}.{title}{looks}{says} {reason[:1].upper()}{reason[1:]}."
    said = reviews_in_words(state.found)
    said = said if state.declared is None else f"{state.found} of {reviews_in_words(state.declared)}"
    hint = ""
    short = state.declared is not None and state.found < state.declared
    if short and state.unshown and state.stopped == "no_next_page":
        hint = (f" {state.unshown} of the pages {'was' if state.unshown == 1 else 'were'} read as the server sent "
                f"{'it' if state.unshown == 1 else 'them'}; render=\"always\" shows each, which may bring more.")
    return f"{said} on {state.pages} page{'' if state.pages == 1 else 's'}; {reason}.{hint}"


def reviews_in_words(count: int) -> str:
    return f"{count} review{'' if count == 1 else 's'}"
