"""Sizes as people write and read them: bytes, or a text such as ``"2 GiB"``. The trait is in ``size_trait``: a keeper,
which says sizes too, has no use for traitlets."""

from __future__ import annotations

import math
import re

__all__ = ["parse_size", "say_size"]

_UNITS = {"": 1, "b": 1, **{f"{letter}b": 1000 ** power for power, letter in enumerate("kmgtp", 1)},
          **{f"{letter}ib": 1024 ** power for power, letter in enumerate("kmgtp", 1)}}
_SIZE = re.compile(r"([0-9]+(?:[.][0-9]+)?)\s*([a-z]*)", re.IGNORECASE)


def parse_size(size: object) -> int:
    """Bytes. Takes whole numbers and texts such as ``"2 GiB"``, ``"500 MB"``, ``"1.5 KiB"``. Raises ValueError."""
    if isinstance(size, int) and not isinstance(size, bool):
        if size >= 0:
            return size
    elif isinstance(size, float) and size >= 0 and size.is_integer():
        return int(size)
    elif isinstance(size, str):
        match = _SIZE.fullmatch(size.strip())
        if match and match[2].lower() in _UNITS:
            return math.floor(float(match[1]) * _UNITS[match[2].lower()]) if "." in match[1] else (
                int(match[1]) * _UNITS[match[2].lower()])
    raise ValueError(f"{size!r} is no size: write bytes as a whole number, or a text such as '2 GiB' or '500 MB'")


def say_size(size: float) -> str:
    """``size`` bytes for people: ``17 bytes``, ``200 MiB``, ``912.3 MiB``."""
    amount, units = float(size), iter(("KiB", "MiB", "GiB", "TiB", "PiB"))
    unit = "byte" if size == 1 else "bytes"
    while amount >= 1024 and (larger := next(units, None)):
        amount, unit = amount / 1024, larger
    return f"{amount:.1f}".removesuffix(".0") + f" {unit}"
