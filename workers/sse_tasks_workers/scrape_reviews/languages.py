"""Which language a review is in: what it is marked with, else what its words plainly are, else the page's.

Detection is py3langid's: its model comes with it, its results are the same each time, and its confidence is calibrated.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

__all__ = ["decide_language", "language_tag"]

LanguageSource = Literal["stated", "detected", "page"]

SURE = 0.95
"""Confidence from which the words count against the page's language."""
AGREED = 0.4
"""Confidence from which they confirm it: two witnesses need less."""
ENOUGH_LETTERS = 24
"""Letters that an alphabet with many languages needs; a handful says nothing, whatever a model thinks of it."""
ENOUGH_SIGNS = 8
"""The same for a writing that few languages share."""
_TEXT_LIMIT = 600
_BEGINNING = 200
"""Characters that are mostly enough: it is asked about each review of a page."""

_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*")
_LETTER = re.compile(r"[^\W\d_]")
_SHARED_ALPHABET = re.compile("[A-Za-zÀ-ɏЀ-ӿ؀-ۿऀ-ॿ]")
_NO_WORDS = re.compile(r"https?://\S+|\S+@\S+")


def language_tag(tag: Any) -> str | None:
    """``tag`` if it is a language tag (``en``, ``pt-BR``, ``en_US``), else None."""
    return tag.strip() if isinstance(tag, str) and len(tag) <= 35 and _TAG.fullmatch(tag.strip()) else None


def decide_language(stated: Any, page: str | None, *texts: str | None) -> tuple[str | None, LanguageSource | None]:
    """The language of a review and how it is known.

    ``stated`` is what the review itself is marked with, ``page`` the page's tag, ``texts`` the review's words. Where
    these are of the page's language, the page's fuller tag (``en-GB``) is kept.
    """
    if tag := language_tag(stated):
        return tag, "stated"
    page = language_tag(page)
    text = _NO_WORDS.sub(" ", " ".join(text[:_TEXT_LIMIT] for text in texts if text)[:_TEXT_LIMIT])
    for limit in (_BEGINNING, _TEXT_LIMIT):
        found, confidence = _detected(text[:limit])
        if page and found and _same(found, page) and confidence >= AGREED:
            return page, "detected"
        if confidence >= SURE and not (page and limit < len(text)):  # against the page all words have to speak
            return found, "detected"
        if limit >= len(text):
            break
    return (page, "page") if page else (None, None)


def _detected(text: str) -> tuple[str | None, float]:
    """The language of the words, and the confidence in that; none where there are too few."""
    letters = _LETTER.findall(text)
    shared = len(_SHARED_ALPHABET.findall(text)) * 2 > len(letters)
    if len(letters) < (ENOUGH_LETTERS if shared else ENOUGH_SIGNS):
        return None, 0.0
    found, confidence = _detector().classify(text)
    return str(found), float(confidence)


_ALIKE = {"nb": "no", "nn": "no", "iw": "he", "in": "id", "tl": "fil", "sh": "sr"}


def _same(found: str, page: str) -> bool:
    primary = re.split("[-_]", page.lower())[0]
    return _ALIKE.get(found, found) == _ALIKE.get(primary, primary)


@lru_cache(maxsize=1)
def _detector() -> Any:
    """Loaded at the first use (about a second, 100 MB): many pages mark their reviews, and need none."""
    from py3langid import langid

    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
