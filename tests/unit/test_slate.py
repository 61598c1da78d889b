"""What a worker says of itself reaches its keeper, however fast it is said, and at whatever moment it stops."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_tasks.worker import slate as module
from sse_tasks.worker.slate import LOOK_SECONDS, Slate

from ..places import wait_for


def test_news_are_what_was_said_since(request: pytest.FixtureRequest) -> None:
    """The latest of each, once; what is said of the one leaves the other. The same said again is heard, too."""
    slate = Slate()
    request.addfinalizer(slate.close)
    reader = _keeper_of(slate)

    assert reader.news() is None
    slate.say({"current": 1}, None)
    slate.say({"current": 2}, None)
    slate.say(None, "on its way")
    assert reader.news() == {"progress": {"current": 2}, "message": "on its way"}
    assert reader.news() is None
    slate.say(None, "there")
    assert reader.news() == {"message": "there"}
    slate.say(None, "there")
    assert reader.news() == {}


@pytest.mark.parametrize("text", ["x" * 4000, "\x00" * 4000, "\U0001f600" * 4000, "half \ud800" * 400])
def test_the_longest_texts_have_room(request: pytest.FixtureRequest, text: str) -> None:
    """However many bytes their characters take; half a character is replaced, as on every way."""
    slate = Slate()
    request.addfinalizer(slate.close)
    reader = _keeper_of(slate)

    slate.say({"message": text}, text)

    whole = text.replace("\ud800", "\ufffd")
    assert reader.news() == {"progress": {"message": whole}, "message": whole}


@given(st.lists(st.floats(0, 3 * LOOK_SECONDS), min_size=1, max_size=30), st.floats(0, 3 * LOOK_SECONDS))
def test_a_look_after_the_last_ring_sees_all(pauses: list[float], writing: float) -> None:
    """Whoever looks LOOK_SECONDS after each ring misses nothing, whatever time passes between what is said and while it
    is written."""
    now, look_at = 0.0, 0.0

    def written() -> float:
        nonlocal now
        now += writing
        return now

    before, module.monotonic = module.monotonic, written
    slate = Slate()
    slate._rung_at = -LOOK_SECONDS
    try:
        for pause in pauses:
            now += pause
            if slate.say({"current": 1}, None):
                look_at = now + LOOK_SECONDS
            assert now < look_at
    finally:
        module.monotonic = before
        slate.close()


def test_one_who_is_killed_while_writing_leaves_a_whole_one(request: pytest.FixtureRequest) -> None:
    """A process that says something all the time, killed at any moment: what is read is one of what it said."""
    for _ in range(8):
        slate = Slate()
        request.addfinalizer(slate.close)
        pid = os.fork()
        if pid == 0:
            try:
                number = 0
                while True:
                    number += 1
                    slate.say({"current": number, "message": f"{number} " * 300}, f"{number}")
            finally:
                os._exit(1)
        seen: list[dict[str, Any]] = []

        def read(slate: Slate = slate, seen: list[dict[str, Any]] = seen) -> bool:
            if news := slate.news():
                seen.append(news)
            return len(seen) > 50

        wait_for("news", read)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        read()

        numbers = [news["progress"]["current"] for news in seen]
        assert numbers == sorted(set(numbers))
        assert all(news["progress"]["message"] == f"{number} " * 300 and news["message"] == f"{number}"
                   for news, number in zip(seen, numbers, strict=True))
        last = Slate()
        request.addfinalizer(last.close)
        last._memory[:] = slate._memory[:]
        assert (last.news() or {})["progress"]["current"] == numbers[-1]  # nothing stands there that wasn't read


def test_what_somebody_else_wrote_there_is_no_news(request: pytest.FixtureRequest) -> None:
    """A worker can write anywhere in its memory: what isn't as it should be is left alone; later words are heard."""
    slate = Slate()
    request.addfinalizer(slate.close)
    reader = _keeper_of(slate)
    slate.say({"current": 1}, None)
    for garbage in (b"\xff" * 64, b"\x02" + b"\x00" * 63):
        before = slate._memory[:64]
        slate._memory[:64] = garbage
        assert reader.news() is None
        slate._memory[:64] = before

    assert reader.news() == {"progress": {"current": 1}}


def _keeper_of(slate: Slate) -> Slate:
    """The other side of the same memory, as a fork has it."""
    reader = Slate.__new__(Slate)
    reader.__dict__.update(slate.__dict__, _count=0, _said={})
    return reader
