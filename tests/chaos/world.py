"""What all actors of a chaos run share: the place, its peers, what is known of its tasks, and the books."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from .build import make_copy
from .evidence import ENDED
from .peers import Kernel, Server

__all__ = ["MAX_RUNNING", "World", "last_update"]

MAX_RUNNING = 6
CHAOS = Path(__file__).resolve().parent

_CONFIG = f"""
c.TaskManager.max_running = {MAX_RUNNING}
c.TaskManager.abort_grace = 2.0
c.TaskManager.keep_days = 1000
c.TaskManager.keep_bytes = "1000 GiB"
c.TaskManager.keep_count = 1000000
c.TaskManager.max_waiting = 1000
"""


def last_update(log: Path) -> tuple[dict[str, Any], int]:
    """The last whole update of a log and the cursor after it; nothing of a log that has none."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            begin = size
            while begin > 0:
                begin = max(0, begin - 8192)
                file.seek(begin)
                lines = file.read(size - begin).split(b"\n")
                end = size - len(lines.pop())
                while len(lines) > (1 if begin else 0):
                    line = lines.pop()
                    try:
                        return json.loads(line), end
                    except ValueError:
                        end -= len(line) + 1
    except OSError:
        pass
    return {}, 0


class World:
    """One run's place and books. The books are files, so that what was known is there whatever happens."""

    def __init__(self, seed: int, broken: str | None, source: Path) -> None:
        self.seed = seed
        self.home = Path(tempfile.mkdtemp(prefix="sc-", dir="/tmp" if os.path.isdir("/tmp") else None))
        for name in ("root", "traces", "seen", "overviews", "archive", "t", "c"):
            (self.home / name).mkdir()
        code = make_copy(self.home / "code", broken, source)
        workers = self.home / "workers"
        workers.mkdir()
        (workers / "shapes.py").write_bytes((CHAOS / "workers" / "shapes.py").read_bytes())
        (code / "in_kernel.py").write_bytes((CHAOS / "in_kernel.py").read_bytes())
        (self.home / "c" / "jupyter_sse_tasks_config.py").write_text(_CONFIG)
        os.environ |= {f"JUPYTER_{name}_DIR": str(self.home / folder) for name, folder in
                       (("CONFIG", "c"), ("DATA", "j"), ("RUNTIME", "k"))} | {"IPYTHONDIR": str(self.home / "i")}
        environ = dict(os.environ) | {
            "PYTHONPATH": str(code), "SSE_TASKS_DATA_DIR": str(self.home / "d"),
            "SSE_TASKS_RUNTIME_DIR": str(self.home / "r"), "SSE_TASKS_WORKERS": str(workers),
            "TMPDIR": str(self.home / "t"), "CHAOS_TRACES": str(self.home / "traces")}
        self.servers = [Server(name, self.home, environ) for name in "ab"]
        # A variable that counts at exec: the second kernel has a forkserver of its own, which starts new interpreters.
        self.kernels = [Kernel(name, self.home, environ | extra)
                        for name, extra in (("a", {}), ("b", {"LC_CHAOS": "b", "SSE_TASKS_START_METHOD": "spawn"}))]
        self.tasks_dir = self.home / "d" / "tasks"
        self._books: dict[str, TextIO] = {}
        self.types: dict[str, str] = {}
        """The types of tasks."""
        self.confirmed: set[str] = set()
        """Those whose start has been answered."""
        self.forgetting: set[str] = set()
        """Those that somebody was asked to forget."""
        self.forgotten: set[str] = set()
        """Those of which it was answered that they are forgotten."""
        self.keys = 0
        self.revivals: set[asyncio.Task[None]] = set()
        """Of servers and kernels that were killed."""
        self.live: dict[str, dict[str, Any]] = {}
        """The last updates of the tasks that have not ended, as the monitor saw them."""
        self.ended: list[str] = []
        self.totals: Counter[str] = Counter()
        self.faults: list[str] = []
        self._told: set[str] = set()
        self.killed_at: dict[str, float] = {}
        self.is_closing = False

    def random(self, actor: str) -> random.Random:
        """An actor's own source of chance: what others draw doesn't change it."""
        return random.Random(f"{self.seed} {actor}")

    def note(self, book: str, **what: Any) -> None:
        if book not in self._books:
            self._books[book] = open(self.home / f"{book}.jsonl", "a", 1, encoding="utf-8")  # noqa: SIM115
        self._books[book].write(json.dumps(what) + "\n")

    def fault(self, text: str, about: str | None = None) -> None:
        """What is wrong already while it runs; told once, and once for what it is about."""
        if (about or text) not in self._told:
            self._told.add(about or text)
            self.faults.append(text)
            self.note("faults", fault=text)
            print(f"FAULT {text}", file=sys.stderr, flush=True)

    def note_start(self, task_id: str, task_type: str, **more: Any) -> None:
        self.types[task_id] = task_type
        self.confirmed.add(task_id)
        self.totals["starts"] += 1
        self.note("started", task=task_id, type=task_type, at=time.time(), **more)

    def type_of(self, task_id: str) -> str | None:
        """Of any task that is there, confirmed or not."""
        if task_id not in self.types:
            try:
                self.types[task_id] = json.loads((self.tasks_dir / task_id / "task.json").read_bytes())["taskType"]
            except (OSError, ValueError, KeyError):
                return None
        return self.types[task_id]

    def last_cursor(self, task_id: str) -> int:
        """Where its log ends; 0 where there is none."""
        return last_update(self.tasks_dir / task_id / "events.jsonl")[1]

    def has_ended(self, task_id: str) -> bool:
        return last_update(self.tasks_dir / task_id / "events.jsonl")[0].get("status") in ENDED
