"""A proxy on loopback that the browser goes through, so that no page can reach what its reader didn't ask for.

A filter on requests in the browser is no guard: it sees only the first address of a chain of redirects. Here every
connection's name is resolved, the addresses are checked, and the connection goes to the very address that was checked.
Addresses that aren't public (this machine, the local network, a cloud's metadata) are refused, unless the host is the
one of the input's address or one of its ``allow_hosts``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import socket
import urllib.request
from collections.abc import Iterable
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from .addresses import allowed_hosts, plain_host

__all__ = ["AddressGuard", "RefusedAddress"]

HEAD_LIMIT = 64 * 1024
"""Bytes of a request's head."""
CONNECT_SECONDS = 15.0
PIPE_LIMIT_BYTES = 100_000_000
"""What one connection may carry in a direction; no page that can be read is larger."""
_CHUNK = 1 << 16


class RefusedAddress(Exception):
    """An address that isn't public and wasn't asked for."""


class AddressGuard:
    """``async with AddressGuard(urls, allow_hosts) as guard:`` gives ``guard.proxy``, for browser and client.

    The hosts of ``urls`` are those that were asked for. ``refused`` names what was refused, as ``host:port``. Where the
    environment names a proxy for an address, connections go on through that one: it resolves names then, and what is
    refused is what this machine can tell is internal.
    """

    def __init__(self, urls: Iterable[str], allow_hosts: Iterable[str] = ()) -> None:
        self._asked: set[tuple[str, int]] = set()
        for url in urls:
            parts = urlsplit(url)
            host = plain_host(parts.hostname or "")
            self._asked |= {(host, parts.port or {"http": 80, "https": 443}[parts.scheme]), (host, 80), (host, 443)}
        self._allowed = allowed_hosts(allow_hosts)
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self.proxy: str | None = None
        self.refused: set[str] = set()

    async def __aenter__(self) -> AddressGuard:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_LIMIT)
        self.proxy = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._server is not None:
            self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        if self._pipes:
            await asyncio.wait(self._pipes, timeout=2)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where ``host`` may be reached. Raises RefusedAddress, and OSError for a name that doesn't resolve."""
        try:
            addresses = [str(ipaddress.ip_address(host))]  # no name: nothing to ask for, so no thread to wait for
        except ValueError:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._is_asked_for(plain_host(host), port) and not all(map(is_public, addresses)):
            self.refused.add(f"{host}:{port}")
            raise RefusedAddress(f"{host}:{port} is an internal address that was not asked for")
        return addresses

    def _is_asked_for(self, host: str, port: int) -> bool:
        return (host, port) in self._asked or not self._allowed.isdisjoint({host, f"{host}:{port}"})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            await self._forward(reader, writer)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass  # the browser sees a closed connection, and says so
        except asyncio.CancelledError:
            pass  # the crawl is over
        finally:
            self._pipes.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        request, _, headers = head.partition(b"\r\n")
        method, target, version = request.decode("latin-1").split(" ")
        is_tunnel = method == "CONNECT"
        parts = urlsplit(f"//{target}" if is_tunnel else target)
        if not parts.hostname or not (is_tunnel or parts.scheme == "http"):
            raise ValueError(target)
        port = parts.port or (443 if is_tunnel else 80)
        beyond = _environments_proxy(parts.hostname, "https" if is_tunnel else "http")
        try:
            addresses = await self._checked(parts.hostname, port, resolved_elsewhere=beyond is not None)
        except RefusedAddress as why:
            head_lines = "HTTP/1.1 403 Refused\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
            writer.write(f"{head_lines}{why}\n".encode())
            await writer.drain()
            return
        if beyond is not None:
            origin_reader, origin_writer = await self._connect([beyond.hostname or ""], beyond.port or 80)
        else:
            origin_reader, origin_writer = await self._connect(addresses, port)
        try:
            credentials = _authorization(beyond) if beyond is not None else []
            if is_tunnel and beyond is not None:
                lines = [f"CONNECT {target} HTTP/1.1".encode("latin-1"), f"Host: {target}".encode("latin-1")]
                origin_writer.write(b"\r\n".join([*lines, *credentials]) + b"\r\n\r\n")
            elif is_tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                # One request a connection: its successor on the same one could be for another host.
                path = target if beyond is not None else urlunsplit(("", "", parts.path or "/", parts.query, ""))
                kept = [line for line in headers.split(b"\r\n")
                        if line and not line.lower().startswith((b"connection:", b"proxy-", b"keep-alive:"))]
                lines = [f"{method} {path} {version}".encode("latin-1"), *kept, *credentials, b"Connection: close"]
                origin_writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
            up = asyncio.create_task(_pump(reader, origin_writer, PIPE_LIMIT_BYTES))
            try:
                await _pump(origin_reader, writer, PIPE_LIMIT_BYTES)
            finally:
                up.cancel()
                await asyncio.wait({up})
        finally:
            origin_writer.close()

    async def _checked(self, host: str, port: int, *, resolved_elsewhere: bool) -> list[str]:
        try:
            return await self.addresses(host, port)
        except OSError:
            if resolved_elsewhere:  # a machine behind a proxy often can't resolve any name
                return []
            raise

    async def _connect(self, addresses: list[str], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        error: Exception = OSError("no address")
        for address in addresses[:4]:
            try:
                return await asyncio.wait_for(asyncio.open_connection(address, port), CONNECT_SECONDS)
            except (OSError, TimeoutError) as why:
                error = why
        raise error


# Ways of writing an IPv4 address as an IPv6 one, behind each of which may be an internal one: IPv4-compatible,
# translated, NAT64, 6to4. Then site-local addresses, which Python takes for global.
_NOT_GLOBAL = [ipaddress.IPv6Network(network) for network in (
    "::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "fec0::/10")]
_AZURES_OWN = "168.63.129.16"
"""Of a public range, but on each of Azure's machines its host's."""


def is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    if ip.version == 6:
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if any(ip in network for network in _NOT_GLOBAL):
            return False
    return ip.is_global and not ip.is_multicast and address != _AZURES_OWN


def _environments_proxy(host: str, scheme: str) -> SplitResult | None:
    """The proxy that the environment names for such an address. Raises OSError for a kind that can't be used here."""
    named = urllib.request.getproxies()
    address = named.get(scheme) or named.get("all")
    if not address or urllib.request.proxy_bypass(host):
        return None
    parts = urlsplit(address if "//" in address else f"http://{address}")
    if parts.scheme != "http" or not parts.hostname:
        raise OSError(f"the environment's proxy {parts.scheme}://{parts.hostname} is not an http one")
    return parts


def _authorization(proxy: SplitResult) -> list[bytes]:
    if proxy.username is None:
        return []
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return [b"Proxy-Authorization: Basic " + base64.b64encode(pair.encode())]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int) -> None:
    """From one to the other until the end or the limit, where the connection is cut."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while chunk := await reader.read(_CHUNK):
            limit -= len(chunk)
            if limit < 0:
                return
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
