"""A real Jupyter server with the extension, in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

TOKEN = "a-token-for-tests"
OTHERS = ("jupyterlab", "notebook", "notebook_shim", "jupyter_lsp", "jupyter_server_terminals")
EXTENSIONS = {"sse_tasks_server": True} | dict.fromkeys(OTHERS, False)
"""Ours alone: what else is installed takes a server longer to load than all the rest, and nobody asks it anything."""

MAIN = """
import sys
sys.modules["rfc3987_syntax"] = None  # jsonschema's grammar of addresses: a second of work at each start, for nobody
from jupyter_server.serverapp import main
main()
"""


@dataclass
class ServerProcess:
    """A Jupyter server in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/base/api"

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.api, headers={"Authorization": f"token {TOKEN}"}, timeout=60, **options)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


def start_server(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> ServerProcess:
    """A server with the extension, up and answering; ``folder`` is its root folder and holds its log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / f"server-{port}.log"
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "--allow-root", "--no-browser", "--ip=127.0.0.1",
             f"--port={port}", "--ServerApp.port_retries=0", "--ServerApp.base_url=/base/",
             f"--IdentityProvider.token={TOKEN}", f"--ServerApp.jpserver_extensions={EXTENSIONS}",
             f"--ServerApp.root_dir={folder}", *options],
            stdout=file, stderr=file, env={**os.environ, **(env or {})})
    server = ServerProcess(process, port, log)
    deadline = time.monotonic() + 90
    with server.client() as client:
        while True:
            try:
                if client.get("/status").status_code == 200:
                    return server
            except httpx.TransportError:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"the server did not start:\n{log.read_text()}")
            time.sleep(0.05)
