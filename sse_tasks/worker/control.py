"""The runner's ear: what its keeper wants, and when the worker may be interrupted.

The keeper writes one letter into a socket and then sends SIGNAL. The handler raises ``TaskAborted`` in a plain
function, or holds one that has no ctx; while the library's own calls run (``shield``) it leaves the letter where it
is, and the call itself looks at its end.
"""

from __future__ import annotations

import _thread
import asyncio
import signal
import threading
from collections.abc import Callable
from os import getpid, getppid, kill, register_at_fork
from threading import RLock, get_ident
from time import monotonic, sleep

from ..errors import TaskAborted
from .line import Line, LineCutError
from .start_method import forks

__all__ = ["ABORT", "PAUSE", "RESUME", "SIGNAL", "Control"]

# Workers use the named signals for their own ends; where there are no others, one that hardly anybody does.
SIGNAL = signal.SIGRTMIN + 5 if forks() else signal.SIGURG
PAUSE, RESUME, ABORT = b"p", b"r", b"a"
_SLICE_SECONDS = 0.1
_LOOK_SECONDS = 0.005  # a system call at each of millions of checkpoints would cost more than they do


class Shield:
    """The context manager of ``Control.shield``. No generator: it stands around every call that a worker makes.

    Only the main thread's count: the handler runs there alone, and a sum of two threads could lose a step.
    """

    def __init__(self, control: Control, *, counts: bool) -> None:
        self._control = control
        self._counts = counts

    def __enter__(self) -> None:
        if self._counts:
            self._control.shields += 1
        else:
            self._control.is_shared = True

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        control = self._control
        if self._counts:
            control.shields -= 1
            if control.shields:
                return
        if control.unread:
            control.read()
        if error is None:
            control.check()


_held = threading.local()


def _hold_sigterm() -> None:
    """What is sent to a child that is just being forked waits until the child can end by it: Python would forget it."""
    _held.before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def _let_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.before)


class Control:
    """Reads the keeper's letters. ``say_paused`` is called when the worker stands still.

    ``hold``: the worker has no ctx, so it is held in the signal handler while paused. ``interrupt`` is called instead
    of raising where the worker is a coroutine (it cancels its task, once); ``is_main_part`` says whether it is that one
    that runs now.
    """

    def __init__(self, fd: int, say_paused: Callable[[], None]) -> None:
        self._say_paused = say_paused
        self._main = get_ident()
        self._main_shield = Shield(self, counts=True)
        self._thread_shield = Shield(self, counts=False)
        self.shields = 1  # until the worker's own code begins
        self.unread = False
        self.is_shared = False  # threads other than the main one call, too, and may take its letter
        self._reading = RLock()  # what two threads read is taken in in its order
        self._line: Line | None = Line(fd, writes=False)  # None in a process that the worker forks
        self._wants_pause = False
        self._wants_abort = False
        self._resumed = False
        self._look_at = 0.0
        self._delivered = False
        self.raised = False
        self.hold = False
        self.interrupt: Callable[[], None] | None = None
        self.is_main_part: Callable[[], bool] = lambda: True
        self.on_change: set[Callable[[], None]] = set()

    def listen(self) -> None:
        self._pid = getpid()
        signal.signal(SIGNAL, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        for other in (signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
            signal.signal(other, signal.SIG_DFL)
        register_at_fork(before=_hold_sigterm, after_in_parent=_let_sigterm, after_in_child=self._forget)

    def _forget(self) -> None:
        """A process that the worker forks is not the worker: it takes none of its letters, and a signal ends it as it
        ends any other."""
        self._reading = RLock()  # a thread that isn't here may have held it
        self._line = None
        self._wants_pause = False
        for number in (SIGNAL, signal.SIGTERM):
            if signal.getsignal(number) in (self._on_signal, self._on_sigterm):
                signal.signal(number, signal.SIG_DFL)
        _let_sigterm()

    @property
    def wants_abort(self) -> bool:
        return self._wants_abort

    @property
    def wants_pause(self) -> bool:
        return self._wants_pause and not self._wants_abort

    @property
    def has_news(self) -> bool:
        """Whether a checkpoint would have something to do. Quick: bars ask at each turn."""
        return self.unread or self._wants_pause or self._wants_abort

    def look(self) -> None:
        """``read``, for those who ask often: the signal tells when there is something, and where it can't be heard, by
        a thread while the main one is busy, it is looked for now and then."""
        if self.unread or monotonic() >= self._look_at:
            self.read()

    def read(self) -> None:
        """Takes in what the keeper has said since the last time."""
        self.unread = False
        self._look_at = monotonic() + _LOOK_SECONDS
        with self._reading:
            try:
                letters = self._line.read(64) if self._line else b""
            except LineCutError:  # what can't be heard any more ends with the keeper's grace
                return
            for letter in letters:
                if letter == ABORT[0]:
                    self._wants_abort = True
                else:
                    self._wants_pause = letter == PAUSE[0]
                    self._resumed |= not self._wants_pause

    def _on_sigterm(self, signum: int, frame: object) -> None:
        """A shutdown: the keeper hears of it, and aborts with all that belongs to it, the grace and the end of it."""
        if getpid() == self._pid:
            kill(getppid(), signal.SIGTERM)

    def open(self) -> None:
        """The worker's code begins: from here on it may be interrupted."""
        self.shields = 0
        self._obey()

    def _on_signal(self, signum: int, frame: object) -> None:
        for wake in tuple(self.on_change):
            wake()
        self.unread = True
        if not self.shields:
            self._obey()

    def _obey(self) -> None:
        self.read()
        while self.hold and self.wants_pause:
            self.shields += 1  # a signal reads no letter meanwhile: the wait for one would have no end
            try:
                self.stand_still()
            finally:
                self.shields -= 1
            if self.unread:
                self.read()
        if self._wants_abort and not self._delivered:
            self._deliver()

    def _deliver(self) -> None:
        self._delivered = True
        if self.interrupt is None:
            raise TaskAborted("The task was aborted.")
        self.interrupt()

    def shield(self) -> Shield:
        """Around the library's own calls: an abort waits until they end, and is raised then, and by each later one."""
        return self._main_shield if get_ident() == self._main else self._thread_shield

    def check(self) -> None:
        """Raises if the task is to be aborted, each time anew: the worker may have swallowed the last one."""
        if not self._wants_abort:
            return
        if self.interrupt is None:
            if get_ident() == self._main:  # another thread's is its own: the main one has to hear it too
                self._delivered = True
            raise TaskAborted("The task was aborted.")
        if self.is_main_part():
            self._delivered = self.raised = True
        elif not self._delivered:  # likewise a child coroutine's
            self._delivered = True
            self.interrupt()
        raise asyncio.CancelledError

    def close(self) -> None:
        """The worker's code has ended: nothing interrupts what follows."""
        self.shields += 1 << 20

    def wait(self, seconds: float | None) -> None:
        """Sleeps until the keeper says something, or for ``seconds``. To be called inside ``shield``."""
        if self.is_shared or _thread._count():
            seconds = _SLICE_SECONDS if seconds is None else min(seconds, _SLICE_SECONDS)
        if self._line:
            self._line.wait(seconds)
        elif seconds is not None:
            sleep(seconds)
        self.read()

    def stand_still(self) -> float:
        """Reports the pause and waits until it is over; gives how long it took, in seconds."""
        began = monotonic()
        while self.wants_pause:
            self.say_paused()
            while self.is_paused:
                self.wait(None)
        return monotonic() - began

    def say_paused(self) -> None:
        """Reports that the worker stands still."""
        self._resumed = False
        self._say_paused()

    @property
    def is_paused(self) -> bool:
        """Whether the pause that was reported lasts: resumed and paused again at once, it has to be reported anew."""
        return self.wants_pause and not self._resumed
