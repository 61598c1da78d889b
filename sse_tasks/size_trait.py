"""A trait for sizes in a configuration: bytes, or a text such as ``"2 GiB"``."""

from __future__ import annotations

from typing import Any

from traitlets import Int, TraitError

from .sizes import parse_size

__all__ = ["Size"]


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
