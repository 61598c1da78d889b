"""What a task wrote, over HTTP: whole, in parts, and harmless."""

from __future__ import annotations

import os

import sse_tasks_server.artifacts

from .conftest import until


def assert_harmless(answer):
    assert answer.headers["Content-Disposition"].startswith("attachment; filename*=utf-8''")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


async def test_every_part_is_sent_as_a_harmless_attachment(call, start, ended):
    """Output, items, result and files can neither run nor be sniffed, HEAD and parts of them included."""
    files = await start("leaves-files")
    await ended("leaves-files", files)
    counted = await start("count", to=2)
    await ended("count", counted)

    for path in (f"leaves-files/{files}/files/page.html", f"leaves-files/{files}/files/dot.png",
                 *(f"count/{counted}/{part}" for part in ("output", "items", "result"))):
        for method in ("GET", "HEAD"):
            answer = await call(method, f"tasks/{path}")
            assert answer.status == 200
            assert_harmless(answer)
        answer = await call("GET", f"tasks/{path}", headers={"Range": "bytes=0-0"})
        assert_harmless(answer)


async def test_files(call, start, ended):
    """The list has regular files only; each comes as it is, pictures as pictures and pages as mere bytes."""
    task_id = await start("leaves-files")
    await ended("leaves-files", task_id)
    url = f"tasks/leaves-files/{task_id}/files"

    listed = {file["name"]: file["bytes"] for file in (await call("GET", url)).json["files"]}
    assert listed == {"digits.bin": 1_000_000, "dot.png": 8, "näme with % ?.txt": 5, "page.html": 25}
    page, picture = await call("GET", f"{url}/page.html"), await call("GET", f"{url}/dot.png")
    assert page.body == b"<script>alert(1)</script>"
    assert page.headers["Content-Type"] == "application/octet-stream"
    assert (picture.body[:4], picture.headers["Content-Type"]) == (b"\x89PNG", "image/png")
    named = await call("GET", f"{url}/näme with % ?.txt")
    assert named.body == b"named"
    assert named.headers["Content-Disposition"].endswith("n%C3%A4me%20with%20%25%20%3F.txt")


async def test_range(call, start, ended):
    """One range of bytes is honoured, several and nonsense are not."""
    task_id = await start("leaves-files")
    await ended("leaves-files", task_id)

    for asked, status, begin, end in (
            ("bytes=0-9", 206, 0, 10), ("bytes=999990-", 206, 999_990, 1_000_000),
            ("bytes=-5", 206, 999_995, 1_000_000), ("bytes=-5000000", 206, 0, 1_000_000),
            ("bytes=5-5000000", 206, 5, 1_000_000), ("bytes=0-1,5-6", 200, 0, 1_000_000),
            ("bytes=9-5", 200, 0, 1_000_000), ("lines=1-2", 200, 0, 1_000_000), ("bytes=-", 200, 0, 1_000_000)):
        answer = await call("GET", f"tasks/leaves-files/{task_id}/files/digits.bin", headers={"Range": asked})

        assert answer.status == status, asked
        assert answer.body == (b"0123456789" * 100_000)[begin:end], asked
        if status == 206:
            assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/1000000"


async def test_a_range_beyond_the_end(call, start, ended):
    """416 says how long it is, so that a reader of a growing output knows that there is nothing new."""
    task_id = await start("echo", text="four")
    await ended("echo", task_id)

    answer = await call("GET", f"tasks/echo/{task_id}/output", headers={"Range": "bytes=5-"})

    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */5")
    assert answer.json["code"] == "range_not_satisfiable"


async def test_items_after_a_byte(call, start, ended):
    """Add the length of what came; beyond the end starts anew."""
    task_id = await start("count", to=3)
    await ended("count", task_id)
    url = f"tasks/count/{task_id}/items"

    first = await call("GET", url)
    assert first.body == b'{"number":1}\n{"number":2}\n{"number":3}\n'
    rest = await call("GET", url, after=13)
    assert (rest.body, rest.headers["X-Items-After"]) == (first.body[13:], "13")
    assert (await call("GET", url, after=len(first.body))).body == b""
    anew = await call("GET", url, after=len(first.body) + 1)
    assert (anew.body, anew.headers["X-Items-After"]) == (first.body, "0")
    for bad in ("x", "-1", "1.5"):
        assert (await call("GET", url, after=bad)).status == 422


async def test_items_are_whole_lines(call, log_by_hand):
    """The writer may be in mid-line; what isn't whole comes with the next call."""
    log = log_by_hand()
    path = log.writer.folder.path / "items.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":2')

    assert (await call("GET", f"tasks/by-hand/{log.task_id}/items")).body == b'{"a":1}\n'
    path.write_bytes(b'{"a":1}\n{"a":2}\n')
    assert (await call("GET", f"tasks/by-hand/{log.task_id}/items", after=8)).body == b'{"a":2}\n'


async def test_parts_that_are_not_there_yet_are_empty(call, log_by_hand):
    """A task that has written nothing has an empty output, no items and no files."""
    log = log_by_hand()

    assert (await call("GET", f"tasks/by-hand/{log.task_id}/output")).body == b""
    assert (await call("GET", f"tasks/by-hand/{log.task_id}/items")).body == b""
    assert (await call("GET", f"tasks/by-hand/{log.task_id}/files")).json == {"files": []}


async def test_a_part_that_is_a_link_is_not_followed(call, log_by_hand):
    """Even a worker that replaces its own output by a link shows nothing of what lies behind it."""
    log = log_by_hand()
    (log.writer.folder.path / "output.log").symlink_to("/etc/passwd")

    assert (await call("GET", f"tasks/by-hand/{log.task_id}/output")).body == b""


async def test_a_download_that_is_left_or_stalls_holds_nothing(raw, log_by_hand, monkeypatch):
    """A reader that goes, or takes nothing for too long, keeps no file open."""
    monkeypatch.setattr(sse_tasks_server.artifacts, "STALLED_SECONDS", 0.5)
    log = log_by_hand()
    path = log.writer.folder.files_path / "large.bin"
    with open(path, "wb") as file:
        file.truncate(100 << 20)

    def is_open() -> bool:
        return any(os.path.realpath(f"/proc/self/fd/{fd}") == str(path) for fd in os.listdir("/proc/self/fd"))

    for leaves in (True, False):
        answer = await raw("GET", f"tasks/by-hand/{log.task_id}/files/large.bin")
        assert is_open()
        if leaves:
            answer.writer.transport.abort()
        await until(lambda: not is_open(), "the file to be closed")


async def test_large_results_come_whole(call, start, ended):
    """Three megabytes, by its own address, while the task's picture only says how large it is."""
    task_id = await start("echo", text="x" * 1000, times=3000)
    info = await ended("echo", task_id)

    answer = await call("GET", f"tasks/echo/{task_id}/result")

    assert "result" not in info and info["resultBytes"] == len(answer.body)
    assert answer.json == {"text": "x" * 3_000_000}
