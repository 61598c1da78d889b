"""Many addresses in one task: given, or named by a sitemap; side by side, and killed in between."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from desk import Desk, reading_of
from shop import Answer, Shop, reviews_html
from sse_tasks_workers.scrape_reviews import ScrapeReviewsInput, ScrapeReviewsOutput, scrape_reviews
from sse_tasks_workers.scrape_reviews.politeness import Politeness
from sse_tasks_workers.scrape_reviews.sitemap import read_sitemap

from sse_tasks import TaskError

pytestmark = pytest.mark.browser

MakeDesk = Callable[..., Desk]


async def scrape(desk: Desk, **input: Any) -> ScrapeReviewsOutput:
    return await scrape_reviews(desk.ctx, ScrapeReviewsInput(**{"delay": 0.0, **input}))


def goods(shop: Shop, count: int) -> list[str]:
    """So many things in the shop, each with two pages of two and one reviews."""
    for n in range(count):
        first = reviews_html([f"A{n}", f"B{n}"], declared=3, links=f'<a rel="next" href="/good{n}?page=2">2</a>')
        shop.answers |= {f"/good{n}": Answer(first), f"/good{n}?page=2": Answer(reviews_html([f"C{n}"], declared=3))}
    return [shop.url(f"/good{n}") for n in range(count)]


def by_author(desk: Desk) -> list[dict[str, Any]]:
    return sorted(desk.reports.items, key=lambda item: str(item["author"]))


async def test_many_addresses(desk: MakeDesk, shop: Shop) -> None:
    """All of them are read, each record names its address, and each address has its outcome; one that can't be read
    costs itself alone."""
    urls = goods(shop, 3)
    missing = shop.url("/missing")
    one = desk()

    output = await scrape(one, urls=[urls[0], missing, *urls[1:], urls[0]], concurrency=2)

    assert {item["author"]: item["asked_url"] for item in one.reports.items} == {
        f"{letter}{n}": urls[n] for letter in "ABC" for n in range(3)}
    assert [(o.url, o.found, o.declared, o.stopped, o.partial) for o in output.urls] == [
        (urls[0], 3, 3, "no_next_page", False), (missing, 0, None, "error", True),
        (urls[1], 3, 3, "no_next_page", False), (urls[2], 3, 3, "no_next_page", False)]
    assert (output.found, output.pages, output.stopped, output.partial) == (9, 6, "finished", True)
    assert output.errors == [f"{missing}: there is no such page (status 404)"]
    assert output.message == "9 reviews at 4 addresses; 1 of them can't be read."


async def test_killed_with_several_open(desk: MakeDesk, shop: Shop) -> None:
    """Ended at one checkpoint after another, with several pages open, and started again each time, it gives exactly the
    records and outcomes of an unbroken run."""
    urls = goods(shop, 4)
    whole, attempts = desk(), [desk()]
    expected = await scrape(whole, urls=urls)

    for checkpoint in (1, 2, 3):  # of the attempt: the first, third and sixth of all eight
        last = attempts[-1]
        last.reports.on_state = lambda count, last=last, when=checkpoint: last.abort() if count == when else None
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(scrape(last, urls=urls, concurrency=3))
        assert len(last.reports.items) > 0
        attempts.append(desk(saved=last.reports.states[-1]))
    output = await scrape(attempts[-1], urls=urls, concurrency=3)

    items = [item for attempt in attempts for item in attempt.reports.items]
    assert sorted(items, key=lambda item: str(item["author"])) == by_author(whole)
    assert reading_of(output) == reading_of(expected)


async def test_nothing_can_be_read(desk: MakeDesk, shop: Shop) -> None:
    """Where not one address gives a page, the task fails and says why."""
    with pytest.raises(TaskError, match=r"None of the 2 addresses can be read: .*no such page") as caught:
        await scrape(desk(), urls=[shop.url("/x"), shop.url("/y")])

    assert caught.value.code == "page_failed"


async def test_nothing_was_given(desk: MakeDesk) -> None:
    """Without any address the error says what to give; one that is none is refused before a browser starts."""
    with pytest.raises(TaskError, match="give url, urls or sitemap") as caught:
        await scrape(desk())
    assert caught.value.code == "bad_url"

    with pytest.raises(TaskError, match="no web address"):
        await scrape(desk(), urls=["http://shop.example/", "file:///etc/passwd"])


async def test_a_sitemap(desk: MakeDesk, shop: Shop) -> None:
    """An index with a packed sitemap and one that is missing: what fits is read, other hosts' addresses aren't, and
    what couldn't be read is said."""
    urls = goods(shop, 2)
    entries = "".join(f"<url><loc>{url}</loc></url>" for url in [*urls, shop.url("/about"), "http://elsewhere.example/good"])
    packed = gzip.compress(f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}'
                           "</urlset>".encode())
    index = "".join(f"<sitemap><loc>{shop.url(path)}</loc></sitemap>" for path in ("/goods.xml.gz", "/gone.xml"))
    shop.answers |= {"/sitemap.xml": Answer(f"<sitemapindex>{index}</sitemapindex>", kind="application/xml"),
                     "/goods.xml.gz": Answer(packed, kind="application/gzip")}
    one = desk()

    output = await scrape(one, sitemap=shop.url("/sitemap.xml"), sitemap_match="*/good*", concurrency=2)

    assert [o.url for o in output.urls] == urls
    assert output.found == 6
    assert output.errors == [f"the sitemap {shop.url('/gone.xml')} can't be read: status 404"]


@pytest.mark.parametrize(("body", "words"), [
    ("<html></html>", "it is no sitemap but <html>"),
    ("<urlset></urlset>", "names no address that fits"),
    (gzip.compress(b"<urlset>" + b" " * 60_000_000), "larger than 50 MiB"),
    ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><urlset><url><loc>&a;</loc></url></urlset>',
     "names no address that fits"),
])
async def test_sitemaps_that_are_none(shop: Shop, body: str | bytes, words: str) -> None:
    """What is no sitemap, unfolds to too much, or wants a file of this machine fails with the reason."""
    shop.answers["/sitemap.xml"] = Answer(body, kind="application/xml")

    async with httpx.AsyncClient() as client:
        with pytest.raises(TaskError, match=words) as caught:
            await read_sitemap(client, Politeness(client, 0, False, asyncio.sleep), shop.url("/sitemap.xml"), None, 9)

    assert caught.value.code == "bad_sitemap"


async def test_a_task_of_no_sitemap(desk: MakeDesk, shop: Shop) -> None:
    """The task of a sitemap that can't be read fails with the reason."""
    with pytest.raises(TaskError, match="status 404") as caught:
        await scrape(desk(), sitemap=shop.url("/sitemap.xml"))

    assert caught.value.code == "bad_sitemap"


async def test_max_urls(desk: MakeDesk, shop: Shop) -> None:
    """No more addresses than allowed are read, and the result is partial and says so."""
    urls = goods(shop, 3)

    output = await scrape(desk(), urls=urls, max_urls=1)

    assert ([o.url for o in output.urls], output.partial) == (urls[:1], False)
    assert output.errors == ["only the first 1 of 3 addresses were read (max_urls)"]


async def test_a_host_is_spared_however_many_tabs_there_are(desk: MakeDesk, shop: Shop) -> None:
    """With a delay, a host gets one request at a time, however many pages are open."""
    urls = goods(shop, 3)

    await scrape(desk(), urls=urls, concurrency=3, delay=0.3, max_pages=1)

    moments = [moment for path, moment, _ in shop.requests if path.startswith("/good")]
    assert min(b - a for a, b in itertools.pairwise(moments)) >= 0.29


async def test_pages_ahead(desk: MakeDesk, shop: Shop) -> None:
    """With several tabs, the numbered pages that one address surely has are on their way before their turn (the
    third answers only when the fifth was asked for); the records are in order, and no page is asked for too much."""
    ahead = threading.Event()

    def page(path: str) -> Answer:
        number = int(path.rpartition("=")[2]) if "=" in path else 1
        if number == 5:
            ahead.set()
        if number == 3:
            assert ahead.wait(30)
        link = f'<a rel="next" href="/kettle?page={number + 1}">Next</a>' if number < 6 else ""
        return Answer(reviews_html([f"P{number}a", f"P{number}b"], declared=12, links=link))

    shop.answers["/kettle"] = page
    one = desk()

    output = await scrape(one, url=shop.url(), concurrency=4)

    assert [item["author"] for item in one.reports.items] == [f"P{n}{x}" for n in range(1, 7) for x in "ab"]
    assert (output.pages, output.stopped, output.partial) == (6, "no_next_page", False)
    assert sorted(shop.asked("/kettle")) == ["/kettle", *(f"/kettle?page={n}" for n in range(2, 7))]
    assert ahead.is_set()
