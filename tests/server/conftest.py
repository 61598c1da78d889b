"""A real Jupyter server with the extension, in this process and, as a second one, in another."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pytest_jupyter.jupyter_server import jp_server_cleanup  # noqa: F401
from tornado.httpclient import HTTPResponse
from traitlets.config import Config

from sse_tasks.bell import Bell
from sse_tasks.errors import SseTasksError
from sse_tasks.folder import create_task_folder, publish
from sse_tasks.hosts.local import host_id
from sse_tasks.types import TaskSpec, new_task_id

from ..server_process import TOKEN, ServerProcess, start_server

WORKERS = Path(__file__).parent / "workers"
LIVE = ["idle", "running", "paused"]


@pytest_asyncio.fixture(autouse=True)
async def jp_asyncio_loop() -> AsyncIterator[asyncio.AbstractEventLoop]:
    """The loop that runs the test runs the server, too."""
    yield asyncio.get_running_loop()


@pytest.fixture(autouse=True)
def worker_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSE_TASKS_WORKERS", str(WORKERS))


@pytest.fixture
def extension_config() -> dict[str, Any]:
    """Settings of the extension; a test module overrides it."""
    return {}


@pytest.fixture
def jp_server_config(extension_config: dict[str, Any]) -> Config:
    return Config({
        "ServerApp": {"jpserver_extensions": {"sse_tasks_server": True}},
        "IdentityProvider": {"token": TOKEN},
        **extension_config,
    })


@dataclass
class Answer:
    """An HTTP answer, any status."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Call = Callable[..., Awaitable[Answer]]


@pytest.fixture
def call(jp_fetch: Callable[..., Awaitable[HTTPResponse]]) -> Call:
    """``await call("POST", "tasks/echo", {…}, tag="x")``: one request to the server of this test."""

    async def call_(method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None,
                    raw: bytes | None = None, **params: Any) -> Answer:
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if data is None and method == "POST":
            data = b""
        query = [(name.rstrip("_"), one) for name, value in params.items()
                 for one in (value if isinstance(value, list) else [value])]
        response = await jp_fetch("api", *path.split("/"), method=method, body=data, headers=headers,
                                  params=query, raise_error=False, allow_nonstandard_methods=True,
                                  follow_redirects=False, connect_timeout=60, request_timeout=60)
        return Answer(response.code, response.headers, response.body)

    return call_


@pytest.fixture
def start(call: Call) -> Callable[..., Awaitable[str]]:
    """``task_id = await start("echo", text="x")``."""

    async def start_(task_type: str, **task_input: Any) -> str:
        answer = await call("POST", f"tasks/{task_type}", task_input)
        assert answer.status == 201, answer.body
        return answer.json["taskId"]

    return start_


async def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """The first true value of ``condition``, plain or async; fails with ``what`` when it doesn't come in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s in vain for {what}")
        await asyncio.sleep(0.01)


async def end_after_some_updates(app: Any, task_id: str, gate: Path) -> None:
    """Opens the gate of a task that goes on until then, once it has said more than ten things."""
    await until(lambda: len(list(app.manager.folder(task_id).updates())) > 11, "some updates")
    gate.touch()


@pytest.fixture
def ended(call: Call) -> Callable[..., Awaitable[dict[str, Any]]]:
    """``info = await ended("echo", task_id)``: waits for the task's end."""

    async def ended_(task_type: str, task_id: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            info = (await call("GET", f"tasks/{task_type}/{task_id}")).json
            return info if info["status"] in ("completed", "failed", "aborted") else None

        return await until(look, f"the end of {task_type} {task_id}")

    return ended_


@pytest.fixture
def app(jp_serverapp: Any) -> Any:
    """The extension's app in the server of this test."""
    return next(iter(jp_serverapp.extension_manager.extension_apps["sse_tasks_server"]))


@pytest_asyncio.fixture
async def alone(app: Any) -> None:
    """No task of an earlier test lives any more: all of them use one data folder."""
    await asyncio.to_thread(app._first_look.join)

    def live() -> list[Any]:
        return app.manager.list(status=LIVE, brief=True)[0]

    for info in live():
        with suppress(SseTasksError):  # it has just ended
            app.manager.ask(info.task_id, "abort")
    await until(lambda: not live(), "the tasks of other tests to end")


@pytest_asyncio.fixture
async def client(http_server: Any, jp_http_port: int, jp_base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the server of this test, for streams."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{jp_http_port}{jp_base_url}api", timeout=60,
                                 headers={"Authorization": f"token {TOKEN}"}) as running:
        yield running


class RawReader:
    """One HTTP/1.1 answer, read byte by byte from a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.head = b""

    async def open(self, request: str) -> None:
        self.writer.write(request.replace("\n", "\r\n").encode() + b"\r\n")
        self.head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 60)

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    async def chunk(self, seconds: float = 60) -> bytes:
        """One chunk of the body, as the server wrote it; empty at the clean end."""
        async with asyncio.timeout(seconds):
            size = int(await self._reader.readline(), 16)
            return (await self._reader.readexactly(size + 2))[:-2]

    async def rest(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        while piece := await self.chunk():
            yield piece


@pytest_asyncio.fixture
async def raw(http_server: Any, jp_http_port: int, jp_base_url: str) -> AsyncIterator[Callable[..., Any]]:
    """``answer = await raw("GET", "tasks/echo?taskId=…", "Last-Event-ID: 5")``."""
    writers = []

    async def raw_(method: str, path: str, *headers: str) -> RawReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
        writers.append(writer)
        answer = RawReader(reader, writer)
        lines = [f"{method} {jp_base_url}api/{path} HTTP/1.1", f"Host: 127.0.0.1:{jp_http_port}",
                 f"Authorization: token {TOKEN}", *headers]
        await answer.open("".join(line + "\n" for line in lines))
        return answer

    yield raw_
    for writer in writers:
        writer.close()


@dataclass
class LogByHand:
    """A task whose log the test itself writes, as a keeper would: locked, line by line, with a bell."""

    writer: Any
    bell: Any
    task_id: str

    def append(self, ring: bool = True, **fields: Any) -> int:
        cursor = self.writer.append({"taskId": self.task_id, "timestamp": "2026-01-01T00:00:00.000Z", **fields})
        if ring:
            self.bell.ring(self.task_id)
        return cursor

    def progress(self, number: int, ring: bool = True, padding: int = 0) -> int:
        return self.append(ring, type="progress", status="running", startedAt="2026-01-01T00:00:00.000Z",
                           message=f"{number} " + "x" * padding)

    def complete(self, **fields: Any) -> int:
        return self.append(type="result", status="completed", startedAt="2026-01-01T00:00:00.000Z", **fields)


@pytest.fixture
def log_by_hand(app: Any) -> Iterator[Callable[[], LogByHand]]:
    """Makes tasks of the type ``by-hand``."""
    made = []

    def make() -> LogByHand:
        task_id = new_task_id()
        spec = TaskSpec(task_id=task_id, task_type="by-hand", worker={}, input={}, host=host_id(),
                        created_at="2026-01-01T00:00:00.000Z")
        writer = create_task_folder(app.manager.root / "tasks", spec, {
            "type": "status", "taskId": task_id, "timestamp": spec.created_at, "status": "idle"})
        publish(writer)
        bell = Bell(Path((app.manager.root / "runtime").read_text()))
        made.append((writer, bell))
        return LogByHand(writer, bell, task_id)

    yield make
    for writer, bell in made:
        if writer.folder.exists():
            writer.folder.remove()
        writer.close()
        bell.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A second server on the same data folder."""
    running = start_server(tmp_path_factory.mktemp("server"), env={"SSE_TASKS_WORKERS": str(WORKERS)})
    yield running
    running.stop()
