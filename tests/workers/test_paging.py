"""Where the next page is, and that nothing else is taken for it."""

from __future__ import annotations

import pytest
from sse_tasks_workers.scrape_reviews.markup import parse_page
from sse_tasks_workers.scrape_reviews.paging import NextPage, find_next, is_page_of, with_page_number

START = "https://shop.example/kettle"


def next_of(body: str, url: str = START) -> NextPage:
    return find_next(parse_page(f"<html><body>{body}</body></html>"), url, url, START)


@pytest.mark.parametrize(("body", "expected"), [
    ('<a rel="next" href="?page=2">2</a>', START + "?page=2"),
    ('<a rel="nofollow NEXT" href="/kettle/reviews/2#top">2</a>', START + "/reviews/2"),
    ('<link rel="next" href="/kettle/page/2">', START + "/page/2"),
    ('<a href="?start=40">Next</a>', START + "?start=40"),
    ('<a href="?page=2">Weiter ›</a>', START + "?page=2"),
    ('<a href="?page=2" aria-label="Next page"><svg></svg></a>', START + "?page=2"),
    ('<a href="?page=2">次へ</a>', START + "?page=2"),
    ('<a href="?sort=new&amp;page=2">2</a><a href="?page=2">2</a><a href="?page=3">3</a>', START + "?page=2"),
    ('<a href="?slide=2">›</a><ul class="pagination"><a href="?page=2">›</a></ul>', START + "?page=2"),
    ('<a href="?page=1">1</a><a href="?page=3">3</a>', None),
    ('<a href="?page=0">1</a><a href="?page=1">2</a><a href="?page=2">3</a>', START + "?page=1"),
    ('<a href="?start=0">1</a><a href="?start=10">2</a><a href="?start=20">3</a>', START + "?start=10"),
    ('<p class="pagination"><b>1</b><a href="/kettle/page/2/">2</a><a href="/kettle/page/3/">3</a></p>',
     START + "/page/2/"),
    ('<p class="pagination"><a href="?o=0">1</a><b class="current">2</b><a href="?o=2">3</a></p>', START + "?o=2"),
    ('<p>In <a href="/kettle?year=1">1</a> and <a href="/kettle?year=2">2</a></p>', None),
    ('<p class="pagination"><a href="/kettle/page/1">1</a><b>2</b></p>', None),
    ('<p class="pagination"><b>1</b><a href="/toaster/page/2/">2</a></p>', None),
    ('<a href="#next">Next</a><a href="javascript:more()">Next</a><a href="http://[">Next</a>', None),
    ('<a href="/kettle">Next</a>', None),
])
def test_next_page(body: str, expected: str | None) -> None:
    """A next link by relation, word or label in many languages, else the link that has the next number."""
    assert next_of(body).url == expected


@pytest.mark.parametrize("body", [
    '<a rel="next" href="/toaster">Next post</a>',
    '<link rel="next" href="https://shop.example/2024/05/another-story/">',
    '<a rel="next" href="https://elsewhere.example/kettle?page=2">next</a>',
    '<a rel="next" href="file:///etc/passwd">next</a>',
])
def test_another_things_page_is_refused(body: str) -> None:
    """A next link to the next article, another host or another scheme isn't followed, and is named."""
    found = next_of(body)

    assert found.url is None
    assert found.refused


@pytest.mark.parametrize(("target", "url", "expected"), [
    ("/kettle?page=2", "/kettle", True),
    ("/kettle/2", "/kettle", True),
    ("/kettle/page/2/", "/kettle/", True),
    ("/kettle-p3.html", "/kettle-p2.html", True),
    ("/kettle-2.html", "/kettle.html", True),
    ("/reviews/kettle-page-2", "/reviews/kettle", True),
    ("/recipe/comment-page-3/", "/recipe/comment-page-2/", True),
    ("/product/42", "/product/41", False),
    ("/kettles", "/kettle", False),
    ("/toaster?page=2", "/kettle?page=1", False),
])
def test_is_page_of(target: str, url: str, expected: bool) -> None:
    """The same address but for a page's mark is a page of it; the next product's number is no page's."""
    assert is_page_of("https://shop.example" + target, "https://shop.example" + url) is expected


def test_raising_the_number() -> None:
    """The parameter that is there is raised, else ``page`` is added; the rest stays, and the fragment goes."""
    assert with_page_number(START + "?a=1&p=3&b=#x", 4) == START + "?a=1&p=4&b="
    assert with_page_number(START, 2) == START + "?page=2"
