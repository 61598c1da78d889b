"""What is on display and has to move: from a background thread, so that it moves while a cell keeps the kernel busy."""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from .errors import NothingThereError, TaskNotFoundError
from .folder import TaskFolder
from .kernel import origin, running_cell, running_loop
from .static_view import last_line, plain_text, static_html
from .task_manager import TaskManager
from .types import TaskInfo

__all__ = ["TASK_MIME", "LiveViews", "TaskView", "live_views", "redisplay"]

TASK_MIME = "application/vnd.sse-tasks.task+json"
"""What JupyterLab and Notebook 7 show by the extension that comes with the package: ``{"taskType", "taskId"}``."""
_INTERVAL_SECONDS = 0.1
_TAIL_BYTES = 4096
_log = logging.getLogger(__name__)


class Shown(Protocol):
    """Something on display."""

    def refresh(self) -> bool:
        """Shows what is the case now; whether that may still change."""


class LiveViews:
    """Refreshes what is on display when its tasks change, each at most ten times a second, until it rests.

    One thread for all of them, which is there while there is something to do.
    """

    def __init__(self) -> None:
        self._entries: set[_Entry] = set()
        self._changed: set[_Entry] = set()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, manager: TaskManager, task_id: str | None, shown: Shown) -> None:
        """Refreshes ``shown`` whenever something of that task (without: of any) may have grown."""
        entry = _Entry(shown)
        entry.stop = manager.watch(lambda _: self._note(entry), task_id)
        with self._lock:
            self._entries.add(entry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sse-tasks-views", daemon=True)
                self._thread.start()
        self._note(entry)

    def _note(self, entry: _Entry) -> None:
        with self._lock:
            self._changed.add(entry)
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            with self._lock:
                self._wake.clear()
                changed, self._changed = self._changed & self._entries, set()
            for entry in changed:
                if not _refreshed(entry.shown):
                    entry.stop()
                    with self._lock:
                        self._entries.discard(entry)
            with self._lock:
                if not self._entries:
                    self._thread = None
                    return
            time.sleep(_INTERVAL_SECONDS)


class _Entry:
    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self.stop: Callable[[], None] = _nothing


def _nothing() -> None:
    pass


def _refreshed(shown: Shown) -> bool:
    try:
        return shown.refresh()
    except Exception:  # one view that breaks must not stop the others
        _log.exception("%r can't be refreshed", shown)
        return False


live_views = LiveViews()
"""Those of this process."""


class TaskView:
    """One task on display: the widget where widgets work, beside it, and elsewhere, HTML and text."""

    def __init__(self, manager: TaskManager, info: TaskInfo) -> None:
        self._manager = manager
        self._info = info
        self._widget = _new_widget(info)
        if self._widget is not None:
            self._widget.on_action(self._ask)
            self._widget.on_follow(self._follow)
            self._widget.on_read(self._read)
            self._widget.on_shown(self._show_widget)
        self._relays: dict[str, _Relay] = {}
        self._shown: list[str] = []
        self._is_live = self._is_settled = False  # settled: its end stands in the cells' outputs
        self._settled_in: str | None = None  # the cell that ran then
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<TaskView of {self._info.task_id}>"

    def bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The representations by MIME type, and their metadata.

        Once the task has ended, the widget is among them only if a page shows it: where a notebook is exported, by
        nbconvert with a widget's saved state, it would come before the HTML, which needs no script.
        """
        info, widget = self._info, self._widget
        # The type and the id, and nothing else: whoever shows it asks the page's own server for the rest.
        data: dict[str, Any] = {TASK_MIME: {"taskType": info.task_type, "taskId": info.task_id}}
        data |= {"text/html": static_html(info), "text/plain": plain_text(info)}
        if widget is None or (self._is_settled and not widget.is_shown):
            return data, {}
        if (found := widget._repr_mimebundle_()) is None:
            return data, {}
        # The widget is the first, for VS Code takes the first that it can show.
        shown, metadata = found
        return {name: value for name, value in shown.items() if name not in data} | data, metadata

    def show(self) -> None:
        """Displays it in the cell that runs now."""
        from IPython.display import display

        with self._lock:
            with suppress(TaskNotFoundError):  # forgotten: the last that was known is shown
                self._look()
            data, metadata = self.bundle()
            display_id = uuid.uuid4().hex
            display(data, raw=True, metadata=metadata, display_id=display_id)
            if self._info.is_ended:
                return
            self._shown.append(display_id)
            is_new, self._is_live = not self._is_live, True
        if is_new:
            live_views.add(self._manager, self._info.task_id, self)

    def refresh(self) -> bool:
        """Sends the present state to the pages, and at the end puts it into the cells' outputs.

        So a notebook that is saved, or read where no widget runs, says how its tasks ended.
        """
        with self._lock:
            try:
                self._look()
            except TaskNotFoundError:
                self._is_live = False
                return False
            self._is_live = not self._info.is_ended
            if not self._is_live and not self._is_settled:
                self._is_settled = True
                self._redisplay()
            return self._is_live

    def settle(self) -> None:
        """Puts the end into the cells' outputs, for a cell that waited for it. Where that came between two cells it is
        put there once more: nbclient takes no message but those of a cell that runs."""
        self.refresh()
        with self._lock:
            if self._is_settled and self._settled_in != running_cell():
                self._redisplay()

    def _redisplay(self) -> None:
        self._settled_in = running_cell()
        for display_id in self._shown:
            redisplay(display_id, *self.bundle())

    def _show_widget(self) -> None:
        """A page shows the widget, and says so late, because the kernel was busy: it is put back."""
        with self._lock:
            if self._is_settled:
                self._redisplay()

    def _look(self) -> None:
        self._info = info = self._manager.info(self._info.task_id)
        if self._widget is not None:
            is_needed = self._widget.relay or info.is_ended
            self._widget.update(info, _output_tail(self._manager.folder(info.task_id)) if is_needed else "")

    def _ask(self, action: Any, task_id: str) -> str | None:
        if action != "restart":
            self._manager.ask(task_id, action)
            return None
        new_id = self._manager.restart(task_id, origin=origin()).task_id
        (self._relays.get(task_id) or self).refresh()  # it says now what it was restarted as
        return new_id

    def _read(self, part: str, task_id: str, after: int, limit: int) -> tuple[bytes, int]:
        """A piece of what a task wrote, for a page without a server, and the byte at which it begins."""
        name = "output.log" if part == "output" else f"{part}.jsonl"
        try:
            with open(self._manager.folder(task_id).open_part(name), "rb") as file:
                began = after if after <= os.fstat(file.fileno()).st_size else 0
                file.seek(began)
                return file.read(limit), began
        except NothingThereError:
            return b"", 0

    def _follow(self, task_id: str) -> None:
        """A page without a server went on to a task that this one was restarted as, or from."""
        self._manager.folder(task_id)
        relay = self._relays.get(task_id)
        if relay is None:
            relay = self._relays[task_id] = _Relay(self._manager, self._widget, task_id)
        relay.begin()


class _Relay:
    """Tells a view's pages of one more task, until that has ended."""

    def __init__(self, manager: TaskManager, widget: Any, task_id: str) -> None:
        self._manager, self._widget, self._task_id = manager, widget, task_id
        self._is_live = False

    def begin(self) -> None:
        """Tells the present state, and what follows."""
        was_live = self._is_live
        if self.refresh() and not was_live:
            live_views.add(self._manager, self._task_id, self)

    def refresh(self) -> bool:
        try:
            info = self._manager.info(self._task_id)
            self._widget.relay_other(info, _output_tail(self._manager.folder(self._task_id)))
        except TaskNotFoundError:
            self._is_live = False
            return False
        self._is_live = not info.is_ended
        return self._is_live


def redisplay(display_id: str, data: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> None:
    """Replaces what was displayed under ``display_id``.

    As a message of the cell that runs now, whatever thread this is: nbclient takes no other's.
    """
    from IPython.display import update_display

    contextvars.Context().run(update_display, data, raw=True, metadata=metadata, display_id=display_id)


def _new_widget(info: TaskInfo) -> Any | None:
    """None where no kernel runs or no widgets are installed."""
    if running_loop() is None:
        return None
    try:
        from .widget import TaskWidget
    except ImportError:
        return None
    return TaskWidget(info)


def _output_tail(folder: TaskFolder) -> str:
    try:
        with open(folder.open_part("output.log"), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            return last_line(file.read())
    except NothingThereError:
        return ""
