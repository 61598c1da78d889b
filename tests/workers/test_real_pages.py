"""Saved real pages with what people counted on them: a folder named by SSE_TASKS_REVIEW_PAGES.

Beside each ``X.html`` stands ``X.html.expected.json`` with ``expected_reviews``, ``hand_checked`` reviews and the full
``records``. The pages belong to their sites, so this repository holds none of them.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from sse_tasks_workers.scrape_reviews import extraction
from sse_tasks_workers.scrape_reviews.extraction import Page, read_page
from sse_tasks_workers.scrape_reviews.records import Review

VARIABLE = "SSE_TASKS_REVIEW_PAGES"
EXPECTATIONS = sorted(Path(os.environ.get(VARIABLE, "")).glob("*.expected.json")) if os.environ.get(VARIABLE) else []

SHOWN = {"songkick_years_and_years.html": 8}
"""Pages that show more reviews than they mark up, with how many stand there; the expectation counts the marked ones."""

pytestmark = pytest.mark.skipif(not EXPECTATIONS, reason=f"{VARIABLE} names no folder with saved review pages")
each_page = pytest.mark.parametrize("expectation", EXPECTATIONS or [Path("none")],
                                    ids=lambda path: path.name.split(".")[0])


@functools.cache
def expected(expectation: Path) -> dict[str, Any]:
    return dict(json.loads(expectation.read_text("utf-8")))


def source(expectation: Path) -> str:
    return expectation.with_name(expected(expectation)["file"]).read_bytes().decode("utf-8", "replace")


@functools.cache
def page(expectation: Path) -> Page:
    return read_page(source(expectation), "http://page.example/reviews", base=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


def plain(text: str | None) -> str:
    return " ".join((text or "").split())


def marked(review: Review) -> bool:
    return review.source not in {"profile", "guessed"}


@each_page
def test_all_reviews_of_a_real_page(expectation: Path) -> None:
    """Every review of the page is found once: the marked-up ones, and those that only a site profile can read."""
    wanted = expected(expectation)["expected_reviews"]
    found = page(expectation).reviews

    assert len(found) == SHOWN.get(expected(expectation)["file"], wanted)
    if "plain HTML" not in expected(expectation)["kind"]:
        assert sum(map(marked, found)) == wanted


@each_page
def test_all_fields_of_a_real_page(expectation: Path) -> None:
    """Each record that was checked by hand, and each other one, has its author, rating, date, title, body and id."""
    for wanted in expected(expectation).get("records", []):
        assert any(_is(review, wanted) for review in page(expectation).reviews), wanted
    for checked in expected(expectation)["hand_checked"]:
        start = plain(checked["body_start"])[:50]
        assert any(_agrees(review, checked) and plain(review.body).startswith(start)
                   for review in page(expectation).reviews), checked


def _agrees(review: Review, wanted: dict[str, Any]) -> bool:
    rating = None if wanted["rating"] is None else float(str(wanted["rating"]).split()[0])
    return (review.author == wanted["author"] and review.rating == rating and review.date_raw == wanted["date"]
            and (review.date is None) == (wanted["date"] is None))


def _is(review: Review, wanted: dict[str, Any]) -> bool:
    best = wanted.get("best")
    return (_agrees(review, wanted) and plain(review.body) == plain(wanted["body"])
            and (best is None or review.rating_best == float(best))
            and all(getattr(review, name) == wanted[name] for name in ("title", "id", "verified")
                    if wanted.get(name) is not None))


@each_page
def test_a_real_page_by_its_looks_alone(expectation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its profile a plain page's reviews are still found, as guesses; a page of recipes or bands has none that
    aren't there."""
    monkeypatch.setattr(extraction, "shipped_profiles", lambda: ())
    monkeypatch.setattr(extraction, "_structured", lambda *_: ([], []))

    guessed = [review for review in read_page(source(expectation), "http://page.example/").reviews
               if review.source == "guessed"]

    authors = {plain(record["author"]) for record in expected(expectation).get("records", [])}
    assert {plain(review.author) for review in guessed} <= authors
    if "plain HTML" in expected(expectation)["kind"]:
        assert len(guessed) == expected(expectation)["expected_reviews"]
