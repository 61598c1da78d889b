"""Structured data, robots.txt and sitemaps that are right in a way that few are, or wrong in a way that many are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sse_tasks_workers.scrape_reviews.addresses import is_web_address
from sse_tasks_workers.scrape_reviews.extraction import Page, read_page
from sse_tasks_workers.scrape_reviews.politeness import Politeness
from sse_tasks_workers.scrape_reviews.sitemap import read_sitemap

URL = "https://shop.example/kettle"


def read(*blocks: Any) -> Page:
    scripts = "".join(f'<script type="application/ld+json">{json.dumps(block)}</script>' for block in blocks)
    return read_page(f'<html lang="en">{scripts}</html>', URL)


def review(author: str, **more: Any) -> dict[str, Any]:
    return {"@type": "Review", "author": author, "reviewBody": f"What {author} says.", **more}


def product(name: str | None = "Kettle", **more: Any) -> dict[str, Any]:
    return {"@context": "https://schema.org", "@type": "Product", **({"name": name} if name else {}), **more}


def aggregate(count: int) -> dict[str, Any]:
    return {"@type": "AggregateRating", "ratingValue": 4, "reviewCount": count}


@pytest.mark.parametrize("wrapped", [
    lambda reviews: [reviews], lambda reviews: {"@list": reviews}, lambda reviews: {"@set": [reviews]},
])
def test_lists_in_lists(wrapped: Callable[[Any], Any]) -> None:
    """Reviews and ratings are found in lists in lists, and in JSON-LD's own kinds of lists."""
    page = read(product(review=wrapped([review("Ann", reviewRating=[[{"ratingValue": "4,5", "bestRating": 5}]]),
                                        review("Bo")])))

    assert [(r.author, r.rating) for r in page.reviews] == [("Ann", 4.5), ("Bo", None)]


def test_a_thing_in_two_blocks() -> None:
    """Name and total of a thing are those of its id, wherever they stand; many names of one id take no square time."""
    page = read(product(**{"@id": "#p"}, aggregateRating=aggregate(12)),
                product(None, **{"@id": "#p"}, review=review("Ann")))

    assert [(r.author, r.item) for r in page.reviews] == [("Ann", "Kettle")]
    assert page.declared.reviews == 12
    assert read({"@graph": [product(**{"@id": "#p", f"k{n}": "x"}) for n in range(20_000)]}).reviews == []


def test_other_things_reviews() -> None:
    """Reviews of things that a shop shows beside this one aren't this one's."""
    page = read(product(review=review("Ann"), isRelatedTo=[product("Pot", review=review("Bo"))],
                        isSimilarTo=product("Pan", review=review("Cy"))))

    assert [r.author for r in page.reviews] == ["Ann"]


def test_the_shops_own_total_is_not_the_things() -> None:
    """Where a shop has reviews of itself on a thing's page, how many there are is said of the thing."""
    shop = {"@type": "Organization", "name": "Shop", "aggregateRating": aggregate(9999), "review": review("Zoe")}

    assert read(shop, product(review=review("Ann"), aggregateRating=aggregate(1))).declared.reviews == 1
    assert read(shop).declared.reviews == 9999


def test_an_answer_that_is_marked_as_a_review() -> None:
    """A review of a review is an answer to it."""
    answer = review("Shop", itemReviewed={"@type": "Review", "@id": "#1"})
    page = read(product(review=[review("Ann", **{"@id": "#1"}), answer]))

    assert [r.author for r in page.reviews] == ["Ann"]


def test_an_authors_name_is_no_title() -> None:
    """A name within an author that is no thing of its own belongs to the author alone."""
    page = read_page('<div itemscope itemtype="https://schema.org/Review"><a itemprop="author" href="/ann"><b '
                     'itemprop="name">Ann</b></a><p itemprop="reviewBody">Fine</p></div>', URL)

    assert [(r.author, r.title, r.body) for r in page.reviews] == [("Ann", None, "Fine")]


@pytest.mark.parametrize(("url", "expected"), [
    ("http://x.example/a b", True), ("http://user:word@x.example/", True), ("http://x.example\\@127.0.0.1/", False),
    ("http://a b/", False), ("http://x.example:0/", False), ("http://[/", False),
])
def test_addresses_that_browsers_read_otherwise(url: str, expected: bool) -> None:
    """What a browser would take for another host than we do is no address."""
    assert is_web_address(url) is expected


def polite(answer: httpx.Response, respect_robots: bool) -> tuple[httpx.AsyncClient, Politeness]:
    async def at_once(seconds: float) -> None:
        pass

    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: answer), follow_redirects=True)
    return client, Politeness(client, 0, respect_robots, at_once)


@pytest.mark.parametrize("rules", [
    b"\xef\xbb\xbfUser-agent: *\nDisallow: /private", b"User-agent: *\x00\r\nDisallow: /private",
    b"User-agent: sse-tasks/1.2.3\nDisallow: /private\n\nUser-agent: *\nDisallow:",
    b"User-agent: *\rDisallow: /private", b"USER-AGENT: SSE-TASKS\nDISALLOW: /private\nDisallow: /" + b"*a" * 10_000,
])
async def test_robots_in_odd_spellings(rules: bytes) -> None:
    """robots.txt is kept with a byte order mark, NULs, old line ends, capitals and patterns without end."""
    client, manners = polite(httpx.Response(200, content=rules), respect_robots=True)
    async with client:
        robots = await manners.robots("http://shop.example/")

    assert not robots.allows("http://shop.example/private/1")
    assert robots.allows("http://shop.example/open")


@pytest.mark.parametrize(("count", "said"), [
    (5, []), (6, ["only the first 5 addresses of the sitemap were taken (max_urls)"]),
])
async def test_a_sitemap_of_just_so_many(count: int, said: list[str]) -> None:
    """A sitemap with as many addresses as are wanted is read whole; with one more, that is said. One address twice
    is one."""
    places = [f"<url><loc>http://shop.example/{n}</loc></url>" for n in (0, *range(count))]
    client, manners = polite(httpx.Response(200, text=f"<urlset>{''.join(places)}</urlset>"), respect_robots=False)
    async with client:
        found, problems = await read_sitemap(client, manners, "http://shop.example/sitemap.xml", None, 5)

    assert (len(found), problems) == (5, said)


async def test_one_host_in_several_spellings() -> None:
    """Capitals, the scheme's own port and a user's name make no other host: its robots.txt is asked for once."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, text="User-agent: *\nDisallow: /private")

    async def at_once(seconds: float) -> None:
        pass

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        manners = Politeness(client, 0, True, at_once)
        for host in ("shop.example", "Shop.Example", "shop.example:80", "ann@shop.example"):
            assert not (await manners.robots(f"http://{host}/private")).allows(f"http://{host}/private")

    assert asked == ["/robots.txt"]
