"""The main job as people have it: a task in a process of its own with a browser open, watched and steered."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from sse_tasks.task_manager import TaskManager
from sse_tasks.types import TaskInfo
from sse_tasks.worker.processes import marked

pytestmark = pytest.mark.browser


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[TaskManager]:
    manager = TaskManager(data_dir=str(tmp_path / "data"))
    yield manager
    manager.close()


@pytest.fixture
def held_shop(demo_shop: ModuleType) -> Iterator[Any]:
    """Gives its first page at once, and the others when its ``gate`` is set: a task is met in the midst of a page,
    however slow the machine is."""
    class HeldShop(demo_shop.DemoShop):  # type: ignore[name-defined, misc]
        gate = threading.Event()
        asked = itertools.count()

        @property
        def pause(self) -> float:
            """Seconds that a page takes, as the shop asks for each."""
            if next(self.asked):
                self.gate.wait(60)
            return 0.0

        @pause.setter
        def pause(self, seconds: float) -> None:
            pass

    with HeldShop() as shop:
        yield shop
        shop.gate.set()


def wait_for(manager: TaskManager, task_id: str, what: str, fits: Callable[[TaskInfo], bool]) -> TaskInfo:
    deadline = time.monotonic() + 60
    while not fits(info := manager.info(task_id)):
        assert time.monotonic() < deadline, f"waited for {what}; it is {info}"
        assert not info.is_ended or "end" in what, f"waited for {what}; it ended: {info}"
        time.sleep(0.01)
    return info


def start(manager: TaskManager, shop: Any) -> str:
    return manager.start("scrape-reviews", {"url": shop.url, "delay": 0}).task_id


def tree_of(task_id: str) -> dict[psutil.Process, list[str]]:
    """The task's processes with their command lines, by mark and by descent: Chromium's renderers hide their mark."""
    found = {}
    for pid in marked(task_id):
        try:
            process = psutil.Process(pid)
            for member in [process, *process.children(recursive=True)]:
                found[member] = member.cmdline()
        except psutil.NoSuchProcess:
            continue  # browsers start and end processes all the time
    return found


def assert_gone(manager: TaskManager, task_id: str, tree: Iterable[psutil.Process]) -> None:
    assert [process for process in tree if process.is_running()] == []
    assert marked(task_id) == []
    assert not os.path.exists(manager.folder(task_id).spec().temp_dir)


def with_browser(manager: TaskManager, task_id: str) -> dict[psutil.Process, list[str]]:
    """The tree once its browser has opened a page."""
    wait_for(manager, task_id, "the first reviews", lambda info: info.items > 0)
    tree = tree_of(task_id)
    assert len([command for command in tree.values() if command and "chrom" in command[0]]) > 3, tree
    return tree


def test_it_scrapes_the_shop(manager: TaskManager, demo_shop: ModuleType) -> None:
    """Every review of the shop, honestly counted, and nothing left behind."""
    with demo_shop.DemoShop() as shop:
        task_id = start(manager, shop)
        info = wait_for(manager, task_id, "its end", lambda info: info.is_ended)

    assert info.status == "completed", info
    assert info.items == info.result["found"] == info.result["declared"] == 36
    assert info.result["stopped"] == "no_next_page"
    assert_gone(manager, task_id, [])


def test_pause_and_resume_with_a_browser_open(manager: TaskManager, held_shop: Any) -> None:
    """A paused task stands still with its browser open, and resumed it finds everything."""
    task_id = start(manager, held_shop)
    with_browser(manager, task_id)

    manager.ask(task_id, "pause")
    held_shop.gate.set()
    paused = wait_for(manager, task_id, "the pause", lambda info: info.status == "paused")
    assert len(tree_of(task_id)) > 3
    assert manager.info(task_id).items == paused.items
    manager.ask(task_id, "resume")

    info = wait_for(manager, task_id, "its end", lambda info: info.is_ended)
    assert (info.status, info.items) == ("completed", 36)


def test_abort_with_a_browser_open(manager: TaskManager, held_shop: Any) -> None:
    """When the end is written, no process of the browser is left, and the reviews found so far are kept."""
    task_id = start(manager, held_shop)
    tree = with_browser(manager, task_id)

    manager.ask(task_id, "abort")
    info = wait_for(manager, task_id, "its end", lambda info: info.is_ended)

    assert info.status == "aborted"
    assert info.items >= 12
    assert_gone(manager, task_id, tree)


def test_a_killed_runner_leaves_no_browser(manager: TaskManager, held_shop: Any) -> None:
    """SIGKILL of the process that runs the worker: the cause is named, and its browser goes too."""
    task_id = start(manager, held_shop)
    tree = with_browser(manager, task_id)
    runner = next(process for process, command in tree.items() if command[0].startswith("sse-task scrape-reviews"))

    os.kill(runner.pid, signal.SIGKILL)
    info = wait_for(manager, task_id, "its end", lambda info: info.is_ended)

    assert (info.status, info.code) == ("failed", "worker_died")
    assert info.error is not None and "SIGKILL" in info.error
    assert info.items >= 12
    assert_gone(manager, task_id, tree)
