"""The frames of a page that are part of it: those of its own site, and of hosts that the input allows."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import page_scripts
from .addresses import host_and_port, is_same_site, plain_host
from .watch import PageWatch

if TYPE_CHECKING:
    from playwright.async_api import Frame, Page

__all__ = ["read_frames"]

FRAMES_LIMIT = 10
FRAME_LIMIT = 5_000_000
"""Characters of a frame that are read."""
FRAME_SECONDS = 4.0
_POLL_SECONDS = 0.1


async def read_frames(tab: Page, watch: PageWatch, named: Any, hosts: frozenset[str]) -> list[tuple[str, str]]:
    """Address and HTML of each such frame. ``named`` is where the page says that its frames lead, which haven't all
    begun to load; ``hosts`` are those that are allowed besides the page's site."""
    from playwright.async_api import Error

    def is_ours(url: str) -> bool:
        return url == "about:srcdoc" or (url.startswith(("http://", "https://"))
                                         and (is_same_site(url, tab.url) or _is_of(url, hosts)))

    expected = sum(is_ours(str(url)) for url in named[:FRAMES_LIMIT]) if isinstance(named, list) else 0
    for _ in range(int(FRAME_SECONDS / _POLL_SECONDS)):
        ours = [frame for frame in tab.frames[1:] if is_ours(frame.url)]
        if len(ours) >= expected:
            break
        await asyncio.sleep(_POLL_SECONDS)
    found: list[tuple[str, str]] = []
    for frame in ours[:FRAMES_LIMIT]:
        with contextlib.suppress(Error, TimeoutError):  # one that is slow or went away costs itself only
            await watch.run(frame.wait_for_load_state("domcontentloaded", timeout=FRAME_SECONDS * 1000),
                            FRAME_SECONDS + 1)
            if html := await _html_of(frame, watch):
                found.append((tab.url if frame.url == "about:srcdoc" else frame.url, html[:FRAME_LIMIT]))
    return found


def _is_of(url: str, hosts: frozenset[str]) -> bool:
    return bool({plain_host(urlsplit(url).hostname or ""), host_and_port(url)} & hosts)


async def _html_of(frame: Frame, watch: PageWatch) -> str:
    """With its open shadow roots, where a script can run in it."""
    from playwright.async_api import Error

    with contextlib.suppress(Error):
        found = await watch.run(frame.evaluate(page_scripts.snapshot(FRAME_LIMIT)), FRAME_SECONDS)
        if isinstance(found, dict) and isinstance(found.get("html"), str):
            return str(found["html"])
    return await watch.run(frame.content(), FRAME_SECONDS)
