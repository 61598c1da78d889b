"""A page's HTML to its reviews, on pages made for these tests: each holds traps that real pages set."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from sse_tasks_workers.scrape_reviews.extraction import Declared, Page, read_page
from sse_tasks_workers.scrape_reviews.lane import LoadedPage
from sse_tasks_workers.scrape_reviews.records import Review
from sse_tasks_workers.scrape_reviews.whole_page import read_whole

PAGES = Path(__file__).parent / "pages"
URL = "http://shop.example/thing"


def read(name: str) -> Page:
    return read_page((PAGES / name).read_text("utf-8"), URL)


def jsonld(*values: Any) -> str:
    return "".join(f'<script type="application/ld+json">{json.dumps(value)}</script>' for value in values)


def by_author(page: Page) -> dict[str | None, Review]:
    return {review.author: review for review in page.reviews}


def test_each_block_stands_for_itself() -> None:
    """A truncated block is named and costs only itself; comments, CDATA, a BOM and trailing commas are tolerated."""
    page = read("jsonld_blocks.html")

    assert [review.author for review in page.reviews] == ["Comment", "Cdata", "Ann Elsewhere", "Nested list"]
    assert len(page.problems) == 1 and page.problems[0].startswith("JSON-LD block 1 can't be read")


def test_references_between_blocks() -> None:
    """What a block names only by its id is taken from the block that describes it."""
    ann = by_author(read("jsonld_blocks.html"))["Ann Elsewhere"]

    assert (ann.author_url, ann.body) == ("https://people.example/ann", "Two\nlines.")


def test_hostile_json() -> None:
    """Numbers that are none become null, texts stay inert and valid, and nothing is read into odd shapes."""
    page = read("hostile.html")
    reviews = by_author(page)

    assert page.problems == []
    assert reviews["Not a number"].rating is None and reviews["Too large"].rating is None
    assert reviews["Halves"].body == "half \ufffd of a pair, nothing here"
    formula = reviews['=HYPERLINK("http://x")']
    assert (formula.body, formula.url) == ("<script>alert(1)</script><b>bold</b>", None)
    assert reviews[None].title == "Only a title"
    assert len(page.reviews) == 6


def test_depth_and_length_are_no_danger() -> None:
    """Five thousand levels of JSON or elements, or a number of as many digits, neither crash nor hide the rest."""
    deep = '<script type="application/ld+json">' + "[" * 5000 + "]" * 5000 + "</script>"
    long = jsonld({"@type": "Review", "author": "Long", "reviewRating": 99}).replace("99", "9" * 5000)
    html = f"<html>{deep}{long}{'<div>' * 5000}</html>"

    page = read_page(html, URL)

    assert [(review.author, review.rating) for review in page.reviews] == [("Long", None)]
    assert page.problems == ["JSON-LD block 1 can't be read: it is nested too deeply",
                             "it is nested deeper than 400 levels; only structured data was read"]


def test_hostile_blocks_take_no_square_time() -> None:
    """A megabyte of quotes, comment openings or blanks that never close is given up in about a second of work."""
    began = time.process_time()
    for filling in ('\\"', "/*", " ", "<!--", ",", '"'):
        read_page('<script type="application/ld+json">{' + filling * (1_000_000 // len(filling)) + "x</script>", URL)

    assert time.process_time() - began < 6


def test_microdata_says_what_a_reader_sees() -> None:
    """Names in links and visible dates count, hidden scripts don't, and a decimal comma is one."""
    lena = by_author(read("microdata.html"))["Lena Vogt"]

    assert lena.id == "r-1"
    assert lena.author_url == "http://shop.example/leute/7"
    assert (lena.date, lena.date_raw, lena.date_precision) == ("2024-08-11", "11.08.2024", "day")
    assert (lena.rating, lena.rating_best, lena.rating_worst, lena.rating_normalised) == (4.5, 5.0, 0.0, 0.9)
    assert lena.title == "Hell genug"
    assert lena.body == "Erster Absatz.\nZweiter,\nmit Umbruch."
    assert (lena.verified, lena.language, lena.item) == (True, "de", "Fahrradlampe")


def test_microdata_references_and_gaps() -> None:
    """``itemref`` is followed, the nearest language counts, and a scale that is stated nowhere isn't made up."""
    reviews = by_author(read("microdata.html"))

    elise = reviews["Élise Morel"]
    assert (elise.language, elise.rating, elise.rating_best) == ("fr", 3.0, 5.0)
    assert (elise.date, elise.body) == ("2024-03-02T08:30:00+01:00", "Correcte, sans plus.")
    bare = reviews["Nur ein Name"]
    assert (bare.date, bare.date_precision) == ("2024-05-01", "month")
    assert (bare.rating, bare.rating_best, bare.rating_normalised) == (9.0, None, None)


def test_owners_replies_are_no_reviews() -> None:
    """A shop's answer under a review is not counted, even where it is marked up as one."""
    assert len(read("microdata.html").reviews) == 3


def test_declared_total_is_the_things_own() -> None:
    """Of several aggregates the reviewed thing's counts, not the shop's; ratings and reviews stay two numbers."""
    assert read("microdata.html").declared == Declared(reviews=1234, ratings=5678)
    assert read("aggregate_only.html").declared == Declared(reviews=1234, ratings=2000)


def test_an_ambiguous_total_is_none() -> None:
    """Where two things state different totals and no review tells which is meant, there is none."""
    things = [{"@type": "Product", "aggregateRating": {"reviewCount": count}} for count in (3, 4)]

    assert read_page(jsonld(*things), URL).declared == Declared()


def test_rdfa_in_all_its_dialects() -> None:
    """RDFa Lite, prefixes and the older vocabulary are read, in page order; another vocabulary's Review isn't."""
    page = read("rdfa.html")

    assert [review.author for review in page.reviews] == ["Bo Ek", "Prefixed", "Old Vocabulary"]
    bo, prefixed, old = page.reviews
    assert (bo.id, bo.author_url, bo.rating, bo.date) == ("#first", "http://shop.example/u/bo", 4.0, "2023-04-05")
    assert (bo.item, bo.body) == ("Camp stove", "Light, and it lights.")
    assert (prefixed.date, prefixed.body) == ("2023-03-04", "By prefix.")
    assert (old.title, old.body, old.rating, old.rating_best) == ("Bends", "At the first stone.", 2.0, 10.0)
    assert (old.item, old.date) == ("Tent peg", "2010-01-15")


def test_hreview() -> None:
    """The microformat's value patterns are followed, and its aggregate is a total and no review."""
    page = read("hreview.html")

    kim, other = page.reviews
    assert (kim.author, kim.author_url, kim.rating, kim.rating_best) == ("Kim", "http://people.example/kim", 3.5, 4.0)
    assert (kim.date, kim.title, kim.item) == ("2009-10-11", "Good soup", "Blue Door")
    assert (kim.url, kim.body) == ("http://shop.example/reviews/kim", "The soup of the day is the soup of every day.")
    assert (other.author, other.rating, other.rating_best, other.body) == (None, 2.0, 10.0, "Closed on Mondays.")
    assert page.declared == Declared(reviews=3)


def test_a_page_without_reviews() -> None:
    """An aggregate alone, an empty page or plain text give no reviews and nothing invented."""
    assert read("aggregate_only.html").reviews == []
    for html in ("", " ", "\x00", "just words", "<html></html>", "<!-- -->", '{"@type": "Review", "author": "x"}'):
        assert read_page(html, URL).reviews == []


def test_a_password_is_in_no_record() -> None:
    """Name and password of an address stay out of what others may get to see."""
    url = "http://ann:secret@shop.example/thing"
    html = '<script type="application/ld+json">{"@type": "Review", "author": "A", "reviewBody": "Good"}</script>'
    [review] = read_whole(LoadedPage(url, html), number=1, start_url="", profiles=[], asked_url=url).reviews

    assert review.page_url == review.asked_url == URL


def test_the_language_of_a_value() -> None:
    """A text that names its own language has it."""
    block = {"@type": "Review", "author": "A", "reviewBody": {"@value": "Gut", "@language": "de"}}
    page = read_page(f'<html lang="en"><script type="application/ld+json">{json.dumps(block)}</script>', URL)

    [review] = page.reviews
    assert (review.body, review.language, review.language_source) == ("Gut", "de", "stated")


def test_anonymous_ratings_are_all_counted() -> None:
    """A hundred ratings that nothing tells apart are a hundred reviews."""
    rating = {"@type": "Review", "reviewRating": {"ratingValue": 5}}

    assert len(read_page(jsonld({"@type": "Product", "review": [rating] * 100}), URL).reviews) == 100


def test_the_same_reviews_in_two_blocks_are_counted_once() -> None:
    """Twelve ratings in two JSON-LD blocks are twelve, and so are twelve full reviews."""
    for names in ({}, {"author": "A", "reviewBody": "B"}):
        reviews = [{"@type": "Review", "reviewRating": {"ratingValue": n % 5 + 1}} for n in range(12)]
        for n, review in enumerate(reviews):
            review |= {key: f"{value}{n}" for key, value in names.items()}
        product = {"@type": "Product", "review": reviews}

        assert len(read_page(jsonld(product, product), URL).reviews) == 12


def test_an_exact_repetition_is_one_review() -> None:
    """The same author, date, rating and text twice in one list is one review."""
    review = {"@type": "Review", "author": "Ann", "datePublished": "2024-01-02", "reviewBody": "Fine."}

    assert len(read_page(jsonld([review, review, {**review, "reviewBody": "Fine!!! And more."}]), URL).reviews) == 2


def test_syntaxes_fill_each_others_gaps() -> None:
    """A review in JSON-LD and in microdata becomes one record with what either says, the longer body included."""
    html = jsonld({"@type": "Review", "author": "Ann", "datePublished": "2024-01-02",
                   "reviewBody": "It heats the water quickly and then…"}) + """
        <div itemscope itemtype="https://schema.org/Review"><b itemprop="author">Ann</b>
        <span itemprop="reviewRating" itemscope itemtype="https://schema.org/Rating"><i itemprop="ratingValue">4</i>/<i
        itemprop="bestRating">5</i></span>
        <p itemprop="reviewBody">It heats the water  quickly and then keeps it warm.</p></div>"""

    (review,) = read_page(html, URL).reviews

    assert (review.rating, review.rating_best, review.date) == (4.0, 5.0, "2024-01-02")
    assert review.body == "It heats the water quickly and then keeps it warm."
    assert review.source == "json-ld+microdata"


def test_a_scale_that_nobody_states() -> None:
    """A rating is taken for one of five only where no rating beside it shows that they are of more."""
    def normalised(*ratings: int) -> list[float | None]:
        reviews = [{"@type": "Review", "author": f"A{n}", "reviewRating": {"ratingValue": n}} for n in ratings]
        html = f'<script type="application/ld+json">{json.dumps(reviews)}</script>'
        return [review.rating_normalised for review in read_page(html, "https://x.example/").reviews]

    assert normalised(3, 5) == [0.5, 1.0]
    assert normalised(3, 8) == [None, None]


def test_different_reviews_under_one_id_stay_apart() -> None:
    """A page that gives all its reviews the same id still has all of them."""
    same = {"@type": "Review", "@id": URL + "#review"}
    reviews = [{**same, "author": f"A{n}", "reviewBody": f"Text {n}"} for n in range(5)]

    assert len(read_page(jsonld(reviews), URL).reviews) == 5


def test_a_node_described_twice_under_its_id_is_one() -> None:
    """Two descriptions of the same node, as JSON-LD allows, make one review."""
    first = {"@type": "Review", "@id": "#r1", "author": "Ann"}
    second = {"@type": "Review", "@id": "#r1", "reviewBody": "Nice."}

    (review,) = read_page(jsonld([first, second]), URL).reviews

    assert (review.author, review.body) == ("Ann", "Nice.")


def test_extraction_is_quick() -> None:
    """A page of half a megabyte with sixty reviews takes well under a second of CPU, with room for a slow machine."""
    article = (PAGES / "microdata.html").read_text("utf-8")
    html = f"<html><body>{article * 20}{'<div><p>Some <b>words</b> in a page.</p></div>' * 10_000}</body></html>"
    read_page(html, URL)  # dateparser's first use loads its data

    began = time.process_time()
    page = read_page(html, URL)

    assert page.reviews
    assert time.process_time() - began < 0.6


def test_what_else_json_ld_says() -> None:
    """Votes, the owner's answer, images and the review's language are fields; a visitor's comment is no answer."""
    shop = {"@type": "Organization", "name": "Shop"}
    page = read_page('<html lang="en">' + jsonld(
        {"@type": "Review", "author": "Ann", "reviewBody": "Hübsch.", "inLanguage": "de", "upvoteCount": "3",
         "image": [{"@type": "ImageObject", "contentUrl": "https://i.example/1.jpg"}, "https://i.example/2.jpg"],
         "comment": {"@type": "Comment", "text": "Danke!", "author": shop, "datePublished": "2024-02-03"}},
        {"@type": "Review", "author": "Bo", "reviewBody": "The sound is fine, and it lasts for two days of work.",
         "comment": {"@type": "Comment", "text": "Me too", "author": {"@type": "Person", "name": "Cy"}},
         "interactionStatistic": {"@type": "InteractionCounter", "userInteractionCount": 7,
                                  "interactionType": {"@type": "LikeAction"}}}), URL)

    ann, bo = page.reviews
    assert (ann.language, ann.language_source, ann.helpful_votes) == ("de", "stated", 3)
    assert (ann.reply, ann.reply_author, ann.reply_date) == ("Danke!", "Shop", "2024-02-03")
    assert ann.images == ["https://i.example/1.jpg", "https://i.example/2.jpg"]
    assert (bo.reply, bo.helpful_votes, bo.images, bo.variant) == (None, 7, None, None)
    assert (bo.language, bo.language_source) == ("en", "detected")


def test_h_review() -> None:
    """The microformats2 review is read with its author's card, its item and its own properties only."""
    page = read_page("""<html lang="en"><body><article class="h-review" id="r1"><h2 class="p-name">Good soup</h2><p
        class="p-author h-card"><a class="u-url p-name" href="/kim">Kim <b>K.</b></a></p><span class="p-item h-item"><a
        class="p-name u-url" href="/door">Blue Door</a></span><data class="p-rating" value="4.5">★★★★½</data><span
        class="p-best">5</span><time class="dt-published" datetime="2023-04-05T06:07:08Z">April</time><div
        class="e-content"><p>The soup of the day</p><p>is good.</p></div><a class="u-url" href="/reviews/1">#</a><img
        class="u-photo" src="/soup.jpg"><div class="h-cite p-comment"><p class="p-name">No title</p><a
        class="p-author h-card" href="/x">Other</a></div></article><div class="h-review-aggregate"><span
        class="p-count">12</span></div>""", URL)

    (review,) = page.reviews
    assert page.sources == {"h-review": 1} and page.declared == Declared(reviews=12)
    assert (review.author, review.author_url) == ("Kim K.", "http://shop.example/kim")
    assert (review.rating, review.rating_best, review.item) == (4.5, 5.0, "Blue Door")
    assert (review.date, review.title, review.body) == (
        "2023-04-05T06:07:08Z", "Good soup", "The soup of the day\nis good.")
    assert (review.url, review.images) == ("http://shop.example/reviews/1", ["http://shop.example/soup.jpg"])


def test_a_review_about_the_other_side() -> None:
    """What is reviewed is named from either side: by the review, or by being the thing that has it."""
    page = read_page(jsonld(
        {"@graph": [{"@type": "Review", "@id": "#a", "author": "A", "itemReviewed": {"@id": "#lamp"}},
                    {"@type": "Product", "@id": "#lamp", "name": "Lamp"}]},
        {"@type": "Product", "name": "Table", "reviews": {"@type": "Review", "author": "B"}}), URL)

    assert {review.author: review.item for review in page.reviews} == {"A": "Lamp", "B": "Table"}


def test_a_page_of_four_hundred_thousand_nodes() -> None:
    """It is read to a cap, which is said; what stands before it, and structured data behind it, is kept."""
    html = ("<html><body><div itemscope itemtype='https://schema.org/Review'><b itemprop='author'>First</b></div>"
            + "<p><b></b></p>" * 200_000 + jsonld({"@type": "Review", "author": "Last"}))

    page = read_page(html, URL)

    assert sorted(review.author or "" for review in page.reviews) == ["First", "Last"]
    assert "too large" in page.problems[0]


def test_a_huge_page_without_reviews_ends() -> None:
    """Looking for a list in elements that all look like ratings ends long before the test's limit of two minutes."""
    assert read_page("<html><body>" + "<div class='review'><i class='star'>★</i></div>" * 50_000, URL).reviews == []


def test_bad_bytes_in_every_syntax() -> None:
    """NUL, lone surrogates and markup in texts come out as valid inert text, whatever reads them."""
    bad = "a\x00b\ud800c <img onerror=x()> =cmd|' /C calc'!A0"
    html = (jsonld({"@type": "Review", "author": "J", "reviewBody": bad})
            + "<div class='hreview'><b class='reviewer'>H</b><p class='description'>a\x00b\ud800c &lt;b&gt;</p></div>")

    bodies = {review.author: review.body for review in read_page(html, URL).reviews}

    assert bodies["J"] == "ab\ufffdc <img onerror=x()> =cmd|' /C calc'!A0"
    assert bodies["H"] is not None and bodies["H"].endswith("<b>") and bodies["H"].encode("utf-8")
