"""Data folders on disks of their own: small ones to be filled to the last byte, and ones that may only be read."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..places import Place

__all__ = ["fill", "place_on_a_disk", "read_only"]


def _mount(*options: object) -> None:
    done = subprocess.run(["mount", *map(str, options)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no filesystem can be mounted here: {done.stderr.strip()}")


def _unmount(path: Path) -> None:
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def place_on_a_disk(size: str) -> Iterator[Place]:
    """A place whose data folder is a disk of ``size``; nothing of it may be left at the end."""
    place = Place()
    place.data_dir.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={size},mode=700", "none", place.data_dir)
        try:
            yield place
        finally:
            faults = place.close()
            _unmount(place.data_dir)
    finally:
        shutil.rmtree(place.home, ignore_errors=True)
    assert not faults, faults


def fill(place: Place, but: int = 0) -> Path:
    """Fills the disk to the last byte, or leaves ``but`` bytes; gives the file that can be removed to mend it."""
    ballast = place.data_dir / "ballast"
    with open(ballast, "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
        file.truncate(file.tell() - but)
    return ballast


@contextmanager
def read_only(place: Place) -> Iterator[None]:
    """The data folder can't be written by whoever opens something in it."""
    _mount("--bind", place.data_dir, place.data_dir)
    try:
        _mount("-o", "remount,bind,ro", place.data_dir)
        yield
    finally:
        _unmount(place.data_dir)
