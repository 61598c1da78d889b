"""A rating in its many guises on an element: spoken words, titles, stars, class names, widths, lit icons.

What the element says in words (``aria-label``, ``title``, its text) wins over how it looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .markup import element_text
from .ratings import Rating, parse_rating

__all__ = ["rating_of"]

Element = Any

_SPOKEN = ("aria-label", "title", "alt")
_DATA = ("content", "data-rating", "data-score", "data-stars", "data-rating-value", "data-value", "data-rate")
_WORDS = re.compile(r"one|two|three|four|five", re.IGNORECASE)
_CLASS = re.compile(r"(?:[a-z]{1,12}[-_]{1,2})*(?:stars?|rating|rate|score)(?:[-_]{1,2}[a-z]{1,10})?[-_]{0,2}"
                    r"(\d)(?:[-_](5|half))?", re.IGNORECASE)
_LIT = re.compile(r"(?:^|[-_\s])(?:filled?|full|active|on|checked|selected|solid|lit|gold|yellow|fas)(?:$|[-_\s])",
                  re.IGNORECASE)
_UNLIT = re.compile(r"(?:^|[-_\s])(?:empty|o|off|outline|inactive|unfilled|far|gr[ae]y|blank|border|unlit)(?:$|[-_\s])",
                    re.IGNORECASE)
_STARS = re.compile(r"[★⭐][★⭐\ufe0f\s]*½?[☆✩\s]*")
_TEXT_LIMIT = 120


def rating_of(element: Element) -> Rating | None:
    """The rating that the element or something in it shows, None where it shows none or several things."""
    for text in _spoken(element):
        runs = _STARS.findall(text)
        rating = parse_rating(runs[0] if len(runs) == 1 else text)  # "Ann ★★★★☆ on May 3, 2024"
        if rating.value is not None:
            return rating
    return _icons(element) or _looks(element)


def _spoken(element: Element) -> Iterator[str]:
    for part in element.iter():
        for name in _SPOKEN:
            if (text := part.get(name)) and len(text) <= _TEXT_LIMIT:
                yield text
        for name in _DATA:
            if (text := part.get(name)) and len(text) <= 20:
                yield text
    text = element_text(element)
    if text and len(text) <= _TEXT_LIMIT:
        yield text


def _looks(element: Element) -> Rating | None:
    """From class names and from the width that a row of stars is cut to."""
    for part in element.iter():
        names = (part.get("class") or "").split()
        for name in names:
            if (match := _CLASS.fullmatch(name)) and int(match[1]) <= 5:
                return Rating(value=int(match[1]) + (0.5 if match[2] else 0.0), raw=name)
        if any("star" in name or "rating" in name for name in names):
            spelled = [name for name in names if _WORDS.fullmatch(name)]
            if len(spelled) == 1:  # class="star-rating Three"
                return parse_rating(spelled[0])
        if (style := part.get("style")) and "width" in style.lower():
            rating = parse_rating(style)
            if rating.value is not None and rating.best == 100.0:
                return rating
    return None


def _icons(element: Element) -> Rating | None:
    """Lit and unlit stars side by side, told apart by their class names."""
    for holder in element.iter():
        names = [child.get("class") or "" for child in holder]
        if not 4 <= len(names) <= 10 or not all("star" in name.lower() for name in names):
            continue
        half = [name for name in names if "half" in name.lower()]
        lit = [name for name in names if name not in half and _LIT.search(name)]
        unlit = [name for name in names if name not in half and name not in lit and _UNLIT.search(name)]
        if not (lit or unlit or half):
            return None  # all alike: a form's, or nobody can tell
        whole = len(lit) if lit else len(names) - len(half) - len(unlit)
        value = whole + 0.5 * len(half)
        return Rating(value=value, best=float(len(names)), raw=f"{value:g} of {len(names)} stars")
    return None
