"""A task's partial results in Python: as they were emitted, and as a DataFrame."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .errors import NothingThereError
from .folder import TaskFolder
from .schema_check import options_of, resolved

if TYPE_CHECKING:
    import pandas

__all__ = ["frame_of", "read_item_schema", "read_items", "write_item_schema"]

_SCHEMA = "items.schema.json"

_DTYPES = {"integer": "Int64", "floating": "Float64", "mixed-integer-float": "Float64", "boolean": "boolean",
           "string": "string"}

_MOMENT = "datetime64[ns, UTC]"
_DECLARED = {"integer": "Int64", "number": "Float64", "boolean": "boolean", "string": "string", "date": _MOMENT,
             "array": "object", "object": "object"}

_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?P<zone>Z|[+-]\d\d:?\d\d)?)?", re.ASCII)


def read_items(folder: TaskFolder) -> list[Any]:
    """All items so far. What JSON says only roughly (NaN, huge integers) comes back as it was."""
    try:
        with open(folder.open_part("items.jsonl"), "rb") as file:
            data = file.read()
    except NothingThereError:
        return []
    exact = _exact_items(folder)
    items = []
    start = 0
    while end := data.find(b"\n", start) + 1:
        items.append(exact[start] if start in exact else json.loads(data[start:end]))
        start = end
    return items  # what follows the last newline is still being written


def _exact_items(folder: TaskFolder) -> dict[int, Any]:
    """Items in Python's dialect of JSON, by the byte at which their line begins in ``items.jsonl``."""
    try:
        lines = (folder.path / "items.exact.jsonl").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return {}
    return {line["at"]: line["item"] for line in map(json.loads, lines)}


def write_item_schema(folder: TaskFolder, schema: Mapping[str, Any] | None) -> None:
    """Keeps what the worker that runs declares of its items beside them, for whoever makes a frame of them later.
    Raises OSError."""
    path = folder.path / _SCHEMA
    if schema is None:
        path.unlink(missing_ok=True)  # of an earlier attempt, whose code was another
        return
    partial = path.with_name(f"{_SCHEMA}.partial")
    partial.write_text(json.dumps(schema), "ascii")
    os.replace(partial, path)


def read_item_schema(folder: TaskFolder) -> dict[str, Any] | None:
    """The schema of the items; None where none is declared."""
    try:
        schema = json.loads((folder.path / _SCHEMA).read_bytes())
    except (OSError, ValueError):
        return None
    return schema if isinstance(schema, dict) else None


def frame_of(items: Iterable[Any], schema: Mapping[str, Any] | None = None) -> pandas.DataFrame:
    """One row for each item. Objects give the columns, anything else stands in a column ``item``.

    What a ``schema`` declares comes first, in its order and with its dtypes, also where there is no item yet:
    ``Int64``, ``Float64``, ``boolean``, ``string``, ``datetime64[ns, UTC]``, and ``object`` for lists and objects. Any
    other column, and one whose values aren't what was declared, has the dtype that its values share; one in which every
    value is an ISO date is ``datetime64``, in UTC where they have time zones. Nothing is ``NA``.
    """
    import pandas

    rows = pandas.DataFrame([item if isinstance(item, dict) else {"item": item} for item in items], dtype=object)
    declared = _declared_dtypes(schema or {})
    frame = rows.reindex(columns=[*declared, *(name for name in rows.columns if name not in declared)])
    columns = {name: _as_declared(frame[name].astype(object), declared.get(name)) for name in frame.columns}
    return pandas.DataFrame(columns, index=frame.index)


def _declared_dtypes(schema: Mapping[str, Any]) -> dict[str, str | None]:
    """The dtype of each field of an object's schema; None where its values decide."""
    whole = resolved(schema, schema)
    fields = whole.get("properties", {}) if isinstance(whole, Mapping) else {}
    return {name: _declared_dtype(field, schema) for name, field in fields.items()}


def _declared_dtype(field: Any, schema: Mapping[str, Any]) -> str | None:
    kinds: set[Any] = set()
    for option in options_of(field, schema):
        kind = option.get("type")
        if kind == "string" and option.get("format") in ("date", "date-time"):
            kind = "date"
        if kind is None and all(isinstance(choice, str) for choice in option.get("enum", [option.get("const")])):
            kind = "string"
        for each in kind if isinstance(kind, list) else [kind]:
            kinds.add(each)
    kinds.discard("null")
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    return _DECLARED.get(str(kinds.pop())) if len(kinds) == 1 else None


def _as_declared(column: pandas.Series[Any], dtype: str | None) -> pandas.Series[Any]:
    import pandas

    if dtype is None:
        return _typed(column)
    if dtype == "object":
        return column
    inferred = pandas.api.types.infer_dtype(column, skipna=True)
    if dtype == _MOMENT:
        return _as_moments(column) if inferred in ("string", "empty") else _typed(column)
    fits = inferred == "empty" or _DTYPES.get(inferred) == dtype or (dtype, inferred) == ("Float64", "integer")
    try:
        return column.astype(dtype) if fits else _typed(column)  # type: ignore[call-overload, no-any-return]
    except (OverflowError, TypeError, ValueError):
        return column


def _as_moments(column: pandas.Series[Any]) -> pandas.Series[Any]:
    """In UTC, which is also taken for those without a zone. Where one is too early or late for nanoseconds, all are
    microseconds; where one is no date, texts."""
    import pandas

    try:
        moments = pandas.to_datetime(column, format="ISO8601", utc=True)
    except (ValueError, OverflowError):
        return _typed(column)
    for dtype in (_MOMENT, "datetime64[us, UTC]"):
        try:
            return moments.astype(dtype)  # type: ignore[call-overload, no-any-return]
        except (ValueError, OverflowError):
            continue
    return _typed(column)


def _typed(column: pandas.Series[Any]) -> pandas.Series[Any]:
    """Not ``convert_dtypes``: that makes integers of the ratings 4.0 and 5.0 until the first 4.5 comes."""
    import pandas

    dtype = _DTYPES.get(pandas.api.types.infer_dtype(column, skipna=True))
    if dtype is None:
        return column
    try:
        typed = column.astype(dtype)
    except (OverflowError, TypeError, ValueError):  # integers beyond 64 bits
        return column
    return _as_dates(typed) if dtype == "string" else typed


def _as_dates(column: pandas.Series[Any]) -> pandas.Series[Any]:
    import pandas

    found = [_ISO_DATE.fullmatch(value) for value in column.dropna()]
    if not found or not all(found):
        return column
    zones = {match["zone"] is not None for match in found if match}
    if len(zones) > 1:
        return column  # some with and some without: either reading would make something up
    try:
        return pandas.to_datetime(column, format="ISO8601", utc=zones == {True})
    except (ValueError, OverflowError):  # the 31st of February, or a year that it can't hold
        return column
