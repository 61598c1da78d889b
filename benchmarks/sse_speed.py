"""How quick the server is: POST to first line of user code, update to an SSE client, replay of a long log.

A real Jupyter server on loopback, clients on plain sockets. Medians, with the number of runs; a start by HTTP stands
beside the same server's ``GET api/status`` in turns, for that is the floor under every call.
Run: ``python benchmarks/sse_speed.py [--runs 50] [--lines 100000]``
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from sse_tasks.folder import create_task_folder, publish
from sse_tasks.hosts.local import host_id
from sse_tasks.types import TaskSpec, new_task_id, now_iso

WORKERS = '''
import time
from sse_tasks import TaskContext, task

@task
def first_line(fifo: str):
    moment = time.perf_counter_ns()
    with open(fifo, "wb", buffering=0) as file:
        file.write(str(moment).encode())

@task
def ticks(ctx: TaskContext, count: int, seconds: float):
    for _ in range(count):
        ctx.message(str(time.perf_counter_ns()))
        time.sleep(seconds)
'''


def say(what: str, values: list[float], unit: str) -> None:
    ordered = sorted(values)
    print(f"{what:58} {statistics.median(ordered):12.3f} {unit:8} (median of {len(ordered)}; "
          f"p95 {ordered[max(0, int(len(ordered) * 0.95) - 1)]:.3f})", flush=True)


class Server:
    """A Jupyter server with the extension, on folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_hex(16)
        (folder / "workers").mkdir()
        (folder / "workers" / "bench.py").write_text(WORKERS)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environ = {**os.environ, "SSE_TASKS_DATA_DIR": str(folder / "data"), "SSE_TASKS_RUNTIME_DIR": str(folder / "r"),
                   "SSE_TASKS_WORKERS": str(folder / "workers"), "JUPYTER_CONFIG_DIR": str(folder / "config")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root", f"--port={self.port}",
             f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={folder}"],
            env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60,
                                   headers={"Authorization": f"token {self.token}"})
        deadline = time.monotonic() + 60
        while True:
            try:
                self.client.get("/api/status").raise_for_status()
                break
            except httpx.HTTPError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise SystemExit("the server did not come up") from None
                time.sleep(0.1)
        self.client.get("/api/task-types").raise_for_status()

    def stream(self, task_type: str, task_id: str) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.sendall(f"GET /api/tasks/{task_type}?taskId={task_id} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                     f"Authorization: token {self.token}\r\nAccept: text/event-stream\r\n\r\n".encode())
        return sock

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(20)


def bench_start(server: Server, runs: int) -> None:
    fifo = str(server.folder / "fifo")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR)
    starts, floor = [], []
    for _ in range(runs):
        began = time.perf_counter_ns()
        server.client.post("/api/tasks/first-line", json={"fifo": fifo}).raise_for_status()
        starts.append((int(os.read(reader, 64)) - began) / 1e6)
        time.sleep(0.05)
        began = time.perf_counter_ns()
        server.client.get("/api/status").raise_for_status()
        floor.append((time.perf_counter_ns() - began) / 1e6)
    say("POST to first line of user code", starts, "ms")
    say("beside it: GET api/status of the same server", floor, "ms")


def bench_update(server: Server, runs: int) -> None:
    task_id = server.client.post("/api/tasks/ticks", json={"count": runs, "seconds": 0.06}).json()["taskId"]
    late = []
    with server.stream("ticks", task_id) as sock:
        while data := sock.recv(1 << 16):
            now = time.perf_counter_ns()
            for line in data.split(b"\n"):
                if line.startswith(b"data: ") and b'"type":"progress"' in line:
                    late.append((now - int(json.loads(line[6:])["message"])) / 1e6)
            if b'"status":"completed"' in data:
                break
    say("ctx.message to an SSE client", late, "ms")


def bench_replay(server: Server, lines: int, runs: int) -> None:
    task_id = new_task_id()
    spec = TaskSpec(task_id=task_id, task_type="ticks", worker={"file": "none"}, input={}, created_at=now_iso(),
                    host=host_id())
    update = {"type": "progress", "taskId": task_id, "timestamp": now_iso(), "status": "running", "message": "x" * 60}
    writer = create_task_folder(server.folder / "data" / "tasks", spec, {**update, "type": "status"})
    os.write(writer.fd, b"".join(json.dumps({**update, "items": n}).encode() + b"\n" for n in range(lines)))
    writer.append({**update, "type": "status", "status": "aborted"})
    publish(writer)
    writer.close()
    rates = []
    for _ in range(runs):
        began = time.perf_counter()
        with server.stream("ticks", task_id) as sock:
            tail = b""
            while b'"status":"aborted"' not in tail[-400:]:
                data = sock.recv(1 << 18)
                if not data:
                    break
                tail = (tail + data)[-1000:]
        rates.append((lines + 2) / (time.perf_counter() - began))
    say(f"replay of {lines:,} lines to one subscriber", rates, "lines/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--lines", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        server = Server(Path(name))
        try:
            bench_start(server, options.runs)
            bench_update(server, options.runs)
            bench_replay(server, options.lines, 5)
        finally:
            server.close()


if __name__ == "__main__":
    main()
