"""Pages in the layouts that the shipped site profiles are for, with words of our own, and what is to be read there.

Each layout has its name, the page's HTML, and of each review the fields that have to come out.
"""

from __future__ import annotations

from typing import Any

__all__ = ["LAYOUTS"]

_WOOCOMMERCE = """<h1 class="product_title">Desk lamp</h1><div id="reviews"><div id="comments"><ol class="commentlist">
<li class="review even depth-1" id="li-comment-12"><div id="comment-12" class="comment_container"><div
class="comment-text"><div class="star-rating" role="img" aria-label="Rated 4 out of 5"><span style="width:80%">Rated
<strong class="rating">4</strong> out of 5</span></div><p class="meta"><strong class="woocommerce-review__author">Mia
</strong> <em class="woocommerce-review__verified verified">(verified owner)</em> <time
class="woocommerce-review__published-date" datetime="2023-02-03T04:05:06+00:00">February 3, 2023</time></p><div
class="description"><p>Bright enough.</p><p>And steady.</p></div></div></div><ul class="children"><li
class="comment bypostauthor"><div class="comment-text"><p class="meta"><strong class="woocommerce-review__author">Shop
</strong> <time datetime="2023-02-04T00:00:00+00:00">x</time></p><div class="description"><p>Thank you!</p></div></div>
</li></ul></li></ol><nav class="woocommerce-pagination"><a class="next page-numbers" href="?cpage=2">→</a></nav></div>
</div>"""

_JUDGEME = """<div class="jdgm-rev-widg" data-number-of-reviews="31"><div class="jdgm-rev" data-review-id="u-1"
data-verified-buyer="true" data-thumb-up-count="3"><div class="jdgm-rev__header"><span class="jdgm-rev__rating"
data-score="5" aria-label="5 star review"></span><span class="jdgm-rev__timestamp" data-content="2023-01-28 05:02:32
UTC"></span><span class="jdgm-rev__author">Noor</span></div><div class="jdgm-rev__content"><b
class="jdgm-rev__title">Soft</b><div class="jdgm-rev__body"><p>Softer than it looks.</p></div><div
class="jdgm-rev__pics"><a href="/pics/1.jpg"><img src="/pics/1-small.jpg"></a></div></div><div class="jdgm-rev__reply">
<div class="jdgm-rev__reply-content"><p>So glad!</p></div></div></div><a class="jdgm-paginate__load-more"
href="#">More</a></div>"""

_YOTPO = """<div class="yotpo"><div class="yotpo-review yotpo-regular-box" data-review-id="77"><span
class="yotpo-user-name">Ola P.</span><span class="yotpo-user-title">Verified Buyer</span><div
class="yotpo-review-stars"><span class="sr-only">3 star rating</span></div><span class="y-label
yotpo-review-date">03/04/21</span><span class="yotpo-review-date">03/04/2021</span><div class="yotpo-main"><div
class="content-title">So so</div><div class="content-review">It does what it says and no more.</div></div><div
class="yotpo-helpful"><span class="vote-sum" data-type="up">2</span></div></div><div class="yotpo-review yotpo-hidden
yotpo-template"><div class="content-review">template</div></div></div>"""

_STAMPED = """<div class="stamped-review" data-id="9"><div class="stamped-review-header"><strong class="author">Kai
</strong><div class="created">May 6, 2022</div><span class="stamped-starratings" data-rating="4"></span></div><div
class="stamped-review-content"><h3 class="stamped-review-header-title">Warm</h3><p
class="stamped-review-content-body">Warm and light.</p></div><div class="stamped-review-reply"><p
class="stamped-review-content-body">Enjoy!</p></div></div>"""

_AMAZON = """<span id="productTitle">Kettle</span><div data-hook="review" id="R1"><a class="a-profile"
href="/gp/profile/x"><span class="a-profile-name">Ida</span></a><a data-hook="review-title" href="/gp/r/R1"><i
data-hook="review-star-rating"><span class="a-icon-alt">2,0 von 5 Sternen</span></i> <span>Laut</span></a><span
data-hook="review-date">Rezension aus Deutschland vom 3. März 2021</span><a data-hook="format-strip">Farbe: Rot</a><span
data-hook="avp-badge">Verifizierter Kauf</span><span data-hook="review-body"><div data-hook="review-collapsed">Sehr
laut, aber schnell.</div></span><span data-hook="helpful-vote-statement">12 Personen fanden diese Informationen
hilfreich</span></div><ul class="a-pagination"><li class="a-last"><a href="?pageNumber=2">Weiter</a></li></ul>"""

_GOOGLE_PLAY = """<div class="single-review"><div class="review-header" data-reviewid="gp:1"><div class="review-info">
<span class="author-name"><a href="/people?id=1">Uma</a></span><span class="review-date">May 5, 2016</span><a
class="reviews-permalink" href="/r?id=1"></a><div class="review-info-star-rating"><div class="tiny-star" aria-label="
Rated 4 stars out of five stars "><div class="current-rating" style="width: 80%;"></div></div></div></div></div><div
class="review-body"><span class="review-title">Handy</span> Keeps my notes. <div class="review-link"><a href="#">Full
Review</a></div></div></div>"""

_YELP = """<div class="review-list"><div class="review" data-review-id="y1"><ul class="user-passport-info"><li
class="user-name"><a class="user-display-name" href="/user?u=1">Lee K.</a></li></ul><div class="review-wrapper"><div
class="review-content"><i class="star-img" title="4.0 star rating"></i><span class="rating-qualifier">7/2/2014</span><p
class="review_comment" lang="en">Good soup.</p></div><span class="useful"><span class="count">2</span></span><div
class="biz-owner-reply"><div class="biz-owner-reply-header"><strong>Comment from Bo of Blue Door</strong></div>Thank
you, Lee.</div></div></div></div>"""

_SONGKICK = """<div class="artist-reviews"><ul><li class="review-container"><div class="review-content"
id="review-5"><p>Loud and good. <span class="read-more-link-container"><a href="#">Read more</a></span></p><p><a
class="report-review" href="#">Report as inappropriate</a></p></div><div class="uploader"><a href="/users/zed"><img
src="z.png"><span><strong>by <span>zed</span></strong></span></a></div></li></ul></div>"""

_BAZAARVOICE = """<div class="bvseo-review" data-reviewid="22"><span itemprop="reviewRating">Rated <span>4</span> out of
<span>5</span></span> by <span itemprop="author">Donna</span> from <span itemprop="name">Fine cake</span> <span
itemprop="description">Came out well.</span><div class="bvseo-pubdate">Date published: 2022-10-30</div></div>"""

LAYOUTS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("woocommerce", "en", _WOOCOMMERCE, {
        "id": "12", "author": "Mia", "rating": 4.0, "rating_best": 5.0, "date": "2023-02-03T04:05:06Z",
        "body": "Bright enough.\nAnd steady.", "verified": True, "reply": "Thank you!", "reply_author": "Shop",
        "reply_date": "2023-02-04T00:00:00Z", "item": "Desk lamp"}),
    ("judgeme", "en", _JUDGEME, {
        "id": "u-1", "author": "Noor", "rating": 5.0, "date": "2023-01-28T05:02:32Z", "title": "Soft",
        "body": "Softer than it looks.", "verified": True, "helpful_votes": 3, "reply": "So glad!",
        "images": ["http://shop.example/pics/1.jpg"]}),
    ("yotpo", "en", _YOTPO, {
        "id": "77", "author": "Ola P.", "rating": 3.0, "rating_best": 5.0, "date": "2021-03-04", "date_raw": "03/04/21",
        "title": "So so", "body": "It does what it says and no more.", "verified": True, "helpful_votes": 2}),
    ("stamped", "en", _STAMPED, {
        "id": "9", "author": "Kai", "rating": 4.0, "date": "2022-05-06", "title": "Warm", "body": "Warm and light.",
        "verified": None, "reply": "Enjoy!"}),
    ("amazon", "de", _AMAZON, {
        "id": "R1", "author": "Ida", "author_url": "http://shop.example/gp/profile/x", "rating": 2.0,
        "rating_best": 5.0, "date": "2021-03-03", "title": "Laut", "body": "Sehr laut, aber schnell.", "verified": True,
        "helpful_votes": 12, "variant": "Farbe: Rot", "item": "Kettle", "url": "http://shop.example/gp/r/R1"}),
    ("google-play-2016", "en", _GOOGLE_PLAY, {
        "id": "gp:1", "author": "Uma", "rating": 4.0, "rating_best": 5.0, "date": "2016-05-05", "title": "Handy",
        "body": "Keeps my notes.", "url": "http://shop.example/r?id=1"}),
    ("yelp-2014", "en", _YELP, {
        "id": "y1", "author": "Lee K.", "rating": 4.0, "rating_best": None, "date": "2014-07-02", "body": "Good soup.",
        "language": "en", "language_source": "stated", "helpful_votes": 2, "reply": "Thank you, Lee."}),
    ("songkick", "en", _SONGKICK, {
        "id": "5", "author": "zed", "author_url": "http://shop.example/users/zed", "rating": None, "date": None,
        "body": "Loud and good."}),
    ("bazaarvoice", "en", _BAZAARVOICE, {
        "id": "22", "author": "Donna", "rating": 4.0, "rating_best": 5.0, "date": "2022-10-30", "title": "Fine cake",
        "body": "Came out well."}),
]
