"""The card's parts that only calculate, in a real Chromium: the terminal, rows and files of items, charts, figures."""

from __future__ import annotations

import csv
import io
import json

import pytest
from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def call(page: Page, overview, module: str, script: str, argument: object = None):
    """What ``script``, a function of the module and an argument, gives."""
    if page.url != overview.url:
        await page.goto(overview.url)
    return await page.evaluate(f"async (argument) => ({script})(await import('./frontend/{module}.js'), argument)",
                               argument)


async def screen(page: Page, overview, *pieces: str, rows: int = 500) -> list[str]:
    return await call(page, overview, "terminal", """({ Terminal }, [pieces, rows]) => {
        const terminal = new Terminal(rows);
        for (const piece of pieces) terminal.write(piece);
        return terminal.lines.map(({ cells }) => cells.join('').trimEnd()); }""", [list(pieces), rows])


TERMINAL = [
    ("10%\r50%\r100%\n", ["100%", ""]),
    ("abcdef\rxy", ["xycdef"]),
    ("abcdef\r\x1b[Kxy", ["xy"]),
    ("abcdef\x1b[3D\x1b[Kx", ["abcx"]),
    ("ab\b\bx\ty", ["xb      y"]),
    ("outer 0\n\x1b[A\n\rinner 5\x1b[A\router 1\n\rinner 9\n", ["outer 1", "inner 9", ""]),  # tqdm, nested
    ("one\ntwo\nthree\x1b[2A\x1b[Jx", ["one  x", "", ""]),
    ("old\n\x1b[2J\x1b[Hnew", ["new"]),
    ("\x1b]0;a title\x07\x1b]8;;https://x.example\x1b\\a link\x1b]8;;\x1b\\", ["a link"]),
    ("e\u0301a👩\u200d🚀|", ["e\u0301a👩\u200d🚀|"]),
    ("a\x1b[999999999Cb", ["a"]),
    ("a\x1b(Bb\x1b7c\x00\x07", ["abc"]),
]


async def test_output_looks_as_in_a_terminal(page, overview):
    """Carriage returns, backspaces, tabs, erasing and moving up do what they do in a terminal; titles don't show. It
    doesn't matter where the output is cut into pieces."""
    for output, shown in TERMINAL:
        assert await screen(page, overview, output) == shown
        assert await screen(page, overview, *output) == shown


async def test_a_terminal_is_bounded(page, overview):
    """Of many lines the last are kept; an endless line is cut; a sequence that never ends holds nothing up."""
    lines = await screen(page, overview, "".join(f"{n}\n" for n in range(5000)), rows=100)
    assert len(lines) == 100 and lines[0] == "4901" and lines[-2] == "4999"

    assert len((await screen(page, overview, "x" * 100_000))[0]) == 4000
    assert (await screen(page, overview, "\x1b]0;" + "y" * 9000, "\nshown"))[-1] == "shown"
    assert await screen(page, overview, "\x1b[B" * 300 + "end", rows=10) == [""] * 9 + ["end"]


async def test_colours_are_styles(page, overview):
    """The sixteen colours are the theme's, the 256 and the true ones are as said; a reset ends them."""
    runs = await call(page, overview, "terminal", """({ Terminal, runsOf }, text) => {
        const terminal = new Terminal();
        terminal.write(text);
        const none = { classes: '', color: '', background: '' };
        return runsOf(terminal.lines[0]).map(({ text, style }) => {
            const { classes, color, background } = style ?? none;
            return [text, classes, color, background]; }); }""",
        "a\x1b[1;31mb\x1b[22;92mc\x1b[0md\x1b[38;5;208me\x1b[38;2;1;2;3;48;5;244mf\x1b[39;49m\x1b[7mg\x1b[38;5;9;27mh")

    assert runs == [
        ["a", "", "", ""], ["b", "sse-mod-bold sse-mod-fg1", "", ""], ["c", "sse-mod-fg10", "", ""], ["d", "", "", ""],
        ["e", "", "rgb(255 135 0)", ""], ["f", "", "rgb(1 2 3)", "rgb(128 128 128)"], ["g", "sse-mod-inverse", "", ""],
        ["h", "sse-mod-fg9", "", ""]]


ITEMS = [
    {"name": "=HYPERLINK(\"x\")", "n": -5, "who": {"id": 1}}, {"name": "a,b\n\"c\"", "n": None, "more": [1, 2]},
    "plain", ["list"], {"name": "-1+1", "__proto__x": True}, {"name": "Čeština 🫖", "n": 12345678901234567890},
]


async def test_a_csv_file_is_safe_and_whole(page, overview):
    """Every name has a column, texts that a spreadsheet would run are defused, numbers stay so, nothing is lost."""
    lines = [json.dumps(item) for item in ITEMS]
    text = await call(page, overview, "item_rows", "({ csvOf }, lines) => csvOf(lines).join('')", lines)

    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert list(rows[0]) == ["name", "n", "who", "more", "item", "__proto__x"]
    assert [row["name"] for row in rows] == ["'=HYPERLINK(\"x\")", 'a,b\n"c"', "", "", "'-1+1", "Čeština 🫖"]
    assert rows[0]["n"] == "-5" and rows[0]["who"] == '{"id":1}' and rows[1]["more"] == "[1,2]"
    assert rows[2]["item"] == "plain" and rows[3]["item"] == '["list"]' and rows[4]["__proto__x"] == "true"


async def test_a_json_file_has_the_items_as_they_were_written(page, overview):
    """The items' own text stays, so that no digit of a long number is lost."""
    lines = [json.dumps(item) for item in ITEMS]
    text = await call(page, overview, "item_rows", "({ jsonOf }, lines) => jsonOf(lines).join('')", lines)

    assert json.loads(text) == ITEMS


async def test_a_thinned_out_line_keeps_its_peaks(page, overview):
    """100,000 points become at most 300, in order: the ends, the highest, the lowest and the gap among them."""
    kept = await call(page, overview, "line_chart", """({ decimated }) => {
        const points = Array.from({ length: 100000 }, (_, x) => ({ x, y: Math.sin(x / 5000) }));
        points[31234].y = 50; points[77777].y = -50;
        for (let x = 50000; x < 52000; x += 1) points[x].y = null;
        return decimated(points, 300); }""")

    assert len(kept) <= 300
    places = [point["x"] for point in kept]
    assert places == sorted(places) and places[0] == 0 and places[-1] == 99_999
    values = [point["y"] for point in kept]
    assert 50 in values and -50 in values and None in values


async def test_a_charts_path_shows_gaps_and_lone_points(page, overview):
    """Nothing for no numbers, a dot for one, a new stroke after a gap, a straight line in the middle for one value."""
    draw = "({ chartPath }, ys) => chartPath(ys.map((y, x) => ({ x, y })), 100, 40)"

    assert await call(page, overview, "line_chart", draw, [None, None]) == ""
    assert await call(page, overview, "line_chart", draw, [3]) == "M50.0 20.0h.01"
    assert await call(page, overview, "line_chart", draw, [1, 3, None, 2]) == "M0.0 40.0h.01L33.3 0.0M100.0 20.0h.01"
    assert await call(page, overview, "line_chart", draw, [7, 7]) == "M0.0 20.0h.01L100.0 20.0"


async def test_a_series_is_bounded_and_knows_its_range(page, overview):
    """A million points take the room of some thousands, and the lowest and highest are still known."""
    series = await call(page, overview, "line_chart", """({ Series }) => {
        const series = new Series();
        for (let n = 0; n < 1000000; n += 1) series.add(n === 5 ? -3 : n === 6 ? null : n % 1000, n);
        const { count, last, lowest, highest, points } = series;
        return { count, last, lowest, highest, points: points.length }; }""")

    assert series["points"] <= 4000
    assert {**series, "points": 0} == {"count": 1_000_000, "last": 999, "lowest": -3, "highest": 999, "points": 0}


@pytest.mark.parametrize(("locale", "shown"), [
    ("en-US", ["1,234.5", "27%", "1 min 05 s", "1.5 KiB", "0.0123", "1.23E-7"]),
    ("de-DE", ["1.234,5", "27\u00a0%", "1 min 05 s", "1,5 KiB", "0,0123", "1,23E-7"]),
    ("ar-EG", ["١٬٢٣٤٫٥", "٢٧٪\u061c", "١ min ٠٥ s", "١٫٥ KiB", "٠٫٠١٢٣", None]),
])
async def test_figures_are_in_the_browsers_locale(browser, overview, locale, shown):
    """Numbers, percentages, durations and sizes are written as the browser's language does."""
    context = await browser.new_context(locale=locale)
    try:
        page = await context.new_page()
        figures = await call(page, overview, "figures", """(f) => [f.formatNumber(1234.5), f.formatPercentage(27.9),
            f.formatDuration(65), f.formatSize(1536), f.formatValue(0.0123), f.formatValue(0.000000123)]""")
    finally:
        await context.close()

    assert [figure for figure, want in zip(figures, shown, strict=True) if want] == [want for want in shown if want]


async def test_the_pace_is_that_of_the_last_minute(page, overview):
    """What a task had done before it was watched, or in an earlier attempt, makes it no faster; rest slows."""
    paces = await call(page, overview, "figures", """({ Pace }) => {
        const pace = new Pace();
        for (let s = 0; s <= 100; s += 1) pace.add(s, 1000 + s * 2);
        const steady = pace.perSecond(100, 1200, false);
        const stalled = pace.perSecond(140, 1200, false);
        const first = new Pace();
        first.add(10, 50);
        const known = [first.perSecond(10, 50, true), first.perSecond(10, 50, false) ?? null];
        pace.add(141, 3);
        return [steady, stalled, ...known, pace.perSecond(141, 3, false) ?? null]; }""")

    assert paces == [2, pytest.approx(1.2, abs=0.02), 5, None, None]


TRACEBACKS = [
    ("nothing of the kind\n", ""),
    ("a\nTraceback (most recent call last):\n  old\nOldError\nb\nTraceback (most recent call last):\n  x\nE: 1\n",
     "Traceback (most recent call last):\n  x\nE: 1"),
    ("Traceback (most recent call last):\n  x\nE: 1\n\nDuring handling of the above exception, another exception "
     "occurred:\n\nTraceback (most recent call last):\n  y\nF: 2\n",
     "Traceback (most recent call last):\n  x\nE: 1\n\nDuring handling of the above exception, another exception "
     "occurred:\n\nTraceback (most recent call last):\n  y\nF: 2"),
    ("z\n  + Exception Group Traceback (most recent call last):\n  |   x\n",
     "  + Exception Group Traceback (most recent call last):\n  |   x"),
]


async def test_the_last_traceback_is_found_with_what_led_to_it(page, overview):
    """Of several the last one, whole: with the exceptions that it was raised from, and as a group."""
    for output, shown in TRACEBACKS:
        assert await call(page, overview, "output_section", "({ lastTraceback }, text) => lastTraceback(text)",
                          output) == shown


async def test_only_pictures_are_taken_for_pictures(page, overview):
    """By their first bytes, not by their names: a page or an SVG is none."""
    begins = [[0x89, 0x50, 0x4E, 0x47, 13, 10, 26, 10], [0xFF, 0xD8, 0xFF, 0xE0], list(b"GIF89a"),
              list(b"RIFFabcdWEBPVP8 "), list(b"<svg xmlns="), list(b"<!doctype html>"), list(b"RIFFabcdWAVE"), []]

    assert await call(page, overview, "pictures",
                      "({ pictureType }, all) => all.map((bytes) => pictureType(new Uint8Array(bytes)) ?? null)", begins
                      ) == ["image/png", "image/jpeg", "image/gif", "image/webp", None, None, None, None]


LOSS = "({ lossOf }, [task, seconds]) => lossOf(task, seconds, Date.parse('2026-01-01T12:00:00Z'))"


LOSSES = [
    ({"status": "running"}, 65, "No checkpoint was saved: 1 min 05 s of work"),
    ({"status": "running"}, 5, ""),
    ({"status": "running", "savedAt": "2026-01-01T11:59:50Z"}, 600, ""),
    ({"status": "running", "savedAt": "2026-01-01T11:58:00Z"}, 600, "The work since the last checkpoint, 2 min 00 s"),
    ({"status": "paused", "savedAt": "2026-01-01T11:00:00Z"}, 600, ""),
    ({"status": "paused"}, 600, "No checkpoint"),
    ({"status": "idle"}, None, ""),
    ({"status": "completed"}, 600, ""),
]


async def test_an_abort_is_questioned_where_it_loses_work(page, overview):
    """Half a minute of work that no checkpoint holds is worth a question; a task that stands still has saved it."""
    for task, seconds, begins in LOSSES:
        loss = await call(page, overview, "task_words", LOSS, [task, seconds])
        assert loss.startswith(begins) and bool(loss) == bool(begins)
