"""A rating in its many guises on an element: spoken words, titles, stars, class names, widths, lit icons.

What the element says in words (``aria-label``, ``title``, its text) wins over how it looks.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice, pairwise
from typing import Any

from .markup import element_text
from .ratings import Rating, parse_rating

__all__ = ["is_row_of_stars", "lit_stars", "rating_of"]

Element = Any

_SPOKEN = ("aria-label", "title", "alt")
_DATA = ("content", "data-rating", "data-score", "data-stars", "data-rating-value", "data-value", "data-rate")
_WORDS = re.compile(r"one|two|three|four|five", re.IGNORECASE)
_CLASS = re.compile(r"(?:[a-z]{1,12}[-_]{1,2})*(?:stars?|rating|rate|score)(?:[-_]{1,2}[a-z]{1,10})?[-_]{0,2}"
                    r"(\d)(?:[-_](5|half))?", re.IGNORECASE)
_LIT = re.compile(r"(?:^|[-_\s])(?:filled?(?!-current)|full|active|on|checked|selected|solid|lit|gold|yellow|amber|fas)"
                  r"(?:$|[-_\s])", re.IGNORECASE)
_UNLIT = re.compile(r"(?:^|[-_\s])(?:empty|o|off|outline|inactive|unfilled|far|gr[ae]y|blank|border|unlit)(?:$|[-_\s])",
                    re.IGNORECASE)
_PLACES = re.compile(r"dot|page|pagin|slide|step|bullet|indicator|progress", re.IGNORECASE)
_STARS = re.compile(r"[★⭐][★⭐\ufe0f\s]*½?[☆✩\s]*")
_TEXT_LIMIT = 120


def rating_of(element: Element, lit: Collection[str] = ()) -> Rating | None:
    """The rating that the element or something in it shows, None where it shows none or several things. ``lit``: how
    lit stars look on this page, as ``lit_stars`` tells."""
    for text in _spoken(element):
        runs = _STARS.findall(text)
        rating = parse_rating(runs[0] if len(runs) == 1 else text)  # "Ann ★★★★☆ on May 3, 2024"
        if rating.value is not None:
            return rating
    return _icons(element) or _looks(element) or _all_lit(element, lit)


def _spoken(element: Element) -> Iterator[str]:
    for part in element.iter():
        for name in _SPOKEN:
            if (text := part.get(name)) and len(text) <= _TEXT_LIMIT:
                yield text
        for name in _DATA:
            if (text := part.get(name)) and len(text) <= 20:
                yield text
        if part.tag == "title" and part.text and len(part.text) <= _TEXT_LIMIT:  # a drawing's
            yield part.text
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
    """Lit and unlit stars side by side, told apart by their looks."""
    for holder in element.iter():
        if row := _row(holder):
            return _counted(row)
    return None


def _all_lit(element: Element, lit: Collection[str]) -> Rating | None:
    """A row of stars that all look as lit ones do elsewhere on the page."""
    row = next((row for holder in element.iter() if (row := _row(holder))), [])
    return _of_row(len(row), row) if row and all(look in lit for look in row) else None


def is_row_of_stars(element: Element) -> bool:
    return bool(_row(element))


def lit_stars(root: Element) -> frozenset[str]:
    """How lit stars look: those that come first in rows in which not all look alike."""
    rows = (row for element in root.iter() if (row := _row(element)) and len(set(row)) == 2)
    return frozenset(row[0] for row in rows if (rating := _counted(row)) is not None and rating.value)


def _row(holder: Element) -> list[str]:
    """The looks of the stars that are all that the element holds; ``[]`` where it holds anything else."""
    if not 4 <= len(holder) <= 10 or (holder[0].tag != "svg" and "star" not in _look(holder[0]).lower()):
        return []
    looks = [_look(child) for child in holder]
    if all("star" in look.lower() for look in looks):
        return looks
    shapes = {next((part.get("d") for part in _drawing(child) if part.tag == "path"), None) if child.tag == "svg"
              else None for child in holder}
    is_drawn_alike = len(looks) == 5 and len(shapes) == 1 and None not in shapes
    return looks if is_drawn_alike and not any(map(_PLACES.search, [holder.get("class") or "", *looks])) else []


def _look(star: Element) -> str:
    """Its class names, and a drawing's colours."""
    parts = _drawing(star) if star.tag == "svg" else [star]
    return " ".join(part.get(name) for part in parts for name in ("class", "fill", "href") if part.get(name))


def _drawing(star: Element) -> list[Element]:
    """A drawing's first parts: more than a star has."""
    return list(islice(star.iter("svg", "g", "path", "use"), 6))


def _counted(row: list[str]) -> Rating | None:
    names = [set(look.split()) for look in row]
    if len(set(row)) > 1:  # what all have in common tells none apart
        common = set.intersection(*names)
        names = [own - common for own in names]
    looks = [" ".join(sorted(own)) for own in names]
    half = ["half" in look.lower() for look in looks]
    lit = [_LIT.search(look) is not None for look in looks]
    unlit = [not on and _UNLIT.search(look) is not None for look, on in zip(looks, lit, strict=True)]
    if any(half) or any(lit) or any(unlit):
        kinds = list(zip(half, lit, unlit, strict=True))
        if not any(lit):
            return _of_row(sum(not h and not off for h, _, off in kinds) + 0.5 * sum(half), row)
        return _of_row(sum(on and not h for h, on, _ in kinds) + 0.5 * sum(half), row)
    changes = sum(one != other for one, other in pairwise(row))
    return _of_row(row.count(row[0]), row) if changes == 1 else None  # all alike: a form's, or nobody can tell


def _of_row(value: float, row: list[str]) -> Rating:
    return Rating(value=float(value), best=float(len(row)), raw=f"{value:g} of {len(row)} stars")
