"""Real forkservers, keepers and runners on a data folder of their own; nothing of them may be left at the end."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sse_tasks.folder import TaskFolder
from sse_tasks.task_manager import TaskManager
from sse_tasks.types import ENDED, TaskInfo, TaskUpdate
from sse_tasks.worker.processes import mark_of

T = TypeVar("T")

PROCESS_TESTS = Path(__file__).parent / "process"
WORKERS = PROCESS_TESTS / "workers"
STEPPING = PROCESS_TESTS / "stepping_forkserver.py"
STARTER = PROCESS_TESTS / "stepping_starter.py"
KEEPER_MODULE = "sse_tasks.worker.keeper_process"


def wait_for(what: str, look: Callable[[], T], seconds: float = 60.0) -> T:
    """Looks until there is something to see, and gives it; fails with ``what`` was waited for.

    A look that takes long is followed by as long a rest: what is waited for needs the processor, too.
    """
    began = time.monotonic()
    deadline = began + seconds
    while not (seen := look()):
        now = time.monotonic()
        if now > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(min(0.05, max(0.004, now - began)))
        began = time.monotonic()
    return seen


def parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return None


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def _facts(pid: int) -> tuple[str, int] | None:
    """State letter and parent."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields[0].decode(), int(fields[1])


def living() -> list[int]:
    """All processes but the dead ones that nobody has waited for."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if (facts := _facts(pid)) and facts[0] not in "ZX"]


def is_keeper(pid: int) -> bool:
    return _is_keepers(command_of(pid))


def _is_keepers(command: str) -> bool:
    return command.startswith("sse-task keeper") or KEEPER_MODULE in command


def began_at(pid: int) -> int | None:
    """When a living process began, in clock ticks since the machine did: that tells it from a later one of the same
    number, and older ones from younger ones where numbers begin anew. None if it doesn't live."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def processes_of(task_id: str) -> list[int]:
    """Whatever belongs to a task by its mark or its title. A keeper that was started as a new interpreter has neither:
    it is known by its runner."""
    found = {pid for pid in living() if pid != os.getpid() and (mark_of(pid) == task_id or task_id in command_of(pid))}
    keepers = {facts[1] for pid in found if (facts := _facts(pid)) and is_keeper(facts[1])}
    return sorted(found | keepers)


def workers_of(task_id: str) -> list[int]:
    """The same without the keeper, which writes the end and leaves right after: asked once what it is, for asked a
    second time it may be gone, and be nothing."""
    commands = [(pid, command_of(pid)) for pid in processes_of(task_id)]
    return [pid for pid, command in commands if command and not _is_keepers(command)]


def descendants(pid: int) -> list[int]:
    """The living processes below ``pid``, by parentage alone."""
    parents = {each: facts[1] for each in living() if (facts := _facts(each))}
    found = [pid]
    for each in found:
        found.extend(child for child, parent in parents.items() if parent == each)
    return found[1:]


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Task:
    """A started task, seen through a manager and, without recovering anything, through its folder."""

    def __init__(self, manager: TaskManager, task_id: str) -> None:
        self.manager = manager
        self.task_id = task_id
        self.folder: TaskFolder = manager.folder(task_id)

    @property
    def temp_dir(self) -> Path:
        return Path(self.folder.spec().temp_dir)

    def latest(self) -> TaskUpdate | None:
        return self.folder.latest()[0]

    def ask(self, action: Any) -> None:
        self.manager.ask(self.task_id, action)

    def until(self, status: str, seconds: float = 60.0) -> TaskUpdate:
        """The first update seen that has this status."""
        seen: list[TaskUpdate] = []

        def look() -> bool:
            update = self.latest()
            if update is not None and update.status == status:
                seen.append(update)
            return bool(seen)

        try:
            wait_for(status, look, seconds)
            return seen[0]
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.latest()}; output: {self.output()[-2000:]}") from None

    def until_requested(self, action: str | None) -> None:
        """Until an update has said that ``action`` was asked for; the task may have gone on since. None: until the
        latest says that nothing is."""
        def look() -> bool:
            if action is None:
                return (update := self.latest()) is not None and update.requested is None
            return any(update.requested == action for _, update in self.folder.updates())

        wait_for(f"requested {action}", look)

    def until_message(self, message: str, seconds: float = 60.0) -> None:
        try:
            wait_for(f"the message {message!r}", lambda: (self.latest() or TaskUpdate("")).message == message, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.latest()}; output: {self.output()[-2000:]}") from None

    def end(self, seconds: float = 60.0) -> TaskUpdate:
        """Its terminal update, which must be its only one and its last."""
        def look() -> TaskUpdate | None:
            update = self.latest()
            return update if update is not None and update.status in ENDED else None

        try:
            wait_for("the end", look, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.latest()}; output: {self.output()[-2000:]}") from None
        return self.one_terminal()

    def one_terminal(self) -> TaskUpdate:
        updates = [update for _, update in self.folder.updates()]
        ends = [update for update in updates if update.status in ENDED]
        assert len(ends) == 1, ends
        assert updates[-1] is ends[0]
        return ends[0]

    def info(self) -> TaskInfo:
        return self.manager.info(self.task_id)

    def output(self) -> str:
        try:
            return (self.folder.path / "output.log").read_text("utf-8", "replace")
        except OSError:
            return ""

    def items(self) -> list[bytes]:
        try:
            return (self.folder.path / "items.jsonl").read_bytes().split(b"\n")[:-1]
        except OSError:
            return []

    def runner(self) -> int:
        """The process of the worker: the keeper's oldest child."""
        def look() -> list[tuple[int, int]]:
            return [(began, pid) for pid in processes_of(self.task_id)
                    if (facts := _facts(pid)) and is_keeper(facts[1]) and (began := began_at(pid)) is not None]

        return min(wait_for("the runner", look))[1]

    def keeper(self) -> int:
        """What it has only just forked is called like it, and is none."""
        def look() -> list[int]:
            found = [pid for pid in processes_of(self.task_id) if is_keeper(pid)]
            return [pid for pid in found if parent_of(pid) not in found]

        return wait_for("the keeper", look)[0]


class Place:
    """A data folder with its managers, tasks and processes."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="sp-"))
        self.data_dir = self.home / "d"
        self.scratch = self.home / "x"
        self.scratch.mkdir()
        self._managers: list[TaskManager] = []

    def manager(self, **traits: Any) -> TaskManager:
        settings = {"data_dir": str(self.data_dir), "runtime_dir": str(self.home / "r"), "max_running": 8,
                    "worker_folders": [str(WORKERS)]} | traits
        manager = TaskManager(**settings)
        self._managers.append(manager)
        return manager

    def start(self, task_type: str, manager: TaskManager | None = None, *, options: dict[str, Any] | None = None,
              **input: Any) -> Task:
        manager = manager or (self._managers[0] if self._managers else self.manager())
        return Task(manager, manager.start(task_type.replace("_", "-"), input, **(options or {})).task_id)

    def stepping_interpreter(self, step: str) -> str:
        """An interpreter whose forkserver, keeper or runner is killed at ``step``, the first time it gets there."""
        script = self.scratch / f"python-{step}"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {STEPPING} {step} {self.scratch}/{step}.reached "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return str(script)

    def reached(self, step: str) -> Path:
        return self.scratch / f"{step}.reached"

    def task_ids(self) -> list[str]:
        return [path.name for path in (self.data_dir / "tasks").glob("[0-9a-z]*")]

    def forkservers(self) -> list[int]:
        """What a forkserver has only just forked is called like it, and is none."""
        found = [pid for pid in living() if str(self.data_dir) in command_of(pid) and "forkserver" in command_of(pid)
                 and pid != os.getpid()]
        return [pid for pid in found if parent_of(pid) not in found]

    def waiting(self) -> list[str]:
        return sorted(os.listdir(self.data_dir / "waiting"))

    def close(self) -> list[str]:
        """Ends everything; gives what should not have been there: processes of tasks that have ended."""
        faults = [f"{task_id} has ended, and {command_of(pid)!r} is there" for task_id in self.task_ids()
                  if (update := TaskFolder(self.data_dir / "tasks" / task_id).latest()[0]) and update.status in ENDED
                  for pid in workers_of(task_id)]
        for manager in self._managers:
            manager.close()

        def left() -> list[int]:
            pids = set(self.forkservers())
            ids = self.task_ids()
            for pid in living():
                if pid != os.getpid() and (mark_of(pid) in ids or any(i in command_of(pid) for i in ids)):
                    pids.add(pid)
            pids |= {below for pid in pids for below in descendants(pid)}
            for pid in pids:
                kill(pid)
            return sorted(pids)

        wait_for("the end of all processes", lambda: not left())
        for task_id in self.task_ids():
            shutil.rmtree(Path(tempfile.gettempdir()) / f"sse-task-{task_id}", ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)
        return faults
