"""A forkserver whose clock is turned back by an hour, for all that it forks too, from the moment when a file is there.

``turned_clock.py FILE -m sse_tasks.worker.forkserver …`` stands in for an interpreter.
"""

from __future__ import annotations

import os
import sys
import time

from sse_tasks.worker import forkserver

file = sys.argv[1]
sys.argv[:] = ["forkserver", *sys.argv[4:]]
time_now, time_ns_now = time.time, time.time_ns


def behind() -> int:
    return 3600 if os.path.exists(file) else 0


time.time = lambda: time_now() - behind()
time.time_ns = lambda: time_ns_now() - behind() * 1_000_000_000
forkserver.main()
