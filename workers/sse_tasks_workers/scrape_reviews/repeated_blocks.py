"""Reviews on pages with neither structured data nor a profile: a list of blocks with a rating, a date and prose.

A guess, marked as such, and a careful one: better none than some that are none. A list of goods has prices and no
dates; of articles, no ratings; of films or books, headings that lead to each. So a list counts only if nearly all its
blocks have all three, few have a price or a heading that is a link, and something calls it reviews or names authors.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from lxml import etree

from .dates import parse_date
from .guessed_fields import HELPFUL, REPLY, Block, guessed_review, left_out, names_of
from .markup import element_text, given_id
from .rating_marks import is_row_of_stars, lit_stars, rating_of
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
_NO_MARKS = frozenset({"html", "head", "body", "script", "style", "path", "ul", "ol", "table", "tbody", "tr", "form"})
_BLOCK_TAGS = frozenset({"li", "div", "article", "section", "tr", "dd", "blockquote", "figure", "p"})

_MARKED = re.compile(r"(?:^|[\s_-])(?:stars?|rating|rate|score|note|bewertung|sterne|puntuaci[oó]n|valutazione)s?"
                     r"(?:$|[\s_\d-])", re.IGNORECASE)
_SPOKEN = re.compile(r"\d[^a-z]{0,5}(?:/|out of|of|von|sur|de|su|di|van|av|af)\s*\d|\bstars?\b|\bsternen?\b|étoiles?|"
                     r"estrellas?|stelle|estrelas?|gwiazd|звезд|つ星|星|점", re.IGNORECASE)
_STARS = re.compile("[★⭐]")
_OF = r"\s*(?:/|out of|of|von|sur|de|su|di|van|av|af|z|из)\s*(?:5|6|10|20|100)"
_STAR_WORD = r"\W{0,2}(?:stars?|bubbles?|sterne[n]?|étoiles?|estrellas?|stelle|estrelas?|gwiazdk?[iaę]?|gwiazdek)"
_SAID = re.compile(  # in words alone, for those who don't see the stars; but "5 points" are votes, "1 of 5" a place
    rf"(?:rated|rating|scored|bewertung|valoración|ocena)\W{{1,3}}\d{{1,2}}(?:[.,]\d)?(?:{_OF})?(?:{_STAR_WORD})?|"
    rf"\d{{1,2}}(?:[.,]\d)?(?:{_OF})?{_STAR_WORD}|\d{{1,2}}(?:[.,]\d)? out of (?:5|10)", re.IGNORECASE)
_SHARE_TEXT = re.compile(r"\s*\d{1,2}(?:[.,]\d)?\s*/\s*(?:5|6|10|20|100)\s*")
_DATE_HINT = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)|\bago\b|\bvor\b|\bhace\b|il y a|\bfa\b|há |atrás|geleden|temu|"
                        r"sedan|siden|sitten|önce|назад|тому|před|前|전|yesterday|today|gestern|heute|hier|ayer|ieri|ontem",
                        re.IGNORECASE)
_WRITTEN = re.compile(r"written|reviewed|posted|publi|submitted|geschrieben|verfasst|bewertet am|rezension|escrit|"
                      r"scritt", re.IGNORECASE)
_CHANGED = re.compile(r"edited|updated|bearbeitet|aktualisiert|modifi|edit(?:ado|é)|experience|visit|stay",
                      re.IGNORECASE)
_EXPERIENCED = re.compile(r"experience|\bvisit|\bstay|purchased|\bbought", re.IGNORECASE)
_DATE_CLASS = re.compile(r"date|time|datum|fecha|posted|published|ago\b", re.IGNORECASE)
_REVIEW_WORD = re.compile(r"review|bewertung|rezension|kundenmeinung|opini[oó]n|opinie|\bavis\b|testimonial|"
                          r"recensi[oe]n|reseñ|avalia[cç]|beoordeling|отзыв|відгук|レビュー|口コミ|クチコミ|리뷰|评价|评论|評價|értékelés|"
                          r"yorum", re.IGNORECASE)
_FORUM_WORD = re.compile(r"(?:^|[\s_-])(?:forums?|threads?|topics?|discussions?)(?:$|[\s_-])", re.IGNORECASE)
_BARE_NUMBER = re.compile(r"[-+−]?\s*\d+(?:[.,]\d+)?(?:\s*(?:points?|pts?|votes?|likes?|upvotes?|punkte))?",
                          re.IGNORECASE)
_PRICE = re.compile(r"[$€£¥₹]\s?\d|\d\s?(?:€|£|zł|kr|USD|EUR|GBP)(?:\W|$)")

Element = Any


def guess_reviews(root: Element, setting: PageSetting) -> list[Review]:
    """The reviews that the page's best list of similar blocks seems to hold, each marked with source ``guessed``."""
    best: list[Block] = []
    lit = lit_stars(root)
    for blocks in _lists(root):
        found = [block for element in blocks[:BLOCKS_LIMIT] if (block := _block(element, setting, lit)) is not None]
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
    for element in root.iter(etree.Element):
        if len(found) >= MARKS_LIMIT:
            break
        if element.tag in _NO_MARKS:
            continue
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
    if any(len(text) <= 60 and (_STARS.search(text) or _SHARE_TEXT.fullmatch(text) or _SAID.fullmatch(text.strip()))
           for text in _own_texts(element)):
        return True
    names = names_of(element)
    return (bool(names) and _MARKED.search(names) is not None and len(element) <= 12) or is_row_of_stars(element)


def _own_texts(element: Element) -> Iterator[str]:
    if element.text:
        yield element.text
    for child in element:
        if child.tail:
            yield child.tail


# --- one block -------------------------------------------------------------------------------------------------------


def _block(element: Element, setting: PageSetting, lit: Collection[str]) -> Block | None:
    """The block with its parts; None where one of them is missing."""
    rated = _rating_in(element, lit)
    if rated is None:
        return None
    others = left_out(element)
    dated = _date_of(element, setting, others) or _date_of(element, setting, ())
    if dated is None:
        return None
    taken = [rated[0], dated[0]]
    answered = others | _other_voices(element, taken, setting)
    worded = _body_of(element, taken, answered) or _body_of(element, taken, others)
    if worded is None:
        return None
    return Block(element, rated[1], rated[0], dated[0], dated[1], *worded, answered)


def _rating_in(block: Element, lit: Collection[str]) -> tuple[Element, Rating] | None:
    for part in block.iter():
        if isinstance(part.tag, str) and _seems_rated(part):
            for holder in (part, part.getparent()):  # of one star in a row of them, the row tells
                rating = rating_of(holder, lit) if holder is not block or holder is part else None
                # A bare "9.0" is one too, if nobody knows of how many; a list's scale isn't told by its lowest.
                if rating is not None and (rating.normalised is not None or (
                        rating.best is None and 5 < (rating.value or 0) <= 10
                        and (_MARKED.search(names_of(part)) or not _BARE_NUMBER.fullmatch(rating.raw or "")))):
                    return holder, rating
    return None


def _date_of(element: Element, setting: PageSetting, others: Collection[Element]) -> tuple[Element, str] | None:
    """The first date, but rather that of the writing than that of what is written about."""
    found: dict[int, tuple[Element, str]] = {}
    for part in element.iter():
        if not isinstance(part.tag, str) or part in others:
            continue
        is_time = part.tag == "time"
        texts = [part.get("datetime") or element_text(part)] if is_time else _own_texts(part)
        for raw in (" ".join(text.split()) for text in texts):
            if not raw or len(raw) > 80 or not (is_time or _DATE_HINT.search(raw) or _DATE_CLASS.search(
                    names_of(part))):
                continue
            date, precision = parse_date(raw, setting.language, setting.base)
            if date is None:
                continue
            if _WRITTEN.search(raw):
                return part, raw
            is_vague = precision in {"month", "year"} and date[:4] in raw  # "Apr 2024": when somebody was there
            found.setdefault(is_vague or _EXPERIENCED.search(element_text(part)[:80]) is not None, (part, raw))
    return found.get(False) or found.get(True)


def _other_voices(element: Element, taken: Sequence[Element], setting: PageSetting) -> frozenset[Element]:
    """The parts with a date of their own: an answer, with who gave it."""
    ours = {above for mark in taken for above in (mark, *mark.iterancestors())}
    voices: set[Element] = set()
    for part in element.iter():
        text = " ".join((part.text or "").split()) if isinstance(part.tag, str) and part not in voices else ""
        if (6 <= len(text) <= 40 and _DATE_HINT.search(text) and not _CHANGED.search(text) and part not in ours
                and parse_date(text, setting.language, setting.base)[1] not in {None, "month", "year"}):
            voice = part
            while voice.getparent() not in ours:
                voice = voice.getparent()
            voices.update(voice.iter())
    return frozenset(voices)


def _body_of(element: Element, taken: Sequence[Element], others: Collection[Element]) -> tuple[Element, str] | None:
    """The part with most prose: words of its own, or of its inline parts and paragraphs."""
    best: tuple[int, Element, str] | None = None
    for part in element.iter("p", "div", "span", "td", "dd", "blockquote", "q", "section"):
        if part is element or part in others or any(part in (mark, *mark.iterancestors()) for mark in taken):
            continue
        if REPLY.search(names_of(part)) or any(REPLY.search(names_of(above)) for above in _up_to(part, element)):
            continue
        text = element_text(part, others)
        letters = sum(map(str.isalpha, text))
        if (best is None or letters > best[0]) and not HELPFUL.match(text):
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
    priced = sum(_PRICE.search(block.around) is not None for block in found)
    linked = sum(_is_headed_by_link(block.element) for block in found)
    if priced > 0.3 * len(found) or linked > 0.3 * len(found):
        return False
    is_called = _is_called_reviews(found[0].element)
    # Votes of comments and of a forum's posts look like ratings without a scale.
    unscaled = sum(_BARE_NUMBER.fullmatch(block.rating.raw or "") is not None for block in found)
    if not is_called and (unscaled > 0.3 * len(found) or _is_called_forum(found[0].element)):
        return False
    signs = 2 * is_called + (
        sum(block.author[0] is not None for block in found) >= SHARE * len(found))
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
    """By its own or an ancestor's name, by the heading above, or by a number that is called a review's."""
    if any(given_id(part) for part in element.iter()):
        return True
    for distance, part in enumerate((element, *element.iterancestors())):
        if part.tag in {"body", "html"} or distance > 6:
            return False
        if _REVIEW_WORD.search(f"{names_of(part)} {part.get('id') or ''} {part.get('aria-label') or ''}"):
            return True
        for sibling in part.itersiblings(preceding=True):
            if sibling.tag in {"h1", "h2", "h3", "h4", "h5"}:
                if _REVIEW_WORD.search(element_text(sibling)[:200]):
                    return True
                break
    return False
