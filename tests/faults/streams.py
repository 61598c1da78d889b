"""What a client of a real server sees of a task, when the server may be killed under it; and tasks of ``steady.py``."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx

from sse_tasks.folder import TaskFolder

from ..places import Place, Task, wait_for
from ..server_process import ServerProcess, start_server

WORKERS = Path(__file__).parent / "workers"


def environment(place: Place) -> dict[str, str]:
    """What makes another process look at the same data folder."""
    return {"SSE_TASKS_DATA_DIR": str(place.data_dir), "SSE_TASKS_RUNTIME_DIR": str(place.home / "r"),
            "SSE_TASKS_WORKERS": str(WORKERS)}


def server_of(place: Place, *options: str, max_running: int = 20) -> ServerProcess:
    """A Jupyter server on the place's data folder."""
    return start_server(place.scratch, f"--TaskManager.max_running={max_running}", *options, env=environment(place))


def steady_input(place: Place, number: int, gate: str = "gate", **more: Any) -> dict[str, Any]:
    return {"number": number, "trace": str(place.scratch / "trace"), "gate": str(place.scratch / gate), **more}


def begun(place: Place) -> list[int]:
    """The numbers of the tasks that have begun, each as often as it has."""
    trace = place.scratch / "trace"
    return sorted(map(int, trace.read_text().split())) if trace.exists() else []


def framed(folder: TaskFolder) -> list[bytes]:
    """The events of a stream that misses nothing of a task, as the log's lines say."""
    events, offset = [], 0
    for line in folder.log_path.read_bytes().splitlines():
        offset += len(line) + 1
        events.append(b"id: %d\ndata: %b" % (offset, line))
    return events


class Reader:
    """Follows a task in a thread, from where an earlier reader of it was cut off."""

    def __init__(self, server: ServerProcess, task: Task, after: Reader | None = None) -> None:
        self.events: list[bytes] = list(after.events) if after else []
        self.was_cut = False
        self._request = {"params": {"taskId": task.task_id}, "headers": {"Last-Event-ID": self.cursor}}
        self._path = f"/tasks/{task.folder.spec().task_type}"
        self._server = server
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def cursor(self) -> str:
        """The id of the last whole event."""
        return self.events[-1].split(b"\n")[0][len(b"id: "):].decode() if self.events else ""

    def _read(self) -> None:
        rest = b""
        try:
            with self._server.client() as api, api.stream("GET", self._path, **self._request) as answer:
                for piece in answer.iter_raw():
                    *whole, rest = (rest + piece).split(b"\n\n")
                    for block in whole:
                        lines = [line for line in block.split(b"\n") if not line.startswith((b":", b"retry:"))]
                        self.events.append(b"\n".join(lines))
        except httpx.TransportError:
            self.was_cut = True

    def until_events(self, count: int) -> None:
        wait_for(f"{count} events", lambda: len(self.events) >= count)

    def end(self) -> list[bytes]:
        """All events, once the server has ended the stream or is gone."""
        self._thread.join(60)
        assert not self._thread.is_alive(), "the stream did not end"
        return self.events
