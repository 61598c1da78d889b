"""How smoothly the task view moves: 50 tasks in sight, each with ten snapshots a second, in a real Chromium.

    python benchmarks/view_speed.py [SECONDS [TURNS]]

Says the frames per second, how long an update takes from the server's write to the pixels, the processor time that the
browser takes for it, and what a page loads. The server is the browser tests' own, in a process of its own; the stream,
the hub and the cards are the real ones.

What the machine itself can do is seen in a bare page of the same boxes: plain elements with a text, figures and a bar,
which read the same stream and are changed as often. The two are measured in turns, so that what else runs meets both.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import importlib
import multiprocessing
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
from playwright.async_api import Browser, async_playwright

from sse_tasks.widget import TaskWidget

TASKS = 50
PER_SECOND = 10
ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SETUP = """(ids) => {
  const cards = document.getElementById('cards');
  cards.style.cssText = 'display: grid; grid-template-columns: repeat(6, 320px); gap: 4px';
  for (const id of ids) show('your-task', id);
  for (const box of cards.children) box.style.marginBottom = 0;
  window.frames = 0;
  window.longest = 0;
  window.delays = [];
  let last = performance.now();
  const count = (now) => {
    frames += 1;
    longest = Math.max(longest, now - last);
    last = now;
    requestAnimationFrame(count);
  };
  requestAnimationFrame(count);
  let isWaiting = new Set();
  const painted = new MessageChannel(); // its message comes after the frame that requestAnimationFrame announces
  painted.port1.onmessage = () => {
    const now = performance.timeOrigin + performance.now();
    for (const sent of isWaiting) delays.push(now - sent);
    isWaiting = new Set();
  };
  new MutationObserver((changes) => {
    const before = isWaiting.size;
    for (const { target } of changes) {
      const sent = target.textContent.match(/^Step \\d+ at (\\d+\\.\\d+)$/)?.[1];
      if (sent) isWaiting.add(Number(sent));
    }
    if (!before && isWaiting.size) requestAnimationFrame(() => painted.port2.postMessage(0));
  }).observe(cards, { subtree: true, childList: true, characterData: true });
}"""

BARE = """(ids) => {
  const boxes = new Map();
  window.show = (_, id) => {
    const box = document.createElement('div');
    box.className = 'sse-tasks-TaskView';
    box.style.cssText = 'box-sizing: border-box; height: 128px; padding: 9px 12px; border: 1px solid #ccc; ' +
      'border-radius: 6px; font: 13px/18px system-ui';
    box.innerHTML = '<b></b><div style="height: 6px; margin: 8px 0; background: #ddd; contain: strict">' +
      '<div style="height: 6px; background: #1976d2"></div></div><div></div><div></div>';
    box.firstChild.textContent = id.slice(-6);
    boxes.set(id, box);
    cards.append(box);
  };
  const read = async () => {
    const { body } = await fetch('api/tasks', { headers: { Accept: 'text/event-stream' } });
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const lines = (rest + (await reader.read()).value).split('\\n');
      rest = lines.pop();
      for (const line of lines) {
        const task = line.startsWith('data:') ? JSON.parse(line.slice(5)).task : undefined;
        if (!task?.progress) continue;
        const [, bar, text, figures] = boxes.get(task.taskId).children;
        text.textContent = task.message;
        figures.textContent = `${task.progress.current} of ${task.progress.total}`;
        bar.firstChild.style.width = `${task.progress.percentage}%`;
      }
    }
  };
  setTimeout(read, 500);
}"""

IN_SIGHT = """() => [...document.querySelectorAll('.sse-tasks-TaskView')].filter((card) => {
  const { top, bottom } = card.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}).length"""


def serve(pipe: Connection) -> None:
    """The server with its moving tasks."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "browser")]
    module = importlib.import_module("overview_server")

    async def run() -> None:
        server = module.OverviewServer()
        ids = [f"0123456789abcdefghjkmnpq{n:02}" for n in range(TASKS)]
        started = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 60))
        for task_id in ids:
            server.put(task_id, startedAt=started, name=f"Task {task_id[-2:]}")
        pipe.send((server.start(), ids))
        due = time.monotonic()
        step = 0
        while not pipe.poll():
            task_id = ids[step % TASKS]
            current = step // TASKS % 1000
            server.put(task_id, message=f"Step {current} at {time.time() * 1000:.3f}",
                       progress={"current": current, "total": 1000, "percentage": current / 10})
            step += 1
            due += 1 / (TASKS * PER_SECOND)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await server.stop()

    asyncio.run(run())


@dataclass(frozen=True)
class Measured:
    """What one turn gave; times in milliseconds."""

    in_sight: int
    seconds: float
    frames: int
    longest: float
    delays: list[float]
    renderer: float
    """Processor time of the page's process."""
    gpu: float
    """Processor time of the process that puts the page's layers together."""

    @property
    def frames_a_second(self) -> float:
        return self.frames / self.seconds

    @property
    def processor_a_second(self) -> float:
        return (self.renderer + self.gpu) / self.seconds


def processor_time(kind: str) -> float:
    """Milliseconds that the browser's processes of that kind have taken so far."""
    taken = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            if f"--type={kind}" in process.cmdline():
                times = process.cpu_times()
                taken += (times.user + times.system) * 1000
        except psutil.NoSuchProcess:
            continue
    return taken


async def measure(browser: Browser, url: str, ids: list[str], seconds: float, bare: bool) -> Measured:
    page = await browser.new_page(viewport={"width": 2000, "height": 1300})
    await page.goto(url)
    await page.wait_for_function("() => Boolean(window.show)")
    if bare:
        await page.evaluate(BARE, ids)
    await page.evaluate(SETUP, ids)
    await page.wait_for_function("() => delays.length > 500")
    in_sight = await page.evaluate(IN_SIGHT)
    await page.evaluate("() => { delays.length = frames = longest = 0; window.began = performance.now(); }")
    before = processor_time("renderer"), processor_time("gpu-process")
    await page.wait_for_timeout(seconds * 1000)
    frames, longest, delays, took = await page.evaluate(
        "() => [frames, longest, delays, (performance.now() - began) / 1000]")
    after = processor_time("renderer"), processor_time("gpu-process")
    await page.close()
    return Measured(in_sight, took, frames, longest, sorted(delays), after[0] - before[0], after[1] - before[1])


async def in_turns(url: str, ids: list[str], seconds: float, turns: int) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {"the task view": [], "a bare page of the same boxes": []}
    async with async_playwright() as playwright:
        own = playwright.chromium.executable_path
        browser = await playwright.chromium.launch(
            executable_path=own if Path(own).exists() else shutil.which("chromium"), args=FLAGS)
        for _ in range(turns):
            for name, measured in found.items():
                measured.append(await measure(browser, url, ids, seconds, bare=name.startswith("a bare")))
        await browser.close()
    return found


def say(name: str, measured: list[Measured]) -> None:
    """The medians of the turns."""

    def middle(value: Callable[[Measured], float]) -> float:
        return statistics.median(map(value, measured))

    print(f"{name}: {measured[0].in_sight} in sight, "
          f"{middle(lambda m: len(m.delays) / m.seconds):.0f} updates drawn a second")
    print(f"  frames a second: {middle(lambda m: m.frames_a_second):.1f}, "
          f"the longest took {middle(lambda m: m.longest):.0f} ms")
    print(f"  from the server's write to the pixels: median {middle(lambda m: m.delays[len(m.delays) // 2]):.1f} ms, "
          f"p95 {middle(lambda m: m.delays[int(len(m.delays) * 0.95)]):.1f} ms, "
          f"worst {middle(lambda m: m.delays[-1]):.0f} ms")
    print(f"  processor: {middle(lambda m: m.processor_a_second):.0f} ms a second "
          f"({middle(lambda m: m.renderer / m.seconds):.0f} in the page, "
          f"{middle(lambda m: m.gpu / m.seconds):.0f} to put its layers together), "
          f"{middle(lambda m: m.processor_a_second / m.frames_a_second):.1f} ms a frame")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for name, text in (("JavaScript", str(TaskWidget._esm)), ("CSS", str(TaskWidget._css))):
        data = text.encode()
        print(f"{name} of the view: {len(data) / 1000:.1f} kB, {len(gzip.compress(data)) / 1000:.1f} kB compressed")
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    there.close()  # so that its death is heard here
    try:
        url, ids = here.recv()
        for name, measured in asyncio.run(in_turns(url, ids, seconds, turns)).items():
            say(name, measured)
    finally:
        with contextlib.suppress(BrokenPipeError):  # it died of a fault, and has said so
            here.send("stop")
        server.join(10)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
