"""The page's hub against a server that breaks, signs out, is bare, or sits behind a proxy that holds streams back."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from .waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TASKS = [f"0123456789abcdefghjkmnpqr{n}" for n in range(5)]


async def opened(page: Page, overview) -> None:
    await page.goto(overview.url)
    await page.wait_for_function("() => Boolean(window.show)")


async def show(page: Page, *task_ids: str) -> None:
    await page.evaluate("ids => { for (const id of ids) show('your-task', id); }", list(task_ids))


def cards(page: Page, connection: str):
    return page.locator(f".sse-tasks-TaskView[data-connection={connection}]")


async def hide(page: Page, hidden: bool) -> None:
    await page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });"
        "document.dispatchEvent(new Event('visibilitychange')); }", hidden)


def count(overview, request: str) -> int:
    return overview.requests.count(request)


async def test_all_views_of_a_page_share_one_stream(page, overview):
    """Five views, put up at different times and by two copies of the code, hold one connection."""
    for task_id in TASKS:
        overview.put(task_id)
    await opened(page, overview)
    await show(page, *TASKS[:3])
    await expect(cards(page, "live")).to_have_count(3)
    await page.evaluate(
        "async ids => { const { connectHub } = await import('./frontend/hub.js?copy');"
        "for (const taskId of ids) { const box = document.createElement('div'); document.body.append(box);"
        "mount(box, { taskType: 'your-task', taskId, hub: connectHub() }); } }", TASKS[3:])
    await expect(cards(page, "live")).to_have_count(5)
    for task_id in TASKS:
        overview.put(task_id, message=f"I am {task_id}")
        await expect(page.locator("body")).to_contain_text(f"I am {task_id}")

    assert overview.most_streams == 1
    assert count(overview, "GET api/tasks") == 1


async def test_headers_carry_token_and_xsrf(page, overview):
    """The stream is asked for with the page's token and the cookie's XSRF token."""
    overview.put(TASKS[0])
    await opened(page, overview)
    await show(page, TASKS[0])
    await expect(cards(page, "live")).to_have_count(1)

    headers = overview.headers[0]
    assert headers["Authorization"] == "token secret"
    assert headers["X-Xsrftoken"] in headers["Cookie"]
    assert headers["Accept"] == "text/event-stream"


async def test_ended_tasks_are_fetched_once_and_hold_no_stream(page, overview):
    """A page of ended tasks closes its stream: there is nothing that could change."""
    for task_id in TASKS[:3]:
        overview.put(task_id, status="completed", message="Done")
    await opened(page, overview)
    await show(page, *TASKS[:3])
    await expect(page.locator(".sse-tasks-TaskView[data-status=completed]")).to_have_count(3)
    await until("the stream closes", lambda: not overview.streams)

    for task_id in TASKS[:3]:
        assert count(overview, f"GET api/tasks/your-task/{task_id}") == 1


async def test_a_task_that_ends_closes_the_stream(page, overview):
    """When the last watched task has ended, the connection goes back to the browser."""
    overview.put(TASKS[0])
    await opened(page, overview)
    await show(page, TASKS[0])
    await expect(cards(page, "live")).to_have_count(1)

    overview.put(TASKS[0], status="completed")
    await until("the stream closes", lambda: not overview.streams)


async def test_a_hidden_page_holds_no_stream(page, overview):
    """Hidden: the stream closes and the task is asked for; seen again: one new stream with what happened meanwhile."""
    overview.put(TASKS[0])
    await opened(page, overview)
    await show(page, TASKS[0])
    await expect(cards(page, "live")).to_have_count(1)

    await hide(page, True)
    await until("the stream closes", lambda: not overview.streams)
    await until("a poll", lambda: any(request.startswith("GET api/tasks?") for request in overview.requests))
    overview.put(TASKS[0], message="meanwhile")
    await hide(page, False)
    await expect(page.locator("body")).to_contain_text("meanwhile")

    assert len(overview.streams) == overview.most_streams == 1


async def test_a_dropped_stream_comes_back(page, overview):
    """A stream that ends is opened again, and begins with snapshots: nothing that happened meanwhile is missed."""
    overview.put(TASKS[0])
    await opened(page, overview)
    await show(page, TASKS[0])
    await expect(cards(page, "live")).to_have_count(1)

    overview.drop()
    await until("the stream ends", lambda: not overview.streams)
    overview.put(TASKS[0], message="while you were away")
    await expect(page.locator("body")).to_contain_text("while you were away")
    await expect(cards(page, "live")).to_have_count(1)


async def test_a_server_that_restarts_is_found_again(page, overview):
    """While the server is down the card says so, and a button too; then it is live by itself."""
    overview.put(TASKS[0])
    await opened(page, overview)
    await show(page, TASKS[0])
    await expect(cards(page, "live")).to_have_count(1)

    await overview.stop()
    await expect(cards(page, "offline")).to_have_count(1)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("body")).to_contain_text("The server does not answer.")
    overview.put(TASKS[0], message="back")
    overview.start()

    await expect(page.locator("body")).to_contain_text("back")
    await expect(cards(page, "live")).to_have_count(1)


async def test_signed_out_is_said(page, overview):
    """A 403 is a state of its own; a view that is put up later tries at once."""
    overview.put(TASKS[0])
    overview.signed_out = True
    await opened(page, overview)
    await show(page, TASKS[0])
    await expect(cards(page, "signed-out")).to_have_count(1)
    await expect(page.locator(".sse-tasks-TaskView")).to_contain_text("signed out")

    overview.signed_out = False
    overview.put(TASKS[1])
    await show(page, TASKS[1])
    await expect(cards(page, "live")).to_have_count(2)


async def test_a_proxy_that_holds_streams_back_is_gone_around(page, overview):
    """Without a first byte in time the server is asked every two seconds instead, and the views move. Later a stream
    is tried again."""
    await page.clock.install()
    overview.buffering = True
    overview.put(TASKS[0], message="first")
    await opened(page, overview)
    await show(page, TASKS[0])
    await page.clock.run_for(6000)
    await expect(cards(page, "polling")).to_have_count(1)
    await until("the stream is given up", lambda: not overview.streams)

    overview.put(TASKS[0], message="second")
    await page.clock.run_for(3000)
    await expect(page.locator("body")).to_contain_text("second")

    overview.buffering = False
    await page.clock.run_for(25_000)
    await expect(cards(page, "live")).to_have_count(1)


async def test_gone_tasks_say_so(page, overview):
    """A forgotten task loses its buttons and keeps what was last known."""
    overview.put(TASKS[0], message="last words")
    await opened(page, overview)
    await show(page, TASKS[0])
    await expect(cards(page, "live")).to_have_count(1)

    overview.forget(TASKS[0])
    await expect(page.locator("body")).to_contain_text("no longer on the server")
    await expect(page.locator("body")).to_contain_text("last words")
    await expect(page.get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("served", [True, False], ids=["task unknown", "no extension"])
async def test_a_server_that_does_not_know_the_task_says_unknown_once(page, overview, served):
    """Watchers hear `unknown`, so that the widget can follow its kernel; nothing is asked over and over."""
    overview.served = served
    await page.clock.install()
    await opened(page, overview)
    await page.evaluate(
        "taskId => { window.events = [];"
        "connectHub().watch({ taskType: 'your-task', taskId }, event => events.push(event.type)); }", TASKS[0])
    await page.wait_for_function("() => events.includes('unknown')")
    await page.clock.run_for(60_000)  # longer than any retry waits

    assert await page.evaluate("events.filter(type => type === 'unknown').length") == 1
    assert count(overview, "GET api/tasks") == 1
    await until("the stream closes", lambda: not overview.streams)


async def test_an_older_answer_does_not_overwrite_a_newer_snapshot(page, overview):
    """What was fetched before the stream's snapshot and comes after it is dropped: cursors only grow."""
    overview.put(TASKS[0], message="newer")
    await opened(page, overview)
    await show(page, TASKS[0])
    await expect(page.locator("body")).to_contain_text("newer")

    overview.send({"type": "snapshot", "task": overview.tasks[TASKS[0]] | {"cursor": 50, "message": "older"}})
    overview.send({"type": "snapshot", "task": overview.tasks[TASKS[0]] | {"cursor": 200, "message": "newest"}})
    await expect(page.locator("body")).to_contain_text("newest")


async def test_a_page_without_a_server_has_no_hub(page, overview):
    """Exported pages and foreign front ends have no server: then there is no hub, and no request."""
    await opened(page, overview)
    await page.evaluate("document.getElementById('jupyter-config-data').remove()")

    assert await page.evaluate("connectHub()") is None
