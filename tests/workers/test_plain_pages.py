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
    fill(shop, pages=14)
    bomb = reviews_html(authors_of(11), links=link_after(11, 14)) + " " * 50_000_000
    shop.answers[path_of(11)] = Answer(gzip.compress(bomb.encode(), 1), Content_Encoding="gzip")
    refusals = {
        3: Answer("Wait", 503), 4: Answer("Wait", 429, Retry_After="1"), 5: Answer("No", 403),
        7: Answer("", 302, Location="/moved"),
        9: Answer(reviews_html(authors_of(9)).encode("utf-16-le"), kind="text/html; charset=utf-8"),
        13: Answer("\u00e4".encode("latin-1"))}
    for page, refusal in refusals.items():
        whole = shop.answers[path_of(page)]
        assert isinstance(whole, Answer)
        shop.answers[path_of(page)] = [refusal, whole]
    one = desk()

    output = await scrape(one, shop)

    assert authors(one) == [author for page in range(1, 15) for author in authors_of(page)]
    assert output.stopped == "no_next_page" and "/moved" not in shop.asked()
    assert [error for error in output.errors if "only its first 10 MB" in error] == output.errors
    assert {page: (shop.asked().count(path_of(page)), shop.shown.count(path_of(page))) for page in range(3, 15)} == {
        **dict.fromkeys(range(3, 15), (1, 0)), **dict.fromkeys(refusals, (2, 1)), 11: (2, 1), 14: (2, 1)}


async def test_a_host_that_refuses_plain_pages_isnt_asked_twice_for_each(desk: MakeDesk, shop: Shop) -> None:
    """After two pages in a row that couldn't be had without being shown, it isn't tried any more: whether there is a
    status for it, or a page that asks who one is."""
    fill(shop)
    for page, refusal in {3: Answer("No", 403), 4: Answer("<title>Just a moment...</title>")}.items():
        whole = shop.answers[path_of(page)]
        assert isinstance(whole, Answer)
        shop.answers[path_of(page)] = [refusal, whole]
    one = desk()

    await scrape(one, shop)

    assert authors(one) == all_authors()
    assert [shop.asked().count(path_of(page)) for page in range(1, PAGES + 1)] == [1, 1, 2, 2, 1, 1, 1]


async def test_a_page_that_falls_a_little_short_is_shown(desk: MakeDesk, shop: Shop) -> None:
    """A page with fewer reviews than those before it, or one without what all before had, is looked at in a tab. Where
    that brings no more, pages needn't be shown as before; where it does, all further ones are. If the shop says that
    there are still more, the result names the pages that weren't shown."""
    fill(shop, pages=9)
    shop.answers[path_of(1)] = Answer(reviews_html(authors_of(1), declared=30, links=link_after(1, 9)))
    shop.answers[path_of(3)] = Answer(reviews_html(authors_of(3)[:2], links=link_after(3, 9)))
    shop.answers[path_of(4)] = Answer(reviews_html(authors_of(4)[:2], links=link_after(4, 9)))
    shop.answers[path_of(6)] = Answer(reviews_html(authors_of(6), links=link_after(6, 9) + (
        "<script>for (const s of document.scripts) s.text = s.text.replaceAll('unrated', 'ratingValue')</script>"
    )).replace("ratingValue", "unrated", 3))
    one = desk()

    output = await scrape(one, shop)

    rated = {item["page"]: item["rating"] for item in one.reports.items}
    assert len(authors(one)) == 25 and set(rated.values()) == {4.0}
    assert [page for page in range(3, 10) if path_of(page) in shop.shown] == [3, 6, 7, 8, 9]
    assert output.partial and "25 of 30" in output.message
    assert '2 of the pages were read as the server sent them; render="always" shows each' in output.message


async def test_nothing_of_the_page_runs_on_while_others_are_asked_for(desk: MakeDesk, shop: Shop) -> None:
    """The tab has left the page that was shown: what polls on it polls no more, and what its policy forbids it to ask
    for isn't forbidden for the pages after it."""
    poll = "<script>(function poll() { fetch('/poll').then(poll, poll); })()</script>"
    for page in range(1, PAGES + 1):
        shop.answers[path_of(page)] = Answer(reviews_html(authors_of(page), links=link_after(page) + poll),
                                             wait=0.5 if page == 4 else 0.0,
                                             Content_Security_Policy="sandbox allow-scripts")
    one = desk()

    await scrape(one, shop)

    assert authors(one) == all_authors() and shown(shop) == [1, 2, PAGES]
    asked = shop.asked()
    assert "/poll" in asked
    assert asked[asked.index(path_of(4)) : asked.index(path_of(PAGES))].count("/poll") <= 2  # each shown page's last


async def test_pages_are_what_a_tab_would_make_of_them(desk: MakeDesk, shop: Shop) -> None:
    """A byte order mark goes before what the header says of the encoding, and addresses are spelled as the browser
    spells them, as in a page that is shown."""
    for page in range(1, PAGES + 1):
        link = f'<a rel="next" href="/kettle?gr\u00f6\u00dfe=1&amp;page={page + 1}">Next</a>' if page < PAGES else ""
        html = "\ufeff" + reviews_html(authors_of(page), links=link).replace("\\u00c4", "\u00c4")
        path = "/kettle" if page == 1 else f"/kettle?gr%C3%B6%C3%9Fe=1&page={page}"
        shop.answers[path] = Answer(html.encode(), kind="text/html; charset=iso-8859-1")
    one = desk()

    await scrape(one, shop)

    assert authors(one) == all_authors() and len(shop.shown) < PAGES
    assert {item["page_url"] for item in one.reports.items[9:-3]} == {
        shop.url(f"/kettle?gr%C3%B6%C3%9Fe=1&page={page}") for page in range(4, PAGES)}


async def test_pages_that_get_another_address_by_a_script_are_shown(desk: MakeDesk, shop: Shop) -> None:
    """It is the address that their records have, and nobody who doesn't show them knows it."""
    script = "<script>history.replaceState(null, '', location.href.replace(/\\?|$/, '?seen=1&'))</script>"
    fill(shop, script, pages=4)
    one = desk()

    await scrape(one, shop)

    assert [item["page_url"] for item in one.reports.items[::3]] == [
        shop.url(f"/kettle?seen=1&{page}") for page in ("", "page=2", "page=3", "page=4")]
    assert shown(shop) == [1, 2, 3, 4]


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
    another attempt, which goes on as if nothing had happened."""
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
    two = desk(one.reports.states[3])
    await scrape(two, shop)
    assert shop.cookies[path_of(5)] == "seen=4"
    assert authors(two) == all_authors()[12:]


async def test_several_tabs_ask_side_by_side(desk: MakeDesk, shop: Shop) -> None:
    """With more tabs the pages come in another order, and none is lost or doubled."""
    for page in range(1, PAGES + 1):
        shop.answers[path_of(page)] = Answer(reviews_html(authors_of(page), declared=3 * PAGES, links=link_after(page)))
    one = desk()

    output = await scrape(one, shop, concurrency=3)

    assert sorted(authors(one)) == sorted(all_authors()) and output.declared == output.found == 3 * PAGES
