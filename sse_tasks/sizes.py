"""Sizes as people write them in a configuration file: bytes, or a text such as ``"2 GiB"``."""

from __future__ import annotations

import math
import re
from typing import Any

from traitlets import Int, TraitError

__all__ = ["Size", "parse_size", "say_size"]

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
    """``size`` bytes for people: ``1.5 GiB``, ``200 MiB``, ``17 bytes``."""
    if size < 1024:
        return f"{size:.0f} byte{'' if size == 1 else 's'}"
    power = min(int(math.log2(size) // 10), 5)
    return f"{size / 1024 ** power:.3g} {'KMGTP'[power - 1]}iB" if size / 1024 ** power < 1000 else (
        f"{size / 1024 ** power:.0f} {'KMGTP'[power - 1]}iB")


class Size(Int):
    """A trait of bytes, 0 or more, that also takes texts such as ``"2 GiB"``; with ``allow_none``, None."""

    info_text = "a size: bytes, or a text such as '2 GiB' or '500 MB'"

    def __init__(self, default_value: Any = 0, *, allow_none: bool = False, **options: Any) -> None:
        default = None if default_value is None else parse_size(default_value)
        super().__init__(default, allow_none=allow_none, **options)  # type: ignore[call-overload]

    def validate(self, obj: Any, value: Any) -> int:
        try:
            return parse_size(value)
        except ValueError as error:
            name = f"{type(obj).__name__}.{self.name}" if self.name else type(self).__name__
            raise TraitError(f"{name}: {error}.") from None

    def from_string(self, s: str) -> int | None:
        """From the command line."""
        if self.allow_none and s.strip() == "None":
            return None
        return parse_size(s)
