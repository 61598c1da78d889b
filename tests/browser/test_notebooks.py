"""The task view where it lives: a real JupyterLab and a real Notebook 7 in a real Chromium, with real tasks.

Both show it by the extension that comes with the package. With SSE_TASKS_LAB_PYTHON they are those of another Python.
"""

from __future__ import annotations

import re

import nbconvert
import nbformat
import pytest
import pytest_asyncio
from playwright.async_api import expect

from .notebook_cards import BUSY, START, abort_by_key, is_beyond, moves, obeys, step_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

TASK = "application/vnd.sse-tasks.task+json"
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(params=["lab", "notebook"])
def server(request, jupyter_server):
    """JupyterLab's server, then Notebook's."""
    return jupyter_server(request.param)


@pytest_asyncio.fixture(loop_scope="session")
async def notebook(server, notebook_page):
    """Opens a notebook with the given cells."""
    return lambda *cells: notebook_page(server, *cells)


def shown_task(task_type: str, task_id: str, html: str = "") -> nbformat.NotebookNode:
    """A cell that shows a task, as somebody may have written it."""
    data = {TASK: {"taskType": task_type, "taskId": task_id}, "text/html": html, "text/plain": "a task"}
    return nbformat.v4.new_code_cell("t", outputs=[nbformat.v4.new_output("display_data", data=data)])


async def test_the_view_lives_while_another_cell_keeps_the_kernel_busy(notebook):
    """While `time.sleep` runs, the bar moves, output follows, and every control acts. `d d` and `a` while a button has
    the focus delete and insert no cell."""
    opened = await notebook(*START, BUSY)
    await opened.run(0, 1)
    card = opened.cards()
    await expect(card).to_have_attribute("data-connection", "live")
    button = card.get_by_role("button", name="Pause")
    await button.focus()
    for key in ("d", "d", "a"):
        await button.press(key)
    await opened.begin(2)

    await moves(card)
    await expect(card).to_contain_text("line ")
    await obeys(card)

    assert await opened.kernel_status() == "busy"
    assert await opened.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length") == 3
    assert opened.errors == []


async def test_the_view_outlives_its_kernel_and_its_server(notebook, server):
    """The kernel is restarted: the bar moves on. It is killed: every control acts. The server is restarted, which ends
    the kernel: the card says that it is away, and moves again by itself. After a reload, too."""
    opened = await notebook(*START, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    await opened.run(0, 1)
    card = opened.cards()
    await moves(card)
    before = await card.element_handle()

    await opened.restart_kernel()
    await moves(card)
    await opened.die(2)
    await obeys(card)
    assert await before.evaluate("card => card.isConnected")
    assert opened.errors == []

    await opened.ready()
    await opened.run(0, 1)
    await moves(card)
    await opened.save()
    server.stop()
    await expect(card).to_have_attribute("data-connection", "offline")
    server.start()
    server.wait()
    await expect(card).to_have_attribute("data-connection", "live", timeout=60_000)
    await moves(card)
    await opened.open()
    await moves(card)


async def test_seven_views_hold_one_connection(notebook):
    """Seven tasks in seven cells, all live, over one stream: the server counts it. A page that follows its server is
    sent nothing by the kernel."""
    opened = await notebook(START[0] + "\nall = []", *[START[1] + "\nall.append(t)"] * 7,
                            "any(t._view._widget.relay for t in all)")
    await opened.run(*range(8))
    await expect(opened.cards("live")).to_have_count(7)
    for card in await opened.cards().all():
        await moves(card)

    await opened.has_open_overviews(1)
    await opened.has_open_streams(1)

    await opened.runs_until(8, "text/plain", "False")  # by now the kernel has heard what the page had told it
    card = opened.cards().last
    await moves(card)  # and what it was about to relay at that moment has come
    await opened.page.evaluate(
        "() => { window.relayed = 0; jupyterapp.shell.currentWidget.sessionContext.iopubMessage.connect("
        "(_, { header }) => { if (header.msg_type === 'comm_msg') window.relayed += 1; }); }")
    await moves(card)
    await moves(card)

    assert await opened.page.evaluate("relayed") == 0
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
    await expect(good.get_by_role("group", name="Result")).to_contain_text('"result": "processed 3"')
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


async def test_a_view_is_the_same_to_the_end_and_in_another_place(notebook, server):
    """Aborted by the keyboard: the output is written anew with the end, and the card and its focus stay. Moved with its
    cell, it is still the same card, with what a person had opened.

    The saved notebook holds a static form. While the task runs: the widget first, the task's type and id, then HTML and
    text. Once it has ended, the HTML says so, and an exported page shows it, although the notebook holds the widgets'
    state."""
    opened = await notebook(*START)
    await opened.run(0, 1)
    card = opened.cards()
    bundle = next(output["data"] for output in await opened.outputs(1) if "data" in output)
    assert list(bundle) == [WIDGET, TASK, "text/html", "text/plain"]
    assert bundle[TASK].keys() == {"taskType", "taskId"}
    assert "your-task" in "".join(bundle["text/html"]) and "<script" not in "".join(bundle["text/html"])

    before = await card.element_handle()
    await abort_by_key(card)
    await expect(card).to_have_attribute("data-status", "aborted")
    await opened.has_output(1, "text/plain", "aborted")
    assert await before.evaluate("card => card.isConnected")
    await expect(card).to_be_focused()

    await opened.save()
    saved = server.read(opened.name)
    page, _ = nbconvert.HTMLExporter().from_notebook_node(saved)
    states = saved.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    assert bundle[TASK]["taskId"] in [state["state"].get("task_id") for state in states]
    assert ">Aborted</span>" in page and '<script type="application/vnd.jupyter.widget-view+json">' not in page

    fold = card.get_by_role("button", name="Output")
    await fold.click()
    await expect(fold).to_have_attribute("aria-expanded", "true")
    await opened.page.evaluate(
        "async () => { jupyterapp.shell.currentWidget.content.activeCellIndex = 1;"
        "await jupyterapp.commands.execute('notebook:move-cell-up'); }")
    await expect(card).to_have_count(1)
    await expect(card).to_have_attribute("data-status", "aborted")
    await opened.page.wait_for_function("card => card.isConnected", arg=before)
    await expect(fold).to_have_attribute("aria-expanded", "true")
    assert opened.errors == []


async def test_what_nobody_knows_is_shown_as_it_was_saved(notebook, server):
    """The HTML of a task that this server doesn't know, from anybody's notebook, is shown without what it could do. A
    type and an id that aren't shaped like ones lead to no request."""
    html = "<b>kept words</b><img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"
    opened = await notebook("0")
    asked = []
    opened.page.on("request", lambda request: asked.append(request.url))
    server.write(opened.name, shown_task("your-task", "0123456789abcdefghjkmnpqrs", html),
                 shown_task("../contents", "../../kernels/1"), "0")
    await opened.open()
    cells = opened.page.locator(".jp-OutputArea-output")

    await expect(cells.nth(0)).to_contain_text("kept words")
    await expect(cells.nth(0)).to_contain_text("does not know this task")
    await expect(cells.nth(0).get_by_role("button")).to_have_count(0)
    await expect(cells.nth(1)).to_contain_text("../contents")
    await expect(cells.nth(1).get_by_role("button")).to_have_count(0)

    assert await opened.page.evaluate("window.hacked") is None
    crafted = re.compile(r"kernels(/|%2F)1(?![0-9a-f])|contents(/|%2F)\.\.|tasks(/|%2F)\.\.", re.I)
    assert asked and not [url for url in asked if crafted.search(url)]
    assert opened.errors == []


async def test_the_view_needs_no_kernel_and_no_trust(notebook, server):
    """Saved, left alone while its task went on, and opened anew, untrusted and without a kernel: the view shows how far
    the task is by now, and every control acts."""
    opened = await notebook(*START)
    await opened.run(0, 1)
    left_at = await step_of(opened.cards())
    await opened.save()
    await opened.page.goto("about:blank")
    saved = server.read(opened.name)
    # A kernel that isn't installed, and no trust, for it is not what JupyterLab saved.
    saved.metadata["kernelspec"] = {"name": "gone", "display_name": "Gone", "language": "gone"}
    del saved.metadata["language_info"]
    nbformat.write(saved, server.notebooks / opened.name)
    for session in server.get("api/sessions"):
        server.get(f"api/sessions/{session['id']}", "DELETE")

    await opened.open(kernel=False)
    card = opened.cards()
    await expect(card).to_have_attribute("data-connection", "live")
    assert not await opened.page.evaluate("jupyterapp.shell.currentWidget.content.widgets[1].model.trusted")
    await is_beyond(card, left_at)
    await obeys(card)
    assert opened.errors == []
