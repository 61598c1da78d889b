"""The copy of the library that a chaos run runs on: what is edited meanwhile doesn't touch it. And broken ones, which
show that the checker can see a fault."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["BREAKS", "make_copy"]

ROOT = Path(__file__).resolve().parents[2]


class Edit(NamedTuple):
    """In ``file``, ``old`` stands exactly once and becomes ``new``."""

    file: str
    old: str
    new: str


BREAKS: dict[str, Sequence[Edit]] = {
    # The bell that tells a task's keeper of a request is dropped, and nobody looks by himself.
    "bell": (
        Edit("sse_tasks/bell.py", "        self._send(task_id.encode(), task_id)\n", "        pass\n"),
        Edit("sse_tasks/watching.py", "\nLOOK_SECONDS = 1.0\n", "\nLOOK_SECONDS = 1e6\n"),
        Edit("sse_tasks/worker/ears.py", "\n_LOOK_SECONDS = 1.0", "\n_LOOK_SECONDS = 1e6"),
        Edit("sse_tasks/worker/forkserver.py", "\n_LOOK_SECONDS = 1.0", "\n_LOOK_SECONDS = 1e6"),
        Edit("sse_tasks/worker/forkserver.py", "\n_IDLE_LOOK_SECONDS = 2.0", "\n_IDLE_LOOK_SECONDS = 1e6"),
    ),
    # Whoever starts a task doesn't lock its log, so that it looks dead to everybody else.
    "lock": (
        Edit("sse_tasks/folder.py", "        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n", ""),
    ),
    # The forkserver buries a dead keeper and forgets to kill what fell to it.
    "kill": (
        Edit("sse_tasks/worker/forkserver.py",
             "an orphan that is this process's child was a dead one's.\n        kill_children(spare=self._own())\n",
             "\n"),
    ),
}


def make_copy(into: Path, broken: str | None = None, source: Path = ROOT) -> Path:
    """Copies the library and the server extension, and breaks the copy where that is asked for. Gives the folder for
    the import path. Raises ValueError where the text that is to be replaced isn't there, or is there twice."""
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source / "sse_tasks", into / "sse_tasks", ignore=skip)
    shutil.copytree(source / "jupyter_server_ext" / "sse_tasks_server", into / "sse_tasks_server", ignore=skip)
    for edit in BREAKS[broken] if broken else ():
        path = into / edit.file
        text = path.read_text("utf-8")
        if text.count(edit.old) != 1:
            raise ValueError(f"{broken}: {edit.file} holds this {text.count(edit.old)} times, not once:\n{edit.old}")
        path.write_text(text.replace(edit.old, edit.new), "utf-8")
    return into
