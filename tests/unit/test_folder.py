"""The task folder: its log whatever has been done to it, its cursors, its parts, and who may write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sse_tasks.errors import NothingThereError, StorageError, TaskNotFoundError
from sse_tasks.folder import TaskFolder, create_task_folder, publish
from sse_tasks.log_writer import LogWriter
from sse_tasks.recovery import conclude
from sse_tasks.types import ENDED, Status, TaskSpec, new_task_id, now_iso

quick = settings(max_examples=60, deadline=None,
                 suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def spec_of(task_id: str, **fields: Any) -> TaskSpec:
    return TaskSpec(**{"task_id": task_id, "task_type": "t", "worker": {"file": "t.py"}, "input": {},  # type: ignore
                       "created_at": now_iso(), **fields})


def first_of(task_id: str) -> dict[str, Any]:
    return {"type": "status", "taskId": task_id, "status": "idle"}


def make(tasks: Path, **fields: Any) -> LogWriter:
    task_id = new_task_id()
    writer = create_task_folder(tasks, spec_of(task_id, **fields), first_of(task_id))
    publish(writer)
    return writer


def with_log(path: Path, data: bytes) -> TaskFolder:
    """A folder that holds just this log."""
    path.mkdir(exist_ok=True)
    (path / "events.jsonl").write_bytes(data)
    return TaskFolder(path)


def read_all(folder: TaskFolder, cursor: int = 0, limit: int = 1 << 16) -> list[tuple[int, bytes]]:
    found = []
    while lines := folder.read_log(cursor, limit):
        found += lines
        cursor = lines[-1][0]
    return found


update_lines = st.builds(
    lambda message, status, kind: json.dumps({"type": kind, "status": status, "message": message}).encode(),
    st.text(max_size=200), st.sampled_from(list(Status)), st.sampled_from(["status", "progress", "result"]))
garbage = st.binary(max_size=120).map(lambda data: data.replace(b"\n", b" ")).filter(
    lambda data: not data.lstrip().startswith(b"{"))
torn = update_lines.flatmap(lambda line: st.integers(0, len(line) - 1).map(lambda end: line[:end]))
log_lines = st.lists(st.one_of(update_lines.map(lambda line: (True, line)), garbage.map(lambda line: (False, line)),
                               torn.map(lambda line: (False, line))), max_size=30)


# -- reading -------------------------------------------------------------------------------------------------------


@quick
@given(lines=log_lines, tail=st.one_of(st.just(b""), torn), limit=st.sampled_from([1, 7, 64, 1 << 16]))
@example(lines=[(False, b'{"type":"status"}\r'), (False, b'{"type":"status",\r"x":1}')], tail=b"", limit=1)
@example(lines=[(False, b"\x00" * 5000), (True, b'{"type":"status"}'), (False, b"")], tail=b"{", limit=64)
def test_reading_gives_every_whole_update_and_nothing_else(
        tmp_path: Path, lines: list[tuple[bool, bytes]], tail: bytes, limit: int) -> None:
    """Torn lines, garbage bytes and what follows the last newline are not there; everything else is, once, in order."""
    data = b"".join(line + b"\n" for _, line in lines) + tail
    folder = with_log(tmp_path / "task", data)

    found = read_all(folder, 0, limit)

    assert [line for _, line in found] == [line for is_whole, line in lines if is_whole]
    assert all(data[cursor - 1 - len(line):cursor] == line + b"\n" for cursor, line in found)


@quick
@given(lines=log_lines, tail=torn, limit=st.sampled_from([1, 50, 1 << 16]))
def test_resuming_at_any_cursor_gives_exactly_the_rest(
        tmp_path: Path, lines: list[tuple[bool, bytes]], tail: bytes, limit: int) -> None:
    """Whoever comes back with the cursor after an update gets all that came after it, and nothing twice."""
    folder = with_log(tmp_path / "task", b"".join(line + b"\n" for _, line in lines) + tail)
    found = read_all(folder)

    for index, (cursor, _) in enumerate(found):
        assert folder.is_cursor(cursor)
        assert read_all(folder, cursor, limit) == found[index + 1:]


@quick
@given(lines=log_lines, tail=torn)
def test_the_latest_is_the_last_of_all_that_can_be_read(
        tmp_path: Path, lines: list[tuple[bool, bytes]], tail: bytes) -> None:
    """Reading from the end finds what reading from the start finds last."""
    folder = with_log(tmp_path / "task", b"".join(line + b"\n" for _, line in lines) + tail)
    found = list(folder.updates())

    update, cursor = folder.latest()

    assert (update, cursor) == ((found[-1][1], found[-1][0]) if found else (None, 0))


@quick
@given(data=st.binary(max_size=400))
@example(data=b'{"type":"status","x":"\xff\xfe"}\n')
@example(data=b'{"type":"status","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n")
@example(data=b'{"type":"status"}{"type":"error"}\n')
@example(data=b'{"type":"status","x":"\x01"}\n{"type":"status","x":01}\n{"type":"status","x":NaN}\n')
@example(data=b'{"type":"status","x":"\\q"}\n{"type":"status","x":"\\u12"}\n')
@example(data=b'\xef\xbb\xbf{"type":"status"}\n')
def test_no_bytes_at_all_can_make_reading_fail(tmp_path: Path, data: bytes) -> None:
    """Whatever stands in a log, each line that is given on is JSON in UTF-8 that every parser takes."""
    folder = with_log(tmp_path / "task", data)

    folder.latest()
    for _, line in read_all(folder):
        assert isinstance(json.loads(line.decode("utf-8"), parse_constant=pytest.fail), dict)


def test_a_line_longer_than_a_chunk_is_read_whole(tmp_path: Path) -> None:
    """A chunk's size never cuts a line, forwards or backwards."""
    long = b'{"type":"progress","message":"%s"}' % (b"x" * 300_000)
    folder = with_log(tmp_path / "task", b'{"type":"status"}\n' + long + b"\n" + b'{"type":"status"}\n' + long + b"\n")

    assert [len(line) for _, line in read_all(folder, 0, 100)] == [17, len(long), 17, len(long)]
    update, cursor = folder.latest()
    assert update is not None and update.message == "x" * 300_000
    assert cursor == folder.log_size()


def test_resuming_near_the_end_of_a_long_log_reads_no_more_than_its_end(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million lines cost a resuming reader nothing: what it reads is what is new."""
    line = b'{"type":"progress","message":"0000000"}\n'
    folder = with_log(tmp_path / "task", line * 1_000_000)
    read: list[int] = []
    pread = os.pread

    def counting(fd: int, size: int, at: int) -> bytes:
        data = pread(fd, size, at)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counting)
    cursor = folder.log_size() - 3 * len(line)
    assert folder.is_cursor(cursor)
    rest = read_all(folder, cursor)
    update, end = folder.latest()

    assert [at for at, _ in rest] == [cursor + n * len(line) for n in (1, 2, 3)]
    assert update is not None and end == folder.log_size()
    assert sum(read) < 10_000


@pytest.mark.parametrize(("cursor", "valid"), [(0, True), (18, True), (36, True), (1, False), (17, False), (19, False),
                                               (37, False), (40, False), (-1, False), (10**6, False), (10**30, False)])
def test_a_cursor_stands_after_a_line(tmp_path: Path, cursor: int, valid: bool) -> None:
    """0 and every offset right after a newline are cursors; nothing else is, however large."""
    folder = with_log(tmp_path / "task", b'{"type":"status"}\n{"type":"status"}\n{"ty')

    assert folder.is_cursor(cursor) is valid


def test_a_folder_that_is_gone_is_told_apart_from_an_empty_log(tmp_path: Path) -> None:
    """Reading where nothing is raises; an empty log has no updates yet."""
    gone = TaskFolder(tmp_path / "gone")
    empty = with_log(tmp_path / "empty", b"")

    with pytest.raises(TaskNotFoundError):
        gone.read_log(0)
    assert gone.latest() == (None, 0) and not gone.is_cursor(5) and not gone.exists() and not gone.is_held()
    assert empty.read_log(0) == [] and empty.latest() == (None, 0) and empty.exists()


# -- making and writing --------------------------------------------------------------------------------------------


def test_a_visible_task_is_locked_and_has_a_line(tmp_path: Path) -> None:
    """Nothing of a new task is seen before it has a writer and a first update."""
    task_id = new_task_id()
    folder = TaskFolder(tmp_path / task_id)

    writer = create_task_folder(tmp_path, spec_of(task_id), first_of(task_id))
    assert not folder.exists()
    publish(writer)

    assert folder.is_held() and folder.claim() is None
    update, _ = folder.latest()
    assert update is not None and update.status is Status.IDLE
    writer.close()
    assert not folder.is_held()


@pytest.mark.parametrize("value", [object(), 10**5000], ids=["object", "huge-integer"])
def test_a_spec_that_cannot_be_written_leaves_nothing(tmp_path: Path, value: Any) -> None:
    """A start that fails has no folder and holds no descriptor."""
    def held() -> list[str]:
        """Descriptors of this process that lead there: others come and go as they will."""
        links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return [where for link in links if str(tmp_path) in (where := os.path.realpath(link))]

    with pytest.raises(Exception):  # noqa: B017 - which one is the caller's affair
        make(tmp_path, input={"x": value})

    assert os.listdir(tmp_path) == []
    assert held() == []


def test_the_data_folder_gone_is_a_storage_error(tmp_path: Path) -> None:
    """A start says that the folder can't be written, in the library's own words."""
    with pytest.raises(StorageError):
        make(tmp_path / "missing")


def test_a_spec_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """NaN, huge integers and lone surrogates of an input are there for the worker."""
    given_input = {"a": float("inf"), "b": 1 << 90, "c": "\ud800é", "d": [None, True, {"e": []}]}
    writer = make(tmp_path, input=given_input, tags=["x"], timeout=1.5)

    assert writer.folder.spec().input == given_input
    writer.close()


@quick
@given(tail=st.one_of(torn, st.binary(max_size=50).map(lambda data: data.replace(b"\n", b"")), update_lines))
def test_a_torn_line_is_ended_before_anything_is_appended(tmp_path: Path, tail: bytes) -> None:
    """Whatever a dead writer left behind its last newline, the next one's update stands on a line of its own."""
    folder = with_log(tmp_path / "task", b'{"type":"status"}\n' + tail)

    writer = folder.claim()
    assert writer is not None
    cursor = writer.append({"type": "status", "status": "running"})
    writer.close()

    assert folder.latest()[1] == cursor == folder.log_size()
    assert read_all(folder)[-1][1] == b'{"type":"status","status":"running"}'


def test_a_writer_that_inherits_a_log_ends_a_torn_line_too(tmp_path: Path) -> None:
    """A forkserver that speaks for a keeper killed in mid-write, or stopped by a full disk, is understood."""
    writer = make(tmp_path)
    os.write(writer.fd, b'{"type":"progress","mess')

    conclude(writer, error="It died.")
    writer.close()

    update, _ = writer.folder.latest()
    assert update is not None and update.status is Status.FAILED and update.error == "It died."


def test_a_terminal_line_without_its_newline_is_completed_not_doubled(tmp_path: Path) -> None:
    """Whoever ends the torn line sees that it was the end."""
    writer = make(tmp_path)
    os.write(writer.fd, b'{"type":"status","status":"aborted"}')

    conclude(writer, error="It died.")
    writer.close()

    assert [u.status for _, u in writer.folder.updates()] == [Status.IDLE, Status.ABORTED]


_FILL = """
import resource, signal, sys
from pathlib import Path
from sse_tasks.folder import TaskFolder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = TaskFolder(Path(sys.argv[1]))
writer = folder.claim()
room = folder.log_size() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
try:
    writer.append({"type": "progress", "message": "x" * 300})
except OSError:
    print("full")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(writer.append({"type": "status", "status": "completed"}))
"""


@pytest.mark.parametrize("room", [0, 1, 150, 332])
def test_a_write_that_found_no_room_is_not_there(tmp_path: Path, room: int) -> None:
    """A full disk in mid-line loses that update and no other: the next one stands on its own line."""
    writer = make(tmp_path)
    writer.close()

    done = subprocess.run([sys.executable, "-c", _FILL, str(writer.folder.path), str(room)], capture_output=True,
                          text=True, timeout=30)

    assert done.stdout.split() == ["full", str(writer.folder.log_size())], done.stderr
    assert [u.status for _, u in writer.folder.updates() if u.message is None] == [Status.IDLE, Status.COMPLETED]


# -- claims --------------------------------------------------------------------------------------------------------


def test_of_many_recoverers_exactly_one_writes_the_end(tmp_path: Path) -> None:
    """However many look at a dead task at once, its log gets one terminal update."""
    for _ in range(20):
        writer = make(tmp_path)
        os.write(writer.fd, b'{"type":"progress","mes')
        writer.close()
        folder = writer.folder
        start = threading.Barrier(6)

        def recover(folder: TaskFolder = folder, start: threading.Barrier = start) -> None:
            start.wait()
            claimed = folder.claim()
            if claimed is not None:
                conclude(claimed, error="It died.")
                claimed.close()

        threads = [threading.Thread(target=recover) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert [u.status for _, u in folder.updates()] == [Status.IDLE, Status.FAILED]


_RECOVER = """
import sys
from pathlib import Path
from sse_tasks.folder import TaskFolder
from sse_tasks.recovery import conclude
print("ready", flush=True)
for name in sys.stdin.read().split():
    writer = TaskFolder(Path(name)).claim()
    if writer is not None:
        conclude(writer, error="It died.")
        writer.close()
"""


def test_recoverers_in_several_processes_write_one_end_each(tmp_path: Path) -> None:
    """The right to write holds between processes, for a hundred dead tasks at once."""
    folders = []
    for _ in range(100):
        writer = make(tmp_path)
        os.write(writer.fd, b'{"torn')
        writer.close()
        folders.append(writer.folder)
    peers = [subprocess.Popen([sys.executable, "-c", _RECOVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) for _ in range(3)]
    for peer in peers:
        assert peer.stdout is not None and peer.stdout.readline() == "ready\n"

    for peer in peers:
        assert peer.stdin is not None
        peer.stdin.write("\n".join(str(folder.path) for folder in folders))
        peer.stdin.close()
    for peer in peers:
        assert peer.wait(60) == 0
        peer.stdout.close()  # type: ignore[union-attr]

    for folder in folders:
        assert [u.status in ENDED for _, u in folder.updates()] == [False, True]


def test_a_look_never_keeps_a_recoverer_away(tmp_path: Path) -> None:
    """Probes hold a shared lock for a moment; the right to write is had all the same."""
    writer = make(tmp_path)
    writer.close()
    folder = writer.folder
    stop = threading.Event()

    def probe() -> None:
        while not stop.is_set():
            folder.is_held()

    threads = [threading.Thread(target=probe) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        got = 0
        for _ in range(200):
            claimed = folder.claim()
            if claimed is not None:
                got += 1
                claimed.close()
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)

    assert got == 200


# -- the other parts -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[TaskFolder]:
    writer = make(tmp_path)
    writer.close()
    yield writer.folder


def test_parts_and_artifacts_are_regular_files_of_the_folder_itself(folder: TaskFolder, tmp_path: Path) -> None:
    """Links, FIFOs, folders and paths of more than one segment are not there, and opening them never blocks."""
    (tmp_path / "secret").write_text("s")
    files = folder.files_path
    (files / "good.txt").write_text("good")
    (files / "link").symlink_to(tmp_path / "secret")
    (files / "folder").mkdir()
    os.mkfifo(files / "fifo")
    (folder.path / "output.log").symlink_to(tmp_path / "secret")

    with open(folder.open_file("good.txt")) as file:
        assert file.read() == "good"
    for name in ("link", "folder", "fifo", "", ".", "..", "../task.json", "folder/x", "a\0b", "missing", "\ud800"):
        with pytest.raises(NothingThereError):
            folder.open_file(name)
    for part in ("output.log", "items.jsonl", "task.json", "../x"):
        with pytest.raises(NothingThereError):
            folder.open_part(part)
    assert [file["name"] for file in folder.files()] == ["good.txt"]


def test_a_files_folder_that_is_a_link_is_not_followed(folder: TaskFolder, tmp_path: Path) -> None:
    """A worker that replaces its folder by a link shows nobody anything."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("x")
    folder.files_path.rmdir()
    folder.files_path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(NothingThereError):
        folder.open_file("x")
    assert folder.files() == []


def test_a_file_that_nobody_could_ask_for_is_not_listed(folder: TaskFolder) -> None:
    """A name that is no UTF-8 fits neither JSON nor an address."""
    for name in (b"gr\xc3\xbcn", b"gr\xfcn"):
        (folder.files_path / os.fsdecode(name)).touch()

    assert [file["name"] for file in folder.files()] == ["grün"]


def test_a_line_whose_status_is_no_text_is_no_update(tmp_path: Path) -> None:
    """Whoever reads updates may ask each for its status."""
    folder = with_log(tmp_path / "t", b'{"type":"a"}\n{"type":"status","status":5}\n')

    assert [line for _, line in read_all(folder)] == [b'{"type":"a"}']


@quick
@given(pieces=st.lists(st.one_of(
    st.sampled_from(["pause", "resume", "abort"]).map(lambda a: b'\n{"action":"%s"}\n' % a.encode()),
    st.binary(max_size=30).filter(lambda data: not set(b'{["') & set(data))), max_size=12))
def test_requests_survive_whatever_stands_between_them(tmp_path: Path, pieces: list[bytes]) -> None:
    """Each whole request is read once, in order, however the reading is cut; garbage asks for nothing."""
    path = tmp_path / "task"
    path.mkdir(exist_ok=True)
    folder = TaskFolder(path)
    (path / "requests.jsonl").write_bytes(b"")
    expected, seen, cursor = [], [], 0

    for piece in pieces:
        with open(path / "requests.jsonl", "ab") as file:
            file.write(piece)
        if piece.startswith(b'\n{"action"'):
            expected.append(json.loads(piece)["action"])
        actions, cursor = folder.requests(cursor)
        seen += actions

    assert seen == expected
    assert folder.requests(0)[0] == expected


def test_requests_of_foreign_shape_ask_for_nothing(folder: TaskFolder) -> None:
    """JSON that is no request, of whatever shape, is passed over."""
    (folder.path / "requests.jsonl").write_bytes(
        b'[]\n"x"\nnull\n3\n{"action":["abort"]}\n{"action":"explode"}\n' + b"[" * 50_000 + b'\n{"action":"pause"}\n')

    assert folder.requests()[0] == ["pause"]


def test_many_askers_at_once_lose_no_request(folder: TaskFolder) -> None:
    """Requests of several threads, each one write, are all there."""
    def ask() -> None:
        for _ in range(50):
            folder.append_request("pause")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert folder.requests()[0] == ["pause"] * 200


def test_a_forgotten_task_is_gone_at_once(folder: TaskFolder) -> None:
    """Nothing of it is left, and asking it is asking nobody."""
    folder.remove()

    assert os.listdir(folder.path.parent) == []
    with pytest.raises(TaskNotFoundError):
        folder.append_request("abort")
    with pytest.raises(TaskNotFoundError):
        folder.remove()
    assert folder.claim() is None
