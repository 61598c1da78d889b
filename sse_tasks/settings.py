"""Where a user's tasks are kept, and what holds for those that are started from here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from traitlets import Enum, Float, Int, List, Unicode, default
from traitlets.config import Configurable

from .bell import choose_runtime_dir
from .errors import StorageError
from .size_trait import Size
from .worker.start_method import default_start_method

__all__ = ["TaskSettings"]

_FOLDERS = ("tasks", "waiting", "slots", "forkservers", "claims")


class TaskSettings(Configurable):
    """The settings of a ``TaskManager``, by whose name they are configured, and its folders. Sizes are bytes, times
    seconds.
    """

    data_dir = Unicode(help="Folder of the tasks (also SSE_TASKS_DATA_DIR); `sse_tasks` in Jupyter's data folder."
                       ).tag(config=True)
    runtime_dir = Unicode(help="Folder for sockets (also SSE_TASKS_RUNTIME_DIR); found by itself.").tag(config=True)
    worker_folders = List(Unicode(), help="Folders with worker files, beside those of SSE_TASKS_WORKERS."
                          ).tag(config=True)
    max_running = Int(min=1, help="How many tasks run at once; twice the cores.").tag(config=True)
    abort_grace = Float(5.0, min=0, help="Seconds that an aborted task has for cleaning up.").tag(config=True)
    default_timeout = Float(None, min=0, allow_none=True, help="Seconds after which a task fails, pauses not counted."
                            ).tag(config=True)
    max_waiting = Int(1000, min=1, help="How many tasks may wait for their turn; further starts are refused."
                      ).tag(config=True)
    min_free_bytes = Size("200 MiB", help="Space that must be free where the tasks are kept for one to start."
                          ).tag(config=True)
    keep_days = Float(30, min=0, allow_none=True, help="Days that ended tasks are kept; None: for ever."
                      ).tag(config=True)
    keep_bytes = Size("2 GiB", allow_none=True, help="What ended tasks may take on the disk: what ended first goes "
                      "first. None: any amount.").tag(config=True)
    keep_count = Int(1000, min=0, allow_none=True, help="How many ended tasks are kept: what ended first goes first. "
                     "None: any number.").tag(config=True)
    retry_delay = Float(1.0, min=0, help="Seconds before a task's second attempt; doubled before each further one, a "
                        "minute at most.").tag(config=True)
    memory_limit = Size(None, allow_none=True, help="Memory that a task may take with all its processes."
                        ).tag(config=True)
    output_limit = Size("20 MiB", help="Captured output of a task that is kept, head and tail.").tag(config=True)
    files_limit = Size("2 GiB", help="Size of all files that a task may make in ctx.files.").tag(config=True)
    result_limit = Size("256 MiB", help="The largest result of a task.").tag(config=True)
    item_limit = Size("16 MiB", help="The largest partial result that a task may emit.").tag(config=True)

    start_method = Enum(["fork", "spawn"], help="How a task's processes are started (also SSE_TASKS_START_METHOD): "
                        "fork on Linux, new interpreters elsewhere.").tag(config=True)

    @default("data_dir")
    def _default_data_dir(self) -> str:
        if folder := os.environ.get("SSE_TASKS_DATA_DIR"):
            return folder
        from jupyter_core.paths import jupyter_data_dir

        return os.path.join(jupyter_data_dir(), "sse_tasks")

    @default("start_method")
    def _default_start_method(self) -> str:
        return default_start_method()

    @default("runtime_dir")
    def _default_runtime_dir(self) -> str:
        return os.environ.get("SSE_TASKS_RUNTIME_DIR", "")

    @default("max_running")
    def _default_max_running(self) -> int:
        return 2 * (os.cpu_count() or 1)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = Path(self.data_dir).expanduser().absolute()
        self._make_folders()
        self._runtime = choose_runtime_dir(self.root, self.runtime_dir)

    def _make_folders(self) -> None:
        try:
            for folder in (self.root, *(self.root / name for name in _FOLDERS)):  # "parents" don't get this mode
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(self.root, error.strerror or str(error)) from error

    @property
    def socket_dir(self) -> str:
        """The folder of the sockets by which processes wake each other."""
        return str(self._runtime)
