"""All tasks in JupyterLab: side bar, running sessions, status bar, palette, notices; how Notebook 7 gets to them."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

START = "%load_ext sse_tasks", "t = %start_task your-task --steps 3000 --seconds 300 --task-name Lisbon"


async def execute(page, command: str, **options):
    return await page.evaluate("([command, options]) => jupyterapp.commands.execute(command, options).then(() => null)",
                               [command, options])


async def test_a_task_is_started_in_the_side_bar_and_its_end_is_told(jupyter_server, notebook_page, tmp_path):
    """The palette's command opens the form, whose keys are not Lab's; while another panel is in front, a failure stays
    as a notice, whose button leads to the task."""
    server = jupyter_server("lab")
    opened = await notebook_page(server, "1 + 1")
    page = opened.page
    await page.evaluate("jupyterapp.commands.execute('apputils:activate-command-palette')")
    await page.locator("#modal-command-palette input").fill("Start a Task")
    await page.locator("#modal-command-palette .lm-CommandPalette-item", has_text="Start a Task").first.click()
    form = page.get_by_role("form", name="Start a task")
    await form.get_by_label("Task type").select_option("your-task")
    await form.get_by_label("Steps").press_sequentially("2")
    await form.get_by_label("Seconds").fill("0.1")
    await form.get_by_label("Ending").fill("No such page")
    await form.get_by_label("Wait for").fill(str(tmp_path / "go"))
    await form.get_by_label("Steps").press("d")  # twice it would delete the cell
    await form.get_by_label("Steps").press("d")
    await form.get_by_label("Steps").fill("2")
    await form.get_by_role("button", name="Start", exact=True).click()
    await expect(form).to_be_hidden()
    await execute(page, "filebrowser:activate")
    (tmp_path / "go").touch()

    toast = page.locator(".Toastify__toast", has_text="your-task failed: ValueError: No such page")
    await expect(toast).to_be_visible()
    await toast.get_by_role("button", name="Show").click()
    await expect(page.locator("#sse-tasks-panel .sse-tasks-TaskView")).to_contain_text("No such page")
    assert await page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length") == 1
    assert opened.errors == []


async def test_the_side_bar_shows_what_a_notebook_started(jupyter_server, notebook_page):
    """The panel has the notebook's task, steers it, and leads back to the cell; status bar and running sessions have
    it too, and aborting it there ends it."""
    server = jupyter_server("lab")
    opened = await notebook_page(server, *START)
    page = opened.page
    await opened.run(0, 1)
    await expect(page.locator("#jp-main-statusbar").get_by_text("1 task running")).to_be_visible()
    await page.locator("#jp-main-statusbar").get_by_text("1 task running").click()
    row = page.locator("#sse-tasks-panel .sse-tasks-Row[data-status=running]")
    await expect(row).to_contain_text("Lisbon")
    await row.get_by_role("button", name="Pause").click()
    await expect(opened.cards()).to_have_attribute("data-status", "paused")
    await expect(page.locator("#jp-main-statusbar").get_by_text("1 task paused")).to_be_visible()
    row = page.locator("#sse-tasks-panel .sse-tasks-Row[data-status=paused]")
    await row.get_by_role("button", name="Resume").click()
    await expect(opened.cards()).to_have_attribute("data-status", "running")

    await opened.save()
    # What comes of the widget's model after that is nothing to ask about.
    await page.evaluate("() => { jupyterapp.shell.currentWidget.context.model.dirty = false;"
                        "return jupyterapp.commands.execute('application:close-all').then(() => null); }")
    await page.locator("#sse-tasks-panel .sse-tasks-Row").get_by_role("button", name="Lisbon").click()
    await page.get_by_role("button", name=opened.name).click()
    await page.wait_for_function("() => jupyterapp.shell.currentWidget?.content?.activeCellIndex === 1")

    await execute(page, "running:show-panel")
    item = page.locator(".jp-RunningSessions-item", has_text="Lisbon")
    await expect(item).to_contain_text("running")
    await item.hover()
    await item.get_by_role("button", name="Abort").or_(item.locator("[title=Abort]")).first.click()
    await expect(item).to_have_count(0)
    await expect(page.locator("#jp-main-statusbar").get_by_text("1 task running")).to_be_hidden()
    assert opened.errors == []


async def test_notebook_7_opens_the_page(jupyter_server, notebook_page):
    """Notebook's pages have no side bar: command and menu open the page of all tasks, which leads to the notebook."""
    server = jupyter_server("notebook")
    opened = await notebook_page(server, *START)
    page = opened.page
    await opened.run(0, 1)
    await expect(opened.cards()).to_have_attribute("data-status", "running")
    await page.get_by_role("menuitem", name="View").click()
    async with page.context.expect_page() as popup:
        await page.locator(".lm-Menu-item", has_text="Tasks").click()
    tasks = await popup.value
    await expect(tasks).to_have_url(re.compile(r"/sse-tasks$"))
    row = tasks.locator(".sse-tasks-Row[data-status=running]")
    await row.get_by_role("button", name="Lisbon").click()
    async with tasks.context.expect_page() as reopened:
        await row.get_by_role("button", name=opened.name).click()
    await expect(await reopened.value).to_have_url(re.compile(re.escape(f"{server.url}notebooks/{opened.name}")))

    await row.get_by_role("button", name="Pause").click()
    await expect(opened.cards()).to_have_attribute("data-status", "paused")
    assert opened.errors == []
