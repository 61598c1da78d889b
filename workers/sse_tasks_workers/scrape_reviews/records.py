"""The record of one review, and how raw values become it: text, numbers and ratings.

Nothing here guesses. What a page doesn't say, or says in a way that could mean two things, is ``None``.
"""

from __future__ import annotations

import math
import re
import types
import typing
from typing import Annotated, Any

import msgspec

__all__ = ["Rating", "Review", "clean_text", "frame_dtypes", "parse_count", "parse_rating"]

BODY_LIMIT = 100_000
"""Characters of one text that are kept. No honest review is longer; a hostile page's may be."""

_DateTime = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Review(msgspec.Struct, kw_only=True):
    """One review, as a page gives it. Every field but ``source``, ``page`` and ``page_url`` may be ``None``.

    ``rating``, ``rating_best`` and ``rating_worst`` are the page's own numbers. ``rating_normalised`` runs from 0 (the
    worst) to 1 (the best); for it alone, and only where the page names no scale, the scale from 1 to 5 is taken that
    schema.org and hReview document as their default. ``date`` is ISO 8601, padded to a whole day where ``date_raw``
    says less: ``date_precision`` (``second``, ``minute``, ``hour``, ``day``, ``week``, ``month``, ``year``) tells how
    much of it is real. ``source`` names the syntaxes that had it (``json-ld+microdata``), ``page`` counts from 1.
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
    verified: bool | None = None
    item: str | None = None
    url: str | None = None
    source: str = ""
    page: int = 1
    page_url: str = ""


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
    text = str(value)[:limit].replace("\r\n", "\n").replace("\r", "\n")
    text = _UNPRINTABLE.sub("", text)
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.strip() or None


class Rating(msgspec.Struct, frozen=True):
    """A rating's numbers; ``None`` where the page gives none."""

    value: float | None = None
    best: float | None = None
    worst: float | None = None
    raw: str | None = None

    @property
    def normalised(self) -> float | None:
        """0 to 1, by the documented default of 1 to 5 where no scale is given; None for what doesn't fit its scale."""
        if self.value is None:
            return None
        best = 5.0 if self.best is None else self.best
        worst = 1.0 if self.worst is None else self.worst
        if not worst < best or not worst <= self.value <= best:
            return None
        return round((self.value - worst) / (best - worst), 4)


_NUMBER = re.compile(r"[-+]?\d[\d\s.,'’\u00a0\u202f]*")
_STARS = re.compile(r"\s*([★⭐]+)([☆✩]*)\s*")
_BEST_FIRST = re.compile(r"つ星のうち|点中|점\s*중|満点中")  # "5つ星のうち4.0", "5点中4": the scale stands first


def parse_rating(value: object, best: object = None, worst: object = None) -> Rating:
    """A rating given as a number or as text: ``4``, ``"5,0"``, ``"4.5 out of 5"``, ``"8/10"``, ``"★★★☆☆"``.

    ``best`` and ``worst`` are what the page states beside it and win over what the text says.
    """
    raw = clean_text(value, 200)
    if raw is None:
        return Rating(best=_single(best), worst=_single(worst))
    number, told_best, told_worst = _rating_parts(raw)
    best_number, worst_number = _single(best), _single(worst)
    return Rating(
        value=number,
        best=told_best if best_number is None else best_number,
        worst=told_worst if worst_number is None else worst_number,
        raw=raw,
    )


def _rating_parts(raw: str) -> tuple[float | None, float | None, float | None]:
    if stars := _STARS.fullmatch(raw):
        return float(len(stars[1])), float(len(stars[1] + stars[2])) if stars[2] else None, None
    try:
        plain = float(raw)
    except ValueError:
        pass
    else:
        return (plain if math.isfinite(plain) else None), None, None
    numbers = [n for n in map(_decimal, _NUMBER.findall(raw)) if n is not None]
    if len(numbers) == 1:
        return (numbers[0], 100.0, 0.0) if raw.rstrip().endswith("%") else (numbers[0], None, None)
    if len(numbers) == 2:
        number, best = reversed(numbers) if _BEST_FIRST.search(raw) else numbers
        return (number, best, None) if number <= best else (None, None, None)
    return None, None, None


def _single(value: object) -> float | None:
    raw = clean_text(value, 40)
    numbers = _NUMBER.findall(raw) if raw else []
    return _decimal(numbers[0]) if len(numbers) == 1 else None


def _decimal(text: str) -> float | None:
    """A small number with a point or a comma as its decimal mark; None for what is too long to be a rating."""
    compact = re.sub(r"[\s'’\u00a0\u202f]", "", text).rstrip(".,")
    if len(compact) > 20 or compact.count(".") + compact.count(",") > 1:
        return None
    try:
        return float(compact.replace(",", "."))
    except ValueError:
        return None


def parse_count(value: object) -> int | None:
    """A whole number of things as pages write it: ``58``, ``"1.234 avis"``, ``"4,489"``, ``"44 000"``; else None.

    A point or comma followed by three digits separates thousands: a count has no fraction.
    """
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value.is_integer() and 0 <= value < 1e12 else None
    raw = clean_text(value, 100)
    numbers = _NUMBER.findall(raw) if raw else []
    if len(numbers) != 1:
        return None
    compact = re.sub(r"[\s'’\u00a0\u202f]", "", numbers[0]).rstrip(".,")
    if re.fullmatch(r"\+?\d{1,3}(?:[.,]\d{3})+|\+?\d{1,12}(?:[.,]0+)?", compact) is None:
        return None
    if re.fullmatch(r"\+?\d{1,3}(?:[.,]\d{3})+", compact):
        return int(re.sub(r"[.,]", "", compact))
    return int(re.split(r"[.,]", compact)[0])
