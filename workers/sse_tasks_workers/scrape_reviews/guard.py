"""A proxy on loopback that the browser goes through, so that no page can reach what its reader didn't ask for.

A filter on requests in the browser is no guard: it sees only the first address of a chain of redirects. Here every
connection's name is resolved, the addresses are checked, and the connection goes to the very address that was checked.
Addresses that aren't public (this machine, the local network, a cloud's metadata) are refused, unless the host is the
one of the input's address or one of its ``allow_hosts``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import urllib.request
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

__all__ = ["AddressGuard", "RefusedAddress"]

HEAD_LIMIT = 64 * 1024
"""Bytes of a request's head."""
CONNECT_SECONDS = 15.0
_CHUNK = 1 << 16


class RefusedAddress(Exception):
    """An address that isn't public and wasn't asked for."""


class AddressGuard:
    """``async with AddressGuard(url, allow_hosts) as guard:`` gives ``guard.proxy``, an address for browser and client.

    ``proxy`` is None where the environment names a proxy for that address: then it alone reaches and resolves names.
    ``refused`` names what was refused, as ``host:port``.
    """

    def __init__(self, url: str, allow_hosts: Iterable[str] = ()) -> None:
        parts = urlsplit(url)
        self._host = (parts.hostname or "").lower()
        self._ports = {parts.port or {"http": 80, "https": 443}[parts.scheme], 80, 443}
        self._allowed = {name.strip().lower() for name in allow_hosts}
        self._scheme = parts.scheme
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self.proxy: str | None = None
        self.refused: set[str] = set()

    async def __aenter__(self) -> AddressGuard:
        if self._scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(self._host):
            return self
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
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._is_asked_for(host.lower(), port) and not all(map(is_public, addresses)):
            self.refused.add(f"{host}:{port}")
            raise RefusedAddress(f"{host}:{port} is an internal address that was not asked for")
        return addresses

    def _is_asked_for(self, host: str, port: int) -> bool:
        return (host == self._host and port in self._ports) or not self._allowed.isdisjoint({host, f"{host}:{port}"})

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
        port = parts.port or 80
        try:
            addresses = await self.addresses(parts.hostname, port)
        except RefusedAddress as why:
            head_lines = "HTTP/1.1 403 Refused\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
            writer.write(f"{head_lines}{why}\n".encode())
            await writer.drain()
            return
        origin_reader, origin_writer = await self._connect(addresses, port)
        try:
            if is_tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                # One request a connection: its successor on the same one could be for another host.
                path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
                kept = [line for line in headers.split(b"\r\n")
                        if line and not line.lower().startswith((b"connection:", b"proxy-", b"keep-alive:"))]
                lines = [f"{method} {path} {version}".encode("latin-1"), *kept, b"Connection: close"]
                origin_writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
            up = asyncio.create_task(_pump(reader, origin_writer))
            try:
                await _pump(origin_reader, writer)
            finally:
                up.cancel()
                await asyncio.wait({up})
        finally:
            origin_writer.close()

    async def _connect(self, addresses: list[str], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        error: Exception = OSError("no address")
        for address in addresses[:4]:
            try:
                return await asyncio.wait_for(asyncio.open_connection(address, port), CONNECT_SECONDS)
            except (OSError, TimeoutError) as why:
                error = why
        raise error


def is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_global and not (mapped or ip).is_multicast


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
