"""Stubborn tasks, several at once, and the proof that nothing of an ended one is left.

By hand, from the project's folder: ``python -m tests.faults.abort_rounds 200`` aborts 200 tasks, one kind after the
other, and says in how many of them nothing was left. Words after the number choose the kinds.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sse_tasks.task_manager import TaskManager
from sse_tasks.types import ENDED
from sse_tasks.worker.processes import marked
from sse_tasks.worker.start_method import forks

from ..places import Place, began_at, command_of, descendants, processes_of, wait_for, workers_of

WORKERS = Path(__file__).parent / "workers"
GRACE = 0.3  # seconds for those that don't leave by themselves

HOWS = ("sessions", "daemons", "sigterm-ignored", "swallows", "threads", "tight-loop", "sum", "pbkdf2", "numpy",
        "stopped", "stops-itself", "pool", "spawned-pool", "futures", "subreaper", "fills-tmp",
        # What forks and leaves as fast as it can is caught where orphans fall to the keeper, and promised there alone.
        *(("hops", "forks", "forks-when-aborted") if forks() else ()))
SMALLEST_TREES = {"sessions": 9, "daemons": 7 if forks() else 5, "sigterm-ignored": 5, "swallows": 1, "tight-loop": 1,
                  "stopped": 5, "threads": 1, "pool": 4, "spawned-pool": 2, "futures": 4, "subreaper": 4,
                  "fills-tmp": 2}
"""So many processes below the runner, or that fell from it to the keeper, are there at least."""


def manager_of(place: Place, *, grace: float = GRACE) -> TaskManager:
    return place.manager(worker_folders=[str(WORKERS)], abort_grace=grace, max_running=16)


class Tree:
    """The processes of a task that lives, found in three ways: by descent from its keeper (where orphans don't fall to
    it, by the mark alone), by the mark in their environment, and by a FIFO whose write end they have inherited."""

    def __init__(self, place: Place, task_type: str, *, manager: TaskManager | None = None,
                 timeout: float | None = None, **input: object) -> None:
        fifo = place.scratch / f"fifo-{time.monotonic_ns()}"
        os.mkfifo(fifo)
        self._fifo = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.task = place.start(task_type, manager, options={"timeout": timeout}, fifo=str(fifo), **input)
        self._pids: dict[int, int] = {}

    def grow(self, least: int = 0) -> None:
        """Until it is there: then all three ways find it, so that finding nothing later means something."""
        self.task.until_message("grown", 60)
        runner = self.task.runner()
        keeper = self.task.keeper()

        def look() -> bool:
            tree = descendants(keeper) if forks() else workers_of(self.task.task_id)
            self._pids = {pid: began for pid in tree if (began := began_at(pid))}
            return len(self._pids) > least

        wait_for(f"{least} processes beside its runner", look)  # what it has started may start others
        assert runner in self._pids and runner in marked(self.task.task_id)
        assert self._holds_fifo()

    def _holds_fifo(self) -> bool:
        try:
            return os.read(self._fifo, 1) != b""
        except BlockingIOError:  # a writer lives, and has written nothing
            return True

    def has_ended(self) -> bool:
        update = self.task.latest()
        return update is not None and update.status in ENDED

    def left(self) -> list[str]:
        """What is there of the task; to be asked in the moment when its terminal update can be seen."""
        found = [f"{pid} by descent: {command_of(pid)}" for pid, began in self._pids.items() if began_at(pid) == began]
        if self._holds_fifo():
            found.append("somebody who holds the FIFO")
        found += [f"{pid} by its mark: {command_of(pid)}" for pid in workers_of(self.task.task_id)]
        if self.task.temp_dir.exists():
            found.append(f"its TMPDIR: {os.listdir(self.task.temp_dir)[:5]}")
        os.close(self._fifo)
        if not found:
            wait_for("its keeper to leave", lambda: not processes_of(self.task.task_id))
        return found


def abort_rounds(place: Place, count: int, *, at_once: int = 4, hows: Sequence[str] = HOWS) -> list[str]:
    """Aborts ``count`` stubborn tasks, so many at once, and gives what was left of any of them."""
    faults = []
    turns = list(itertools.islice(itertools.cycle(hows), count))
    for first in range(0, count, at_once):
        trees = [(how, Tree(place, "be_stubborn", how=how)) for how in turns[first:first + at_once]]
        for how, tree in trees:
            tree.grow(SMALLEST_TREES.get(how, 0))
        for _, tree in trees:
            tree.task.ask("abort")
        while trees:  # whichever ends is looked at right then
            ended = wait_for("an end", lambda trees=trees: [each for each in trees if each[1].has_ended()], 60)
            for how, tree in ended:
                left = tree.left()
                end = tree.task.one_terminal()
                if left or end.status != "aborted":
                    faults.append(f"{how}: {end.status}, {left}")
            trees = [each for each in trees if each not in ended]
    return faults


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    place = Place()
    began = time.monotonic()
    try:
        manager_of(place)
        faults = abort_rounds(place, count, hows=sys.argv[2:] or HOWS)
    finally:
        later = place.close()
    for fault in faults + later:
        print(fault)
    print(f"{count - len(faults)} of {count} gone, in {time.monotonic() - began:.0f} s")
    return 1 if faults or later else 0


if __name__ == "__main__":
    sys.exit(main())
