"""The state machine of a task: one pure transition function. Nothing else decides a status.

A state carries exactly what is valid in it, so "running with a result" or "paused, asked to pause" can't be written.
``status`` and ``requested`` of an update are derived from it. The table is PROTOCOL's, "States".
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal, assert_never

from .errors import TaskEndedError
from .types import Status

__all__ = [
    "Ask",
    "AttemptGone",
    "Between",
    "Ended",
    "Ending",
    "Finished",
    "Gone",
    "Outcome",
    "PauseReached",
    "Paused",
    "Running",
    "Signal",
    "State",
    "Turn",
    "Waiting",
    "requested_of",
    "status_of",
    "transition",
]

Action = Literal["pause", "resume", "abort"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a task ends: its status, and the code where there is one."""

    status: Literal[Status.COMPLETED, Status.FAILED, Status.ABORTED]
    code: str | None = None


# The states.
@dataclass(frozen=True)
class Waiting:
    """Accepted; its worker has not started."""

    paused: bool = False


@dataclass(frozen=True)
class Running:
    requested: Literal["pause", "abort"] | None = None


@dataclass(frozen=True)
class Paused:
    requested: Literal["abort"] | None = None


@dataclass(frozen=True)
class Between:
    """An attempt is over, no process of it is left, and the next one has not begun."""

    paused: bool = False


@dataclass(frozen=True)
class Ending:
    """How it ends is settled; some of its processes are still there. ``seen`` is the status people see until then."""

    outcome: Outcome
    seen: Status
    requested: Literal["abort"] | None = None


@dataclass(frozen=True)
class Ended:
    outcome: Outcome


State = Waiting | Running | Paused | Between | Ending | Ended


# The events.
@dataclass(frozen=True)
class Ask:
    """A person's request."""

    action: Action


@dataclass(frozen=True)
class Turn:
    """A slot is there: the worker may start."""


@dataclass(frozen=True)
class PauseReached:
    """The runner says that it stands still."""


@dataclass(frozen=True)
class Finished:
    """The worker has ended, by a result, an error or its death; for an abort, or a shutdown, with that outcome."""

    outcome: Outcome


@dataclass(frozen=True)
class AttemptGone:
    """No process of the attempt is left, and another attempt follows."""


@dataclass(frozen=True)
class Gone:
    """No process of the task is left."""


Event = Ask | Turn | PauseReached | Finished | AttemptGone | Gone


class Signal(enum.Enum):
    """What the runner has to be told because of a transition."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"


def transition(state: State, event: Event) -> tuple[State, Signal | None]:
    """What becomes of ``state`` by ``event``, and what to tell the runner.

    An event that means nothing in a state leaves it as it is. Raises TaskEndedError for a request to an ended task.
    """
    match event:
        case Ask(action):
            return _asked(state, action)
        case Turn():
            return (Running(), Signal.START) if state in (Waiting(), Between()) else (state, None)
        case PauseReached():
            return (Paused(), None) if state == Running("pause") else (state, None)
        case Finished(outcome):
            return _finished(state, outcome), None
        case AttemptGone():
            return _attempt_gone(state), None
        case Gone():
            return (Ended(state.outcome), None) if isinstance(state, Ending) else (state, None)
        case _:
            assert_never(event)


def _asked(state: State, action: Action) -> tuple[State, Signal | None]:
    match state, action:
        case Ended(outcome), _:
            raise TaskEndedError(action, outcome.status)
        case Waiting(), "pause":
            return Waiting(paused=True), None
        case Waiting(), "resume":
            return Waiting(paused=False), None
        case Between(), "pause":
            return Between(paused=True), None
        case Between(), "resume":
            return Between(paused=False), None
        case Waiting() | Between(), "abort":
            return Ending(Outcome(status=Status.ABORTED), status_of(state), "abort"), None
        case Running(None), "pause":
            return Running("pause"), Signal.PAUSE
        case Running("pause"), "resume":
            return Running(), Signal.RESUME
        case Running(None | "pause"), "abort":
            return Running("abort"), Signal.ABORT
        case Paused(None), "resume":
            return Running(), Signal.RESUME
        case Paused(None), "abort":
            return Paused("abort"), Signal.ABORT
        case _:  # a second pause, a resume of what runs, anything after an abort or a result: no second effect
            return state, None


def _finished(state: State, outcome: Outcome) -> State:
    match state:
        case Running("abort") | Paused("abort"):  # abort beats everything that had not ended when it was asked
            code = outcome.code if outcome.status is Status.ABORTED else None
            return Ending(Outcome(status=Status.ABORTED, code=code), status_of(state), "abort")
        case Waiting() | Running() | Paused() | Between():
            return Ending(outcome, status_of(state))
        case _:
            return state


def _attempt_gone(state: State) -> State:
    match state:
        case Running(None):
            return Between()
        case Running("pause") | Paused(None):
            return Between(paused=True)
        case _:  # what an abort was asked of, or has not begun, or is settled, gets no other attempt
            return state


def status_of(state: State) -> Status:
    """The status that an update written in ``state`` carries."""
    match state:
        case Waiting(paused=True) | Paused() | Between(paused=True):
            return Status.PAUSED
        case Waiting():
            return Status.IDLE
        case Running() | Between():
            return Status.RUNNING
        case Ending(seen=seen):
            return seen
        case Ended(outcome):
            return outcome.status
        case _:
            assert_never(state)


def requested_of(state: State) -> Literal["pause", "abort"] | None:
    """What was asked and is not done yet."""
    match state:
        case Running(requested) | Paused(requested) | Ending(requested=requested):
            return requested
        case _:
            return None
