"""What a person does with a task's card in a notebook, and sees."""

from __future__ import annotations

import re

from playwright.async_api import Locator, expect

START = "%load_ext sse_tasks", "t = %start_task your-task --steps 3000 --seconds 300"
BUSY = "import time\ntime.sleep(300)"


async def step_of(card: Locator) -> int:
    figures = card.locator(".sse-tasks-TaskView-figures")
    await expect(figures).to_have_text(re.compile(r"\d+ of "))
    return int(re.search(r"([\d,]+) of ", await figures.text_content())[1].replace(",", ""))


async def moves(card: Locator) -> None:
    """Waits until the task is further than it is now, and the bar with it."""
    await is_beyond(card, await step_of(card))


async def is_beyond(card: Locator, before: int) -> None:
    """Waits until the task is further than at this step, and the bar with it."""
    figures = await card.locator(".sse-tasks-TaskView-figures").element_handle()
    await card.page.wait_for_function(
        "([box, before]) => Number(box.textContent.match(/([\\d,]+) of /)?.[1].replaceAll(',', '') ?? 0) > before",
        arg=[figures, before])
    await expect(card.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile(r"\d+"))


async def abort(card: Locator) -> None:
    """Clicks Abort, and says that it is meant where the card asks: a machine may have been slow."""
    await card.get_by_role("button", name="Abort", exact=True).click()
    if await card.get_by_role("button", name="Abort now").is_visible():
        await card.get_by_role("button", name="Abort now").click()


async def abort_by_key(card: Locator) -> None:
    """The same by the keyboard, where pressing it again says so."""
    button = card.get_by_role("button", name="Abort", exact=True)
    await button.press("Enter")
    if await card.get_by_role("button", name="Abort now").is_visible():
        await button.press("Enter")


async def obeys(card: Locator) -> None:
    """Every control does what it says: Pause, Resume, Abort, and Restart, after which the card shows a new task."""
    await card.get_by_role("button", name="Pause").click()
    await expect(card).to_have_attribute("data-status", "paused")
    await card.get_by_role("button", name="Resume").click()
    await expect(card).to_have_attribute("data-status", "running")
    await moves(card)
    await abort(card)
    await expect(card).to_have_attribute("data-status", "aborted")
    await card.get_by_role("button", name="Restart").click()
    await expect(card.get_by_role("button", name="Restarted from")).to_be_visible()
    await expect(card).to_have_attribute("data-status", "running")
    await moves(card)
