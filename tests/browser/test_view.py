"""The card itself, in a real Chromium: what it shows, what it asks for, what it never does."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from .waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TASK = "0123456789abcdefghjkmnpqrs"
OTHER = "0123456789abcdefghjkmnpqrt"


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


async def opened(page: Page, overview) -> None:
    await page.goto(overview.url)
    await page.wait_for_function("() => Boolean(window.show)")


async def show(page: Page, overview, task_type: str = "your-task", task_id: str = TASK, last=None):
    if page.url != overview.url:
        await opened(page, overview)
    await page.evaluate("([type, id, last]) => { window.dispose = show(type, id, last ?? undefined); }",
                        [task_type, task_id, last])
    return page.locator(".sse-tasks-TaskView").last


async def test_a_running_task_is_described(page, overview):
    """Name, type, status, percentage, counts, message, elapsed and left time stand in the card, and in its ARIA."""
    await opened(page, overview)
    overview.put(TASK, name="Lisbon", startedAt=ago(60), pausedSeconds=20, message="Page 27 of 100",
                 progress={"percentage": 27.9, "current": 27, "total": 100, "message": "Reading"})
    card = await show(page, overview)

    await expect(card).to_have_attribute("data-status", "running")
    await expect(card).to_have_attribute("data-connection", "live")
    await expect(card).to_contain_text("Lisbon")
    await expect(card).to_contain_text("your-task")
    await expect(card).to_contain_text("Page 27 of 100Reading")
    figures = card.locator(".sse-tasks-TaskView-figures")
    await expect(figures).to_have_text(re.compile(r"^27 of 100 · 27% · [45]\d s · 0\.[5-7]/s · \d min \d\d s left$"))
    bar = card.get_by_role("progressbar")
    await expect(bar).to_have_attribute("aria-valuenow", "27")
    await expect(bar).to_have_attribute("aria-valuetext", "27%, 27 of 100")


async def test_times_are_told_by_the_servers_clock(page, overview):
    """A server whose clock is an hour ahead doesn't make a task an hour younger than it is."""
    overview.clock_ahead = 3600
    await opened(page, overview)
    overview.put(TASK, startedAt=ago(30 - 3600))
    card = await show(page, overview)

    await expect(card.locator(".sse-tasks-TaskView-figures")).to_have_text(re.compile(r"[3-5]\d s"))


async def test_unknown_progress_has_no_value(page, overview):
    """A task that doesn't say how far it is has a moving bar and no aria-valuenow."""
    overview.put(TASK, startedAt=ago(5), progress={"current": 12})
    card = await show(page, overview)

    bar = card.get_by_role("progressbar")
    await expect(bar).to_have_class("sse-tasks-TaskView-bar sse-mod-indeterminate")
    assert await bar.get_attribute("aria-valuenow") is None


async def test_buttons_fit_the_state(page, overview):
    """Pause while it runs, Resume while it is paused, Restart alone once it has ended."""
    overview.put(TASK)
    card = await show(page, overview)
    controls = card.get_by_role("group", name="Task controls").get_by_role("button")
    await expect(controls).to_have_count(2)
    await expect(card.get_by_role("button", name="Pause")).to_be_visible()

    overview.put(TASK, status="paused")
    await expect(card.get_by_role("button", name="Resume")).to_be_visible()
    await expect(card.get_by_role("button", name="Abort")).to_be_visible()

    overview.put(TASK, status="completed", endedAt=ago(0))
    await expect(controls).to_have_count(1)
    await expect(card.get_by_role("button", name="Restart")).to_be_visible()


async def test_what_is_asked_is_shown_at_once_and_sent(page, overview):
    """Pause says "Pausing…" before the server answers, not to speak of the task, and can be taken back; Abort beats
    both."""
    overview.put(TASK)
    card = await show(page, overview)
    overview.slow.clear()

    await card.get_by_role("button", name="Pause").click()
    await expect(card).to_contain_text("Pausing…")
    await until("the request", lambda: overview.asked == [("pause", TASK)])
    overview.put(TASK, requested="pause")
    await card.get_by_role("button", name="Resume").click()
    await expect(card).to_contain_text("Resuming…")
    await until("the request", lambda: overview.asked[1:] == [("resume", TASK)])
    overview.put(TASK, requested=None)
    await expect(card).to_contain_text("Running")
    await card.get_by_role("button", name="Abort").click()
    await expect(card).to_contain_text("Aborting…")
    await until("the request", lambda: overview.asked[2:] == [("abort", TASK)])
    await expect(card.get_by_role("button", name="Abort")).to_have_attribute("aria-disabled", "true")

    overview.put(TASK, status="aborted", requested=None, endedAt=ago(0))
    await expect(card).to_have_attribute("data-status", "aborted")
    overview.slow.set()
    assert overview.asked == [("pause", TASK), ("resume", TASK), ("abort", TASK)]


async def test_a_double_click_pauses_once(page, overview):
    """The second click of a double click doesn't take the first one back."""
    overview.put(TASK)
    card = await show(page, overview)
    overview.slow.clear()

    await card.get_by_role("button", name="Pause").dblclick()
    await expect(card).to_contain_text("Pausing…")
    await card.get_by_role("button", name="Abort").click()  # what the double click asked comes before it
    await until("the abort", lambda: ("abort", TASK) in overview.asked)

    overview.slow.set()
    assert sorted(overview.asked) == [("abort", TASK), ("pause", TASK)]


@pytest.mark.parametrize(("status", "body", "shown"), [
    (409, {"message": "It is completed already."}, "It is completed already."),
    (403, {}, "You are signed out, or not allowed"),
    (403, {"code": "not_signed_in", "message": "Log in, or send a token."}, "Sign in again in another tab"),
    (403, {"code": "forbidden", "message": "The right to execute is missing."}, "The right to execute is missing."),
    (404, {"message": "There is no such task."}, "There is no such task."),
])
async def test_a_refusal_stays_beside_the_message(page, overview, status, body, shown):
    """What the server answers to a button stays through later snapshots, until the next action."""
    overview.put(TASK, message="Working")
    overview.refusal = (status, body)
    card = await show(page, overview)

    await card.get_by_role("button", name="Pause").click()
    await expect(card).to_contain_text(shown)
    overview.put(TASK, message="Still working")
    await expect(card).to_contain_text("Still working")
    await expect(card).to_contain_text(shown)
    await expect(card).to_contain_text("Running")

    overview.refusal = None
    await card.get_by_role("button", name="Abort").click()
    await expect(card).not_to_contain_text(shown)


async def test_text_is_inert(page, overview):
    """Markup in names, messages, errors, results and output is shown as it is written and does nothing."""
    evil = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>"
    overview.put(TASK, name=evil, message=evil, error=evil, code="worker_error", status="failed", outputBytes=len(evil))
    overview.output[TASK] = evil.encode()
    card = await show(page, overview)
    await expect(card).to_contain_text("worker_error")
    await expect(card).to_contain_text(evil)
    await card.get_by_role("button", name="Output").click()
    await expect(card.get_by_role("log")).to_have_text(evil)
    other = TASK[::-1]
    overview.files[other], overview.items[other] = {evil: b""}, json.dumps({evil: evil}).encode() + b"\n"
    overview.put(other, status="completed", result=evil, resultBytes=99, files=1, items=1,
                 itemsBytes=len(overview.items[other]))
    card = await show(page, overview, task_id=other)
    await expect(card.get_by_role("group", name="Result")).to_have_text(evil)
    for name in ("Items", "Files"):
        await card.get_by_role("button", name=name).click()
    await expect(card.get_by_role("columnheader", name=evil)).to_be_visible()
    await expect(card.get_by_role("button", name=f"Download {evil}")).to_be_visible()

    assert await page.evaluate("window.hacked") is None
    assert await page.locator(".sse-tasks-TaskView :is(img, script)").count() == 0


async def test_a_crafted_id_is_never_sent(page, overview):
    """A type or an id that isn't shaped like one leads to no request at all, and to no buttons."""
    card = await show(page, overview, task_type="../contents", task_id="../../kernels/1")
    await expect(card).to_contain_text("../contents")
    await expect(card.get_by_role("button")).to_have_count(0)
    overview.put(TASK, status="running")
    valid = await show(page, overview)  # what the first had asked for would be there before this one's answer
    await expect(valid).to_contain_text("Running")

    assert [request for request in overview.requests if "kernels" in request or "contents" in request] == []


async def test_the_last_line_of_output_follows(page, overview):
    """The last line is that of a terminal: no escapes, what a progress bar wrote last, nothing empty."""
    overview.output[TASK] = "é".encode()[1:] + b"first\n\x1b[1;31mred\x1b[0m 10%\rred 20%\r\n\n  \n"
    overview.put(TASK, outputBytes=40)
    card = await show(page, overview)
    line = card.locator(".sse-tasks-TaskView-output")
    await expect(line).to_have_text("red 20%")

    overview.output[TASK] += b"more\n"
    overview.put(TASK, outputBytes=45)
    await expect(line).to_have_text("more")


async def test_a_tracebacks_last_line_is_not_shown_twice(page, overview):
    """Where the error says what the output's last line says, the line goes."""
    overview.output[TASK] = b"Traceback (most recent call last):\nValueError: No such page\n"
    overview.put(TASK, outputBytes=60)
    card = await show(page, overview)
    line = card.locator(".sse-tasks-TaskView-output")
    await expect(line).to_be_visible()

    overview.put(TASK, status="failed", error="ValueError: No such page", code="worker_error")
    await expect(line).to_be_hidden()
    await expect(card).to_contain_text("ValueError: No such page")


async def test_the_output_is_asked_for_twice_a_second_at_most(page, overview):
    """Forty snapshots with more output each make two requests a second."""
    overview.output[TASK] = b"line\n"
    overview.put(TASK, outputBytes=1)
    card = await show(page, overview)
    await expect(card).to_contain_text("line")
    overview.requests.clear()
    began = time.monotonic()
    for step in range(40):
        overview.put(TASK, outputBytes=2 + step)
        await page.wait_for_timeout(25)
    await until("a request", lambda: any("output" in request for request in overview.requests))

    most = (time.monotonic() - began) / 0.5 + 1
    assert 1 <= sum("output" in request for request in overview.requests) <= most


async def test_a_card_does_not_jump_while_it_moves(page, overview):
    """From waiting over running and paused to its end a card keeps its height."""
    overview.put(TASK, status="idle")
    card = await show(page, overview)
    heights = []
    for number, changes in enumerate([
        {"status": "idle", "position": 2},
        {"status": "running", "startedAt": ago(3), "progress": {"current": 1}},
        {"message": "m" * 300, "progress": {"percentage": 3.5, "current": 1, "total": 30}},
        {"requested": "pause"},
        {"status": "paused", "requested": None},
        {"status": "aborted", "endedAt": ago(0)},
    ]):
        overview.put(TASK, name=f"State {number}", **changes)
        await expect(card).to_contain_text(f"State {number}")
        await expect(card).to_have_attribute("data-status", overview.tasks[TASK]["status"])
        heights.append((await card.bounding_box())["height"])

    assert len(set(heights)) == 1


async def test_only_slow_steps_are_smoothed(page, overview):
    """A bar that moves often is never animated, which would cost each frame of the page; one that moves now and then
    glides, but for where it is first. Nothing else of a card moves by itself, except the bar of a task that
    doesn't know how far it is."""
    await page.goto(overview.url)
    moved = await page.evaluate("""async () => {
        const { BarFill } = await import('./frontend/progress_bar.js');
        const [bar, fill] = [document.createElement('div'), document.createElement('div')];
        const real = Date.now;
        let at = real();
        Date.now = () => at;
        const shown = new BarFill(bar, fill);
        const steps = [[0, 10], [100, 20], [399, 30], [400, 40], [10, 40], [390, 50], [0, undefined]];
        const seen = steps.map(([later, value]) => {
            at += later;
            shown.show(value, true);
            return [fill.style.width, bar.className];
        });
        Date.now = real;
        return seen; }""")
    overview.put(TASK, progress={"percentage": 10})
    overview.put(OTHER)
    for task_id in (TASK, OTHER):
        card = await show(page, overview, task_id=task_id)
        await expect(card).to_have_attribute("data-connection", "live")
        await expect(card).to_have_attribute("data-status", "running")

    assert moved == [["10%", ""], ["20%", ""], ["30%", ""], ["40%", "sse-mod-smooth"],
                     ["40%", "sse-mod-smooth"], ["50%", "sse-mod-smooth"], ["", "sse-mod-indeterminate"]]
    assert await page.evaluate("document.getAnimations().map((one) => one.animationName)") == ["sse-tasks-slide"]


async def test_results_open_when_short(page, overview):
    """A short result is open and pretty, a long one is closed, fetched when it is opened."""
    overview.put(TASK, status="completed", result={"a": [1, 2]}, resultBytes=11)
    card = await show(page, overview)
    await expect(card.get_by_role("group", name="Result")).to_have_text('{ "a": [ 1, 2 ] }')

    other = TASK[::-1]
    overview.put(other, status="running")
    card = await show(page, overview, task_id=other)
    await expect(card).to_have_attribute("data-status", "running")
    whole = {"rows": [{"n": n} for n in range(2000)]}
    overview.tasks[other] |= {"status": "completed", "cursor": 900}
    overview.send({"type": "snapshot", "task": overview.tasks[other] | {"resultBytes": 20_000}})
    overview.tasks[other] |= {"resultBytes": 20_000, "result": whole}
    await expect(card).to_have_attribute("data-status", "completed")
    await expect(card.get_by_role("group", name="Result")).to_be_hidden()
    await card.get_by_role("button", name="Result").click()
    await expect(card.get_by_role("group", name="Result")).to_contain_text('"n": 3')


async def test_focus_survives_the_end(page, overview):
    """When the focused button vanishes at the end, the card has the focus, not the page's body."""
    overview.put(TASK)
    card = await show(page, overview)
    await card.get_by_role("button", name="Abort").focus()

    overview.put(TASK, status="failed", error="It broke", code="worker_error")
    await expect(card).to_be_focused()
    await expect(card.get_by_role("alert")).to_contain_text("It broke")


async def test_an_old_failure_is_no_alert(page, overview):
    """A notebook with failed tasks isn't read out when it is opened."""
    overview.put(TASK, status="failed", error="It broke")
    card = await show(page, overview)
    await expect(card).to_contain_text("It broke")

    assert await card.get_by_role("alert").count() == 0


async def test_keys_are_the_cards_own(page, overview):
    """Every element that can have the focus carries the mark by which JupyterLab leaves its keys alone."""
    overview.put(TASK, status="completed", result=1, resultBytes=1)
    card = await show(page, overview)
    await expect(card).to_have_attribute("data-status", "completed")

    unmarked = ", ".join(f".sse-tasks-TaskView{part}" for part in (" [tabindex]", " button", ""))
    assert await page.locator(f":is({unmarked}):not([data-lm-suppress-shortcuts])").count() == 0


async def test_the_state_from_before_is_shown_until_the_server_answers(page, overview):
    """`last` fills the card at once; what the server says replaces it."""
    overview.put(TASK, message="new")
    await page.goto(overview.url)
    await page.wait_for_function("() => Boolean(window.show)")
    shown = await page.evaluate(
        "(id) => { show('your-task', id, { status: 'paused', message: 'old' });"
        "return document.querySelector('.sse-tasks-TaskView').innerText; }", TASK)

    assert "old" in shown and "Paused" in shown
    await expect(page.locator(".sse-tasks-TaskView")).to_contain_text("new")


async def test_a_disposed_view_leaves_nothing(page, overview):
    """After its dispose function the card is gone and the stream is closed."""
    overview.put(TASK)
    await show(page, overview)
    await expect(page.locator(".sse-tasks-TaskView[data-connection=live]")).to_have_count(1)

    async with page.expect_event("requestfailed"):
        await page.evaluate("dispose()")
    await expect(page.locator(".sse-tasks-TaskView")).to_have_count(0)


async def test_the_widgets_module_parses(page, overview):
    """The front end's files joined to one module, as the widget ships it, load in a browser and export a render."""
    from sse_tasks.widget import TaskWidget

    await page.goto(overview.url)
    kind = await page.evaluate(
        "async (text) => { const url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));"
        "return typeof (await import(url)).default.render; }", str(TaskWidget._esm))

    assert kind == "function"
