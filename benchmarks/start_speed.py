"""How soon a task's first line runs: with spare pairs, without them, beside a bare forkserver and RQ's fork per job.

All in one run and in turns, so that the ratios compare the same moments. RQ is measured where ``--rq PYTHON`` names an
interpreter that has it and ``redis-server`` is on the path. Run: ``python benchmarks/start_speed.py [--runs 50]``. On a
machine with other work, as root: ``chrt -f 10 python …``, which lets it go before all others.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sse_tasks.task_manager import TaskManager

WORKER = '''
import time
from sse_tasks import task

@task
def first_line(path: str):
    moment = time.perf_counter_ns()
    with open(path, "wb", buffering=0) as file:
        file.write(b"%d" % moment)
'''

FORKSERVER = '''
import sys
from sse_tasks.worker import forkserver, spares
spares.COUNT = {count}
spares._is_processor_free = lambda: True  # it is not the machine's other work that is measured
sys.argv[:] = ["forkserver", *sys.argv[3:]]
forkserver.main()
'''

BARE_FORKSERVER = '''
import os, socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("up", flush=True)
connection, _ = server.accept()
while path := connection.recv(1000):
    if os.fork() == 0:
        moment = time.perf_counter_ns()
        with open(path, "wb", buffering=0) as file:
            file.write(b"%d" % moment)
        os._exit(0)
    os.wait()
'''

RQ_JOB = '''
import time

def first_line(path):
    moment = time.perf_counter_ns()
    with open(path, "wb", buffering=0) as file:
        file.write(b"%d" % moment)
'''

RQ_SUBMIT = '''
import sys
from redis import Redis
from rq import Queue
queue = Queue(connection=Redis(unix_socket_path=sys.argv[1]))
print("up", flush=True)
for line in sys.stdin:
    queue.enqueue("rq_job.first_line", line.strip())
'''

Start = Callable[[str], None]


@contextlib.contextmanager
def ours(folder: Path, *, spares: bool) -> Iterator[Start]:
    (folder / "workers").mkdir()
    (folder / "workers" / "bench.py").write_text(textwrap.dedent(WORKER))
    manager = TaskManager(data_dir=str(folder / "d"), runtime_dir=str(folder / "r"),
                          worker_folders=[str(folder / "workers")])
    (folder / "forkserver.py").write_text(FORKSERVER.format(count=2 if spares else 0))
    interpreter = str(folder / "python")
    Path(interpreter).write_text(f'#!/bin/sh\nexec {sys.executable} {folder}/forkserver.py "$@"\n')
    os.chmod(interpreter, 0o700)
    yield lambda path: manager.start("first-line", {"path": path}, interpreter=interpreter) and None
    manager.close()


@contextlib.contextmanager
def bare_forkserver(folder: Path) -> Iterator[Start]:
    with subprocess.Popen([sys.executable, "-c", BARE_FORKSERVER, folder / "s"], stdout=subprocess.PIPE) as server:
        assert server.stdout
        server.stdout.readline()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(folder / "s"))
            yield lambda path: connection.sendall(path.encode())


@contextlib.contextmanager
def rq(folder: Path, python: str) -> Iterator[Start]:
    (folder / "rq_job.py").write_text(RQ_JOB)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    path = str(folder / "redis")
    redis = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", ""], cwd=folder, **quiet)
    while not os.path.exists(path):
        time.sleep(0.01)
    env = {**os.environ, "PYTHONPATH": str(folder)}
    worker = subprocess.Popen([python, "-m", "rq.cli", "worker", "--url", f"unix://{path}"], env=env, **quiet)
    with subprocess.Popen([python, "-c", RQ_SUBMIT, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          bufsize=1) as submit:
        assert submit.stdin and submit.stdout
        submit.stdout.readline()

        def start(path: str) -> None:
            submit.stdin.write(path + "\n")

        yield start
        submit.stdin.close()
    for process in (worker, redis):
        process.kill()
        process.wait()


def sample(start: Start, fifo: str, reader: int) -> float:
    began = time.perf_counter_ns()
    start(fifo)
    return (int(os.read(reader, 64)) - began) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two starts")
    parser.add_argument("--rq", metavar="PYTHON", help="an interpreter that has rq and redis")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="b-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        fifo = str(folder / "fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDWR)

        def place(name: str) -> Path:
            (folder / name).mkdir()
            return folder / name

        kinds = {"bare forkserver": stack.enter_context(bare_forkserver(place("bare"))),
                 "sse_tasks, spare pairs": stack.enter_context(ours(place("with"), spares=True)),
                 "sse_tasks, without spares": stack.enter_context(ours(place("none"), spares=False))}
        if options.rq and shutil.which("redis-server"):
            kinds["RQ, fork per job"] = stack.enter_context(rq(place("rq"), options.rq))
        else:
            print("RQ was not measured: --rq names no interpreter, or there is no redis-server.")
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in range(options.runs + 2):
            for kind, start in kinds.items():
                milliseconds = sample(start, fifo, reader)
                if number >= 2:  # the first ones start what stays
                    times[kind].append(milliseconds)
                time.sleep(options.pause)
        floor = statistics.median(times["bare forkserver"])
        for kind, values in times.items():
            median = statistics.median(values)
            print(f"{kind:28} {median:8.2f} ms  ×{median / floor:5.2f}  (median of {len(values)}; "
                  f"p95 {sorted(values)[int(len(values) * 0.95) - 1]:.2f})")


if __name__ == "__main__":
    main()
