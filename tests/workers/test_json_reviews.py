"""Reviews in JSON documents that a page loads: the services' shapes, and what is none."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sse_tasks_workers.scrape_reviews.extraction import read_page
from sse_tasks_workers.scrape_reviews.json_reviews import read_json

URL = "https://api.example/data"
PAGE_TIME = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)

SHAPES: dict[str, tuple[Any, dict[str, Any]]] = {
    "bazaarvoice": ({"TotalResults": 1, "Results": [{
        "Id": "190", "ProductId": "p1", "ContentLocale": "en_US", "SubmissionTime": "2020-07-10T10:00:00.000+00:00",
        "UserNickname": "Kim", "Rating": 5, "RatingRange": 5, "ReviewText": "Works as described.", "Title": "Great",
        "TotalPositiveFeedbackCount": 4, "Badges": {"verifiedPurchaser": {"ContentType": "REVIEW"}},
        "Photos": [{"Id": "1", "Sizes": {"normal": {"Url": "https://p.example/1.jpg"}}}],
        "ClientResponses": [{"Department": "Support", "Date": "2020-07-12", "Response": "Thanks, Kim!"}],
        "SecondaryRatings": {"Quality": {"Value": 5}}}],
        "Includes": {"Products": {"p1": {"Name": "Lamp", "Description": "A lamp", "AverageOverallRating": 4.5}}}},
        {"id": "190", "author": "Kim", "rating": 5.0, "rating_best": 5.0, "date": "2020-07-10T10:00:00.000Z",
         "title": "Great", "body": "Works as described.", "language": "en_US", "language_source": "stated",
         "verified": True, "helpful_votes": 4, "images": ["https://p.example/1.jpg"], "reply": "Thanks, Kim!",
         "reply_author": "Support", "reply_date": "2020-07-12"}),
    "yotpo": ({"response": {"bottomline": {"total_review": 9}, "products": [{"id": 1, "name": "Lamp", "score": 4}],
                            "reviews": [{"id": 77, "score": 4, "votes_up": 3, "content": "Muy bien.", "title": "Bien",
                                         "created_at": "2021-03-04T05:06:07.000Z", "verified_buyer": False,
                                         "user": {"display_name": "Luis"}, "comment": {"content": "Gracias"}}]}},
              {"id": "77", "author": "Luis", "rating": 4.0, "rating_best": None, "body": "Muy bien.", "title": "Bien",
               "verified": False, "helpful_votes": 3, "reply": "Gracias"}),
    "powerreviews": ({"results": [{"rollup": {"average_rating": 4.4}, "reviews": [{
        "review_id": 5, "details": {"comments": "Fits.", "headline": "Warm", "nickname": "Jo",
                                    "created_date": 1583000000000}, "metrics": {"rating": 4, "helpful_votes": 2},
        "badges": {"is_verified_buyer": True}, "media": []}]}]},
        {"id": "5", "author": "Jo", "rating": 4.0, "title": "Warm", "body": "Fits.", "date": "2020-02-29T18:13:20Z",
         "date_raw": "1583000000000", "verified": True, "helpful_votes": 2, "images": None}),
    "stamped": ({"data": [{"id": 1, "author": "Al", "reviewTitle": "T", "reviewMessage": "Lovely cloth.",
                           "reviewRating": 5, "reviewReply": "Thanks", "dateCreated": "2022-01-02"}]},
                {"author": "Al", "title": "T", "body": "Lovely cloth.", "rating": 5.0, "date": "2022-01-02",
                 "reply": "Thanks"}),
    "page data": ({"props": {"pageProps": {"businessUnit": {"displayName": "Shop", "stars": 4, "description": "A shop"},
                   "reviews": [{"id": "r", "text": "Fast.", "rating": 4, "title": "Good", "likes": 2, "dates": {
                       "publishedDate": "2024-02-03T04:05:06.000Z"}, "consumer": {"displayName": "Bo"}, "labels": {
                       "verification": {"isVerified": True}}, "reply": {"message": "Thank you"}, "language": "en"}]}}},
                  {"author": "Bo", "body": "Fast.", "rating": 4.0, "date": "2024-02-03T04:05:06.000Z",
                   "helpful_votes": 2, "verified": True, "reply": "Thank you", "language": "en"}),
    "no word of reviews": ([{"rating": "4/5", "comment": "A nice place to stay.", "author": {
        "name": "Al", "url": "/u/al"}, "createdAt": "2 days ago"}],
        {"author": "Al", "author_url": "https://api.example/u/al", "rating": 4.0, "rating_best": 5.0,
         "body": "A nice place to stay.", "date": "2026-11-22"}),
    "a store of things that name each other": ({"apolloState": {
        "Review:kca1": {"__typename": "Review", "creator": {"__ref": "User:1"}, "text": "It stays with one.",
                        "rating": 5, "createdAt": 1673500000000, "likeCount": 1402},
        "User:1": {"__typename": "User", "name": "Emily", "webUrl": "https://x.example/1"},
        "Book:1": {"__typename": "Book", "title": "B", "text": "About", "rating": 4}}},
        {"author": "Emily", "body": "It stays with one.", "rating": 5.0, "helpful_votes": 1402}),
    "what was good and what wasn't": ({"reviewCard": [{
        "reviewScore": 9, "reviewedDate": 1715000000, "helpfulVotesCount": 2, "textDetails": {
            "title": "Wonderful", "positiveText": "A great place.", "negativeText": "A slow lift."},
        "guestDetails": {"username": "Jana"}, "partnerReply": {"reply": "Thanks, Jana"}}]},
        {"author": "Jana", "rating": 9.0, "title": "Wonderful", "body": "A great place.\nA slow lift.",
         "date": "2024-05-06T12:53:20Z", "helpful_votes": 2, "reply": "Thanks, Jana"}),
    "thumbs": ({"reviews": [{"recommendationid": "165", "author": {"steamid": "76"}, "review": "Fun.", "voted_up": True,
                             "timestamp_created": 1700000000, "votes_up": 12, "votes_funny": 3}]},
               {"id": "165", "author": None, "rating": None, "body": "Fun.", "date": "2023-11-14T22:13:20Z",
                "helpful_votes": 12}),
    "stars by another name": ({"ratings": [{"rating_star": 5, "comment": "Bagus", "author_username": "a***b",
                                            "ctime": 1700000000, "ItemRatingReply": {"comment": "Terima kasih"}}]},
                              {"author": "a***b", "rating": 5.0, "body": "Bagus", "reply": "Terima kasih",
                               "date": "2023-11-14T22:13:20Z"}),
    "a feed of labels": ({"customer_reviews": [{
        "author": {"name": {"label": "kat"}}, "im:rating": {"label": "4"}, "title": {"label": "Good"}, "content": {
            "label": "Works well."}, "updated": {"label": "2024-03-05T10:00:00-07:00"}}]},
        {"author": "kat", "rating": 4.0, "title": "Good", "body": "Works well.", "date": "2024-03-05T10:00:00-07:00"}),
    "badges in a list": ({"customerReviews": [{
        "rating": 5, "reviewText": "Cool &amp; quiet.<br/>Don&#39;t think, buy.", "userNickname": "Bob",
        "reviewSubmissionTime": "3/14/2024", "positiveFeedback": 3, "badges": [{"id": "VerifiedPurchaser"}],
        "developerResponse": {"id": 1, "body": "<p>Thanks</p><p>Bob!</p>"}}]},
        {"author": "Bob", "body": "Cool & quiet.\nDon't think, buy.", "date": "2024-03-14", "helpful_votes": 3,
         "verified": True, "reply": "Thanks\nBob!"}),
    "json-ld within": ({"seo": {"@type": "Product", "name": "Lamp", "review": [{
        "@type": "Review", "author": "A", "reviewBody": "Fine.", "reviewRating": {"ratingValue": 4}}]}},
        {"author": "A", "body": "Fine.", "rating": 4.0, "item": "Lamp"}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_services_shapes(name: str) -> None:
    """Each service's answer gives its reviews with all fields, marked as from JSON, as text and as values alike."""
    document, expected = SHAPES[name]

    for value in (document, json.dumps(document), json.dumps(document).encode(), ")]}',\n" + json.dumps(document)):
        (review,) = read_json(value, URL, number=3, base=PAGE_TIME)

        assert {field: getattr(review, field) for field in expected} == expected
        assert (review.source, review.page, review.page_url) == ("json", 3, URL)


@pytest.mark.parametrize("document", [
    {"products": [{"id": 1, "title": "Lamp", "description": "A lamp", "rating": 4.5, "price": 9, "author": "x",
                   "createdAt": "2024-01-01"}]},
    {"items": [{"title": "Lamp", "description": "A lamp", "rating": 4.5, "createdAt": "2024-01-01"}]},
    {"films": [{"title": "F", "text": "About people", "rating": 8, "user": "x", "releaseDate": "2024-01-01"}]},
    {"articles": [{"title": "N", "body": "Text", "author": {"name": "A"}, "publishedAt": "2024-01-01"}]},
    {"comments": [{"text": "hi", "user": {"name": "a"}, "created_at": "2024-01-01", "score": 3}]},
    {"comments": [{"text": "I think so too", "author": "Ann", "created": "2024-01-01", "rating": 3}]},
    {"posts": [{"body": "Have you tried it?", "author": "Bo", "created": "2024-01-01", "stars": 5}]},
    {"reviewStatistics": [{"rating": 5, "count": 10}, {"rating": 4, "count": 3}]},
    {"reviewSummary": {"rating": 4, "date": "2024-01-01", "description": "All reviews"}},
    {"reviews": {"enabled": True, "title": "Reviews", "rating": 4}},
    {"reviews": [1, "two", None, [], {}, {"id": 1}, {"title": "x"}]},
    None, True, 5, "", "x", "<html>", "[" * 100_000, '{"reviews": [', b"\xff\xfe",
])
def test_what_is_no_review(document: Any) -> None:
    """Goods, films, articles, comments, statistics, settings and broken documents have no reviews."""
    assert read_json(document, URL) == []


def test_hostile_numbers() -> None:
    """Numbers that are none are null, and the rest of the review is kept."""
    text = ('{"reviews": [{"rating": NaN, "body": "a", "author": "A"}, {"rating": 1e999, "body": "b", "author": "B"}, '
            f'{{"rating": {"9" * 5000}, "body": "c", "author": "C"}}, '
            '{"rating": true, "body": "d", "author": "D"}]}')

    assert [(r.rating, r.body) for r in read_json(text, URL)] == [(None, "a"), (None, "b"), (None, "c"), (None, "d")]


def test_hostile_values() -> None:
    """Values that were parsed elsewhere may hold numbers and depths that no text can."""
    deep: dict[str, Any] = {"rating": 5, "body": "deep", "author": "A"}
    for _ in range(5000):
        deep = {"details": deep}
    huge = {"rating": 10**5000, "id": 10**5000, "date": 10**5000, "body": "huge", "author": "B", "votes": math.nan}

    assert [(r.author, r.rating, r.id, r.date) for r in read_json({"reviews": [deep, huge]}, URL)] == [
        ("B", None, None, None)]


def test_links_that_would_run_are_none() -> None:
    """No address of a review runs a script."""
    (review,) = read_json({"reviews": [{"body": "a", "rating": 1, "url": "javascript:x()", "images": ["data:x"],
                                        "author": {"name": "A", "url": " JavaScript:y()"}}]}, URL)

    assert (review.url, review.author_url, review.images) == (None, None, None)


def test_data_that_a_page_holds_for_its_scripts() -> None:
    """A page without marked-up reviews is read from the JSON in it; one with them isn't looked through for more."""
    data = json.dumps(SHAPES["page data"][0])
    script = f'<script id="data" type="application/json">{data}</script>'
    marked = '<div itemscope itemtype="https://schema.org/Review"><b itemprop="author">Eve</b></div>'

    assert [(r.author, r.source) for r in read_page(f"<html>{script}", URL).reviews] == [("Bo", "json")]
    assert [r.author for r in read_page(f"<html>{script}{marked}", URL).reviews] == ["Eve"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["reviews", "rating", "body", "author", "date", "name", "images", "reply", "verified", "@type",
                         "details", "user", "id", "createdAt", "comment", "title"]), inner, max_size=5), max_leaves=30)


@settings(max_examples=150, deadline=None)
@given(json_values)
def test_no_document_makes_it_raise(document: Any) -> None:
    """Whatever stands in a document, reading it ends with reviews that have something of their own. A rating alone is
    one where the document's own types say so."""
    for review in read_json(document, "https://api.example/reviews"):
        assert review.body or (review.rating is not None and (review.author or "@type" in repr(document)))
