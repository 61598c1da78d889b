"""A program whose clock is turned, for all that it forks too, from the moment when a file is there: by the seconds that
stand in it, back by an hour if it is empty.

``turned_clock.py FILE -m sse_tasks.worker.forkserver …`` stands in for an interpreter.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

file, module = Path(sys.argv[1]), sys.argv[3]
sys.argv[:] = [module, *sys.argv[4:]]
time_now, time_ns_now = time.time, time.time_ns


def ahead() -> int:
    try:
        return int(file.read_text("ascii") or -3600)
    except OSError:
        return 0


time.time = lambda: time_now() + ahead()
time.time_ns = lambda: time_ns_now() + ahead() * 1_000_000_000
runpy.run_module(module, run_name="__main__", alter_sys=True)
