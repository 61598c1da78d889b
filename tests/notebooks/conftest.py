"""Real kernels: what a cell does, told apart by the cell that a message belongs to."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

WORKERS = Path(__file__).parent / "workers"
NOTEBOOK = "demo/kettle.ipynb"


NOTHING_LIVES = """
import time
from contextlib import suppress
from sse_tasks.errors import TaskEndedError
from sse_tasks.task_manager import default_manager
while live := default_manager().list(status=["idle", "running", "paused"])[0]:
    for info in live:
        if info.requested != "abort":
            with suppress(TaskEndedError):  # it ended by itself meanwhile
                default_manager().ask(info.task_id, "abort")
    time.sleep(0.01)
"""


def put_sign(path: Path, text: str) -> None:
    """Lets a task of the type `waits` end: the file is there with its text at once, or not at all."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.rename(path)


@dataclass
class CellRun:
    """One execution of a cell: its messages so far, those that come later included."""

    msg_id: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)

    def of(self, *types: str) -> list[dict[str, Any]]:
        return [message["content"] for message in self.messages if message["msg_type"] in types]

    def text(self, name: str = "stdout") -> str:
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)

    @property
    def result(self) -> Any:
        """The cell's last value, where its repr is Python."""
        found = self.of("execute_result")
        assert found, self
        return eval(found[0]["data"]["text/plain"], {"nan": float("nan")})

    @property
    def is_idle(self) -> bool:
        return any(content["execution_state"] == "idle" for content in self.of("status"))


class Kernel:
    """A kernel in a process of its own, in a folder with ``workers/`` beside the notebook."""

    def __init__(self, folder: Path) -> None:
        env = os.environ | {"JPY_SESSION_NAME": NOTEBOOK}
        self.manager, self.client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=env)
        self.runs: dict[str, CellRun] = {}
        self.others: list[dict[str, Any]] = []

    def begin(self, code: str) -> CellRun:
        """Sends a cell, and doesn't wait for its end."""
        msg_id = self.client.execute(code)
        return self.runs.setdefault(msg_id, CellRun(msg_id))

    def run(self, code: str, *, fails: bool = False) -> CellRun:
        """Runs a cell to its end."""
        return self.finish(self.begin(code), fails=fails)

    def finish(self, run: CellRun, *, fails: bool = False) -> CellRun:
        self.until(lambda: run.is_idle, "the end of the cell")
        while not run.reply:
            reply = self.client.get_shell_msg(timeout=60)
            if (of := self.runs.get(reply["parent_header"]["msg_id"])) is not None:
                of.reply = reply["content"]
        assert (run.reply["status"] == "error") == fails, (run.reply, run.text("stderr"))
        return run

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
        """Reads messages until ``condition`` holds; fails with ``what`` when it doesn't in time."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"waited {seconds} s in vain for {what}")
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except Empty:
                continue
            run = self.runs.get(message["parent_header"].get("msg_id", ""))
            (self.others if run is None else run.messages).append(message)
        return value

    def complete(self, code: str) -> tuple[list[str], str]:
        """The completions at the end of ``code``, and what each of them would replace."""
        msg_id = self.client.complete(code, len(code))
        while (reply := self.client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != msg_id:
            pass
        content = reply["content"]
        return content["matches"], code[content["cursor_start"]:content["cursor_end"]]

    def restart(self) -> None:
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=60)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="session")
def notebook_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebook")
    shutil.copytree(WORKERS, folder / "workers", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session")
def running_kernel(notebook_folder: Path) -> Iterator[Kernel]:
    kernel = Kernel(notebook_folder)
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(running_kernel: Kernel) -> Iterator[Kernel]:
    """A kernel with the extension, without names; one for all tests."""
    running_kernel.run("%reset -f\n%load_ext sse_tasks\nfrom sse_tasks import *")
    running_kernel.run(NOTHING_LIVES)
    yield running_kernel
