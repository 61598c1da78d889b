"""A page read by a site profile: does it fit, its review blocks, their fields, and how the page goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from .dates import PageDate, parse_date
from .languages import decide_language
from .markup import absolute, element_text
from .profiles import DatePick, FlagPick, Match, Pick, Profile, RatingPick
from .rating_marks import rating_of
from .ratings import Rating, parse_count, parse_rating
from .records import Review, clean_text, web_address
from .selectors import compiled
from .setting import PageSetting

__all__ = ["fits", "next_control", "page_count", "read_by_profile"]

REVIEWS_LIMIT = 5_000
"""Blocks of one page that are read."""
IMAGES_LIMIT = 50

Element = Any


def fits(profile: Profile, root: Element, url: str, html: str) -> bool:
    """Whether the page at ``url`` is one of those that the profile is for."""
    return not profile.match or any(_matches(match, root, url, html) for match in profile.match)


def _matches(match: Match, root: Element, url: str, html: str) -> bool:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if match.hosts and not any(fnmatchcase(host, pattern.lower()) for pattern in match.hosts):
        return False
    if match.paths and not any(fnmatchcase(parts.path or "/", pattern) for pattern in match.paths):
        return False
    return all(_may_select(selector, html) and _first(root, selector) is not None for selector in match.has)


def _may_select(selector: str, html: str) -> bool:
    """False where a class or id that the selector asks for stands nowhere in the page's text: cheap, and most pages
    are of none of the sites."""
    if re.search(r"[,:\\]", selector):
        return True
    return all(name in html for name in re.findall(r"[.#]([\w-]+)", re.sub(r"\[[^\]]*\]", "", selector)))


def read_by_profile(profile: Profile, root: Element, setting: PageSetting) -> list[Review]:
    """The reviews of the profile's blocks in page order. A block within another one belongs to that."""
    blocks = compiled(profile.review)(root)
    known = set(blocks)
    item = _text(root, profile.item, 500)
    found = []
    for block in blocks[:REVIEWS_LIMIT]:
        if not any(ancestor in known for ancestor in block.iterancestors()):
            review = _review(profile, block, item, setting)
            # A rating or a date alone is a summary's, or a form's.
            if review.body or review.title or (review.author and review.rating is not None):
                found.append(review)
    return found


def _review(profile: Profile, block: Element, item: str | None, setting: PageSetting) -> Review:
    fields = profile.fields
    title, body = _text(block, fields.title, 2000), _text(block, fields.body)
    marked = _text(block, fields.language, 35) or _own_language(block, fields.body)
    language, language_source = decide_language(marked, setting.language, title, body)
    rating = _rating(block, fields.rating)
    date_raw, (date, precision) = _date(block, fields.date, setting)
    reply = _text(block, fields.reply)
    return Review(
        id=_text(block, fields.id, 1000),
        author=_text(block, fields.author, 500),
        author_url=_link(block, fields.author_url, setting.address),
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
        verified=_flag(block, fields.verified),
        helpful_votes=page_count(block, fields.helpful_votes),
        reply=reply,
        reply_author=_text(block, fields.reply_author, 500) if reply else None,
        reply_date=_date(block, fields.reply_date, setting)[1][0] if reply else None,
        images=_images(block, fields.images, setting.address),
        variant=_text(block, fields.variant, 500),
        item=_text(block, fields.item, 500) or item,
        url=_link(block, fields.url, setting.address),
        source="profile",
        page=setting.number,
        page_url=setting.url,
    )


# --- picking ---------------------------------------------------------------------------------------------------------


def _first(element: Element, selector: str) -> Element | None:
    return compiled(selector).first(element) if selector else element


def _alternatives(picks: Any) -> Sequence[Any]:
    return () if picks is None else picks if isinstance(picks, list) else (picks,)


def _found(block: Element, picks: Any) -> Iterator[tuple[Any, Element]]:
    """Each alternative that selects something, as its Pick, with the element."""
    for pick in _alternatives(picks):
        pick = Pick(css=pick) if isinstance(pick, str) else pick
        element = _first(block, pick.css)
        if element is not None:
            yield pick, element


def _raw(pick: Pick, element: Element) -> str | None:
    """The picked text, not cut to its length yet."""
    if pick.attribute:
        text = element.get(pick.attribute)
    else:
        left_out = [part for selector in pick.without for part in compiled(selector)(element)]
        text = element_text(element, left_out)
    return clean_text(_cut(pick, text)) if text is not None else None


def _cut(pick: Pick, text: str) -> str:
    if mark := next((mark for mark in pick.after if mark in text), None):
        text = text.partition(mark)[2]
    if mark := next((mark for mark in pick.before if mark in text), None):
        text = text.partition(mark)[0]
    return text


def _text(block: Element, picks: Any, limit: int = 100_000) -> str | None:
    return next((clean_text(text, limit) for pick, element in _found(block, picks) if (text := _raw(pick, element))),
                None)


def _link(block: Element, picks: Any, address: str) -> str | None:
    for pick, element in _found(block, picks):
        text = _raw(pick, element) if pick.attribute else clean_text(element.get("href"), 2000)
        if text and (target := web_address(absolute(text, address))):
            return target
    return None


def _images(block: Element, picks: Any, address: str) -> list[str] | None:
    for pick in _alternatives(picks):
        pick = Pick(css=pick) if isinstance(pick, str) else pick
        targets = []
        for element in (compiled(pick.css)(block) if pick.css else [block])[:IMAGES_LIMIT]:
            names = (pick.attribute,) if pick.attribute else ("data-src", "src", "href")
            text = next((element.get(name) for name in names if element.get(name)), None)
            if text and (target := web_address(absolute(_cut(pick, text), address))):
                targets.append(target)
        if targets:
            return list(dict.fromkeys(targets))
    return None


def _rating(block: Element, picks: Any) -> Rating:
    for pick, element in _found(block, picks):
        rule = pick if isinstance(pick, RatingPick) else RatingPick(css=pick.css)
        if rule.count:
            lit = len(compiled(rule.count)(element))
            rating = Rating(value=float(lit), raw=str(lit)) if lit else Rating()
        elif rule.attribute or rule.after or rule.before or rule.without or rule.words:
            rating = parse_rating(_raw(rule, element), words=rule.words)
        else:
            rating = rating_of(element) or Rating()
        if rating.raw is None:
            continue
        if rule.stars and rating.best == 100.0 and rating.value is not None:
            rating = Rating(value=round(rating.value / 100 * rule.stars, 2), best=float(rule.stars), raw=rating.raw)
        return Rating(value=rating.value, best=rule.best if rating.best is None else rating.best,
                      worst=rule.worst if rating.worst is None else rating.worst, raw=rating.raw)
    return Rating()


def _date(block: Element, picks: Any, setting: PageSetting) -> tuple[str | None, PageDate]:
    for pick, element in _found(block, picks):
        text = _raw(pick, element)
        if text is None and element.tag == "time":
            text = clean_text(element.get("datetime"))
        if text is None:
            continue
        rule = pick if isinstance(pick, DatePick) else DatePick()
        date = parse_date(text, rule.language or setting.language, setting.base, rule.order)
        if date[0] is None and not pick.attribute and (exact := element.get("datetime")):
            date = parse_date(exact, None, setting.base)
        return clean_text(text, 200), date
    return None, (None, None)


def _flag(block: Element, picks: Any) -> bool | None:
    for pick, element in _found(block, picks):
        rule = pick if isinstance(pick, FlagPick) else FlagPick()
        if not (rule.yes or rule.no):
            return True
        text = (_raw(pick, element) or "").casefold()
        if text in (word.casefold() for word in rule.yes):
            return True
        if text in (word.casefold() for word in rule.no):
            return False
    return None


def _own_language(block: Element, picks: Any) -> str | None:
    """The ``lang`` within the review's block: the page's own says less."""
    for _, element in _found(block, picks):
        for part in (element, *element.iterancestors()):
            if language := part.get("lang"):
                return str(language)
            if part is block:
                break
    return None


# --- the page itself -------------------------------------------------------------------------------------------------


def page_count(root: Element, picks: Any) -> int | None:
    """How many the picked text says: ``"16 people found this helpful"``, ``"1.234 avis"``."""
    return next((count for pick, element in _found(root, picks)
                 if (count := parse_count(_raw(pick, element))) is not None), None)


def next_control(profile: Profile, root: Element, setting: PageSetting) -> tuple[str | None, str | None]:
    """The next page's address, and the selector of the control that shows more, where the page has them."""
    target = None
    if profile.next and (link := _first(root, profile.next)) is not None and link.get("href"):
        target = _on_same_host(web_address(absolute(link.get("href"), setting.address)), setting.url)
    more = profile.load_more if profile.load_more and _first(root, profile.load_more) is not None else None
    return target, more


def _on_same_host(target: str | None, url: str) -> str | None:
    """A saved or mirrored page links to where it came from: that is another site's page."""
    try:
        there, here = urlsplit(target or ""), urlsplit(url)
        fits_here = there.scheme in {"http", "https"} and (there.hostname, there.port) == (here.hostname, here.port)
    except ValueError:
        return None
    return target.split("#")[0] if target and fits_here else None
