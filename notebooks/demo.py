"""The main job from nothing, in a terminal: ``make demo``.

Serves a small shop with reviews on loopback, starts a Jupyter server with folders of its own under ``.demo/``, runs
``scrape_reviews.ipynb`` in a kernel of that server as a page would, follows the server's overview stream meanwhile, and
prints the head of the DataFrame that the notebook made. What it started ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import psutil
from httpx_sse import EventSource, aconnect_sse
from notebook_run import Kernel, NotebookError

NOTEBOOKS = Path(__file__).resolve().parent
DEMO = NOTEBOOKS.parent / ".demo"
NAME = "scrape_reviews.ipynb"
SHOP_SECONDS = 20.0
SERVER_SECONDS = 60.0
STREAM_TIMEOUT = httpx.Timeout(10, read=60)  # a stream that has nothing to say says so every 10 s
NOTEBOOK_SECONDS = 180.0
LAST_SNAPSHOT_SECONDS = 30.0
STOP_SECONDS = 30.0
LINE_SECONDS = 0.5
"""Between two progress lines where they can't be drawn over each other, as in a log."""


class Terminal:
    """Lines that stay, and below them one that is drawn anew."""

    def __init__(self) -> None:
        self._drawn = ""
        self._written_at = float("-inf")

    def say(self, text: str) -> None:
        self._clear()
        print(text, flush=True)

    def draw(self, text: str, *, now: bool) -> None:
        """``now`` says that this one matters: a log gets it at once."""
        if text == self._drawn:
            return
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{text[:width]}", end="", flush=True)
            self._drawn = text
        elif now or time.monotonic() - self._written_at > LINE_SECONDS:
            print(text, flush=True)
            self._drawn, self._written_at = text, time.monotonic()

    def _clear(self) -> None:
        if self._drawn and sys.stdout.isatty():
            print()
        self._drawn = ""


class TaskFollower:
    """What the overview stream tells of the server's tasks, drawn as it comes."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._changed = asyncio.Event()
        self.statuses: dict[str, str] = {}

    async def follow(self, source: EventSource) -> None:
        """Until it is cancelled, or the server ends the stream."""
        async for event in source.aiter_sse():
            told = event.json()
            if told["type"] == "snapshot":
                self._tell(told["task"])

    async def wait_ended(self) -> None:
        """Until the stream has told the end of every task that it told of, which has to be one at least."""
        async with asyncio.timeout(LAST_SNAPSHOT_SECONDS):
            while not self.statuses or not set(self.statuses.values()) <= {"completed", "failed", "aborted"}:
                self._changed.clear()
                await self._changed.wait()

    def _tell(self, task: dict[str, Any]) -> None:
        new = self.statuses.get(task["taskId"]) != task["status"]
        self.statuses[task["taskId"]] = task["status"]
        self._changed.set()
        self._terminal.draw(f"      {progress_line(task)}", now=new)


def progress_line(task: dict[str, Any]) -> str:
    """One line of a task's picture. Its words come from the task, so nothing in them may steer the terminal."""
    progress = task.get("progress", {})
    percentage = 100.0 if task["status"] == "completed" else progress.get("percentage")
    filled = round((percentage or 0) / 5)
    parts = [f"[{'#' * filled}{'.' * (20 - filled)}]", f"{percentage:3.0f} %" if percentage is not None else "  ? %",
             task["status"]]
    if task.get("items"):
        parts.append(f"{task['items']} reviews")
    parts.append(printable(first_line(task.get("error") or progress.get("message") or task.get("message") or "")))
    return "  ".join(filter(None, parts))


@contextlib.asynccontextmanager
async def shop() -> AsyncIterator[str]:
    """Serves the shop; gives the address of its page with reviews."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(NOTEBOOKS / "demo_shop.py"), "--port", "0", stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        url = (await asyncio.wait_for(process.stdout.readline(), SHOP_SECONDS)).decode().strip()
        if not url:
            raise NotebookError("The shop did not start.")
        yield url
    finally:
        await end(process)


@contextlib.asynccontextmanager
async def jupyter_server(shop_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A Jupyter server on loopback, with the notebooks as its root; gives a client that may do everything there."""
    token = secrets.token_hex(24)
    sockets = tempfile.mkdtemp(prefix="st-")  # short: a socket's path has 107 bytes
    environ = os.environ | {
        "JUPYTER_TOKEN": token, "JUPYTER_CONFIG_DIR": str(DEMO / "config"), "JUPYTER_DATA_DIR": str(DEMO / "data"),
        "JUPYTER_RUNTIME_DIR": str(DEMO / "runtime"), "IPYTHONDIR": str(DEMO / "ipython"),
        "SSE_TASKS_DATA_DIR": str(DEMO / "tasks"), "SSE_TASKS_RUNTIME_DIR": sockets, "SSE_TASKS_DEMO_URL": shop_url,
    }
    with (DEMO / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jupyter_server", "--ServerApp.open_browser=False", "--ServerApp.allow_root=True",
            "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={random.randrange(20_000, 30_000)}",
            f"--ServerApp.root_dir={NOTEBOOKS}", env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True)
    try:
        # Only the file that the server writes tells where it listens: a port may have been taken.
        url = await asyncio.wait_for(_address(process, DEMO / "runtime" / f"jpserver-{process.pid}.json"),
                                     SERVER_SECONDS)
        headers = {"Authorization": f"token {token}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
            yield client
    finally:
        await end(process)
        end_tasks()
        shutil.rmtree(sockets, ignore_errors=True)


async def _address(process: asyncio.subprocess.Process, note: Path) -> str:
    while process.returncode is None:
        with contextlib.suppress(OSError, ValueError):  # not there yet, or half written
            return json.loads(note.read_text())["url"]
        await asyncio.sleep(0.05)
    raise NotebookError(f"The Jupyter server ended at once; {DEMO / 'server.log'} says why.")


async def end(process: asyncio.subprocess.Process) -> None:
    """Asks the process to end, and ends it if it doesn't."""
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def end_tasks() -> None:
    """The forkservers of the demo's own data folder wait for more tasks, which nobody will start."""
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(DEMO / "tasks") in process.cmdline():
                left += [process, *process.children(recursive=True)]
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, STOP_SECONDS)


async def run_notebook(client: httpx.AsyncClient, terminal: Terminal) -> nbformat.NotebookNode:
    """Runs the notebook cell by cell; what ran is in ``.demo/``, also where a cell failed (NotebookError)."""
    notebook = nbformat.read(NOTEBOOKS / NAME, as_version=4)
    kernel_name = notebook.metadata.get("kernelspec", {}).get("name", "python3")
    answer = await client.post("api/sessions", json={
        "path": NAME, "name": NAME, "type": "notebook", "kernel": {"name": kernel_name}})
    answer.raise_for_status()
    session = answer.json()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    try:
        async with asyncio.timeout(NOTEBOOK_SECONDS), Kernel.connect(client, session["kernel"]["id"]) as kernel:
            for number, cell in enumerate(cells, 1):
                terminal.say(f"[{number}/{len(cells)}] {first_code_line(cell.source)}")
                await kernel.run(cell)
    except TimeoutError:
        raise NotebookError(f"The notebook took longer than {NOTEBOOK_SECONDS:g} s.") from None
    finally:
        nbformat.write(notebook, DEMO / NAME)
        await client.delete(f"api/sessions/{session['id']}")
    return notebook


def frame_head(notebook: nbformat.NotebookNode) -> str:
    """The first DataFrame that the notebook shows, as text."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if 'class="dataframe"' in output.get("data", {}).get("text/html", ""):
                return output.data["text/plain"]
    raise NotebookError("The notebook showed no DataFrame.")


def first_line(text: str) -> str:
    """The first line that isn't empty."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def first_code_line(source: str) -> str:
    """What a cell begins with, its comments apart."""
    return first_line("\n".join(line for line in source.splitlines() if not line.lstrip().startswith("#")))


def printable(text: str) -> str:
    """``text`` without what could steer a terminal."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


async def demo() -> None:
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    terminal = Terminal()
    async with shop() as shop_url:
        terminal.say(f"A shop with reviews: {shop_url}")
        async with jupyter_server(shop_url) as client:
            terminal.say(f"A Jupyter server: {client.base_url}")
            async with aconnect_sse(client, "GET", "api/tasks", timeout=STREAM_TIMEOUT) as source:
                source.response.raise_for_status()
                follower = TaskFollower(terminal)
                following = asyncio.ensure_future(follower.follow(source))
                try:
                    terminal.say(f"Its event stream is open. Running notebooks/{NAME}:")
                    notebook = await run_notebook(client, terminal)
                    await follower.wait_ended()
                finally:
                    following.cancel()
                    await asyncio.wait({following})
    terminal.say(f"\n{printable(frame_head(notebook))}\n\nThe notebook as it ran: {os.path.relpath(DEMO / NAME)}")


def main() -> int:
    try:
        asyncio.run(demo())
    except NotebookError as error:
        print(f"\n{error}", file=sys.stderr)
    except httpx.HTTPError as error:
        print(f"\nThe Jupyter server did not answer as it should ({error!r}); {DEMO / 'server.log'} may say why.",
              file=sys.stderr)
    except TimeoutError:
        print("\nThe server's event stream told of no task's end.", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
