"""What raw text becomes: ratings, counts, dates, valid Unicode."""

from __future__ import annotations

import datetime as dt
import math

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sse_tasks_workers.scrape_reviews.dates import parse_date
from sse_tasks_workers.scrape_reviews.records import Review, clean_text, frame_dtypes, parse_count, parse_rating

PAGE_TIME = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(("text", "value", "best", "normalised"), [
    (4, 4.0, None, 0.75),
    ("5,0", 5.0, None, 1.0),
    ("4.5 out of 5", 4.5, 5.0, 0.875),
    ("5,0 de 5", 5.0, 5.0, 1.0),
    ("8/10", 8.0, 10.0, 0.7778),
    ("5つ星のうち4.0", 4.0, 5.0, 0.75),
    ("★★★☆☆", 3.0, 5.0, 0.5),
    ("90%", 90.0, 100.0, 0.9),
    ("9", 9.0, None, None),
    ("3 of 2", None, None, None),
    ("five", None, None, None),
    ("1e999", None, None, None),
    (math.nan, None, None, None),
    (True, None, None, None),
    (None, None, None, None),
])
def test_rating(text: object, value: float | None, best: float | None, normalised: float | None) -> None:
    """A rating is read from numbers and words of any country, and is None where it can't be told."""
    rating = parse_rating(text)

    assert (rating.value, rating.best, rating.normalised) == (value, best, normalised)


def test_a_stated_scale_wins() -> None:
    """The scale that a page states beside the rating counts, and none is made up in its place."""
    assert parse_rating("7", best="10", worst="0").normalised == 0.7
    assert parse_rating("4").best is None


@pytest.mark.parametrize(("text", "count"), [
    (58, 58), ("1.234 avis", 1234), ("4,489", 4489), ("44 000", 44000), ("1,234,567", 1234567), ("490件", 490),
    (3.0, 3),
    ("12 of 30", None), ("-3", None), ("3.5", None), (math.inf, None), ("9" * 5000, None), (None, None),
])
def test_count(text: object, count: int | None) -> None:
    """A count's points and commas separate thousands; what isn't one whole number is None."""
    assert parse_count(text) == count


@pytest.mark.parametrize(("raw", "language", "date", "precision"), [
    ("2011-04-01", None, "2011-04-01", "day"),
    ("20050418T2300-0700", None, "2005-04-18T23:00:00-07:00", "minute"),
    ("2024-03-01T23:02:55.425Z", None, "2024-03-01T23:02:55.425Z", "second"),
    ("2024-03-01 23:02:55", None, "2024-03-01T23:02:55", "second"),
    ("2014", None, "2014-01-01", "year"),
    ("2014-05", None, "2014-05-01", "month"),
    ("Reviewed in the United Kingdom on 8 April 2016", "en-GB", "2016-04-08", "day"),
    ("el 25 de agosto de 2017", "es", "2017-08-25", "day"),
    ("May 5, 2016", "en", "2016-05-05", "day"),
    ("1. Mai 2020", "de", "2020-05-01", "day"),
    ("2016年4月8日に日本でレビュー済み", "ja", "2016-04-08", "day"),
    ("11-08-2014", "de", "2014-08-11", "day"),
    ("11-08-2014", "en-US", "2014-11-08", "day"),
    ("25/12/2014", "en", "2014-12-25", "day"),
    ("2 days ago", "en", "2026-11-22", "day"),
    ("vor 3 Wochen", "de", "2026-11-03", "week"),
    ("il y a 2 mois", "fr", "2026-09-01", "month"),
    ("11-08-2014", "en", None, None),
    ("11-08-2014", None, None, None),
    ("201405", None, None, None),
    ("2011-13-01", None, None, None),
    ("5", "en", None, None),
    ("on:", "en", None, None),
    ("may", "en", None, None),
    ("2 stars", "en", None, None),
    ("Version 2016 is great", "en", None, None),
    ("x" * 5000, "en", None, None),
])
def test_date(raw: str, language: str | None, date: str | None, precision: str | None) -> None:
    """A date is read by the page's language and time, with its precision; what could be two dates, or none, is None."""
    assert parse_date(raw, language, PAGE_TIME) == (date, precision)


@given(st.one_of(st.text(), st.datetimes().map(str), st.dates().map(str)))
def test_any_text_is_a_date_or_none(raw: str) -> None:
    """Whatever stands in a date's place, parsing it doesn't raise, and what comes out pandas can read."""
    date, precision = parse_date(raw, "en", PAGE_TIME)

    assert (date is None) == (precision is None)
    if date is not None:
        assert dt.datetime.fromisoformat(date)


@given(st.text(st.characters(exclude_categories=[])))
def test_text_is_valid_unicode(text: str) -> None:
    """No lone surrogate and no NUL comes through, whatever a page holds."""
    cleaned = clean_text(text)

    assert cleaned is None or ("\x00" not in cleaned and cleaned.encode("utf-8").strip())


def test_a_frame_has_sensible_types() -> None:
    """Reviews make a frame whose columns have the types that frame_dtypes names, also where all is missing."""
    reviews = [Review(source="json-ld", rating=4.0, date="2024-03-01T23:02:55.425Z"),
               Review(source="rdfa", date="2011-04-01")]
    rows = [{name: getattr(review, name) for name in Review.__struct_fields__} for review in reviews]
    dtypes = frame_dtypes()

    frame = pandas.DataFrame(rows)
    for name, dtype in dtypes.items():
        frame[name] = (pandas.to_datetime(frame[name], utc=True, format="ISO8601").astype(dtype)
                       if dtype.startswith("datetime") else frame[name].astype(dtype))

    assert list(frame.columns) == list(dtypes)
    assert {name: str(frame[name].dtype) for name in ("rating", "verified", "date", "author", "page")} == {
        "rating": "Float64", "verified": "boolean", "date": "datetime64[ns, UTC]", "author": "string", "page": "Int64",
    }
    assert frame["date"].dt.year.tolist() == [2024, 2011]
