"""A server that speaks the task routes of a page, and misbehaves on demand: what no real server does when asked to.

Only for the hub's own behaviour: connections, breaks, signing out, proxies that hold streams back.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import tornado.httpserver
import tornado.httputil
import tornado.netutil
import tornado.web
from held_port import hold_port

import sse_tasks

BASE_URL = "/a%40b/"
FRONTEND = Path(sse_tasks.__file__).parent / "frontend"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tasks</title>
<meta name="color-scheme" content="light dark">
<script id="jupyter-config-data" type="application/json">{config}</script>
<link rel="stylesheet" href="frontend/task_view.css"></head>
<body style="margin: 12px; font-family: sans-serif"><main id="cards"></main>
<script type="module">
import {{ mount }} from './frontend/task_view.js';
import {{ connectHub }} from './frontend/hub.js';
Object.assign(window, {{ mount, connectHub }});
window.show = (taskType, taskId, last) => {{
  const box = document.createElement('div');
  box.style.marginBottom = '12px';
  document.getElementById('cards').append(box);
  return mount(box, {{ taskType, taskId, hub: connectHub(), last }});
}};
</script></body></html>"""


class OverviewServer:
    """Serves ``tasks`` (id → TaskInfo as JSON) and counts what a page does with it."""

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.output: dict[str, bytes] = {}
        self.items: dict[str, bytes] = {}
        self.metrics: dict[str, bytes] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.port_holder = hold_port()
        self.port = self.port_holder.getsockname()[1]
        self.served = True  # False: as a Jupyter server without the extension
        self.signed_out = False
        self.forbidden = False  # True: whoever asks is known, and may not
        self.buffering = False  # True: as behind a proxy that holds a stream back until it ends
        self.clock_ahead = 0.0  # seconds that the server's clock is ahead of the page's
        self.restarts_as: str | None = None  # the id of the next restart's task
        self.restart_keys: list[str] = []
        self.slow = asyncio.Event()  # cleared: the server takes its time for what a person asks of a task
        self.slow.set()
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.streams: set[Overview] = set()
        self.most_streams = 0
        self.requests: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        path, options = BASE_URL, {"server": self}
        self.application = tornado.web.Application(
            [
                (path, Page, options),
                (f"{path}frontend/(.*)", tornado.web.StaticFileHandler, {"path": str(FRONTEND)}),
                (f"{path}api/tasks", Overview, options),
                (f"{path}api/tasks/([^/]+)", Controls, options),
                (f"{path}api/tasks/([^/]+)/([^/]+)", Info, options),
                (f"{path}api/tasks/([^/]+)/([^/]+)/output", Output, options),
                (f"{path}api/tasks/([^/]+)/([^/]+)/(items|metrics)", Lines, options),
                (f"{path}api/tasks/([^/]+)/([^/]+)/files", Files, options),
                (f"{path}api/tasks/([^/]+)/([^/]+)/files/(.+)", File, options),
                (f"{path}api/tasks/([^/]+)/([^/]+)/restart", Restart, options),
            ],
            xsrf_cookies=True,
            xsrf_cookie_kwargs={"path": BASE_URL},
        )

    def start(self) -> str:
        """Listens on loopback; gives back the page's address, which is the same after a stop."""
        sockets = tornado.netutil.bind_sockets(self.port, "127.0.0.1")
        self.http = tornado.httpserver.HTTPServer(self.application)
        self.http.add_sockets(sockets)
        return f"http://127.0.0.1:{self.port}{BASE_URL}"

    async def stop(self) -> None:
        """Closes everything, as a server that dies."""
        self.http.stop()
        self.drop()
        await self.http.close_all_connections()

    def drop(self) -> None:
        """Ends all streams."""
        for stream in list(self.streams):
            stream.ended.set()

    def put(self, task_id: str, **changes: Any) -> None:
        """Changes a task, or adds it, and tells the streams."""
        task = self.tasks.setdefault(task_id, {"taskId": task_id, "taskType": "your-task", "status": "running"})
        task.update(changes, cursor=task.get("cursor", 0) + 100)
        self.send({"type": "snapshot", "task": task})

    def forget(self, task_id: str) -> None:
        del self.tasks[task_id]
        self.send({"type": "gone", "taskId": task_id})

    def send(self, event: dict[str, Any]) -> None:
        for stream in self.streams:
            stream.event(event)


class Handler(tornado.web.RequestHandler):
    def initialize(self, server: OverviewServer) -> None:
        self.server = server

    def prepare(self) -> None:
        query = f"?{self.request.query}" if self.request.path == f"{BASE_URL}api/tasks" and self.request.query else ""
        self.server.requests.append(f"{self.request.method} {self.request.path.removeprefix(BASE_URL)}{query}")
        if (self.server.signed_out or self.server.forbidden) and "/api/" in self.request.path:
            self.set_status(403)
            self.finish({"message": "Forbidden"} | ({"code": "forbidden"} if self.server.forbidden else {}))

    def is_refused(self) -> bool:
        if self.server.refusal is None:
            return False
        status, body = self.server.refusal
        self.set_status(status)
        self.finish(body)
        return True

    def write_error(self, status_code: int, **_: Any) -> None:
        self.finish({"message": self._reason})


class Page(Handler):
    def get(self) -> None:
        self.xsrf_token  # noqa: B018 - sets the cookie
        self.finish(PAGE.format(config=json.dumps({"baseUrl": BASE_URL, "token": "secret"})))


class Overview(Handler):
    async def get(self) -> None:
        server = self.server
        if not server.served:
            raise tornado.web.HTTPError(404)
        if "text/event-stream" not in self.request.headers["Accept"]:
            self.list()
            return
        server.headers.append(dict(self.request.headers))
        self.ended = asyncio.Event()
        server.streams.add(self)
        server.most_streams = max(server.most_streams, len(server.streams))
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Date", tornado.httputil.format_timestamp(time.time() + server.clock_ahead))
        self.write("retry: 2000\n: hello\n\n")
        for task in server.tasks.values():
            if task["status"] in ("idle", "running", "paused"):
                self.event({"type": "snapshot", "task": task})
        self.event({"type": "ready"})
        await self.ended.wait()
        server.streams.discard(self)

    def list(self) -> None:
        """Newest first, page by page."""
        statuses, after = self.get_query_arguments("status"), self.get_query_argument("after", None)
        ids = [task_id for task_id, task in sorted(self.server.tasks.items(), reverse=True)
               if (not statuses or task["status"] in statuses) and (after is None or task_id < after)]
        page = ids[:int(self.get_query_argument("limit"))]
        self.finish({"tasks": [self.server.tasks[task_id] for task_id in page],
                     "next": page[-1] if len(page) < len(ids) else None})

    def event(self, event: dict[str, Any]) -> None:
        self.write(f"data: {json.dumps(event)}\n\n")
        if not self.server.buffering:
            self.flush()

    def on_connection_close(self) -> None:
        self.ended.set()
        self.server.streams.discard(self)


class Controls(Handler):
    async def post(self, task_type: str) -> None:
        body = json.loads(self.request.body)
        await self.answer(body["action"], body["taskId"])

    async def delete(self, task_type: str) -> None:
        await self.answer("abort", self.get_query_argument("taskId"))

    async def answer(self, action: str, task_id: str) -> None:
        self.server.asked.append((action, task_id))
        await self.server.slow.wait()
        if not self.is_refused():
            self.set_status(202)
            self.finish({"success": True, "taskId": task_id})


class Info(Handler):
    def get(self, task_type: str, task_id: str) -> None:
        if not self.server.served or task_id not in self.server.tasks:
            raise tornado.web.HTTPError(404)
        self.finish(self.server.tasks[task_id])


class Restart(Handler):
    async def post(self, task_type: str, task_id: str) -> None:
        server, new_id = self.server, self.server.restarts_as
        server.asked.append(("restart", task_id))
        server.restart_keys.append(self.request.headers["Idempotency-Key"])
        await server.slow.wait()
        if self.is_refused():
            return
        server.put(task_id, restartedAs=new_id)
        server.put(new_id, taskType=task_type, status="running", restartOf=task_id)
        self.set_status(201)
        self.finish({"success": True, "taskId": new_id})


class Output(Handler):
    def get(self, task_type: str, task_id: str) -> None:
        output = self.server.output.get(task_id, b"")
        first, last = self.request.headers["Range"].removeprefix("bytes=").split("-")
        begin = int(first) if first else max(0, len(output) - int(last))
        end = min(len(output), int(last) + 1) if first and last else len(output)
        if begin >= len(output):
            raise tornado.web.HTTPError(416)
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {begin}-{end - 1}/{len(output)}")
        self.finish(output[begin:end])


class Lines(Handler):
    def get(self, task_type: str, task_id: str, part: str) -> None:
        data = getattr(self.server, part).get(task_id, b"")
        after = int(self.get_query_argument("after"))
        after = after if after <= len(data) else 0
        self.set_header("X-Items-After", str(after))
        self.finish(data[after:])


class Files(Handler):
    def get(self, task_type: str, task_id: str) -> None:
        files = self.server.files.get(task_id, {})
        self.finish({"files": [{"name": name, "bytes": len(data), "modified": "2026-11-24T03:58:00.123Z"}
                               for name, data in files.items()]})


class File(Handler):
    def get(self, task_type: str, task_id: str, name: str) -> None:
        self.set_header("Content-Type", "application/octet-stream")
        self.finish(self.server.files[task_id][name])
