"""Property: reviews written into a page, in whichever syntax, come back equal."""

from __future__ import annotations

import datetime as dt
import html
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sse_tasks_workers.scrape_reviews.extraction import read_page

# Blanks are joined where HTML joins them, so texts are words with single blanks between them. U+FEFF and the like are
# blanks to no one; control characters are cut (another test).
letters = st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Cn", "Co", "Cf"])
words = st.text(letters, min_size=1, max_size=12)
texts = st.lists(words, min_size=1, max_size=8).map(" ".join)
# An author that is an address is taken for one, and a text that is only a date or a number is still a text.
authors = texts.filter(lambda text: not text.startswith("http"))
records = st.fixed_dictionaries({
    "author": st.none() | authors,
    "rating": st.none() | st.sampled_from([1.0, 2.5, 4.0, 5.0]),
    "date": st.none() | st.dates(dt.date(1900, 1, 1), dt.date(2200, 12, 31)).map(dt.date.isoformat),
    "title": st.none() | texts,
    "body": texts,
})


def as_jsonld(record: dict[str, Any]) -> str:
    review = {"@type": "Review", "author": record["author"] and {"@type": "Person", "name": record["author"]},
              "reviewRating": record["rating"] and {"@type": "Rating", "ratingValue": record["rating"]},
              "datePublished": record["date"], "name": record["title"], "reviewBody": record["body"]}
    text = json.dumps({"@context": "https://schema.org", **review}).replace("<", "\\u003c")
    return f'<script type="application/ld+json">{text}</script>'


def marked(record: dict[str, Any], prop: str, scope: str) -> str:
    """The record as elements; microdata and RDFa differ in the attributes' names only."""
    def element(name: str, value: object) -> str:
        return "" if value is None else f'<span {prop}="{name}">{html.escape(str(value))}</span>\n'

    rating = "" if record["rating"] is None else (
        f'<span {prop}="reviewRating" {scope.format("Rating")}>{element("ratingValue", record["rating"])}</span>')
    return (f"<div {scope.format('Review')}>{element('author', record['author'])}{rating}"
            f"{element('name', record['title'])}{element('datePublished', record['date'])}"
            f"<p {prop}='reviewBody'>{html.escape(record['body'])}</p></div>")


def as_microdata(record: dict[str, Any]) -> str:
    return marked(record, "itemprop", 'itemscope itemtype="https://schema.org/{}"')


def as_rdfa(record: dict[str, Any]) -> str:
    return marked(record, "property", 'vocab="http://schema.org/" typeof="{}"')


def as_hreview(record: dict[str, Any]) -> str:
    def element(name: str, value: object) -> str:
        return "" if value is None else f'<span class="{name}">{html.escape(str(value))}</span>\n'

    name = element("fn", record["author"])
    author = f'<span class="reviewer vcard">{name}</span>' if name else ""
    return (f'<div class="hreview">{author}{element("rating", record["rating"])}{element("summary", record["title"])}'
            f'{element("dtreviewed", record["date"])}<p class="description">{html.escape(record["body"])}</p></div>')


def as_h_review(record: dict[str, Any]) -> str:
    def element(name: str, value: object) -> str:
        return "" if value is None else f'<span class="{name}">{html.escape(str(value))}</span>\n'

    parts = {"p-author": "author", "p-rating": "rating", "p-name": "title", "dt-published": "date", "e-content": "body"}
    return f'<div class="h-review">{"".join(element(name, record[field]) for name, field in parts.items())}</div>'


def as_json(record: dict[str, Any]) -> str:
    text = json.dumps({"reviews": [{**record, "verified": True}]}).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


@pytest.mark.parametrize(("syntax", "write"), [
    ("json-ld", as_jsonld), ("microdata", as_microdata), ("rdfa", as_rdfa), ("hreview", as_hreview),
    ("h-review", as_h_review),
])
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_written_comes_back(syntax: str, write: Any, data: st.DataObject) -> None:
    """Author, rating, date, title and body of each review come back as they were written, in order."""
    written = data.draw(st.lists(records, min_size=1, max_size=5, unique_by=lambda r: (r["author"], r["body"])))

    page = read_page("<!doctype html><html><body>" + "\n".join(map(write, written)) + "</body></html>", "http://x/")

    found = [{name: getattr(review, name) for name in written[0]} for review in page.reviews]
    assert found == written
    assert {review.source for review in page.reviews} == {syntax}
    assert page.problems == []


@settings(max_examples=60, deadline=None)
@given(st.lists(records.filter(lambda r: r["author"] or r["rating"]), min_size=1, max_size=5,
                unique_by=lambda r: (r["author"], r["body"])))
def test_what_stands_in_a_pages_data_comes_back(written: list[dict[str, Any]]) -> None:
    """The same of JSON that a page holds for its scripts, where words need an author or a rating to be a review's."""
    page = read_page("<html><body>" + "\n".join(map(as_json, written)), "http://x/")

    assert [{name: getattr(review, name) for name in written[0]} for review in page.reviews] == written
    assert page.sources == {"json": len(written)}


@settings(max_examples=60, deadline=None)
@given(st.lists(records, min_size=1, max_size=5, unique_by=lambda r: r["body"].casefold()))
def test_all_syntaxes_together_are_each_review_once(written: list[dict[str, Any]]) -> None:
    """The same reviews in all four syntaxes are as many reviews as in one."""
    bodies = [f"Review number {n} of these: {record['body']}" for n, record in enumerate(written)]
    full = [{**record, "body": body} for record, body in zip(written, bodies, strict=True)]
    html_text = "".join(write(record) for write in (as_jsonld, as_microdata, as_rdfa, as_hreview) for record in full)

    page = read_page(f"<html><body>{html_text}</body></html>", "http://shop.example/")

    assert [review.body for review in page.reviews] == bodies
    assert {review.source for review in page.reviews} == {"json-ld+microdata+rdfa+hreview"}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*'{}[]",:<>/=\\ \n', "@type", "Review", "script", "itemscope", "itemprop", "typeof",
                                 "property", "div", "hreview", "class"])).map("".join))
def test_no_page_makes_it_raise(soup: str) -> None:
    """Whatever stands in a page, reading it ends with a result."""
    read_page(f'<script type="application/ld+json">{soup}</script><div itemscope>{soup}<p typeof="Review" {soup}>',
              "http://x/")
