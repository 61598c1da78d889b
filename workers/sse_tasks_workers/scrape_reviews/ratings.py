"""Ratings and counts as pages write them, to numbers. What could be two numbers is none.

Read are plain numbers (``4``, ``"5,0"``), shares (``"8.4/10"``, ``"5,0 de 5"``, ``"5つ星のうち4.0"``), per cent, the
width that a row of stars is cut to (``"width: 80%"``), stars themselves (``"★★★★☆"``, ``"★★★½"``) and number words
(``"four out of five stars"``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec

from .records import clean_text, plain_digits

__all__ = ["Rating", "parse_count", "parse_rating"]


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
_SMALL = re.compile(r"[-+]?\d+(?:[.,]\d+)*")  # no rating needs blanks between its digits
_STARS = re.compile(r"([★⭐🌟]{0,10})([½⯪⯨]?)([☆✩✰⚝]{0,10})")
_BEST_FIRST = re.compile(r"つ星のうち|点中|점\s*중|満点中")  # "5つ星のうち4.0", "5点中4": the scale stands first
# "4 от 5": with whatever word between. But in "4.5 (120)" and "4 stars, 12 votes" the second number is no scale.
_SCALE_LAST = re.compile(r"(?<![\d.,(])(?:5|6|10|20|100)(?:[.,]0+)?[^\w)]*$")
_DECIMAL = r"(\d{1,3}(?:[.,]\d{1,4})?)"
_SHARE = re.compile(
    rf"(?<![\d.,]){_DECIMAL}\s*(?:\w{{1,12}}\s+)?"
    r"(?:/|out\s+of|of|von|aus|de|sur|su|di|van|av|af|z|ze|из|із|od|din|από|üzerinden|dari|trên|จาก|من|מתוך|में\s+से)"
    rf"\s*(?:max\.?\s*)?{_DECIMAL}(?![\d.,]*\d)", re.IGNORECASE,
)
_WIDTH = re.compile(r"\s*(?:[\w-]+\s*:[^;:]{0,80};\s*){0,10}width\s*:\s*(\d{1,3}(?:\.\d{1,10})?)\s*%", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER_WORDS = {
    word: number for number, words in enumerate((
        "zero null nul cero zéro noll", "one ein eins eine un une uno una um uma een één jeden один бир en ett",
        "two zwei deux dos due dois duas twee dwa dwie два iki två to kaksi",
        "three drei trois tres tre três drie trzy три üç kolme",
        "four vier quatre cuatro quattro quatro cztery четыре dört fyra fire neljä",
        "five fünf cinq cinco cinque vijf pięć пять beş fem viisi", "six sechs seis sei zes sześć шесть altı sex seks",
        "seven sieben sept siete sette sete zeven siedem семь yedi sju syv", "eight acht huit ocho otto oito osiem "
        "восемь sekiz åtta otte åtte", "nine neun neuf nueve nove negen dziewięć девять dokuz nio ni",
        "ten zehn dix diez dieci dez tien dziesięć десять on tio ti",
    )) for word in words.split()
}
_ONE_PERSON = re.compile(r"(?:a\s+)?(?:one|eine?|une?|una|uma|een|en|jedna)\s+"
                         r"(?:person|personne|persona|pessoa|persoon|osoba)\b", re.IGNORECASE)
_PLAIN_WORDS = frozenset({"to", "en", "on", "ni", "ti", "un", "um", "sei"})
"""Number words that are other words as well: they count only where nothing else in the text is a number."""


def parse_rating(value: object, best: object = None, worst: object = None, *,
                 words: Mapping[str, float] | None = None) -> Rating:
    """A rating given as a number or as text.

    ``best`` and ``worst`` are what the page states beside it and win over what the text says. ``words`` are a site's
    own ("Excellent" = 5), compared without regard to case and outer blanks.
    """
    raw = clean_text(value, 200)
    if raw is None:
        return Rating(best=_single(best), worst=_single(worst))
    own = None if words is None else {word.casefold().strip(): n for word, n in words.items()}.get(raw.casefold())
    number, told_best, told_worst = (own, None, None) if own is not None else _parts(plain_digits(raw))
    best_number, worst_number = _single(best), _single(worst)
    return Rating(
        value=number,
        best=told_best if best_number is None else best_number,
        worst=told_worst if worst_number is None else worst_number,
        raw=raw,
    )


_Parts = tuple[float | None, float | None, float | None]
_NOTHING: _Parts = (None, None, None)


def _parts(raw: str) -> _Parts:
    """Value, best and worst."""
    if stars := _of_stars(raw):
        return stars
    try:
        plain = float(raw)
    except ValueError:
        pass
    else:
        return (plain, None, None) if math.isfinite(plain) else _NOTHING
    if width := _WIDTH.match(raw):
        return (float(width[1]), 100.0, 0.0) if float(width[1]) <= 100 else _NOTHING
    return _of_numbers(raw) or _of_numbers(_spelled_out(raw)) or _NOTHING


def _of_stars(raw: str) -> _Parts | None:
    match = _STARS.fullmatch(re.sub(r"[\s\ufe0e\ufe0f]", "", raw))
    if match is None or not (match[1] or match[2]):
        return None
    value = len(match[1]) + (0.5 if match[2] else 0.0)
    return value, float(math.ceil(value) + len(match[3])) if match[3] else None, None


def _of_numbers(raw: str) -> _Parts | None:
    """None where the text doesn't say one thing in digits."""
    shares = _SHARE.findall(raw)
    numbers = [n for n in map(_decimal, _SMALL.findall(raw)) if n is not None]
    if len(numbers) == 2 and _BEST_FIRST.search(raw):
        numbers.reverse()
    elif shares:
        if len(shares) > 1:
            return None
        numbers = [n for n in map(_decimal, shares[0]) if n is not None]
    if len(numbers) == 1 and not _names_numbers(raw):
        return (numbers[0], 100.0, 0.0) if raw.rstrip().endswith("%") else (numbers[0], None, None)
    if len(numbers) == 2 and (shares or _BEST_FIRST.search(raw) or _SCALE_LAST.search(raw)):
        return (numbers[0], numbers[1], None) if numbers[0] <= numbers[1] else None
    return None


def _names_numbers(raw: str) -> bool:
    return any(word in _NUMBER_WORDS and word not in _PLAIN_WORDS for word in _WORD.findall(raw.casefold()))


def _spelled_out(raw: str) -> str:
    """Number words as digits."""
    lower = raw.casefold()
    sure = _names_numbers(raw) or any(c.isdigit() for c in raw)

    def digits(match: re.Match[str]) -> str:
        word = match[0]
        return str(_NUMBER_WORDS[word]) if word in _NUMBER_WORDS and not (sure and word in _PLAIN_WORDS) else word

    return _WORD.sub(digits, lower)


def _single(value: object) -> float | None:
    raw = plain_digits(clean_text(value, 40) or "")
    numbers = _NUMBER.findall(raw)
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
    raw = plain_digits(clean_text(value, 100) or "")
    numbers = _NUMBER.findall(raw)
    if not numbers and _ONE_PERSON.match(raw):
        return 1
    if len(numbers) != 1:
        return None
    compact = re.sub(r"[\s'’\u00a0\u202f]", "", numbers[0]).rstrip(".,")
    if re.fullmatch(r"\+?\d{1,3}(?:[.,]\d{3})+|\+?\d{1,12}(?:[.,]0+)?", compact) is None:
        return None
    if re.fullmatch(r"\+?\d{1,3}(?:[.,]\d{3})+", compact):
        return int(re.sub(r"[.,]", "", compact))
    return int(re.split(r"[.,]", compact)[0])
