"""What a task, a notebook or a newer server may say to a page, and must not do to it, in a real Chromium."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from sse_tasks.static_view import static_html
from sse_tasks.types import Status, TaskInfo

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

TASK = "0123456789abcdefghjkmnpqrs"
OTHER = "0123456789abcdefghjkmnpqrt"


async def opened(page: Page, overview) -> None:
    await page.goto(overview.url)
    await page.wait_for_function("() => Boolean(window.show)")


async def show(page: Page, overview, task_id: str = TASK):
    if page.url != overview.url:
        await opened(page, overview)
    await page.evaluate("id => { show('your-task', id); }", task_id)
    card = page.locator(f".sse-tasks-TaskView[data-task-id='{task_id}']").last
    await expect(card).not_to_contain_text("Connecting")
    return card


async def call(page: Page, overview, module: str, script: str, argument: object = None):
    """What ``script``, a function of the module and an argument, gives."""
    if page.url != overview.url:
        await opened(page, overview)
    return await page.evaluate(f"async (argument) => ({script})(await import('./frontend/{module}.js'), argument)",
                               argument)


async def test_one_views_fault_is_its_own(page, overview):
    """A callback that raises is reported, and the stream, which all views of the page share, goes on."""
    overview.put(TASK)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await opened(page, overview)
    await page.evaluate("() => { connectHub().watchAll(({ type }) => {"
                        "if (type !== 'connection') throw new Error('a fault'); }); }")
    card = await show(page, overview)
    await expect(card).to_have_attribute("data-connection", "live")
    overview.put(TASK, message="and on")
    await expect(card).to_contain_text("and on")

    assert overview.requests.count("GET api/tasks") == 1
    assert set(faults) == {"a fault"}


ODD = [
    ({"progress": None, "message": None, "error": None}, "Running"),
    ({"progress": 5, "message": {"a": [1]}}, '{"a":[1]}'),
    ({"progress": {"percentage": "x", "current": {}, "total": None, "message": 7}}, "7"),
    ({"name": 12, "restartOf": 5, "restartedAs": {}, "items": "many", "startedAt": 3, "position": []}, "12"),
]


async def test_what_is_of_another_kind_is_drawn_as_text(page, overview):
    """A newer server's fields and a saved notebook's are text or nothing, and the card goes on."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    overview.put(TASK)
    card = await show(page, overview)
    for change, shown in ODD:
        overview.put(TASK, **change)
        await expect(card).to_contain_text(shown)
    overview.put(TASK, status="failed", error={"why": 1}, code=3, name="The end", endedAt=[])
    await expect(card.locator(".sse-tasks-TaskView-error")).to_contain_text('{"why":1}')

    assert faults == []


async def test_a_status_that_is_not_known_is_shown_and_not_steered(page, overview):
    """As it is, without buttons; also where an object of the language has that name."""
    overview.put(TASK, status="suspended")
    card = await show(page, overview)
    for status in ("suspended", "constructor"):
        overview.put(TASK, status=status)
        await expect(card.locator(".sse-tasks-TaskView-statusText")).to_have_text(status)
        for name in ("Pause", "Abort", "Restart"):
            await expect(card.get_by_role("button", name=name)).to_be_hidden()

    actions = await call(page, overview, "task_row", "({ actionsOf }) => actionsOf({ status: 'suspended' })")
    assert actions == []


async def test_endless_texts_are_cut(page, overview):
    """A megabyte in a line or an error costs the page no megabyte, and says how much is not shown."""
    long = "x" * (1 << 20)
    overview.put(TASK, status="failed", name=long, message=long, error=long, code="worker_error")
    card = await show(page, overview)
    await expect(card.locator(".sse-tasks-TaskView-errorText")).to_contain_text("1,028,576 more characters")
    assert await card.evaluate("card => card.outerHTML.length") < 100_000


async def test_endless_words_stay_in_a_saved_notebook(page):
    """Broken wherever the box ends; what stands beside them is whole."""
    long = "W" * 4000
    await page.set_content(static_html(TaskInfo(
        task_id=TASK, task_type="your-task", status=Status.FAILED, name=long[:200], message=long, error=long)))
    assert await page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert await page.get_by_text("Failed", exact=True).evaluate("node => node.getClientRects().length") == 1


SCHEMAS = {
    "a type that holds itself": (
        {"properties": {"node": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": {"type": "object", "properties": {
            "value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}}}}},
        ["node.value", "node.next"]),
    "a union that leads back to itself": (
        {"properties": {"x": {"$ref": "#/$defs/A"}},
         "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"oneOf": [{"$ref": "#/$defs/A"}, {"type": "integer"}]}]}}},
        ["x"]),
    "a reference to itself": (
        {"properties": {"x": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}}, ["x"]),
    "nonsense": ({"properties": {"x": {"$ref": 5}, "y": {"$ref": "http://x/y"}, "z": True, "w": None}}, list("xyzw")),
}


@pytest.mark.parametrize("kind", SCHEMAS)
async def test_a_form_is_made_from_any_schema(page, overview, kind):
    """What can't be fields, since it would never end, is a box for JSON."""
    schema, paths = SCHEMAS[kind]
    found = await call(page, overview, "form_fields", """({ makeFields }, schema) => {
        const box = document.createElement('div');
        const fields = makeFields(schema, schema);
        box.append(...fields.map(({ node }) => node));
        for (const field of fields) field.faults(true);
        return [...box.querySelectorAll('[data-path]:not(fieldset)')].map(({ dataset }) => dataset.path); }""", schema)

    assert found == paths


FIELDS: list[tuple[dict, str, str, str, str]] = [  # schema, placeholder, help, what is typed, what is wrong with it
    ({"type": "array", "prefixItems": [{"type": "integer"}]}, "", "As JSON: […].", '["x"]',
     'Item 1 must be a whole number, not "x".'),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, "", 'As JSON: {"name": …}.', '{"a": "x"}',
     'a must be a whole number, not "x".'),
    ({"type": "array", "items": {"type": "integer"}, "default": [1, 2]}, "1\n2", "One a line.", "1\n\nx",
     'Line 3 must be a whole number, not "x".'),
    ({"type": "string", "format": "time"}, "", "A time of day like 03:58:00.", "03:04",
     'Must be a time of day like 03:58:00, not "03:04".'),
    ({"type": "string", "format": "date-time"}, "", "A date and time like 2026-11-24T03:58:00Z.", "2026-11-24 24:00:00",
     'Must be a date and time like 2026-11-24T03:58:00Z, not "2026-11-24 24:00:00".'),
    ({"type": "string", "format": "duration"}, "", "A duration like PT90S.", "PT",
     'Must be a duration like PT90S, not "PT".'),
    ({}, "", "As JSON.", "x", "Is no JSON: Unexpected token 'x', \"x\" is not valid JSON."),
    ({"type": "string", "format": "date", "default": "2026-01-02"}, "2026-01-02", "Default: 2026-01-02.", "02312026",
     "Is no whole date."),
]


async def test_a_field_says_what_it_takes_and_what_is_wrong(page, overview):
    """In words for the kind of field that it is; a date that the browser can't read isn't taken for none."""
    await call(page, overview, "form_fields", """({ makeFields }, schemas) => {
        const properties = Object.fromEntries(schemas.map((schema, index) => [`f${index}`, schema]));
        const fields = makeFields({ properties }, { properties });
        const form = document.getElementById('cards');
        form.append(...fields.map(({ node }) => node));
        window.check = () => { for (const field of fields) field.hear(field.faults(true)); }; }""",
        [schema for schema, *_ in FIELDS])
    for number, (_, placeholder, helped, typed, wrong) in enumerate(FIELDS):
        field = page.locator(f"[data-path=f{number}]")
        box = field.locator(".sse-tasks-Form-input")
        assert await box.get_attribute("placeholder") == placeholder
        await expect(field.locator(".sse-tasks-Form-help")).to_have_text(helped)
        await box.focus()
        if await box.get_attribute("type") == "date":
            await page.keyboard.type(typed)
        else:
            await box.fill(typed)
        await page.evaluate("check()")
        await expect(field.locator(".sse-tasks-Form-wrong")).to_have_text(wrong)


async def test_text_from_right_to_left_begins_at_the_right(page, overview):
    """What doesn't fit is cut at its end: in a card as elsewhere the text says itself which way it runs."""
    overview.put(TASK, name="مهمة طويلة", message="مرحبا بالعالم", progress={"message": "step"})
    card = await show(page, overview)
    for part in ("name", "message"):
        await expect(card.locator(f".sse-tasks-TaskView-{part}")).to_have_css("direction", "rtl")
    overview.put(TASK, message="Hello مرحبا")
    await expect(card.locator(".sse-tasks-TaskView-message")).to_have_css("direction", "ltr")


async def test_one_of_very_many_choices_is_searched(page, overview):
    """A part of it is typed, and those that have it are offered, some of them at a time; what is none of them is told
    with the first ten; numbers stay numbers; what a choice can't be said by its text isn't filled in."""
    schema = {"properties": {"station": {"anyOf": [{"enum": [*range(20_000), "12"]}, {"type": "null"}]}}}
    await call(page, overview, "form_fields", """({ makeFields }, schema) => {
        [window.field] = makeFields(schema, schema);
        document.getElementById('cards').append(field.node); }""", schema)
    box = page.get_by_label("Station")
    offered = "() => [...document.querySelectorAll('datalist option')].map(({ value }) => value)"

    await expect(page.locator("[data-path=station]")).to_contain_text("One of 20,001: type a part of it.")
    await box.fill("1999")
    found = await page.evaluate(offered)
    assert found == ["1999", "11999", *(str(number) for number in range(19990, 20_000))]
    assert await page.evaluate("[field.read(), field.faults(true)]") == [1999, []]
    await box.fill("9")
    assert len(await page.evaluate(offered)) == 50
    await box.fill("far")
    [fault] = await page.evaluate("field.faults(true)")
    assert fault["message"] == "must be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (20,001 in all), not \"far\""
    assert await page.evaluate("[field.fill(17), field.read(), field.fill('12'), field.fill('far'), field.read()]") == [
        True, 17, False, False, 17]
    assert await page.evaluate("[field.fill(undefined), field.read() === undefined, field.faults(true)]") == [
        True, True, []]


async def test_a_recursive_value_is_checked_in_its_depth(page, overview):
    """The fault that is said is the one inside."""
    schema = SCHEMAS["a type that holds itself"][0]
    value = {"node": {"value": 1, "next": {"value": 2, "next": {"value": "x", "next": None}}}}
    fault = await call(page, overview, "schema_check", "({ faultOf }, [s, v]) => faultOf(s, v, s)", [schema, value])

    assert fault["path"] == "node.next.next.value"


PATTERNS = [
    ("^(a+)+$", "a" * 40 + "!", False), ("^(a|a)*$", "a" * 40 + "!", False), ("^.*.*.*=.*$", "x" * 2000, False),
    (f"^{'a?' * 40}{'a' * 40}$", "a" * 39, False), (r"\s+$", " " * 100_000 + "x", False),
    (r"^(?:[a-z]+(?:-[a-z]*)?){2,}$", "a" * 40, False),
    (r"^https?://[^/\s]+/.*$", "https://shop.example/kettle", True), (r"^[^@]+@[^@]+\.[^@]+$", "a@b.example", True),
    ("^[0-9]{4}$", "8010", True), (r"^[a-z0-9][a-z0-9-]{0,63}$", "your-task", True), (r"\S", "a name", True),
    (r"^\d{4}-\d\d-\d\d(T\d\d:\d\d)?$", "2026-11-28", True), ("^(yes|no)$", "maybe", True), ("[", "x", True),
]


async def test_a_pattern_never_holds_the_page_up(page, overview):
    """Those that may take years are left to the server; all that people write are tried."""
    for pattern, text, is_tried in PATTERNS:
        tried = await call(page, overview, "pattern_cost",
                           "({ isQuickPattern }, [p, t]) => isQuickPattern(p, t.length)", [pattern, text])
        assert tried is is_tried, pattern
        fault = await call(page, overview, "schema_check", "({ faultOf }, [p, v]) =>"
                           "faultOf({ type: 'string', pattern: p }, v, {})?.message ?? ''", [pattern, text])
        assert bool(fault) is (pattern == "^(yes|no)$"), pattern
    schema = {"type": "string", "pattern": "^https?://", "examples": ["https://shop.example/"]}
    told = await call(page, overview, "schema_check", "({ faultOf }, s) => faultOf(s, 'shop.example', {}).message",
                      schema)
    assert told == 'must be like https://shop.example/, not "shop.example"'


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0"


SIZES = [
    (png(60_000, 50_000), [60_000, 50_000]),
    (b"GIF89a" + struct.pack("<HH", 3, 4), [3, 4]),
    (b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 3, 4), [3, 4]),
    (b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 2 | 3 << 14), [3, 4]),
    (b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + b"\x02\0\0\x03\0\0", [3, 4]),
    (b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc0\0\x11\x08\0\x04\0\x03", [3, 4]),
    (b"\xff\xd8\xff\xe0\0\x04ab", None), (b"\x89PNG\r\n\x1a\nnone", None), (b"<svg>", None),
]


async def test_a_pictures_size_is_known_before_it_is_unpacked(page, overview):
    """Of each kind that is shown; what ends before it says has none."""
    for data, size in SIZES:
        assert await call(page, overview, "pictures", "({ pictureSize }, bytes) =>"
                          "pictureSize(new Uint8Array(bytes)) ?? null", list(data)) == size


async def test_a_huge_or_broken_picture_is_not_shown(page, overview):
    """A few bytes may be gigabytes of pixels, and what begins like a picture may be none."""
    card = None
    for name, data, said in (("huge.png", png(60_000, 50_000), "huge.png has 60,000 × 50,000 pixels"),
                             ("broken.png", png(6, 5) + b"x" * 50, "broken.png is no picture")):
        overview.files[TASK] = {name: data}
        overview.put(TASK, files=1)
        card = card or await show(page, overview)
        fold = card.get_by_role("button", name="Files")
        if await fold.get_attribute("aria-expanded") == "false":
            await fold.click()
        await expect(card).to_contain_text(said)
        await expect(card.locator("img")).to_have_count(0)


async def test_a_files_name_can_not_feign_another_ending(page, overview):
    """What turns the direction of text is shown as what it is, and not handed to the browser with a download."""
    overview.files[TASK] = {"photo\u202egnp.exe": b"1"}
    overview.put(TASK, files=1)
    card = await show(page, overview)
    await card.get_by_role("button", name="Files").click()
    async with page.expect_download() as download:
        await card.get_by_role("button", name="Download photo\ufffdgnp.exe").click()

    assert "\u202e" not in (await download.value).suggested_filename


TERMINAL = [
    ("\x1b[3C\u0301x", "   \u0301x"),
    ("\t\u0301", "        \u0301"),
    ("a" + "\u0301" * 1000 + "b", "a" + "\u0301" * 31 + "b"),
    ("\x1b[" + "1;" * 100_000 + "mx", "x"),
]


async def test_control_bombs_are_bounded(page, overview):
    """Accents on nothing, a thousand on one letter, sequences without an end, millions of lines: text, at once."""
    for output, shown in TERMINAL:
        assert await call(page, overview, "terminal", "({ lastLineOf }, text) => lastLineOf(text)", output) == shown
    kept = await call(page, overview, "terminal", r"""({ Terminal }) => {
        const terminal = new Terminal(20_000);
        const pieces = ['\n'.repeat(3e6), '\x1b[99999B'.repeat(9e4), 'end\n', '\x1b[99999Atop'];
        for (const piece of pieces) terminal.write(piece);
        return [terminal.lines.length, terminal.lines.at(-2).cells.join(''), terminal.lines[0].cells.join('')]; }""")
    assert kept == [20_000, "end", "top"]


async def test_items_that_make_no_table_are_refused_in_words(page, overview):
    """A column for each item would be billions of cells; a damaged line is one text among the others."""
    refused = await call(page, overview, "item_rows", """({ csvOf }) => {
        try {
            csvOf(Array.from({ length: 5000 }, (_, n) => `{"key${n}": 1}`));
        } catch (error) {
            return error.message;
        } }""")
    assert refused.startswith("These items have 5,000 different names: too many columns for a CSV file.")

    lines = ['{"a": 1}', '{"a": 2, "b', '{"__proto__": 3, "constructor": 4}']
    text = await call(page, overview, "item_rows", "({ csvOf }, lines) => csvOf(lines).join('')", lines)
    assert text == '\ufeffa,item,__proto__,constructor\r\n1,,,\r\n,"{""a"": 2, ""b",,\r\n,,3,4\r\n'
    text = await call(page, overview, "item_rows", "({ jsonOf }, lines) => jsonOf(lines).join('')", lines)
    assert json.loads(text) == [{"a": 1}, lines[1], {"__proto__": 3, "constructor": 4}]


async def test_the_hub_is_found_by_nothing_that_an_output_can_hold(page, overview):
    """An element whose id is a name on `window` is not taken for the page's hub."""
    overview.put(TASK, message="here")
    await opened(page, overview)
    await page.evaluate("() => { for (let n = 0; n < 9; n += 1) document.body.append("
                        "Object.assign(document.createElement('a'), { id: `sse-tasks-hub-${n}`, href: 'x' })); }")
    card = await show(page, overview)
    await expect(card).to_contain_text("here")


async def test_a_notebooks_address_can_not_climb(page, overview):
    """A task may say any path: one that leads out of the notebooks is a name without a link."""
    found = await call(page, overview, "origins", """({ notebookOf }) => ['../../logout', 'a/../../x', 'a/b.ipynb'].map(
        (notebook) => notebookOf({ origin: { notebook } }).path)""")

    assert found == [None, None, "a/b.ipynb"]


FIGURES = [
    ({"items": 1}, "1 item ·"), ({"items": 2}, "2 items ·"), ({"progress": {"current": 3, "total": 9}}, "· 0.5/h ·"),
    ({"progress": {"current": 30, "total": 90}}, "· 5/h ·"), ({"progress": {"current": 600, "total": 900}}, "1.7/min"),
]


async def test_figures_are_whole_words_and_never_nothing(page, overview):
    """One item is one, and what takes hours has a rate, too."""
    started = (datetime.now(UTC) - timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    for number, (change, shown) in enumerate(FIGURES):
        task_id = f"{TASK[:-1]}{number}"
        overview.put(task_id, startedAt=started, **change)
        card = await show(page, overview, task_id)
        await expect(card.locator(".sse-tasks-TaskView-figures")).to_contain_text(shown)
