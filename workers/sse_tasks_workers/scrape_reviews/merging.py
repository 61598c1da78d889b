"""Which records are the same review: within one syntax, across the syntaxes of a page, and across pages.

A review is known by its id, else by author, date, rating, title and body together. A hundred ratings of five stars
without a word are a hundred reviews; the same twelve in two syntaxes are twelve. So what can't be told apart is counted
in each syntax by itself and paired one to one between them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import re
import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import lru_cache

import msgspec

from .ratings import Rating
from .records import Review

__all__ = ["identity", "merge_groups", "page_fingerprint"]

SURE_LENGTH = 40
"""Letters of a body beyond which the same body is the same review, however the syntaxes write the author's name."""

_ELLIPSIS = re.compile(r"\s*(?:…|\.\.\.)\s*$")


@lru_cache(maxsize=1024)
def plain_text(text: str | None) -> str:
    """Letters and digits alone, so that quotes, entities, tags and blanks make no difference."""
    if not text:
        return ""
    bare = html.unescape(text)
    folded = unicodedata.normalize("NFKC", re.sub(r"<[^<>]{1,200}>", " ", bare)).casefold()
    return re.sub(r"[\W_]+", "", folded) or re.sub(r"\s+", "", folded)


def _digest(*parts: object) -> str:
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "replace"), digest_size=9).hexdigest()


def _core(review: Review) -> str:
    return _digest(plain_text(review.author), review.date or review.date_raw, review.rating, plain_text(review.title),
                   plain_text(review.body))


def identity(review: Review) -> str | None:
    """What the same review has in common wherever it stands; None where it could be anybody's.

    Author and body are part of it even with an id, since there are pages that number their reviews anew on each page,
    and some that give all of them the same.
    """
    if review.id and not review.id.startswith("#"):
        return "i" + _digest(review.id, plain_text(review.author), plain_text(review.body)[:200])
    told = review.body or review.title
    if (told and (review.author or review.date)) or (review.author and review.date_precision in {"second", "minute"}):
        return "t" + _core(review)
    return None


def page_fingerprint(reviews: Sequence[Review], visible_text: str) -> str | None:
    """The same for a page that shows the same reviews again; None for one without any.

    Where no review can be told from another, the page's whole text decides.
    """
    if not reviews:
        return None
    identities = [identity(review) for review in reviews]
    text = "" if any(identities) else _digest(visible_text)
    return _digest(text, *sorted(i or _core(r) for i, r in zip(identities, reviews, strict=True)))


def merge_groups(groups: Iterable[Sequence[Review]]) -> list[Review]:
    """One list of reviews from several descriptions of the same page, each in page order.

    A group is what one source says: a JSON-LD block, all microdata, and so on.
    """
    merged: list[Review] = []
    for group in groups:
        merged = _join(merged, _without_repeats(group)) if merged else _without_repeats(group)
    return merged


def _without_repeats(group: Sequence[Review]) -> list[Review]:
    kept: list[Review] = []
    places: dict[str, list[int]] = defaultdict(list)  # by id and by identity: where they stand in `kept`
    for review in group:
        names = [name for name in (identity(review), review.id and "#" + review.id) if name]
        for place in [place for name in names for place in places[name]]:
            if identity(kept[place]) == identity(review) or _same(kept[place], review):
                kept[place] = _filled(kept[place], review)
                break
        else:
            for name in names:
                places[name].append(len(kept))
            kept.append(review)
    return kept


def _join(ours: list[Review], theirs: list[Review]) -> list[Review]:
    """Pairs each of theirs with the one of ours that fits best; what fits none is added at the end."""
    result = list(ours)
    free = set(range(len(ours)))
    buckets: dict[Hashable, list[int]] = defaultdict(list)
    for place, review in enumerate(ours):
        for key in _handles(review):
            buckets[key].append(place)
    for review in theirs:
        best, best_score = -1, 0
        for key in _handles(review):
            bucket = buckets.get(key, [])
            while bucket and bucket[0] not in free:
                bucket.pop(0)
            for place in bucket:
                if place in free and (score := _score(ours[place], review)) > best_score:
                    best, best_score = place, score
                    if key[0] == "bare":  # one is as good as another
                        break
        if best_score:
            free.discard(best)
            result[best] = _filled(ours[best], review)
        else:
            result.append(review)
    return result


def _handles(review: Review) -> Iterator[tuple[str, object]]:
    """Where to look for a record's twin: it shares at least one of these with it."""
    if review.id:
        yield "id", review.id
    if review.body:
        yield "body", plain_text(review.body)[:24]
    if review.author:
        yield "author", plain_text(review.author)
    if review.title:
        yield "title", plain_text(review.title)
    if not (review.body or review.author or review.title):
        yield "bare", review.rating
    elif review.rating is not None:
        yield "rated", review.rating
    # A bare rating may be the twin of a full record of the other syntax, and the other way round.
    if review.rating is not None:
        yield ("rated" if not (review.body or review.author or review.title) else "bare"), review.rating


def _score(a: Review, b: Review) -> int:
    if not _same(a, b):
        return 0
    score = 8 if a.id and a.id == b.id else 0
    score += 4 * (bool(a.body) and bool(b.body)) + 2 * (bool(a.author) and bool(b.author))
    score += 2 * (bool(a.title) and bool(b.title)) + 2 * (bool(a.date) and bool(b.date))
    return score + (a.rating is not None and b.rating is not None)


def _same(a: Review, b: Review) -> bool:
    """Whether nothing that both say differs, and both say some of the same."""
    if a.rating is not None and b.rating is not None and not _same_rating(a, b):
        return False
    if a.date and b.date and not _same_date(a, b):
        return False
    if a.body and b.body:
        ours, theirs = plain_text(_ELLIPSIS.sub("", a.body)), plain_text(_ELLIPSIS.sub("", b.body))
        if ours != theirs and not _is_cut(a.body, ours, theirs) and not _is_cut(b.body, theirs, ours):
            return False
        if min(len(ours), len(theirs)) >= SURE_LENGTH:
            return True
    for mine, other in ((a.author, b.author), (a.title, b.title)):
        if mine and other and plain_text(mine) != plain_text(other):
            return False
    return any(
        mine is not None and other is not None
        for mine, other in ((a.id, b.id), (a.body, b.body), (a.author, b.author), (a.title, b.title), (a.date, b.date),
                            (a.rating, b.rating))
    )


def _is_cut(raw: str, short: str, long: str) -> bool:
    """Whether ``raw`` is the beginning of the other, by its ellipsis or by a length at which pages cut."""
    return bool(short) and long.startswith(short) and (bool(_ELLIPSIS.search(raw)) or len(short) >= SURE_LENGTH)


def _same_rating(a: Review, b: Review) -> bool:
    if a.rating_normalised is not None and b.rating_normalised is not None:
        return abs(a.rating_normalised - b.rating_normalised) < 0.01
    return a.rating == b.rating


def _same_date(a: Review, b: Review) -> bool:
    """Equal as far as the coarser one tells; a day's difference is a time zone's."""
    ours, theirs = str(a.date), str(b.date)
    precisions = {a.date_precision, b.date_precision}
    if "year" in precisions:
        return ours[:4] == theirs[:4]
    if "month" in precisions:
        return ours[:7] == theirs[:7]
    days = abs((dt.date.fromisoformat(ours[:10]) - dt.date.fromisoformat(theirs[:10])).days)
    return days <= (7 if "week" in precisions else 1)


def _filled(a: Review, b: Review) -> Review:
    """``a`` with its gaps filled from ``b``; what belongs together (rating and scale, date and precision) stays so."""
    changes: dict[str, object] = {
        name: getattr(b, name)
        for name in ("id", "author", "author_url", "title", "body", "verified", "helpful_votes", "images", "variant",
                     "item", "url")
        if getattr(a, name) is None
    }
    if a.reply is None:
        changes |= {name: getattr(b, name) for name in ("reply", "reply_author", "reply_date")}
    if b.language is not None and (a.language is None or (b.language_source == "stated" != a.language_source)):
        changes |= {"language": b.language, "language_source": b.language_source}
    if a.rating is None and b.rating is not None:
        changes |= {name: getattr(b, name) for name in ("rating", "rating_raw", "rating_best", "rating_worst",
                                                        "rating_normalised")}
    elif a.rating == b.rating and a.rating is not None:
        best = a.rating_best if a.rating_best is not None else b.rating_best
        worst = a.rating_worst if a.rating_worst is not None else b.rating_worst
        changes |= {"rating_best": best, "rating_worst": worst,
                    "rating_normalised": Rating(value=a.rating, best=best, worst=worst).normalised}
    if a.date is None and (b.date is not None or a.date_raw is None):
        changes |= {name: getattr(b, name) for name in ("date", "date_raw", "date_precision")}
    if a.body and b.body and len(b.body) > len(a.body) and _ELLIPSIS.search(a.body):
        changes["body"] = b.body
    sources = a.source.split("+")
    if b.source not in sources:
        changes["source"] = "+".join([*sources, b.source])
    return msgspec.structs.replace(a, **changes)
