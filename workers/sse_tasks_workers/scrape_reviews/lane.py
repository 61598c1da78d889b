"""One tab of the browser: it loads a page, sees what its scripts still bring, asks it for more, and reads it once.

Every call has a deadline, since a page that never stops running answers none. The tab is kept from page to page, which
saves most of a page's time; after anything unusual it is thrown away with its context.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urldefrag, urljoin, urlsplit

from . import page_scripts
from .addresses import host_and_port
from .answers import JsonAnswers
from .consent import REJECT
from .evidence import Evidence
from .failures import check_kind, check_status, failure
from .frames import read_frames
from .gate import BLANK_PATH, DOCUMENT_LIMIT_BYTES, DocumentGate
from .guard import AddressGuard
from .politeness import PageFailed
from .watch import PageWatch

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, CDPSession, Page, Response

__all__ = ["Lane", "LoadedPage", "bounded"]

CALL_SECONDS = 10.0
"""For one call to a page beyond its loading."""
SETTLE_SECONDS = 1.5
"""How long a page's scripts may take to put reviews there that weren't in what the server sent."""
ANSWER_SECONDS = 4.0
"""How long what they had asked for by then may take."""
QUIET_SECONDS = 1.0
"""A page that hasn't changed for so long after it was asked for more has no more."""
MORE_SECONDS = 10.0
HTML_LIMIT = 20_000_000
"""Characters of a page that are read."""
PAGES_PER_CONTEXT = 50
COOKIES_LIMIT = 200
_POLL_SECONDS = 0.1
_WORLD = "sse-tasks"

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedPage:
    """``url`` is where it ended after redirects; ``frames`` and ``answers`` are address and text of the frames of the
    same site and of the JSON it loaded. ``problems`` say what of it may be missing. ``is_shown``: ``html`` is what a
    tab made of it, else what the server sent; ``sent`` is that of a shown page, where it was asked for."""

    url: str
    html: str
    problems: list[str] = field(default_factory=list)
    frames: list[tuple[str, str]] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)
    cookies: list[dict[str, Any]] = field(default_factory=list)
    is_shown: bool = True
    sent: str | None = None
    loaded_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))


class Lane:
    """A tab that ``BrowserSession.lane`` gives out. ``owner`` is who had it last."""

    def __init__(self, new_context: Callable[[], Awaitable[Any]], guard: AddressGuard, evidence: Evidence,
                 frame_hosts: frozenset[str]) -> None:
        self._new_context = new_context
        self._guard = guard
        self._evidence = evidence
        self._frame_hosts = frame_hosts
        self._context: BrowserContext | None = None
        self._tab: Page | None = None
        self._cdp: CDPSession | None = None
        self._watch: PageWatch | None = None
        self._answers = JsonAnswers()
        self._gate = DocumentGate()
        self._frame = ""
        self._pages = 0
        self._cookies: list[Any] = []
        self._problems: list[str] = []
        self._snapshot: Any = None
        self.owner = ""
        self.runs_scripts = False
        """Whether the page has scripts, without which it can't grow."""

    async def take(self, owner: str, cookies: list[dict[str, Any]]) -> None:
        """Makes the tab ``owner``'s, with these cookies and no others."""
        if owner == self.owner:
            return
        self.owner, self._cookies = owner, list(cookies)
        if self._context is not None:
            try:
                await bounded(self._context.clear_cookies())
                if self._cookies:
                    await bounded(self._context.add_cookies(self._cookies))
            except Exception:  # it has crashed; a new one gets them
                await self.drop()

    async def load(self, url: str, seconds: float, *, traced: bool = False) -> None:
        """Loads ``url`` within so many ``seconds``; ``read`` tells what is on it. ``traced``: a trace is kept of it if
        it fails. Raises PageFailed."""
        await self._guarded(self._load(url, seconds, traced))

    async def read(self) -> LoadedPage:
        """What is on the page now, and the JSON that has come since the last reading. Raises PageFailed."""
        return await self._guarded(self._read())

    async def sent(self) -> str | None:
        """What the server sent for the page that the tab shows; None where that can't be told any more."""
        assert self._cdp is not None and self._watch is not None and self._tab is not None
        if urldefrag(self._tab.url).url != self._watch.address:  # a script has given it another address
            return None
        with contextlib.suppress(Exception):  # too large to be kept, of no known encoding, or the page has gone on
            answer = await bounded(self._cdp.send("Network.getResponseBody", {"requestId": self._watch.request}))
            if not answer.get("base64Encoded"):
                return str(answer["body"])
            charset = await self._evaluate("document.characterSet")
            return base64.b64decode(answer["body"]).decode(str(charset)).removeprefix("\ufeff")
        return None

    async def fetch(self, url: str, seconds: float) -> LoadedPage | None:
        """A page as the server sends it, without showing it; None where it has to be shown to be read. The tab shows an
        empty page of its host meanwhile, on which nothing runs and nothing is forbidden. Raises PageFailed where the
        host wants a pause or fails."""
        try:
            await self._clear_for(url)
            found = await self._run(page_scripts.fetch(url, DOCUMENT_LIMIT_BYTES, seconds), seconds)
        except Exception:  # showing it will tell what is wrong
            await self.drop()
            return None
        except BaseException:
            await self._drop_surely()
            raise
        if not isinstance(found, dict):
            return None
        if found.get("status") == 429 or int(found.get("status") or 0) >= 500:
            check_status(int(found["status"]), {"retry-after": str(found.get("retryAfter") or "")})
        if not isinstance(found.get("text"), str):
            return None
        await self._note_cookies()
        return LoadedPage(str(found["url"]), found["text"][:HTML_LIMIT], cookies=self._cookies, is_shown=False)

    async def more(self, how: str, selector: str | None = None) -> str:
        """Asks the page for more: ``how`` is ``load_more`` (presses its button) or ``scroll``.

        Gives ``changed``, ``same`` (nothing came of it), ``off`` (the button is there but can't be pressed any more) or
        ``none`` (there is no button, or nowhere to scroll to). Raises PageFailed.
        """
        return await self._guarded(self._more(how, selector))

    async def drop(self) -> None:
        """Throws the context away; the next page gets a new one."""
        context, self._context, self._tab = self._context, None, None
        if context is not None:
            with contextlib.suppress(Exception):
                await bounded(context.close(), 5)

    async def _drop_surely(self) -> None:
        """For who is cancelled in the midst of a call, where nobody knows what the tab does now: in a task of its own,
        since the caller may be cancelled again."""
        await asyncio.wait({asyncio.ensure_future(self.drop())}, timeout=6)

    async def _guarded(self, call: Coroutine[Any, Any, T]) -> T:
        """``call``, whatever goes wrong in it told as PageFailed, with evidence; the tab isn't used again then."""
        from playwright.async_api import Error

        try:
            try:
                return await call
            except PageFailed:
                raise
            except TimeoutError as why:
                raise PageFailed(str(why) or "it doesn't react", attempts=2) from why
            except Error as why:
                self._raise_for_refusal()
                raise failure(str(why)) from why
        except PageFailed as why:
            if self._context is not None and self._tab is not None:
                await self._evidence.keep(self._context, self._tab)
            if why.status is None:
                await self.drop()
            raise
        except BaseException:
            await self._drop_surely()
            raise

    async def _load(self, url: str, seconds: float, traced: bool) -> None:
        from playwright.async_api import Error
        from playwright.async_api import TimeoutError as Overdue

        if self._gate.restless:  # else the last page's next download would be taken for this one's
            await self.drop()
        await self._open()
        assert self._context is not None
        await self._evidence.begin(self._context, traced)
        tab, watch = self._tab, self._watch
        assert tab is not None and watch is not None
        watch.begin()
        self._answers.begin()
        self._gate.begin(seconds * 0.9)
        self._problems = []
        self._snapshot = None
        response: Response | None = None
        try:
            response = await watch.run(tab.goto(url, wait_until="domcontentloaded", timeout=seconds * 1000),
                                       seconds + 5)
        except (Overdue, TimeoutError):
            watch.check()
            self._raise_for_refusal()
            if not watch.has_arrived:
                raise PageFailed(f"there was no answer within {seconds:g} seconds", attempts=2) from None
            self._problems.append(f"it didn't finish loading within {seconds:g} seconds; what had arrived by then was "
                                  "read")
        except Error:
            self._raise_for_refusal()
            if watch.answer is not None:  # Chromium calls an error without a body a network error
                check_status(*watch.answer)
                check_kind(*watch.answer)
            raise
        self._raise_for_refusal()
        if response is not None:
            _check(response)
            await self._settle()
        if self._gate.problem:
            self._problems.append(self._gate.problem)

    async def _clear_for(self, url: str) -> None:
        """Has the tab at an empty page of the same origin as ``url``."""
        if self._tab is None or self._tab.is_closed():
            await self._open()
        assert self._tab is not None and self._watch is not None
        blank = urljoin(url, BLANK_PATH)
        if not (self._tab.url.endswith(BLANK_PATH) and _have_one_origin(self._tab.url, blank)):
            self._watch.begin()
            await self._watch.run(self._tab.goto(blank, wait_until="commit", timeout=CALL_SECONDS * 1000),
                                  CALL_SECONDS)

    async def _settle(self) -> None:
        """Until a description of a review is there, with what scripts had asked for by then, or they have had their
        time."""
        began, was_pending = time.monotonic(), None
        open_ones = self._answers.pending  # no later ones: a page may ask for something all the time
        while True:
            has_come = not open_ones  # a moment ago: the page has had time to show it
            open_ones &= self._answers.pending
            look = await self._evaluate(page_scripts.look(HTML_LIMIT))
            self.runs_scripts = isinstance(look, dict) and bool(look.get("scripts"))
            has_time = time.monotonic() - began <= SETTLE_SECONDS
            if not self.runs_scripts or (look.get("mark") and (has_come or not has_time)):
                self._snapshot = look.get("page") if isinstance(look, dict) else None
                return
            await self._evaluate(REJECT)
            passed = time.monotonic() - began
            if passed > SETTLE_SECONDS:
                pending = self._answers.pending
                was_pending = pending if was_pending is None else was_pending & pending
                if not was_pending or passed > SETTLE_SECONDS + ANSWER_SECONDS:
                    return
            await asyncio.sleep(_POLL_SECONDS)

    async def _more(self, how: str, selector: str | None) -> str:
        await self._evaluate(REJECT)
        before = await self._evaluate(page_scripts.MUTATIONS)
        if how == "scroll":
            done = "clicked" if await self._evaluate(page_scripts.SCROLL_AWAY) else "none"
            if done == "clicked":
                await asyncio.sleep(_POLL_SECONDS)
                await self._evaluate(page_scripts.SCROLL_DOWN)
        else:
            done = str(await self._evaluate(page_scripts.load_more(selector)))
            if done != "clicked":
                return "off" if done == "off" else "none"
        began, last, still = time.monotonic(), before, 0
        open_ones: frozenset[str] | None = None  # no later ones: a page may ask for something all the time
        rounds = 0
        while time.monotonic() - began < MORE_SECONDS:
            await asyncio.sleep(_POLL_SECONDS)
            now = await self._evaluate(page_scripts.MUTATIONS)
            still = 0 if now != last else still + 1
            last = now
            quiet = 3 if now != before else int(QUIET_SECONDS / _POLL_SECONDS)
            if still < quiet:
                open_ones, rounds = None, 0
                continue
            pending = self._answers.pending
            open_ones = pending if open_ones is None else open_ones & pending
            if not open_ones and (rounds or not pending):
                break
            if not open_ones:  # an answer may have led to another question
                open_ones, rounds = None, 1
        if last != before or self._answers.has_come:
            return "changed"
        return "same" if done == "clicked" else "none"

    async def _read(self) -> LoadedPage:
        tab, watch = self._tab, self._watch
        assert tab is not None and watch is not None
        watch.check()
        found, self._snapshot = self._snapshot, None
        try:
            found = found or await self._evaluate(page_scripts.snapshot(HTML_LIMIT))
        except TimeoutError:
            raise TimeoutError("its scripts never stop running") from None
        if isinstance(found, dict):
            html, length = str(found.get("html", "")), int(found.get("length", 0))
        else:  # no document that such a script can run in
            html = await watch.run(tab.content(), CALL_SECONDS)
            length = len(html)
        watch.check()
        self._raise_for_refusal()
        problems = self._problems
        if length > HTML_LIMIT:
            problems.append(f"only the first {HTML_LIMIT:,} of its {length:,} characters were read")
        if watch.popups:
            problems.append(f"it opened {watch.popups} window{'s' if watch.popups > 1 else ''}, which were closed")
            watch.popups = 0
        frames = []
        if len(tab.frames) > 1:
            frames = await read_frames(tab, watch, await self._evaluate(page_scripts.FRAMES), self._frame_hosts)
        answers = await self._answers.take()
        if self._answers.left_out:
            problems.append(f"{self._answers.left_out} of its JSON answers were too many or too large to be read")
            self._answers.left_out = 0
        await self._note_cookies()
        self._problems = []
        return LoadedPage(tab.url, html[:HTML_LIMIT], problems, frames, answers, self._cookies)

    async def _note_cookies(self) -> None:
        if self._context is not None and (self.runs_scripts or self._answers.cookies_came):
            with contextlib.suppress(Exception):  # a browser that has crashed: those known before are kept
                self._cookies = list(await bounded(self._context.cookies()))[:COOKIES_LIMIT]

    async def _run(self, script: str, seconds: float) -> Any:
        """The value of ``script`` in our own world of the page, also one that it has to wait for; None where it raises.
        TimeoutError if nothing comes within so many seconds."""
        assert self._cdp is not None and self._watch is not None
        world = await self._watch.run(self._cdp.send("Page.createIsolatedWorld",
                                                     {"frameId": self._frame, "worldName": _WORLD}), CALL_SECONDS)
        answer = await self._watch.run(self._cdp.send("Runtime.evaluate", {
            "expression": script, "contextId": world["executionContextId"], "returnByValue": True,
            "timeout": CALL_SECONDS * 1000, "awaitPromise": True,
        }), seconds + 1)
        return answer["result"].get("value")

    async def _evaluate(self, script: str) -> Any:
        """What ``_run`` gives, also from a page that goes on to another one meanwhile."""
        deadline = time.monotonic() + CALL_SECONDS
        while True:
            try:
                return await self._run(script, CALL_SECONDS)
            except Exception as why:
                # It has gone on to another page in between: once more there, until it stands still or has been watched
                # going on too often.
                if "context" not in str(why) or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_POLL_SECONDS)

    async def _open(self) -> None:
        if self._context is not None and self._pages >= PAGES_PER_CONTEXT:
            await self.drop()
        if self._context is None or self._tab is None or self._tab.is_closed():
            await self.drop()
            self._context = context = await self._new_context()
            self._pages = 0
            if self._cookies:
                await bounded(context.add_cookies(self._cookies))
            self._tab = tab = await bounded(context.new_page())
            self._cdp = cdp = await bounded(context.new_cdp_session(tab))
            target = await bounded(cdp.send("Target.getTargetInfo"))
            self._frame = target["targetInfo"]["targetId"]
            self._watch = PageWatch(context, tab, cdp, self._frame)
            await bounded(cdp.send("Page.enable"))
            self._answers, self._gate = JsonAnswers(), DocumentGate()
            await bounded(self._answers.listen(cdp))
            await bounded(self._gate.listen(cdp, self._frame))
        self._pages += 1

    def _raise_for_refusal(self) -> None:
        where = host_and_port(self._watch.address) if self._watch is not None and self._watch.address else ""
        if where in self._guard.refused:
            raise PageFailed(f"it leads to {where}, an internal address that was not asked for. If that is meant, "
                             "name it in allow_hosts")
        if self._gate.refusal is not None:
            raise self._gate.refusal


def _check(response: Response) -> None:
    check_status(response.status, response.headers)
    check_kind(response.status, response.headers)


def _have_one_origin(url: str, other: str) -> bool:
    return urlsplit(url).scheme == urlsplit(other).scheme and host_and_port(url) == host_and_port(other)


async def bounded(call: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
    """``call`` with the usual deadline, or another one."""
    return await asyncio.wait_for(call, CALL_SECONDS if seconds is None else seconds)
