"""A task's metrics in Python: its numbers over time, as points and as a DataFrame."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from .errors import NothingThereError
from .folder import TaskFolder

if TYPE_CHECKING:
    import pandas

__all__ = ["Point", "frame_of_metrics", "read_metrics"]


class Point(msgspec.Struct, frozen=True):
    """One number of a metric. ``value`` is None where it was NaN or infinite, ``step`` where the worker gave none;
    ``timestamp`` is ISO 8601 in UTC with milliseconds."""

    name: str
    value: int | float | None
    timestamp: str
    step: int | float | None = None


_decode = msgspec.json.Decoder(Point).decode


def read_metrics(folder: TaskFolder) -> list[Point]:
    """All points so far, in the order in which they were kept."""
    try:
        with open(folder.open_part("metrics.jsonl"), "rb") as file:
            lines = file.read().split(b"\n")[:-1]  # what follows the last newline is still being written
    except NothingThereError:
        return []
    points = []
    for line in lines:
        try:
            points.append(_decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # damage: the folder is the worker's, too
    return points


def frame_of_metrics(points: Iterable[Point]) -> pandas.DataFrame:
    """One row for each point: ``name`` (string), ``value`` (float64, NaN where it was none), ``step`` (Int64, Float64
    where one is no whole number; NA where none was given), ``time`` (datetime64, in UTC)."""
    import pandas

    points = list(points)
    steps = [point.step for point in points]
    whole = all(step is None or isinstance(step, int) or step.is_integer() for step in steps)
    step: Any = [None if step is None else int(step) for step in steps] if whole else steps
    return pandas.DataFrame({
        "name": pandas.array([point.name for point in points], dtype="string"),
        "value": pandas.Series([math.nan if point.value is None else point.value for point in points], dtype="float64"),
        "step": pandas.array(step, dtype="Int64" if whole else "Float64"),
        "time": pandas.to_datetime([point.timestamp for point in points], format="ISO8601", utc=True).as_unit("ms"),
    })
