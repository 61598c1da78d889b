"""How many reviews the whole task finds on saved real pages, beside how many people counted, and what reading costs.

Each page is served on loopback and scraped by ``scrape-reviews`` in a process of its own with a real browser. The
folder is named by SSE_TASKS_REVIEW_PAGES: ``X.html`` with ``X.html.expected.json`` beside it.
Run: ``SSE_TASKS_REVIEW_PAGES=folder python benchmarks/reviews_found.py``
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

from sse_tasks_workers.scrape_reviews.extraction import read_page

from sse_tasks.task_manager import TaskManager

READINGS = 5


class _Pages(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Pages, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def scrape(manager: TaskManager, url: str) -> tuple[int, str]:
    info = manager.start("scrape-reviews", {"url": url, "delay": 0, "paging": "none"})
    ended = threading.Event()
    stop = manager.watch(lambda task_id: ended.set() if manager.info(task_id).is_ended else None, info.task_id)
    while not manager.info(info.task_id).is_ended:
        ended.wait(1)
    stop()
    info = manager.info(info.task_id)
    return info.items, info.result["message"] if info.status == "completed" else f"{info.code}: {info.error}"


def reading_ms(page: Path) -> float:
    html = page.read_text("utf-8", "replace")
    times = []
    for _ in range(READINGS):
        began = time.process_time()
        read_page(html, "http://page.example/")
        times.append((time.process_time() - began) * 1e3)
    return statistics.median(times)


def main() -> None:
    folder = Path(os.environ.get("SSE_TASKS_REVIEW_PAGES", "none"))
    expectations = sorted(folder.glob("*.expected.json"))
    if not expectations:
        print("SSE_TASKS_REVIEW_PAGES names no folder with saved review pages: nothing to measure.")
        return
    server = serve(folder)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        manager = TaskManager(data_dir=f"{name}/data", runtime_dir=f"{name}/r")
        print(f"{'page':34} {'found':>6} {'of':>4} {'kB':>6} {'CPU ms':>7}  (median of {READINGS})")
        for expectation in expectations:
            expected = json.loads(expectation.read_text("utf-8"))
            page = folder / expected["file"]
            found, said = scrape(manager, f"http://127.0.0.1:{server.server_port}/{page.name}")
            print(f"{page.stem:34} {found:6} {expected['expected_reviews']:4} {page.stat().st_size // 1024:6} "
                  f"{reading_ms(page):7.1f}  {expected['kind'][:40]} | {said}", flush=True)
        manager.close()
    server.shutdown()


if __name__ == "__main__":
    main()
