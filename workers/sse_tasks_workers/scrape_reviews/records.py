"""The record of one review, and the text in it.

Nothing here guesses. What a page doesn't say, or says in a way that could mean two things, is ``None``.
"""

from __future__ import annotations

import html
import math
import re
import types
import typing
from typing import Annotated, Any, Literal

import msgspec

__all__ = ["Review", "clean_text", "frame_dtypes", "plain_digits", "web_address", "without_markup"]

BODY_LIMIT = 100_000
"""Characters of one text that are kept. No honest review is longer; a hostile page's may be."""

_DateTime = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Review(msgspec.Struct, kw_only=True):
    """One review, as a page gives it. Every field but ``source``, ``page`` and ``page_url`` may be ``None``.

    ``rating``, ``rating_best`` and ``rating_worst`` are the page's own numbers. ``rating_normalised`` runs from 0 (the
    worst) to 1 (the best); for it alone, and only where the page names no scale, the scale from 1 to 5 is taken that
    schema.org and hReview document as their default. ``date`` is ISO 8601, padded to a whole day where ``date_raw``
    says less: ``date_precision`` (``second``, ``minute``, ``hour``, ``day``, ``week``, ``month``, ``year``) tells how
    much of it is real. ``language_source`` tells whether the review itself is marked with ``language`` (``stated``),
    its words are plainly of it (``detected``), or it is just the page's (``page``). ``helpful_votes`` counts those who
    found it helpful, ``reply`` is what the owner or shop answered, ``images`` are addresses, ``variant`` is what was
    bought.
    ``source`` names the syntaxes that had it (``json-ld+microdata``); ``guessed`` was found by its looks alone.
    ``page`` counts from 1; ``asked_url`` is the address of the input that led to it.
    """

    id: str | None = None
    author: str | None = None
    author_url: str | None = None
    rating: float | None = None
    rating_raw: str | None = None
    rating_best: float | None = None
    rating_worst: float | None = None
    rating_normalised: float | None = None
    date: _DateTime | None = None
    date_raw: str | None = None
    date_precision: str | None = None
    title: str | None = None
    body: str | None = None
    language: str | None = None
    language_source: Literal["stated", "detected", "page"] | None = None
    verified: bool | None = None
    helpful_votes: int | None = None
    reply: str | None = None
    reply_author: str | None = None
    reply_date: _DateTime | None = None
    images: list[str] | None = None
    variant: str | None = None
    item: str | None = None
    url: str | None = None
    source: str = ""
    page: int = 1
    page_url: str = ""
    asked_url: str = ""


def frame_dtypes() -> dict[str, str]:
    """The pandas dtype of each column of a frame of reviews, derived from ``Review``'s annotations."""
    hints = typing.get_type_hints(Review, include_extras=True)
    return {name: _dtype(hints[name]) for name in Review.__struct_fields__}


def _dtype(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is types.UnionType or origin is typing.Union:
        return _dtype(next(part for part in typing.get_args(hint) if part is not type(None)))
    if origin is Annotated:
        return "datetime64[ns, UTC]" if hint == _DateTime else _dtype(typing.get_args(hint)[0])
    if origin is Literal:
        return "string"
    if origin is list:
        return "object"
    return {str: "string", float: "Float64", int: "Int64", bool: "boolean"}[hint]


# Control characters but tab and newline, lone surrogates (no UTF-8 holds them), and the two non-characters.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(value: object, limit: int = BODY_LIMIT) -> str | None:
    """``value`` as valid Unicode without control characters and outer blanks, or None where nothing is left.

    The text is never interpreted: markup, scripts and formulas in it stay the characters that they are.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and value.bit_length() > 200:  # no id or count; above 4,300 digits it has no text at all
        return None
    text = str(value)[:limit].replace("\r\n", "\n").replace("\r", "\n")
    text = _UNPRINTABLE.sub("", text)
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.strip() or None


_FORMATTING = re.compile(r"<(/?)(p|br|div|span|b|i|em|strong|u|ul|ol|li)(?:\s(?:class|style|dir|lang)=[^<>]{0,200})?"
                         r"\s?/?>", re.IGNORECASE)
_ANY_TAG = re.compile(r"</?[a-z][^<>]{0,300}>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:amp|quot|lt|gt|apos|nbsp|[lr][sd]quo|hellip|#\d{2,6}|#x[0-9a-f]{2,5});", re.IGNORECASE)


def without_markup(value: object) -> object:
    """Of a text in data, where people's words stand as HTML: what is read there. It is left alone where any of its
    tags does more than to format words."""
    if not isinstance(value, str) or not ("<" in value or "&" in value):
        return value
    text = value[: 2 * BODY_LIMIT]
    if all(_FORMATTING.fullmatch(tag) for tag in _ANY_TAG.findall(text)):
        plain = _FORMATTING.sub(lambda tag: "\n" if tag[2].lower() in {"p", "br", "div", "li"} else "", text)
        if plain != text:
            text = "\n".join(line.strip() for line in plain.split("\n") if line.strip())
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


_DIGITS = {ord(zero) + n: str(n) for zero in "٠۰०০๐０" for n in range(10)} | {ord("٫"): ".", ord("٬"): ","}


def plain_digits(text: str) -> str:
    """``text`` with Arabic, Persian, Devanagari, Bengali, Thai and wide digits as 0 to 9, and with Arabic's decimal and
    thousands marks as point and comma."""
    return text if text.isascii() else text.translate(_DIGITS)


def web_address(value: object) -> str | None:
    """``value`` if it is an address that may be shown as a link; None for what would run (``javascript:``)."""
    text = clean_text(value, 2000)
    return text if text and not re.match(r"(?i)\s*(?:javascript|data|vbscript)\s*:", text) else None
