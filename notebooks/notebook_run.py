"""Runs a notebook's cells in a kernel of a Jupyter server, by the same WebSocket as a page."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import nbformat
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

LARGEST_MESSAGE = 100 << 20


class NotebookError(Exception):
    """Why the notebook could not be run to its end, for a person."""


class Kernel:
    """``async with Kernel.connect(client, kernel_id) as kernel:`` and then ``await kernel.run(cell)``, cell by cell."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection
        self._session = secrets.token_hex(16)
        self._cells: dict[str, nbformat.NotebookNode] = {}
        self._displays: dict[str, list[nbformat.NotebookNode]] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, client: httpx.AsyncClient, kernel_id: str) -> AsyncIterator[Kernel]:
        url = client.base_url.copy_with(scheme="ws").join(f"api/kernels/{kernel_id}/channels")
        request = HTTPRequest(str(url), headers={"Authorization": client.headers["Authorization"]})
        connection = await websocket_connect(request, max_message_size=LARGEST_MESSAGE)
        try:
            yield cls(connection)
        finally:
            connection.close()

    async def run(self, cell: nbformat.NotebookNode) -> None:
        """Runs one code cell to its end and puts the outputs into it. Raises NotebookError with the cell's error."""
        cell.outputs, cell.execution_count = [], None
        message_id = secrets.token_hex(16)
        self._cells[message_id] = cell
        content = {"code": cell.source, "silent": False, "store_history": True, "user_expressions": {},
                   "allow_stdin": False, "stop_on_error": True}
        header = {"msg_id": message_id, "msg_type": "execute_request", "username": "", "session": self._session,
                  "date": datetime.now(UTC).isoformat(), "version": "5.3"}
        await self._connection.write_message(json.dumps({
            "channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}))
        reply, idle = None, False
        while reply is None or not idle:
            message = await self._receive()
            kind, content = message["header"]["msg_type"], message["content"]
            asked = message["parent_header"].get("msg_id")
            if kind == "status" and content["execution_state"] in ("dead", "restarting"):
                raise NotebookError("The kernel died.")
            if kind == "status" and asked == message_id:
                idle = content["execution_state"] == "idle"
            elif kind == "execute_reply" and asked == message_id:
                reply = content
            elif asked in self._cells:
                self._take(kind, message, self._cells[asked])
        cell.execution_count = reply.get("execution_count")
        if reply["status"] != "ok":
            trace = "\n".join(reply.get("traceback", []))
            raise NotebookError(trace or f"{reply.get('ename', reply['status'])}: {reply.get('evalue', '')}")

    async def _receive(self) -> dict[str, Any]:
        while True:
            message = await self._connection.read_message()
            if message is None:
                raise NotebookError("The Jupyter server closed the connection to the kernel.")
            if isinstance(message, str):  # the others carry binary parts of widgets, which no cell's output needs
                return json.loads(message)

    def _take(self, kind: str, message: dict[str, Any], cell: nbformat.NotebookNode) -> None:
        content = message["content"]
        display_id = content.get("transient", {}).get("display_id")
        if kind == "update_display_data":
            for shown in self._displays.get(display_id, []):
                shown.data = nbformat.from_dict(content["data"])
                shown.metadata = nbformat.from_dict(content["metadata"])
        elif kind == "clear_output":
            cell.outputs.clear()
        elif kind == "stream" and cell.outputs and cell.outputs[-1].get("name") == content["name"]:
            cell.outputs[-1].text += content["text"]
        elif kind in ("stream", "display_data", "execute_result", "error"):
            output = nbformat.v4.output_from_msg(message)
            cell.outputs.append(output)
            if display_id:
                self._displays.setdefault(display_id, []).append(output)
