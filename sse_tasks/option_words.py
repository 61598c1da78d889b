"""The words of a magic's line: split as a shell does, with JSON and ``{expressions}`` in one piece, and filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .errors import BadParameterError

__all__ = ["escaped", "expanded", "is_json", "json_text", "parse_json", "quoted", "split"]

_EXPANSION = re.compile(r"\$\$|\{\{|\}\}|\$(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)|\{(?P<code>[^{}]+)\}")
_PLAIN_WORD = re.compile(r"[\w@%+=:,./-]+")


def parse_json(text: str) -> Any:
    """Raises ValueError, also for NaN, infinities and what is nested too deeply."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"JSON has no {constant}")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def is_json(text: str) -> bool:
    """Whether ``text`` is a JSON object or list as it stands."""
    if text[:1] not in ("{", "["):
        return False
    try:
        parse_json(text)
    except ValueError:
        return False
    return True


def split(line: str) -> list[str]:
    """The words of a line, split as a shell does, but a literal JSON object or list, and ``{an expression}``, in one
    piece. Raises BadParameterError for a quote or brace without an end."""
    words: list[str] = []
    position = 0
    while position < len(line):
        if line[position].isspace():
            position += 1
            continue
        word, position = _word(line, position)
        words.append(word)
    return words


def _word(line: str, position: int) -> tuple[str, int]:
    parts: list[str] = []
    start = position
    while position < len(line) and not line[position].isspace():
        character = line[position]
        at_value = position == start or (line[position - 1] == "=" and line.startswith("--", start))
        end = _json_end(line, position) if at_value else None
        if end is None and character == "{":
            end = _brace_end(line, position)
            if end is None and at_value:
                raise BadParameterError("input", f"the JSON that begins with {line[position:position + 20]} "
                                        "has no end: a brace or a quote is missing")
        if end is not None:
            parts.append(line[position:end])
            position = end
        elif character in "'\"":
            text, position = _quoted_part(line, position)
            parts.append(text)
        elif character == "\\" and position + 1 < len(line):
            parts.append(line[position + 1])
            position += 2
        else:
            parts.append(character)
            position += 1
    return "".join(parts), position


def _json_end(line: str, position: int) -> int | None:
    """Where a literal JSON object or list that begins here ends, if it is followed by a space or nothing."""
    if line[position] not in "{[":
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(line, position)
    except (ValueError, RecursionError):
        return None
    return end if end == len(line) or line[end].isspace() else None


def _brace_end(line: str, position: int) -> int | None:
    depth = 0
    for index in range(position, len(line)):
        depth += (line[index] == "{") - (line[index] == "}")
        if depth == 0:
            return index + 1
    return None


def _quoted_part(line: str, position: int) -> tuple[str, int]:
    quote, start = line[position], position
    parts: list[str] = []
    position += 1
    while position < len(line):
        character = line[position]
        if character == quote:
            return "".join(parts), position + 1
        if character == "\\" and quote == '"' and line[position + 1: position + 2] in ('"', "\\"):
            position += 1
            character = line[position]
        parts.append(character)
        position += 1
    raise BadParameterError("input", f"the quote that begins at {line[start:start + 20]} is never closed")


def expanded(text: str, namespace: Mapping[str, Any]) -> Any:
    """``text`` with ``$var`` and ``{expression}`` filled in; the value itself where it is nothing but one of them.

    What isn't defined stays as it is written, as in other magics.
    """
    if is_json(text):
        return text
    single = _EXPANSION.fullmatch(text)
    code = single and (single["name"] or single["code"])
    if not code and text.startswith("{") and text.endswith("}") and not text.startswith("{{"):
        code = text[1:-1]  # with braces inside
    if code:
        try:
            return _evaluated(code, namespace)
        except Exception:  # a name that isn't there, or no expression at all
            pass

    def fill(match: re.Match[str]) -> str:
        if match[0] in ("$$", "{{", "}}"):
            return match[0][0]
        try:
            return str(_evaluated(match["name"] or match["code"], namespace))
        except Exception:  # likewise: the text stays as it was typed
            return match[0]

    return _EXPANSION.sub(fill, text)


def _evaluated(code: str, namespace: Mapping[str, Any]) -> Any:
    """The person's own expression in their own kernel, as IPython evaluates it for every other magic."""
    return eval(code.strip(), dict(namespace))


def escaped(text: str) -> str:
    """``text`` so that ``expanded`` gives it back."""
    return text.replace("$", "$$").replace("{", "{{").replace("}", "}}")


def quoted(word: str) -> str:
    """The word in quotes where the line needs them."""
    if (is_json(word) and word == word.strip()) or _PLAIN_WORD.fullmatch(word):
        return word
    if "'" not in word:
        return f"'{word}'"
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def json_text(value: Any) -> str:
    """JSON on one line, readable where it can be."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)
