"""What a task's reviews are like in numbers: counted one by one, so that there may be any number of them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

__all__ = ["Counts"]

_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])", re.ASCII)
_BEST_SHOWN = 10
"""The longest scale that is shown as it is; of a longer one, five parts are."""
_NAMES_KEPT = 1000

Scale = tuple[int, int]


class Counts:
    """``add`` each item; all else is asked afterwards."""

    def __init__(self) -> None:
        self.count = 0
        self.with_text = 0
        self.verified = 0
        self.replies = 0
        self.languages: Counter[str] = Counter()
        self.items: Counter[str] = Counter()
        self.per_month: Counter[str] = Counter()
        self.per_year: Counter[int] = Counter()
        self._own: Counter[tuple[float, float | None, float | None]] = Counter()
        self._normalised: Counter[float] = Counter()

    def add(self, item: Mapping[str, Any]) -> None:
        self.count += 1
        self.with_text += bool(item.get("body") or item.get("title"))
        self.verified += item.get("verified") is True
        self.replies += item.get("reply") is not None
        for counter, name in ((self.languages, item.get("language")), (self.items, item.get("item"))):
            if name and (name in counter or len(counter) < _NAMES_KEPT):  # a page may make up any number
                counter[name] += 1
        date = item.get("date") or ""
        if _MONTH.match(date):
            self.per_year[int(date[:4])] += 1
            if item.get("date_precision") != "year":
                self.per_month[date[:7]] += 1
        if (rating := item.get("rating")) is not None and math.isfinite(rating):
            self._own[rating, item.get("rating_worst"), item.get("rating_best")] += 1
            if (normalised := item.get("rating_normalised")) is not None:
                self._normalised[normalised] += 1

    @property
    def scale(self) -> Scale:
        """The worst and the best rating of the histogram."""
        scales = {(1 if worst is None else worst, best) for _, worst, best in self._own}
        if len(scales) == 1:
            ((worst, best),) = scales
            if best is not None and worst in (0, 1) and 1 < best <= _BEST_SHOWN and float(best).is_integer():
                return int(worst), int(best)
        return 1, 5

    def rating_histogram(self) -> dict[str, int]:
        """How often each rating was given, the worst first, halves rounded up; empty where there is none."""
        ratings = self._ratings()
        if not ratings:
            return {}
        worst, best = self.scale
        counts = dict.fromkeys(range(worst, best + 1), 0)
        for rating, count in ratings.items():
            counts[min(max(math.floor(rating + 0.5), worst), best)] += count
        return {str(rating): count for rating, count in counts.items()}

    def rating_mean(self) -> float | None:
        """The mean on the histogram's scale, rounded to two places."""
        ratings = self._ratings()
        total = sum(ratings.values())
        return round(sum(rating * count for rating, count in ratings.items()) / total, 2) if total else None

    def rated(self) -> int:
        """How many are in the histogram."""
        return sum(self._ratings().values())

    def months(self) -> dict[str, int]:
        """Reviews by month, ``2026-11``, the first one first; months without one are left out."""
        return dict(sorted(self.per_month.items()))

    def _ratings(self) -> Counter[float]:
        worst, best = self.scale
        found: Counter[float] = Counter()
        if all(its_best == best for _, _, its_best in self._own):
            for (rating, _, _), count in self._own.items():
                if worst <= rating <= best:
                    found[rating] += count
            return found
        for normalised, count in self._normalised.items():
            found[1 + 4 * normalised] += count
        return found
