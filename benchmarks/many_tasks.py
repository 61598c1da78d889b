"""A data folder with thousands of ended tasks: how long a server takes to be up, to list, and to filter.

Beside the time that passes stands the processor's time of the server, which says the same on a busy machine. Starts a
Jupyter server with the extension on a folder that it fills, and one on an empty folder to compare with.
Run: ``python benchmarks/many_tasks.py [--tasks 10000] [--runs 20]``
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import psutil

from sse_tasks.types import new_task_id

TOKEN = "benchmark"


def fill(data_dir: Path, count: int) -> None:
    """Writes the folders of ended tasks, an hour old, as their keepers would have left them."""
    tasks = data_dir / "tasks"
    tasks.mkdir(parents=True)
    begin = datetime.now(UTC) - timedelta(hours=1)
    for number in range(count):
        task_id = new_task_id()
        moment = (begin + timedelta(milliseconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        folder = tasks / task_id
        (folder / "files").mkdir(parents=True)
        (folder / "task.json").write_text(json.dumps({
            "taskId": task_id, "taskType": "scrape-reviews", "worker": {"module": "shop"}, "createdAt": moment,
            "input": {"url": f"https://shop.example/{number}", "maxPages": 5}, "interpreter": sys.executable,
            "cwd": "/", "sysPath": sys.path, "environ": sorted(os.environ), "host": "elsewhere"}))
        update = {"type": "status", "taskId": task_id, "timestamp": moment, "status": "idle"}
        running = {**update, "status": "running", "startedAt": moment}
        progress = [{**running, "type": "progress", "progress": {"percentage": 10.0 * step}} for step in range(10)]
        result = {**running, "type": "result", "status": "completed", "result": {"count": number}}
        (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n"
                                                     for line in [update, running, *progress, result]))
        (folder / "output.log").write_text("done\n")


class Server:
    """A Jupyter server on ``data_dir``; ``seconds_to_up`` from its start to its first answer."""

    def __init__(self, home: Path, data_dir: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        folders = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser", "--ip=127.0.0.1",
             f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}",
             "--ServerApp.jpserver_extensions={'sse_tasks_server': True}", f"--ServerApp.root_dir={home}",
             "--TaskManager.keep_count=1000000", "--TaskManager.keep_bytes=1 TiB"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, **folders, "SSE_TASKS_DATA_DIR": str(data_dir),
                 "SSE_TASKS_RUNTIME_DIR": str(home / "sockets")})
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=60,
                                headers={"Authorization": f"token {TOKEN}"})
        while True:
            try:
                self.api.get("/status").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.005)
        self.seconds_to_up = time.perf_counter() - began
        self.processor_to_up = self.processor_seconds()

    def processor_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def stop(self) -> None:
        self.api.close()
        self.process.terminate()
        self.process.wait(30)


def milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def overview_ready(api: httpx.Client) -> None:
    with api.stream("GET", "/tasks", headers={"Accept": "text/event-stream"}) as stream:
        for line in stream.iter_lines():
            if '"ready"' in line:
                return


def longest_pause(api: httpx.Client, seconds: float) -> float:
    """The longest answer, in ms, to small requests one after the other."""
    until = time.monotonic() + seconds
    worst = 0.0
    while time.monotonic() < until:
        worst = max(worst, milliseconds(lambda: api.get("/status")))
    return worst


def settle(server: Server) -> None:
    """Until the server has looked at everything."""
    used = -1.0
    while (now := server.processor_seconds()) - used > 0.02:
        used = now
        time.sleep(1)


def report(what: str, server: Server, runs: int, call: Callable[[], object]) -> None:
    call()
    used = server.processor_seconds()
    taken = [milliseconds(call) for _ in range(runs)]
    used = (server.processor_seconds() - used) / runs * 1000
    print(f"{what}: {statistics.median(taken):.1f} ms [{used:.1f} ms] (n={runs}, most {max(taken):.1f})")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", type=int, default=10_000)
    options.add_argument("--runs", type=int, default=20)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="many-") as name:
        home = Path(name)
        fill(home / "full", given.tasks)
        print(f"{given.tasks:,} ended tasks; medians, and in brackets of the processor's time")
        for _ in range(2):  # the first fills the caches of the disk
            ups: dict[str, list[tuple[float, float]]] = {"empty": [], "full": []}
            for folder, found in ups.items():
                for _ in range(3):
                    server = Server(home, home / folder)
                    found.append((server.seconds_to_up, server.processor_to_up))
                    server.stop()
        for folder, found in ups.items():
            passed, used = (statistics.median(values) for values in zip(*found, strict=True))
            print(f"server up, {folder} folder: {passed:.2f} s [{used:.2f} s] (n={len(found)})")

        server = Server(home, home / "full")
        try:
            first = milliseconds(lambda: server.api.get("/tasks").raise_for_status())
            print(f"first GET api/tasks, right after: {first:.1f} ms (n=1)")
            with httpx.Client(base_url=server.api.base_url, headers=server.api.headers, timeout=60) as other:
                worst: list[float] = []
                pings = threading.Thread(target=lambda: worst.append(longest_pause(other, 2)))
                pings.start()
                print(f"first overview until ready: {milliseconds(lambda: overview_ready(server.api)):.1f} ms (n=1)")
                pings.join()
            print(f"longest answer to a ping in the first two seconds: {worst[0]:.1f} ms")
            settle(server)
            for query in ({}, {"status": "running"}, {"type": "scrape-reviews", "limit": "1000"}):
                params = httpx.QueryParams(query)
                report(f"GET api/tasks?{params}", server, given.runs, partial(server.api.get, "/tasks", params=params))
            report("overview until ready", server, given.runs, lambda: overview_ready(server.api))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
