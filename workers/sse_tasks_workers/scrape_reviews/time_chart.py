"""Reviews over time as bars: by month, quarter or year, whichever fits, drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["Bar", "bars_of", "chart"]

BARS = 36
"""At most so many bars; of what reaches back further, the last years are shown."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LABEL_WIDTH = 34
_NUMBERS_ABOVE = 12
"""Of more bars than this, the axis alone tells the height."""


class Bar(NamedTuple):
    """``name`` stands below it, ``group`` below that where it begins."""

    name: str
    group: str
    reviews: int


def bars_of(per_month: Mapping[str, int], per_year: Mapping[int, int]) -> tuple[str, list[Bar]]:
    """The unit, and a bar for each month, quarter or year from the first to the last."""
    months = {int(month[:4]) * 12 + int(month[5:7]) - 1: count for month, count in per_month.items()}
    units: list[tuple[str, int, Callable[[int], tuple[str, str]]]] = [
        ("month", 1, lambda at: (_MONTHS[at % 12], str(at // 12))),
        ("quarter", 3, lambda at: (f"Q{at % 4 + 1}", str(at // 4)))]
    if sum(per_year.values()) == sum(months.values()):  # else some have no more than a year
        for unit, length, name in units:
            if months and max(months) // length - min(months) // length < BARS:
                return unit, _filled(months, length, name)
    if not per_year:
        return "year", []
    last = max(per_year)
    return "year", _filled({year: count for year, count in per_year.items() if year > last - BARS}, 1,
                           lambda year: (str(year), ""))


def _filled(counts: Mapping[int, int], length: int, name: Callable[[int], tuple[str, str]]) -> list[Bar]:
    sums: dict[int, int] = {}
    for at, count in counts.items():
        sums[at // length] = sums.get(at // length, 0) + count
    return [Bar(*name(at), sums.get(at, 0)) for at in range(min(sums), max(sums) + 1)]


def chart(bars: list[Bar], width: int, height: int) -> str:
    """An SVG of that size, in CSS pixels."""
    top, bottom, left = 18, 36, 34
    most = max(bar.reviews for bar in bars)
    ticks = _ticks(most)
    scale = (height - top - bottom) / most
    floor = height - bottom
    parts = [f'<line x1="{left}" x2="{width}" y1="{floor - tick * scale:.1f}" y2="{floor - tick * scale:.1f}" '
             f'stroke="{"#c3ccd6" if tick == 0 else "#e8ecf0"}"/>'
             f'<text x="{left - 7}" y="{floor - tick * scale + 4:.1f}" text-anchor="end" fill="#5a6675">{tick:,}</text>'
             for tick in ticks]
    step = (width - left) / len(bars)
    wide = min(step * 0.74, 46)
    every = math.ceil(_LABEL_WIDTH / step)
    group, group_end = "", 0.0
    for place, bar in enumerate(bars):
        middle, tall = left + (place + 0.5) * step, bar.reviews * scale
        if bar.reviews:
            radius = min(3.0, wide / 2, tall)
            parts.append(f'<path d="M{middle - wide / 2:.1f} {floor}v{radius - tall:.1f}q0 {-radius:.1f} {radius:.1f} '
                         f"{-radius:.1f}h{wide - 2 * radius:.1f}q{radius:.1f} 0 {radius:.1f} {radius:.1f}"
                         f'v{tall - radius:.1f}z" fill="#4478c9"/>')
            if len(bars) <= _NUMBERS_ABOVE:
                parts.append(f'<text x="{middle:.1f}" y="{floor - tall - 5:.1f}" text-anchor="middle" '
                             f'fill="#3a4654">{bar.reviews:,}</text>')
        if place % every == 0:
            parts.append(f'<text x="{middle:.1f}" y="{floor + 15}" text-anchor="middle" fill="#5a6675">{bar.name}'
                         "</text>")
        if bar.group != group:
            group = bar.group
            if middle - wide / 2 >= group_end:  # else it would run into the one before
                group_end = middle - wide / 2 + _LABEL_WIDTH
                anchor = min(middle - wide / 2, width - 28)
                parts.append(f'<text x="{anchor:.1f}" y="{floor + 30}" fill="#1d2733" style="font-weight:600">{group}'
                             "</text>")
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def _ticks(most: int) -> list[int]:
    """From 0 to at most ``most``, in whole and round steps."""
    step = 1
    while step * 4 < most:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return list(range(0, most + 1, step))
