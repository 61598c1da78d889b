"""The widget's Python side: the joined module, the bundle, the relay, the static form."""

from __future__ import annotations

import re
import subprocess
import sys

import nbconvert
import nbformat
import pytest

from sse_tasks.errors import TaskEndedError, TaskNotFoundError
from sse_tasks.static_view import last_line, plain_text, static_html
from sse_tasks.task_table import html_table, text_table
from sse_tasks.types import Progress, Status, TaskInfo
from sse_tasks.widget import TaskWidget

TASK = "0123456789abcdefghjkmnpqrs"
OTHER = "0123456789abcdefghjkmnpqrt"
UNKNOWN = "0123456789abcdefghjkmnpqrv"


def info(status: Status = Status.RUNNING, **fields) -> TaskInfo:
    return TaskInfo(task_id=TASK, task_type="your-task", status=status, **fields)


@pytest.fixture
def sent(monkeypatch):
    """What a widget sends to its pages by message."""
    messages: list[dict] = []
    monkeypatch.setattr(TaskWidget, "send", lambda self, content, buffers=None: messages.append(content))
    return messages


def test_the_module_is_one_text():
    """No import and no line of comment is left, each file is there once, and it exports one thing."""
    text = str(TaskWidget._esm)

    assert not re.search(r"^import ", text, re.MULTILINE)
    assert text.count("function mount(") == text.count("function connectHub(") == 1
    assert text.count("export default") == 1
    assert not re.search(r"^\s*(//|/\*|\*)", text, re.MULTILINE)


def test_the_module_has_no_doubled_top_level_name():
    """The files share one namespace when they are joined."""
    declaration = r"^(?:export )?(?:async )?(?:const|let|class|function) (\w+)"
    names = re.findall(declaration, str(TaskWidget._esm), re.MULTILINE)

    assert len(names) == len(set(names)) > 20


def test_the_bundle_begins_with_the_widget():
    """The widget first, then HTML, then text, each with the last state that was given."""
    widget = TaskWidget(info())
    widget.update(info(Status.COMPLETED, message="All done"))
    data, metadata = widget._repr_mimebundle_()

    assert list(data) == ["application/vnd.jupyter.widget-view+json", "text/html", "text/plain"]
    assert "All done" in data["text/html"] and "All done" in data["text/plain"]
    assert isinstance(metadata, dict)


def test_states_are_sent_only_where_a_page_needs_them():
    """Without `relay` nothing is sent but the end; switched on, the latest state is there at once."""
    widget = TaskWidget(info(message="1"))
    widget.relay = False
    widget.update(info(message="2"), last_line="printed")
    assert widget.snapshot["message"] == "1"

    widget.relay = True
    assert (widget.snapshot["message"], widget.snapshot["lastLine"]) == ("2", "printed")

    widget.relay = False
    widget.update(info(Status.FAILED, error="broke"))
    assert widget.snapshot["error"] == "broke"


def test_snapshots_are_small_and_valid_json():
    """A large result stays out, and what JSON lacks is put as the wire has it."""
    widget = TaskWidget(info(Status.COMPLETED, result=["x" * 5000], result_bytes=5004))
    assert "result" not in widget.snapshot and widget.snapshot["resultBytes"] == 5004

    widget.update(info(Status.COMPLETED, result=[float("nan")]))
    assert widget.snapshot["result"] == [None]


def test_requests_reach_the_callback(sent):
    """A page's request calls back and is answered; a refusal comes back in its own words; nonsense does nothing."""
    asked = []
    widget = TaskWidget(info())

    def on_action(action, task_id):
        asked.append((action, task_id))
        if action == "abort":
            raise TaskEndedError("abort", "completed")
        return OTHER if action == "restart" else None

    widget.on_action(on_action)
    widget._receive(widget, {"type": "hello"}, [])
    widget._receive(widget, {"type": "ask", "id": 1, "action": "pause"}, [])
    widget._receive(widget, {"type": "ask", "id": 2, "action": "abort"}, [])
    widget._receive(widget, {"type": "ask", "id": 3, "action": "explode"}, [])
    widget._receive(widget, {"type": "ask", "id": 4, "action": "restart", "taskId": OTHER}, [])
    widget._receive(widget, {"type": "ask", "id": 5, "action": "restart", "taskId": "../x"}, [])

    assert asked == [("pause", TASK), ("abort", TASK), ("restart", OTHER)]
    assert sent == [
        {"type": "hello", "taskId": TASK}, {"type": "answer", "id": 1},
        {"type": "answer", "id": 2, "error": "The task can't be asked to abort: it is completed already."},
        {"type": "answer", "id": 4, "taskId": OTHER},
    ]


def test_a_page_reads_what_a_task_wrote_by_pieces(monkeypatch):
    """A part that there is, from a byte that makes sense, at most 256 KiB at once; the bytes come beside the answer."""
    sent, asked = [], []
    monkeypatch.setattr(TaskWidget, "send", lambda self, content, buffers=None: sent.append((content, buffers)))
    widget = TaskWidget(info())

    def on_read(*place):
        asked.append(place)
        if place[1] != TASK:
            raise TaskNotFoundError(place[1])
        return b"piece", 3

    widget.on_read(on_read)
    asks = [{"part": "items", "after": 3, "limit": 9}, {"part": "output", "after": -7, "limit": 1 << 30},
            {"part": "metrics", "after": 0, "taskId": OTHER}, {"part": "secrets", "after": 0}]
    for number, wanted in enumerate(asks):
        widget._receive(widget, {"type": "read", "id": number} | wanted, [])

    assert asked == [("items", TASK, 3, 9), ("output", TASK, 0, 1 << 18), ("metrics", OTHER, 0, 1 << 18)]
    assert sent[:2] == [({"type": "answer", "id": number, "after": 3}, [b"piece"]) for number in (0, 1)]
    assert sent[2][0]["id"] == 2 and "There is no task" in sent[2][0]["error"] and len(sent) == 3


def test_a_page_that_follows_a_restart_is_told_of_that_task(sent):
    """It says which it wants to see; what it then hears leaves the widget's own state alone."""
    followed = []
    widget = TaskWidget(info(Status.FAILED))

    def on_follow(task_id):
        followed.append(task_id)
        if task_id != OTHER:
            raise TaskNotFoundError(task_id)
        widget.relay_other(TaskInfo(task_id=OTHER, task_type="your-task", status=Status.RUNNING), "printed")

    widget.on_follow(on_follow)
    for task_id in (TASK, OTHER, UNKNOWN):
        widget._receive(widget, {"type": "hello", "taskId": task_id}, [])

    assert followed == [OTHER, UNKNOWN]
    assert [message.get("taskId") for message in sent] == [TASK, None, OTHER, UNKNOWN]
    assert (sent[1]["task"]["taskId"], sent[1]["task"]["lastLine"]) == (OTHER, "printed")
    assert "There is no task" in sent[3]["error"] and "error" not in sent[2]
    assert widget.snapshot["taskId"] == TASK


def test_a_foreign_error_is_logged_and_said_shortly(sent, caplog):
    """A fault in the callback shows no traceback to the page."""
    widget = TaskWidget(info())
    widget.on_action(lambda action, task_id: 1 / 0)
    widget._receive(widget, {"type": "ask", "id": 1, "action": "pause"}, [])

    assert "ZeroDivisionError" in caplog.text and "ZeroDivisionError" not in sent[0]["error"]


def test_static_html_is_inert_and_needs_nothing():
    """Everything is escaped; there is no script, link, class or outside resource for a sanitizer to drop."""
    evil = '<img src=x onerror="alert(1)">&\x1b[31m'
    text = static_html(info(Status.FAILED, name=evil, message=evil, error=evil, code="worker_error"))

    assert "<img" not in text and "\x1b" not in text
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;" in text
    assert not re.search(r"<(script|style|link)|class=|url\(|http", text)


def test_exported_pages_show_the_static_form():
    """nbconvert without widget state takes the HTML, as GitHub does."""
    widget = TaskWidget(info(Status.COMPLETED, message="1,260 reviews"))
    data, metadata = widget._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])

    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)

    assert static_html(widget.info) in page


def test_static_html_draws_the_bar():
    """The bar's width is the percentage, derived where only counts are known."""
    assert "width:30%" in static_html(info(progress=Progress(current=3, total=10)))
    assert "width:100%" in static_html(info(Status.COMPLETED))
    assert "width:" not in static_html(info()).replace("max-width:", "")


def test_long_results_are_cut_in_the_static_form():
    """A saved notebook doesn't grow by a task's result."""
    assert len(static_html(info(Status.COMPLETED, result=list(range(100_000))))) < 4000


def test_plain_text_is_a_line():
    """Type, id, status, bar, figures and message; a second line for how it ended."""
    text = plain_text(info(progress=Progress(current=1500, total=3000), message="Halfway"))
    assert text == f"your-task {TASK}: running · [############............] · 1,500 of 3,000 · 50 % · Halfway"

    text = plain_text(info(Status.FAILED, name="Lisbon", error="No such page", code="closed"))
    assert text == f"Lisbon (your-task) {TASK}: failed\nclosed: No such page"


def test_attempts_and_restarts_are_told():
    """Which attempt of how many, from the second on, also in the table; what it was restarted from, and as."""
    assert "attempt" not in plain_text(info(retries=3))
    again = info(attempt=2, retries=3, progress=Progress(percentage=10), message="Attempt 2 of 4 in 2 s: killed.")
    assert plain_text(again).endswith("· attempt 2 of 4 · 10 % · Attempt 2 of 4 in 2 s: killed.")
    assert "attempt 2 of 4 · 10 %" in static_html(again) and "attempt 2 of 4 · 10 %" in text_table([again])
    assert "attempt 4 of 4" in text_table([info(Status.FAILED, attempt=4, retries=3)])

    old = info(Status.FAILED, error="It broke", restart_of=UNKNOWN, restarted_as=OTHER)
    assert plain_text(old) == (f"your-task {TASK}: failed · Restarted from {UNKNOWN}. Restarted as {OTHER}.\nIt broke")
    assert f"Restarted from {UNKNOWN}. Restarted as {OTHER}." in static_html(old)


def test_a_long_name_leaves_the_table_its_columns():
    """It is cut as a message is, and a word of it breaks where there is no room."""
    named = info(name="N" * 200, message="M" * 200)

    for table in (text_table([named]), html_table([named])):
        assert f"{'N' * 79}… (your-task)" in table and f"{'M' * 79}…" in table
    assert html_table([named]).count("overflow-wrap:anywhere") == 2


@pytest.mark.parametrize(("output", "line"), [
    (b"", ""),
    (b"one\ntwo\n", "two"),
    (b"one\n\n   \n", "one"),
    (b" 10%|#\r 20%|##\r", " 20%|##"),
    (b"windows\r\n", "windows"),
    (b"\x1b[1;32mgreen\x1b[0m \x1b]0;title\x07text\x1b[K\n", "green text"),
    ("é".encode()[1:] + "tail é".encode(), "tail é"),
])
def test_last_line(output, line):
    """The last line of output is what a terminal would show there."""
    assert last_line(output) == line


def test_the_static_form_is_light():
    """It is used where no widget is: it imports none."""
    code = "import sys, sse_tasks.static_view; print({'ipywidgets', 'tornado', 'IPython'} & sys.modules.keys())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "set()"
