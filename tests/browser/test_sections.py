"""The folded parts of the card, in a real Chromium: output, items, metrics, files, traceback, and the question before
an abort."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from .waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TASK = "0123456789abcdefghjkmnpqrs"
OTHER = "0123456789abcdefghjkmnpqrt"


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def picture(width: int = 40, height: int = 30) -> bytes:
    """A PNG of one colour."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x30\x80\xc0" * width) * height
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


async def opened(page: Page, overview) -> None:
    await page.goto(overview.url)
    await page.wait_for_function("() => Boolean(window.show)")


async def show(page: Page, overview, task_id: str = TASK):
    if page.url != overview.url:
        await opened(page, overview)
    await page.evaluate("id => { window.dispose = show('your-task', id); }", task_id)
    return page.locator(".sse-tasks-TaskView").last


def fold(card, name: str):
    return card.get_by_role("button", name=re.compile(f"^{name}"))


def print_more(overview, text: str) -> None:
    overview.output[TASK] = overview.output.get(TASK, b"") + text.encode()
    overview.put(TASK, outputBytes=len(overview.output[TASK]))


def emit(overview, *items: object) -> None:
    lines = b"".join(json.dumps(item).encode() + b"\n" for item in items)
    overview.items[TASK] = data = overview.items.get(TASK, b"") + lines
    overview.put(TASK, items=data.count(b"\n"), itemsBytes=len(data))


async def saved(page: Page, button) -> tuple[str, bytes]:
    """The name and the content of what a click lets the browser save."""
    async with page.expect_download() as download:
        await button.click()
    file = await download.value
    return file.suggested_filename, open(await file.path(), "rb").read()


async def test_output_follows_as_in_a_terminal(page, overview):
    """Unfolded, it goes on by what is new, rewrites a progress bar's line, keeps colours, and stays at the end."""
    print_more(overview, "".join(f"line {n}\n" for n in range(100)) + "\x1b[31m10%\x1b[0m |#")
    card = await show(page, overview)
    await expect(card.locator(".sse-tasks-TaskView-output")).to_have_text("10% |#")
    await fold(card, "Output").click()
    log = card.get_by_role("log")
    await expect(log).to_contain_text("10% |#")
    await expect(log.locator(".sse-mod-fg1")).to_have_text("10%")
    overview.requests.clear()

    print_more(overview, "\r\x1b[K\x1b[32m20%\x1b[0m |##\nafter\n")
    await expect(log).to_contain_text("20% |##")
    await expect(log).not_to_contain_text("10%")
    await expect(card.locator(".sse-tasks-TaskView-output")).to_have_text("after")
    at_end = "log => log.scrollHeight - log.scrollTop - log.clientHeight"
    assert await log.evaluate(at_end) < 8
    await log.evaluate("log => log.scrollTo(0, 0)")
    print_more(overview, "much more\n")
    await expect(log).to_contain_text("much more")
    assert await log.evaluate("log => log.scrollTop") == 0
    assert [r for r in overview.requests if "output" in r] == [f"GET api/tasks/your-task/{TASK}/output"] * 2


async def test_only_what_is_looked_at_is_fetched(page, overview):
    """A folded part, one out of sight, and one of a page that is hidden cost no request."""
    print_more(overview, "a line\n")
    emit(overview, {"a": 1})
    overview.put(TASK, files=1, metrics=1, metricsBytes=9)
    overview.files[TASK] = {"a.csv": b"1"}
    card = await show(page, overview)
    await expect(card).to_contain_text("a line")
    await expect(fold(card, "Files")).to_be_visible()
    fetched = [r.rsplit("/", 1)[1] for r in overview.requests if r.startswith("GET api/tasks/your-task/")]
    assert set(fetched) == {"output"}

    await fold(card, "Output").click()
    await fold(card, "Items").click()
    await expect(card.get_by_role("table")).to_contain_text("1")
    await expect(card.get_by_role("log")).to_contain_text("a line")
    await page.evaluate("document.getElementById('cards').style.paddingTop = '4000px'")
    # The card's own observer hears of it before this one does.
    await card.evaluate("card => new Promise(done => new IntersectionObserver("
                        "([seen]) => { if (!seen.isIntersecting) requestAnimationFrame(done); }).observe(card))")
    overview.requests.clear()
    print_more(overview, "unseen\n")
    emit(overview, {"a": 2})
    overview.put(TASK, message="said after that")
    await expect(card).to_contain_text("said after that")
    assert overview.requests == []

    await page.evaluate("document.getElementById('cards').style.paddingTop = ''")
    await expect(card.get_by_role("log")).to_contain_text("unseen")
    await expect(card.get_by_role("table").locator("tbody tr")).to_have_count(2)


async def test_long_output_is_shown_from_its_end_and_saved_whole(page, overview):
    """Of 2 MB the last 500 lines are fetched and drawn; "Show all" and "Download" have all of it."""
    text = "".join(f"{n:05} {'x' * 130}\n" for n in range(15_000))
    print_more(overview, text)
    card = await show(page, overview)
    await fold(card, "Output").click()
    log = card.get_by_role("log")
    await expect(log).to_contain_text("14999")
    assert await log.locator("> div").count() < 501

    name, content = await saved(page, card.get_by_role("button", name="Download", exact=True))
    assert (name, content) == ("your-task-mnpqrs-output.txt", text.encode())

    await card.get_by_role("button", name="Show all").click()
    await expect(log).to_contain_text("00000")
    await expect(log.locator("> div")).to_have_count(15_000)
    await expect(card.get_by_role("button", name="Show all")).to_be_hidden()


async def test_output_that_shrinks_is_read_anew(page, overview):
    """Of a long output only head and tail are kept: then what is shown is the new one."""
    print_more(overview, "a long story\n" * 50)
    card = await show(page, overview)
    await fold(card, "Output").click()
    await expect(card.get_by_role("log")).to_contain_text("a long story")

    overview.output[TASK] = b"head and tail\n"
    overview.put(TASK, outputBytes=14)
    await expect(card.get_by_role("log")).to_have_text("head and tail")


async def test_items_stand_in_a_table_that_grows(page, overview):
    """The first six columns, nested values as JSON, the last 50 rows, more on demand, and the count."""
    emit(overview, *({"n": n, "who": {"id": n}, "text": "<b>bold</b>", "d": None, "e": 1, "f": 2, "g": 3, "h": 4}
                     for n in range(120)))
    card = await show(page, overview)
    await expect(fold(card, "Items")).to_have_text("Items120")
    await fold(card, "Items").press("Enter")
    rows = card.locator("tbody tr")
    await expect(rows).to_have_count(50)
    assert await card.locator("thead th").all_inner_texts() == ["n", "who", "text", "d", "e", "f"]
    assert await rows.last.locator("td").all_inner_texts() == ["120", "119", '{"id":119}', "<b>bold</b>", "", "1", "2"]
    await expect(card).to_contain_text("the last 50 of 120 · 2 more columns in the files")

    emit(overview, {"n": "new"}, "a text")
    await expect(rows.last).to_contain_text("122")
    await expect(rows).to_have_count(50)
    await card.get_by_role("button", name="Show earlier ones").click()
    await expect(rows).to_have_count(122)
    await expect(rows.first.locator("td").first).to_have_text("1")
    await expect(card.get_by_role("button", name="Show earlier ones")).to_be_hidden()


async def test_many_items_are_read_from_the_end(page, overview):
    """Of 3 MB the last rows are fetched, earlier ones piece by piece, each once and in order."""
    emit(overview, *({"n": n, "x": "y" * 280} for n in range(10_000)))
    card = await show(page, overview)
    await fold(card, "Items").click()
    rows = card.locator("tbody tr")
    await expect(rows.last.locator("td").nth(1)).to_have_text("9999")
    for _ in range(8):
        await card.get_by_role("button", name="Show earlier ones").click()

    await expect(rows).to_have_count(1650)
    numbers = await rows.evaluate_all("rows => rows.map(row => Number(row.cells[1].textContent))")
    assert numbers == list(range(8350, 10_000))


async def test_items_are_saved_as_csv_and_json(page, overview):
    """All of them, however many are shown; what a spreadsheet would run is text."""
    items = [{"n": n, "text": "=1+1"} for n in range(130)]
    emit(overview, *items)
    card = await show(page, overview)
    await fold(card, "Items").click()

    name, content = await saved(page, card.get_by_role("button", name="Download CSV"))
    assert name == "your-task-mnpqrs.csv"
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert rows == [{"n": str(n), "text": "'=1+1"} for n in range(130)]

    name, content = await saved(page, card.get_by_role("button", name="JSON"))
    assert name == "your-task-mnpqrs.json" and json.loads(content) == items


async def test_metrics_are_small_charts(page, overview):
    """One for each name, with the last value and the range in figures, for a screen reader too; they grow."""
    def measure(*points: dict) -> None:
        overview.metrics[TASK] = data = (overview.metrics.get(TASK, b"")
                                         + b"".join(json.dumps(point).encode() + b"\n" for point in points))
        overview.put(TASK, metrics=data.count(b"\n"), metricsBytes=len(data))

    measure({"name": "loss", "value": 2.5, "step": 1}, {"name": "loss", "value": 0.31254, "step": 2},
            {"name": "<i>rate</i>", "value": None})
    card = await show(page, overview)
    await fold(card, "Metrics").click()
    chart = card.get_by_role("img", name="loss: last 0.3125, from 0.3125 to 2.5, 2 points")
    await expect(chart).to_be_visible()
    await expect(card.get_by_role("img", name="<i>rate</i>: last –, 1 point")).to_be_attached()
    before = await chart.locator("path").get_attribute("d")

    measure(*({"name": "loss", "value": 1 / step, "step": step} for step in range(3, 5000)))
    chart = card.get_by_role("img", name=re.compile("^loss: .*4,999 points$"))
    await expect(chart).to_be_visible()
    drawn = await chart.locator("path").get_attribute("d")
    assert drawn != before and 100 < drawn.count("L") <= 300


async def test_files_are_listed_and_pictures_shown(page, overview):
    """Names, sizes, downloads; a picture is fetched and shown, what only calls itself one is not."""
    overview.files[TASK] = {
        "page.png": picture(), "evil.png": b"<svg onload='window.hacked=1'>", "a&b.html": b"<script>"}
    overview.put(TASK, files=3)
    card = await show(page, overview)
    await fold(card, "Files").click()
    shown = card.get_by_role("img", name="page.png")
    await expect(shown).to_be_visible()
    size = await shown.evaluate("async img => { await img.decode(); return [img.naturalWidth, img.naturalHeight]; }")
    assert size == [40, 30] and (await shown.get_attribute("src")).startswith("blob:")
    await expect(card).to_contain_text("evil.png is no picture that can be shown here.")
    await expect(card.locator("li", has_text="a&b.html")).to_contain_text("8 bytes")

    assert await saved(page, card.get_by_role("button", name="Download a&b.html")) == ("a&b.html", b"<script>")
    assert await page.evaluate("window.hacked") is None
    assert await card.locator("img").count() == 1


async def test_a_failed_tasks_picture_is_open(page, overview):
    """What a scraper left of the page that it failed at is seen without a click; it can be closed and stays so."""
    overview.put(TASK)
    card = await show(page, overview)
    await expect(card).to_have_attribute("data-connection", "live")
    overview.files[TASK] = {"failed-page.png": picture()}
    overview.put(TASK, status="failed", code="no_reviews", error="No reviews were found.", files=1, endedAt=ago(0))
    await expect(card.get_by_role("img", name="failed-page.png")).to_be_visible()

    await fold(card, "Files").click()
    await expect(card.get_by_role("img", name="failed-page.png")).to_be_hidden()


async def test_the_traceback_is_folded_below_the_error(page, overview):
    """Only where the worker raised: its last traceback, without colours and what was printed before."""
    overview.output[TASK] = (b"before\nTraceback (most recent call last):\n  File \x1b[35m\"w.py\"\x1b[0m, line 3\n"
                             b"ValueError: No\n")
    overview.put(TASK, status="failed", code="worker_error", error="ValueError: No",
                 outputBytes=len(overview.output[TASK]), endedAt=ago(0))
    card = await show(page, overview)
    await expect(card.get_by_role("group", name="Traceback")).to_be_hidden()
    await fold(card, "Traceback").click()
    await expect(card.get_by_role("group", name="Traceback")).to_have_text(
        'Traceback (most recent call last):\n  File "w.py", line 3\nValueError: No')

    overview.put(OTHER, status="failed", code="timeout", error="It took too long.", outputBytes=5)
    other = await show(page, overview, OTHER)
    await expect(other).to_contain_text("It took too long.")
    await expect(fold(other, "Traceback")).to_be_hidden()


async def test_an_abort_that_loses_work_is_asked_once(page, overview):
    """The card asks; Escape keeps the task, pressed again Abort aborts. A double click or a held key doesn't."""
    await opened(page, overview)
    overview.put(TASK, startedAt=ago(100))
    card = await show(page, overview)
    await expect(card).to_have_attribute("data-connection", "live")
    abort = card.get_by_role("button", name="Abort", exact=True)
    question = card.get_by_role("group", name="Abort?")
    height = (await card.bounding_box())["height"]

    await abort.dblclick()
    loss = re.compile(r"No checkpoint was saved: 1 min [45]\d s of work would be lost\.")
    await expect(question).to_contain_text(loss)
    await expect(card.locator(".sse-tasks-TaskView-spoken")).to_contain_text("would be lost")
    assert (await card.bounding_box())["height"] == height
    await page.keyboard.press("Escape")
    await expect(question).to_be_hidden()
    await expect(abort).to_be_focused()

    await page.keyboard.down("Enter")
    await expect(question).to_be_visible()
    await page.keyboard.down("Enter")  # the key is held: it repeats
    await page.keyboard.up("Enter")
    await question.get_by_role("button", name="Keep it").click()
    await expect(question).to_be_hidden()
    assert overview.asked == []

    overview.slow.clear()
    await abort.press("Enter")
    await abort.press("Enter")
    await expect(card).to_contain_text("Aborting…")
    await expect(question).to_be_hidden()
    await until("the request", lambda: overview.asked == [("abort", TASK)])
    overview.slow.set()


async def test_an_abort_that_loses_nothing_is_not_questioned(page, overview):
    """A checkpoint of this moment: aborted at the first click."""
    await opened(page, overview)
    overview.put(TASK, startedAt=ago(100), savedAt=ago(1))
    card = await show(page, overview)
    overview.slow.clear()
    await card.get_by_role("button", name="Abort", exact=True).click()

    await expect(card).to_contain_text("Aborting…")
    overview.slow.set()


async def test_parts_are_by_keyboard_and_their_keys_are_the_cards_own(page, overview):
    """Tab reaches each button and each thing that scrolls; all of them carry the mark for JupyterLab."""
    print_more(overview, "line\n" * 50)
    emit(overview, *({"n": n} for n in range(60)))
    card = await show(page, overview)
    await fold(card, "Output").press("Enter")
    await fold(card, "Items").press(" ")
    await expect(card.get_by_role("table")).to_contain_text("59")
    await fold(card, "Output").focus()

    reached = []
    for _ in range(8):
        reached.append(await page.evaluate(
            "[document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent,"
            "document.activeElement.hasAttribute('data-lm-suppress-shortcuts')]"))
        await page.keyboard.press("Tab")
    assert reached == [[name, True] for name in (
        "Output", "Items60", "Output", "Download", "Items", "Show earlier ones", "Download CSV", "JSON")]


async def test_a_failed_fetch_is_said_where_it_failed(page, overview):
    """What the server answers stands in the part, and goes when it works again."""
    emit(overview, {"a": 1})
    card = await show(page, overview)
    await expect(fold(card, "Items")).to_be_visible()
    await page.route("**/items?*", lambda route: route.fulfill(status=500, json={"message": "The disk is on fire."}))
    await fold(card, "Items").click()
    await expect(card).to_contain_text("The disk is on fire.")

    await page.unroute("**/items?*")
    emit(overview, {"a": 2})
    await expect(card.get_by_role("table")).to_contain_text("2")
    await expect(card).not_to_contain_text("The disk is on fire.")


async def test_a_view_that_is_gone_keeps_no_picture(page, overview):
    """Its dispose function gives back what the pictures took, and stops all reading."""
    overview.files[TASK] = {"page.png": picture()}
    overview.put(TASK, files=1)
    card = await show(page, overview)
    await fold(card, "Files").click()
    address = await card.get_by_role("img", name="page.png").get_attribute("src")
    await page.evaluate("dispose()")

    assert await page.evaluate("async url => fetch(url).then(() => 'there', () => 'gone')", address) == "gone"
