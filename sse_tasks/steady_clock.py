"""What time it is for retention: a wall clock that is set forward must not make every task look old.

While a machine runs, time passes as its uninterrupted clock says. The first manager of a boot writes beside the tasks
what both clocks show, and whoever wants to know the time takes the smaller of two: what the wall clock shows now, and
what it showed then plus what has passed since. So tasks are kept too long, at worst, and never too short.
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

from .hosts.local import host_id
from .types import new_task_id

__all__ = ["SteadyClock"]

_MOST_BYTES = 4096
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts while the machine sleeps, too, where the system has such a clock."""


class SteadyClock:
    """The clock of one data folder, kept in the file ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._boot = _boot_id()
        self._began = time.time() - time.clock_gettime(_CLOCK)
        kept = self._kept()
        if kept is None:
            self._keep()
        else:
            self._began = min(self._began, kept)

    def now(self) -> float:
        """Seconds since 1970, and never more than have passed since the first look of this boot."""
        return min(time.time(), self._began + time.clock_gettime(_CLOCK))

    def _kept(self) -> float | None:
        """What the wall clock showed at this boot's beginning, as the first manager saw it."""
        try:
            with open(self._path, "rb") as file:
                kept = json.loads(file.read(_MOST_BYTES))
            began = float(kept["began"])
            return began if kept["boot"] == self._boot and math.isfinite(began) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _keep(self) -> None:
        partial = self._path.with_name(f"{self._path.name}-{new_task_id()}")
        try:
            partial.write_text(json.dumps({"boot": self._boot, "began": self._began}), "ascii")
            os.replace(partial, self._path)
        except OSError:
            pass  # nothing can be forgotten there, either


def _boot_id() -> str:
    """Tells one run of the machine from another; containers share it, as they share its clocks."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return host_id()
