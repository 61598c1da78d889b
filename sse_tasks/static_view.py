"""What stays of a task view where nothing runs: on GitHub, in an exported page, in a terminal, in a saved notebook.

The HTML has inline styles only, because sanitizers drop everything else, and no colour that needs a light or a dark
page. Everything that a task wrote is escaped.
"""

from __future__ import annotations

import html
import json
import re
import time
from datetime import datetime

from .types import ENDED, Progress, Status, TaskInfo
from .wire import to_plain, to_wire

__all__ = [
    "STATUS_COLORS", "attempt_of", "escaped", "figures", "last_line", "message_of", "plain_text", "static_html",
    "status_word",
]

STATUS_COLORS = {  # mid-tones: at least 3:1 against white and against a dark page's #1e1e1e
    Status.IDLE: "#808080",
    Status.RUNNING: "#1e88e5",
    Status.PAUSED: "#e07000",
    Status.COMPLETED: "#3c9a40",
    Status.FAILED: "#e0443e",
    Status.ABORTED: "#808080",
}
_WORDS = {Status.IDLE: "Waiting"}
_BAR_CELLS = 24
_LINE_CHARACTERS = 90
_LONGEST_TEXT = 2000
"""Characters of an error or a result that are shown: a saved notebook shouldn't grow by a task's result."""

# What a terminal would not show: colours and cursor movements, titles and links, other escapes.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def last_line(output: bytes) -> str:
    """The last line of captured output that shows something, as a terminal would leave it.

    ``output`` may be the tail of a longer one: it may begin inside a character.
    """
    text = _ANSI.sub("", output.decode(errors="replace").lstrip("�"))
    for line in reversed(text.split("\n")):
        # A progress bar rewrites its line: what follows the last \r is what stands there.
        for part in reversed(line.split("\r")):
            shown = _CONTROL.sub("", part).rstrip()
            if shown:
                return shown
    return ""


def static_html(info: TaskInfo) -> str:
    """The task's state as a fragment of HTML without script, links or outside resources."""
    color = STATUS_COLORS[info.status]
    percentage = _percentage(info)
    quiet = "opacity:0.72;font-size:12px"
    rows = [
        f'<div style="display:flex;gap:8px;align-items:baseline"><b>{escaped(info.name or info.task_type)}</b>'
        f'<code style="{quiet};background:none;flex:1 1 auto">{escaped(info.task_type if info.name else info.task_id)}'
        f'</code><span style="color:{color};font-weight:600;white-space:nowrap">{status_word(info.status)}</span>'
        '</div>',
    ]
    if percentage is not None:
        rows.append(
            f'<div style="height:6px;margin:7px 0;border-radius:3px;background:rgba(128,128,128,0.28)">'
            f'<div style="height:6px;width:{percentage:.4g}%;border-radius:3px;background:{color}"></div></div>'
        )
    message = message_of(info)
    numbers = figures(info)
    if message or numbers:
        rows.append(
            f'<div style="display:flex;gap:16px"><span style="flex:1 1 auto">{escaped(message)}</span>'
            f'<span style="{quiet};white-space:nowrap">{escaped(numbers)}</span></div>'
        )
    if info.restart_of or info.restarted_as:
        rows.append(f'<div style="{quiet}">{escaped(_restarts(info))}</div>')
    code, text = _ending(info)
    if text:
        label = f'<code style="color:{color};background:none;font-weight:600">{escaped(code)}</code>' if code else ""
        rows.append(
            f'<div style="margin-top:6px">{label}<pre style="margin:2px 0 0;padding:0;background:none;'
            f'font-size:12px;white-space:pre-wrap;overflow-wrap:anywhere">{escaped(text)}</pre></div>'
        )
    return (
        f'<div style="max-width:760px;margin:4px 2px;padding:8px 12px 9px 13px;font:13px/1.4 system-ui,sans-serif;'
        f"overflow-wrap:anywhere;border:1px solid rgba(128,128,128,0.4);border-left:3px solid {color};"
        f'border-radius:6px">'
        f"{''.join(rows)}</div>"
    )


def plain_text(info: TaskInfo) -> str:
    """The task's state in one line, and a second one for an error or a result."""
    title = f"{info.name} ({info.task_type})" if info.name else info.task_type
    percentage = _percentage(info)
    bar = ""
    if percentage is not None and info.status not in ENDED:
        cells = int(percentage / 100 * _BAR_CELLS)
        bar = f"[{'#' * cells}{'.' * (_BAR_CELLS - cells)}]"
    parts = [f"{title} {info.task_id}: {status_word(info.status).lower()}", bar, figures(info), message_of(info),
             _restarts(info)]
    line = _CONTROL.sub(" ", " · ".join(part for part in parts if part))
    code, text = _ending(info)
    if not text:
        return line
    return f"{line}\n{f'{code}: ' if code else ''}{_CONTROL.sub(' ', _ANSI.sub('', text))}"


def escaped(text: str) -> str:
    """What a task wrote, for HTML: without markup of its own, and without what only a terminal understands."""
    return html.escape(_CONTROL.sub("", _ANSI.sub("", text)))


def status_word(status: Status) -> str:
    """A status as people read it."""
    return _WORDS.get(status, status.capitalize())


def message_of(info: TaskInfo) -> str:
    """What the task says of itself, in words."""
    # What a completed task did last is no news: only what it says of the whole stays.
    progress = info.progress if info.status is not Status.COMPLETED else None
    return info.message or (progress.message if progress else None) or ""


def _percentage(info: TaskInfo) -> float | None:
    if info.status is Status.COMPLETED:
        return 100.0
    progress = info.progress or Progress()
    value = progress.percentage
    if value is None and progress.current is not None and progress.total:
        value = progress.current / progress.total * 100
    return None if value is None else min(100.0, max(0.0, value))


def figures(info: TaskInfo) -> str:
    """How far it is and how long it has run: ``attempt 2 of 4 · 3 of 5 · 60 % · 12 s``."""
    parts = [attempt] if (attempt := attempt_of(info)) else []
    progress = info.progress
    if info.status not in ENDED and progress:
        if progress.current is not None:
            of = "" if progress.total is None else f" of {_number(progress.total)}"
            parts.append(f"{_number(progress.current)}{of}")
        percentage = _percentage(info)
        if percentage is not None:
            parts.append(f"{int(percentage)} %")
    seconds = _elapsed(info)
    if seconds is not None:
        parts.append(_duration(seconds))
    return " · ".join(parts)


def attempt_of(info: TaskInfo) -> str:
    """Which attempt it is; nothing for the first."""
    return "" if info.attempt < 2 else f"attempt {info.attempt} of {max(info.attempt, info.retries + 1)}"


def _restarts(info: TaskInfo) -> str:
    """What it was restarted from, and what it was restarted as."""
    parts = [f"Restarted from {info.restart_of}." if info.restart_of else "",
             f"Restarted as {info.restarted_as}." if info.restarted_as else ""]
    return " ".join(part for part in parts if part)


def _number(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def _elapsed(info: TaskInfo) -> float | None:
    """Seconds of work so far; None where it isn't known: a pause's beginning isn't in the task's info."""
    if not info.started_at or info.status is Status.PAUSED:
        return None
    until = datetime.fromisoformat(info.ended_at).timestamp() if info.ended_at else time.time()
    return max(0.0, until - datetime.fromisoformat(info.started_at).timestamp() - info.paused_seconds)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _ending(info: TaskInfo) -> tuple[str, str]:
    """The code and the text that a task ended with: its error, else its result."""
    if info.error:
        return info.code or "", _cut(info.error)
    if info.status is Status.COMPLETED and info.result is not None:
        if isinstance(info.result, str):
            return "", _cut(info.result)
        value = to_wire(to_plain(info.result))
        line = json.dumps(value, ensure_ascii=False)
        return "", line if len(line) <= _LINE_CHARACTERS else _cut(json.dumps(value, ensure_ascii=False, indent=2))
    return "", ""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}\n…"
