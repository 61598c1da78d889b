"""Pages whose reviews aren't in what the server sends: grown by a button or a scroll, in shadows, frames and JSON."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from desk import Desk, reading_of
from shop import Answer, Shop, reviews_html
from sse_tasks_workers.scrape_reviews import ScrapeReviewsInput, ScrapeReviewsOutput, scrape_reviews
from sse_tasks_workers.scrape_reviews.contract import UrlOutcome

pytestmark = pytest.mark.browser

ADD = """<div id="here"></div><script>
const article = name => `<div itemscope itemtype="https://schema.org/Review"><b itemprop="author">${name}</b>
  <p itemprop="reviewBody">${name} says so, and at length.</p></div>`;
const add = names => names.forEach(name => here.insertAdjacentHTML('beforeend', article(name)));
const put = names => { here.innerHTML = names.map(article).join(''); };
%s</script>"""

PROFILE = {"name": "own", "review": "li.opinion", "fields": {"author": "b", "body": "p", "rating": "i"},
           "load_more": "#again"}


def api(path: str) -> Answer:
    """Two reviews a page, three pages, each with the next one's cursor; behind the last there is none."""
    cursor = int(parse_qs(urlsplit(path).query).get("cursor", ["0"])[0])
    reviews = [{"id": f"r{cursor}{i}", "author": {"name": f"Cursor {cursor}{i}"}, "rating": 4,
                "title": "So", "reviewText": f"Opinion {cursor}{i} in some words",
                "createdAt": "2026-05-04T10:00:00Z"} for i in range(2)]
    following = cursor + 1 if cursor < 2 else None
    return Answer(json.dumps({"reviews": reviews, "nextCursor": following}), kind="application/json")


def living_pages(frame: str) -> dict[str, str]:
    return {
        "load-more": ADD % """add(['A', 'B']); let n = 0;
            document.write('<button id=m>Mehr Bewertungen anzeigen (4)</button>');
            m.onclick = () => setTimeout(() => { add(n++ ? ['E'] : ['C', 'D']); if (n == 2) m.remove(); }, 60);""",
        "by-label": ADD % """add(['A']);
            document.write('<div role=button aria-label="Show more reviews" tabindex=0 id=m>+</div>');
            m.onclick = () => { add(['B']); m.setAttribute('aria-disabled', 'true'); };""",
        "next-button": ADD % """put(['A', 'B']); let n = 0;
            document.write('<nav class=pagination><button id=m aria-label="Next page">&rsaquo;</button></nav>');
            m.onclick = () => { n++; put(n == 1 ? ['C', 'D'] : ['E']); m.disabled = n == 2; };""",
        "wrong-buttons": ADD % """add(['A']);
            for (const name of ['Add to basket', 'Read more', 'Sign in', 'Write a review'])
              document.write(`<button onclick="fetch('/pressed')">${name}</button>`);
            document.write('<form action="/pressed"><button>Load more</button></form>');
            document.write('<a href="/pressed">Show more</a>');""",
        "scroll": ADD % """add(['A', 'B']); let n = 0; document.write('<div id=end style="height:2000px"></div>');
            new IntersectionObserver(seen => { if (seen.some(s => s.isIntersecting) && n++ < 2) setTimeout(() => {
              add(['C' + n]); here.insertAdjacentHTML('beforeend', '<div style="height:2000px"></div>'); }, 50); }
            ).observe(document.body.appendChild(Object.assign(document.createElement('i'), {innerHTML: '.'})));""",
        "cursor": """<title>Cursor</title><ul id=here></ul><button id=m>Load more</button><script>
            let cursor = 0; async function more() {
              const data = await (await fetch('/api?cursor=' + cursor)).json();
              for (const r of data.reviews) here.insertAdjacentHTML('beforeend', `<li>${r.title}</li>`);
              cursor = data.nextCursor; if (cursor === null) m.remove(); }
            m.onclick = more; more();</script>""",
        "late-json": f"{reviews_html(['A', 'B'], declared=4)}<script>setTimeout(() => fetch('/api'), 300)</script>",
        "late-part": reviews_html(["A"], links="""<div id=here></div><script>
            fetch('/late-part.html').then(async answer => here.innerHTML = await answer.text())</script>"""),
        "shadow": """<div id=host></div><script>Element.prototype.getHTML = () => 'forged';
            document.createTreeWalker = () => { throw 1; };
            const outer = host.attachShadow({mode: 'open'}); outer.innerHTML = '<div id=inner></div>';
            outer.getElementById('inner').attachShadow({mode: 'open'}).innerHTML =
              '<div itemscope itemtype="https://schema.org/Review"><b itemprop="author">Shade</b></div>';</script>""",
        "frame": f'<title>Framed</title><iframe src="{frame}"></iframe>',
        "consent": ADD % """document.write(`<div class="cookie-banner">We use cookies.
              <button onclick="fetch('/accepted')">Alle akzeptieren</button>
              <button onclick="this.parentNode.remove(); add(['Behind'])">Alle ablehnen</button></div>`);""",
        "decline-offer": ADD % """add(['A']); document.write(`<div>Ten per cent off?
              <button onclick="fetch('/pressed')">No thanks</button></div>`);""",
        "heavy": ADD % """add(['A']);
            document.write('<img src=/heavy.png><video src=/heavy.mp4 autoplay></video><style>' +
              '@font-face{font-family:x;src:url(/heavy.woff2)}body{font-family:x;background:url(/heavy.gif)}</style>x');
            navigator.serviceWorker?.register('/heavy.js').catch(() => {});""",
    }


class Crawled:
    def __init__(self, output: ScrapeReviewsOutput, desk: Desk, shop: Shop) -> None:
        self.output, self.shop, self.items = output, shop, desk.reports.items
        self._by_name = {one.url.rsplit("/", 1)[1]: one for one in output.urls}

    def __getitem__(self, name: str) -> UrlOutcome:
        return self._by_name[name]

    def authors(self, name: str) -> list[str]:
        return [item["author"] for item in self.items if item["asked_url"] == self[name].url]


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawled]:
    with Shop() as shop:
        threading.Thread(target=shop.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        shop.answers["/api"] = api
        shop.answers["/late-part.html"] = Answer('<b itemscope itemtype="https://schema.org/Review">'
                                                 '<i itemprop="author">By script</i></b>', wait=0.4)
        shop.answers["/framed"] = Answer(reviews_html(["Inside a frame"], links="""<p id=host></p><script>
            host.attachShadow({mode: 'open'}).innerHTML = '<b itemscope itemtype="https://schema.org/Review">' +
              '<i itemprop="author">In its shadow</i></b>';</script>"""))
        pages = living_pages(shop.url("/framed"))
        shop.answers |= {f"/{name}": Answer(html) for name, html in pages.items()}
        desk = Desk(tmp_path_factory.mktemp("files"))
        output = asyncio.run(scrape_reviews(desk.ctx, ScrapeReviewsInput(
            urls=[shop.url(f"/{name}") for name in pages], delay=0, concurrency=4)))
        yield Crawled(output, desk, shop)
        desk.close()
        shop.shutdown()


@pytest.mark.parametrize(("name", "authors"), [
    ("load-more", ["A", "B", "C", "D", "E"]),
    ("by-label", ["A", "B"]),
    ("next-button", ["A", "B", "C", "D", "E"]),
    ("scroll", ["A", "B", "C1", "C2"]),
    ("cursor", ["Cursor 00", "Cursor 01", "Cursor 10", "Cursor 11", "Cursor 20", "Cursor 21"]),
])
def test_growing(crawled: Crawled, name: str, authors: list[str]) -> None:
    """A button by its words or its label, a page list of buttons, a scroll, an interface with cursors that the page
    itself asks: all of it is read, once, and the end is seen."""
    assert crawled.authors(name) == authors
    assert crawled[name].stopped in {"no_next_page", "no_new_reviews"}
    assert not crawled[name].partial
    assert {item["page"] for item in crawled.items if item["asked_url"] == crawled[name].url} == {1}


def test_json_that_comes_late(crawled: Crawled) -> None:
    """Where a page says that it has more than it shows, what it loads by itself a moment later is waited for."""
    assert crawled.authors("late-json") == ["A", "B", "Cursor 00", "Cursor 01"]
    assert not crawled["late-json"].partial


def test_a_part_that_comes_late(crawled: Crawled) -> None:
    """A page with a review already is read when what its scripts asked for while it was loaded has come, too."""
    assert crawled.authors("late-part") == ["A", "By script"]


def test_other_buttons_are_left_alone(crawled: Crawled) -> None:
    """No other button, no form and no link is pressed, and nothing is accepted."""
    assert crawled.authors("wrong-buttons") == crawled.authors("decline-offer") == ["A"]
    assert crawled.shop.asked("/pressed") == crawled.shop.asked("/accepted") == []


def test_shadows(crawled: Crawled) -> None:
    """What stands in open shadow roots is read, also where the page's scripts have forged what serialises them."""
    assert crawled.authors("shadow") == ["Shade"]


def test_frames(crawled: Crawled) -> None:
    """A frame of the same site is part of the page, with its shadows: its reviews belong to the page's address."""
    items = [item for item in crawled.items if item["author"] in {"Inside a frame", "In its shadow"}]

    assert len(items) == 2
    assert {item["page_url"] for item in items} == {item["asked_url"] for item in items} == {crawled["frame"].url}


def test_a_banner_is_refused(crawled: Crawled) -> None:
    """What stands behind a banner is read after a refusal, in any of many languages."""
    assert crawled.authors("consent") == ["Behind"]


def test_weight_stays_out(crawled: Crawled) -> None:
    """Images, media, fonts and service workers aren't asked for."""
    assert crawled.authors("heavy") == ["A"]
    assert crawled.shop.asked("/heavy.") == []


async def test_a_profiles_button_and_a_kill(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The control that a site profile names is pressed; killed in the midst of it and started again, the task gives
    the very records of an unbroken one, bare ratings too."""
    html = """<ul id=here></ul><p id=again>…</p><script>let n = 0;
      const add = () => { n++; here.insertAdjacentHTML('beforeend',
        `<li class=opinion><b>N${n}</b><p>Opinion ${n} at some length</p></li>` +
        `<li class=opinion><b>Same</b><i>4</i></li>`); };
      add(); again.onclick = () => { add(); if (n == 3) again.remove(); };</script>"""
    shop.answers["/own"] = Answer(html)
    input = ScrapeReviewsInput(url=shop.url("/own"), delay=0, profile=PROFILE)
    whole, first = Desk(tmp_path_factory.mktemp("whole")), Desk(tmp_path_factory.mktemp("killed"))
    output = await scrape_reviews(whole.ctx, input)
    first.reports.on_state = lambda count: first.abort() if count == 2 else None

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(scrape_reviews(first.ctx, input))
    second = Desk(tmp_path_factory.mktemp("again"), first.reports.states[-1])
    again = await scrape_reviews(second.ctx, input)

    assert [item["author"] for item in whole.reports.items] == ["N1", "Same", "N2", "Same", "N3", "Same"]
    assert first.reports.items + second.reports.items == whole.reports.items
    assert reading_of(again) == reading_of(output)
    for desk in (whole, first, second):
        desk.close()
