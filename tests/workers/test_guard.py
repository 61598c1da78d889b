"""The proxy that lets nothing through to what wasn't asked for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sse_tasks_workers.scrape_reviews import guard as guard_module
from sse_tasks_workers.scrape_reviews.guard import AddressGuard, RefusedAddress, is_public

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@asynccontextmanager
async def answering(text: bytes = HI) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that says the same to everybody; gives its port, and what it was told."""
    told: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(text)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], told
    finally:
        server.close()


async def through(guard: AddressGuard, head: str) -> bytes:
    assert guard.proxy is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", int(guard.proxy.rsplit(":", 1)[1]))
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0",
                                     "100.64.0.1", "224.0.0.1", "::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1",
                                     "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
                                     "64:ff9b:1::a00:1", "2002:7f00:1::", "fec0::1", "168.63.129.16"])
def test_internal_addresses(address: str) -> None:
    """This machine, local networks, a cloud's metadata, in all their spellings."""
    assert not is_public(address)


@pytest.mark.parametrize("method", ["GET http://127.0.0.1:{port}/", "CONNECT 127.0.0.1:{port}", "GET http://localhost:{port}/",
                                    "CONNECT localhost:{port}", "GET http://0x7f000001:{port}/", "GET http://2130706433:{port}/"])
async def test_refused(method: str) -> None:
    """Plain requests and tunnels (https, WebSocket) to an internal host are refused by what its name resolves to."""
    async with answering() as (port, told), AddressGuard(["https://shop.example/"]) as guard:
        answer = await through(guard, f"{method.format(port=port)} HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 403")
    assert told == []
    assert len(guard.refused) == 1


async def test_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The input's own hosts and allow_hosts come through, at their ports only."""
    monkeypatch.setenv("no_proxy", "*")
    async with answering() as (port, told), AddressGuard([f"http://127.0.0.1:{port}/"]) as guard:
        assert (await through(guard, f"GET http://127.0.0.1:{port}/x?y HTTP/1.1\r\nHost: h\r\n\r\n")).endswith(b"hi")
        with pytest.raises(RefusedAddress):
            await guard.addresses("127.0.0.1", port + 1)
    assert told[0].startswith(b"GET /x?y HTTP/1.1\r\n")


@pytest.mark.parametrize("written, host, port", [
    ("Intern.Example", "intern.example", 9), ("intern.example:8000", "intern.example", 8000),
    ("bücher.example", "xn--bcher-kva.example", 80), ("[::1]:8000", "::1", 8000), ("::1", "::1", 9),
    ("[::1]", "::1", 9)])
async def test_hosts_as_people_write_them(written: str, host: str, port: int,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in other letters are those that browsers ask for, and IPv6 addresses may stand in brackets."""
    async def resolve(*args: object, **more: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with AddressGuard(["https://shop.example/"], [written]) as guard:
        assert await guard.addresses(host, port)
        with pytest.raises(RefusedAddress):
            await guard.addresses("elsewhere.example", port)
        if ":8000" in written:
            with pytest.raises(RefusedAddress):
                await guard.addresses(host, port + 1)


async def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the very address that was checked: a name that resolves to something else a moment later
    (DNS rebinding) gains nothing."""
    monkeypatch.setenv("no_proxy", "*")
    answers = iter(["93.184.216.34", "127.0.0.1"])
    connected: list[str] = []

    async def resolve(*args: object, **more: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 80))]

    async def connect(host: str, port: int) -> None:
        connected.append(host)
        raise OSError("nobody there")

    async with AddressGuard(["https://shop.example/"]) as guard:
        real = asyncio.open_connection
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        reader, writer = await real("127.0.0.1", int(str(guard.proxy).rsplit(":", 1)[1]))
        monkeypatch.setattr(guard_module.asyncio, "open_connection", connect)
        writer.write(b"GET http://rebinding.example/ HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()

    assert connected == ["93.184.216.34"]


async def test_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment names a proxy, requests go on through it, with its credentials; internal hosts stay
    refused."""
    async with answering() as (port, told):
        monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{port}")
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with AddressGuard(["http://shop.invalid/"]) as guard:
            assert (await through(guard, "GET http://shop.invalid/a HTTP/1.1\r\nHost: h\r\n\r\n")).endswith(b"hi")
            assert (await through(guard, "CONNECT shop.invalid:443 HTTP/1.1\r\n\r\n")).endswith(b"hi")
            assert (await through(guard, "GET http://127.0.0.1:1/ HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403")

    assert told[0].startswith(b"GET http://shop.invalid/a HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in told[0]
    assert told[1].startswith(b"CONNECT shop.invalid:443 HTTP/1.1\r\n")


async def test_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that carries more than any page is cut."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(guard_module, "PIPE_LIMIT_BYTES", 100_000)
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000) as (port, _), AddressGuard(
            [f"http://127.0.0.1:{port}/"]) as guard:
        answer = await through(guard, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: h\r\n\r\n")

    assert len(answer) <= 100_000
