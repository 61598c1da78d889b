"""The JSON that a page loads by itself: caught as it passes, capped in size and number."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import CDPSession

__all__ = ["JsonAnswers"]

ANSWERS_LIMIT = 200
ANSWER_LIMIT_BYTES = 4_000_000
ALL_ANSWERS_LIMIT_BYTES = 20_000_000
BODY_SECONDS = 5.0


class JsonAnswers:
    """``await answers.listen(cdp)``; then ``begin()`` before each page, and ``take()`` for what has come since.

    The browser itself keeps no more than the limits, whatever a compressed answer unfolds to.
    """

    def __init__(self) -> None:
        self._cdp: CDPSession | None = None
        self._asked: set[str] = set()
        self._json: dict[str, str] = {}
        self._fetching: set[asyncio.Task[None]] = set()
        self._found: list[tuple[str, str]] = []
        self._count = 0
        self._size = 0
        self.left_out = 0
        """Answers that were too many or too large."""
        self.cookies_came = False
        """Whether any answer of the page had a cookie."""

    async def listen(self, cdp: CDPSession) -> None:
        self._cdp = cdp
        cdp.on("Network.requestWillBeSent", self._sent)
        cdp.on("Network.responseReceived", self._answered)
        cdp.on("Network.responseReceivedExtraInfo", self._had_headers)
        cdp.on("Network.loadingFinished", self._finished)
        cdp.on("Network.loadingFailed", self._failed)
        await cdp.send("Network.enable", {"maxTotalBufferSize": ALL_ANSWERS_LIMIT_BYTES,
                                          "maxResourceBufferSize": ANSWER_LIMIT_BYTES})

    def begin(self) -> None:
        """A new page: what the one before it asked for counts no more."""
        for fetching in self._fetching:
            fetching.cancel()
        self._asked.clear()
        self._json.clear()
        self._found = []
        self._count = self._size = self.left_out = 0
        self.cookies_came = False

    @property
    def pending(self) -> frozenset[str]:
        """What the page has asked for and not got yet."""
        return frozenset(self._asked)

    @property
    def has_come(self) -> bool:
        """Whether there is an answer that wasn't taken yet."""
        return bool(self._found or self._fetching)

    async def take(self) -> list[tuple[str, str]]:
        """Address and text of each answer since the last call."""
        if self._fetching:
            await asyncio.wait(set(self._fetching), timeout=BODY_SECONDS)
        found, self._found = self._found, []
        return found

    def _sent(self, event: dict[str, Any]) -> None:
        if event.get("type") in {"XHR", "Fetch"}:
            self._asked.add(event["requestId"])

    def _had_headers(self, event: dict[str, Any]) -> None:
        self.cookies_came = self.cookies_came or any(name.lower() == "set-cookie" for name in event["headers"])

    def _answered(self, event: dict[str, Any]) -> None:
        response = event["response"]
        if event["requestId"] not in self._asked or "json" not in response.get("mimeType", ""):
            return
        self._count += 1
        if self._count > ANSWERS_LIMIT:
            self.left_out += 1
        else:
            self._json[event["requestId"]] = response["url"]

    def _finished(self, event: dict[str, Any]) -> None:
        self._asked.discard(event["requestId"])
        url = self._json.pop(event["requestId"], None)
        if url is not None:
            fetching = asyncio.ensure_future(self._fetch(event["requestId"], url))
            self._fetching.add(fetching)
            fetching.add_done_callback(self._fetching.discard)

    def _failed(self, event: dict[str, Any]) -> None:
        self._asked.discard(event["requestId"])
        self._json.pop(event["requestId"], None)

    async def _fetch(self, request: str, url: str) -> None:
        assert self._cdp is not None
        with contextlib.suppress(Exception):  # too large to be kept, or the page has gone on
            answer = await asyncio.wait_for(self._cdp.send("Network.getResponseBody", {"requestId": request}),
                                            BODY_SECONDS)
            body = str(answer["body"])
            if answer.get("base64Encoded"):
                body = base64.b64decode(body).decode("utf-8", "replace")
            self._size += len(body)
            if self._size <= ALL_ANSWERS_LIMIT_BYTES:
                self._found.append((url, body))
                return
        self.left_out += 1
