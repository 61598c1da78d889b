"""Pages with neither structured data nor a profile: lists of reviews by their looks, and lists of other things."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sse_tasks_workers.scrape_reviews.extraction import read_page

PAGE_TIME = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def read(body: str, language: str = "en") -> Any:
    return read_page(f'<!doctype html><html lang="{language}"><body>{body}</body></html>', "http://x.example/",
                     base=PAGE_TIME)


def repeated(block: str, count: int = 4) -> str:
    """``{n}`` in the block is 1, 2, …"""
    return "".join(block.replace("{n}", str(n)) for n in range(1, count + 1))


def drawn(lit: int, on: str = "text-yellow-400 fill-current", off: str = "text-gray-300 fill-current") -> str:
    """Five drawings, the first of which are lit."""
    return "".join(f'<svg class="{on if place < lit else off}"><path d="M9 2"/></svg>' for place in range(5))


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
    "drawn stars of two colours": (
        '<h3>Customer Reviews</h3><div class="card">' + repeated(
            '<div class="border-b"><div class="flex">' + drawn(4) + '</div><p class="review-content">Quite a nice bag '
            '{n}, I think.</p><div><span>Review by</span> <strong>Ann {n}</strong></div><time datetime="2023-05-0{n}">x'
            "</time></div>") + "</div>", "en",
        {"author": "Ann 1", "rating": 4.0, "rating_best": 5.0, "body": "Quite a nice bag 1, I think."}),
    "all lit, as others show": (
        '<div class="testimonials">' + repeated(
            '<div class="one"><div>' + '<i class="fa fa-star"></i>' * 5 + "</div><p>Quite a nice place {n}, I think."
            "</p><cite>The Smiths, {n} March 2024</cite></div>", 3)
        + '<div class="one"><div>' + '<i class="fa fa-star"></i>' * 2 + '<i class="fa fa-star-o"></i>' * 3
        + "</div><p>Too far from the shops for us.</p><cite>Old Tom, 4 March 2024</cite></div></div>", "en",
        {"rating": 5.0, "rating_best": 5.0, "date": "2024-03-01"}),
    "names for tests alone": (
        '<div data-testid="review-list">' + repeated(
            '<div class="c402"><div data-testid="review-author"><b class="x1"></b>Jana {n}</div><span>Stayed April 2024'
            '</span><span>Reviewed: {n} May 2024</span><h4 data-testid="review-title">Wonderful {n}</h4><div><div '
            'aria-hidden="true">9.{n}</div><div>Scored 9.{n}</div></div><div class="a53"><span>Great location and kind '
            "people {n}.</span></div></div>") + "</div>", "en",
        {"author": "Jana 1", "title": "Wonderful 1", "rating": 9.1, "rating_best": None, "rating_normalised": None,
         "date": "2024-05-01", "body": "Great location and kind people 1."}),
    "spoken for those who don't see the stars": (
        "<h2>4.91 · 4 reviews</h2><div>" + repeated(
            '<div role="listitem"><div data-review-id="r{n}"><div><span>Rating, {n} stars</span><span> · </span>'
            "March 2024</div><div><span>The flat {n} is as in the pictures and quiet.</span></div></div></div>")
        + "</div>", "en",
        {"id": "r1", "rating": 1.0, "date": "2024-03-01", "date_precision": "month",
         "body": "The flat 1 is as in the pictures and quiet."}),
    "a longer answer with a date of its own": (
        '<div class="reviews">' + repeated(
            '<div class="q1"><a href="/profile/{n}">Uma {n}</a><svg><title>{n}.0 of 5 bubbles</title></svg><span>May '
            "{n}, 2024</span><div>Handy, but slow at times {n}.</div><div>1,234 people found this review "
            "helpful</div><div><div><div>Notes Inc.</div><div>June {n}, 2024</div></div><div>Thank you for your words, "
            "a new version with a much faster start is out since yesterday {n}.</div></div></div>") + "</div>", "en",
        {"author": "Uma 1", "rating": 1.0, "rating_best": 5.0, "date": "2024-05-01", "helpful_votes": 1234,
         "body": "Handy, but slow at times 1."}),
    "a longer answer that is announced": (
        '<section aria-label="Recommended Reviews">' + repeated(
            '<div class="q1"><div class="oke-reviewer"><strong class="oke-reviewer-name">Lee {n}</strong><span>'
            'Verified buyer</span></div><div role="img" aria-label="{n} star rating"></div><span>May {n}, 2024</span>'
            '<p class="comment">Waited for an hour and a half {n}. <button>Read more</button></p><div><p>Business '
            'owner</p><p class="comment">Hello, I am truly sorry about that wait, we were short of two people that '
            "night {n}.</p></div></div>") + "</section>", "en",
        {"author": "Lee 1", "rating": 1.0, "body": "Waited for an hour and a half 1.", "verified": True}),
    "an element of the site's own": (
        "<h2>Kundenbewertungen</h2><div>" + repeated(
            '<div class="cr"><x-rating aria-label="{n} von 5 Sternen"></x-rating><span class="cr__name">Eine Kundin'
            '</span>, <span class="cr__date">1{n}.03.24</span><div class="cr__text">Sitzt gut und sieht gut aus {n}.'
            "</div></div>") + "</div>", "de",
        {"author": "Eine Kundin", "rating": 1.0, "rating_best": 5.0, "date": "2024-03-11"}),
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
    "comments with points": "<div>" + repeated(
        '<div><span class="score">{n} points</span> by <a href="/user?id=a{n}">a{n}</a> <span>{n} hours ago</span><p>I '
        "think that this is quite right, and so do others {n}.</p></div>") + "</div>",
    "posts with dots for their pictures": "<div>" + repeated(
        '<article class="post"><a class="author" href="/a/{n}">Ann {n}</a><time datetime="2024-03-0{n}">x</time><p>A '
        "walk along the river in the morning {n}.</p><div>" + drawn(1, "dot active", "dot") + "</div></article>"
        ) + "</div>",
    "slides": "<div>" + repeated(
        '<div class="s"><span>{n} of 5</span><b class="author">Ann {n}</b><time datetime="2024-03-0{n}">x</time><p>A '
        "walk along the river in the morning {n}.</p></div>") + "</div>",
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


STARS = {
    "drawn": drawn,
    "glyphs": lambda lit: "★" * lit + "☆" * (5 - lit),
    "icons": lambda lit: '<i class="fa fa-star"></i>' * lit + '<i class="fa fa-star-o"></i>' * (5 - lit),
    "lit": lambda lit: '<i class="star star--on"></i>' * lit + '<i class="star"></i>' * (5 - lit),
    "labelled": lambda lit: f'<span role="img" aria-label="Rated {lit} out of 5 stars"></span>',
    "spoken": lambda lit: f"<span>Rating, {lit} stars</span><svg></svg>",
    "titled": lambda lit: f"<svg><title>{lit}.0 of 5 bubbles</title></svg>",
    "cut": lambda lit: f'<span class="stars"><span style="width: {20 * lit}%"></span></span>',
    "classed": lambda lit: f'<span class="star-rating-{lit}"></span>',
    "shared": lambda lit: f"<b>{lit}/5</b>",
}
AUTHORS = {
    "named": '<b class="review-author">{}</b>', "for tests": '<b data-testid="reviewer">{}</b>', "by": "<i>by {}</i>",
    "linked": '<a href="/users/1">{}</a>', "with a badge": '<div class="author">{}<b class="user-badge">Top</b></div>',
    "held": '<div class="reviewer"><b class="reviewer-name">{}</b><span>Verified buyer</span></div>',
}
DATES = {"time": '<time datetime="2024-05-0{0}">x</time>', "words": "<span>May {0}, 2024</span>",
         "written": "<span>Visited in April 2024</span><span>Reviewed on May {0}, 2024</span>"}
ANSWERS = {"": "", "announced": "<div><b>Response from the owner</b><p>{}</p></div>",
           "named": '<div class="shop-reply"><p>{}</p></div>',
           "dated": "<div><div>The shop</div><div>June 7, 2024</div><div>{}</div></div>"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=3, max_size=6).filter(lambda found: len(set(found)) > 1),
       st.sampled_from(sorted(STARS)), st.sampled_from(sorted(AUTHORS)), st.sampled_from(sorted(DATES)),
       st.sampled_from(sorted(ANSWERS)))
def test_whatever_they_look_like(ratings: list[int], stars: str, author: str, date: str, answer: str) -> None:
    """A list of reviews gives author, rating, date and text of each, whatever shows the stars and names the author, and
    however long the answers are."""
    def block(place: int, rating: int) -> str:
        thanks = "Thank you for your words, which all of us here in the shop were glad to read."
        parts = (AUTHORS[author].format(f"Kim {place}."), f"<div>{STARS[stars](rating)}</div>",
                 f"<div>{DATES[date].format(place + 1)}</div>",
                 f"<p>It boils water, and number {place} is quiet, too.</p>", ANSWERS[answer].format(thanks))
        return f'<div class="x1">{"".join(parts)}</div>'

    page = read(f"<h2>Reviews</h2><div>{''.join(block(place, rating) for place, rating in enumerate(ratings))}</div>")

    assert [(each.author, each.rating_normalised, each.date, each.body) for each in page.reviews] == [
        (f"Kim {place}.", (rating - 1) / 4 if stars != "cut" else rating / 5, f"2024-05-0{place + 1}",
         f"It boils water, and number {place} is quiet, too.") for place, rating in enumerate(ratings)]
