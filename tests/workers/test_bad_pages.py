"""Pages that a good reader outlives. All of them are served for real and read in two crawls side by side."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, descendants
from shop import Answer, Drip, Shop, reviews_html
from sse_tasks_workers.scrape_reviews import ScrapeReviewsInput, ScrapeReviewsOutput, lane, politeness, scrape_reviews
from sse_tasks_workers.scrape_reviews.contract import UrlOutcome

pytestmark = pytest.mark.browser

HANGING = ("drip", "busy", "silent")
"""They get little time, and take all of it; the others get plenty, however busy the machine is."""

MANNERS: dict[str, Any] = {"delay": 0, "max_pages": 4, "respect_robots": False}

GROWING = """<div id="here"></div><div style="height:3000px"></div><script>
let n = 0; function add(names) { for (const name of names) here.insertAdjacentHTML('beforeend',
  `<div itemscope itemtype="https://schema.org/Review"><b itemprop="author">${name}</b>
   <p itemprop="reviewBody">${name} says so.</p></div>`); }
add(['A', 'B']);
addEventListener('scroll', () => { clearTimeout(window.t); window.t = setTimeout(() => {
  if (innerHeight + scrollY < document.body.scrollHeight - 300) return;
  document.body.insertAdjacentHTML('beforeend', '<div style="height:3000px"></div>'); %s }, 50); });
</script>"""


def bomb(head: str) -> bytes:
    """300 MB of paragraphs in a third of a megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(head.encode())]
    block = (b"<p>" + b"x" * 1000) * 1000
    parts += [packer.compress(block) for _ in range(300)]
    return b"".join([*parts, packer.flush()])


def bad_pages(inner: str) -> dict[str, Answer]:
    def one(more: str = "", names: str = "A") -> str:
        return reviews_html(list(names), links=more)

    surrogate = ('{"@type": "Review", "author": "A\\ud800B\\u0000C", '
                 '"reviewBody": "=cmd|\' /C calc\'!A0 <b onclick=x()>b</b>"}')
    return {
        "endless-scroll": Answer(GROWING % "add(['N' + n++, 'M' + n++]);"),
        "repeating-scroll": Answer(GROWING % "add(['A', 'B']);"),
        "many-nodes": Answer(one("<p hidden>x</p>" * 200_000)),
        "gzip-bomb": Answer(bomb(one()), Content_Encoding="gzip"),
        "drip": Drip(one("<p>And on it goes.</p>" * 400)),
        "busy": Answer("<title>Busy</title><script>while (true) {}</script>"),
        "memory": Answer("<script>const all = []; for (;;) all.push(Array(1e7).fill(1));</script>"),
        "alerts": Answer(one("<script>onbeforeunload = () => 'stay'; for (let i = 0; i < 30; i++) alert(i)</script>")),
        "download": Answer("a,b", kind="text/csv", Content_Disposition="attachment; filename=x.csv"),
        "pdf": Answer(b"%PDF-1.4", kind="application/pdf"),
        "goes-for-downloads": Answer(one('<a id="d" href="/file">x</a><script>setInterval(() => d.click(), 50)'
                                         "</script>")),
        "popups": Answer(one("<script>for (let i = 0; i < 30; i++) open('/popup')</script>")),
        "circle": Answer(status=302, Location="/circle"),
        "secret": Answer("secret", 401, WWW_Authenticate='Basic realm="x"'),
        "empty": Answer(status=204),
        "reload": Answer("<script>location.reload()</script>"),
        "refresh": Answer('<meta http-equiv="refresh" content="0">'),
        "polling": Answer(one("<script>setInterval(() => fetch('/poll'), 20)</script>")),
        "silent": Answer(one(), wait=60),
        "file-link": Answer(one('<a rel="next" href="file:///etc/passwd">Next</a>')),
        "data-link": Answer(one('<a rel="next" href="data:text/html,x">Next</a><a href="javascript:x()">Next</a>')),
        "inward": Answer(status=302, Location=inner),
        "inward-script": Answer(f'<script>location = "{inner}"</script>'),
        "inward-link": Answer(one(f'<a rel="next" href="{inner}?page=2">Next</a>')),
        "inward-name": Answer(status=302, Location=inner.replace("127.0.0.1", "localhost")),
        "inward-parts": Answer(one(f'<iframe src="{inner}"></iframe><script src="{inner}"></script><script>'
                                   f'fetch("{inner}"); new WebSocket("{inner.replace("http", "ws")}");'
                                   f'navigator.sendBeacon("{inner}")</script>')),
        "bytes": Answer(b'<title>\xff\xfe</title>\x00<script type="application/ld+json">' + surrogate.encode()
                        + b"</script>\xc3\x28"),
        "broken-jsonld": Answer(one('<script type="application/ld+json">{"@type": "Review", </script>')),
        "numbers": Answer('<script type="application/ld+json">[{"@type": "Review", "author": "A", "reviewRating": '
                          f'{{"ratingValue": NaN}}}}, {{"@type": "Review", "author": "B", "reviewRating": '
                          f'{"9" * 5000}}}]</script><script type="application/ld+json">{"[" * 5000}</script>'),
        "consent-wall": Answer("<title>Before you go on</title><h1>We value your privacy</h1><p>We use cookies.</p>"
                               "<button onclick=\"fetch('/accepted')\">Accept all</button>"),
        "login-wall": Answer("<title>Sign in</title><form>Name <input> Password <input type=password></form>"),
        "soft-404": Answer("<title>Page not found</title><p>Sorry.</p>"),
        "robot-check": Answer("<title>Just a moment...</title><p>Verify you are human</p>"),
        "no-reviews": Answer("<title>Kettle</title><h2>Reviews</h2><p>Be the first to review this kettle.</p>"),
        "aggregate-only": Answer(reviews_html([], declared=1200)),
        "good": Answer(one(names="XYZ")),
    }


class Crawled:
    """What came of each page by its name, and what the task left."""

    def __init__(self, outputs: list[ScrapeReviewsOutput], desks: list[Desk], shop: Shop, inner: Shop,
                 files: Path) -> None:
        self.outputs, self.shop, self.inner, self.files = outputs, shop, inner, files
        self.items: list[dict[str, Any]] = [item for desk in desks for item in desk.reports.items]
        self._by_name = {one.url.rsplit("/", 1)[1]: one for output in outputs for one in output.urls}

    def __len__(self) -> int:
        return len(self._by_name)

    def __getitem__(self, name: str) -> UrlOutcome:
        return self._by_name[name]

    def authors(self, name: str) -> list[str]:
        return [item["author"] for item in self.items if item["asked_url"] == self[name].url]


@contextlib.contextmanager
def serving() -> Iterator[Shop]:
    with Shop() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawled]:
    files = tmp_path_factory.mktemp("files")
    before = descendants()
    with pytest.MonkeyPatch.context() as patch, serving() as shop, serving() as inner:
        patch.setattr(lane, "CALL_SECONDS", 6.0)
        patch.setattr(politeness, "BACKOFF_SECONDS", 0.1)
        inner.answers["/admin"] = Answer(reviews_html(["Inside"]))
        pages = bad_pages(inner.url("/admin"))
        shop.answers["/file"] = pages["pdf"]
        shop.answers |= {f"/{name}": answer for name, answer in pages.items()}
        desks = [Desk(files), Desk(tmp_path_factory.mktemp("others"))]

        async def crawl() -> list[ScrapeReviewsOutput]:
            hanging = [shop.url(f"/{name}") for name in HANGING]
            others = [shop.url(f"/{name}") for name in pages if name not in HANGING]
            return await asyncio.gather(
                scrape_reviews(desks[0].ctx, ScrapeReviewsInput(urls=others, timeout=60, concurrency=6, **MANNERS)),
                scrape_reviews(desks[1].ctx, ScrapeReviewsInput(urls=hanging, timeout=5, concurrency=3, **MANNERS)))

        outputs = asyncio.run(crawl())
        assert descendants().keys() <= before.keys()
        yield Crawled(outputs, desks, shop, inner, files)
        for desk in desks:
            desk.close()


def test_a_bad_page_never_costs_the_others(crawled: Crawled) -> None:
    """Every page has an outcome, the good one among them is whole, and no process is left behind."""
    assert len(crawled) == len(bad_pages(""))
    assert crawled.authors("good") == ["X", "Y", "Z"]
    assert not crawled["good"].partial
    assert [(output.stopped, output.partial) for output in crawled.outputs] == [("finished", True)] * 2


def test_endless_scroll(crawled: Crawled) -> None:
    """A page that grows forever is read up to the limit, and that is said."""
    outcome = crawled["endless-scroll"]

    assert crawled.authors("endless-scroll") == ["A", "B", "N0", "M1", "N2", "M3", "N4", "M5"]
    assert (outcome.stopped, outcome.partial, outcome.pages) == ("max_pages", True, 4)


def test_repeating_scroll(crawled: Crawled) -> None:
    """One that shows the same again and again is left after two rounds without anything new."""
    assert crawled.authors("repeating-scroll") == ["A", "B"]
    assert crawled["repeating-scroll"].stopped == "no_new_reviews"


@pytest.mark.parametrize(("name", "words"), [
    ("gzip-bomb", "only its first 10 MB were read"),
    ("drip", "it didn't end in time; what had arrived by then was read"),
])
def test_too_much_of_a_page(crawled: Crawled, name: str, words: str) -> None:
    """A third of a megabyte that unfolds to 300, or a page that never ends, is cut off; what was there is used."""
    assert crawled.authors(name) == ["A"]
    assert words in " ".join(crawled[name].errors)


@pytest.mark.parametrize("name", ["many-nodes", "alerts", "polling", "broken-jsonld",
                                  "goes-for-downloads"])
def test_pages_that_only_look_bad(crawled: Crawled, name: str) -> None:
    """400,000 nodes, thirty alerts and a plea to stay, a poll without end, a broken block beside a good one, downloads
    all the time: they are read like any other."""
    assert crawled.authors(name) == ["A"]


def test_popups(crawled: Crawled) -> None:
    """Thirty windows are closed, counted and said."""
    assert crawled.authors("popups") == ["A"]
    assert any("windows, which were closed" in error for error in crawled["popups"].errors)


@pytest.mark.parametrize(("name", "words", "times"), [
    ("busy", "its scripts never stop running", 2),
    ("memory", "the page crashed the browser", 2),
    ("silent", "no answer within 5 seconds", 2),
    ("download", "no page but a download", 1),
    ("pdf", "no page but application/pdf", 1),
    ("circle", "redirects in a circle", 0),
    ("secret", "a name and a password (status 401)", 1),
    ("empty", "an empty answer (status 204)", 1),
    ("reload", "keeps reloading itself", 0),
    ("refresh", "keeps reloading itself", 0),
    ("inward", "an internal address that was not asked for", 1),
    ("inward-script", "an internal address that was not asked for", 1),
    ("inward-name", "an internal address that was not asked for", 1),
])
def test_no_page_at_all(crawled: Crawled, name: str, words: str, times: int) -> None:
    """What gives no page is named, and asked for once more only where that may help (0: it asks for itself)."""
    outcome = crawled[name]

    assert (outcome.stopped, outcome.partial, outcome.found) == ("error", True, 0)
    assert words in outcome.message
    if times:
        assert crawled.shop.asked().count(f"/{name}") == times


@pytest.mark.parametrize("name", ["file-link", "data-link", "inward-link"])
def test_links_that_are_not_followed(crawled: Crawled, name: str) -> None:
    """A next link to a file, to data, to a script or inwards isn't followed."""
    assert crawled.authors(name) == ["A"]
    assert crawled[name].stopped == "no_next_page"


def test_nothing_internal_was_reached(crawled: Crawled) -> None:
    """No redirect, script, frame, name, socket or beacon of any page came through to the internal host."""
    assert crawled.authors("inward-parts") == ["A"]
    assert crawled.inner.requests == []


def test_bytes_that_are_no_text(crawled: Crawled) -> None:
    """Bad UTF-8, NUL and lone surrogates come out as valid Unicode; formulas and markup stay inert text."""
    [item] = [item for item in crawled.items if item["asked_url"] == crawled["bytes"].url]

    assert item["author"].encode() == "A�BC".encode()
    assert item["body"] == "=cmd|' /C calc'!A0 <b onclick=x()>b</b>"


def test_numbers_that_are_none(crawled: Crawled) -> None:
    """NaN, a number of 5,000 digits and 5,000 brackets: null, and no crash."""
    found = [item for item in crawled.items if item["asked_url"] == crawled["numbers"].url]

    assert [(item["author"], item["rating"]) for item in found] == [("A", None), ("B", None)]


@pytest.mark.parametrize(("name", "words"), [
    ("consent-wall", "asks for consent first"),
    ("login-wall", "asks to log in first"),
    ("soft-404", "says that it isn't there"),
    ("robot-check", "keeps robots out"),
    ("no-reviews", "has no reviews yet"),
    ("aggregate-only", "It says that there are 1200"),
])
def test_pages_without_reviews(crawled: Crawled, name: str, words: str) -> None:
    """A wall, a page that isn't there, or one without reviews is no failure: it is said, and nothing made up."""
    outcome = crawled[name]

    assert (outcome.found, outcome.stopped) == (0, "no_next_page")
    assert words in outcome.message
    assert outcome.errors == []


def test_nothing_was_accepted(crawled: Crawled) -> None:
    """A banner that can only be accepted stays where it is."""
    assert crawled.shop.asked("/accepted") == []


def test_evidence(crawled: Crawled) -> None:
    """Of failed pages a picture, the HTML and a trace are kept, few and small; no download was written."""
    names = {file.name for file in crawled.files.iterdir() if file.name.startswith("failed-page")}

    assert {"failed-page.trace.zip", "failed-page-2.trace.zip"} <= names
    assert not (crawled.files / "x.csv").exists()
    assert {name.split(".", 1)[1] for name in names} <= {"html", "png", "trace.zip"}
    assert len(names) <= 15
    assert all(file.stat().st_size <= 2_000_000 for file in crawled.files.iterdir())
