"""The numbers of what was found, and the picture of them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from desk import Desk
from sse_tasks_workers.scrape_reviews import ScrapeReviewsInput, ScrapeReviewsOutput, scrape_reviews
from sse_tasks_workers.scrape_reviews.browser import BrowserSession
from sse_tasks_workers.scrape_reviews.counts import Counts
from sse_tasks_workers.scrape_reviews.guard import AddressGuard
from sse_tasks_workers.scrape_reviews.summary_page import WIDTH, summary_page
from sse_tasks_workers.scrape_reviews.time_chart import BARS, bars_of, chart

NASTY = '<img src="http://127.0.0.1:1/x" onerror="document.title=1"><script>document.title=1</script>&amp;'


def counted(*items: dict[str, Any]) -> Counts:
    counts = Counts()
    for item in items:
        counts.add(item)
    return counts


def rated(rating: float, best: float | None = None, worst: float | None = None, normalised: float | None = None
          ) -> dict[str, Any]:
    return {"rating": rating, "rating_best": best, "rating_worst": worst, "rating_normalised": normalised}


def outcome(**fields: Any) -> ScrapeReviewsOutput:
    return ScrapeReviewsOutput(**{
        "url": "http://shop.example/kettle", "found": 2, "declared": 4, "declared_ratings": None, "pages": 1,
        "sources": {}, "errors": [], "stopped": "max_pages", "partial": True, "message": "2 of 4.", "urls": []}
        | fields)


@pytest.mark.parametrize(("ratings", "histogram", "mean"), [
    ([], {}, None),
    ([rated(4, None, None, 0.75), rated(5, 5, 1, 1)], {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1}, 4.5),
    ([rated(2.5, 5, 1, 0.375)], {"1": 0, "2": 0, "3": 1, "4": 0, "5": 0}, 2.5),
    ([rated(0, 3, 0, 0), rated(3, 3, 0, 1)], {"0": 1, "1": 0, "2": 0, "3": 1}, 1.5),
    ([rated(9, 10, 1, 8 / 9)], dict.fromkeys(map(str, range(1, 11)), 0) | {"9": 1}, 9.0),
    ([rated(80, 100, 0, 0.8), rated(5, 5, 1, 1)], {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1}, 4.6),
    ([rated(87)], {}, None),
])
def test_ratings(ratings: list[dict[str, Any]], histogram: dict[str, int], mean: float | None) -> None:
    """On the page's own scale where there is one of at most 10 for all, else from 1 to 5; without a scale, not at
    all."""
    counts = counted(*ratings)

    assert counts.rating_histogram() == histogram
    assert counts.rating_mean() == mean


def test_months() -> None:
    """A date that is no more than a year is in no month; one that is missing, in none either."""
    counts = counted({"date": "2025-03-01", "date_precision": "month"}, {"date": "2024-12-31T10:00:00Z"},
                     {"date": "2025-01-01", "date_precision": "year"}, {"date": "2025-03-09"}, {"date": None})

    assert list(counts.months().items()) == [("2024-12", 1), ("2025-03", 2)]
    assert counts.per_year == {2024: 1, 2025: 3}


@pytest.mark.parametrize(("months", "unit", "bars"), [
    (["2026-01"], "month", 1), (["2024-02", "2026-01"], "month", 24), (["2020-02", "2026-01"], "quarter", 25),
    (["2000-01", "2026-01"], "year", 27), (["0001-01", "9999-12"], "year", 1), ([], "year", 0)])
def test_a_bar_for_each_stretch_of_time(months: list[str], unit: str, bars: int) -> None:
    """Months, quarters or years, whichever are few enough; those without reviews have a place, too."""
    per_month = dict.fromkeys(months, 3)
    found, made = bars_of(per_month, {int(month[:4]): 3 for month in months})

    assert (found, len(made)) == (unit, bars)
    assert bars <= BARS and (not made or "<svg" in chart(made, 400, 200))


def test_what_a_page_says_is_text() -> None:
    """In the picture's page, no title, address or message becomes markup."""
    page = summary_page(outcome(message=NASTY, url=f"http://x/{NASTY}"), counted({"item": NASTY, "language": NASTY}))

    assert "<img" not in page and "<script" not in page
    assert page.count("&lt;script&gt;") == 4


def size_of(png: bytes) -> tuple[int, int]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.browser
async def test_the_picture_of_a_task(desk: Callable[..., Desk], demo_shop: ModuleType, tmp_path: Path) -> None:
    """summary.png is there at the end, of double size and at most 200 kB; the same numbers are in the result."""
    with demo_shop.DemoShop() as shop:
        output = await scrape_reviews(desk().ctx, ScrapeReviewsInput(url=shop.url, delay=0, exports=[]))

    assert [path.name for path in tmp_path.iterdir()] == ["summary.png"]
    picture = (tmp_path / "summary.png").read_bytes()
    assert size_of(picture)[0] == 2 * WIDTH and len(picture) < 200_000
    assert output.rating_histogram == {"1": 2, "2": 3, "3": 4, "4": 9, "5": 18}
    assert output.rating_mean == 4.06
    assert output.per_month == {"2026-06": 5, "2026-07": 10, "2026-08": 11, "2026-09": 10}


@pytest.mark.browser
async def test_the_largest_picture() -> None:
    """Long names, many bars and ten ratings stay within 200 kB; nothing in them runs or is asked for."""
    months = [f"{year}-{month:02}-01" for year in (2023, 2024, 2025) for month in range(1, 13)]
    counts = counted(*({"date": date, "item": NASTY * 3, "language": f"{NASTY}{n}", "verified": True, "reply": "x",
                        **rated(n % 10 + 1, 10, 1, 0.5)} for n, date in enumerate(months)))
    async with (AddressGuard(["http://127.0.0.1:1/"], []) as guard, BrowserSession(guard) as session,
                session.canvas(WIDTH) as canvas):
        picture = await canvas.draw(summary_page(outcome(message=NASTY * 9, errors=["x"]), counts), "main")

    assert size_of(picture)[0] == 2 * WIDTH and len(picture) < 200_000
