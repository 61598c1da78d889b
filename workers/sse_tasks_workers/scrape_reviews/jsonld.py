"""JSON-LD as pages really hold it, block by block: one broken block costs itself alone.

Tolerated: a BOM, HTML comments or CDATA round the JSON, a trailing semicolon, trailing commas, raw line breaks in
strings, several values in a row, escaped quotes. Numbers that are none (NaN, 1e999, thousands of digits) become null.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .languages import language_tag
from .nodes import Node, local_name

__all__ = ["BrokenBlock", "nodes_of", "parse_values", "read_block"]

DEPTH_LIMIT = 40
"""Levels of nesting that are read; what lies deeper is dropped. Real reviews stand at three to eight."""
_DIGITS_LIMIT = 18
_PROSE = frozenset({"reviewbody", "description", "text", "name", "headline"})

_BLANK = "\ufeff \t\r\n;"
_OPENINGS = ("/*<![CDATA[*/", "/* <![CDATA[ */", "//<![CDATA[", "// <![CDATA[", "<![CDATA[", "<!--")
_CLOSINGS = ("/*]]>*/", "/* ]]> */", "//]]>", "// ]]>", "]]>", "//-->", "// -->", "-->")
# A string that isn't closed runs to the end: otherwise each quote in it would be tried as a beginning, in square time.
_STRING = r'("(?:[^"\\]|\\.)*+(?:"|\\?\Z))'
_COMMENT = re.compile(_STRING + r"|/\*.*?(?:\*/|\Z)|//[^\n]*", re.DOTALL)
_TRAILING_COMMA = re.compile(_STRING + r"|,(?=\s*+[}\]])", re.DOTALL)


class BrokenBlock(ValueError):
    """A block that can't be read; its text says why."""


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _DIGITS_LIMIT else None


def _real(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


_DECODER = json.JSONDecoder(strict=False, parse_int=_integer, parse_float=_real, parse_constant=lambda name: None)


def read_block(text: str) -> list[Node]:
    """The top-level nodes of one script's text. Raises BrokenBlock, ``[]`` for an empty one."""
    bare = _unwrapped(text)
    if not bare:
        return []
    return list(nodes_of(parse_values(bare)))


def nodes_of(values: Iterable[Any]) -> Iterator[Node]:
    """The top-level nodes of JSON values."""
    for value in values:
        yield from _nodes(value, 0)


def _unwrapped(text: str) -> str:
    text = text.strip(_BLANK)
    text = next((text[len(mark):] for mark in _OPENINGS if text.startswith(mark)), text)
    text = next((text[: -len(mark)] for mark in _CLOSINGS if text.endswith(mark)), text)
    return text.strip(_BLANK)


def parse_values(text: str) -> list[Any]:
    """The values of a JSON text, with its usual faults mended. Raises BrokenBlock."""
    try:
        return list(_values(text))
    except RecursionError:
        raise BrokenBlock("it is nested too deeply") from None
    except ValueError as why:
        first = why
    for repaired in _repairs(text):
        try:
            return list(_values(repaired))
        except (ValueError, RecursionError):
            continue
    if isinstance(first, json.JSONDecodeError):
        raise BrokenBlock(f"{first.msg} at character {first.pos}") from None
    raise BrokenBlock(str(first)) from None


def _values(text: str) -> Iterator[Any]:
    position = 0
    while position < len(text):
        value, position = _DECODER.raw_decode(text, position)
        yield value
        while position < len(text) and (text[position].isspace() or text[position] in ",;"):
            position += 1


def _repairs(text: str) -> Iterator[str]:
    bare = _TRAILING_COMMA.sub(lambda m: m[1] or "", _COMMENT.sub(lambda m: m[1] or "", text))
    yield bare.strip()
    if "&quot;" in text:
        yield html.unescape(text)


def _nodes(value: Any, depth: int) -> Iterator[Node]:
    """The nodes that a JSON value holds at its top: itself, or its list's or @graph's."""
    if isinstance(value, list):
        for item in value:
            yield from _nodes(item, depth + 1) if depth < DEPTH_LIMIT else ()
    elif isinstance(value, dict):
        node = _node(value, depth)
        yield node
        if isinstance(value.get("@graph"), list | dict):
            yield from _nodes(value["@graph"], depth + 1)


def _node(value: dict[str, Any], depth: int) -> Node:
    types = value.get("@type", value.get("type"))
    identifier = value.get("@id")
    node = Node(
        types={local_name(t) for t in (types if isinstance(types, list) else [types]) if isinstance(t, str)},
        id=identifier.strip() or None if isinstance(identifier, str) else None,
    )
    for key, inner in value.items():
        if key.startswith("@") or inner is None:
            continue
        name = local_name(key)
        for single in _singles(inner, depth):
            converted = _value(single, depth + 1)
            if converted is not None:
                node.add(name, converted)
                if name in _PROSE and isinstance(single, dict):  # {"@value": "Gut", "@language": "de"}
                    node.language = node.language or language_tag(single.get("@language"))
    return node


def _singles(value: Any, depth: int) -> Iterator[Any]:
    """What a property holds, however it is wrapped: lists in lists, ``@list``, ``@set``."""
    if isinstance(value, list):
        for inner in value if depth < DEPTH_LIMIT else ():
            yield from _singles(inner, depth + 1)
    elif isinstance(value, dict) and isinstance(held := value.get("@list", value.get("@set")), list):
        yield from _singles(held, depth + 1)
    else:
        yield value


def _value(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        if "@value" in value:
            value = value["@value"]
            return value if isinstance(value, str | int | float) else None
        return _node(value, depth) if depth < DEPTH_LIMIT else None
    return value if isinstance(value, str | int | float) else None
