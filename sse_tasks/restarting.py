"""A restart: a new task with the input of an ended one, and with what that had done up to its last checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .errors import NothingThereError
from .folder import TaskFolder
from .recovery import metrics_bytes
from .types import TaskSpec

__all__ = ["Checkpoint", "RestartPlan", "plan_restart"]

_PIECE_BYTES = 1 << 20
_SHELLS_OWN = frozenset({  # and each kernel's
    "_", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "GIT_PAGER", "JPY_PARENT_PID", "JPY_SESSION_NAME", "MPLBACKEND",
    "OLDPWD", "PAGER", "PWD", "PYDEVD_USE_FRAME_EVAL", "SHLVL"})
_NAMED = 20


@dataclass(frozen=True)
class Checkpoint:
    """A saved state that can be gone on from: how much of ``items.jsonl`` and ``metrics.jsonl`` belongs to it."""

    items_bytes: int
    items: int
    metrics_bytes: int = 0
    metrics: int = 0


@dataclass(frozen=True)
class RestartPlan:
    """What a restarted task begins with, and the ``message`` of its first update."""

    old: TaskFolder
    checkpoint: Checkpoint | None
    message: str

    @property
    def items(self) -> int:
        return self.checkpoint.items if self.checkpoint else 0

    @property
    def metrics(self) -> int:
        return self.checkpoint.metrics if self.checkpoint else 0

    def fill(self, new: Path) -> None:
        """Copies what the new task begins with into its folder, piece by piece: items may be gigabytes.

        Raises OSError; FileNotFoundError where the old folder is going.
        """
        function = self.old.path / "worker.pickle"
        if function.exists():
            shutil.copyfile(function, new / "worker.pickle")
        if self.checkpoint is None:
            return
        shutil.copyfile(self.old.path / "checkpoint.json", new / "checkpoint.json")
        if self.checkpoint.items_bytes:
            self._copy(new, "items.jsonl", self.checkpoint.items_bytes)
            self._copy_exact(new)
        if self.checkpoint.metrics_bytes:
            self._copy(new, "metrics.jsonl", self.checkpoint.metrics_bytes)

    def _copy(self, new: Path, name: str, length: int) -> None:
        """The first ``length`` bytes of a file."""
        with _open_regular(self.old.path / name) as source, open(new / name, "wb") as target:
            while length and (data := source.read(min(_PIECE_BYTES, length))):
                target.write(data)
                length -= len(data)

    def _copy_exact(self, new: Path) -> None:
        """The items that JSON says only roughly, each a line with the place of its item in ``items.jsonl``."""
        exact = self.old.path / "items.exact.jsonl"
        if self.checkpoint is None or not exact.is_file():
            return
        with _open_regular(exact) as source, open(new / "items.exact.jsonl", "wb") as target:
            for line in source:
                if not line.endswith(b"\n") or json.loads(line)["at"] >= self.checkpoint.items_bytes:
                    break
                target.write(line)


def plan_restart(spec: TaskSpec, old: TaskFolder, environ: Mapping[str, str], *, fresh: bool) -> RestartPlan:
    """How the task in ``old`` is restarted: from its checkpoint unless ``fresh``, or where that is no good.

    Raises NothingThereError for a function of a notebook that was not kept.
    """
    if "pickle" in spec.worker and not (old.path / "worker.pickle").is_file():
        raise NothingThereError("The function of this task is no longer there: run the cell that started it again.")
    checkpoint = None
    if fresh:
        message = "Restarted from the beginning."
    else:
        try:
            checkpoint = read_checkpoint(old.path)
            message = (f"Restarted from the last checkpoint, with {checkpoint.items:,} "
                       f"item{'' if checkpoint.items == 1 else 's'}.")
        except FileNotFoundError:
            message = "Restarted from the beginning: no checkpoint had been saved."
        except (OSError, ValueError) as error:
            message = f"Restarted from the beginning: the checkpoint is no good ({error})."
    missing = sorted(set(spec.environ) - set(environ) - _SHELLS_OWN)
    if missing:
        message += f" Its environment lacks {', '.join(missing[:_NAMED])}{', …' if len(missing) > _NAMED else ''}."
    return RestartPlan(old, checkpoint, message)


def read_checkpoint(folder: Path) -> Checkpoint:
    """The saved checkpoint. Raises ValueError for one that can't be gone on from, and OSError."""
    try:
        saved = json.loads(_read_regular(folder / "checkpoint.json"))
    except (ValueError, RecursionError):
        raise ValueError("it can't be read") from None
    length = saved.get("items_bytes") if isinstance(saved, dict) else None
    if isinstance(length, bool) or not isinstance(length, int) or length < 0 or "state" not in saved:
        raise ValueError("it has no state or no length of the items")
    if length == 0:
        return Checkpoint(0, 0, *_metrics(folder, metrics_bytes(saved)))
    try:
        with _open_regular(folder / "items.jsonl") as items:
            return Checkpoint(length, _count_lines(items, length), *_metrics(folder, metrics_bytes(saved)))
    except FileNotFoundError:
        raise ValueError("its items are gone") from None


def _metrics(folder: Path, length: int) -> tuple[int, int]:
    """The bytes of the metrics that are taken along, and how many points these are. None of them where the file is no
    good: it is a chart, and no reason to refuse a state."""
    if not length:
        return 0, 0
    try:
        with _open_regular(folder / "metrics.jsonl") as metrics:
            return length, _count_lines(metrics, length)
    except (OSError, ValueError):
        return 0, 0


def _count_lines(items: BinaryIO, length: int) -> int:
    """How many lines the first ``length`` bytes are. Raises ValueError where these are no whole lines."""
    if os.fstat(items.fileno()).st_size < length:
        raise ValueError("it has more items than there are")
    count = 0
    data = b""
    while length and (data := items.read(min(_PIECE_BYTES, length))):
        count += data.count(b"\n")
        length -= len(data)
    if not data.endswith(b"\n"):
        raise ValueError("it ends in the middle of an item")
    return count


def _read_regular(path: Path) -> Any:
    with _open_regular(path) as file:
        return file.read()


def _open_regular(path: Path) -> BinaryIO:
    """Through no link and from no pipe: the worker could write here."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError("it is no file")
    return os.fdopen(fd, "rb")
