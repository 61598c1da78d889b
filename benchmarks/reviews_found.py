"""How many reviews are found on saved real pages, how many of them rightly, and what reading a page costs.

Beside it stands, if extruct is installed, the scraper that one writes in an afternoon: extruct, and each ``Review`` in
what it gives. A review counts as right if author, rating, date and body are those that people noted. The folder of
pages is named by SSE_TASKS_REVIEW_PAGES: ``X.html`` with ``X.html.expected.json`` beside it.

Run: ``SSE_TASKS_REVIEW_PAGES=folder python benchmarks/reviews_found.py [--browser]``; with ``--browser`` each page is
also served on loopback and scraped by ``scrape-reviews`` in a process of its own.
"""

from __future__ import annotations

import functools
import http.server
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sse_tasks_workers.scrape_reviews.extraction import read_page

from sse_tasks.task_manager import TaskManager

READINGS = 5

Record = dict[str, str]
"""Author, rating, date and body as text, ``""`` for what isn't there."""


def plain(value: Any) -> str:
    return " ".join(str("" if value is None else value).split())


def rating(value: Any) -> str:
    try:
        return f"{float(plain(value).split(' ')[0]):g}"
    except ValueError:
        return ""


def ours(html: str) -> list[Record]:
    return [{"author": plain(review.author), "rating": rating(review.rating), "date": plain(review.date_raw),
             "body": plain(review.body)} for review in read_page(html, "http://page.example/").reviews]


def naive(html: str) -> list[Record]:
    """extruct with all its syntaxes, errors ignored as its documentation shows."""
    import extruct

    data = extruct.extract(html, base_url="http://page.example/", uniform=True, errors="ignore",
                           syntaxes=["json-ld", "microdata", "rdfa", "microformat"])
    return [found for nodes in data.values() for node in nodes for found in reviews_in(node)]


def reviews_in(node: Any) -> Iterator[Record]:
    if isinstance(node, list):
        for inner in node:
            yield from reviews_in(inner)
    elif isinstance(node, dict):
        kinds = node.get("@type")
        if "Review" in (kinds if isinstance(kinds, list) else [kinds]):
            author, rated = node.get("author"), node.get("reviewRating")
            yield {"author": plain(author.get("name") if isinstance(author, dict) else author),
                   "rating": rating(rated.get("ratingValue") if isinstance(rated, dict) else rated),
                   "date": plain(node.get("datePublished")),
                   "body": plain(node.get("reviewBody") or node.get("description"))}
        for inner in node.values():
            yield from reviews_in(inner)


def right(found: list[Record], records: list[dict[str, Any]]) -> int:
    """How many of the noted records are among those found; each counts once."""
    rest = list(found)
    count = 0
    for record in records:
        wanted = {"author": plain(record["author"]), "rating": rating(record["rating"]), "date": plain(record["date"]),
                  "body": plain(record["body"])}
        if wanted in rest:
            rest.remove(wanted)
            count += 1
    return count


def cpu_ms(read: Callable[[str], Any], html: str) -> float:
    times = []
    for _ in range(READINGS):
        began = time.process_time()
        read(html)
        times.append((time.process_time() - began) * 1e3)
    return statistics.median(times)


# --- the whole task --------------------------------------------------------------------------------------------------


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


def by_browser(folder: Path, pages: list[Path]) -> None:
    server = serve(folder)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        manager = TaskManager(data_dir=f"{name}/data", runtime_dir=f"{name}/r")
        for page in pages:
            found, said = scrape(manager, f"http://127.0.0.1:{server.server_port}/{page.name}")
            print(f"{page.stem:34} {found:6}  {said}", flush=True)
        manager.close()
    server.shutdown()


def main() -> None:
    folder = Path(os.environ.get("SSE_TASKS_REVIEW_PAGES", "none"))
    expectations = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.expected.json"))]
    if not expectations:
        print("SSE_TASKS_REVIEW_PAGES names no folder with saved review pages: nothing to measure.")
        return
    print(f"{'':34} {'noted':>5} {'kB':>5} | {'found':>5} {'right':>5} {'CPU ms':>6} | extruct: found, right, CPU ms")
    for expected in expectations:
        html = (folder / expected["file"]).read_text("utf-8", "replace")
        records = expected.get("records", [])
        cells = []
        for read in (ours, naive) if importlib.util.find_spec("extruct") else (ours,):
            found = read(html)  # the first reading loads dateparser's data and the model of languages
            cells.append(f"{len(found):5} {right(found, records):5} {cpu_ms(read, html):6.0f}")
        name = expected["file"].removesuffix(".html")
        print(f"{name:34} {len(records):5} {len(html) // 1024:5} | {' | '.join(cells)}", flush=True)
    if "--browser" in sys.argv:
        by_browser(folder, [folder / expected["file"] for expected in expectations])


if __name__ == "__main__":
    main()
