"""A real JupyterLab or Notebook 7 in a process of its own, with private folders, and how a test drives its page.

Driving goes through the application object (``expose_app_in_browser``): waiting for the DOM and pressing keys loses
the race against a page that is still starting.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
import psutil
from held_port import hold_port
from playwright.async_api import Page, Request

WORKER = '''
import os
from sse_tasks import TaskContext, task

@task("your-task")
def your_task(ctx: TaskContext, steps: int = 300, seconds: float = 60.0, message: str = "Reading", ending: str = "",
              wait_for: str = ""):
    """Counts to a number of steps, slowly, and ends once there is a file of the name that it may wait for."""
    for step in range(1, steps + 1):
        ctx.progress(step, steps, message)
        print("line", step, flush=True)
        ctx.sleep(seconds / steps)
    while wait_for and not os.path.exists(wait_for):
        ctx.sleep(0.02)
    if ending:
        raise ValueError(ending)
    return {"result": f"processed {steps}", "count": steps}
'''
START_SECONDS = 60
CLEAR_SECONDS = 60
_READY = """() => {
  const w = window.jupyterapp?.shell.currentWidget, s = w?.sessionContext;
  return Boolean(w?.content?.widgets?.length && s?.isReady && s.session?.kernel?.connectionStatus === 'connected'
    && s.session.kernel.status !== 'unknown');
}"""
# With or without us: Notebook 7 throws the first at its start, JupyterLab 4.0 the second when a kernel dies, and
# Notebook 7.0 the third where a notebook has no checkpoint yet.
_NOT_OURS = re.compile(r"reading 'schema'|Canceled future for debug_request|reading 'last_modified'")


class JupyterServer:
    """``lab`` or ``notebook`` on a free port of loopback, with or without our extension of the server and that of the
    pages. Of the Python that ``SSE_TASKS_LAB_PYTHON`` names, where that is set: another version of JupyterLab."""

    python = os.environ.get("SSE_TASKS_LAB_PYTHON", sys.executable)

    def __init__(self, application: str, folder: Path, *, extension: bool = True, lab_extension: bool = True,
                 base_url: str = "/") -> None:
        self.application, self.folder, self.base_url = application, folder, base_url
        self.extension = extension
        self.token = secrets.token_hex(16)
        # A socket's path has room for 107 bytes: pytest's folders are too long.
        self.runtime_dir = Path(tempfile.mkdtemp(prefix="sse-"))
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir(parents=True)
        (folder / "workers").mkdir()
        (folder / "workers" / "your_task.py").write_text(WORKER)
        settings = folder / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
        widgets = folder / "config" / "lab" / "user-settings" / "@jupyter-widgets" / "jupyterlab-manager"
        widgets.mkdir(parents=True)
        (widgets / "plugin.jupyterlab-settings").write_text('{"saveState": true}')  # the harder case for exports
        if not lab_extension:
            (folder / "config" / "labconfig").mkdir()
            (folder / "config" / "labconfig" / "page_config.json").write_text(
                '{"disabledExtensions": {"sse-tasks": true}}')
        (folder / "config" / "jupyter_server_config.json").write_text(
            json.dumps({"ServerApp": {"jpserver_extensions": {"sse_tasks_server": extension}}}))
        # Read by kernels and the server alike: tests' tasks don't wait for each other.
        (folder / "config" / "jupyter_sse_tasks_config.json").write_text('{"TaskManager": {"max_running": 32}}')
        self._port_holder = hold_port()
        self.port = self._port_holder.getsockname()[1]
        self._log = (folder / "server.log").open("ab")
        self.start()

    def start(self) -> None:
        """At the same address, with the same folders, each time."""
        folder = self.folder
        self._process = subprocess.Popen(
            [
                self.python, "-m", {"lab": "jupyterlab", "notebook": "notebook"}[self.application],
                "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}",
                "--ServerApp.port_retries=0", f"--ServerApp.base_url={self.base_url}",
                f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={self.notebooks}",
                "--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True",
            ],
            env=os.environ | {
                "JUPYTER_CONFIG_DIR": str(folder / "config"),
                "JUPYTERLAB_SETTINGS_DIR": str(folder / "config" / "lab" / "user-settings"),
                "JUPYTERLAB_WORKSPACES_DIR": str(folder / "config" / "lab" / "workspaces"),
                "JUPYTER_DATA_DIR": str(folder / "data"),
                "JUPYTER_PATH": str(folder / "first"),
                "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
                "IPYTHONDIR": str(folder / "ipython"),
                "SSE_TASKS_DATA_DIR": str(folder / "tasks"),
                "SSE_TASKS_RUNTIME_DIR": str(self.runtime_dir),
                "SSE_TASKS_WORKERS": str(folder / "workers"),
            },
            cwd=self.notebooks, stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base_url}"

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process.poll() is None, f"The server ended: {self.log()[-2000:]}"
            try:
                self.get("api/status")
                return
            except (OSError, urllib.error.URLError):
                assert time.monotonic() < deadline, f"The server didn't answer: {self.log()[-2000:]}"
                time.sleep(0.1)

    def open_streams(self) -> int:
        """How many event streams the server itself counts."""
        request = urllib.request.Request(f"{self.url}metrics", headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(float(re.search(r"^sse_tasks_open_streams (\S+)", response.read().decode(), re.M)[1]))

    def get(self, path: str, method: str = "GET") -> Any:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.url + path, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read() or "null")

    def clear(self, *, kernels: bool = True) -> None:
        """Ends tasks and kernels, so that the next test has the machine for itself, and sees none of them live."""
        for session in self.get("api/sessions") if kernels else ():
            self.get(f"api/sessions/{session['id']}", "DELETE")
        deadline = time.monotonic() + CLEAR_SECONDS
        while self.extension and (left := self.get("api/tasks?status=idle&status=running&status=paused")["tasks"]):
            assert time.monotonic() < deadline, f"These tasks don't end: {left}"
            for task in left:
                if task.get("requested") != "abort":
                    self._abort(task)
            time.sleep(0.02)

    def _abort(self, task: dict[str, Any]) -> None:
        try:
            self.get(f"api/tasks/{task['taskType']}?taskId={task['taskId']}", "DELETE")
        except urllib.error.HTTPError as error:
            if error.code != 409:  # it ended by itself meanwhile
                raise

    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def write(self, name: str, *cells: str | nbformat.NotebookNode) -> None:
        """A new notebook of sources and cells, which JupyterLab doesn't trust."""
        nbformat.write(_notebook(cells), self.notebooks / name)

    def read(self, name: str) -> nbformat.NotebookNode:
        return nbformat.read(self.notebooks / name, as_version=4)

    def stop(self) -> None:
        """The server and its kernels end; tasks go on."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """The server, its kernels, and the forkservers and tasks on its data folder end."""
        started = psutil.Process(self._process.pid).children(recursive=True) if self._process.poll() is None else []
        for process in psutil.process_iter():
            try:
                if str(self.folder / "tasks") in process.cmdline():
                    started += [process, *process.children(recursive=True)]
            except psutil.Error:
                continue
        self._process.kill()  # nobody is left to whom it would say goodbye
        self._process.wait()
        for process in started:
            try:
                process.kill()
            except psutil.Error:
                continue
        deadline = time.monotonic() + 30
        while any(map(_lives, started)) and time.monotonic() < deadline:
            time.sleep(0.01)
        self._log.close()
        self._port_holder.close()
        shutil.rmtree(self.runtime_dir, ignore_errors=True)


def _notebook(cells: Iterable[str | nbformat.NotebookNode]) -> nbformat.NotebookNode:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells])
    # Without it a dialog asks for the kernel.
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


def _lives(process: psutil.Process) -> bool:
    """Not so is what has ended, and what nobody has waited for yet."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


class NotebookPage:
    """A notebook that is open in the browser."""

    def __init__(self, page: Page, server: JupyterServer, name: str) -> None:
        self.page, self.server, self.name = page, server, name
        self.errors: list[str] = []
        self.open_overviews: list[Request] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)) if not _NOT_OURS.search(str(error)) else None)
        page.on("request", self._requested)
        page.on("requestfinished", self._finished)
        page.on("requestfailed", self._finished)

    def _requested(self, request: Request) -> None:
        if request.url.endswith("/api/tasks"):
            self.open_overviews.append(request)

    def _finished(self, request: Request) -> None:
        if request in self.open_overviews:
            self.open_overviews.remove(request)

    async def open(self, *, kernel: bool = True) -> NotebookPage:
        """``kernel=False``: the notebook's kernel is not to be had, and the dialog that asks for another one goes."""
        # Lab restores the last notebooks of a workspace, with their dialogs: a new one each time.
        path = f"lab/workspaces/{secrets.token_hex(4)}/tree/" if self.server.application == "lab" else "notebooks/"
        await self.page.goto(f"{self.server.url}{path}{self.name}?token={self.server.token}")
        if kernel:
            await self.ready()
        else:
            await self.page.locator(".jp-Dialog .jp-mod-reject").click()
        return self

    async def replace(self, *cells: str | nbformat.NotebookNode) -> bool:
        """Other cells instead of those that are there, as if it had just been opened, but with the kernel that it has;
        tells whether it could be: not so without a notebook or a kernel, or with a dialog."""
        if not await self.page.evaluate(_READY) or await self.page.locator(".jp-Dialog").count():
            return False
        if await self.kernel_status() == "busy":
            await self.interrupt_kernel()
            await self.page.wait_for_function(
                "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'")
        await self.page.evaluate(
            "async cells => { const { context } = jupyterapp.shell.currentWidget;"
            "context.model.fromJSON(cells); await context.save(); }", _notebook(cells))
        self.errors.clear()
        return True

    async def ready(self) -> None:
        """Waits for the notebook and its kernel."""
        await self.page.wait_for_function(_READY, timeout=60_000)

    async def die(self, cell: int) -> None:
        """Runs a cell that kills the kernel, and closes the dialog that tells of it."""
        await self.page.evaluate(
            "i => { jupyterapp.shell.currentWidget.content.activeCellIndex = i;"
            "void jupyterapp.commands.execute('notebook:run-cell'); }", cell)
        await self.page.locator(".jp-Dialog .jp-mod-accept").click()
        await self.page.locator(".jp-Dialog").wait_for(state="detached")

    async def run(self, *cells: int) -> None:
        """Runs cells one after another, each to its end."""
        for cell in cells:
            await self.page.evaluate(
                "async i => { jupyterapp.shell.currentWidget.content.activeCellIndex = i;"
                "await jupyterapp.commands.execute('notebook:run-cell'); }", cell)

    async def runs_until(self, cell: int, mime_type: str, text: str) -> None:
        """Runs a cell over and over until its output is just this."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 40
        while True:
            await self.run(cell)
            outputs = await self.outputs(cell)
            if ["".join(output.get("data", {}).get(mime_type, "")) for output in outputs] == [text]:
                return
            assert loop.time() < deadline, f"{outputs}, not {text}"

    async def begin(self, cell: int) -> None:
        """Runs a cell that keeps the kernel busy, without waiting for its end."""
        await self.page.evaluate(
            "i => { jupyterapp.shell.currentWidget.content.activeCellIndex = i;"
            "void jupyterapp.commands.execute('notebook:run-cell'); }", cell)
        await self.page.wait_for_function(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'")

    async def restart_kernel(self) -> None:
        await self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
        await self.ready()

    async def interrupt_kernel(self) -> None:
        await self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")

    async def has_open_overviews(self, count: int) -> None:
        """Waits until the page holds so many streams: the browser tells of a request's end a moment later."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 40
        while len(self.open_overviews) != count:
            assert loop.time() < deadline, f"{len(self.open_overviews)} streams are open, not {count}"
            await asyncio.sleep(0.02)

    async def has_open_streams(self, count: int) -> None:
        """Waits until the server itself counts so many: it learns of a connection's end a moment later."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 40
        while (streams := self.server.open_streams()) != count:
            assert loop.time() < deadline, f"{streams} streams are open, not {count}"
            await asyncio.sleep(0.02)

    async def kernel_status(self) -> str:
        return await self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.status")

    async def outputs(self, cell: int) -> list[dict[str, Any]]:
        return await self.page.evaluate(
            "i => jupyterapp.shell.currentWidget.content.widgets[i].model.outputs.toJSON()", cell)

    async def has_output(self, cell: int, mime_type: str, text: str) -> None:
        """Waits until an output of the cell holds this."""
        await self.page.wait_for_function(
            "([i, type, text]) => jupyterapp.shell.currentWidget.content.widgets[i].model.outputs.toJSON()"
            ".some(({ data }) => [data?.[type]].flat().join('').includes(text))", arg=[cell, mime_type, text])

    async def save(self) -> None:
        await self.page.evaluate("jupyterapp.shell.currentWidget.context.save()")

    def cards(self, connection: str | None = None):
        suffix = f"[data-connection={connection}]" if connection else ""
        return self.page.locator(f".jp-OutputArea .sse-tasks-TaskView{suffix}")
