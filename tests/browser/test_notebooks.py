"""The task view where it lives: a real JupyterLab and a real Notebook 7 in a real Chromium, with real tasks."""

from __future__ import annotations

import re

import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

START = "%load_ext sse_tasks", "t = %start_task your-task --steps 3000 --seconds 300"
BUSY = "import time\ntime.sleep(300)"


@pytest_asyncio.fixture(loop_scope="session", params=["lab", "notebook"])
async def notebook(request, jupyter_server, notebook_page):
    """Opens a notebook with the given cells in JupyterLab, then in Notebook 7."""
    server = jupyter_server(request.param)
    return lambda *cells: notebook_page(server, *cells)


async def moves(card: Locator) -> None:
    """Waits until the task is further than it is now, and the bar with it."""
    figures = card.locator(".sse-tasks-TaskView-figures")
    await expect(figures).to_have_text(re.compile(r"\d+ of "))
    handle = await figures.element_handle()
    step = "box => Number(box.textContent.match(/([\\d,]+) of /)?.[1].replaceAll(',', '') ?? 0)"
    before = await handle.evaluate(step)
    await card.page.wait_for_function(f"([box, before]) => ({step})(box) > before", arg=[handle, before])
    await expect(card.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile(r"\d+"))


async def test_the_view_lives_while_another_cell_keeps_the_kernel_busy(notebook):
    """While `time.sleep` runs, the bar moves, output follows, and Pause, Resume and Abort act."""
    opened = await notebook(*START, BUSY)
    await opened.run(0, 1)
    card = opened.cards()
    await expect(card).to_have_attribute("data-connection", "live")
    await opened.begin(2)

    await moves(card)
    await expect(card.locator(".sse-tasks-TaskView-output")).to_contain_text("line ")
    await card.get_by_role("button", name="Pause").click()
    await expect(card).to_have_attribute("data-status", "paused")
    await card.get_by_role("button", name="Resume").click()
    await expect(card).to_have_attribute("data-status", "running")
    await moves(card)
    await card.get_by_role("button", name="Abort").click()
    await expect(card).to_have_attribute("data-status", "aborted")

    assert await opened.kernel_status() == "busy"
    assert opened.errors == []


async def test_a_kernel_restart_does_not_touch_the_view(notebook):
    """The kernel is restarted: the bar moves on, and the buttons act."""
    opened = await notebook(*START)
    await opened.run(0, 1)
    card = opened.cards()
    await moves(card)

    await opened.restart_kernel()
    await moves(card)
    await card.get_by_role("button", name="Abort").click()
    await expect(card).to_have_attribute("data-status", "aborted")
    assert opened.errors == []


async def test_five_views_hold_one_connection(notebook):
    """Five tasks in five cells, all live, over one stream."""
    opened = await notebook(START[0], *[START[1]] * 5)
    await opened.run(*range(6))
    await expect(opened.cards("live")).to_have_count(5)
    for card in await opened.cards().all():
        await moves(card)

    await opened.has_open_overviews(1)
    assert opened.errors == []


async def test_results_and_errors_are_shown_at_the_end(notebook):
    """A task that completes shows its result, one that fails its error and code, and then no stream is open. Restarted,
    the card shows the new task, which fails likewise."""
    opened = await notebook(
        START[0],
        "%start_task your-task --steps 3 --seconds 0.3",
        "%start_task your-task --steps 3 --seconds 0.3 --ending '<img src=x onerror=window.hacked=1>'")
    await opened.run(0, 1, 2)
    good, bad = opened.cards().nth(0), opened.cards().nth(1)
    await expect(good).to_have_attribute("data-status", "completed")
    await expect(good.get_by_role("region", name="Result")).to_contain_text('"result": "processed 3"')
    await expect(bad).to_have_attribute("data-status", "failed")
    await expect(bad).to_contain_text("worker_error")
    await expect(bad).to_contain_text("<img src=x onerror=window.hacked=1>")

    assert await opened.page.evaluate("window.hacked") is None
    await opened.has_open_overviews(0)

    await bad.get_by_role("button", name="Restart").click()
    await expect(bad.get_by_role("button", name="Restarted from")).to_be_visible()
    await expect(bad).to_have_attribute("data-status", "failed")
    await bad.get_by_role("button", name="Restarted from").click()
    await expect(bad.get_by_role("button", name="Restarted as")).to_be_visible()
    await expect(bad).to_contain_text("window.hacked")
    assert opened.errors == []


async def test_the_kernel_relays_where_no_server_knows_the_task(jupyter_server, notebook_page):
    """Without the server extension the view moves through the kernel, says so, and its buttons act, Restart too."""
    opened = await notebook_page(jupyter_server("lab", extension=False), *START, BUSY)
    await opened.run(0, 1)
    card = opened.cards()
    await expect(card).to_have_attribute("data-connection", "kernel")
    await expect(card).to_contain_text("through the kernel")
    await moves(card)
    await card.get_by_role("button", name="Pause").click()
    await expect(card).to_have_attribute("data-status", "paused")
    await card.get_by_role("button", name="Resume").click()
    await expect(card).to_have_attribute("data-status", "running")

    await opened.begin(2)
    await moves(card)
    await card.get_by_role("button", name="Abort").click()
    await expect(card).to_contain_text("The kernel is busy")
    assert await opened.kernel_status() == "busy"
    await opened.interrupt_kernel()
    await expect(card).to_have_attribute("data-status", "aborted")

    await card.get_by_role("button", name="Restart").click()
    await expect(card.get_by_role("button", name="Restarted from")).to_be_visible()
    await expect(card).to_have_attribute("data-connection", "kernel")
    await moves(card)
    await card.get_by_role("button", name="Restarted from").click()
    await expect(card.get_by_role("button", name="Restarted as")).to_be_visible()
    await expect(card).to_have_attribute("data-status", "aborted")
    assert opened.errors == []


async def test_a_relay_without_its_kernel_says_so(jupyter_server, notebook_page):
    """Without the server extension and after a restart of the kernel nothing moves, and the card tells why."""
    opened = await notebook_page(jupyter_server("lab", extension=False), *START)
    await opened.run(0, 1)
    card = opened.cards()
    await expect(card).to_have_attribute("data-connection", "kernel")

    await opened.restart_kernel()
    await expect(card).to_contain_text("kernel does not answer")
    assert opened.errors == []


async def test_keys_on_a_button_do_not_reach_the_notebook(notebook):
    """`d d` and `a` while a button has the focus delete and insert no cell."""
    opened = await notebook(*START)
    await opened.run(0, 1)
    button = opened.cards().get_by_role("button", name="Pause")
    await button.focus()
    for key in ("d", "d", "a"):
        await button.press(key)

    assert await opened.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length") == 2


async def test_the_focus_stays_with_the_task(notebook):
    """Aborted by the keyboard: the output is written anew with the end, and the focus is on the card, not lost."""
    opened = await notebook(*START)
    await opened.run(0, 1)
    card = opened.cards()
    old = await card.element_handle()
    await card.get_by_role("button", name="Abort").press("Enter")
    await opened.page.wait_for_function("old => !old.isConnected", arg=old)

    await expect(card).to_have_attribute("data-status", "aborted")
    await expect(card).to_be_focused()


async def test_a_saved_notebook_holds_a_static_form(notebook):
    """The bundle in the file: the widget first, then HTML and text that say what the task was."""
    opened = await notebook(*START)
    await opened.run(0, 1)
    bundle = next(output["data"] for output in await opened.outputs(1) if "data" in output)

    assert next(iter(bundle)) == "application/vnd.jupyter.widget-view+json"
    assert "your-task" in "".join(bundle["text/html"]) and "<script" not in "".join(bundle["text/html"])
    assert "your-task" in "".join(bundle["text/plain"])
