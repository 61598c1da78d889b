"""The fields of a review that was guessed: what in a block is plainly its author, title and the rest."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lxml import etree

from .dates import parse_date
from .languages import decide_language
from .markup import absolute, element_text, given_id
from .ratings import Rating, parse_count
from .records import Review, clean_text, web_address
from .setting import PageSetting

__all__ = ["HELPFUL", "REPLY", "Block", "guessed_review", "left_out", "names_of"]

Element = Any

REPLY = re.compile(r"reply|response|answer|antwort|r[eé]ponse|respuesta|risposta", re.IGNORECASE)
"""Names of parts that are an answer to the review."""

_AUTHOR = re.compile(r"(?:^|[\s_-])(?:author|reviewer|user|username|nickname|customer|byline|autor|auteur|name|profile"
                     r"|verfasser|autore)(?:$|[\s_-])|(?-i:[a-z](?:Author|Reviewer|User|Customer|Nick)(?:Name|name)?"
                     r"(?:$|[\s_-]))", re.IGNORECASE)
_PROFILE_LINK = re.compile(r"/(?:user|profile|member|reviewer)s?(?:[/_?-]|$)", re.IGNORECASE)
_TITLE = re.compile(r"title|headline|heading|subject|summary|titel|titre", re.IGNORECASE)
_BY = re.compile(r"(?:(?:review(?:ed)?|written|posted|geschrieben|verfasst)\s+)?(?:by|von|par|por|da|door|av|af|od)\b:?"
                 r"(?:\s+(\S.{0,60}))?", re.IGNORECASE)
_VERIFIED = re.compile(r"verified (?:purchase|buyer|customer|owner)|verifizierter kauf|achat vérifié|compra verificada|"
                       r"acquisto verificato|geverifieerde aankoop|zweryfikowany zakup", re.IGNORECASE)


_NAMING = frozenset({"class", "data-testid", "data-test-id", "data-test", "data-qa", "data-hook", "data-automation",
                     "itemprop", "rel"})
_ANSWERED = re.compile(
    r"(?:response|reply|answer|comment) (?:from|by|of)\b.*|business owner|"
    r"(?:owner|developer|seller|manager|management|host|merchant|business|company|shop|store|property)(?:['’]s)? "
    r"(?:response|reply|answer|comment)\b.*|"
    r".{1,40} (?:replied|responded|antwortete|a répondu|respondió|ha risposto)\b.*|"
    r"(?:antwort|kommentar) (?:von|vom|des|der)\b.*|réponse d[eu]\b.*|respuesta del?\b.*|risposta d[aei]l?\b.*|"
    r"resposta d[aeo]\b.*|reactie van\b.*|odpowiedź .*|ответ .*|.*からの返信|ショップからのコメント.*", re.IGNORECASE)


HELPFUL = re.compile(
    r"(?<![\d.,])(\d[\d.,]*) (?:people|persons?|users?|customers?|personen|personas?|personnes?|persone) "
    r"(?:found|fand|fanden|ont trouvé|a trouvé|encontraron|encontró|hanno trovato)\b", re.IGNORECASE)
"""How many found the review helpful."""


def names_of(element: Element) -> str:
    """What the page calls the element, for its styles, its scripts and its tests."""
    return " ".join([value for name, value in element.items() if name in _NAMING])


def left_out(block: Element) -> frozenset[Element]:
    """What in a block is none of the reviewer's words: buttons, and all from where the owner's answer is announced."""
    parts = list(block.iter(etree.Element))
    start = next((place for place, part in enumerate(parts) if place and part.tag != "button" and _ANSWERED.fullmatch(
        " ".join((part.text or "").split())[:80])), len(parts))
    return frozenset([*parts[start:], *(part for part in parts[1:] if part.tag == "button")])


@dataclass
class Block:
    """One block of a list, and where its parts stand."""

    element: Element
    rating: Rating
    rating_element: Element
    date_element: Element
    date_raw: str
    body_element: Element
    body: str
    left_out: Collection[Element]

    @cached_property
    def author(self) -> tuple[str | None, str | None]:
        """Name and address."""
        return _author_of(self)

    @cached_property
    def around(self) -> str:
        """The block's text but its prose: a review may well speak of a price."""
        return element_text(self.element, [self.body_element])


def _author_of(block: Block) -> tuple[str | None, str | None]:
    """Name and address. From a link or element that is named so, else from "by Ann"."""
    parts = _parts(block)
    for part in parts:
        if _is_named_author(part):
            if not (part.text or "").strip():  # the name's own place in what holds it
                part = next((inner for inner in part.iter() if inner is not part and _is_named_author(inner)
                             and (inner.text or "").strip()), part)
            text = _words(part, block)
            text = match[1] if (match := _BY.fullmatch(text)) and match[1] else text
            if len(text) <= 60 and any(map(str.isalpha, text)) and part is not block.date_element:
                link = part if part.tag == "a" else next(part.iter("a"), None)
                return clean_text(text), link.get("href") if link is not None else None
    for part in parts:
        if match := _BY.fullmatch((part.text or "").strip()):
            following = part if match[1] else part[0] if len(part) else part.getnext()
            text = match[1] or (_words(following, block) if following is not None else "")
            if 0 < len(text) <= 60:
                return clean_text(text), following.get("href") if following.tag == "a" else None
    return None, None


def _parts(block: Block) -> list[Element]:
    """Those that may be the author's: none of the prose, none that holds it, no answer."""
    taken = {*block.body_element.iter(), *block.body_element.iterancestors(), *block.left_out}
    return [part for part in block.element.iter(etree.Element) if part not in taken]


def _is_named_author(part: Element) -> bool:
    names = names_of(part)
    if part.tag == "a" and _PROFILE_LINK.search(part.get("href") or ""):
        return True
    return _AUTHOR.search(names) is not None and not REPLY.search(names)


def _words(part: Element, block: Block) -> str:
    """The first line, without what is said of the author."""
    date = block.date_element
    others = {block.rating_element, *(inner for inner in part.iter() if inner is not part and _is_named_author(inner)
                                      and (part.text or "").strip())}
    if date is not part and date not in part.iterancestors():
        others.add(date)
    return element_text(part, [*others, *block.left_out]).split("\n")[0].strip(" ,·|–-")


def _title_of(block: Block) -> str | None:
    for part in block.element.iter():
        if part is block.body_element or not isinstance(part.tag, str) or part in block.left_out:
            continue
        if part.tag in {"h2", "h3", "h4", "h5", "h6"} or _TITLE.search(names_of(part)):
            text = element_text(part, [block.rating_element, block.date_element])
            if text and len(text) <= 200:
                return clean_text(text)
    return None


def guessed_review(block: Block, setting: PageSetting) -> Review:
    """The record of a block."""
    author, link = block.author
    title = _title_of(block)
    body = clean_text(block.body)
    language, language_source = decide_language(block.element.get("lang"), setting.language, title, body)
    date, precision = parse_date(block.date_raw, setting.language, setting.base)
    return Review(
        id=next((name for part in block.element.iter() if (name := given_id(part))), None),
        author=author if author != title else None,
        author_url=web_address(absolute(link, setting.address)) if link else None,
        rating=block.rating.value,
        rating_raw=block.rating.raw,
        rating_best=block.rating.best,
        rating_worst=block.rating.worst,
        rating_normalised=block.rating.normalised,
        date=date,
        date_raw=clean_text(block.date_raw, 200),
        date_precision=precision,
        title=title,
        body=body,
        language=language,
        language_source=language_source,
        verified=True if _VERIFIED.search(block.around) else None,
        helpful_votes=parse_count(match[1]) if (match := HELPFUL.search(block.around)) else None,
        source="guessed",
        page=setting.number,
        page_url=setting.url,
    )
