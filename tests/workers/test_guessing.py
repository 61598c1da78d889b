"""Pages with neither structured data nor a profile: lists of reviews by their looks, and lists of other things."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sse_tasks_workers.scrape_reviews.extraction import read_page

PAGE_TIME = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def read(body: str, language: str = "en") -> Any:
    return read_page(f'<!doctype html><html lang="{language}"><body>{body}</body></html>', "http://x.example/",
                     base=PAGE_TIME)


def repeated(block: str, count: int = 4) -> str:
    """``{n}`` in the block is 1, 2, …"""
    return "".join(block.replace("{n}", str(n)) for n in range(1, count + 1))


LISTS = {
    "stars in text": (
        "<h2>Customer reviews</h2><div>" + repeated(
            '<div class="x-{n}"><div><span class="user-name">User {n}</span> ★★★★☆ <span>March {n}, 2024</span></div>'
            "<h4>Title {n}</h4><p>I liked it a lot, number {n}, and would buy it again.</p></div>") + "</div>", "en",
        {"author": "User 1", "rating": 4.0, "rating_best": 5.0, "date": "2024-03-01", "title": "Title 1",
         "body": "I liked it a lot, number 1, and would buy it again."}),
    "spoken, with answers": (
        '<section class="bewertungen">' + repeated(
            '<div><b class="author">Uli {n}</b><i aria-label="{n} von 5 Sternen"></i><span>vor 3 '
            'Tagen</span><p>Sehr gut, '
            'gerne wieder, Nummer {n}.</p><div class="shop-antwort reply">Danke sehr für diese überaus freundlichen '
            "Worte, wir freuen uns wirklich.</div></div>") + "</section>", "de",
        {"author": "Uli 1", "rating": 1.0, "rating_best": 5.0, "date": "2026-11-21",
         "body": "Sehr gut, gerne wieder, Nummer 1."}),
    "a width": (
        '<div class="reviews"><ul>' + repeated(
            '<li><strong class="author">Ann {n}</strong><div class="stars"><div style="width: 80%"></div></div><time '
            'datetime="2024-03-0{n}">x</time><div><p>Quite a nice thing {n}, I think.</p><p>And more.</p></div></li>')
        + "</ul></div>", "en",
        {"author": "Ann 1", "rating": 80.0, "rating_best": 100.0, "rating_normalised": 0.8, "date": "2024-03-01",
         "body": "Quite a nice thing 1, I think.\nAnd more."}),
    "icons in a table": (
        '<div class="reviews"><table>' + repeated(
            '<tr><td>by Ann {n}</td><td><span><i class="fa fa-star"></i><i class="fa fa-star"></i><i class="fa '
            'fa-star">'
            '</i><i class="fa fa-star-o"></i><i class="fa '
            'fa-star-o"></i></span></td><td>0{n}/23/2024</td><td>Quite a nice'
            " thing {n}, I think.</td></tr>") + "</table></div>", "en",
        {"author": "Ann 1", "rating": 3.0, "rating_best": 5.0, "date": "2024-01-23",
         "body": "Quite a nice thing 1, I think."}),
    "of ten, without names": (
        "<h3>12 reviews by our guests</h3><div>" + repeated(
            "<article><b>8.{n}/10</b><em>Posted 2 weeks ago</em><p>Quite a nice room {n}, with a view of the sea. "
            "Verified purchase it is not.</p></article>") + "</div>", "en",
        {"author": None, "rating": 8.1, "rating_best": 10.0, "date": "2026-11-10", "date_precision": "week",
         "verified": None}),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_reviews(name: str) -> None:
    """Blocks with a rating, a date and prose are reviews, each marked as guessed, with the fields that are plain."""
    body, language, expected = LISTS[name]

    page = read(body, language)

    assert page.sources == {"guessed": 4} and {review.source for review in page.reviews} == {"guessed"}
    assert {field: getattr(page.reviews[0], field) for field in expected} == expected


OTHERS = {
    "goods": '<div class="reviews">' + repeated(
        '<div class="card"><h3><a href="/p/{n}">Lamp {n}</a></h3><span class="stars" aria-label="4 out of 5 '
        'stars"></span>'
        "<span>(12 reviews)</span><span>In stock since March {n}, 2024</span><p>A lamp {n} that gives "
        "light.</p></div>"),
    "goods with prices": '<h2>Reviews</h2><div class="reviews">' + repeated(
        '<div class="card"><span class="stars" aria-label="4 out of 5 stars"></span><span>March {n}, 2024</span>'
        "<b>12,99 €</b><p>A lamp {n} that gives light in the dark.</p></div>"),
    "articles": repeated(
        '<article class="review"><h2><a href="/a/{n}">News {n}</a></h2><time datetime="2024-03-0{n}">x</time><span '
        'class="author">Ann</span><p>Something happened somewhere {n}, and people said so.</p></article>'),
    "film reviews that lead to each": "<h1>Film reviews</h1>" + repeated(
        '<article><h2><a href="/films/{n}">Film {n}</a></h2><span class="score">8/10</span><time '
        'datetime="2024-03-0{n}">x'
        '</time><span class="author">Ann</span><p>A film about people who do things {n}.</p></article>'),
    "films": repeated(
        '<div class="film"><h2>Film {n}</h2><span class="score">8/10</span><span>2024-03-0{n}</span><p>A film '
        'about people '
        "who do things {n}, and others who do not.</p></div>"),
    "comments without ratings": '<div class="comments">' + repeated(
        '<div class="comment"><b class="author">Ann {n}</b><time datetime="2024-03-0{n}">x</time><p>I think '
        'that this is '
        "right {n}.</p></div>"),
    "ratings without words": '<div class="reviews">' + repeated(
        '<div class="rev"><b class="author">Ann {n}</b><i aria-label="4 of 5 stars"></i><time datetime="2024-03-0{n}">x'
        "</time></div>"),
    "ratings without dates": '<div class="reviews">' + repeated(
        '<div class="rev"><b class="author">Ann {n}</b><i aria-label="4 of 5 stars"></i><p>I think that it is fine {n}.'
        "</p></div>"),
    "a histogram": '<div class="reviews">' + repeated(
        '<div class="row"><span class="star-{n}">{n} star</span><div style="width: {n}0%"></div><span>{n}%, '
        'since 2024</span>'
        "</div>", 5),
    "aspects": '<div class="reviews">' + repeated(
        '<div><span>Service {n}</span><span class="rating" aria-label="4.{n} out of 5 stars"></span></div>'),
    "navigation": "<ul>" + repeated(
        '<li class="review-star"><a href="/{n}">{n} stars since 2024</a></li>', 9) + "</ul>",
    "comments with votes": '<section class="comments">' + repeated(
        '<div class="comment"><b class="author">Ann {n}</b><time datetime="2024-03-0{n}">x</time><span '
        'class="rating">+{n}</span><p>I think that this is quite right, and so do others {n}.</p></div>'
        ) + "</section>",
    "posts of a forum": '<div class="thread">' + repeated(
        '<article class="post"><a class="username" href="/u/{n}">Bo {n}</a><i class="rank">★★★★★</i><time '
        'datetime="2024-03-0{n}">x</time><div class="content">Have you tried to turn it off {n} times?</div></article>'
        ) + "</div>",
    "a form": '<div class="review-form"><p>Write a review: what do you think of it? 2024</p>' + repeated(
        '<label class="star" title="{n} stars"><input type="radio"></label>', 5),
    "the same teaser again and again": '<div class="reviews">' + repeated(
        '<div class="rev"><b class="author">Ann</b><i aria-label="4 of 5 stars"></i><time '
        'datetime="2024-03-01">x</time>'
        "<p>Read all that people say of us.</p></div>"),
    "only one": '<div class="reviews"><div class="rev"><b class="author">Ann</b><i aria-label="4 of 5 stars"></i><time '
        'datetime="2024-03-01">x</time><p>I think that it is fine.</p></div>',
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_lists_are_none(name: str) -> None:
    """Goods, articles, films, comments, summaries, forms and navigation give no review, whatever they are called."""
    assert read(OTHERS[name]).reviews == []


def test_nothing_is_guessed_beside_real_ones() -> None:
    """Where a page marks up one review, no others are guessed from its looks."""
    marked = '<div itemscope itemtype="https://schema.org/Review"><b itemprop="author">Eve</b></div>'

    assert [review.author for review in read(marked + LISTS["a width"][0]).reviews] == ["Eve"]
