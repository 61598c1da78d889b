"""The task view as an ipywidgets widget, for every front end that speaks widgets.

In a page of a Jupyter server that knows the task, the view follows the server and needs nothing from the kernel.
Elsewhere the kernel relays: whoever has the task calls :meth:`TaskWidget.update`, from any thread.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import anywidget
import traitlets

from .errors import SseTasksError
from .static_view import plain_text, static_html
from .types import TaskInfo, is_task_id
from .wire import encode, to_plain, to_wire

__all__ = ["TaskWidget"]

Action = Literal["pause", "resume", "abort", "restart"]
Part = Literal["output", "items", "metrics"]

_ACTIONS = ("pause", "resume", "abort", "restart")
_PARTS = ("output", "items", "metrics")
_FRONTEND = Path(__file__).parent / "frontend"
_IMPORT = re.compile(r"^import \{[^}]*\} from '\./(\w+\.js)';\n", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(?://[^\n]*|/\*\*(?:(?!\*/).)*\*/)[ \t]*\n", re.MULTILINE | re.DOTALL)
"""Lines of nothing but a comment: a fifth of what each widget would send."""
_RESULT_BYTES = 4096
"""A snapshot carries results and inputs up to this size, as the server's do: each one goes to every page."""
_READ_BYTES = 1 << 18
"""The most that a page is given of a part in one answer."""
_log = logging.getLogger(__name__)


def joined_module(name: str) -> str:
    """One ES module made of a file of the front end and those that it imports, in order of need.

    A widget's module has no URL that others could be imported from. Ours share one namespace instead.
    """
    texts: dict[str, str] = {}

    def add(name: str) -> None:
        text = (_FRONTEND / name).read_text(encoding="utf-8")
        for needed in _IMPORT.findall(text):
            if needed not in texts:
                add(needed)
        texts[name] = _COMMENT.sub("", _IMPORT.sub("", text))

    add(name)
    return "\n".join(texts.values())


class TaskWidget(anywidget.AnyWidget):
    """The live view of one task.

    Shows itself by ``display()``; ``text/html`` and ``text/plain`` beside it hold the last state for where no widget
    runs. It reads and steers nothing by itself: give it states by ``update`` and take requests by ``on_action``.

    A person may go on from it to the task that its own was restarted as, or from, and come back: a page says so by
    ``on_follow``, and is given states of such a task by ``relay_other``.
    """

    _esm = joined_module("widget.js")
    _css = (_FRONTEND / "task_view.css").read_text(encoding="utf-8")

    task_type = traitlets.Unicode(help="The task's type.").tag(sync=True)
    task_id = traitlets.Unicode(help="The task's id.").tag(sync=True)
    snapshot = traitlets.Dict(help="The last state that was relayed: a task's info as JSON.").tag(sync=True)
    relay = traitlets.Bool(True, help="Whether a page needs states from the kernel. Set by the pages.").tag(sync=True)

    def __init__(self, info: TaskInfo, **kwargs: Any) -> None:
        self._info = info
        self._last_line = ""
        self._on_action: Callable[[Action, str], str | None] | None = None
        self._on_follow: Callable[[str], object] | None = None
        self._on_read: Callable[[Part, str, int, int], tuple[bytes, int]] | None = None
        self._on_shown: Callable[[], object] = _nothing
        self._is_shown = False
        super().__init__(task_type=info.task_type, task_id=info.task_id, snapshot=_snapshot(info), **kwargs)
        self.on_msg(self._receive)

    @property
    def info(self) -> TaskInfo:
        """The last state that ``update`` was given."""
        return self._info

    def update(self, info: TaskInfo, last_line: str = "") -> None:
        """Shows a newer state; ``last_line`` is the last line of the task's output.

        Sent to the pages only if one of them asked for it (``relay``), and at the task's end, so that a saved
        notebook holds the last state.
        """
        self._info = info
        self._last_line = last_line
        if self.relay or info.is_ended:
            self._relay()

    @traitlets.observe("relay")
    def _relay(self, _: object = None) -> None:
        self.snapshot = _snapshot(self._info, self._last_line)

    def relay_other(self, info: TaskInfo, last_line: str = "") -> None:
        """Tells the pages the state of another task, for those that followed a restart to it."""
        self.send({"type": "snapshot", "task": _snapshot(info, last_line)})

    def on_action(self, callback: Callable[[Action, str], str | None]) -> None:
        """Calls ``callback`` with "pause", "resume", "abort" or "restart", and the task's id, when a person asks for it
        in a page that has no server. It gives the new task's id for a restart.

        What it raises of this library's errors is shown to the person.
        """
        self._on_action = callback

    def on_follow(self, callback: Callable[[str], object]) -> None:
        """Calls ``callback`` with the id of another task that a page wants to be told of (``relay_other``).

        It raises TaskNotFoundError where there is none.
        """
        self._on_follow = callback

    def on_read(self, callback: Callable[[Part, str, int, int], tuple[bytes, int]]) -> None:
        """Calls ``callback`` with "output", "items" or "metrics", a task's id, a byte and the most bytes to read from
        there, when a page that has no server looks at them. It gives the bytes, and the byte at which they begin: 0
        where less is there than was asked for.
        """
        self._on_read = callback

    @property
    def is_shown(self) -> bool:
        """Whether a page has said that it shows the widget: JupyterLab and Notebook 7 have a view that needs none."""
        return self._is_shown

    def on_shown(self, callback: Callable[[], object]) -> None:
        """Calls ``callback`` when a page says for the first time that it shows the widget."""
        self._on_shown = callback

    def _receive(self, _: object, message: Any, __: object) -> None:
        task_id = message.get("taskId", self.task_id) if isinstance(message, dict) else None
        if not isinstance(task_id, str) or not is_task_id(task_id):
            return
        match message:
            case {"type": "shown"} if not self._is_shown:
                self._is_shown = True
                self._on_shown()
            case {"type": "hello"}:
                self.send({"type": "hello", "taskId": task_id} | self._followed(task_id))
            case {"type": "ask", "id": int(number), "action": str(action)} if action in _ACTIONS:
                self.send({"type": "answer", "id": number} | self._answer(action, task_id))  # type: ignore[arg-type]
            case {"type": "read", "id": int(number), "part": str(part), "after": int(after)} if part in _PARTS:
                limit = message.get("limit")
                limit = min(limit, _READ_BYTES) if isinstance(limit, int) and limit > 0 else _READ_BYTES
                answer, data = self._piece(part, task_id, max(0, after), limit)  # type: ignore[arg-type]
                self.send({"type": "answer", "id": number} | answer, [data])

    def _followed(self, task_id: str) -> dict[str, Any]:
        if task_id == self.task_id or self._on_follow is None:
            return {}
        try:
            self._on_follow(task_id)
        except SseTasksError as error:
            return {"error": error.message}
        return {}

    def _piece(self, part: Part, task_id: str, after: int, limit: int) -> tuple[dict[str, Any], bytes]:
        if self._on_read is None:
            return {"error": "This view can't read what its task wrote."}, b""
        try:
            data, began = self._on_read(part, task_id, after, limit)
        except SseTasksError as error:
            return {"error": error.message}, b""
        except Exception:
            _log.exception("Could not read the %s of task %s", part, task_id)
            return {"error": f"The task's {part} could not be read; the kernel's log says why."}, b""
        return {"after": began}, data

    def _answer(self, action: Action, task_id: str) -> dict[str, str]:
        if self._on_action is None:
            return {"error": "This view can't steer its task."}
        try:
            new_id = self._on_action(action, task_id)
        except SseTasksError as error:
            return {"error": error.message}
        except Exception:
            _log.exception("Could not %s task %s", action, task_id)
            return {"error": f"The task could not be asked to {action}; the kernel's log says why."}
        return {} if new_id is None else {"taskId": new_id}

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        # VS Code takes the first it can show, in this order.
        data, metadata = bundle
        widget = {key: value for key, value in data.items() if not key.startswith("text/")}
        return widget | {"text/html": static_html(self._info), "text/plain": plain_text(self._info)}, metadata

    def __repr__(self) -> str:
        return f"<TaskWidget {plain_text(self._info)}>"


def _nothing() -> None:
    pass


def _snapshot(info: TaskInfo, last_line: str = "") -> dict[str, Any]:
    built: dict[str, Any] = to_wire(to_plain(info))
    for field in ("result", "input"):
        if field in built and len(encode(built[field])[0]) > _RESULT_BYTES:
            del built[field]
    return built | ({"lastLine": last_line} if last_line else {})
