"""The reviews as CSV, JSON lines and Parquet: the same as the items, and harmless to whatever opens them."""

from __future__ import annotations

import csv
import datetime as dt
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pandas
import pyarrow.parquet
import pytest
from desk import Desk
from hypothesis import given, settings
from hypothesis import strategies as st
from shop import Answer, Shop, reviews_html
from sse_tasks_workers.scrape_reviews import ScrapeReviewsInput, findings, scrape_reviews
from sse_tasks_workers.scrape_reviews.exports import Stopped, plain_cell, safe_cell, write_exports
from sse_tasks_workers.scrape_reviews.records import Review, frame_dtypes

from sse_tasks.items import frame_of, read_item_schema, read_items

from ..places import Place, Task, wait_for

KINDS = ["csv", "jsonl", "parquet"]
COLUMNS = Review.__struct_fields__
FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "'=1", "''@x"]

anything = st.text(st.characters(exclude_categories=[])) | st.sampled_from(FORMULAS)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
moments = st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1), timezones=zones)
items = st.lists(st.builds(
    Review, author=st.none() | anything, title=st.none() | anything, body=anything, rating=st.none() | st.floats(-5, 5),
    verified=st.none() | st.booleans(), helpful_votes=st.none() | st.integers(-9, 9),
    images=st.none() | st.lists(anything, max_size=2),
    date=st.none() | st.dates().map(str) | moments.map(dt.datetime.isoformat),
).map(lambda review: {name: getattr(review, name) for name in COLUMNS}), max_size=3)


def storable(value: Any) -> Any:
    """What a file can hold of a text: halves of characters and NUL are marked as missing."""
    if isinstance(value, list):
        return [storable(each) for each in value]
    if not isinstance(value, str):
        return value
    return "".join("�" if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in value)


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cell(value: Any) -> str:
    """What a value is in CSV, but for what keeps it from being a formula."""
    if value is None or isinstance(value, str):
        return value or ""
    return str(value) if type(value) in (int, float) else json.dumps(value, ensure_ascii=False)


@settings(max_examples=25, deadline=None)
@given(items)
def test_all_three_hold_the_items(items: list[dict[str, Any]]) -> None:
    """Whatever characters are in them: JSON lines are the items, CSV says the same once its quotes are taken off, and
    Parquet in types."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = write_exports(folder, KINDS, items, COLUMNS)
        assert sorted(path.name for path in folder.iterdir()) == names

        lines = (folder / "reviews.jsonl").read_text("utf-8").split("\n")
        rows = csv_rows(folder / "reviews.csv")
        table = pyarrow.parquet.read_table(folder / "reviews.parquet")

    assert [json.loads(line) for line in lines[:-1]] == items and lines[-1] == ""
    assert [{name: plain_cell(text) if isinstance(items[at][name], str | list) else text for name, text in row.items()}
            for at, row in enumerate(rows)] == [
        {name: storable(cell(value)) for name, value in item.items()} for item in items]
    expected = [{name: storable(value) for name, value in item.items()} for item in items]
    for item in expected:
        if item["date"] is not None:
            moment = dt.datetime.fromisoformat(item["date"])
            item["date"] = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    assert table.to_pylist() == expected


@given(anything | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.lists(anything))
def test_no_cell_is_a_formula(value: Any) -> None:
    """What begins like one gets a quote, which can be taken off again; numbers stay numbers."""
    made = safe_cell(value)

    if isinstance(value, int | float) and not isinstance(value, bool):
        assert made is value
    else:
        assert not made.startswith(tuple("=+-@\t\r\n＝＋－＠"))
    if isinstance(value, str):
        assert plain_cell(made) == storable(value)


@pytest.mark.parametrize("reason", ["stopped", "failed"])
def test_nothing_is_left_half_written(tmp_path: Path, reason: str) -> None:
    """Where the writing is stopped or fails, older files stay and no new ones are there."""
    (tmp_path / "reviews.csv").write_text("older")

    def failing() -> Any:
        yield msgspec.to_builtins(Review())
        raise OSError("disk")

    with pytest.raises(Stopped if reason == "stopped" else OSError):
        if reason == "stopped":
            write_exports(tmp_path, KINDS, [{}, {}], COLUMNS, stop=lambda: True)
        else:
            write_exports(tmp_path, KINDS, failing(), COLUMNS)

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("reviews.csv", "older")]


@pytest.mark.browser
async def test_what_is_written(desk: Callable[..., Desk], shop: Shop, monkeypatch: pytest.MonkeyPatch,
                               caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """What was asked for, also of a reading that is partial; a missing pyarrow is said once."""
    shop.answers["/kettle"] = Answer(reviews_html(FORMULAS, declared=90))
    monkeypatch.setattr(findings, "has_pyarrow", lambda: False)
    caplog.set_level("INFO", "test")
    one = desk()

    output = await scrape_reviews(one.ctx, ScrapeReviewsInput(url=shop.url(), delay=0, paging="none"))

    assert output.partial
    assert {path.name for path in tmp_path.iterdir()} == {"reviews.csv", "reviews.jsonl", "summary.png"}
    assert [json.loads(line) for line in (tmp_path / "reviews.jsonl").open()] == one.reports.items
    assert csv_rows(tmp_path / "reviews.csv")[0]["author"] == "'=cmd|' /C calc'!A0"
    assert caplog.text.count("pyarrow is not installed") == 1


@pytest.mark.browser
def test_a_restarted_task_writes_all_of_its_reviews(place: Place, shop: Shop) -> None:
    """An aborted one writes none; the one that goes on where it stopped writes those from before, too. Its frame has
    the declared types."""
    shop.answers["/kettle"] = Answer(reviews_html(["A", "B"], links='<a rel="next" href="/kettle?page=2">Next</a>'))
    shop.answers["/kettle?page=2"] = [Answer(reviews_html(["C"]), wait=8), Answer(reviews_html(["C"]))]
    task = place.start("scrape-reviews", url=shop.url(), delay=0)
    wait_for("its first page", lambda: len(task.items()) == 2 or task.info().is_ended, 60)
    wait_for("its second page", lambda: shop.asked("/kettle?page=2") or task.info().is_ended, 60)
    task.ask("abort")
    task.end(60)
    assert task.folder.files() == []

    restarted = Task(task.manager, task.manager.restart(task.task_id).task_id)
    end = restarted.end(60)

    assert end.status == "completed", (end, restarted.output())
    found = read_items(restarted.folder)
    assert [item["author"] for item in found] == ["A", "B", "C"]
    files = restarted.folder.files_path
    assert [json.loads(line) for line in (files / "reviews.jsonl").open()] == found
    assert [row["author"] for row in csv_rows(files / "reviews.csv")] == ["A", "B", "C"]
    assert pandas.read_parquet(files / "reviews.parquet")["rating"].tolist() == [4.0, 4.0, 4.0]
    assert (files / "summary.png").read_bytes()[:4] == b"\x89PNG"
    assert end.result["rating_histogram"] == {"1": 0, "2": 0, "3": 0, "4": 3, "5": 0}
    frame = frame_of(found, read_item_schema(restarted.folder))
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == frame_dtypes()
