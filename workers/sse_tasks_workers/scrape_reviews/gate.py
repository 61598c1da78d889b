"""Between the network and a tab: media stay out, and no document is larger than what can be read.

A small compressed answer may unfold to gigabytes, and a renderer that gets them hangs for minutes. So where the size
of a document isn't certain from its head, its body is taken off the wire here, unpacked, and passed on up to the limit.
An answer that is no page isn't passed on at all: no download begins.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from typing import TYPE_CHECKING, Any

from .failures import check_kind
from .politeness import PageFailed

if TYPE_CHECKING:
    from playwright.async_api import CDPSession

__all__ = ["BLANK_PATH", "DOCUMENT_LIMIT_BYTES", "DocumentGate"]

BLANK_PATH = "/.sse-tasks/blank"
"""On any host an empty page, for which nobody is asked."""

DOCUMENT_LIMIT_BYTES = 10_000_000
GZIP_RATIO = 1100
"""How much gzip unfolds to at most; other compressions have no such bound."""
_FIRST_CHUNK, _LAST_CHUNK = 1 << 8, 1 << 18
"""A read waits until it is full. So they begin small, that something of a slow page is there when its time is up."""
_BLANK = base64.b64encode(b'<!doctype html><link rel="icon" href="data:,">').decode()  # no icon is asked for, too
_DROPPED = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class DocumentGate:
    """``await gate.listen(cdp, frame)``; ``begin(seconds)`` before each page. ``problem`` says what was cut off,
    ``refusal`` why the page's own document wasn't let through. ``restless``: the page has gone for a download since,
    and may do so again."""

    def __init__(self) -> None:
        self._cdp: CDPSession | None = None
        self._frame = ""
        self._deadline = 0.0
        self._open: set[asyncio.Task[None]] = set()
        self.problem: str | None = None
        self.refusal: PageFailed | None = None
        self.restless = self._has_come = False

    async def listen(self, cdp: CDPSession, frame: str) -> None:
        self._cdp, self._frame = cdp, frame
        cdp.on("Fetch.requestPaused", self._paused)
        await cdp.send("Fetch.enable", {"patterns": [
            {"resourceType": "Media"},  # images and fonts are switched off in the browser
            {"resourceType": "Document", "urlPattern": f"*{BLANK_PATH}"},
            {"resourceType": "Document", "requestStage": "Response"},
        ]})

    def begin(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self.problem = self.refusal = None
        self.restless = self._has_come = False

    def _paused(self, event: dict[str, Any]) -> None:
        deciding = asyncio.ensure_future(self._decide(event))
        self._open.add(deciding)
        deciding.add_done_callback(self._open.discard)

    async def _decide(self, event: dict[str, Any]) -> None:
        assert self._cdp is not None
        request = {"requestId": event["requestId"]}
        with contextlib.suppress(Exception):  # the page may have gone on; nobody waits then
            status = event.get("responseStatusCode")
            if status is None and "responseErrorReason" not in event and event.get("resourceType") == "Document":
                await self._cdp.send("Fetch.fulfillRequest", {**request, "responseCode": 200, "responseHeaders": [
                    {"name": "Content-Type", "value": "text/html; charset=utf-8"}], "body": _BLANK})
                return
            if status is None and "responseErrorReason" not in event:
                await self._cdp.send("Fetch.failRequest", {**request, "errorReason": "BlockedByClient"})
                return
            headers = {h["name"].lower(): h["value"] for h in event.get("responseHeaders", [])}
            if status is not None and 200 <= status < 300 and status not in {204, 205}:
                try:
                    check_kind(status, headers)
                except PageFailed as why:
                    if event.get("frameId") == self._frame:
                        self.restless = self._has_come
                        self.refusal = None if self._has_come else why
                    await self._cdp.send("Fetch.failRequest", {**request, "errorReason": "Aborted"})
                    return
                self._has_come |= event.get("frameId") == self._frame
            is_empty = status is None or 300 <= status < 400 or status in {204, 205}
            if is_empty or _is_surely_small(headers):
                await self._cdp.send("Fetch.continueRequest", request)
            else:
                await self._pass_on(event)

    async def _pass_on(self, event: dict[str, Any]) -> None:
        """Answers the request with its own body, up to the limit in size and time."""
        assert self._cdp is not None
        stream = (await self._cdp.send("Fetch.takeResponseBodyAsStream", {"requestId": event["requestId"]}))["stream"]
        body = bytearray()
        is_main = event.get("frameId") == self._frame
        size = _FIRST_CHUNK
        try:
            while len(body) < DOCUMENT_LIMIT_BYTES:
                left = self._deadline - time.monotonic()
                part = await asyncio.wait_for(self._cdp.send("IO.read", {"handle": stream, "size": size}), left)
                size = min(2 * size, _LAST_CHUNK)
                body += base64.b64decode(part["data"]) if part.get("base64Encoded") else part["data"].encode()
                if part["eof"]:
                    break
            else:
                if is_main:
                    self.problem = f"only its first {DOCUMENT_LIMIT_BYTES // 1_000_000} MB were read"
        except TimeoutError:
            if is_main:
                self.problem = "it didn't end in time; what had arrived by then was read"
        headers = [h for h in event.get("responseHeaders", []) if h["name"].lower() not in _DROPPED]
        await self._cdp.send("Fetch.fulfillRequest", {
            "requestId": event["requestId"], "responseCode": event["responseStatusCode"], "responseHeaders": headers,
            "body": base64.b64encode(bytes(body[:DOCUMENT_LIMIT_BYTES])).decode(),
        })
        with contextlib.suppress(Exception):
            await self._cdp.send("IO.close", {"handle": stream})


def _is_surely_small(headers: dict[str, str]) -> bool:
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return False
    encoding = headers.get("content-encoding", "").strip().lower()
    ratio = {"": 1, "identity": 1, "gzip": GZIP_RATIO, "x-gzip": GZIP_RATIO, "deflate": GZIP_RATIO}.get(encoding)
    return ratio is not None and int(length[:18]) * ratio <= DOCUMENT_LIMIT_BYTES
