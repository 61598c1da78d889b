"""Site profiles: what they may say, which pages they are for, what they find, and what is wrong with one."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sse_tasks_workers.scrape_reviews import try_profile
from sse_tasks_workers.scrape_reviews.extraction import Declared, read_page
from sse_tasks_workers.scrape_reviews.markup import parse_page
from sse_tasks_workers.scrape_reviews.profiles import Profile, load_profiles, read_profile, shipped_profiles
from sse_tasks_workers.scrape_reviews.selectors import compiled

from sse_tasks import TaskError

_spec = importlib.util.spec_from_file_location("layouts", Path(__file__).with_name("layouts.py"))
assert _spec is not None and _spec.loader is not None
_layouts = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_layouts)
LAYOUTS = _layouts.LAYOUTS

URL = "http://shop.example/thing"
GUESTBOOK: dict[str, Any] = {
    "name": "guestbook",
    "match": [{"hosts": ["*.example"], "paths": ["/thing*"]}],
    "review": ".entry",
    "fields": {"author": ".who", "body": {"css": ".what", "without": [".edit"]}, "rating": ".stars"},
}
PAGE = """<html lang="en"><body><div class="entry"><b class="who">Ann</b><i class="stars">★★★★☆</i><div
class="what">Quiet rooms. <a
class="edit">Edit</a></div></div><div class="entry"><b class="who">Bo</b><div class="what">Fine.</div></div>
<div class="entry"><form>Write one!</form></div><a class="more" href="?page=2">More</a><p class="sum">12 entries</p>"""


def profile(**changes: Any) -> Profile:
    return read_profile({**GUESTBOOK, **changes}, "a test's")


def one(html: str, **fields: Any) -> Any:
    """The only review of a block with ``html``, read by a profile with these fields."""
    given = profile(fields={"body": ".b", **fields}, match=[])
    page = read_page(f'<html lang="en"><body><div class="entry"><p class="b">Words.</p>{html}</div>', URL,
                     profiles=[given])
    (review,) = page.reviews
    return review


def test_a_users_profile_reads_its_pages() -> None:
    """Blocks, cut texts, ratings in stars and relative addresses; a block without words or rated author is none."""
    page = read_page(PAGE, URL, profiles=[profile()])

    assert [(r.author, r.rating, r.rating_best, r.body) for r in page.reviews] == [
        ("Ann", 4.0, 5.0, "Quiet rooms."), ("Bo", None, None, "Fine.")]
    assert (page.profile, page.sources) == ("guestbook", {"profile": 2})
    assert {review.source for review in page.reviews} == {"profile"}


def test_how_the_page_goes_on() -> None:
    """A profile names the next page, the control that shows more, and where the page says how many there are."""
    given = profile(next="a.more", load_more="a.more", total=".sum")

    page = read_page(PAGE, URL, profiles=[given])

    assert (page.next.url, page.load_more) == ("http://shop.example/thing?page=2", "a.more")
    assert page.declared == Declared(reviews=12)


def test_a_next_page_elsewhere_isnt_followed() -> None:
    """The next link of a saved or mirrored page leads to the site that it was taken from, and isn't one."""
    page = read_page(PAGE.replace("?page=2", "http://other.example/thing?page=2"), URL,
                     profiles=[profile(next="a.more", load_more=".nowhere")])

    assert (page.next.url, page.load_more) == (None, None)


@pytest.mark.parametrize(("match", "fits"), [
    ([], True),
    ([{"hosts": ["shop.example"]}], True),
    ([{"hosts": ["SHOP.*"], "paths": ["/th*g"]}], True),
    ([{"hosts": ["shop.example"], "paths": ["/other/*"]}], False),
    ([{"hosts": ["*.shop.example"]}], False),
    ([{"has": [".entry .who", "p.sum"]}], True),
    ([{"has": [".entry", ".missing"]}], False),
    ([{"hosts": ["other.example"]}, {"has": [".entry"]}], True),
])
def test_which_pages_it_is_for(match: list[dict[str, Any]], fits: bool) -> None:
    """A profile is for the hosts and paths that it names, or for pages that look like its own."""
    assert bool(read_page(PAGE, URL, profiles=[profile(match=match)]).reviews) is fits


def test_the_first_that_finds_something_counts() -> None:
    """One's own profile wins over one that ships; where it finds nothing, the next one is tried."""
    name, language, html, _ = LAYOUTS[0]
    whole = f'<html lang="{language}"><body>{html}</body>'
    own = profile(name="own", match=[], review="li.review", fields={"body": ".description"})

    assert read_page(whole, URL, profiles=[own]).profile == "own"
    assert read_page(whole, URL, profiles=[profile(match=[], review=".missing")]).profile == name


@pytest.mark.parametrize(("html", "field", "value"), [
    ('<i class="r" aria-label="4 of 5"></i>', ".r", (4.0, 5.0)),
    ('<i class="r"><b style="width: 70%"></b></i>', {"css": ".r", "stars": 5}, (3.5, 5.0)),
    ('<i class="r" data-x="70"></i>', {"css": ".r", "attribute": "data-x", "best": 100, "worst": 0}, (70.0, 100.0)),
    ('<i class="r star-rating Three"></i>', ".r", (3.0, None)),
    ('<i class="r stars-4-5"></i>', ".r", (4.5, None)),
    ('<i class="r"><b class="on"></b><b class="on"></b><b></b></i>', {"css": ".r", "count": ".on", "best": 3},
     (2.0, 3.0)),
    ('<i class="r"><s class="star full"></s><s class="star full"></s><s class="star half"></s><s class="star"></s></i>',
     ".r", (2.5, 4.0)),
    ('<i class="r">Excellent</i>', {"css": ".r", "words": {"Excellent": 5, "Poor": 1}, "best": 5}, (5.0, 5.0)),
    ('<i class="r">Score: 8.4 of our readers: 10</i>', {"css": ".r", "after": ["Score:"], "before": ["of"], "best": 10},
     (8.4, 10.0)),
    ('<i class="r">none yet</i>', ".r", (None, None)),
    ("", [".missing", {"css": ".b", "attribute": "data-none"}], (None, None)),
])
def test_ratings_by_rule(html: str, field: Any, value: tuple[float | None, float | None]) -> None:
    """Ratings are read from words for the blind, widths, class names, lit stars, counts and a site's own words."""
    review = one(html, rating=field)

    assert (review.rating, review.rating_best) == value


def test_the_other_fields_by_rule() -> None:
    """Dates by the site's order and language, flags by their words, counts, several images, and no script as a link."""
    review = one("""<i class="d">Le 25 août 2017</i><i class="v">oui</i><i class="h">1.234 personnes</i><a class="a"
        href="javascript:x()">A</a><a class="u" href="r/1#top">link</a><img src="1.png"><img data-src="2.png"
        src="x.gif"><img src="1.png"><q lang="fr">Merci</q><s class="rd">26/08/2017</s>""",
        date={"css": ".d", "language": "fr"}, verified={"css": ".v", "yes": ["Oui"], "no": ["Non"]},
        helpful_votes=".h", author=".a", author_url=".a", url=".u", images="img", reply="q",
        reply_date={"css": ".rd", "order": "day-month-year"}, variant=[".none", {"css": ".u"}])

    assert (review.date, review.date_raw, review.verified) == ("2017-08-25", "Le 25 août 2017", True)
    assert (review.helpful_votes, review.author, review.author_url) == (1234, "A", None)
    assert (review.url, review.variant) == ("http://shop.example/r/1#top", "link")
    assert review.images == ["http://shop.example/1.png", "http://shop.example/2.png"]
    assert (review.reply, review.reply_author, review.reply_date) == ("Merci", None, "2017-08-26")


def test_structured_data_and_profile_are_one_list() -> None:
    """What a page marks up and what a profile finds there are the same reviews, and fill each other's gaps."""
    ld = json.dumps({"@type": "Review", "author": "Ann", "reviewBody": "Quiet rooms.", "datePublished": "2024-05-06"})

    page = read_page(f'<script type="application/ld+json">{ld}</script>{PAGE}', URL, profiles=[profile()])

    assert [(r.author, r.date, r.rating, r.source) for r in page.reviews] == [
        ("Ann", "2024-05-06", 4.0, "json-ld+profile"), ("Bo", None, None, "profile")]


@pytest.mark.parametrize(("name", "language", "html", "expected"), LAYOUTS, ids=[layout[0] for layout in LAYOUTS])
def test_the_profiles_that_ship(name: str, language: str, html: str, expected: dict[str, Any]) -> None:
    """Each recognises its layout on any host and reads every field of it."""
    page = read_page(f'<!doctype html><html lang="{language}"><body>{html}</body></html>', URL)

    (review,) = page.reviews
    assert page.profile == name
    assert {field: getattr(review, field) for field in expected} == expected


def test_every_profile_that_ships_is_tested() -> None:
    """There is a page for each in these tests."""
    assert sorted(profile.name for profile in shipped_profiles()) == sorted(layout[0] for layout in LAYOUTS)


def test_a_page_of_no_known_site_has_no_profile() -> None:
    """No shipped profile takes a page that isn't its own."""
    page = read_page('<div class="review"><p class="review-body">Words.</p></div><li class="review">Words</li>', URL)

    assert (page.profile, page.reviews) == (None, [])


words = st.text(st.characters(categories=["Ll", "Lu", "Nd"], max_codepoint=0x24F), min_size=1, max_size=12)
texts = st.lists(words, min_size=1, max_size=8).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries({
    "author": texts, "rating": st.none() | st.sampled_from([1.0, 2.5, 4.0, 5.0]), "title": st.none() | texts,
    "date": st.none() | st.dates(dt.date(1900, 1, 1), dt.date(2200, 12, 31)).map(dt.date.isoformat), "body": texts,
    "helpful_votes": st.none() | st.integers(0, 10**6), "variant": st.none() | texts, "reply": st.none() | texts,
}), min_size=1, max_size=5, unique_by=lambda r: (r["author"], r["body"])))
def test_what_is_written_in_a_layout_comes_back(written: list[dict[str, Any]]) -> None:
    """Every field of each review is read as it was written, and what wasn't is null."""
    blocks = "".join('<div class="entry">' + "".join(
        f'<p class="x-{name}">{value}</p>' for name, value in record.items() if value is not None) + "</div>"
        for record in written)
    given = profile(match=[], fields={name: f".x-{name}" for name in written[0]})

    page = read_page(f"<html><body>{blocks}", URL, profiles=[given])

    assert [{name: getattr(review, name) for name in written[0]} for review in page.reviews] == written


@pytest.mark.parametrize(("selector", "found"), [
    ("li", "abcd"), ("ul > li", "abd"), ("ul li.x", "bc"), ("ul > .x ~ li", "d"), (".x + li", "d"),
    ("li:first-child", "ac"),
    ("ul > li:last-child", "d"), ("ul > li:nth-child(2)", "b"), ("li:nth-last-child(3)", "a"), ("li:not(.x)", "ad"),
    ("li:is(.x, #d)", "bcd"), ("li:where(.x)", "bc"), ("ol, #a", "ac"), ("li:only-child", "c"),
    ("[id=a], .x > ol > .x", "ac"),
    ("ul li li", "c"), ("p li", ""), ("*|li", "abcd"), ("LI.x", "bc"), ("ul:empty", ""),
])
def test_selectors(selector: str, found: str) -> None:
    """CSS's combinators and the pseudo-classes that are supported select what browsers select, in page order."""
    root = parse_page("<ul><li id=a>a</li><li id=b class=x>b<ol id=c><li id=c class='x y'>c</li></ol></li>"
                      "<li id=d>d</li></ul>")

    assert "".join(element.get("id") for element in compiled(selector)(root)) == found


# --- what is wrong with one ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "said"), [
    ({"name": "Not a name!"}, "$.name"),
    ({"review": ""}, "$.review"),
    ({"review": "div[["}, "$.review"),
    ({"review": ".a::text"}, "$.review"),
    ({"review": " > ".join(["div"] * 20)}, "more than 12 steps"),
    ({"script": "alert(1)"}, "`script`"),
    ({"fields": {"author": 5}}, "$.fields.author"),
    ({"fields": {"authr": ".a"}}, "`authr`"),
    ({"fields": {"body": [".a", {"css": ")"}]}}, "$.fields.body[1].css"),
    ({"fields": {"body": {"css": ".a", "without": ["<"]}}}, "$.fields.body.without[0]"),
    ({"fields": {"rating": {"css": ".a", "regex": "(a+)+"}}}, "`regex`"),
    ({"fields": {"rating": {"css": ".a", "count": "("}}}, "$.fields.rating.count"),
    ({"fields": {"date": {"css": ".a", "order": "ymd"}}}, "$.fields.date.order"),
    ({"fields": {"body": "x" * 401}}, "$.fields.body"),
    ({"match": [{"paths": ["/x"]}]}, "$.match[0]"),
    ({"match": [{"has": ["..x"]}]}, "$.match[0].has[0]"),
    ({"next": "a::"}, "$.next"),
])
def test_a_fault_is_named_with_its_place(changes: dict[str, Any], said: str) -> None:
    """Whatever doesn't fit the schema or is no selector is refused, with the path of the fault."""
    with pytest.raises(TaskError, match="a test's") as caught:
        profile(**changes)

    assert caught.value.code == "bad_profile"
    assert said in str(caught.value)


def test_where_profiles_come_from(tmp_path: Path) -> None:
    """By name, by path, as an object or as JSON text, and from a folder whose profiles count for what they match."""
    (tmp_path / "guestbook.json").write_text(json.dumps(GUESTBOOK))
    (tmp_path / "other.toml").write_text(
        'name = "other"\nreview = ".x"\n[[match]]\nhosts = ["x.example"]\n[fields]\nbody = ".y"\n')
    (tmp_path / "notes.txt").write_text("nothing")
    folder = str(tmp_path)

    assert [(p.name, bool(p.match)) for p in load_profiles(None, folder)] == [("guestbook", True), ("other", True)]
    assert [(p.name, bool(p.match)) for p in load_profiles("other", folder)] == [("other", False), ("guestbook", True)]
    for each in (GUESTBOOK, json.dumps(GUESTBOOK), str(tmp_path / "guestbook.json")):
        assert [(p.name, p.match) for p in load_profiles(each)] == [("guestbook", [])]
    assert load_profiles("guestbook.json", folder)[0].name == "guestbook"
    assert load_profiles("amazon")[0].name == "amazon"
    assert load_profiles() == []


@pytest.mark.parametrize(("file", "text", "said"), [
    ("a.toml", 'name = "a', "it is no TOML"),
    ("a.json", "{", "it is no JSON"),
    ("a.json", "[" * 100_000, "it is no JSON"),
    ("a.json", "[]", "Expected `object`"),
    ("a.toml", 'name = "a"\nreview = ".x"\n[fields]\n', "$.match"),
    ("a.json", " " * 300_000, "larger than"),
])
def test_a_broken_file_is_named(tmp_path: Path, file: str, text: str, said: str) -> None:
    """A file that can't be read as a profile fails with its path and what is wrong there."""
    (tmp_path / file).write_text(text)

    with pytest.raises(TaskError) as caught:
        load_profiles(None, str(tmp_path))

    assert str(tmp_path / file) in str(caught.value) and said in str(caught.value)


@pytest.mark.parametrize(("given", "folder", "said"), [
    ("nonesuch", None, "There are amazon,"),
    ("/nowhere/p.toml", None, "No such file"),
    (None, "/nowhere", "no folder"),
    ("{", None, "it is no JSON"),
])
def test_what_isnt_there_is_said(given: str | None, folder: str | None, said: str) -> None:
    """A name, path or folder that doesn't exist fails with a sentence that says what there is."""
    with pytest.raises(TaskError, match=said):
        load_profiles(given, folder)


def test_a_hostile_page_and_selector_take_no_square_time() -> None:
    """Deep nesting, many blocks and a selector of as many steps as are allowed end long before the test's limit of two
    minutes: as XPath they took nine."""
    deep = profile(match=[], review=" ".join(["div"] * 12), fields={"body": "div div"})

    read_page("<div>" * 3000 + "x", URL, profiles=[deep])
    read_page("<div>" * 350 + "<div><div>x</div></div>" * 5_000, URL, profiles=[deep])
    places = profile(match=[], review="li:nth-child(3) ~ li:last-child")
    read_page("<ul>" + "<li>x</li>" * 20_000, URL, profiles=[places])


def test_the_command_shows_what_a_profile_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of the reviews, how often each field was found, how the page goes on; JSON lines where asked for."""
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "p.json").write_text(json.dumps({**GUESTBOOK, "next": "a.more"}))
    arguments = [str(tmp_path / "p.json"), str(tmp_path / "page.html"), "--url", URL]

    assert try_profile.main(arguments) == 0
    said = capsys.readouterr().out
    assert try_profile.main([*arguments, "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert "Profile guestbook: 2 reviews" in said and "by itself? yes" in said
    assert "next page: http://shop.example/thing?page=2" in said
    assert "Ann" in said and "4 of 5" in said and "rating            1 of 2" in said
    assert [json.loads(line)["author"] for line in lines] == ["Ann", "Bo"]


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad profile, a missing page and a page without reviews are told apart by the exit code and a sentence."""
    (tmp_path / "page.html").write_text("<p>Nothing here")
    (tmp_path / "bad.json").write_text(json.dumps({**GUESTBOOK, "fields": {"body": "p["}}))

    assert try_profile.main([str(tmp_path / "bad.json"), str(tmp_path / "page.html")]) == 2
    assert "$.fields.body" in capsys.readouterr().err
    assert try_profile.main(["amazon", str(tmp_path / "none.html")]) == 2
    assert "none.html can't be read" in capsys.readouterr().err
    assert try_profile.main(["amazon", str(tmp_path / "page.html"), "--url", "http://["]) == 2
    assert "is no web address" in capsys.readouterr().err
    assert try_profile.main(["amazon", str(tmp_path / "page.html")]) == 1
    assert "gives no block" in capsys.readouterr().out


def test_threads_that_read_profiles_at_once() -> None:
    """The first profiles of a process may be read by several threads together: none of them crashes it."""
    code = textwrap.dedent("""
        import sys, threading
        from sse_tasks_workers.scrape_reviews.profiles import read_profile
        sys.setswitchinterval(1e-6)
        together = threading.Barrier(8)
        def read():
            together.wait()
            read_profile({"name": "own", "review": "li", "fields": {"body": {"css": "p"}}}, "own")
        threads = [threading.Thread(target=read) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    """)
    done = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(4)]
    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * 4
