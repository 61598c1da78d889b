"""What a worker says its items are: a schema for clients, columns with dtypes for DataFrames."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Literal, TypedDict

import msgspec
import pandas
import pydantic
import pytest

from sse_tasks import task
from sse_tasks.errors import WorkerDefinitionError
from sse_tasks.items import frame_of
from sse_tasks.registry import Worker


class Struct(msgspec.Struct):
    name: str
    count: int | None = None
    share: float | None = None
    seen: datetime.datetime | None = None
    is_new: bool | None = None
    kind: Literal["a", "b"] = "a"
    parts: list[int] = []
    anything: Any = None


class Typed(TypedDict):
    name: str
    count: int | None


@dataclasses.dataclass
class Data:
    name: str
    count: int | None = None


class Model(pydantic.BaseModel):
    name: str
    count: int | None = None


def worker_of(items: Any) -> Worker[..., Any]:
    @task("emitting", items=items)
    def emitting() -> None:
        """Emits."""

    return emitting


@pytest.mark.parametrize("kind", [Struct, Typed, Data, Model])
def test_a_type_of_items_gives_the_columns(kind: Any) -> None:
    """Structs, TypedDicts, dataclasses and models: in their order, with their dtypes, also without a single item."""
    schema = worker_of(kind).info().items

    frame = frame_of([], schema)

    assert {name: str(dtype) for name, dtype in frame.dtypes.items() if name in ("name", "count")} == {
        "name": "string", "count": "Int64"}
    assert frame_of([{"count": None, "name": "x"}], schema).columns.tolist()[:2] == ["name", "count"]


def test_each_kind_of_column() -> None:
    """Numbers, dates in UTC, booleans and texts are so even where all are missing; lists stay objects."""
    frame = frame_of([{"name": "x", "seen": "2026-01-02", "share": 1, "parts": [1], "more": 3},
                      {"name": "y", "seen": "2026-01-02T03:00:00+02:00"}], worker_of(Struct).item_schema())

    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "name": "string", "count": "Int64", "share": "Float64", "seen": "datetime64[ns, UTC]", "is_new": "boolean",
        "kind": "string", "parts": "object", "anything": "object", "more": "Int64"}
    assert frame["seen"].tolist() == [pandas.Timestamp("2026-01-02T00Z"), pandas.Timestamp("2026-01-02T01Z")]


def test_values_that_are_not_what_was_declared() -> None:
    """Nothing is lost or bent: the column has the dtype of what is there, dates beyond nanoseconds are microseconds."""
    schema = worker_of(Struct).item_schema()

    frame = frame_of([{"name": 1, "count": "many", "seen": "soon", "share": True, "is_new": "no"}], schema)
    early = frame_of([{"seen": "0001-01-01"}], schema)["seen"]

    assert frame.iloc[0][["name", "count", "seen", "share", "is_new"]].tolist() == [1, "many", "soon", True, "no"]
    assert (str(early.dtype), early[0].year) == ("datetime64[us, UTC]", 1)


def test_without_a_type_there_is_none() -> None:
    """The description has no items, and a type that JSON can't carry is refused where it is written."""
    assert worker_of(None).info().items is None
    with pytest.raises(WorkerDefinitionError, match="emitting"):
        worker_of(Worker)
    assert frame_of([1, 2], worker_of(int).item_schema())["item"].tolist() == [1, 2]
