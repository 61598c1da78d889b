"""Following tasks: bells where they reach, a look at the files each second where they don't."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .bell import Listener

if TYPE_CHECKING:
    from .task_manager import TaskManager

__all__ = ["LoopWatch", "ThreadWatch"]

LOOK_SECONDS = 1.0

_log = logging.getLogger(__name__)

Callback = Callable[[str], None]


class Watch:
    """Who follows which task, and the ear for all of them. Not yet driven by anything: see its subclasses."""

    def __init__(self, manager: TaskManager, runtime_dir: Path) -> None:
        self._manager = manager
        self._runtime_dir = runtime_dir
        self._listener = Listener(runtime_dir)
        self._callbacks: dict[str | None, list[Callback]] = {}
        self._seen: dict[str, tuple[int, ...]] = {}
        self._names: set[str] = set()
        self._closing = False
        self._lock = threading.Lock()

    def add(self, task_id: str | None, callback: Callback) -> None:
        with self._lock:
            self._callbacks.setdefault(task_id, []).append(callback)
        if task_id is not None:
            self._seen.setdefault(task_id, self._manager.sizes(task_id))
        elif not self._names:
            self._names = set(self._manager.ids())
            self._seen.update((known, self._manager.sizes(known)) for known in self._manager.known_live_ids())

    def discard(self, task_id: str | None, callback: Callback) -> bool:
        """Whether nobody follows anything any more."""
        with self._lock:
            callbacks = self._callbacks.get(task_id, [])
            if callback in callbacks:
                callbacks.remove(callback)
            if not callbacks:
                self._callbacks.pop(task_id, None)
            return not self._callbacks

    def hear(self) -> None:
        """Passes on what the bells say."""
        for task_id in self._listener.hear():
            self._tell(task_id)

    def _look_safely(self) -> None:
        """Passes on what has changed without a bell, and recovers what has died, which may take seconds."""
        try:
            changed, others = self._compare()
            self._tell_all(changed)
        except Exception:  # the next look may do better; without looks a bell that is lost would be lost for good
            _log.exception("the tasks can't be looked at now")
            return
        for task_id in others:
            if not self._closing:
                self._recover(task_id)

    def _compare(self) -> tuple[list[str], list[str]]:
        """The tasks of which something has changed since the last time, and the others that are there."""
        with self._lock:
            everything = None in self._callbacks
            ids = {task_id for task_id in self._callbacks if task_id is not None}
        changed: list[str] = []
        if everything:
            names = set(self._manager.ids())
            changed.extend(names ^ self._names)  # new ones, and forgotten ones
            self._names = names
            ids.update(self._manager.live_ids())
        before = self._seen
        sizes = {task_id: self._manager.sizes(task_id) for task_id in ids | before.keys()}  # of those just ended, too
        self._seen = {task_id: sizes[task_id] for task_id in ids}
        changed.extend(task_id for task_id in sizes if sizes[task_id] != before.get(task_id))
        others = [task_id for task_id in ids if sizes[task_id] and sizes[task_id] == before.get(task_id)]
        return changed, others

    def _recover(self, task_id: str) -> None:
        try:
            self._manager.recover_if_dead(task_id)
        except Exception:  # one task's broken folder is not the others', nor the end of this watch
            _log.exception("the task %s can't be looked at", task_id)

    def _tell_all(self, task_ids: list[str]) -> None:
        for task_id in task_ids:
            self._tell(task_id)

    def _tell(self, task_id: str) -> None:
        with self._lock:
            callbacks = [*self._callbacks.get(task_id, ()), *self._callbacks.get(None, ())]
        for callback in callbacks:
            try:
                callback(task_id)
            except Exception:  # one follower's fault is not the others'
                _log.exception("a callback of TaskManager.watch failed")

    def _renew_if_lost(self) -> None:
        """Listens anew where the socket has been taken away."""
        if not self._listener.is_reachable():
            self._renew()

    def _renew(self) -> None:
        self._listener.close()
        self._listener = Listener(self._runtime_dir)

    def close(self) -> None:
        self._listener.close()


class LoopWatch(Watch):
    """Driven by an asyncio loop: callbacks run on it, right from the bell's socket. A thread looks at the files: there
    may be many, and a task that has died may need a forkserver."""

    def __init__(self, manager: TaskManager, runtime_dir: Path, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(manager, runtime_dir)
        self._loop = loop
        self._due = threading.Event()
        loop.add_reader(self._listener.fileno(), self.hear)
        self._timer = loop.call_later(LOOK_SECONDS, self._tick)
        threading.Thread(target=self._run, name="sse-tasks-look", daemon=True).start()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(LOOK_SECONDS, self._tick)
        self._renew_if_lost()
        self._due.set()

    def _run(self) -> None:
        while self._due.wait() and not self._closing:
            self._due.clear()
            self._look_safely()

    def _renew(self) -> None:
        self._loop.remove_reader(self._listener.fileno())
        super()._renew()
        self._loop.add_reader(self._listener.fileno(), self.hear)

    def _tell_all(self, task_ids: list[str]) -> None:
        if not task_ids:
            return
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(super()._tell_all, task_ids)

    def close(self) -> None:
        self._closing = True
        self._due.set()
        self._timer.cancel()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._listener.fileno())
        super().close()


class ThreadWatch(Watch):
    """Driven by a thread of its own, which runs the callbacks."""

    def __init__(self, manager: TaskManager, runtime_dir: Path) -> None:
        super().__init__(manager, runtime_dir)
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="sse-tasks-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        next_look = time.monotonic() + LOOK_SECONDS
        while not self._closing:
            bells = select.poll()  # select() has no room for the descriptors of a large process
            for fd in (self._listener.fileno(), self._wake_read):
                bells.register(fd, select.POLLIN)
            heard = bells.poll(max(0.0, next_look - time.monotonic()) * 1000)
            if self._closing:
                break
            if heard:
                self.hear()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + LOOK_SECONDS
                self._renew_if_lost()
                self._look_safely()
        os.close(self._wake_read)
        super().close()

    def close(self) -> None:
        self._closing = True
        try:
            os.write(self._wake_write, b"x")
        except BrokenPipeError:  # the thread was awake, and has left already
            pass
        os.close(self._wake_write)
