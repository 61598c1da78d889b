"""What ``%tasks`` shows: the user's tasks in a table that moves while they run."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from .kernel import running_loop
from .live_views import live_views, redisplay
from .static_view import STATUS_COLORS, attempt_of, escaped, figures, message_of, status_word
from .task_manager import TaskManager
from .types import ENDED, Status, TaskInfo

__all__ = ["TaskTable"]

_FEW = 20
"""Rows without ``--all``."""
_MANY = 1000
_COLUMNS = ("Task", "Type", "Status", "Progress", "Message", "Started (UTC)")
_LONGEST_CELL = 80
"""Characters of a name or a message."""

_live: TaskTable | None = None
"""The one table of this process that still moves: a new one takes over."""


class TaskTable:
    """The newest tasks, or all of them, in any or some of the statuses."""

    def __init__(self, manager: TaskManager, statuses: Sequence[Status] = (), is_all: bool = False) -> None:
        self._manager = manager
        self._statuses = statuses
        self._limit = _MANY if is_all else _FEW
        self._display_id = uuid.uuid4().hex
        self._shown = ""

    def __repr__(self) -> str:
        return f"<TaskTable of {', '.join(self._statuses) or 'all statuses'}>"

    def show(self) -> None:
        """Displays it in the cell that runs now, and keeps it up to date until all its tasks have ended."""
        global _live
        from IPython.display import display

        infos, is_more = self._rows()
        self._shown = html_table(infos, is_more)
        display(self._bundle(infos, is_more), raw=True, display_id=self._display_id)
        if running_loop() is not None and _any_live(infos):
            _live = self
            live_views.add(self._manager, None, self)

    def refresh(self) -> bool:
        if _live is not self:
            return False
        infos, is_more = self._rows()
        shown = html_table(infos, is_more)
        if shown != self._shown:
            self._shown = shown
            redisplay(self._display_id, self._bundle(infos, is_more))
        return _any_live(infos)

    def _bundle(self, infos: Sequence[TaskInfo], is_more: bool) -> dict[str, str]:
        return {"text/html": self._shown, "text/plain": text_table(infos, is_more)}

    def _rows(self) -> tuple[list[TaskInfo], bool]:
        infos, following = self._manager.list(status=self._statuses, limit=self._limit)
        return infos, following is not None


def html_table(infos: Sequence[TaskInfo], is_more: bool = False) -> str:
    """The table without script and with inline styles only; what tasks say is escaped."""
    if not infos:
        return "<div>There are no such tasks.</div>"
    style = "text-align:left;padding:3px 10px 3px 0;vertical-align:top"
    cell, written = f'style="{style}"', f'style="{style};overflow-wrap:anywhere"'
    head = "".join(f"<th {cell}>{column}</th>" for column in _COLUMNS)
    rows = []
    for info in infos:
        task, kind, status, progress, message, started = map(escaped, _row(info))
        status = f'<span style="color:{STATUS_COLORS[info.status]};font-weight:600">{status}</span>'
        rows.append(f"<tr><td {cell}><code>{task}</code></td><td {written}>{kind}</td><td {cell}>{status}</td>"
                    f"<td {cell}>{progress}</td><td {written}>{message}</td><td {cell}>{started}</td></tr>")
    more = "<div>There are more: %tasks --all.</div>" if is_more else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}"


def text_table(infos: Sequence[TaskInfo], is_more: bool = False) -> str:
    """The table for terminals."""
    if not infos:
        return "There are no such tasks."
    rows = [tuple(column.upper() for column in _COLUMNS), *map(_row, infos)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(_COLUMNS))]
    lines = ["  ".join(f"{value:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *(["There are more: %tasks --all."] if is_more else [])])


def _row(info: TaskInfo) -> tuple[str, ...]:
    kind = f"{_cut(info.name)} ({info.task_type})" if info.name else info.task_type
    status = status_word(info.status) + (f", asked to {info.requested}" if info.requested else "")
    message = _cut(info.error or message_of(info))
    started = (info.started_at or "")[:19].replace("T", " ")
    progress = attempt_of(info) if info.status in ENDED else figures(info)
    return info.task_id, kind, status, progress, message, started


def _cut(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST_CELL else words[:_LONGEST_CELL - 1] + "…"


def _any_live(infos: Sequence[TaskInfo]) -> bool:
    return any(not info.is_ended for info in infos)
