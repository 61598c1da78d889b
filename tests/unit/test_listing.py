"""A folder's names: always those that are there, listed anew only when they may have changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sse_tasks.listing import Listing


def test_a_change_is_seen_at_once_and_an_old_folder_is_not_listed_again(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was just changed is listed each time, since a clock's tick may hide the next change."""
    listing = Listing(tmp_path, lambda name: not name.startswith("."))
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).touch()
    assert listing.names() == ("a", "b")
    (tmp_path / "c").touch()
    assert listing.names() == ("a", "b", "c")

    os.utime(tmp_path, (1, 1))
    assert listing.names() == ("a", "b", "c")
    with monkeypatch.context() as blind:
        blind.setattr(os, "listdir", None)
        assert listing.names() == ("a", "b", "c")
    (tmp_path / "a").unlink()
    assert listing.names() == ("b", "c")


def test_a_clock_that_was_put_back_hides_nothing(tmp_path: Path) -> None:
    """A folder changed in the future is listed each time."""
    listing = Listing(tmp_path, lambda name: True)
    (tmp_path / "a").touch()
    os.utime(tmp_path, (1e10, 1e10))
    assert listing.names() == ("a",)

    (tmp_path / "b").touch()
    os.utime(tmp_path, (1e10, 1e10))

    assert listing.names() == ("a", "b")


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """Whoever asks decides what it means."""
    with pytest.raises(FileNotFoundError):
        Listing(tmp_path / "no", lambda name: True).names()
