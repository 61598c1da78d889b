"""What stays of a view in a notebook that was run without a page, and in what is made of it."""

from __future__ import annotations

from typing import Any

import nbconvert
import nbformat
from nbclient import NotebookClient

from .conftest import WORKERS, Kernel

WIDGET = "application/vnd.jupyter.widget-view+json"


def shown(kernel: Kernel, run: Any) -> list[dict[str, Any]]:
    """What the cell displayed, and what it was replaced by, in this order."""
    [first] = run.of("display_data")
    display_id = first["transient"]["display_id"]
    updates = [content for other in kernel.runs.values() for content in other.of("update_display_data")]
    updates += [message["content"] for message in kernel.others if message["msg_type"] == "update_display_data"]
    return [content["data"] for content in (first, *updates) if content["transient"]["display_id"] == display_id]


def say_shown(kernel: Kernel, run: Any) -> None:
    """What a page says that shows the widget."""
    comm_id = next(content["comm_id"] for content in run.of("comm_open") if "task_id" in content["data"]["state"])
    content = {"comm_id": comm_id, "data": {"method": "custom", "content": {"type": "shown"}}}
    kernel.client.shell_channel.send(kernel.client.session.msg("comm_msg", content))


def test_a_notebook_that_nbclient_ran_is_exported_with_its_tasks_ends() -> None:
    """The HTML stands in the page, not the widget, although nbclient saves the widgets' state: it needs no script."""
    cells = ["%load_ext sse_tasks", f"import os; os.environ['SSE_TASKS_WORKERS'] = {str(WORKERS)!r}",
             "t = %start_task steps --seconds 0.2 --wait"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)

    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    assert any("task_id" in state["state"] for state in states)
    assert ">Completed</span>" in page
    assert '<script type="application/vnd.jupyter.widget-view+json">' not in page


def test_a_widget_that_is_shown_stays_to_the_end(kernel: Kernel) -> None:
    """A page that shows the widget keeps it, for its Restart; without one the end has no widget."""
    seen = kernel.run("t = %start_task steps --seconds 60")
    unseen = kernel.run("u = %start_task steps --seconds 60")
    say_shown(kernel, seen)
    kernel.run("t.abort(); u.abort()")
    kernel.until(lambda: len(shown(kernel, seen)) > 1 and len(shown(kernel, unseen)) > 1, "both ends")

    assert [WIDGET in data for data in shown(kernel, seen)] == [True, True]
    assert [WIDGET in data for data in shown(kernel, unseen)] == [True, False]
    assert all("aborted" in shown(kernel, run)[-1]["text/plain"] for run in (seen, unseen))


def test_a_widget_is_put_back_where_the_kernel_was_too_busy_to_hear_of_it(kernel: Kernel) -> None:
    """The page's word came while a cell kept the kernel busy to the task's end: the widget is displayed again."""
    run = kernel.run("t = %start_task steps --seconds 0.5")
    kernel.begin("while not t._view._is_settled: time.sleep(0.01)")  # its end stands in the output, without the widget
    say_shown(kernel, run)
    kernel.until(lambda: len(shown(kernel, run)) > 2, "the widget")

    assert [WIDGET in data for data in shown(kernel, run)] == [True, False, True]
