"""Task types asked for where worker files misbehave, and tasks whose folders do."""

from __future__ import annotations

import os
import socket
import sys
import threading
import venv
from pathlib import Path

import pytest

from sse_tasks.errors import WorkersUnavailableError
from sse_tasks.registry import Registry
from sse_tasks.worker import describe
from sse_tasks.worker.channel import receive
from sse_tasks.worker.start_method import forks

from ..places import Place, command_of, descendants, kill, living, wait_for

GOOD = "from sse_tasks import task\n@task\ndef good() -> int:\n    return 1\n"
BAD = {
    "interrupted": ("raise KeyboardInterrupt", "KeyboardInterrupt (interrupted.py:1)"),
    "cancelled": ("import asyncio; raise asyncio.CancelledError", "CancelledError (cancelled.py:1)"),
    "leaving": ("import os; os._exit(3)", "exited with status 3"),
    "crashing": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "closing": ("import os; os.closerange(3, 256)", "exited with status 1"),
    "group": ("import os; os.killpg(0, 9)", "SIGKILL"),
    "starting": ("from sse_tasks import start_task; start_task('good')", "can't start tasks while it is imported"),
}


def test_a_file_that_ends_its_process_is_listed_with_its_error_and_harms_no_other(place: Place) -> None:
    """Each bad file says what became of it, the good one works, and no file is imported again while it is the same."""
    folder = place.scratch / "workers"
    folder.mkdir()
    traces = place.scratch / "traces"
    (folder / "good.py").write_text(GOOD)
    for name, (body, _) in BAD.items():
        (folder / f"{name}.py").write_text(f"open({str(traces)!r}, 'a').write('x'); {body}")
    manager = place.manager(worker_folders=[str(folder)])

    types = {info.name: info for info in manager.task_types()}

    assert types["good"].error is None and types["good"].input is not None
    for name, (_, error) in BAD.items():
        assert error in (types[name].error or ""), types[name]
        assert types[name].source == str(folder / f"{name}.py")
    assert [info.name for info in manager.task_types()] == sorted(types)
    assert len(traces.read_text()) == len(BAD)
    assert place.start("good", manager).end().status == "completed"


def test_another_environment_of_the_same_python_has_its_own_packages(place: Place) -> None:
    """The interpreters of two virtual environments are links to one file; each task has the import path of its own."""
    environment = place.scratch / "environment"
    venv.create(environment, symlinks=True)
    [packages] = environment.glob("lib/python*/site-packages")
    ours = [path for path in sys.path if Path(path).is_absolute() and Path(path).is_dir()]
    (packages / "ours.pth").write_text("\n".join(ours))
    (packages / "only_there.py").write_text("HERE = 'there'\n")
    folder = place.scratch / "workers"
    folder.mkdir()
    (folder / "worker.py").write_text("from only_there import HERE\nfrom sse_tasks import task\n"
                                      "@task\ndef where() -> str:\n    return HERE\n")
    manager = place.manager(worker_folders=[str(folder)])

    task = place.start("where", manager, options={"interpreter": str(environment / "bin" / "python")})

    assert task.end().result == "there"
    assert "only_there" in {info.name: info.error or "" for info in manager.task_types()}["worker"]


@pytest.mark.skipif(not forks(), reason="a new interpreter doesn't know what was patched here")
def test_a_file_that_hangs_is_given_up_and_nothing_of_it_is_left(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time it is listed with that as its error, beside the others, and what it had started is dead."""
    monkeypatch.setattr(describe, "_IMPORT_SECONDS", 1.5)
    good, hanging = place.scratch / "good.py", place.scratch / "hanging.py"
    started = place.scratch / "started"
    good.write_text(GOOD)
    hanging.write_text(f"import os, subprocess, time\nchild = subprocess.Popen(['sleep', '1000'], "
                       f"start_new_session=True)\nopen({str(started)!r}, 'w').write(str(child.pid))\ntime.sleep(1000)")
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            pid = describe.describe_in_child(theirs, {"sys_path": None, "cwd": "/", "environ": dict(os.environ),
                                                      "files": [str(hanging), str(good)]})
        ours.settimeout(60)  # the file itself would take a thousand seconds
        answer = receive(ours)

    assert answer is not None
    files = answer[0]["files"]
    assert [info["name"] for info in files[str(good)]] == ["good"]
    assert "took longer than 1.5 s" in files[str(hanging)][0]["error"]
    assert int(started.read_text()) not in living()
    assert os.waitpid(pid, 0)[1] == 0


def test_what_a_killed_describer_leaves_behind_is_killed(place: Place) -> None:
    """The forkserver kills what a worker file had started, if the process that should have done so was killed."""
    started = place.scratch / "started"
    (place.scratch / "hanging.py").write_text(
        f"import os, time\nif os.fork() == 0:\n    os.setsid()\n    open({str(started)!r}, 'w').write("
        f"str(os.getpid()))\ntime.sleep(1000)")
    manager = place.manager()
    manager.task_types()
    [forkserver] = wait_for("the forkserver alone", lambda: len(f := place.forkservers()) == 1 and f)
    manager = place.manager(worker_folders=[str(place.scratch)])
    def ask() -> None:
        with pytest.raises(WorkersUnavailableError):
            manager.task_types()

    asking = threading.Thread(target=ask)
    asking.start()
    wait_for("the import", lambda: started.exists() and started.read_text())
    orphan = int(started.read_text())
    describer = next(pid for pid in descendants(forkserver) if orphan in descendants(pid))  # beside it, spare keepers
    below = descendants(describer)
    kill(describer)
    asking.join(60)
    assert not asking.is_alive()
    wait_for("the end of all below", lambda: not {describer, *below} & set(living()))
    assert command_of(forkserver)


def test_a_file_that_vanishes_while_types_are_asked_for_is_not_there(
        place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out as if it had gone before."""
    manager = place.manager()
    files = Registry.files
    monkeypatch.setattr(Registry, "files", lambda self: [*files(self), Path("/nowhere/gone.py")])

    names = [info.name for info in manager.task_types()]

    assert names and "gone" not in names


def test_a_task_without_a_log_is_neither_found_nor_listed(place: Place) -> None:
    """The list agrees with the look at one task; a page of none is empty and goes on where it was asked for."""
    manager = place.manager()
    kept, broken = place.start("add", manager, a=1), place.start("add", manager, a=2)
    kept.end()
    broken.end()
    assert manager.list(limit=0) == ([], None)
    assert manager.list(limit=0, after=broken.task_id) == ([], broken.task_id)
    manager.info(broken.task_id)

    broken.folder.log_path.unlink()

    for looking in (manager, place.manager()):
        assert [info.task_id for info in looking.list()[0]] == [kept.task_id]
        assert looking.live_ids() == []
