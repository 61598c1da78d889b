"""Web addresses: which are any, and which belong to the same site."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

import idna

from sse_tasks import TaskError

__all__ = ["allowed_hosts", "check_address", "host_and_port", "is_same_site", "is_web_address", "plain_host",
           "without_credentials"]

_SECOND_LEVELS = frozenset({"ac", "co", "com", "edu", "gob", "gov", "gv", "id", "mil", "ne", "net", "nom", "or", "org"})


def is_web_address(url: str) -> bool:
    """Whether ``url`` is an http or https address with a host."""
    try:
        parts = urlsplit(url)
        if re.search(r"[\\\s\x00-\x1f\x7f]", parts.netloc):  # browsers read another host there
            return False
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def check_address(url: str) -> None:
    """Raises TaskError (``bad_url``) for what is no web address."""
    if not is_web_address(url):
        raise TaskError(f"{url[:200]!r} is no web address. It has to begin with http:// or https://.", code="bad_url")


def plain_host(name: str) -> str:
    """A host's name as it travels: in lower case, and in ASCII where it is written in other letters."""
    name = name.strip().strip("[]").lower()
    if name.isascii():
        return name
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:  # no host is called so
        return name


def host_and_port(url: str) -> str:
    """``host:port``, with the scheme's port where the address has none."""
    parts = urlsplit(url)
    return f"{plain_host(parts.hostname or '')}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def allowed_hosts(names: Iterable[str]) -> frozenset[str]:
    """What people write as ``name``, ``name:port``, ``[::1]:port`` or a bare IPv6 address, as ``host`` and
    ``host:port``."""
    found = set()
    for name in map(str.strip, names):
        host, colon, port = name.rpartition(":")
        has_port = colon and port.isdecimal() and (":" not in host or host.endswith("]"))
        found.add(f"{plain_host(host)}:{port}" if has_port else plain_host(name))
    return frozenset(found)


def without_credentials(url: str) -> str:
    """``url`` without a user's name and password, which nobody should find in a table."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url


def is_same_site(url: str, other: str) -> bool:
    """Whether both are of one registrable domain (``www.shop.example`` and ``reviews.shop.example``)."""
    try:
        ours, theirs = urlsplit(url).hostname, urlsplit(other).hostname
    except ValueError:
        return False
    return bool(ours and theirs) and _site(ours or "") == _site(theirs or "")


def _site(host: str) -> str:
    """The last two labels, or three where the last but one is a country's own ``co``, ``com`` and the like. The list
    of public suffixes knows better, but is large and out of date soon, and here only what is read hangs on it."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        labels = host.lower().rstrip(".").split(".")
        deep = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVELS
        return ".".join(labels[-3 if deep else -2:])
