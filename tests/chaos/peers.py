"""The processes that clients talk to in a chaos run: Jupyter servers and kernels, each started again when killed."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Empty
from typing import Any

import httpx
from jupyter_client import AsyncKernelManager

__all__ = ["Kernel", "PeerGone", "Server"]

TOKEN = "a-token-for-chaos"
UP_SECONDS = 90.0
ANSWER_SECONDS = 45.0


class PeerGone(Exception):
    """It was killed, or is just coming up: ask another one, or later."""


class Server:
    """A Jupyter server with the extension, at one port over all its lives."""

    def __init__(self, name: str, home: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self._home = home
        self._environ = dict(environ)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.lives = 0
        self.is_up = False
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}/base/api", headers={"Authorization": f"token {TOKEN}"},
            timeout=httpx.Timeout(ANSWER_SECONDS, pool=None), limits=httpx.Limits(max_connections=None))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Until it answers."""
        self.lives += 1
        with open(self._home / f"server-{self.name}.log", "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser", "--ip=127.0.0.1",
                 f"--port={self._port}", "--ServerApp.port_retries=0", "--ServerApp.base_url=/base/",
                 f"--IdentityProvider.token={TOKEN}", "--ServerApp.jpserver_extensions={'sse_tasks_server': True}",
                 f"--ServerApp.root_dir={self._home / 'root'}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environ, cwd=self._home / "root")
        deadline = time.monotonic() + UP_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await self.http.get("/status")).status_code == 200:
                    self.is_up = True
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"server {self.name} did not come up; see server-{self.name}.log")
            await asyncio.sleep(0.1)  # nothing but its port tells when it is there

    async def kill(self, number: int = signal.SIGKILL) -> None:
        self.is_up = False
        assert self._process is not None
        self._process.send_signal(number)
        await asyncio.to_thread(self._process.wait, UP_SECONDS)

    async def lives_on(self, lives: int) -> bool:
        """Whether it still has the life of that number, after something of it broke off: that it was killed is known a
        little later than that."""
        for _ in range(15):
            if not (self.is_up and self.lives == lives):
                return False
            await asyncio.sleep(0.02)
        return self.is_up and self.lives == lives

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Raises PeerGone where the server isn't there, or dies meanwhile; TimeoutError where it lives, silent."""
        if not self.is_up:
            raise PeerGone
        lives = self.lives
        try:
            return await self.http.request(method, path, **options)
        except httpx.TimeoutException as error:
            if self.is_up and self.lives == lives:
                raise TimeoutError(f"server {self.name} did not answer {method} {path} in {ANSWER_SECONDS:g} s"
                                   ) from error
            raise PeerGone from error
        except httpx.TransportError as error:
            raise PeerGone from error


class Kernel:
    """An IPython kernel that has imported ``in_kernel``. One question at a time."""

    def __init__(self, name: str, home: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self._home = home
        self._environ = dict(environ)
        self._turn = asyncio.Lock()
        self._manager: AsyncKernelManager | None = None
        self._lives = False
        self.is_up = False

    @property
    def pid(self) -> int:
        assert self._manager is not None and self._manager.provisioner is not None
        return int(self._manager.provisioner.process.pid)  # type: ignore[attr-defined]

    async def start(self) -> None:
        async with self._turn:
            self._manager = AsyncKernelManager(kernel_name="python3")
            with open(self._home / f"kernel-{self.name}.log", "ab") as log:
                await self._manager.start_kernel(env=self._environ, cwd=str(self._home / "root"), stdout=log,
                                                 stderr=log)
            self._client = self._manager.client()
            self._client.start_channels(shell=True, iopub=False, stdin=False, hb=False, control=False)
            self._lives = True
            await self._evaluate("exec('import in_kernel')", UP_SECONDS)
            self.is_up = True

    async def kill(self, number: int = signal.SIGKILL) -> None:
        self.is_up = False
        os.kill(self.pid, number)
        await self.close()

    async def close(self) -> None:
        self.is_up = self._lives = False
        async with self._turn:
            if self._manager is not None:
                self._client.stop_channels()
                await self._manager.shutdown_kernel(now=True)
                self._manager = None

    async def call(self, function: str, *args: Any) -> dict[str, Any]:
        """What ``in_kernel``'s function answers. Raises PeerGone, TimeoutError as ``Server.call``."""
        async with self._turn:
            if not self.is_up:
                raise PeerGone
            code = f"in_kernel.{function}({', '.join(map(repr, args))})"
            return json.loads(ast.literal_eval(await self._evaluate(code, ANSWER_SECONDS)))  # type: ignore[no-any-return]

    async def _evaluate(self, code: str, seconds: float) -> str:
        number = self._client.execute("", store_history=False, user_expressions={"it": code})
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self._lives:
                raise PeerGone
            try:
                async with asyncio.timeout(5):  # a channel to a kernel that was killed may never say that it is empty
                    reply = await self._client.get_shell_msg(timeout=0.5)
            except (Empty, RuntimeError, TimeoutError):
                continue
            if reply["parent_header"].get("msg_id") != number:
                continue
            value = reply["content"]["user_expressions"]["it"]
            if value["status"] != "ok":
                raise RuntimeError(f"kernel {self.name}: {code}: {value.get('ename')}: {value.get('evalue')}")
            return str(value["data"]["text/plain"])
        raise TimeoutError(f"kernel {self.name} did not answer {code} in {seconds:g} s")
