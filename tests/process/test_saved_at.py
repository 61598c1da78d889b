"""When a task's last checkpoint was saved: what an abort would lose hangs on it."""

from __future__ import annotations

from ..places import Place


def test_a_picture_says_when_the_last_checkpoint_was_saved(shared_place: Place) -> None:
    """A moment between the task's beginning and its end; nothing where no state was ever saved."""
    saves = shared_place.start("measure_and_die")
    saves.end()
    info = saves.manager.info(saves.task_id)
    assert info.created_at and info.saved_at and info.ended_at
    assert info.created_at < info.saved_at <= info.ended_at

    never = shared_place.start("measure", points=1)
    never.end()
    assert never.manager.info(never.task_id).saved_at is None
