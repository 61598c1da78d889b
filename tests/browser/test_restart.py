"""Restarts and attempts in the card, in a real Chromium: the button, where it leads, and the way back."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Locator, Page, expect

from .waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

OLD = "0123456789abcdefghjkmnpqrs"
NEW = "0123456789abcdefghjkmnpqrt"
OTHER = "0123456789abcdefghjkmnpqrv"
DIED = {"status": "failed", "code": "worker_died", "error": "The worker's process was killed by SIGKILL."}


async def shown(page: Page, overview, last: dict | None = None) -> Locator:
    """The card of the old task, below one of a task that runs: that keeps the page's stream open."""
    overview.restarts_as = NEW
    overview.put(OTHER)
    await page.goto(overview.url)
    await page.wait_for_function("() => Boolean(window.show)")
    await page.evaluate("tasks => { for (const [id, last] of tasks) show('your-task', id, last ?? undefined); }",
                        [[OTHER, None], [OLD, last]])
    await expect(page.locator(".sse-tasks-TaskView[data-connection=live]").first).to_be_visible()
    return page.locator(".sse-tasks-TaskView").last


def restart_of(card: Locator) -> Locator:
    return card.get_by_role("button", name="Restart", exact=True)


async def test_a_restarted_view_follows_the_new_task_and_finds_the_way_back(page, overview):
    """By the keyboard: the same card shows the new task, says where it comes from, and leads there and here again."""
    overview.put(OLD, name="Lisbon", **DIED)
    card = await shown(page, overview)
    overview.slow.clear()

    await restart_of(card).press("Enter")
    await expect(card).to_contain_text("Restarting…")
    await expect(restart_of(card)).to_have_attribute("aria-disabled", "true")
    await expect(restart_of(card)).to_be_focused()
    await restart_of(card).press("Enter")
    overview.slow.set()
    await expect(card).to_have_attribute("data-status", "running")
    await expect(card).to_be_focused()
    await expect(card).not_to_contain_text("SIGKILL")
    await expect(card.get_by_role("button", name="Pause")).to_be_visible()
    overview.put(NEW, message="Going on")
    await expect(card).to_contain_text("Going on")
    assert overview.asked == [("restart", OLD)]

    await card.get_by_role("button", name="Restarted from …mnpqrs").press("Enter")
    await expect(card).to_have_attribute("data-status", "failed")
    await expect(card).to_contain_text("SIGKILL")
    await expect(card.get_by_role("button", name="Pause")).to_be_hidden()
    await expect(card.get_by_role("alert")).to_have_count(0)
    await card.get_by_role("button", name="Restarted as …mnpqrt").click()
    await expect(card).to_contain_text("Going on")
    overview.slow.clear()
    await card.get_by_role("button", name="Pause").click()
    await expect(card).to_contain_text("Pausing…")
    await until("the request", lambda: overview.asked[1:] == [("pause", NEW)])
    overview.slow.set()
    assert overview.most_streams == 1


async def test_the_button_is_where_it_means_something(page, overview):
    """Not while a task runs; in words where it failed or was aborted, quieter where it is completed or restarted."""
    overview.put(OLD)
    card = await shown(page, overview)
    await expect(card).to_have_attribute("data-connection", "live")
    await expect(restart_of(card)).to_be_hidden()

    prominent = re.compile("sse-mod-prominent")
    for status, changes in (("failed", {}), ("aborted", {}), ("completed", {}), ("failed", {"restartedAs": NEW})):
        overview.put(OLD, **({"status": "running"} | changes))
        await expect(restart_of(card)).to_be_hidden()
        overview.put(OLD, **({"status": status} | changes))
        await expect(restart_of(card)).to_be_visible()
        is_prominent = status != "completed" and not changes
        found = expect(restart_of(card))
        await (found.to_have_class(prominent) if is_prominent else found.not_to_have_class(prominent))


async def test_a_task_that_the_server_does_not_know_has_no_button(page, overview):
    """What a saved notebook says of a task isn't enough."""
    card = await shown(page, overview, last=DIED)

    await expect(card).to_contain_text("does not know")
    await expect(card.get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize(("status", "body", "sentence"), [
    (503, {"message": "1,000 tasks wait already."}, "1,000 tasks wait already."),
    (403, {}, "signed out"),
])
async def test_a_restart_that_is_refused_says_why(page, overview, status, body, sentence):
    """As a sentence in the card, which stays as it is; the next click asks again, for the same restart: the answer to
    the first may have got lost on its way."""
    overview.put(OLD, **DIED)
    overview.refusal = (status, body)
    card = await shown(page, overview)

    await restart_of(card).click()
    await expect(card).to_contain_text(sentence)
    await expect(card).to_have_attribute("data-status", "failed")
    overview.refusal = None
    await restart_of(card).click()
    await expect(card).to_have_attribute("data-status", "running")
    await expect(card).not_to_contain_text(sentence)
    assert len(overview.restart_keys) == 2 and len(set(overview.restart_keys)) == 1


async def test_work_that_was_cut_short_is_offered_for_restart(page, overview):
    """In words where nothing speaks against the work itself, and not where the worker raised or it goes on already."""
    overview.put(OLD, **DIED)
    card = await shown(page, overview)
    hint = card.locator(".sse-tasks-TaskView-hint")

    await expect(hint).to_have_text(
        "What it had done is kept. Restart goes on from its last saved checkpoint, if there is one.")
    overview.put(OLD, code="host_lost", error="The machine was stopped. What it had done is kept.")
    await expect(hint).to_have_text("Restart goes on from its last saved checkpoint, if there is one.")
    overview.put(OLD, code="worker_error", error="ValueError: No such page")
    await expect(hint).to_be_hidden()
    overview.put(OLD, **DIED, restartedAs=NEW)
    await expect(card.get_by_role("button", name="Restarted as …mnpqrt")).to_be_visible()
    await expect(hint).to_be_hidden()


async def test_further_attempts_are_told(page, overview):
    """The sentence that announces one, which it is of how many, to the end, and aloud."""
    overview.put(OLD, retries=3)
    card = await shown(page, overview)
    await expect(card).to_have_attribute("data-connection", "live")
    await expect(card).not_to_contain_text("attempt")

    announced = "Attempt 2 of 4 in 2 s: The worker's process was killed by SIGKILL, likely because memory ran out."
    overview.put(OLD, attempt=2, message=announced, progress={"current": 1000, "total": 3000})
    await expect(card.locator(".sse-tasks-TaskView-text")).to_have_text(announced)
    message = card.locator(".sse-tasks-TaskView-message")
    assert await message.evaluate("box => box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight")
    await expect(card.locator(".sse-tasks-TaskView-figures")).to_contain_text("attempt 2 of 4")
    await expect(card.locator(".sse-tasks-TaskView-spoken")).to_have_text("your-task: attempt 2 of 4")
    overview.put(OLD, attempt=4, **DIED)
    await expect(card.locator(".sse-tasks-TaskView-figures")).to_contain_text("attempt 4 of 4")


async def test_limits_are_told_as_any_error(page, overview):
    """Code and sentence of a task that was too large."""
    overview.put(OLD, status="failed", code="memory", error="The task used more than 2 GiB (memory_limit).")
    card = await shown(page, overview)

    await expect(card.locator(".sse-tasks-TaskView-errorCode")).to_have_text("memory")
    await expect(card).to_contain_text("The task used more than 2 GiB (memory_limit).")


async def test_output_that_was_cut_is_followed(page, overview):
    """A long output loses its middle, so its file shrinks: the last line follows, and an empty one breaks nothing."""
    overview.output[OLD] = b"line\n" * 1000
    overview.put(OLD, outputBytes=5000)
    card = await shown(page, overview)
    line = card.locator(".sse-tasks-TaskView-output")
    await expect(line).to_have_text("line")

    overview.output[OLD] = b"head\n... cut ...\ntail\n"
    overview.put(OLD, outputBytes=24)
    await expect(line).to_have_text("tail")
    overview.output[OLD] = b""
    overview.put(OLD, outputBytes=1)
    overview.output[OLD] = b"anew\n"
    overview.put(OLD, outputBytes=5)
    await expect(line).to_have_text("anew")
