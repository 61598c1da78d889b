"""scrape-reviews with a real browser and a shop on loopback."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from desk import Desk, descendants, reading_of
from shop import Answer, Shop, reviews_html
from sse_tasks_workers.scrape_reviews import ScrapeReviewsInput, ScrapeReviewsOutput, browser, scrape_reviews

from sse_tasks import TaskError

pytestmark = pytest.mark.browser

MakeDesk = Callable[..., Desk]


async def scrape(desk: Desk, url: str, **more: Any) -> ScrapeReviewsOutput:
    more = {"delay": 0.0, **more}
    return await scrape_reviews(desk.ctx, ScrapeReviewsInput(url=url, **more))


def authors(*desks: Desk) -> list[str]:
    return [item["author"] for desk in desks for item in desk.reports.items]


def three_pages(shop: Shop) -> None:
    """A, B, C, each with a next link, seven reviews in all."""
    pages = [["A1", "A2", "A3"], ["B1", "B2", "B3"], ["C1"]]
    for number, names in enumerate(pages, 1):
        links = f'<a rel="next" href="/kettle?page={number + 1}">Next</a>' if number < len(pages) else ""
        path = "/kettle" if number == 1 else f"/kettle?page={number}"
        shop.answers[path] = Answer(reviews_html(names, declared=7, links=links))


async def test_the_demo_shop(desk: MakeDesk, demo_shop: ModuleType) -> None:
    """The demonstration's shop gives all its reviews, in order and in their languages, and says so."""
    one = desk()
    with demo_shop.DemoShop() as server:
        output = await scrape(one, server.url)

    expected = [(o.author, float(o.stars), o.date, o.language, o.title, o.body) for o in demo_shop.OPINIONS]
    found = [(i["author"], i["rating"], i["date"], i["language"], i["title"], i["body"]) for i in one.reports.items]
    assert found == expected
    assert (output.found, output.declared, output.declared_ratings, output.pages) == (36, 36, 58, 3)
    assert (output.stopped, output.partial, output.errors) == ("no_next_page", False, [])
    assert output.sources == {"json-ld": 24, "microdata": 24}
    assert {i["source"] for i in one.reports.items} == {"json-ld", "microdata", "json-ld+microdata"}


async def test_progress_and_checkpoints(desk: MakeDesk, shop: Shop) -> None:
    """Each page is reported with what was found of what is declared, and followed by a checkpoint."""
    three_pages(shop)
    one = desk()

    output = await scrape(one, shop.url())

    shown = [update["progress"] for update in one.reports.updates if update["progress"]]
    assert [(p["message"], p["current"], p["total"]) for p in shown] == [
        ("Page 1: 3 reviews (3 of 7)", 3, 7), ("Page 2: 3 reviews (6 of 7)", 6, 7), ("Page 3: 1 review (7 of 7)", 7, 7),
    ]
    assert len(one.reports.states) == 3
    assert output.message == "7 of 7 reviews on 3 pages; there is no next page."


async def test_an_aborted_crawl_goes_on_where_it_was(desk: MakeDesk, shop: Shop) -> None:
    """Aborted after each page and started with the saved state, it gives the records and the result of an unbroken run,
    and asks for no page that it had read."""
    three_pages(shop)
    unbroken, attempts = desk(), [desk()]
    whole = await scrape(unbroken, shop.url())
    paths = shop.asked("/kettle")

    for done in range(3):
        shop.requests.clear()
        attempts[-1].reports.on_state = lambda count: attempts[-1].abort()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(scrape(attempts[-1], shop.url()))
        assert shop.asked("/kettle") in (paths[done : done + 1], paths[done : done + 2])  # one more may be on its way
        attempts.append(desk(saved=attempts[-1].reports.states[-1]))
    shop.requests.clear()
    output = await scrape(attempts[-1], shop.url())

    assert [item for attempt in attempts for item in attempt.reports.items] == unbroken.reports.items
    assert reading_of(output) == reading_of(whole)
    assert shop.asked("/kettle") == []


async def test_an_abort_closes_the_browser(desk: MakeDesk, shop: Shop) -> None:
    """Cancelled while a page is loading, it leaves no process behind."""
    before = descendants()  # of other tests: servers that live as long as the session
    shop.answers["/kettle"] = Answer(reviews_html(["A"]), wait=20)
    task = asyncio.create_task(scrape(desk(), shop.url()))
    await until(lambda: shop.asked("/kettle") != [], "the page was asked for")
    assert any("chrom" in name for pid, name in descendants().items() if pid not in before)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await until(lambda: descendants().keys() <= before.keys(), "no process was left")


async def until(happened: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise AssertionError(f"within {seconds} s: {what}, which didn't happen")
        await asyncio.sleep(0.02)


async def test_limits(desk: MakeDesk, shop: Shop) -> None:
    """max_pages and max_reviews end the reading, exactly, and the result is partial and says which."""
    three_pages(shop)
    by_pages, by_reviews = desk(), desk()

    output = await scrape(by_pages, shop.url(), max_pages=2)
    assert (output.found, output.pages, output.stopped, output.partial) == (6, 2, "max_pages", True)
    assert output.message == "6 of 7 reviews on 2 pages; max_pages (2) was reached."

    output = await scrape(by_reviews, shop.url(), max_reviews=4)
    assert (authors(by_reviews), output.stopped, output.partial) == (["A1", "A2", "A3", "B1"], "max_reviews", True)


async def test_one_page_alone(desk: MakeDesk, shop: Shop) -> None:
    """Without paging one page is read, and the result says that there were more."""
    three_pages(shop)

    output = await scrape(desk(), shop.url(), paging="none")

    assert (output.found, output.pages, output.stopped, output.partial) == (3, 1, "paging_off", True)


async def test_page_numbers(desk: MakeDesk, shop: Shop) -> None:
    """``?page=N`` is raised by itself where the page declares more reviews than it shows, and on demand."""
    shop.answers |= {"/kettle": Answer(reviews_html(["A", "B"], declared=3)),
                     "/kettle?page=2": Answer(reviews_html(["C"], declared=3)),
                     "/bare": Answer(reviews_html(["A", "B"])), "/bare?page=2": Answer(reviews_html(["C"])),
                     "/bare?page=3": Answer(reviews_html([]))}
    first, second = desk(), desk()

    output = await scrape(first, shop.url())
    assert (authors(first), output.stopped, output.partial) == (["A", "B", "C"], "no_next_page", False)

    output = await scrape(second, shop.url("/bare"), paging="page")
    assert (authors(second), output.stopped, output.pages) == (["A", "B", "C"], "no_new_reviews", 3)


async def test_a_page_that_ignores_the_number(desk: MakeDesk, shop: Shop) -> None:
    """The same reviews again are a reason to stop and no progress; the result tells what is missing."""
    html = reviews_html(["A", "B"], declared=490)
    shop.answers |= {"/kettle": Answer(html), "/kettle?page=2": Answer(html)}
    one = desk()

    output = await scrape(one, shop.url())

    assert authors(one) == ["A", "B"]
    assert (output.found, output.declared, output.stopped, output.partial) == (2, 490, "repeated_page", True)
    assert "shows the same reviews" in output.message


async def test_a_guess_that_leads_nowhere(desk: MakeDesk, shop: Shop) -> None:
    """A raised number that isn't there ends the reading without an error, partial by what was declared."""
    shop.answers["/kettle"] = Answer(reviews_html(["A"], declared=9))

    output = await scrape(desk(), shop.url())

    assert (output.stopped, output.errors, output.partial, output.pages) == ("no_next_page", [], True, 1)


INSTEAD = {
    "login": (Answer("<title>Sign in</title><form><input> <input type=password></form>"), "asks to log in first"),
    "failed": (Answer("<h1>Oops</h1><p>Something went wrong. Please try again later.</p>"), "something went wrong"),
    "soft-404": (Answer("<title>Page not found</title><p>Sorry.</p>"), "it isn't there"),
    "robots": (Answer("<title>Just a moment...</title><p>Verify you are human</p>"), "keeps robots out"),
    "nothing": (Answer(""), "an empty page"),
    "home": (Answer(status=302, Location="/"), "another thing's page"),
    "other": (Answer(status=302, Location="/toaster"), "another thing's page"),
}


async def test_what_comes_instead_of_a_further_page(desk: MakeDesk, shop: Shop) -> None:
    """A linked page that is a login, an error, a check for robots or another thing's page ends the reading as partial,
    says so, and gives no review. Where all that the page declared is found, nothing is missing."""
    shop.answers["/"] = Answer("<title>Home</title><h1>Welcome</h1><p>Buy things.</p>")
    shop.answers["/toaster"] = Answer(reviews_html(["T"]).replace("Kettle", "Toaster"))
    for name, (answer, _) in INSTEAD.items():
        shop.answers[f"/{name}"] = Answer(reviews_html([f"A {name}"], links=f'<a href="/{name}?page=2">Next</a>'))
        shop.answers[f"/{name}?page=2"] = answer
    shop.answers["/whole"] = Answer(reviews_html(["A whole"], declared=1, links='<a href="/whole?page=2">Next</a>'))
    shop.answers["/whole?page=2"] = Answer(status=302, Location="/")
    one = desk()
    names = [*INSTEAD, "whole"]

    output = await scrape_reviews(one.ctx, ScrapeReviewsInput(urls=[shop.url(f"/{name}") for name in names], delay=0,
                                                              concurrency=4))

    assert sorted(authors(one)) == sorted(f"A {name}" for name in names)
    for told, (name, (_, words)) in zip(output.urls, INSTEAD.items(), strict=False):
        assert (told.stopped, told.partial, told.found, told.pages) == ("error", True, 1, 1), name
        assert words in told.message, name
    assert (output.urls[-1].stopped, output.urls[-1].partial) == ("no_next_page", False)


async def test_links_in_a_circle(desk: MakeDesk, shop: Shop) -> None:
    """Pages that link to each other end the reading; a review on both is one."""
    shop.answers |= {"/kettle": Answer(reviews_html(["A", "B"], links='<a rel="next" href="/kettle?page=2">2</a>')),
                     "/kettle?page=2": Answer(reviews_html(["B", "C"], links='<a rel="next" href="/kettle">1</a>'))}
    one = desk()

    output = await scrape(one, shop.url())

    assert (authors(one), output.stopped) == (["A", "B", "C"], "repeated_page")


async def test_pages_without_news(desk: MakeDesk, shop: Shop) -> None:
    """An endless row of pages without a new review ends after two of them."""
    for number in range(1, 9):
        shop.answers["/kettle" if number == 1 else f"/kettle?page={number}"] = Answer(
            reviews_html([] if number > 1 else ["A"], links=f'<a rel="next" href="/kettle?page={number + 1}">next</a>'))

    output = await scrape(desk(), shop.url())

    assert (output.found, output.pages, output.stopped) == (1, 3, "no_new_reviews")


@pytest.mark.parametrize(("html", "words"), [
    ("<title>Just a moment…</title><p>Are you human?</p>", "Its title is 'Just a moment…'"),
    ("<p>stars: 5, by Ann: nice</p>", "No reviews were found"),
])
async def test_no_reviews_is_a_result(desk: MakeDesk, shop: Shop, html: str, words: str) -> None:
    """A wall or plain HTML don't fail: the result says that nothing was found."""
    shop.answers["/kettle"] = Answer(html)

    output = await scrape(desk(), shop.url())

    assert (output.found, output.sources, output.stopped) == (0, {}, "no_next_page")
    assert words in output.message


async def test_reviews_that_scripts_put_there(desk: MakeDesk, shop: Shop) -> None:
    """Reviews that aren't in what the server sent but come by script are found, while a poll never ends."""
    shop.answers["/kettle"] = Answer("""<title>Late</title><div id="here"></div><script>
        setInterval(() => fetch("/poll"), 50);
        setTimeout(() => { document.getElementById("here").innerHTML =
            '<div itemscope itemtype="https://schema.org/Review"><b itemprop="author">Late</b></div>'; }, 300);
        </script>""")
    one = desk()

    await scrape(one, shop.url())

    assert authors(one) == ["Late"]


async def test_robots(desk: MakeDesk, shop: Shop) -> None:
    """robots.txt is kept under our own name, said in the result, and can be set aside."""
    three_pages(shop)
    rules = "User-agent: sse-tasks\nDisallow: /kettle?page=\n\nUser-agent: *\nDisallow: /\n"
    shop.answers["/robots.txt"] = Answer(rules, kind="text/plain")

    output = await scrape(desk(), shop.url())
    assert (output.found, output.stopped, output.partial) == (3, "robots", True)
    assert "doesn't allow" in output.message
    assert all("sse-tasks/" in agent for _, _, agent in shop.requests)

    output = await scrape(desk(), shop.url(), respect_robots=False)
    assert output.found == 7


async def test_robots_forbid_the_first_page(desk: MakeDesk, shop: Shop) -> None:
    """Where nothing may be read, no page is asked for and no browser starts; it is a result and no failure."""
    shop.answers |= {"/kettle": Answer(reviews_html(["A"])),
                     "/robots.txt": Answer("User-agent: *\nDisallow: /", kind="text/plain")}

    output = await scrape(desk(), shop.url())

    assert (output.found, output.pages, output.stopped) == (0, 0, "robots")
    assert shop.asked() == ["/robots.txt"]


async def test_the_delay_is_kept(desk: MakeDesk, shop: Shop) -> None:
    """Between two pages of a host lies the delay, or the longer one of its robots.txt."""
    three_pages(shop)
    await scrape(desk(), shop.url(), delay=0.4, max_pages=2)
    shop.answers["/robots.txt"] = Answer("User-agent: *\nCrawl-delay: 0.6", kind="text/plain")
    first = page_moments(shop)
    shop.requests.clear()

    await scrape(desk(), shop.url(), delay=0.1, max_pages=2)

    assert min(b - a for a, b in itertools.pairwise(first)) >= 0.39
    assert min(b - a for a, b in itertools.pairwise(page_moments(shop))) >= 0.59


def page_moments(shop: Shop) -> list[float]:
    return [moment for path, moment, _ in shop.requests if path.startswith("/kettle")]


async def test_a_busy_host_is_asked_again(desk: MakeDesk, shop: Shop) -> None:
    """429 and 503 are tried again, after as long as Retry-After asks; the reading is whole then."""
    busy = [Answer(status=429, Retry_After="1"), Answer(reviews_html(["A"]))]
    shop.answers["/kettle"] = busy
    one = desk()

    output = await scrape(one, shop.url())

    first, second = page_moments(shop)
    assert (output.found, output.errors) == (1, [])
    assert second - first >= 1.0
    assert "the host wants a pause (status 429); trying again in 1 s" in one.reports.said()


async def test_a_later_page_that_fails(desk: MakeDesk, shop: Shop) -> None:
    """What was found before a page failed is kept: a partial result that names the page and the reason."""
    three_pages(shop)
    shop.answers["/kettle?page=2"] = Answer("<title>Gone</title>", 410)
    one = desk()

    output = await scrape(one, shop.url())

    assert authors(one) == ["A1", "A2", "A3"]
    assert (output.stopped, output.partial) == ("error", True)
    assert output.errors == [f"page 2 ({shop.url('/kettle?page=2')}): the page is gone (status 410)"]
    assert shop.asked("/kettle") == ["/kettle", "/kettle?page=2"]


@pytest.mark.parametrize(("answer", "words"), [
    (Answer("<title>No</title>", 404), "no such page .status 404"),
    (Answer("a,b", kind="text/csv", Content_Disposition="attachment"), "it is no page"),
    (Answer('{"reviews": []}', kind="application/json"), "it is no page but application/json"),
    (Answer("<script>location.reload()</script>"), "keeps reloading itself"),
])
async def test_no_page_at_all(desk: MakeDesk, shop: Shop, answer: Answer, words: str) -> None:
    """A start address that gives no page fails with the reason in words, at once, and writes no download. More of the
    kind stand among the bad pages."""
    shop.answers["/kettle"] = answer
    one = desk()

    with pytest.raises(TaskError, match=words) as caught:
        await scrape(one, shop.url())

    assert caught.value.code == "page_failed"
    assert {file.name for file in one.ctx.files.iterdir()} <= {"failed-page.html", "failed-page.png",
                                                           "failed-page.trace.zip"}


async def test_a_page_that_nags(desk: MakeDesk, shop: Shop) -> None:
    """Alerts, a plea not to leave and windows change nothing; the windows are said."""
    nagging = """<script>onbeforeunload = () => "stay";
        for (let i = 0; i < 5; i++) { alert(i); open("/popup"); }</script>"""
    shop.answers["/kettle"] = Answer(reviews_html(["A"], links=nagging))
    one = desk()

    output = await scrape(one, shop.url())

    assert authors(one) == ["A"]
    assert output.errors == [f"page 1 ({shop.url()}): it opened 5 windows, which were closed"]


async def test_a_redirect_to_an_internal_address(desk: MakeDesk, shop: Shop, other_shop: Shop) -> None:
    """A redirect to an internal host that wasn't asked for fails, and goes through where that is allowed. What else of
    a page doesn't reach it stands among the bad pages."""
    other_shop.answers["/admin"] = Answer(reviews_html(["Inside"]))
    shop.answers["/kettle"] = Answer(status=302, Location=other_shop.url("/admin"))
    allowed = desk()

    with pytest.raises(TaskError, match="internal address that was not asked for"):
        await scrape(desk(), shop.url())
    assert other_shop.requests == []

    await scrape(allowed, shop.url(), allow_hosts=["127.0.0.1"])
    assert authors(allowed) == ["Inside"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data:text/html,x", "javascript:alert(1)", "http://", "https://:80/",
                                 "http://[", "http://host:99999/", "ftp://host/"])
async def test_addresses_that_are_none(desk: MakeDesk, url: str) -> None:
    """What isn't a web address is refused before any browser starts."""
    with pytest.raises(TaskError) as caught:
        await scrape(desk(), url)

    assert caught.value.code == "bad_url"


async def test_no_answer(desk: MakeDesk, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that isn't there is tried three times and named."""
    monkeypatch.setattr("sse_tasks_workers.scrape_reviews.politeness.BACKOFF_SECONDS", 0.05)
    one = desk()
    shop.shutdown()
    shop.server_close()

    with pytest.raises(TaskError, match="can't be read"):
        await scrape(one, shop.url(), respect_robots=False)

    assert one.reports.said().count("trying again") == 2


async def test_the_chosen_browser(desk: MakeDesk, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable names the browser; what it names has to exist, and without any browser the error says what to do."""
    monkeypatch.setenv("SSE_TASKS_BROWSER", "/nowhere/chromium")
    with pytest.raises(TaskError, match="names '/nowhere/chromium', which is no program") as caught:
        await scrape(desk(), shop.url(), respect_robots=False)
    assert caught.value.code == "no_browser"

    monkeypatch.delenv("SSE_TASKS_BROWSER")
    found = browser.find_browser()
    assert shutil.which(found) and os.access(found, os.X_OK)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TaskError, match="playwright install chromium"):
        browser.find_browser()
