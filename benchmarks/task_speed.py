"""How quick the process model is: start to first line of user code, update to observer, abort to gone, a call of ctx.

Medians, with the number of runs. The start is measured in turns beside a bare fork in the same run, as a ratio.
Run: ``python benchmarks/task_speed.py [--runs 100]``
"""

from __future__ import annotations

import argparse
import os
import select
import statistics
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from sse_tasks.task_manager import TaskManager
from sse_tasks.types import TaskInfo
from sse_tasks.worker.processes import marked

WORKERS = '''
import asyncio, os, time
from sse_tasks import AsyncTaskContext, TaskContext, task

@task
def first_line(fifo: str):
    moment = time.perf_counter_ns()
    with open(fifo, "wb", buffering=0) as file:
        file.write(str(moment).encode())

@task
def ticks(ctx: TaskContext, count: int, seconds: float):
    for _ in range(count):
        ctx.message(str(time.perf_counter_ns()))
        time.sleep(seconds)

@task
def flood(ctx: TaskContext, call: str, count: int) -> float:
    began = time.perf_counter()
    if call == "track":
        for _ in ctx.track(range(count)):
            pass
    elif call == "checkpoint":
        for _ in range(count):
            ctx.checkpoint()
    elif call == "metric":
        for number in range(count):
            ctx.metric("loss", number)
    else:
        for number in range(count):
            ctx.progress(number, count, "flood")
    return (time.perf_counter() - began) / count * 1e6

@task
async def async_wait(ctx: AsyncTaskContext):
    await ctx.sleep(600)

@task
def sleeps():
    time.sleep(600)

@task
async def browses(ctx: AsyncTaskContext):
    from sse_tasks_workers.scrape_reviews.browser import find_browser
    from playwright.async_api import async_playwright
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_browser(), args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
        page = await browser.new_page()
        await page.goto("about:blank")
        ctx.message("open")
        await ctx.sleep(600)
'''


def say(what: str, values: list[float], unit: str) -> None:
    ordered = sorted(values)
    print(f"{what:58} {statistics.median(ordered):10.3f} {unit:4} (median of {len(ordered)}; "
          f"p95 {ordered[int(len(ordered) * 0.95) - 1]:.3f})", flush=True)


class Bench:
    """A manager on a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "workers").mkdir()
        (folder / "workers" / "bench.py").write_text(textwrap.dedent(WORKERS))
        self.manager = TaskManager(data_dir=str(folder / "data"), runtime_dir=str(folder / "r"),
                                   worker_folders=[str(folder / "workers")], max_running=4)
        self._read, self._write = os.pipe()
        self.manager.watch(lambda task_id: os.write(self._write, b"x") and None)

    def until(self, task_id: str, fits: Callable[[TaskInfo], bool]) -> TaskInfo:
        """Waits, woken by bells alone."""
        while True:
            info = self.manager.info(task_id)
            if fits(info):
                return info
            select.select([self._read], [], [], 2)
            os.read(self._read, 65536)

    def end(self, task_id: str) -> TaskInfo:
        return self.until(task_id, lambda info: info.is_ended)


def bench_start(bench: Bench, folder: Path, runs: int) -> None:
    fifo = str(folder / "fifo")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR)
    starts, forks = [], []
    for _ in range(runs):
        began = time.perf_counter_ns()
        info = bench.manager.start("first-line", {"fifo": fifo})
        starts.append((int(os.read(reader, 64)) - began) / 1e6)
        bench.end(info.task_id)
        began = time.perf_counter_ns()
        pid = os.fork()
        if pid == 0:
            os.write(reader, str(time.perf_counter_ns()).encode())
            os._exit(0)
        forks.append((int(os.read(reader, 64)) - began) / 1e6)
        os.waitpid(pid, 0)
        time.sleep(0.02)
    say("start() to first line of user code", starts, "ms")
    say("beside it: a bare fork of this process", forks, "ms")


def bench_update(bench: Bench, runs: int) -> None:
    late: list[float] = []
    cursor = 0
    folder = None

    def look(task_id: str) -> None:
        nonlocal cursor
        now = time.perf_counter_ns()
        if folder is None:
            return
        for end, update in folder.updates(cursor):
            cursor = end
            if update.type == "progress" and update.message:
                late.append((now - int(update.message)) / 1e6)

    stop = bench.manager.watch(look)
    info = bench.manager.start("ticks", {"count": runs, "seconds": 0.06})
    folder = bench.manager.folder(info.task_id)
    bench.end(info.task_id)
    stop()
    say("ctx.message to a watcher that has read it", late, "ms")


def bench_abort(bench: Bench, task_type: str, runs: int) -> None:
    times = []
    for _ in range(runs):
        info = bench.manager.start(task_type, {})
        if task_type == "browses":
            bench.until(info.task_id, lambda info: info.message == "open" or info.is_ended)
        else:
            bench.until(info.task_id, lambda info: info.status == "running")
            time.sleep(0.02)
        began = time.perf_counter()
        bench.manager.ask(info.task_id, "abort")
        ended = bench.end(info.task_id)
        times.append((time.perf_counter() - began) * 1e3)
        if ended.status != "aborted" or marked(info.task_id):
            raise SystemExit(f"{task_type} ended as {ended.status} ({ended.error}), left: {marked(info.task_id)}")
    say(f"abort asked to no process left, {task_type}", times, "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--no-browser", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        bench = Bench(Path(name))
        bench.end(bench.manager.start("flood", {"call": "progress", "count": 10}).task_id)  # the forkserver is up
        bench_start(bench, Path(name), options.runs)
        bench_update(bench, options.runs)
        for task_type, runs in (("async-wait", options.runs), ("sleeps", options.runs), ("browses", 5)):
            if task_type != "browses" or not options.no_browser:
                bench_abort(bench, task_type, runs)
        for call in ("progress", "checkpoint", "metric", "track"):
            costs = [bench.end(bench.manager.start("flood", {"call": call, "count": 100_000}).task_id).result
                     for _ in range(5)]
            say(f"one of 100,000 {'steps of ctx.track' if call == 'track' else f'calls of ctx.{call}'}", costs, "µs")
        bench.manager.close()


if __name__ == "__main__":
    main()
