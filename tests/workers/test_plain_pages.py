"""Pages that needn't be shown in a tab: where what the server sends says it all, and everywhere else not."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from desk import Desk
from shop import Answer, Shop, reviews_html
from sse_tasks_workers.scrape_reviews import ScrapeReviewsInput, ScrapeReviewsOutput, scrape_reviews

pytestmark = pytest.mark.browser

MakeDesk = Callable[..., Desk]
PAGES = 7
IDLE_SCRIPT = "<script>document.documentElement.className = 'js'</script>"


async def scrape(desk: Desk, shop: Shop, **input: Any) -> ScrapeReviewsOutput:
    return await scrape_reviews(desk.ctx, ScrapeReviewsInput(**{"url": shop.url(), "delay": 0.0, **input}))


def path_of(page: int) -> str:
    return "/kettle" if page == 1 else f"/kettle?page={page}"


def link_after(page: int, pages: int = PAGES) -> str:
    return f'<a rel="next" href="/kettle?page={page + 1}">Next</a>' if page < pages else ""


def authors_of(page: int) -> list[str]:
    return [f"Äda {page}", f"Bo {page}", f"Cy {page}"]


def fill(shop: Shop, extra: str = "", *, pages: int = PAGES) -> None:
    """Pages of three reviews each, all in what the server sends."""
    for page in range(1, pages + 1):
        html = reviews_html(authors_of(page), links=link_after(page, pages) + extra)
        shop.answers[path_of(page)] = Answer(html)


def all_authors() -> list[str]:
    return [author for page in range(1, PAGES + 1) for author in authors_of(page)]


def authors(desk: Desk) -> list[str]:
    return [item["author"] for item in desk.reports.items]


def shown(shop: Shop) -> list[int]:
    return [page for page in range(1, PAGES + 1) if path_of(page) in shop.shown]


async def test_what_the_server_sends_says_it_all(desk: MakeDesk, shop: Shop) -> None:
    """Only the first pages, until that is known, and the last one, which might have to be asked for more, are shown;
    the records are those that showing every page gives, in the same order."""
    fill(shop, IDLE_SCRIPT)
    plainly, showing = desk(), desk()

    output = await scrape(plainly, shop)

    assert authors(plainly) == all_authors() and output.stopped == "no_next_page" and output.pages == PAGES
    assert set(shown(shop)) <= {1, 2, PAGES} and {1, PAGES} <= set(shown(shop))
    await scrape(showing, shop, render="always")
    assert shown(shop) == [*range(1, PAGES + 1)]
    assert plainly.reports.items == showing.reports.items


async def test_scripts_that_bring_reviews_have_each_page_shown(desk: MakeDesk, shop: Shop) -> None:
    """Where a tab sees more than the server sends, every page is shown."""
    for page in range(1, PAGES + 1):
        first, *rest = authors_of(page)
        more = f"<script>document.body.insertAdjacentHTML('beforeend', {block(rest)!r})</script>"
        shop.answers[path_of(page)] = Answer(reviews_html([first], links=link_after(page) + more))
    one = desk()

    await scrape(one, shop)

    assert sorted(authors(one)) == sorted(all_authors())
    assert shown(shop) == [*range(1, PAGES + 1)]


def block(names: list[str]) -> str:
    return "".join(f'<div itemscope itemtype="https://schema.org/Review"><b itemprop="author">{name}</b>'
                   f'<p itemprop="reviewBody">{name} likes it.</p></div>' for name in names)


async def test_a_page_that_says_less_is_shown_and_all_after_it(desk: MakeDesk, shop: Shop) -> None:
    """A page whose reviews come by a script, in the midst of others, is looked at in a tab, and costs nothing but
    that; the rule that the first page gave doesn't hold any more then."""
    fill(shop)
    script = f"<script>document.body.insertAdjacentHTML('beforeend', {block(authors_of(4))!r})</script>"
    shop.answers[path_of(4)] = Answer(reviews_html([], links=link_after(4) + script))
    one = desk()

    await scrape(one, shop)

    assert authors(one) == all_authors()
    assert 4 in shown(shop) and shown(shop)[-2:] == [PAGES - 1, PAGES]


async def test_a_page_that_cant_be_had_plainly_is_shown(desk: MakeDesk, shop: Shop) -> None:
    """Whatever else comes of asking for a page, asking again in a tab decides, for this page alone. A small answer that
    unfolds to more than can be read is cut there."""
    fill(shop, pages=11)
    bomb = reviews_html(authors_of(9), links=link_after(9, 11)) + " " * 50_000_000
    shop.answers[path_of(9)] = Answer(gzip.compress(bomb.encode(), 1), Content_Encoding="gzip")
    refusals = {
        3: Answer("Wait", 503), 4: Answer("Wait", 429, Retry_After="1"), 5: Answer("No", 403),
        6: Answer("", 302, Location="/moved"),
        7: Answer(reviews_html(authors_of(7)).encode("utf-16"), kind="text/html"),
        8: Answer("\u00e4".encode("latin-1"))}
    for page, refusal in refusals.items():
        whole = shop.answers[path_of(page)]
        assert isinstance(whole, Answer)
        shop.answers[path_of(page)] = [refusal, whole]
    one = desk()

    output = await scrape(one, shop)

    assert authors(one) == [author for page in range(1, 12) for author in authors_of(page)]
    assert output.stopped == "no_next_page" and "/moved" not in shop.asked()
    assert [error for error in output.errors if "only its first 10 MB" in error] == output.errors
    assert {page: (shop.asked().count(path_of(page)), shop.shown.count(path_of(page))) for page in range(3, 12)} == {
        **dict.fromkeys(refusals, (2, 1)), 9: (2, 1), 10: (1, 0), 11: (2, 1)}


async def test_the_pages_of_another_encoding(desk: MakeDesk, shop: Shop) -> None:
    """What a page's own tags say of its encoding holds for pages that aren't shown, too, and so it does where nobody
    tells how long a page is."""
    for page in range(1, PAGES + 1):
        html = reviews_html(authors_of(page), links=link_after(page)).replace("<head>", '<head><meta charset="koi8-r">')
        html = html.replace("\\u00c4da", "\u042f\u043d\u0430")  # a name in Cyrillic letters
        shop.answers[path_of(page)] = Answer(html.encode("koi8-r"), kind="text/html", tells_length=False)
    one = desk()

    await scrape(one, shop)

    assert [author for author in authors(one) if author.startswith("\u042f\u043d\u0430")] == [
        f"\u042f\u043d\u0430 {page}" for page in range(1, PAGES + 1)]
    assert len(shown(shop)) < PAGES


async def test_cookies_that_come_with_plain_pages(desk: MakeDesk, shop: Shop) -> None:
    """They are the tab's own, and saved with the state: each page is asked for with those of the one before, also by
    another attempt."""
    fill(shop, IDLE_SCRIPT)
    for page in range(1, PAGES + 1):
        answer = shop.answers[path_of(page)]
        assert isinstance(answer, Answer)
        answer.headers["Set-Cookie"] = f"seen={page}; HttpOnly"
    one = desk()

    await scrape(one, shop)

    assert {page: shop.cookies[path_of(page)] for page in range(2, PAGES)} == {
        page: f"seen={page - 1}" for page in range(2, PAGES)}  # the last one is asked for twice
    shop.cookies.clear()
    await scrape(desk(one.reports.states[3]), shop)
    assert shop.cookies[path_of(5)] == "seen=4"


async def test_several_tabs_ask_side_by_side(desk: MakeDesk, shop: Shop) -> None:
    """With more tabs the pages come in another order, and none is lost or doubled."""
    for page in range(1, PAGES + 1):
        shop.answers[path_of(page)] = Answer(reviews_html(authors_of(page), declared=3 * PAGES, links=link_after(page)))
    one = desk()

    output = await scrape(one, shop, concurrency=3)

    assert sorted(authors(one)) == sorted(all_authors()) and output.declared == output.found == 3 * PAGES
