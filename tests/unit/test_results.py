"""A worker's result: JSON for the wire, and in Python exactly what was returned."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sse_tasks.errors import NothingThereError
from sse_tasks.folder import TaskFolder
from sse_tasks.worker.results import keep_result, load_result


def function() -> None:
    """Stands in for the worker."""


def folder_at(path: Path) -> TaskFolder:
    (path / "files").mkdir(parents=True)
    return TaskFolder(path)


def through(value: Any, path: Path) -> tuple[Any, Any, TaskFolder]:
    """What goes over the wire, what Python gets back, and the folder."""
    folder = folder_at(path)
    wire = keep_result(value, folder, function)
    assert wire.isascii() and "\n" not in wire
    (folder.path / "result.json").write_text(wire)
    return json.loads(wire, parse_constant=pytest.fail), load_result(folder), folder


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a.items(), b.items(), strict=True))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.binary(max_size=5), st.dates(),
                    st.text(st.characters(codec=None, exclude_categories=()), max_size=5))
values = st.recursive(scalars, lambda inner: st.one_of(
    st.lists(inner, max_size=4), st.lists(inner, max_size=3).map(tuple),
    st.dictionaries(st.one_of(st.text(max_size=3), st.integers(), st.none(), st.tuples(st.integers())), inner,
                    max_size=3)), max_leaves=12)


@settings(max_examples=100, deadline=None)
@given(value=values)
def test_plain_data_of_any_kind_comes_back_exactly(value: Any) -> None:
    """Tuples, keys of all kinds, NaN, huge integers, bytes and dates: what was returned is what is loaded."""
    with tempfile.TemporaryDirectory() as path:
        _, loaded, _ = through(value, Path(path) / "t")

    assert same(loaded, value)


def test_json_needs_nothing_beside_it(tmp_path: Path) -> None:
    """Where JSON says it exactly, there is no pickle."""
    value = {"a": [1, 2.5, "é", None, True], "b": {}}

    wire, loaded, folder = through(value, tmp_path / "t")

    assert wire == loaded == value
    assert sorted(os.listdir(folder.path)) == ["files", "result.json"] and folder.files() == []


class _Struct(msgspec.Struct):
    at: datetime.date
    rows: list[tuple[int, int]]


@dataclasses.dataclass
class _Data:
    inner: _Struct
    ratio: float = float("nan")


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: {"deep": [x]}], ids=["bare", "list", "dict"])
def test_structs_and_dataclasses_come_back_as_dicts(tmp_path: Path, wrap: Any) -> None:
    """Their dates stay dates in Python, and are texts on the wire, wherever they stand."""
    wire, loaded, _ = through(wrap(_Data(_Struct(datetime.date(2026, 1, 2), [(1, 2)]))), tmp_path / "t")

    assert wire == wrap({"inner": {"at": "2026-01-02", "rows": [[1, 2]]}, "ratio": None})
    inner = loaded if isinstance(loaded, dict) and "inner" in loaded else (
        loaded[0] if isinstance(loaded, list) else loaded["deep"][0])
    assert inner["inner"]["at"] == datetime.date(2026, 1, 2) and math.isnan(inner["ratio"])


@pytest.mark.parametrize("dtype", ["int8", "float64", "bool", "datetime64[ns]", "U3", "complex128"])
def test_arrays_are_kept_as_npy(tmp_path: Path, dtype: str) -> None:
    """Type and shape come back; the wire says what it is and which artifact holds it."""
    value = numpy.zeros((2, 3), dtype)

    wire, loaded, folder = through(value, tmp_path / "t")

    assert loaded.dtype == value.dtype and loaded.shape == (2, 3)
    assert wire["shape"] == [2, 3] and wire["file"] == "result.npy" and wire["bytes"] == folder.files()[0]["bytes"]


@pytest.mark.parametrize("frame", [
    pandas.DataFrame({"a": [1, 2], "b": ["x", None], "c": [1.5, float("nan")]}),
    pandas.DataFrame({"a": [{}, [1]]}), pandas.DataFrame(), pandas.DataFrame({1: [1], "x": [2]}),
    pandas.DataFrame({"a": [1]}, index=pandas.MultiIndex.from_tuples([("x", 1)])),
], ids=["plain", "objects", "empty", "mixed-names", "multi-index"])
@pytest.mark.filterwarnings("error")
def test_frames_come_back_equal(tmp_path: Path, frame: pandas.DataFrame) -> None:
    """By Parquet where that changes nothing, else by pickle."""
    _, loaded, _ = through(frame, tmp_path / "t")

    pandas.testing.assert_frame_equal(loaded, frame)


def test_what_cannot_be_pickled_raises(tmp_path: Path) -> None:
    """Whoever asked decides what to say."""
    with pytest.raises(Exception):  # noqa: B017 - whatever pickling raises
        keep_result((n for n in range(3)), folder_at(tmp_path / "t"), function)


def test_a_task_without_a_result_has_none(tmp_path: Path) -> None:
    """There is nothing to load, and that is said."""
    with pytest.raises(NothingThereError):
        load_result(folder_at(tmp_path / "t"))


def test_an_artifact_replaced_by_a_link_is_not_followed(tmp_path: Path) -> None:
    """A result is read from the task's own folder alone."""
    (tmp_path / "elsewhere.npy").write_bytes(b"x")
    _, _, folder = through(numpy.zeros(2), tmp_path / "t")
    (folder.files_path / "result.npy").unlink()
    (folder.files_path / "result.npy").symlink_to(tmp_path / "elsewhere.npy")

    with pytest.raises(NothingThereError):
        load_result(folder)
