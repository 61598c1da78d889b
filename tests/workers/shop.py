"""A shop on loopback that can misbehave: it says to each path what a test has put there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def reviews_html(authors: list[str], *, declared: int | None = None, links: str = "") -> str:
    """A page with one review by each author, as JSON-LD."""
    product: dict[str, Any] = {"@type": "Product", "name": "Kettle", "review": [
        {"@type": "Review", "author": author, "reviewBody": f"{author} likes it.", "reviewRating": {"ratingValue": 4}}
        for author in authors
    ]}
    if declared is not None:
        product["aggregateRating"] = {"@type": "AggregateRating", "ratingValue": 4, "reviewCount": declared}
    return (f'<!doctype html><html lang="en"><head><title>Kettle</title><script type="application/ld+json">'
            f"{json.dumps(product)}</script></head><body>{links}</body></html>")


class Answer:
    """What the shop says to one path: HTML, or a status, other headers, a body that takes its time."""

    def __init__(self, body: str | bytes = "", status: int = 200, kind: str = "text/html; charset=utf-8",
                 wait: float = 0.0, tells_length: bool = True, **headers: str) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.status = status
        self.wait = wait
        self.tells_length = tells_length
        self.headers = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}


class Drip(Answer):
    """The body, and then a blank every ``pause`` seconds, for as long as anybody listens."""

    def __init__(self, body: str, pause: float = 0.1) -> None:
        super().__init__(body, tells_length=False)
        self.pause = pause


class Shop(ThreadingHTTPServer):
    """Serves ``answers`` by path and query: an Answer, or a list of them for one request after another. By the path
    alone, a function that is given the whole and makes one.

    ``requests`` are the paths asked for, with the moment and the user agent; ``shown`` those that a tab was sent to,
    ``cookies`` what it said last for each.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer | list[Answer] | Callable[[str], Answer]] = {}
        self.requests: list[tuple[str, float, str]] = []
        self.shown: list[str] = []
        self.cookies: dict[str, str] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def url(self, path: str = "/kettle") -> str:
        return self.address + path

    def asked(self, prefix: str = "/") -> list[str]:
        return [path for path, _, _ in self.requests if path.startswith(prefix)]


class _Handler(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        self.server.requests.append((self.path, time.monotonic(), self.headers.get("User-Agent", "")))
        self.server.cookies[self.path] = self.headers.get("Cookie", "")
        if self.headers.get("Sec-Fetch-Dest") == "document":
            self.server.shown.append(self.path)
        missing = Answer("<title>Nothing here</title>", 404)
        answer = self.server.answers.get(self.path) or self.server.answers.get(self.path.split("?")[0], missing)
        if callable(answer):
            answer = answer(self.path)
        elif isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        elif "?" in self.path and self.path not in self.server.answers:
            answer = missing
        if answer.wait:
            time.sleep(answer.wait)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204 and answer.tells_length:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        try:
            self.wfile.write(answer.body)
            while isinstance(answer, Drip):
                time.sleep(answer.pause)
                self.wfile.write(b" ")
                self.wfile.flush()
        except OSError:
            pass  # whoever asked has hung up

    def log_message(self, format: str, *args: object) -> None:
        pass
