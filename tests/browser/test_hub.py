"""The page's hub for lists of all tasks, and what it does with connections: hidden, asleep, held back, broken."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from .waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LIVE_LIST = "GET api/tasks?status=idle&status=running&status=paused&limit=1000&no_track_activity=1"

NEXT_LOOK = "() => connectHub().alarm.timer !== undefined"


def task_id(number: int) -> str:
    """Ids sort by start time: a higher number is newer."""
    return f"{number:026d}"


async def opened(page: Page, overview: Any, *, calm: bool = False, watch: bool = True) -> None:
    """A page with a list of all tasks: its events stand in ``events``, its picture in ``tasks`` (id → status)."""
    await page.goto(overview.url)
    await page.wait_for_function("() => Boolean(window.show)")
    if watch:
        await watch_all(page, calm=calm)


async def watch_all(page: Page, *, calm: bool = False) -> None:
    await page.evaluate(
        "calm => { window.events = []; window.tasks = {}; window.more = undefined;"
        "window.stopAll = connectHub().watchAll(event => { events.push(event);"
        "if (event.type === 'snapshot') tasks[event.task.taskId] = event.task.status;"
        "if (event.type === 'gone') delete tasks[event.taskId];"
        "if (event.type === 'listed') window.more = event.more; }, { calm }); }", calm)


async def knows(page: Page, **tasks: str) -> None:
    """Waits until the page's list is just this: ``_3="running"``."""
    wanted = {task_id(int(name[1:])): status for name, status in tasks.items()}
    await page.wait_for_function(
        "wanted => JSON.stringify(Object.entries(tasks).sort()) === JSON.stringify(Object.entries(wanted).sort())",
        arg=wanted, timeout=40_000)


async def hide(page: Page, hidden: bool) -> None:
    await page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });"
        "document.dispatchEvent(new Event('visibilitychange')); }", hidden)


async def test_fifty_views_and_two_lists_hold_one_connection(page, overview):
    """However much is on a page, the server sees one stream of it, and each view moves."""
    for number in range(50):
        overview.put(task_id(number))
    await opened(page, overview)
    await page.evaluate("ids => { for (const id of ids) show('your-task', id); connectHub().watchAll(() => {}); }",
                        [task_id(number) for number in range(50)])
    await page.wait_for_function(
        "() => document.querySelectorAll('.sse-tasks-TaskView[data-connection=live]').length === 50")
    for number in range(50):
        overview.put(task_id(number), message=f"I am {number}.")
    await page.wait_for_function("() => document.body.innerText.match(/I am \\d+\\./g)?.length === 50")

    assert overview.most_streams == 1


async def test_a_list_is_told_of_all_tasks_page_by_page(page, overview):
    """First those that live and the newest hundred, then older ones on demand, then each change and what was before."""
    overview.put(task_id(1), status="completed")
    overview.put(task_id(2), status="running")
    for number in range(100, 220):
        overview.put(task_id(number), status="completed")
    await opened(page, overview)
    await page.wait_for_function("() => window.more === true && Object.keys(tasks).length === 101")

    await page.evaluate("connectHub().older()")
    await page.wait_for_function("() => window.more === false && Object.keys(tasks).length === 122")
    overview.put(task_id(2), status="failed", error="It broke")
    await page.wait_for_function("id => tasks[id] === 'failed'", arg=task_id(2))
    last = await page.evaluate("id => events.findLast(({ task }) => task?.taskId === id)", task_id(2))
    assert (last["before"]["status"], last["task"]["error"]) == ("running", "It broke")
    overview.forget(task_id(150))
    await page.wait_for_function("id => !(id in tasks)", arg=task_id(150))


async def test_what_happened_while_a_stream_was_broken_is_told(page, overview):
    """A task that ended, one that was forgotten, one that came and ended: after the break the list is right."""
    overview.put(task_id(1), status="running")
    overview.put(task_id(2), status="completed")
    await opened(page, overview)
    await knows(page, _1="running", _2="completed")

    await overview.stop()
    overview.put(task_id(1), status="aborted")
    overview.forget(task_id(2))
    overview.put(task_id(3), status="completed")
    overview.start()
    await knows(page, _1="aborted", _3="completed")


async def test_a_hidden_page_learns_of_an_end_within_fifteen_seconds(page, overview):
    """It holds no stream, asks once for all tasks, and is told of the end of each at the next look."""
    await page.clock.install()
    for number in range(3):
        overview.put(task_id(number))
    await opened(page, overview)
    await knows(page, _0="running", _1="running", _2="running")
    await hide(page, True)
    await until("the stream closes", lambda: not overview.streams)
    await page.wait_for_function(NEXT_LOOK)
    assert overview.requests.count(LIVE_LIST) == 1
    overview.put(task_id(1), status="completed")
    await page.clock.run_for(15_000)
    await knows(page, _0="running", _1="completed", _2="running")
    assert overview.requests.count(LIVE_LIST) == 2
    assert not overview.streams

    await hide(page, False)
    await until("a stream again", lambda: len(overview.streams) == 1)


async def test_a_hidden_page_where_nothing_lives_asks_nothing(page, overview):
    """It would keep a server alive that nobody uses; seen again, it knows what came meanwhile."""
    await page.clock.install()
    overview.put(task_id(1), status="completed")
    await opened(page, overview)
    await knows(page, _1="completed")
    await hide(page, True)
    await until("the stream closes", lambda: not overview.streams)
    overview.requests.clear()
    await page.clock.run_for(60_000)
    assert overview.requests == []

    overview.put(task_id(2), status="running")
    await hide(page, False)
    await knows(page, _1="completed", _2="running")


async def test_a_browser_that_slows_hidden_pages_down_does_not_delay_a_look(page, overview):
    """A page's own timers come late while it is hidden; the hub's alarm rings all the same, once."""
    await opened(page, overview, watch=False)
    await hide(page, True)
    rung = await page.evaluate(
        "async () => { const { Alarm } = await import('./frontend/alarm.js'); const setTimeout = window.setTimeout;"
        "window.setTimeout = () => 0; let rung = 0;"
        "await new Promise(resolve => new Alarm().set(20, () => { rung += 1; resolve(); }));"
        "await new Promise(resolve => setTimeout(resolve, 100)); return rung; }")

    assert rung == 1


async def test_a_calm_list_holds_no_stream_while_nothing_lives(page, overview):
    """What only counts tasks looks every 15 seconds; once a task lives there is a stream, and none after its end."""
    await page.clock.install()
    overview.put(task_id(1), status="completed")
    await opened(page, overview, calm=True)
    await page.wait_for_function(NEXT_LOOK)
    assert overview.requests.count(LIVE_LIST) == 1
    assert not overview.streams

    overview.put(task_id(2), status="running")
    await page.clock.run_for(15_000)
    await knows(page, _2="running")
    await until("a stream", lambda: len(overview.streams) == 1)
    overview.put(task_id(2), status="completed")
    await until("the stream closes", lambda: not overview.streams)
    assert await page.evaluate("events.filter(({ type }) => type === 'connection').at(-1).connection") == "live"


async def test_after_a_laptops_sleep_the_stream_comes_back(page, overview):
    """The connection died without a word while the machine slept: a new one is opened, and begins with snapshots."""
    await page.clock.install()
    overview.put(task_id(1))
    await opened(page, overview)
    await knows(page, _1="running")
    [asleep] = overview.streams
    overview.streams.clear()  # nothing that is written reaches the page any more
    overview.put(task_id(1), status="paused")

    await page.clock.fast_forward(3600_000)
    await page.clock.run_for(5000)
    await knows(page, _1="paused")
    await until("the connection that slept closes", asleep.ended.is_set)


async def test_behind_a_proxy_that_holds_streams_back_one_request_asks_for_all(page, overview):
    """Twenty views and a list: one request every two seconds, whatever their number."""
    await page.clock.install()
    overview.buffering = True
    for number in range(20):
        overview.put(task_id(number))
    await opened(page, overview)
    await page.evaluate("ids => { for (const id of ids) show('your-task', id); }", [task_id(n) for n in range(20)])
    await page.clock.run_for(6000)
    await page.wait_for_function(
        "() => document.querySelectorAll('.sse-tasks-TaskView[data-connection=polling]').length === 20")
    await page.clock.pause_at(await page.evaluate("Date.now() / 1000 + 3"))  # from now on only the test lets time pass
    await page.wait_for_function(NEXT_LOOK)
    overview.put(task_id(7), status="completed")
    looks = overview.requests.count(LIVE_LIST)
    await page.clock.run_for(2000)
    await page.wait_for_function("id => tasks[id] === 'completed'", arg=task_id(7))

    assert overview.requests.count(LIVE_LIST) == looks + 1
    assert [request for request in overview.requests if request.startswith("GET api/tasks/")] == [
        f"GET api/tasks/your-task/{task_id(7)}"]


@pytest.mark.parametrize(("fault", "said"), [("signed_out", "signed-out"), ("forbidden", "forbidden"),
                                             ("served", "absent")])
async def test_a_list_is_told_why_there_is_nothing(page, overview, fault, said):
    """Signed out, not allowed, or no extension: a list hears it, in a poll as in a stream, and another that comes tries
    at once."""
    setattr(overview, fault, fault != "served")
    overview.put(task_id(1))
    await opened(page, overview)
    await page.wait_for_function("said => events.at(-1).connection === said", arg=said)
    await page.evaluate("stopAll()")
    await watch_all(page, calm=True)
    await page.wait_for_function("said => events.at(-1).connection === said", arg=said)

    setattr(overview, fault, fault == "served")
    await watch_all(page)
    await knows(page, _1="running")


async def test_a_list_that_goes_leaves_nothing(page, overview):
    """After its end there is no stream, no poll and nothing kept."""
    overview.put(task_id(1))
    await opened(page, overview)
    await knows(page, _1="running")

    await page.evaluate("stopAll()")
    await until("the stream closes", lambda: not overview.streams)
    assert await page.evaluate("connectHub().tasks.size") == 0
