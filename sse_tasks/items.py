"""A task's partial results in Python: as they were emitted, and as a DataFrame."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .errors import NothingThereError
from .folder import TaskFolder

if TYPE_CHECKING:
    import pandas

__all__ = ["frame_of", "read_items"]

_DTYPES = {"integer": "Int64", "floating": "Float64", "mixed-integer-float": "Float64", "boolean": "boolean",
           "string": "string"}

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


def frame_of(items: Iterable[Any]) -> pandas.DataFrame:
    """One row for each item. Objects give the columns, anything else stands in a column ``item``.

    A column has the dtype that its values share: ``Int64``, ``Float64``, ``boolean``, ``string``, else ``object``; one
    in which every value is an ISO date is ``datetime64``, in UTC where they have time zones. Nothing is ``NA``.
    """
    import pandas

    frame = pandas.DataFrame([item if isinstance(item, dict) else {"item": item} for item in items], dtype=object)
    return pandas.DataFrame({name: _typed(frame[name]) for name in frame.columns}, index=frame.index)


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
