"""Names and tags as people see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sse_tasks.folder import create_task_folder, publish
from sse_tasks.hosts.local import host_id
from sse_tasks.labels import is_label, printable
from sse_tasks.static_view import plain_text, static_html
from sse_tasks.task_manager import TaskManager
from sse_tasks.task_table import html_table, text_table
from sse_tasks.types import TaskSpec, new_task_id


@pytest.mark.parametrize(("text", "shown"), [
    ("two\nlines", "two\ufffdlines"), ("\x1b[31mred", "\ufffd[31mred"), ("\x9b31mred", "\ufffd31mred"),
    ("a\x00b\x7f", "a\ufffdb\ufffd"), ("a\u2028b\u2029", "a\ufffdb\ufffd"), ("half \ud83d", "half \ufffd")])
def test_what_can_not_be_shown_is_no_label(text: str, shown: str) -> None:
    """Line breaks, escapes, other control characters and halves of characters; a mark stands in their place."""
    assert not is_label(text)
    assert printable(text) == shown and is_label(shown)


@pytest.mark.parametrize("text", ["Kettle, monday", "日本語 ブログ", "👩\u200d🔬 \u00a0 ✓", "שלום\u200f!", "e\u0301"])
def test_every_script_is_a_label(text: str) -> None:
    """With its joiners and marks of direction."""
    assert is_label(text) and printable(text) == text


def test_a_name_that_got_into_a_folder_is_shown_without_them(tmp_path: Path) -> None:
    """By another version, or by hand: no list, card or text holds a raw control character."""
    manager = TaskManager(data_dir=str(tmp_path / "d"), runtime_dir=str(tmp_path / "r"))
    task_id = new_task_id()
    spec = TaskSpec(task_id=task_id, task_type="t", worker={}, input={}, host=host_id(), created_at="",
                    name="a\x1b]0;title\x07\nb", tags=["x\ry"])
    writer = create_task_folder(manager.root / "tasks", spec, {
        "taskId": task_id, "timestamp": "2026-01-01T00:00:00.000Z", "type": "status", "status": "aborted"})
    publish(writer)
    writer.close()

    info = manager.info(task_id)

    assert (info.name, info.tags) == ("a\ufffd]0;title\ufffd\ufffdb", ["x\ufffdy"])
    assert manager.list(tag="x\ufffdy")[0] == [info]
    for shown in (plain_text(info), static_html(info), html_table([info]), *text_table([info]).splitlines(),
                  json.dumps(info.tags)):
        assert is_label(shown), shown
    manager.close()
