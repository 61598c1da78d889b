"""Saved real pages with what people counted on them: a folder named by SSE_TASKS_REVIEW_PAGES.

Beside each ``X.html`` stands ``X.html.expected.json`` with ``expected_reviews`` and ``hand_checked`` records. The pages
belong to their sites, so this repository holds none of them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from sse_tasks_workers.scrape_reviews.extraction import read_page

VARIABLE = "SSE_TASKS_REVIEW_PAGES"
EXPECTATIONS = sorted(Path(os.environ.get(VARIABLE, "")).glob("*.expected.json")) if os.environ.get(VARIABLE) else []

pytestmark = pytest.mark.skipif(not EXPECTATIONS, reason=f"{VARIABLE} names no folder with saved review pages")


@pytest.mark.parametrize("expectation", EXPECTATIONS or [Path("none")], ids=lambda path: path.name.split(".")[0])
def test_a_real_page(expectation: Path) -> None:
    """Every structured review of the page is found, each hand-checked one with author, rating and date; a page without
    any gives none."""
    expected = json.loads(expectation.read_text("utf-8"))
    source = expectation.with_name(expected["file"]).read_bytes().decode("utf-8", "replace")

    page = read_page(source, "http://page.example/reviews")

    if "plain HTML" in expected["kind"]:
        assert page.reviews == []
        return
    assert len(page.reviews) == expected["expected_reviews"]
    for checked in expected["hand_checked"]:
        assert any(_fits(review, checked) for review in page.reviews), checked


def _fits(review: Any, checked: dict[str, Any]) -> bool:
    rating = None if checked["rating"] is None else float(checked["rating"])
    starts = " ".join((review.body or "").split()).startswith(" ".join(checked["body_start"].split())[:50])
    return bool(starts and review.author == checked["author"] and review.rating == rating
                and review.date_raw == checked["date"] and (review.date is None) == (checked["date"] is None))
