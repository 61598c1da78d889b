"""The task view as a widget: where a JupyterLab lacks one or the other half of us, and in a page without a network."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from .jupyter_servers import WORKER
from .kernel_page import KernelPage
from .notebook_cards import BUSY, START, abort, abort_by_key, moves, obeys

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]


async def test_without_the_lab_extension_the_widget_follows_the_server(jupyter_server, notebook_page):
    """While the kernel is busy every control of the widget acts; at the task's end it is still the widget."""
    opened = await notebook_page(jupyter_server("lab", lab_extension=False), *START, BUSY)
    await opened.run(0, 1)
    card = opened.cards()
    await expect(card).to_have_attribute("data-connection", "live")
    await opened.begin(2)
    await obeys(card)
    await opened.interrupt_kernel()

    await opened.has_output(1, "text/plain", "aborted")
    await moves(card)
    bundle = next(output["data"] for output in await opened.outputs(1) if "data" in output)
    assert next(iter(bundle)) == "application/vnd.jupyter.widget-view+json"
    assert opened.errors == []


async def test_the_widgets_focus_stays_with_the_task(jupyter_server, notebook_page):
    """Aborted by the keyboard: the output is written anew with the end, and the focus is on the card, not lost."""
    opened = await notebook_page(jupyter_server("lab", lab_extension=False), *START)
    await opened.run(0, 1)
    card = opened.cards()
    old = await card.element_handle()
    await abort_by_key(card)
    await opened.page.wait_for_function("old => !old.isConnected", arg=old)

    await expect(card).to_have_attribute("data-status", "aborted")
    await expect(card).to_be_focused()


async def test_the_kernel_relays_where_no_server_knows_the_task(jupyter_server, notebook_page):
    """Without the server's extension JupyterLab's renderer gives way to the widget: it moves through the kernel, says
    so, and its buttons act, Restart too."""
    opened = await notebook_page(jupyter_server("lab", extension=False), *START, BUSY)
    assert "sse-tasks" in await opened.page.evaluate("Object.keys(_JUPYTERLAB)")
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
    await abort(card)
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
    """Without the server's extension and after a restart of the kernel nothing moves, and the card tells why. Opened
    anew, what the notebook was saved with is shown."""
    opened = await notebook_page(jupyter_server("lab", extension=False), *START)
    await opened.run(0, 1)
    card = opened.cards()
    await expect(card).to_have_attribute("data-connection", "kernel")

    await opened.restart_kernel()
    await expect(card).to_contain_text("kernel does not answer")
    await opened.save()
    await opened.open()
    output = opened.page.locator(".jp-OutputArea-output")
    await expect(output.filter(has_text="does not know this task")).to_contain_text("your-task")
    assert opened.errors == []


async def test_a_page_without_a_network_is_served_by_the_kernel(page, tmp_path, monkeypatch):
    """Under a policy that lets a page connect to nothing the widget asks for nothing: it moves through the kernel, also
    while a cell keeps that busy, and every control acts when the kernel is free."""
    (tmp_path / "your_task.py").write_text(WORKER)
    monkeypatch.setenv("SSE_TASKS_WORKERS", str(tmp_path))
    async with KernelPage(page) as opened:
        for cell in START:
            await opened.run(cell)
        card = page.locator(".sse-tasks-TaskView")
        await expect(card).to_have_attribute("data-connection", "kernel")
        ended = await opened.begin(BUSY)
        await moves(card)
        assert not ended.is_set()
        await opened.interrupt()
        await obeys(card)

        await abort(card)
        await expect(card).to_have_attribute("data-status", "aborted")
        assert await page.evaluate("violations") == []


MEASURE = """
from sse_tasks import TaskContext, task

@task("measure")
def measure(ctx: TaskContext):
    for step in range(60):
        ctx.emit({"n": step, "text": "<b>"})
        ctx.metric("loss", 1 / (step + 1), step)
        print(f"\\x1b[31mline\\x1b[0m {step}", flush=True)
    (ctx.files / "page.png").write_bytes(b"")
    ctx.sleep(300)

measure.start()
"""


async def test_what_a_task_made_is_read_through_the_kernel(page):
    """Where no server is, output, items and metrics unfold all the same, and items are saved; files have no part."""
    async with KernelPage(page) as opened:
        await opened.run("%load_ext sse_tasks")
        await opened.run(MEASURE)
        card = page.locator(".sse-tasks-TaskView")
        await expect(card).to_contain_text("through the kernel")
        await expect(card.locator(".sse-tasks-TaskView-output")).to_have_text("line 59")
        for name in ("Output", "Items", "Metrics"):
            await card.get_by_role("button", name=name).click()
        await expect(card.get_by_role("log")).to_contain_text("line 59")
        await expect(card.get_by_role("log").locator(".sse-mod-fg1")).to_have_count(60)
        await expect(card.get_by_text("the last 50 of 60")).to_be_visible()
        await expect(card.locator("tbody tr")).to_have_count(50)
        await expect(card.get_by_role("img", name="loss: last 0.01667, from 0.01667 to 1, 60 points")).to_be_visible()
        await expect(card.get_by_role("button", name="Files")).to_be_hidden()

        async with page.expect_download() as download:
            await card.get_by_role("button", name="Download CSV").click()
        lines = (await (await download.value).path()).read_text("utf-8-sig").splitlines()
        assert lines[0] == "n,text" and lines[60] == "59,<b>"
        await abort(card)
        await expect(card).to_have_attribute("data-status", "aborted")
        assert await page.evaluate("violations") == []
