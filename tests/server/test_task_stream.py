"""The event stream of one task."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import time
from typing import Any

import pytest
from httpx_sse import aconnect_sse
from sse_tasks_server import event_stream

from sse_tasks.types import new_task_id

from .conftest import end_after_some_updates, until


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"SseTasksApp": {"heartbeat": 0.3}}


def parse(body: bytes) -> list[tuple[int | None, dict[str, Any]]]:
    """The events of a stream: id (None without one) and data."""
    events = []
    for block in body.split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":") and line)
        if b"data" in fields:
            events.append((int(fields[b"id"]) if b"id" in fields else None, json.loads(fields[b"data"])))
    return events


async def test_bytes_of_a_stream(raw, start, ended, app):
    """Headers, opening, every line of the log with the offset after it as id, and a clean end: byte for byte."""
    task_id = await start("count", to=3)
    await ended("count", task_id)
    log = app.manager.folder(task_id).log_path.read_bytes()

    answer = await raw("GET", f"tasks/count?taskId={task_id}")
    body = await answer.rest()

    head = answer.head.lower()
    assert head.startswith(b"http/1.1 200 ok\r\n")
    for line in (b"content-type: text/event-stream", b"cache-control: no-cache, no-transform", b"x-accel-buffering: no",
                 b"x-content-type-options: nosniff"):
        assert b"\r\n" + line + b"\r\n" in head
    assert b"content-length" not in head and b"content-encoding" not in head
    expected, offset = b"retry: 2000\n: sse-tasks\n", 0
    for line in log.splitlines():
        offset += len(line) + 1
        expected += b"id: %d\ndata: %b\n\n" % (offset, line)
    assert body == expected


async def test_first_bytes_come_at_once(raw, log_by_hand):
    """A task with nothing new still opens its stream immediately, before any heartbeat."""
    log = log_by_hand()

    answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}", "Last-Event-ID: " + str(log.progress(1)))

    assert await answer.chunk() == b"retry: 2000\n: sse-tasks\n"


async def test_one_write_for_a_whole_event(raw, log_by_hand):
    """Each event of a task that goes on arrives whole, in one chunk, right after it was written."""
    log = log_by_hand()
    answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}&from=end")
    await answer.chunk()
    assert parse(await answer.chunk())[0][1]["status"] == "idle"

    delays = []
    for number in range(20):
        began = time.monotonic()
        cursor = log.progress(number)
        chunk = await answer.chunk()
        while chunk == b":\n":
            chunk = await answer.chunk()
        assert parse(chunk) == [(cursor, json.loads(chunk.split(b"data: ")[1]))]
        assert chunk.startswith(b"id: %d\ndata: {" % cursor) and chunk.endswith(b"}\n\n")
        delays.append(time.monotonic() - began)
    assert sorted(delays)[10] < 0.9  # by the bell, not by the look of each second


async def test_a_large_event_arrives_whole(raw, log_by_hand):
    """An update of 3 MiB is one event, sent in pieces."""
    log = log_by_hand()
    log.complete(result="y" * (3 << 20))

    answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    sizes, body = [], b""
    async for chunk in answer.chunks():
        sizes.append(len(chunk))
        body += chunk

    assert parse(body)[-1][1]["result"] == "y" * (3 << 20)
    assert max(sizes) <= event_stream.PIECE_BYTES


async def test_resume_after_a_cursor(raw, log_by_hand):
    """A reader that says where it was gets what follows, and nothing twice."""
    log = log_by_hand()
    cursors = [log.progress(number) for number in range(3)]
    log.complete()
    url = f"tasks/by-hand?taskId={log.task_id}"

    for how in ("header", "lastEventId", "last_event_id", "evs_last_event_id"):
        if how == "header":
            answer = await raw("GET", url, f"Last-Event-ID: {cursors[1]}")
        else:
            answer = await raw("GET", f"{url}&{how}={cursors[1]}")
        events = parse(await answer.rest())

        assert [update.get("message") for _, update in events] == ["2 ", None], how
        assert events[0][0] == cursors[2], how


async def test_the_header_wins_over_the_query(raw, log_by_hand):
    """The query of an EventSource that reconnects is stale."""
    log = log_by_hand()
    cursors = [log.progress(number) for number in range(3)]
    log.complete()

    answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}&lastEventId={cursors[0]}&from=end",
                       f"Last-Event-ID: {cursors[1]}")

    assert [update.get("message") for _, update in parse(await answer.rest())] == ["2 ", None]


async def test_no_cursor_is_the_beginning(raw, log_by_hand):
    """Without a cursor, with 0 or an empty one, the stream begins with the first update and no reset."""
    log = log_by_hand()
    log.complete()

    for stated in (None, "0", "", "00"):
        answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}",
                           *([] if stated is None else [f"Last-Event-ID: {stated}"]))

        assert [update["type"] for _, update in parse(await answer.rest())] == ["status", "result"], stated


async def test_a_cursor_that_is_none_resets(call, log_by_hand):
    """No number, beyond the end or in mid-line: everything from the start, after a reset without an id."""
    log = log_by_hand()
    log.complete()

    for stated in ("x", "-1", "1", "1.5", "999999", "9" * 40, "1_0", "٣"):
        answer = await call("GET", "tasks/by-hand", taskId=log.task_id, lastEventId=stated)
        events = parse(answer.body)

        assert b"sse-tasks\ndata: {\"type\":\"reset\"}\n\nid: " in answer.body, stated
        assert [(cursor is None, update["type"]) for cursor, update in events] == [
            (True, "reset"), (False, "status"), (False, "result")], stated


async def test_from_the_end(raw, log_by_hand):
    """``from=end`` is the latest update and what is new; of an ended task its last, then the end."""
    log = log_by_hand()
    for number in range(3):
        log.progress(number, padding=9000)
    live = await raw("GET", f"tasks/by-hand?taskId={log.task_id}&from=end")
    await live.chunk()
    assert parse(await live.chunk())[0][1]["message"].startswith("2 ")
    last = log.complete()
    assert [cursor for cursor, _ in parse(await live.rest())] == [last]

    after = await raw("GET", f"tasks/by-hand?taskId={log.task_id}&from=end")
    assert [cursor for cursor, _ in parse(await after.rest())] == [last]


async def test_a_reconnect_at_the_end_of_an_ended_task_is_204(call, log_by_hand):
    """Who has everything of an ended task is told so in the one way that stops every client."""
    log = log_by_hand()
    log.progress(1)
    last = log.complete()

    answer = await call("GET", "tasks/by-hand", taskId=log.task_id, headers={"Last-Event-ID": str(last)})

    assert (answer.status, answer.body) == (204, b"")


async def test_head_answers_at_once(raw, log_by_hand):
    """HEAD of a live stream gives the headers and nothing else, and the connection is usable again."""
    log = log_by_hand()

    answer = await asyncio.wait_for(raw("HEAD", f"tasks/by-hand?taskId={log.task_id}"), 30)

    assert answer.status == 200
    assert b"text/event-stream" in answer.head and b"content-length" not in answer.head.lower()
    await answer.open(f"GET /nowhere HTTP/1.1\nHost: 127.0.0.1\nAuthorization: token {'x'}\n")
    assert answer.head.startswith(b"HTTP/1.1 ")


async def test_heartbeat_only_in_silence(raw, log_by_hand):
    """A comment comes when the stream was silent for the heartbeat, and not while events come."""
    log = log_by_hand()
    began = time.monotonic()
    answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    await answer.chunk()
    await answer.chunk()

    assert await answer.chunk() == b":\n"
    assert time.monotonic() - began > 0.25
    kept_up = 0
    for number in range(12):
        began = time.monotonic()
        log.progress(number)
        chunk = await answer.chunk()
        await asyncio.sleep(0.06)  # the silence between events is what is tested
        if time.monotonic() - began < 0.15:  # on a machine that is too busy, silence may be longer than that
            kept_up += 1
            assert chunk != b":\n"
    assert kept_up


async def test_opening_and_heartbeats_are_no_events(client, log_by_hand):
    """A client that follows the lines, as httpx-sse does, sees updates and nothing else."""
    log = log_by_hand()
    received = []

    async with aconnect_sse(client, "GET", "/tasks/by-hand", params={"taskId": log.task_id}) as source:
        async for event in source.aiter_sse():
            received.append((event.event, json.loads(event.data)["type"]))
            if len(received) == 1:
                asyncio.get_running_loop().call_later(0.8, log.complete)  # two heartbeats later

    assert received == [("message", "status"), ("message", "result")]


async def test_updates_are_seen_without_a_bell(raw, log_by_hand):
    """Where no bell reaches, a look each second finds what is new."""
    log = log_by_hand()
    answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    await answer.chunk()
    await answer.chunk()

    cursor = log.progress(1, ring=False)
    chunk = await answer.chunk()
    while chunk == b":\n":
        chunk = await answer.chunk()

    assert parse(chunk)[0][0] == cursor


async def test_a_torn_line_is_not_sent(raw, log_by_hand):
    """What follows the last newline isn't there yet; it is sent once it is whole."""
    log = log_by_hand()
    answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    await answer.chunk()
    await answer.chunk()
    line = b'{"type":"result","status":"completed"}\n'

    os.write(log.writer.fd, line[:10])
    log.bell.ring(log.task_id)
    assert await answer.chunk() == b":\n"
    os.write(log.writer.fd, line[10:])
    log.bell.ring(log.task_id)

    assert [update["type"] for _, update in parse(await answer.rest())] == ["result"]


async def test_a_garbled_status_does_not_end_a_stream(raw, log_by_hand):
    """A line whose status is no text is passed over, like any that is no update."""
    log = log_by_hand()
    os.write(log.writer.fd, b'{"type":"status","status":5}\n')
    answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    assert (await raw("GET", f"tasks/by-hand/{log.task_id}/updates")).status == 200
    log.complete()

    assert [update["type"] for _, update in parse(await answer.rest())] == ["status", "result"]


async def test_a_forgotten_task_ends_its_streams(raw, log_by_hand):
    """A stream whose task is forgotten ends; coming back is a 404."""
    log = log_by_hand()
    answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    await answer.chunk()
    await answer.chunk()

    log.writer.folder.remove()
    log.bell.ring(log.task_id)

    assert parse(await answer.rest()) == []
    assert (await raw("GET", f"tasks/by-hand?taskId={log.task_id}", "Last-Event-ID: 9")).status == 404


async def test_a_task_of_a_lost_machine_ends_its_stream(raw, log_by_hand, app):
    """A log that will never say its end is closed by an update without an id that says how the task is read."""
    log = log_by_hand()
    log.progress(1)
    spec = log.writer.folder.path / "task.json"
    spec.write_text(spec.read_text().replace(json.loads(spec.read_text())["host"], "another-machine:1"))
    app.manager._index.drop(log.task_id)
    log.writer.close()

    events = parse(await (await raw("GET", f"tasks/by-hand?taskId={log.task_id}")).rest())

    assert events[-1][0] is None
    assert (events[-1][1]["type"], events[-1][1]["status"], events[-1][1]["code"]) == ("error", "failed", "host_lost")


async def test_many_readers_of_one_task_share_what_is_read(client, log_by_hand, app):
    """Two hundred readers of one task cost one watch, get the same, and leave nothing behind when they go."""
    log = log_by_hand()

    async def read() -> list[tuple[int | None, dict[str, Any]]]:
        answer = await client.get("/tasks/by-hand", params={"taskId": log.task_id})
        return parse(answer.content)

    client._transport._pool._max_connections = 1000
    readers = [asyncio.create_task(read()) for _ in range(200)]
    await until(lambda: len(app.open_answers) == 200, "200 readers")
    assert len(app.tails._tails) == 1
    for number in range(20):
        log.progress(number)
        await asyncio.sleep(0)
    log.complete()

    results = await asyncio.gather(*readers)
    assert all(result == results[0] for result in results) and len(results[0]) == 22
    await until(lambda: not len(app.open_answers), "all readers to be gone")
    assert not app.tails._tails and not app.manager._watches


async def test_a_reader_that_leaves_is_noticed(raw, log_by_hand, app):
    """A client that closes its connection holds nothing, though its task goes on."""
    log = log_by_hand()
    answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    await answer.chunk()
    assert len(app.open_answers) == 1

    answer.writer.close()

    await until(lambda: not len(app.open_answers), "the reader to be noticed as gone")


async def test_a_slow_reader_that_leaves_is_noticed(raw, log_by_hand, app):
    """A client that closes its connection while a write to it is stuck holds nothing, either."""
    log = log_by_hand()
    for number in range(200):
        log.progress(number, ring=False, padding=100_000)
    answer = await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    await until(lambda: any(close.__self__._connection.stream.writing() for close in app.open_answers._closers),
                "a write that is stuck")

    answer.writer.transport.abort()

    await until(lambda: not len(app.open_answers), "the reader to be noticed as gone")


async def test_a_reader_that_takes_nothing_is_dropped(raw, log_by_hand, app, monkeypatch):
    """A stalled reader costs the server no memory and is dropped after its time; others aren't disturbed."""
    monkeypatch.setattr(event_stream, "STALLED_SECONDS", 0.5)
    log = log_by_hand()
    for number in range(200):
        log.progress(number, ring=False, padding=100_000)
    stalled = await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    await until(lambda: len(app.open_answers) == 1, "the reader")

    other = await raw("GET", f"tasks/by-hand?taskId={log.task_id}")
    count = 0
    while count < 201:
        count += (await other.chunk()).count(b"id: ")

    await until(lambda: len(app.open_answers) == 1, "the stalled reader to be dropped")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
        await stalled.rest()


async def test_replay_and_live_join_without_gap_or_double(client, log_by_hand):
    """Readers that come, go and come back at any time while a task writes as fast as it can: each has the log."""
    log = log_by_hand()
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    total = 6_000

    def write() -> None:
        for number in range(total):
            log.progress(number, ring=number % 7 == 0, padding=number % 300)
            if number % 200 == 0:
                time.sleep(0.002)
        log.complete()

    async def read() -> bytes:
        """What one reader got, as lines with their ids."""
        await asyncio.sleep(dice.random() * 0.5)
        got = b""
        cursor = b"0"
        while True:
            patience = dice.choice([1_000, 100_000, 10_000_000])
            async with client.stream("GET", "/tasks/by-hand", params={"taskId": log.task_id},
                                     headers={"Last-Event-ID": cursor.decode()}) as answer:
                if answer.status_code == 204:
                    return got
                rest = b""
                async for piece in answer.aiter_bytes():
                    *whole, rest = (rest + piece).split(b"\n\n")
                    for block in whole:
                        event = block[block.index(b"id: "):]
                        got += event + b"\n"
                        cursor = event[4:event.index(b"\n")]
                    patience -= len(piece)
                    if patience < 0:
                        break

    writer = threading.Thread(target=write)
    writer.start()
    results = await asyncio.gather(*(read() for _ in range(5)))
    writer.join()

    expected, offset = b"", 0
    for line in log.writer.folder.log_path.read_bytes().splitlines():
        offset += len(line) + 1
        expected += b"id: %d\ndata: %b\n" % (offset, line)
    for result in results:
        assert result == expected, f"seed {seed}"


async def test_a_real_task_is_followed_to_its_end(app, client, start, tmp_path):
    """Ids only grow, the status goes its way, and the terminal update is the last."""
    task_id = await start("seconds", gate=str(tmp_path / "gate"))
    going = asyncio.create_task(end_after_some_updates(app, task_id, tmp_path / "gate"))

    answer = await client.get("/tasks/seconds", params={"taskId": task_id})
    await going
    events = parse(answer.content)

    ids = [cursor for cursor, _ in events]
    assert ids == sorted(set(ids))
    assert events[0][1]["status"] == "idle" and events[-1][1]["status"] == "completed"
    assert [update["status"] in ("completed", "failed", "aborted") for _, update in events[:-1]].count(True) == 0
    assert len(events) > 10


async def test_a_senseless_from_is_refused(call, log_by_hand):
    """``from`` knows two words."""
    answer = await call("GET", "tasks/by-hand", taskId=log_by_hand().task_id, from_="middle")

    assert (answer.status, answer.json["errors"][0]["path"]) == (422, "from")


async def test_an_unknown_task_is_404_before_any_byte(call):
    """No stream begins for a task that isn't there."""
    answer = await call("GET", "tasks/count", taskId=new_task_id())

    assert (answer.status, answer.json["code"]) == (404, "not_found")


class TestLongPoll:
    """``…/updates``: the same updates for where streams don't pass."""

    async def test_updates_so_far(self, call, log_by_hand):
        """All updates, the cursor after them, and whether that is the end."""
        log = log_by_hand()
        cursor = log.progress(1)

        answer = await call("GET", f"tasks/by-hand/{log.task_id}/updates")
        assert [update["type"] for update in answer.json["updates"]] == ["status", "progress"]
        assert (answer.json["cursor"], answer.json["ended"]) == (cursor, False)

        last = log.complete()
        answer = await call("GET", f"tasks/by-hand/{log.task_id}/updates", after=cursor)
        assert [update["type"] for update in answer.json["updates"]] == ["result"]
        assert (answer.json["cursor"], answer.json["ended"]) == (last, True)

        answer = await call("GET", f"tasks/by-hand/{log.task_id}/updates", after=last, wait=20)
        assert answer.json == {"updates": [], "cursor": last, "ended": True}

    async def test_it_waits_for_the_next(self, call, log_by_hand):
        """With ``wait`` the answer comes as soon as there is something, else when the time is up."""
        log = log_by_hand()
        cursor = log.progress(1)
        url = f"tasks/by-hand/{log.task_id}/updates"

        began = time.monotonic()
        answer = await call("GET", url, after=cursor, wait=0.3)
        assert answer.json == {"updates": [], "cursor": cursor, "ended": False}
        assert time.monotonic() - began > 0.25

        waiting = asyncio.create_task(call("GET", url, after=cursor, wait=1000))
        await asyncio.sleep(0.1)
        new = log.progress(2)
        assert (await asyncio.wait_for(waiting, 25)).json["cursor"] == new  # 30 s is the longest that a poll waits

    async def test_an_answer_is_bounded(self, call, log_by_hand):
        """At most 1 MiB at a time, one update at least; going on by the cursor gives everything once."""
        log = log_by_hand()
        for number in range(30):
            log.progress(number, ring=False, padding=100_000)
        log.complete(result="z" * (2 << 20))

        updates, cursor, ended, sizes = [], 0, False, []
        while not ended:
            answer = await call("GET", f"tasks/by-hand/{log.task_id}/updates", after=cursor)
            sizes.append(len(answer.body))
            updates += answer.json["updates"]
            cursor, ended = answer.json["cursor"], answer.json["ended"]

        assert [u["message"].split()[0] for u in updates if u["type"] == "progress"] == [str(n) for n in range(30)]
        assert len(updates) == 32 and max(sizes[:-1]) < (1 << 20) + 100

    async def test_a_senseless_wait_is_refused(self, call, log_by_hand):
        """``wait`` is a number of seconds from 0 on."""
        for wait in ("x", "-1", "nan", "inf"):
            answer = await call("GET", f"tasks/by-hand/{log_by_hand().task_id}/updates", wait=wait)
            assert (answer.status, answer.json["errors"][0]["path"]) == (422, "wait")

    async def test_a_cursor_that_is_none_resets(self, call, log_by_hand):
        """The poll says it as the stream does: a reset first, then everything."""
        log = log_by_hand()

        answer = await call("GET", f"tasks/by-hand/{log.task_id}/updates", after="77777")

        assert [update["type"] for update in answer.json["updates"]] == ["reset", "status"]
