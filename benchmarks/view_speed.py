"""How smoothly the task view moves: 50 tasks in sight, each with ten snapshots a second, in a real Chromium.

    python benchmarks/view_speed.py [SECONDS]

Says the frames per second, how long an update takes from the server's write to the pixels, and what a page loads. The
server is the browser tests' own, in a process of its own; the stream, the hub and the cards are the real ones.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
import multiprocessing
import shutil
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from playwright.async_api import async_playwright

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

IN_SIGHT = """() => [...document.querySelectorAll('.sse-tasks-TaskView')].filter((card) => {
  const { top, bottom } = card.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}).length"""


def serve(pipe: Connection) -> None:
    """The server with its moving tasks."""
    path = ROOT / "tests" / "browser" / "overview_server.py"
    spec = importlib.util.spec_from_file_location("overview_server", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

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


async def measure(url: str, ids: list[str], seconds: float) -> None:
    async with async_playwright() as playwright:
        own = playwright.chromium.executable_path
        browser = await playwright.chromium.launch(
            executable_path=own if Path(own).exists() else shutil.which("chromium"), args=FLAGS)
        page = await browser.new_page(viewport={"width": 2000, "height": 1300})
        await page.goto(url)
        await page.wait_for_function("() => Boolean(window.show)")
        await page.evaluate(SETUP, ids)
        await page.wait_for_function("() => delays.length > 100")
        in_sight = await page.evaluate(IN_SIGHT)
        await page.evaluate("() => { delays.length = frames = longest = 0; window.began = performance.now(); }")
        await page.wait_for_timeout(seconds * 1000)
        frames, longest, delays, took = await page.evaluate(
            "() => [frames, longest, delays, (performance.now() - began) / 1000]")
        await browser.close()
    delays.sort()
    print(f"{in_sight} cards in sight, {len(delays) / took:.0f} updates drawn a second")
    print(f"frames a second: {frames / took:.1f}, the longest took {longest:.0f} ms")
    print(f"from the server's write to the pixels: median {delays[len(delays) // 2]:.1f} ms, "
          f"p95 {delays[int(len(delays) * 0.95)]:.1f} ms, worst {delays[-1]:.0f} ms")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    for name, text in (("JavaScript", str(TaskWidget._esm)), ("CSS", str(TaskWidget._css))):
        data = text.encode()
        print(f"{name} of the view: {len(data) / 1000:.1f} kB, {len(gzip.compress(data)) / 1000:.1f} kB compressed")
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    try:
        url, ids = here.recv()
        asyncio.run(measure(url, ids, seconds))
    finally:
        here.send("stop")
        server.join(10)


if __name__ == "__main__":
    main()
