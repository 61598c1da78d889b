"""The card looked through by axe, in every state, with everything unfolded, in light and in dark; and what axe can't
see: motion, contrast that the system asks for, and a card as narrow as a phone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

IDS = [f"0123456789abcdefghjkmnpqr{n}" for n in range(9)]
COLOURS = (*range(30, 38), *range(90, 98), *range(40, 48), 2, 7)
OUTPUT = "".join(f"\x1b[{code}mcolour {code}\x1b[0m\n" for code in COLOURS)
ITEMS = [json.dumps({"n": n, "text": "words " * 9}).encode() + b"\n" for n in range(60)]
FEW, LONG = 3, 4  # rows of a table; the card that has all of them, and buttons for more: a row is like the next
TRACEBACK = 'Traceback (most recent call last):\n  File "w.py", line 3\nValueError: ' + "No\n" * 20


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def fill(overview) -> None:
    """A task in each state, with everything that a task can have."""
    few = b"".join(ITEMS[:FEW])
    metrics = b"".join(json.dumps({"name": "loss", "value": 1 / n, "step": n}).encode() + b"\n" for n in range(1, 51))
    made = {"startedAt": ago(90), "outputBytes": len(OUTPUT), "items": FEW, "itemsBytes": len(few), "metrics": 50,
            "metricsBytes": len(metrics), "files": 1}
    for task_id in IDS:
        overview.output[task_id], overview.items[task_id] = OUTPUT.encode(), few
        overview.metrics[task_id], overview.files[task_id] = metrics, {"a.csv": b"1"}
    progress = {"percentage": 40, "current": 4, "total": 10, "message": "Reading"}
    states = [
        {"status": "idle", "position": 3, "message": "Waiting for its turn."},
        {"status": "running", "name": "Kettle", "message": "Page 4", "progress": progress, **made},
        {"status": "running", "requested": "pause", "message": "Page 4", **made},
        {"status": "paused", "progress": progress, **made},
        {"status": "completed", "result": {"pages": 5}, "resultBytes": 11, "endedAt": ago(5), **made},
        {"status": "failed", "code": "worker_error", "error": "ValueError: " + "No\n" * 20, "endedAt": ago(5), **made},
        {"status": "failed", "code": "worker_died", "error": "It was killed.", "retries": 3, "attempt": 2,
         "restartOf": IDS[8], "endedAt": ago(5), **made},
        {"status": "aborted", "progress": progress, "endedAt": ago(5), **made},
    ]
    for task_id, state in zip(IDS, states, strict=False):
        overview.put(task_id, **state)
    overview.items[IDS[LONG]] = b"".join(ITEMS)
    overview.put(IDS[LONG], items=len(ITEMS), itemsBytes=len(overview.items[IDS[LONG]]))
    overview.output[IDS[5]] = TRACEBACK.encode()
    overview.put(IDS[5], outputBytes=len(TRACEBACK))


async def show_all(page: Page, overview) -> None:
    await page.goto(overview.url)
    await page.wait_for_function("() => Boolean(window.show)")
    await page.evaluate("ids => { for (const id of ids) show('your-task', id); }", IDS[:8])
    await expect(page.locator(".sse-tasks-TaskView").filter(has_text="Connecting…")).to_have_count(0)


async def unfold(page: Page) -> None:
    """Everything, with a question before an abort that loses work."""
    await page.get_by_role("button", name="Abort", exact=True).nth(1).click()
    await expect(page.get_by_role("group", name="Abort?")).to_be_visible()
    await page.evaluate("for (const fold of document.querySelectorAll('[aria-expanded=false]')) fold.click()")
    cards = page.locator(".sse-tasks-TaskView")
    for index in range(1, 8):
        card = cards.nth(index)
        await card.scroll_into_view_if_needed()
        if index != 1:  # the question stands in the place of its buttons
            await expect(card.locator("tbody tr")).to_have_count(50 if index == LONG else FEW)
            await expect(card.get_by_role("img", name="loss")).to_be_attached()
            await expect(card.get_by_role("log")).to_contain_text("colour 37" if index != 5 else "ValueError")
            await expect(card.get_by_role("button", name="Download a.csv")).to_be_attached()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(browser: Browser, overview, scheme):
    """No violation in any state, folded and unfolded. In the dark other colours are all there is."""
    fill(overview)
    context = await browser.new_context(viewport={"width": 900, "height": 900}, color_scheme=scheme)
    try:
        page = await context.new_page()
        await show_all(page, overview)
        await page.emulate_media(reduced_motion="reduce")
        axe = Axe()
        # The page's own affairs.
        options = {"rules": {"page-has-heading-one": {"enabled": False}, "region": {"enabled": False}},
                   "resultTypes": ["violations"]}
        if scheme == "dark":
            options = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
        folded = await axe.run(page, options=options)
        await unfold(page)
        unfolded = await axe.run(page, options=options)
    finally:
        await context.close()

    assert folded.violations_count == 0, folded.generate_report()
    assert unfolded.violations_count == 0, unfolded.generate_report()


async def test_a_narrow_card_hides_nothing_that_acts(browser: Browser, overview):
    """At 320 pixels no card is wider than the page, every button is whole within it, and text doesn't overlap."""
    fill(overview)
    context = await browser.new_context(viewport={"width": 320, "height": 900})
    try:
        page = await context.new_page()
        await show_all(page, overview)
        await unfold(page)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        outside = await page.evaluate("""() => {
            const isOutside = (button) => {
                const inner = button.getBoundingClientRect();
                const outer = button.closest('.sse-tasks-TaskView').getBoundingClientRect();
                return inner.width && (inner.left < outer.left || inner.right > outer.right + 1 || inner.height < 18);
            };
            const buttons = [...document.querySelectorAll('.sse-tasks-TaskView button')];
            return buttons.filter(isOutside).map((button) => button.textContent || button.title); }""")
    finally:
        await context.close()

    assert outside == []


async def test_forced_colours_keep_what_is_seen(browser: Browser, overview):
    """In the system's high contrast the bar, the state and the charts have lines that can be seen."""
    fill(overview)
    context = await browser.new_context(viewport={"width": 900, "height": 900}, color_scheme="dark",
                                        forced_colors="active")
    try:
        page = await context.new_page()
        await show_all(page, overview)
        card = page.locator(".sse-tasks-TaskView").nth(3)
        await card.get_by_role("button", name="Metrics").click()
        await expect(card.get_by_role("img", name="loss")).to_be_visible()
        lines = await card.evaluate("""(card) => {
            const style = (part) => getComputedStyle(card.querySelector(`.sse-tasks-TaskView-${part}`));
            return [style('bar').borderTopStyle, style('status').borderTopStyle,
                style('fill').backgroundColor !== style('bar').backgroundColor,
                style('chartLine').stroke !== getComputedStyle(card).backgroundColor]; }""")
    finally:
        await context.close()

    assert lines == ["solid", "solid", True, True]


async def test_reduced_motion_stands_still(page: Page, overview):
    """Who asked for less motion sees no bar that slides or grows."""
    await page.emulate_media(reduced_motion="reduce")
    fill(overview)
    await show_all(page, overview)

    moving = await page.evaluate("document.getAnimations().map((one) => one.animationName ?? one.transitionProperty)")
    assert moving == []
