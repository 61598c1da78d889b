"""Bells: they wake whoever listens, and nobody is hurt where none does."""

from __future__ import annotations

import os
import select
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sse_tasks.bell import Bell, Listener, choose_runtime_dir
from sse_tasks.settings import TaskSettings


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, as the folder for sockets has to be."""
    path = Path(tempfile.mkdtemp(prefix="sb-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def hear(listener: Listener) -> set[str]:
    assert select.select([listener], [], [], 60)[0], "waited 60 s for a bell"
    return listener.hear()


def test_a_bell_reaches_the_kinds_it_is_for(folder: Path) -> None:
    """Managers hear what is for managers, forkservers what is for them, a keeper what is for its task."""
    bell, manager = Bell(folder), Listener(folder)
    forkserver, keeper = Listener(folder, kind="f"), Listener(folder, "a" * 26)

    bell.ring("one")
    assert (hear(manager), forkserver.hear(), keeper.hear()) == ({"one"}, set(), set())
    bell.ring("two", to="mf")
    assert (hear(manager), hear(forkserver), keeper.hear()) == ({"two"}, {"two"}, set())
    bell.ring_task("a" * 26)
    assert (manager.hear(), forkserver.hear(), hear(keeper)) == (set(), set(), {"a" * 26})


def test_a_listener_that_has_just_come_is_heard_of(folder: Path) -> None:
    """The list of listeners is remembered, and never stale."""
    bell = Bell(folder)
    for number in range(50):
        listener = Listener(folder)
        bell.ring(f"t{number}")
        assert hear(listener) == {f"t{number}"}
        listener.close()


def test_the_names_of_the_dead_are_taken_away_by_whoever_rings(folder: Path) -> None:
    """A listener that was killed leaves its name behind; the next bell removes it."""
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(folder / "m-dead"))
    dead.close()
    living = Listener(folder)

    Bell(folder).ring("x")

    assert hear(living) == {"x"}
    assert not (folder / "m-dead").exists()


def test_a_full_socket_blocks_nobody(folder: Path) -> None:
    """A listener that never listens is rung a thousand times, and woken by what it has."""
    bell, sleeper, awake = Bell(folder), Listener(folder), Listener(folder)

    for number in range(1000):
        bell.ring(f"t{number}")
        awake.hear()
    bell.ring("last")

    assert hear(awake) == {"last"}
    assert "t0" in hear(sleeper)


def test_a_bell_without_a_folder_is_no_error(folder: Path) -> None:
    """Where somebody has cleaned the folder for sockets away, ringing does nothing."""
    bell = Bell(folder)
    shutil.rmtree(folder)

    bell.ring("x", to="mf")
    bell.ring_task("a" * 26)


def test_a_listener_makes_the_folder_again(folder: Path) -> None:
    """A cleaner of temporary folders that took the whole folder is made up for; a name that is gone is noticed."""
    listener = Listener(folder)
    assert listener.is_reachable()
    shutil.rmtree(folder)
    assert not listener.is_reachable()

    again = Listener(folder)

    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    Bell(folder).ring("x")
    assert hear(again) == {"x"}


def test_a_listener_that_cannot_be_bound_hears_nothing_and_raises_nothing(folder: Path) -> None:
    """Where there can be no socket, the look each second does the same: no task may fail for it."""
    blocked = folder / "file"
    blocked.write_text("")

    listener = Listener(blocked / "below")

    assert listener.hear() == set() and not listener.is_reachable()
    listener.close()


def test_foreign_bytes_are_heard_as_something_harmless(folder: Path) -> None:
    """Any datagram of any length is a hint at worst."""
    listener = Listener(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for data in (b"\xff\xfe", b"x" * 5000, b""):
            sender.sendto(data, listener.path)

    assert all(isinstance(text, str) and len(text) <= 64 for text in hear(listener))


# -- the folder ----------------------------------------------------------------------------------------------------


def test_all_of_one_data_folder_use_the_folder_that_the_first_has_chosen(folder: Path) -> None:
    """What is written in the data folder counts, whatever the next one wants."""
    first = choose_runtime_dir(folder, str(folder / "a"))
    second = choose_runtime_dir(folder, str(folder / "b"))

    assert first == second and first.parent == folder / "a"
    assert stat.S_IMODE(os.stat(first).st_mode) == 0o700


def test_a_wanted_folder_is_the_same_wherever_a_process_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is given relatively, or to the home, is written down whole: forkservers have another current folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder / "home"))
    (folder / "home").mkdir()

    for wanted, where in (("here", folder / "here"), ("~/sockets", folder / "home/sockets")):
        (folder / "runtime").unlink(missing_ok=True)
        assert choose_runtime_dir(folder, wanted).parent == where


def test_a_new_data_folder_is_its_users_alone(folder: Path) -> None:
    """Whatever the umask lets through: who could put a task there could have it run."""
    before = os.umask(0)
    try:
        TaskSettings(data_dir=str(folder / "data"), runtime_dir=str(folder / "r"))
    finally:
        os.umask(before)

    assert {stat.S_IMODE(os.stat(path).st_mode) for path in (folder / "data", *(folder / "data").glob("*/"))} == {0o700}


def test_two_data_folders_never_share_sockets(folder: Path) -> None:
    """The same wanted folder gives each data folder a place of its own."""
    for name in ("x", "y"):
        (folder / name).mkdir()

    assert choose_runtime_dir(folder / "x", str(folder / "r")) != choose_runtime_dir(folder / "y", str(folder / "r"))


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_could_write_to_is_refused(folder: Path, mode: int) -> None:
    """A new one is made instead, with a name that nobody can guess."""
    (folder / "open").mkdir()
    (folder / "open").chmod(mode)

    chosen = choose_runtime_dir(folder, str(folder / "open"))

    assert not chosen.is_relative_to(folder / "open")
    assert stat.S_IMODE(os.stat(chosen).st_mode) == 0o700
    shutil.rmtree(chosen)


def test_a_link_or_a_file_in_its_place_is_refused(folder: Path) -> None:
    """Only a real folder will do."""
    (folder / "file").write_text("")
    (folder / "target").mkdir()
    (folder / "link").symlink_to(folder / "target")

    for name in ("file", "link"):
        (folder / "runtime").unlink(missing_ok=True)
        chosen = choose_runtime_dir(folder, str(folder / name))
        assert not str(chosen).startswith(str(folder))
        shutil.rmtree(chosen)


def test_a_path_too_long_for_sockets_is_refused(folder: Path) -> None:
    """A socket's path has 107 bytes: where the names wouldn't fit, another folder is made."""
    deep = folder / ("é" * 40)
    deep.mkdir()

    chosen = choose_runtime_dir(folder, str(deep))

    assert len(os.fsencode(chosen)) < 70
    Listener(chosen, "a" * 26).close()
    if not str(chosen).startswith(str(folder)):
        shutil.rmtree(chosen)


@pytest.mark.parametrize("note", [b"", b"\xff\xfe", b"/\0", b"relative", b"/nonexistent/deep/x", b"x" * 5000])
def test_a_spoilt_note_is_written_anew(folder: Path, note: bytes) -> None:
    """Whatever stands in the data folder's note, there is a folder for sockets afterwards, and the note says which."""
    (folder / "runtime").write_bytes(note)

    chosen = choose_runtime_dir(folder, str(folder / "r"))

    assert chosen.is_dir() and chosen.is_absolute()
    assert (folder / "runtime").read_text() == str(chosen)
