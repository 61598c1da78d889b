"""What scrape-reviews costs beside a bare Playwright script that only loads the same pages one after the other.

A shop on loopback has 50 pages of 20 reviews each. The bare script starts a browser and loads each page in one tab; the
task does all that it does (robots.txt, the guard, reading, merging, checkpoints, files, picture). Both are processes of
their own, measured from their start to their end, in turns; then the task with every page shown in a tab. Then the same
from a shop that takes 50 ms for each answer, as shops do, with several pages at once.
Run: ``python benchmarks/scrape_speed.py [rounds]``
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from sse_tasks_workers.scrape_reviews.browser import find_browser

from sse_tasks.task_manager import TaskManager

PAGES, EACH = 50, 20

BARE = """
import sys
from playwright.sync_api import sync_playwright
with sync_playwright() as p:
    browser = p.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox", "--disable-gpu"])
    page = browser.new_page()
    for number in range(1, int(sys.argv[3]) + 1):
        page.goto(f"{sys.argv[2]}?page={number}")
    browser.close()
"""


class Shop(BaseHTTPRequestHandler):
    takes_seconds = 0.0

    def do_GET(self) -> None:
        time.sleep(self.takes_seconds)
        parts = urlsplit(self.path)
        known = parts.path == "/kettle"
        body = kettle_page(int(parse_qs(parts.query).get("page", ["1"])[0])).encode() if known else b""
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # a page that was asked for ahead, and not needed
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def kettle_page(number: int) -> str:
    reviews = [{
        "@type": "Review", "author": {"@type": "Person", "name": f"Person {number}-{i}"},
        "datePublished": f"2026-{1 + i % 12:02}-{1 + number % 28:02}", "name": f"Opinion {i}",
        "reviewBody": f"Number {number * EACH + i}: it boils water, and quickly. " * 6,
        "reviewRating": {"@type": "Rating", "ratingValue": 1 + i % 5, "bestRating": 5},
    } for i in range(EACH)]
    data = {"@context": "https://schema.org", "@type": "Product", "name": "Kettle", "review": reviews,
            "aggregateRating": {"@type": "AggregateRating", "ratingValue": 4, "reviewCount": PAGES * EACH}}
    shown = "".join(f"<article><h3>{r['name']}</h3><p>{r['reviewBody']}</p></article>" for r in reviews)
    link = f'<a rel="next" href="/kettle?page={number + 1}">Next</a>' if number < PAGES else ""
    return (f'<!doctype html><html lang="en"><head><title>Kettle</title><script type="application/ld+json">'
            f"{json.dumps(data)}</script></head><body>{shown}{link}</body></html>")


def bare(url: str) -> None:
    subprocess.run([sys.executable, "-c", BARE, find_browser(), url, str(PAGES)], check=True)


class FarShop(Shop):
    takes_seconds = 0.05


def task(manager: TaskManager, url: str, concurrency: int = 1, render: str = "auto") -> None:
    info = manager.start("scrape-reviews", {"url": url, "delay": 0, "max_pages": PAGES, "concurrency": concurrency,
                                            "render": render})
    ended = threading.Event()
    stop = manager.watch(lambda task_id: ended.set() if manager.info(task_id).is_ended else None, info.task_id)
    while not manager.info(info.task_id).is_ended:
        ended.wait(1)
    stop()
    info = manager.info(info.task_id)
    assert info.items == PAGES * EACH, f"{info.items} reviews: {info.result or info.error}"


def seconds(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def serve(shop: type[Shop]) -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/kettle"


def compare(rounds: int, ways: dict[str, Callable[[], None]]) -> None:
    """Prints the medians of all ways, which are taken in turns, and their ratios to the first one."""
    times: dict[str, list[float]] = {words: [] for words in ways}
    for _ in range(rounds):
        for words, way in ways.items():
            times[words].append(seconds(way))
    first = next(iter(times.values()))
    for words, took in times.items():
        ratios = [mine / base for mine, base in zip(took, first, strict=True)]
        print(f"  {words:24} {statistics.median(took):6.2f} s   {statistics.median(ratios):5.2f}", flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    near, far = serve(Shop), serve(FarShop)
    with tempfile.TemporaryDirectory() as folder:
        manager = TaskManager(data_dir=folder)
        task(manager, near)  # the first one also starts what later ones find ready
        print(f"{PAGES} pages of {EACH} reviews, median of {rounds} rounds, and its ratio to the bare script:")
        compare(rounds, {"bare script": lambda: bare(near), "task": lambda: task(manager, near),
                         "task, each page shown": lambda: task(manager, near, render="always")})
        print(f"the same where each answer takes {FarShop.takes_seconds * 1000:g} ms:")
        compare(rounds, {"bare script": lambda: bare(far), "task": lambda: task(manager, far),
                         **{f"task, {tabs} at once": lambda tabs=tabs: task(manager, far, tabs)  # type: ignore[misc]
                            for tabs in (2, 4)}})
        manager.close()


if __name__ == "__main__":
    main()
