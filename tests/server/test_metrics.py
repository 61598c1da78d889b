"""A task's metrics over HTTP."""

from __future__ import annotations

import json

from .test_artifacts import assert_harmless


async def test_metrics_after_a_byte(call, start, ended):
    """Points come as lines, whole ones after a byte; the picture says how many there are, and their bytes."""
    task_id = await start("measures")
    info = await ended("measures", task_id)
    url = f"tasks/measures/{task_id}/metrics"

    whole = await call("GET", url)
    lines = whole.body.splitlines(keepends=True)
    points = [json.loads(line) for line in lines]
    assert [(point["name"], point["value"], point.get("step")) for point in points] == [
        ("loss", 1, 0), ("loss", 0.5, 1), ("loss", 0.25, 2), ("näme", None, None)]
    assert all(info["startedAt"] <= point["timestamp"] <= info["endedAt"] for point in points)
    assert (info["metrics"], info["metricsBytes"]) == (4, len(whole.body))
    assert whole.headers["Content-Type"] == "application/x-ndjson"
    assert_harmless(whole)
    rest = await call("GET", url, after=len(lines[0]))
    assert (rest.body, rest.headers["X-Items-After"]) == (b"".join(lines[1:]), str(len(lines[0])))
    assert (await call("GET", url, after=len(whole.body))).body == b""
    assert (await call("GET", url, after=len(whole.body) + 1)).body == whole.body
    assert (await call("GET", url, after="x")).status == 422


async def test_updates_count_them(call, start, ended):
    """The last update says how many points there are, as its picture does."""
    task_id = await start("measures", points=50)
    await ended("measures", task_id)

    updates = (await call("GET", f"tasks/measures/{task_id}/updates")).json["updates"]

    assert updates[-1]["metrics"] == 51
    assert sorted(update.get("metrics", 0) for update in updates) == [update.get("metrics", 0) for update in updates]


async def test_a_task_without_metrics(call, start, ended):
    """Its metrics are empty, and its picture doesn't speak of them."""
    task_id = await start("echo")
    info = await ended("echo", task_id)

    assert (await call("GET", f"tasks/echo/{task_id}/metrics")).body == b""
    assert "metrics" not in info and "metricsBytes" not in info
