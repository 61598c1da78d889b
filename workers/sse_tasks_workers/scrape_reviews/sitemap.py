"""A sitemap's addresses: XML or an index of such files, plain text, gzip; of one host, and not too many."""

from __future__ import annotations

import fnmatch
import re
import zlib
from collections import deque
from typing import TYPE_CHECKING

from sse_tasks import TaskError

from .addresses import is_same_site, is_web_address
from .politeness import Politeness

if TYPE_CHECKING:
    import httpx

__all__ = ["read_sitemap"]

FILES_LIMIT = 50
"""Files of an index that are read."""
ADDRESS_LIMIT = 4000
"""Characters of an address, as in the input."""
FILE_LIMIT_BYTES = 50 * 1024 * 1024
"""Unpacked; the sitemap standard's own limit."""


async def read_sitemap(client: httpx.AsyncClient, polite: Politeness, url: str, match: str | None,
                       limit: int) -> tuple[list[str], list[str]]:
    """At most ``limit`` addresses in the sitemap at ``url`` that are of its site and like ``match``, and what couldn't
    be read. Raises TaskError (``bad_sitemap``) where not a single file can be read."""
    import httpx

    wanted = re.compile(fnmatch.translate(match)) if match else None
    found: dict[str, None] = {}
    problems: list[str] = []
    files, seen, read = deque([url]), {url}, 0
    while files and read < FILES_LIMIT and len(found) < limit:
        file = files.popleft()
        read += 1
        try:
            locations, is_index = _locations(await _fetch(client, polite, file), file)
        except (httpx.HTTPError, ValueError) as why:
            problems.append(f"the sitemap {file} can't be read: {str(why) or type(why).__name__}")
            continue
        for location in locations:
            if (location in seen or len(location) > ADDRESS_LIMIT or not is_web_address(location)
                    or not is_same_site(location, url)):
                continue
            if is_index:
                seen.add(location)
                files.append(location)
            elif location not in found and (wanted is None or wanted.fullmatch(location)):
                if len(found) < limit:
                    found[location] = None
                else:
                    problems.append(f"only the first {limit} addresses of the sitemap were taken (max_urls)")
                    break
    if files and len(found) >= limit and not any("max_urls" in problem for problem in problems):
        problems.append(f"only the first {limit} addresses of the sitemap were taken (max_urls)")
    elif files and len(found) < limit:
        problems.append(f"only {FILES_LIMIT} files of the sitemap's index were read")
    if not found:
        said = problems[0] if problems else f"the sitemap {url} names no address that fits"
        raise TaskError(f"{said[:1].upper()}{said[1:].rstrip('.')}.", code="bad_sitemap")
    return list(found), problems


async def _fetch(client: httpx.AsyncClient, polite: Politeness, url: str) -> bytes:
    robots = await polite.robots(url)
    if not robots.allows(url):
        raise ValueError(robots.refused or "robots.txt doesn't allow it")
    async with polite.turn(url), client.stream("GET", url) as response:
        if response.status_code >= 400:
            raise ValueError(f"status {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > FILE_LIMIT_BYTES:
                raise ValueError(f"it is larger than {FILE_LIMIT_BYTES >> 20} MiB")
    return _unpacked(bytes(body)) if body[:2] == b"\x1f\x8b" else bytes(body)


def _unpacked(data: bytes) -> bytes:
    unpacking = zlib.decompressobj(31)
    try:
        text = unpacking.decompress(data, FILE_LIMIT_BYTES + 1)
    except zlib.error as why:
        raise ValueError(f"it is no gzip: {why}") from None
    if len(text) > FILE_LIMIT_BYTES:
        raise ValueError(f"it is larger than {FILE_LIMIT_BYTES >> 20} MiB")
    return text


def _locations(data: bytes, url: str) -> tuple[list[str], bool]:
    """The addresses in one file, and whether they are further sitemaps'."""
    import lxml.etree

    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        lines = (line.strip() for line in data.decode("utf-8-sig", "replace").splitlines())
        return [line for line in lines if is_web_address(line)], False
    parser = lxml.etree.XMLParser(resolve_entities=False, no_network=True, recover=True, huge_tree=False)
    try:
        root = lxml.etree.fromstring(data, parser)
    except lxml.etree.XMLSyntaxError as why:
        raise ValueError(f"it is no XML: {why}") from None
    kind = lxml.etree.QName(root).localname if root is not None else ""
    if kind not in {"urlset", "sitemapindex"}:
        raise ValueError(f"it is no sitemap but <{kind}>" if kind else "it is empty")
    entries = (child for entry in root for child in entry if isinstance(child.tag, str))
    locations = [(child.text or "").strip() for child in entries if lxml.etree.QName(child).localname == "loc"]
    return locations, kind == "sitemapindex"
