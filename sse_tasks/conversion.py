"""From JSON to a worker's types and back: msgspec, with hooks for paths, pydantic models (pydantic itself is never
imported from here), numpy's scalars, and classes that JSON hasn't."""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from .schema_check import Fault, child_path

__all__ = [
    "FaultsError",
    "convert",
    "decode",
    "is_pydantic",
    "msgspec_fault",
    "to_json",
    "whole_model",
    "without_scalars",
]

_AT = re.compile(r" - at `(?:key` in `)?\$(.*?)`$")


class FaultsError(Exception):
    """The faults of an input, before it is known whose."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults)
        self.faults = faults


def to_json(value: Any) -> Any:
    """``value`` as JSON has it: structs, dataclasses and models as dicts, dates and paths as strings.

    Raises TypeError for what has no such form.
    """
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=_encode)
    except RecursionError:
        raise TypeError("it is nested too deeply, or contains itself") from None


def is_pydantic(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "model_json_schema")


def convert(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind, strict=True, str_keys=True, dec_hook=decode)


def decode(kind: type, value: Any) -> Any:
    if issubclass(kind, pathlib.PurePath) and isinstance(value, str):
        return kind(value)
    if is_pydantic(kind):
        return value if isinstance(value, kind) else _model(kind, value)
    if isinstance(value, kind):
        return value
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _model(model: Any, value: Any) -> Any:
    try:
        return model.model_validate(value)
    except ValueError as error:  # pydantic's ValidationError is one
        faults = _pydantic_faults(error)
        raise ValueError("; ".join(f"{f['path']}: {f['message']}" if f["path"] else f["message"] for f in faults)) \
            from None


def whole_model(model: Any, value: Mapping[str, Any], faults: list[Fault]) -> Any:
    try:
        result = model.model_validate(value)
    except ValueError as error:
        known = {fault["path"] for fault in faults}
        raise FaultsError([*faults, *(f for f in _pydantic_faults(error) if f["path"] not in known)]) from None
    if faults:
        raise FaultsError(faults)
    return result


def _pydantic_faults(error: ValueError) -> list[Fault]:
    listed = getattr(error, "errors", None)
    if listed is None:
        return [{"path": "", "message": str(error)}]
    return [{"path": functools.reduce(child_path, fault["loc"], ""), "message": fault["msg"]} for fault in listed()]


def _encode(value: Any) -> Any:
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if is_pydantic(type(value)):
        return value.model_dump(mode="json")
    plain = without_scalars(value)
    if plain is value:
        raise TypeError(f"{type(value).__name__} has no form in JSON.")
    return plain


def without_scalars(value: Any) -> Any:
    """numpy's scalars as Python's numbers, through dicts, lists and tuples: they are the same to a person."""
    if type(value) is dict:
        return {key: without_scalars(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(without_scalars(item) for item in value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "dtype") and hasattr(value, "item"):
        return value.item()
    return value


def msgspec_fault(error: msgspec.ValidationError, path: str) -> Fault:
    """msgspec's words for what only it sees, with the path that it gives: ``$.items[0].price``."""
    text = str(error)
    at = _AT.search(text)
    if at:
        inner = at.group(1)
        text = text[: at.start()]
        path = (path + inner) if path else inner.lstrip(".")
    return {"path": path, "message": text.replace("`", "")}
