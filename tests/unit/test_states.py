"""The state machine against the wire contract's "States", written here once more as a table of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_tasks.errors import TaskEndedError
from sse_tasks.states import (
    Ask,
    AttemptGone,
    Between,
    Ended,
    Ending,
    Finished,
    Gone,
    Outcome,
    Paused,
    PauseReached,
    Running,
    Signal,
    State,
    Turn,
    Waiting,
    requested_of,
    status_of,
    transition,
)
from sse_tasks.types import ENDED, Status

COMPLETED = Outcome(status=Status.COMPLETED)
FAILED = Outcome(status=Status.FAILED, code="worker_error")
TERMINATED = Outcome(status=Status.ABORTED, code="terminated")

EVENTS = {
    "pause": Ask("pause"),
    "resume": Ask("resume"),
    "abort": Ask("abort"),
    "turn": Turn(),
    "stands": PauseReached(),
    "result": Finished(COMPLETED),
    "error": Finished(FAILED),
    "sigterm": Finished(TERMINATED),
    "again": AttemptGone(),
    "gone": Gone(),
}

# What a person sees of a task, and whether it has started: (status, requested, phase). A phase after its end is
# settled is named by how it ends. A row says what becomes of it by an event, and what the runner is told; what a row
# doesn't name has no effect.
Row = tuple[str, str | None, str]
TABLE: dict[Row, dict[str, tuple[Row, str | None]]] = {
    ("idle", None, "waiting"): {
        "pause": (("paused", None, "waiting"), None),
        "abort": (("idle", "abort", "aborted"), None),
        "turn": (("running", None, "started"), "start"),
        "error": (("idle", None, "failed"), None),
        "sigterm": (("idle", None, "terminated"), None),
    },
    ("paused", None, "waiting"): {  # keeps its place, takes no slot: no turn
        "resume": (("idle", None, "waiting"), None),
        "abort": (("paused", "abort", "aborted"), None),
        "error": (("paused", None, "failed"), None),
        "sigterm": (("paused", None, "terminated"), None),
    },
    ("running", None, "started"): {
        "pause": (("running", "pause", "started"), "pause"),
        "abort": (("running", "abort", "started"), "abort"),
        "again": (("running", None, "between"), None),
        "result": (("running", None, "completed"), None),
        "error": (("running", None, "failed"), None),
        "sigterm": (("running", None, "terminated"), None),
    },
    ("running", "pause", "started"): {
        "resume": (("running", None, "started"), "resume"),
        "abort": (("running", "abort", "started"), "abort"),
        "stands": (("paused", None, "started"), None),
        "again": (("paused", None, "between"), None),
        "result": (("running", None, "completed"), None),
        "error": (("running", None, "failed"), None),
        "sigterm": (("running", None, "terminated"), None),
    },
    ("paused", None, "started"): {
        "resume": (("running", None, "started"), "resume"),
        "abort": (("paused", "abort", "started"), "abort"),
        "again": (("paused", None, "between"), None),
        "result": (("paused", None, "completed"), None),
        "error": (("paused", None, "failed"), None),
        "sigterm": (("paused", None, "terminated"), None),
    },
    ("running", None, "between"): {  # an attempt is over with all its processes, the next has not begun
        "pause": (("paused", None, "between"), None),
        "abort": (("running", "abort", "aborted"), None),
        "turn": (("running", None, "started"), "start"),
        "error": (("running", None, "failed"), None),
        "sigterm": (("running", None, "terminated"), None),
    },
    ("paused", None, "between"): {
        "resume": (("running", None, "between"), None),
        "abort": (("paused", "abort", "aborted"), None),
        "error": (("paused", None, "failed"), None),
        "sigterm": (("paused", None, "terminated"), None),
    },
    ("running", "abort", "started"): {  # an abort that was asked leaves no other attempt
        "result": (("running", "abort", "aborted"), None),
        "error": (("running", "abort", "aborted"), None),
        "sigterm": (("running", "abort", "terminated"), None),
    },
    ("paused", "abort", "started"): {
        "result": (("paused", "abort", "aborted"), None),
        "error": (("paused", "abort", "aborted"), None),
        "sigterm": (("paused", "abort", "terminated"), None),
    },
}
STATES: dict[Row, State] = {
    ("idle", None, "waiting"): Waiting(),
    ("paused", None, "waiting"): Waiting(paused=True),
    ("running", None, "started"): Running(),
    ("running", "pause", "started"): Running("pause"),
    ("running", "abort", "started"): Running("abort"),
    ("running", None, "between"): Between(),
    ("paused", None, "between"): Between(paused=True),
    ("paused", None, "started"): Paused(),
    ("paused", "abort", "started"): Paused("abort"),
}
ARROWS = {
    ("idle", "running"), ("running", "paused"), ("paused", "running"), ("idle", "paused"), ("paused", "idle"),
    ("idle", "failed"), ("idle", "aborted"), ("running", "completed"), ("running", "failed"), ("running", "aborted"),
    ("paused", "completed"), ("paused", "failed"), ("paused", "aborted"),
}
"""Every change of status that the contract knows."""


def row_of(state: State) -> Row:
    match state:
        case Waiting():
            phase = "waiting"
        case Running() | Paused():
            phase = "started"
        case Between():
            phase = "between"
        case Ending(outcome) | Ended(outcome):
            phase = outcome.code if outcome.code == "terminated" else str(outcome.status)
    return str(status_of(state)), requested_of(state), phase


def is_possible(state: State, event: str) -> bool:
    """What has no worker at the time has no result."""
    return not (isinstance(state, Waiting | Between) and event == "result")


events = st.lists(st.sampled_from(sorted(EVENTS)), max_size=30)


def walk(names: list[str]) -> list[tuple[str, State, State]]:
    """(event, before, after) for what happens to a new task; requests to an ended one are refused."""
    state: State = Waiting()
    steps = []
    for name in names:
        if not is_possible(state, name):
            continue
        try:
            after, _ = transition(state, EVENTS[name])
        except TaskEndedError:
            assert isinstance(state, Ended) and name in ("pause", "resume", "abort")
            after = state
        steps.append((name, state, after))
        state = after
    return steps


CELLS = [(row, event) for row in STATES for event in sorted(EVENTS) if is_possible(STATES[row], event)]


@pytest.mark.parametrize(("row", "event"), CELLS, ids=str)
def test_every_event_in_every_state_does_what_the_contract_says(row: Row, event: str) -> None:
    """Each cell of the table: the status, the request and the phase after it, and what the runner is told."""
    state = STATES[row]
    assert row_of(state) == row

    after, signal = transition(state, EVENTS[event])

    expected, told = TABLE[row].get(event, (row, None))
    assert row_of(after) == expected
    assert signal == (Signal(told) if told else None)


@pytest.mark.parametrize("event", sorted(EVENTS))
@pytest.mark.parametrize("outcome", [COMPLETED, FAILED, TERMINATED], ids=lambda o: str(o.status))
def test_a_settled_end_is_changed_by_nothing_but_the_last_process_leaving(outcome: Outcome, event: str) -> None:
    """While some of its processes are still there, requests are taken without effect: a result beats an abort."""
    state = Ending(outcome, Status.RUNNING)

    after, signal = transition(state, EVENTS[event])

    assert after == (Ended(outcome) if event == "gone" else state)
    assert signal is None


@pytest.mark.parametrize("action", ["pause", "resume", "abort"])
@pytest.mark.parametrize("outcome", [COMPLETED, FAILED, TERMINATED], ids=lambda o: str(o.status))
def test_a_request_to_an_ended_task_is_refused_and_says_how_it_ended(outcome: Outcome, action: str) -> None:
    """TaskEndedError names the request and the status."""
    with pytest.raises(TaskEndedError, match=f"{action}.*{outcome.status}"):
        transition(Ended(outcome), EVENTS[action])


@given(events)
def test_nothing_follows_the_one_terminal_state(names: list[str]) -> None:
    """On any walk there is at most one change to a terminal status, it comes by the last process leaving, and the
    state stays as it is from then on."""
    steps = walk(names)

    ends = [(name, after) for name, before, after in steps if status_of(before) not in ENDED and
            status_of(after) in ENDED]
    assert len(ends) <= 1
    assert all(name == "gone" for name, _ in ends)
    if ends:
        assert steps[-1][2] == ends[0][1]


@given(events)
def test_the_status_changes_only_along_the_contract_s_arrows(names: list[str]) -> None:
    """idle → running ⇄ paused → completed | failed | aborted, idle ⇄ paused, idle → failed | aborted."""
    for _, before, after in walk(names):
        change = (str(status_of(before)), str(status_of(after)))
        assert change[0] == change[1] or change in ARROWS


@given(events)
def test_a_walk_is_the_table_s_walk(names: list[str]) -> None:
    """State by state, a walk through the machine and one through the table see the same."""
    row: Row = ("idle", None, "waiting")
    for name, before, after in walk(names):
        if isinstance(before, Ending | Ended):
            break
        row = TABLE[row].get(name, (row, None))[0]
        assert row_of(after) == row


@given(events)
def test_once_an_abort_is_asked_a_live_task_can_only_end_aborted(names: list[str]) -> None:
    """Neither a pause, a resume, a later result nor an error takes it back."""
    asked = False
    for name, before, after in walk(names):
        asked = asked or (name == "abort" and isinstance(before, Waiting | Running | Paused | Between))
        if asked:
            assert requested_of(after) == "abort" or after in (Ended(Outcome(status=Status.ABORTED)), Ended(TERMINATED))


@given(events)
def test_a_result_that_came_before_the_abort_stays(names: list[str]) -> None:
    """Whatever happens after a result was taken, the task ends completed."""
    taken = False
    for name, before, after in walk(names):
        live = isinstance(before, Running | Paused) and requested_of(before) != "abort"
        taken = taken or (name == "result" and live)
        if taken:
            assert isinstance(after, Ending | Ended) and after.outcome == COMPLETED


@given(events)
def test_paused_is_said_only_when_the_task_stands_still(names: list[str]) -> None:
    """A started task is paused by its runner's word alone, never by the request."""
    for name, before, after in walk(names):
        if isinstance(after, Paused) and not isinstance(before, Paused):
            assert name == "stands" and requested_of(before) == "pause"


@given(events)
def test_a_second_request_has_no_second_effect(names: list[str]) -> None:
    """The same request again changes nothing and tells the runner nothing."""
    for name, _, after in walk(names):
        if name in ("pause", "resume", "abort") and not isinstance(after, Ended):
            assert transition(after, EVENTS[name]) == (after, None)


@given(events)
def test_the_runner_is_told_of_each_change_that_it_has_to_make(names: list[str]) -> None:
    """Only a task that has started is told to pause, resume or abort, and only one whose turn it is to start."""
    for name, before, after in walk(names):
        if isinstance(before, Ended):
            continue
        _, signal = transition(before, EVENTS[name])
        if signal is Signal.START:
            assert before in (Waiting(), Between()) and after == Running()
        elif signal is not None:
            assert isinstance(before, Running | Paused) and signal.value == name and after != before


@given(events)
def test_an_attempt_follows_only_where_no_abort_was_asked(names: list[str]) -> None:
    """Between two attempts a task is reached by the end of one alone, keeps a pause that was asked, and is left by its
    turn or an end."""
    for name, before, after in walk(names):
        if isinstance(after, Between) and not isinstance(before, Between):
            assert name == "again" and requested_of(before) != "abort"
            assert after.paused == (before != Running())
        if isinstance(before, Between) and not isinstance(after, Between):
            assert (after == Running() and name == "turn" and not before.paused) or isinstance(after, Ending)
