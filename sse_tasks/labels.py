"""Names and tags are a line of text: without what a terminal or a page would take for a command or a line's end."""

from __future__ import annotations

import unicodedata

__all__ = ["NO_LABEL", "is_label", "printable"]

NO_LABEL = "line breaks and other control characters can't be shown: leave them out"
"""What is wrong with a text that is no label."""

_UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories: control characters, halves of characters, line and paragraph separators."""


def is_label(text: str) -> bool:
    """Whether a text can be shown as it is, wherever."""
    return text.isprintable() or not any(unicodedata.category(letter) in _UNSHOWN for letter in text)


def printable(text: str) -> str:
    """The text with a mark in place of each letter that can't be shown."""
    return text if is_label(text) else "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(letter) in _UNSHOWN else letter for letter in text)
