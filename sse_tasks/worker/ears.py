"""What a keeper listens to: signals, its task's bell, and the pipes of its runner, all on one selector."""

from __future__ import annotations

import os
import selectors
import signal
import time
from pathlib import Path
from typing import NamedTuple

from ..bell import Listener

__all__ = ["Ears", "Heard"]

_LOOK_SECONDS = 1.0  # where no bell reaches


class Heard(NamedTuple):
    """What has happened: descriptors that are ready, whether requests are to be looked for, whether SIGTERM came."""

    ready: set[int]
    look: bool
    terminate: bool


class Ears:
    """The bell is bound at once, so that nothing is missed that is asked after the first look."""

    def __init__(self, runtime_dir: Path, task_id: str) -> None:
        self.selector = selectors.DefaultSelector()
        self._where = runtime_dir, task_id
        self._looked = time.monotonic()
        self._wake_fd, self._wake_write = os.pipe()
        for fd in (self._wake_fd, self._wake_write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        self._listener = Listener(runtime_dir, task_id)
        for source in (self._wake_fd, self._listener):
            self.selector.register(source, selectors.EVENT_READ)

    def wait(self, until: float) -> Heard:
        """Until something happens, or until a moment (``time.monotonic``); a second at most."""
        until = min(until, self._looked + _LOOK_SECONDS)
        ready = {key.fd for key, _ in self.selector.select(max(0.0, until - time.monotonic()))}
        signals = os.read(self._wake_fd, 512) if self._wake_fd in ready else b""
        look = self._listener.fileno() in ready or time.monotonic() >= self._looked + _LOOK_SECONDS
        if look:
            self._looked = time.monotonic()
            self._listener.hear()
            self._renew()
        return Heard(ready, look, signal.SIGTERM in signals)

    def _renew(self) -> None:
        """Cleaners of temporary folders take names away: without a new one, no bell would be heard."""
        if not self._listener.is_reachable():
            self.selector.unregister(self._listener)
            self._listener.close()
            self._listener = Listener(*self._where)
            self.selector.register(self._listener, selectors.EVENT_READ)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self._listener.close()
        self.selector.close()
        for fd in (self._wake_fd, self._wake_write):
            os.close(fd)
