"""Reviews on pages with neither structured data nor a profile: a list of blocks with a rating, a date and prose.

A guess, marked as such, and a careful one: better none than some that are none. A list of goods has prices and no
dates; of articles, no ratings; of films or books, headings that lead to each. So a list counts only if nearly all its
blocks have all three, few have a price or a heading that is a link, and something calls it reviews or names authors.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from .dates import parse_date
from .guessed_fields import REPLY, Block, author_of, guessed_review, text_without_prose
from .markup import element_text
from .rating_marks import rating_of
from .ratings import Rating
from .records import Review
from .setting import PageSetting

__all__ = ["guess_reviews"]

FEWEST_BLOCKS = 2
SHARE = 0.7
"""Of the blocks of a list, how many have to have all that a review has."""
FEWEST_LETTERS = 15
"""Of a block's prose; a list whose prose is shorter on average is one of something else."""
BLOCKS_LIMIT = 2_000
MARKS_LIMIT = 20_000
_BLOCK_TAGS = frozenset({"li", "div", "article", "section", "tr", "dd", "blockquote", "figure", "p"})

_MARKED = re.compile(r"(?:^|[\s_-])(?:stars?|rating|rate|score|note|bewertung|sterne|puntuaci[oó]n|valutazione)s?"
                     r"(?:$|[\s_\d-])", re.IGNORECASE)
_SPOKEN = re.compile(r"\d[^a-z]{0,5}(?:/|out of|of|von|sur|de|su|di|van|av|af)\s*\d|\bstars?\b|\bsternen?\b|étoiles?|"
                     r"estrellas?|stelle|estrelas?|gwiazd|звезд|つ星|星|점", re.IGNORECASE)
_STARS = re.compile("[★⭐]")
_SHARE_TEXT = re.compile(r"\s*\d{1,2}(?:[.,]\d)?\s*/\s*(?:5|6|10|20|100)\s*")
_DATE_HINT = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)|\bago\b|\bvor\b|\bhace\b|il y a|\bfa\b|há |atrás|geleden|temu|"
                        r"sedan|siden|sitten|önce|назад|тому|před|前|전|yesterday|today|gestern|heute|hier|ayer|ieri|ontem",
                        re.IGNORECASE)
_DATE_CLASS = re.compile(r"date|time|datum|fecha|posted|published|ago\b", re.IGNORECASE)
_REVIEW_WORD = re.compile(r"review|bewertung|rezension|kundenmeinung|opini[oó]n|opinie|\bavis\b|testimonial|"
                          r"recensi[oe]n|reseñ|avalia[cç]|beoordeling|отзыв|відгук|レビュー|口コミ|クチコミ|리뷰|评价|评论|評價|értékelés|"
                          r"yorum", re.IGNORECASE)
_FORUM_WORD = re.compile(r"(?:^|[\s_-])(?:forums?|threads?|topics?|discussions?)(?:$|[\s_-])", re.IGNORECASE)
_BARE_NUMBER = re.compile(r"[-+−]?\s*\d+(?:[.,]\d+)?")
_PRICE = re.compile(r"[$€£¥₹]\s?\d|\d\s?(?:€|£|zł|kr|USD|EUR|GBP)(?:\W|$)")

Element = Any


def guess_reviews(root: Element, setting: PageSetting) -> list[Review]:
    """The reviews that the page's best list of similar blocks seems to hold, each marked with source ``guessed``."""
    best: list[Block] = []
    for blocks in _lists(root):
        found = [block for element in blocks[:BLOCKS_LIMIT] if (block := _block(element, setting)) is not None]
        if len(found) > len(best) and _is_a_list_of_reviews(blocks, found):
            best = found
    return [guessed_review(block, setting) for block in best]


def _lists(root: Element) -> Iterator[list[Element]]:
    """Groups of siblings that look alike, most of which hold one rating. The outermost come first."""
    holders: Counter[Element] = Counter()
    for mark in _marks(root):
        for ancestor in (mark, *mark.iterancestors()):
            if ancestor.tag in _BLOCK_TAGS:
                holders[ancestor] += 1
    groups: dict[tuple[Element, str, str], list[Element]] = defaultdict(list)
    for element, marks in holders.items():
        parent = element.getparent()
        if parent is not None and marks <= 12:  # a block has one rating, perhaps with some of its aspects
            groups[parent, element.tag, _look(element)].append(element)
    lists = []
    for (parent, tag, look), rated in groups.items():
        if len(rated) >= FEWEST_BLOCKS:
            alike = [child for child in parent if child.tag == tag and _look(child) == look]
            if len(rated) >= SHARE * len(alike):
                lists.append(alike)
    lists.sort(key=len, reverse=True)
    return iter(lists)


def _look(element: Element) -> str:
    """What blocks of one list have in common: the first of their class names; the others number and colour them."""
    names = (element.get("class") or "").split()
    return re.sub(r"\d+", "0", names[0]) if names else ""


def _marks(root: Element) -> list[Element]:
    """The innermost elements that show a rating."""
    found: list[Element] = []
    inside: set[Element] = set()
    for element in root.iter("span", "div", "i", "p", "meter", "img", "svg", "td", "strong", "b", "em", "small", "dd",
                             "figure", "a", "time"):
        if len(found) >= MARKS_LIMIT:
            break
        if _seems_rated(element) and element.getparent() not in inside:
            inside.add(element)
            found.append(element)
        elif element.getparent() in inside:
            inside.add(element)
    return found


def _seems_rated(element: Element) -> bool:
    for name in ("aria-label", "title", "alt"):
        if (text := element.get(name)) and len(text) <= 80 and any(map(str.isdigit, text)) and _SPOKEN.search(text):
            return True
    if any(len(text) <= 60 and (_STARS.search(text) or _SHARE_TEXT.fullmatch(text)) for text in _own_texts(element)):
        return True
    names = element.get("class") or ""
    return bool(names) and _MARKED.search(names) is not None and len(element) <= 12


def _own_texts(element: Element) -> Iterator[str]:
    if element.text:
        yield element.text
    for child in element:
        if child.tail:
            yield child.tail


# --- one block -------------------------------------------------------------------------------------------------------


def _block(element: Element, setting: PageSetting) -> Block | None:
    """The block with its parts; None where one of them is missing."""
    rated = _rating_in(element)
    if rated is None:
        return None
    dated = _date_of(element, setting)
    if dated is None:
        return None
    worded = _body_of(element, [rated[0], dated[0]])
    if worded is None:
        return None
    return Block(element, rated[1], rated[0], dated[0], dated[1], *worded)


def _rating_in(block: Element) -> tuple[Element, Rating] | None:
    for part in block.iter():
        if isinstance(part.tag, str) and _seems_rated(part):
            for holder in (part, part.getparent()):  # of one star in a row of them, the row tells
                rating = rating_of(holder) if holder is not block or holder is part else None
                if rating is not None and rating.normalised is not None:
                    return holder, rating
    return None


def _date_of(element: Element, setting: PageSetting) -> tuple[Element, str] | None:
    for part in element.iter():
        if not isinstance(part.tag, str):
            continue
        is_time = part.tag == "time"
        text = " ".join((part.text or "").split()) if not is_time else element_text(part)
        raw = (part.get("datetime") or text) if is_time else text
        if not raw or len(raw) > 80 or not (is_time or _DATE_HINT.search(raw) or _DATE_CLASS.search(
                part.get("class") or "")):
            continue
        if parse_date(raw, setting.language, setting.base)[0] is not None:
            return part, raw
    return None


def _body_of(element: Element, taken: Sequence[Element]) -> tuple[Element, str] | None:
    """The part with most prose: words of its own, or of its inline parts and paragraphs."""
    best: tuple[int, Element, str] | None = None
    for part in element.iter("p", "div", "span", "td", "dd", "blockquote", "q", "section"):
        if part is element or any(part in (mark, *mark.iterancestors()) for mark in taken):
            continue
        if REPLY.search(part.get("class") or "") or any(
                REPLY.search(above.get("class") or "") for above in _up_to(part, element)):
            continue
        text = element_text(part)
        letters = sum(map(str.isalpha, text))
        if best is None or letters > best[0]:
            best = letters, part, text
    return None if best is None or best[0] < 1 else (best[1], best[2])


def _up_to(part: Element, block: Element) -> Iterator[Element]:
    for ancestor in part.iterancestors():
        if ancestor is block:
            return
        yield ancestor


# --- a list of them --------------------------------------------------------------------------------------------------


def _is_a_list_of_reviews(blocks: Sequence[Element], found: Sequence[Block]) -> bool:
    if len(found) < FEWEST_BLOCKS or len(found) < SHARE * len(blocks):
        return False
    prose = sum(sum(map(str.isalpha, block.body)) for block in found) / len(found)
    if prose < FEWEST_LETTERS or len({block.body for block in found}) < 0.5 * len(found):
        return False
    priced = sum(_PRICE.search(text_without_prose(block)) is not None for block in found)
    linked = sum(_is_headed_by_link(block.element) for block in found)
    if priced > 0.3 * len(found) or linked > 0.3 * len(found):
        return False
    is_called = _is_called_reviews(found[0].element)
    # Votes of comments and of a forum's posts look like ratings without a scale.
    unscaled = sum(_BARE_NUMBER.fullmatch(block.rating.raw or "") is not None for block in found)
    if not is_called and (unscaled > 0.3 * len(found) or _is_called_forum(found[0].element)):
        return False
    signs = 2 * is_called + (
        sum(author_of(block)[0] is not None for block in found) >= SHARE * len(found))
    return signs >= 2 or (signs == 1 and len(found) >= 3)


def _is_headed_by_link(element: Element) -> bool:
    """A heading that leads somewhere else: the block is about a thing with a page of its own."""
    for heading in element.iter("h1", "h2", "h3", "h4"):
        above = (part for part in _up_to(heading, element.getparent()) if part.tag == "a")
        for link in (*heading.iter("a"), *above):
            href = link.get("href") or ""
            if href and not href.startswith("#") and not _REVIEW_WORD.search(href):
                return True
    return False


def _is_called_forum(element: Element) -> bool:
    return any(_FORUM_WORD.search(f"{part.get('class') or ''} {part.get('id') or ''}")
               for part in (element, *element.iterancestors()) if part.tag not in {"body", "html"})


def _is_called_reviews(element: Element) -> bool:
    """By its own or an ancestor's name, or by the heading above."""
    for distance, part in enumerate((element, *element.iterancestors())):
        if part.tag in {"body", "html"} or distance > 6:
            return False
        if _REVIEW_WORD.search(f"{part.get('class') or ''} {part.get('id') or ''} {part.get('aria-label') or ''}"):
            return True
        for sibling in part.itersiblings(preceding=True):
            if sibling.tag in {"h1", "h2", "h3", "h4", "h5"}:
                if _REVIEW_WORD.search(element_text(sibling)[:200]):
                    return True
                break
    return False
