"""JSON as it is written and read: one ASCII line, valid for every parser, and what Python needs beside it.

The wire has no NaN (it becomes ``null``), no integers beyond 64 bits (strings) and no lone surrogates (U+FFFD).
Python's own dialect of JSON (``exact``) has the first two, so nothing is lost between two Pythons.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

__all__ = ["encode", "encode_again", "encode_exact", "encode_update", "foreign", "to_plain", "to_wire"]

_SUSPECT = re.compile(r"\\ud|\d{19}")
_MAX_DEPTH = 300  # parsers' recursion limits begin at 1,000, of which their callers have used some

_compact = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), check_circular=False).encode
_exact = json.JSONEncoder(ensure_ascii=True, allow_nan=True, separators=(",", ":"), check_circular=False).encode


def foreign(value: Any) -> Any:
    """What msgspec doesn't know but JSON can say: pydantic models, numpy's scalars, paths, subclasses of str."""
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()
    if hasattr(value, "__fspath__"):
        return str(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    raise NotImplementedError(f"{type(value).__qualname__} objects can't be written as JSON")


def to_plain(value: Any) -> Any:
    """``value`` as dicts, lists, strings, numbers, booleans and None. Raises TypeError where JSON has no such word."""
    try:
        plain = msgspec.to_builtins(value, str_keys=True, enc_hook=foreign)
    except (NotImplementedError, RecursionError, ValueError, OverflowError) as error:
        raise TypeError(str(error) or type(error).__name__) from None
    _check_depth(plain)
    return plain


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        level = [child for container in level if isinstance(container, dict | list | tuple)
                 for child in (container.values() if isinstance(container, dict) else container)]
        if not level:
            return
    raise TypeError(f"data nested more than {_MAX_DEPTH} deep can't be written as JSON")


def to_wire(value: Any) -> Any:
    """Plain data without what JSON lacks: NaN and infinities are None, huge integers strings."""
    if isinstance(value, dict):
        return {to_wire(k): to_wire(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_wire(v) for v in value]
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 64:
        return hex(value) if value.bit_length() > 12_000 else str(value)  # str() has a limit of 4,300 digits
    return value


def encode(value: Any) -> tuple[str, str | None]:
    """``value`` for the wire, and in Python's dialect where that differs.

    Raises TypeError, naming the type, where JSON has no word for something in it.
    """
    try:
        text = _compact(value)
    except (TypeError, ValueError, RecursionError):
        plain = to_plain(value)
        text = _compact(to_wire(plain))
        try:
            exact = encode_exact(plain)
        except TypeError:
            return text, None
        return text, exact if exact != text else None
    if text.count("[") + text.count("{") > _MAX_DEPTH:
        _check_depth(value)
    if not _SUSPECT.search(text):
        return text, None
    wire = _compact(to_wire(value))
    return wire, text if text != wire else None


def encode_exact(value: Any) -> str:
    """Plain data in Python's dialect of JSON, which ``json.loads`` gives back as it was.

    Raises TypeError for an integer of so many digits that Python refuses to read them.
    """
    try:
        return _exact(value)
    except ValueError as error:
        raise TypeError(str(error)) from None


def encode_update(update: dict[str, Any]) -> bytes:
    """An update as one line of a log, newline included. Fields that are None are left out.

    Its fields are plain data already: what ``encode`` has let through is never refused here.
    """
    return f"{encode_again({k: v for k, v in update.items() if v is not None})}\n".encode("ascii")


def encode_again(plain: Any) -> str:
    """For the wire, plain data with what ``encode`` has let through once somewhere in it: none of that is refused for
    standing some levels deeper now."""
    try:
        text = _compact(plain)
    except ValueError:
        text = ""
    return text if text and not _SUSPECT.search(text) else _compact(to_wire(plain))
