"""The fields of a review that was guessed: what in a block is plainly its author, title and the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .dates import parse_date
from .languages import decide_language
from .markup import absolute, element_text, given_id
from .ratings import Rating
from .records import Review, clean_text, web_address
from .setting import PageSetting

__all__ = ["REPLY", "Block", "author_of", "guessed_review", "text_without_prose"]

Element = Any

REPLY = re.compile(r"reply|response|answer|antwort|r[eé]ponse|respuesta|risposta", re.IGNORECASE)
"""Names of parts that are an answer to the review."""

_AUTHOR = re.compile(r"(?:^|[\s_-])(?:author|reviewer|user|username|nickname|customer|byline|autor|auteur|name|profile"
                     r"|verfasser|autore)(?:$|[\s_-])", re.IGNORECASE)
_TITLE = re.compile(r"title|headline|heading|subject|summary|titel|titre", re.IGNORECASE)
_BY = re.compile(r"(?:by|von|par|por|da|door|av|af|od)\s+(\S.{0,60})", re.IGNORECASE)
_VERIFIED = re.compile(r"verified (?:purchase|buyer|customer|owner)|verifizierter kauf|achat vérifié|compra verificada|"
                       r"acquisto verificato|geverifieerde aankoop|zweryfikowany zakup", re.IGNORECASE)


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


def text_without_prose(block: Block) -> str:
    """The block's text but its prose: a review may well speak of a price."""
    return element_text(block.element, [block.body_element])


def author_of(block: Block) -> tuple[str | None, str | None]:
    """Name and address. From a link or element that is named so, else from "by Ann"."""
    body = set(block.body_element.iter())
    for part in block.element.iter():
        if not isinstance(part.tag, str) or part in body:
            continue
        names = f"{part.get('class') or ''} {part.get('rel') or ''} {part.get('itemprop') or ''}"
        if _AUTHOR.search(names) and not REPLY.search(names):
            text = element_text(part, [block.rating_element]).split("\n")[0]
            text = match[1] if (match := _BY.fullmatch(text)) else text
            if 0 < len(text) <= 60 and not text.isdigit() and part is not block.date_element:
                link = part if part.tag == "a" else next(part.iter("a"), None)
                return clean_text(text), link.get("href") if link is not None else None
    for part in block.element.iter():
        if isinstance(part.tag, str) and part not in body and (match := _BY.fullmatch((part.text or "").strip())):
            return clean_text(match[1]), part.get("href") if part.tag == "a" else None
    return None, None


def _title_of(block: Block) -> str | None:
    for part in block.element.iter():
        if part is block.body_element or not isinstance(part.tag, str):
            continue
        if part.tag in {"h2", "h3", "h4", "h5", "h6"} or _TITLE.search(part.get("class") or ""):
            text = element_text(part, [block.rating_element, block.date_element])
            if text and len(text) <= 200:
                return clean_text(text)
    return None


def guessed_review(block: Block, setting: PageSetting) -> Review:
    """The record of a block."""
    author, link = author_of(block)
    title = _title_of(block)
    body = clean_text(block.body)
    language, language_source = decide_language(block.element.get("lang"), setting.language, title, body)
    date, precision = parse_date(block.date_raw, setting.language, setting.base)
    return Review(
        id=given_id(block.element),
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
        verified=True if _VERIFIED.search(text_without_prose(block)) else None,
        source="guessed",
        page=setting.number,
        page_url=setting.url,
    )
