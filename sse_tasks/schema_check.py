"""Whether a JSON value fits a JSON Schema, in sentences that a person can act on.

Covers what msgspec and pydantic write of types (draft 2020-12), and judges as ``msgspec.convert`` does: ``3.0`` is no
whole number, ``true`` no ``1``, a decimal may be a number. A keyword that it doesn't know is passed over: the runner,
which has the real types, has the last word. A general validator was the alternative: it stops at the first fault,
says "must be valid by one of anyOf definition", and differs from msgspec in all of the above.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from .errors import near_names

__all__ = [
    "Fault",
    "child_path",
    "fault_of",
    "field_faults",
    "key_faults",
    "noun",
    "options_of",
    "resolved",
    "shown",
]

Fault = dict[str, str]
"""``{"path": "items[0].price", "message": "must be a number, not \\"x\\""}``"""

Schema = Any  # a mapping, or True or False

_NOUNS = {
    "null": "null", "boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "text",
    "array": "a list", "object": "an object",
}
_FORMATS: dict[str, tuple[type, str]] = {
    "date": (datetime.date, "a date like 2026-11-24"),
    "date-time": (datetime.datetime, "a date and time like 2026-11-24T03:58:00Z"),
    "time": (datetime.time, "a time of day like 03:58:00"),
    "duration": (datetime.timedelta, "a duration like PT90S"),
    "uuid": (uuid.UUID, "a UUID"),
    "decimal": (decimal.Decimal, "a decimal number"),
    "base64": (bytes, "base64 text"),
}
_PLAIN_KEY = re.compile(r"[^\W\d]\w*")
_SHOWN_LENGTH = 60
_SHOWN_CHOICES = 10


def field_faults(schema: Mapping[str, Any], value: Any) -> list[Fault]:
    """What is wrong with ``value`` as an object of ``schema``: at most one fault for each top-level field."""
    if not isinstance(value, Mapping):
        return [{"path": "", "message": f"must be an object with the fields of the input, not {shown(value)}"}]
    properties: Mapping[str, Any] = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    faults = key_faults(schema, value)
    for name, field in value.items():
        if name in properties:
            faults += _first(_faults(properties[name], field, schema, name))
        elif others is not False:
            faults += _first(_faults(others, field, schema, child_path("", str(name))))
    return faults


def key_faults(schema: Mapping[str, Any], value: Mapping[str, Any]) -> list[Fault]:
    """The fields that are missing, and those that the schema doesn't know."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    faults = [_fault(name, "is missing") for name in schema.get("required", ()) if name not in value]
    if schema.get("additionalProperties", True) is False:
        faults += [
            _fault(str(name), f"is no field of this task type.{near_names(str(name), properties)}")
            for name in value
            if name not in properties
        ]
    return faults


def fault_of(schema: Schema, value: Any, root: Mapping[str, Any], path: str = "") -> Fault | None:
    """The first fault of ``value`` by ``schema``, whose ``$ref`` point into ``root``."""
    return next(iter(_first(_faults(schema, value, root, path))), None)


def resolved(schema: Schema, root: Mapping[str, Any]) -> Schema:
    """``schema`` itself, or what its ``$ref`` points to."""
    seen = 0
    while isinstance(schema, Mapping) and "$ref" in schema and seen < 32:
        target: Any = root
        for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
            target = target.get(part.replace("~1", "/").replace("~0", "~"), {}) if part else target
        schema = target
        seen += 1
    return schema


def options_of(schema: Schema, root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The alternatives of a union, flat and resolved; one if it is none."""
    schema = resolved(schema, root)
    if not isinstance(schema, Mapping):
        return [] if schema is False else [{}]
    branches = schema.get("anyOf") or schema.get("oneOf")
    if not branches:
        return [schema]
    return [option for branch in branches for option in options_of(branch, root)]


def noun(schema: Schema, root: Mapping[str, Any]) -> str:
    """What a value of ``schema`` is, for a sentence: ``a whole number or null``."""
    nouns: dict[str, None] = {}
    for option in options_of(schema, root):
        if "const" in option or "enum" in option:
            choices = [option["const"]] if "const" in option else option["enum"]
            nouns.update(dict.fromkeys(_choices(choices)))
            continue
        kind = option.get("type", "anything")
        kinds = [kind] if isinstance(kind, str) else kind
        known = _FORMATS.get(_format(option))
        nouns.update(dict.fromkeys([known[1]] if known else [_NOUNS.get(k, k) for k in kinds]))
    words = list(nouns)
    if "null" in words:  # last: it is what people mean least
        words.remove("null")
        words.append("null")
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words) or "nothing"


def shown(value: Any) -> str:
    """``value`` as JSON for a message, cut short; lists and objects by their kind only."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


def child_path(path: str, key: str | int) -> str:
    """``items[0].price``: the path of what stands in ``path`` under ``key``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{shown(key)}]" if path else key
    return f"{path}.{key}" if path else key


def _fault(path: str, message: str) -> Fault:
    return {"path": path, "message": message}


def _first(faults: Iterator[Fault]) -> list[Fault]:
    try:
        return [fault] if (fault := next(faults, None)) else []
    except RecursionError:
        return [_fault("", "is nested too deeply")]


def _format(schema: Mapping[str, Any]) -> str:
    return str(schema.get("format") or schema.get("contentEncoding"))


def _choices(choices: Sequence[Any]) -> list[str]:
    """The words for each choice; for many in one, with the first of them."""
    texts = [shown(choice) for choice in choices[:_SHOWN_CHOICES]]
    return [f"one of {', '.join(texts)}, … ({len(choices):,} in all)"] if len(choices) > _SHOWN_CHOICES else texts


def _is_kind(kind: str, value: Any) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list | tuple)
        case "object":
            return isinstance(value, Mapping)
        case _:
            return True


def _fits_kind(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether ``value`` is of the schema's JSON kind; choices count as the kinds of their values."""
    if "enum" in schema or "const" in schema:
        return any(type(choice) is type(value) for choice in schema.get("enum", [schema.get("const")]))
    kinds = schema.get("type")
    if kinds is None:
        return True
    if _format(schema) == "decimal" and _is_kind("number", value):
        return True
    return any(_is_kind(kind, value) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _faults(schema: Schema, value: Any, root: Mapping[str, Any], path: str) -> Iterator[Fault]:
    schema = resolved(schema, root)
    if schema is False:
        yield _fault(path, "must not be there")
    if not isinstance(schema, Mapping):
        return
    for part in schema.get("allOf", ()):
        yield from _faults(part, value, root, path)
    if "anyOf" in schema or "oneOf" in schema:
        yield from _union_faults(schema, value, root, path)
        return
    if "enum" in schema or "const" in schema:
        choices = schema["enum"] if "enum" in schema else [schema["const"]]
        if not any(type(choice) is type(value) and choice == value for choice in choices):
            near = near_names(value, (c for c in choices if isinstance(c, str))) if isinstance(value, str) else ""
            hint = near if near.startswith(" Did") else ""
            yield _fault(path, f"must be {noun(schema, root)}, not {shown(value)}.{hint}".removesuffix("."))
        return
    if not _fits_kind(schema, value):
        yield _fault(path, f"must be {noun(schema, root)}, not {shown(value)}")
    elif isinstance(value, Mapping):
        yield from _object_faults(schema, value, root, path)
    elif isinstance(value, list | tuple):
        yield from _list_faults(schema, value, root, path)
    elif isinstance(value, str):
        yield from _text_faults(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number_faults(schema, value, path)


def _union_faults(schema: Mapping[str, Any], value: Any, root: Mapping[str, Any], path: str) -> Iterator[Fault]:
    options = options_of(schema, root)
    if any(not _first(_faults(option, value, root, path)) for option in options):
        return
    tag = schema.get("discriminator", {}).get("propertyName")
    if tag and isinstance(value, Mapping):
        mapping = schema["discriminator"].get("mapping", {})
        chosen = value.get(tag)
        if isinstance(chosen, str) and chosen in mapping:
            yield from _faults({"$ref": mapping[chosen]}, value, root, path)
        else:
            what = f"must be {' or '.join(map(shown, mapping))}, not {shown(chosen)}" if tag in value else "is missing"
            yield _fault(child_path(path, tag), what)
        return
    like = [option for option in options if _fits_kind(option, value)]
    if len(like) == 1:  # the only one that can have been meant
        yield from _faults(like[0], value, root, path)
    else:
        yield _fault(path, f"must be {noun(schema, root)}, not {shown(value)}")


def _object_faults(
    schema: Mapping[str, Any], value: Mapping[str, Any], root: Mapping[str, Any], path: str
) -> Iterator[Fault]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    keys = schema.get("propertyNames", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield _fault(child_path(path, name), "is missing")
    for name, field in value.items():
        if name in properties:
            yield from _faults(properties[name], field, root, child_path(path, name))
            continue
        if others is False:
            yield _fault(child_path(path, str(name)), f"is not known here.{near_names(str(name), properties)}")
        if keys is not True and all(_first(_faults(keys, key, root, path)) for key in _key_values(name)):
            yield _fault(child_path(path, str(name)), f"has a name that must be {noun(keys, root)}")
        yield from _faults(others, field, root, child_path(path, str(name)))
    yield from _size_faults(schema, len(value), path, ("minProperties", "maxProperties"), "entries")


def _key_values(key: Any) -> Iterable[Any]:
    """A JSON key is text; where the type asks for a number, it is read as one."""
    yield key
    if isinstance(key, str) and re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", key, re.ASCII):
        yield json.loads(key)


def _list_faults(
    schema: Mapping[str, Any], value: Sequence[Any], root: Mapping[str, Any], path: str
) -> Iterator[Fault]:
    yield from _size_faults(schema, len(value), path, ("minItems", "maxItems"), "items")
    first: Sequence[Any] = schema.get("prefixItems", ())
    rest = schema.get("items", True)
    for index, item in enumerate(value):
        yield from _faults(first[index] if index < len(first) else rest, item, root, child_path(path, index))


def _text_faults(schema: Mapping[str, Any], value: str, path: str) -> Iterator[Fault]:
    known = _FORMATS.get(_format(schema))
    if known:
        try:
            msgspec.convert(value, known[0])
        except (msgspec.ValidationError, ValueError):
            yield _fault(path, f"must be {known[1]}, not {shown(value)}")
        return
    yield from _size_faults(schema, len(value), path, ("minLength", "maxLength"), "characters")
    pattern = schema.get("pattern")
    if pattern is not None and _matches(pattern, value) is False:
        examples = schema.get("examples")  # they say more to a person
        wanted = f"match {pattern}, not be"
        if isinstance(examples, list) and examples:
            wanted = f"be like {examples[0]}, not"
        yield _fault(path, f"must {wanted} {shown(value)}")


def _matches(pattern: str, value: str) -> bool | None:
    try:
        return re.search(pattern, value) is not None
    except re.error:  # of another dialect: the runner judges
        return None


def _number_faults(schema: Mapping[str, Any], value: float, path: str) -> Iterator[Fault]:
    if schema.get("type") == "number" and isinstance(value, int):
        try:
            float(value)
        except OverflowError:
            yield _fault(path, "is too large a number")
            return
    for keyword, holds, words in (
        ("minimum", lambda bound: value >= bound, "at least"),
        ("maximum", lambda bound: value <= bound, "at most"),
        ("exclusiveMinimum", lambda bound: value > bound, "more than"),
        ("exclusiveMaximum", lambda bound: value < bound, "less than"),
    ):
        bound = schema.get(keyword)
        if bound is not None and not holds(bound) and not math.isnan(value):
            yield _fault(path, f"must be {words} {bound}, not {shown(value)}")
    step = schema.get("multipleOf")
    if step and isinstance(value, int) and isinstance(step, int) and value % step:
        yield _fault(path, f"must be a multiple of {step}, not {shown(value)}")


def _size_faults(
    schema: Mapping[str, Any], size: int, path: str, keywords: tuple[str, str], things: str
) -> Iterator[Fault]:
    least, most = (schema.get(keyword) for keyword in keywords)
    if least is not None and size < least:
        yield _fault(path, f"must have at least {least} {things}, not {size}")
    if most is not None and size > most:
        yield _fault(path, f"must have at most {most} {things}, not {size}")
