"""A forkserver that is killed, or whose keeper or runner is, between two steps of a hand-over; once.

``stepping_forkserver.py STEP REACHED -m sse_tasks.worker.forkserver …`` stands in for an interpreter, also for
those that the forkserver starts where it doesn't fork. The first process that comes to STEP makes the file REACHED and
kills itself. The product has no hook for this: functions are wrapped, and a rehearsal, which calls them as well, is
left out.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from sse_tasks.worker import attempts, forkserver, keeper, rehearsal, runner

step, reached, _, module = sys.argv[1:5]
sys.argv[:] = [module, *sys.argv[5:]]


def die(*_: Any) -> None:
    try:
        os.close(os.open(reached, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_the_file() -> None:
    while not os.path.exists(reached):
        time.sleep(0.005)


def before(owner: Any, name: str) -> None:
    """Dies where ``name`` would be called."""
    _wrap(owner, name, lambda call: (die(), call())[1])


def after(owner: Any, name: str) -> None:
    """Dies where ``name`` has returned."""
    def dying(call: Callable[[], Any]) -> Any:
        returned = call()
        die()
        return returned

    _wrap(owner, name, dying)


def _wrap(owner: Any, name: str, how: Callable[[Callable[[], Any]], Any]) -> None:
    function = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: how(lambda: function(*args, **kwargs)))


def wrap() -> None:
    rehearsal.rehearse_keeper = rehearsal.rehearse_runner = lambda: None
    match step:
        case "forkserver-has-taken-the-task":
            after(forkserver.Forkserver, "_take_task")
        case "forkserver-has-taken-a-slot":
            before(forkserver.Spares, "take")
        case "forkserver-has-forked":
            before(forkserver.Forkserver, "_hand_over")
        case "forkserver-has-unmarked":
            sending = forkserver.send_body

            def send_or_die(sock: Any, body: bytes, fds: Any = None) -> None:
                if fds:
                    die()
                sending(sock, body, fds)

            forkserver.send_body = send_or_die
        case "forkserver-has-handed-over":
            after(forkserver.Forkserver, "_hand_over")
        case "keeper-has-received":
            before(keeper, "Keeper")
        case "keeper-has-its-bell":
            before(keeper.Keeper, "_first_state")
        case "keeper-has-read-the-requests":
            after(keeper.Keeper, "_first_state")
        case "keeper-has-written-running":
            before(attempts, "send")
        case "keeper-has-given-the-task":
            after(attempts, "send")
        case "keeper-has-the-result":
            after(keeper, "write_result")
        case "keeper-has-written-the-end":
            after(keeper.Keeper, "_handle_gone")
        case "runner-has-begun":
            before(runner, "die_with_parent")
        case "runner-is-slow-to-listen":  # not killed: it goes on when the file REACHED is there
            _wrap(runner.Control, "listen", lambda call: (wait_for_the_file(), call())[1])
        case "runner-has-its-task":
            before(runner, "_enter")
        case "runner-has-its-result":
            after(runner, "_run")
        case "runner-has-reported":
            before(runner, "_leave")
        case _:
            raise SystemExit(f"there is no step {step!r}")


wrap()
importlib.import_module(module).main()
