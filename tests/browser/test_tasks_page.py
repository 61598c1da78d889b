"""The page of all tasks in a real browser, before a real Jupyter server below another address than "/"."""

from __future__ import annotations

import json
import re
import shlex
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from sse_tasks.options import parse_start_line
from sse_tasks.types import TaskTypeInfo

from .waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

WORKER = '''
from typing import Annotated, Literal

import msgspec

from sse_tasks import TaskContext, task


class Address(msgspec.Struct, forbid_unknown_fields=True):
    """Where to send it."""

    city: Annotated[str, msgspec.Meta(min_length=2, description="The city's name.")]
    zip: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}$")] = "8010"


@task("all-fields")
def all_fields(
    ctx: TaskContext,
    steps: Annotated[int, msgspec.Meta(ge=1, le=1000, description="How many steps to count.")],
    seconds: Annotated[float, msgspec.Meta(gt=0)] = 0.1,
    text: str = "",
    mode: Literal["fast", "slow"] = "fast",
    verbose: bool = False,
    hosts: list[str] = [],
    sizes: list[int] | None = None,
    address: Address | None = None,
    extra: dict[str, int] = {},
    either: int | str | None = None,
    strict: bool | None = None,
    data: bytes = b"",
    timeout: float = 1.0,
):
    """Has a field of each kind."""
    for step in range(steps):
        ctx.progress(step + 1, steps, "Counting")
        ctx.checkpoint({"step": step})  # so that an abort loses little, and nobody asks about it
        ctx.sleep(seconds / steps)
    if text == "fail":
        raise ValueError("It broke")
    return steps
'''


@pytest.fixture(scope="session")
def server(jupyter_server):
    server = jupyter_server("lab")
    (server.folder / "workers" / "all_fields.py").write_text(WORKER)
    return server


class TasksPage:
    """The page, open in a browser that is logged in."""

    def __init__(self, page: Page, server: Any) -> None:
        self.page, self.server = page, server
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: self.faults.append(message.text)
                if "Content Security Policy" in message.text else None)

    async def open(self, address: str = "") -> TasksPage:
        await self.page.goto(f"{self.server.url}sse-tasks?token={self.server.token}{address}")
        await self.page.wait_for_function("() => !document.body.innerText.includes('Loading…')")
        return self

    async def start(self, task_type: str = "all-fields", *, name: str, **task_input: Any) -> str:
        """Starts a task by the page's own login, and gives its id."""
        return await self.page.evaluate(
            "async ([type, name, input]) => { const { connectHub } = await import('./static/sse_tasks/hub.js');"
            "return (await connectHub().send('POST', `api/tasks/${type}?name=${name}`, input)).taskId; }",
            [task_type, name, task_input])

    def info(self, task_id: str) -> dict[str, Any]:
        return self.server.get(f"api/tasks/all-fields/{task_id}")

    def row(self, name: str) -> Locator:
        return self.page.locator(".sse-tasks-Row").filter(has=self.page.get_by_text(name, exact=True))

    async def open_form(self) -> Locator:
        form = self.page.get_by_role("form", name="Start a task")
        if not await form.is_visible():
            await self.page.get_by_role("button", name="Start a task").click()
        await form.get_by_label("Task type").select_option("all-fields")
        return form


@pytest_asyncio.fixture(loop_scope="session")
async def tasks(page: Page, server: Any) -> AsyncIterator[TasksPage]:
    opened = await TasksPage(page, server).open()
    yield opened
    server.clear()
    assert opened.faults == []


async def test_a_task_is_started_by_the_form(tasks):
    """What is wrong is said beside the field as one types, what is missing when one sends it; then the task runs with
    just what was given, and its card is open in the list."""
    form = await tasks.open_form()
    steps = form.get_by_label("Steps")
    await steps.fill("many")
    await expect(form).to_contain_text('Must be a whole number, not "many".')
    await expect(steps).to_have_attribute("aria-invalid", "true")
    await steps.fill("0")
    await expect(form).to_contain_text("Must be at least 1, not 0.")
    await steps.fill("")
    await form.get_by_label("Zip").fill("80")
    await form.get_by_label("Sizes").fill("1\nx")
    await expect(form).to_contain_text("Must match ^[0-9]{4}$")
    await expect(form).to_contain_text("Line 2 must be a whole number")
    await form.get_by_role("button", name="Start", exact=True).click()
    await expect(form).to_contain_text("4 values need a look.")
    await expect(form.locator('[data-path="address.city"]')).to_contain_text("Is missing.")
    await expect(steps).to_be_focused()

    await steps.fill("3")
    await form.get_by_label("City").fill("Graz")
    await form.get_by_label("Zip").fill("8020")
    await form.get_by_label("Sizes").fill("1\n2")
    await form.get_by_label("Mode").select_option("slow")
    await form.get_by_label("Verbose").check()
    await form.get_by_label("Extra").fill('{"a": 1}')
    await form.get_by_label("Either").fill("12")
    await form.get_by_text("Name, tags, limits").click()
    await form.get_by_label("Name").fill("By the form")
    await form.get_by_label("Tags").fill("one\ntwo words")
    await form.get_by_label("Name").press("Enter")

    row = tasks.row("By the form").first
    await expect(row).to_have_attribute("data-status", "completed")
    await expect(row.locator(".sse-tasks-TaskView")).to_contain_text("Completed")
    await expect(form).to_be_hidden()
    info = tasks.info(await row.get_attribute("data-task-id"))
    assert info["input"] == {"steps": 3, "mode": "slow", "verbose": True, "sizes": [1, 2], "extra": {"a": 1},
                             "either": 12, "address": {"city": "Graz", "zip": "8020"}}
    assert info["tags"] == ["one", "two words"]


async def test_an_input_can_be_given_as_json(tasks):
    """The fields' values become JSON and come back; what only JSON can say stays JSON; the server's own findings stand
    beside the field that they are about."""
    form = await tasks.open_form()
    await form.get_by_label("Steps").fill("2")
    await form.get_by_role("button", name="JSON").click()
    box = form.get_by_label("Input as JSON")
    assert json.loads(await box.input_value()) == {"steps": 2}
    await box.fill('{"steps": 2, "text": ""}')
    await form.get_by_role("button", name="Form", exact=True).click()
    await expect(form).to_contain_text("this start stays JSON")
    await box.fill('{"steps": 2, "unknown": 1}')
    await form.get_by_role("button", name="Start", exact=True).click()
    await expect(form).to_contain_text("unknown is no field of this task type")
    await box.fill('{"steps": 5, "sizes": [7]')
    await expect(form).to_contain_text("The JSON can’t be read")
    await box.fill('{"steps": 5, "sizes": [7], "data": "!"}')
    await form.get_by_role("button", name="Form", exact=True).click()
    assert await form.get_by_label("Sizes").input_value() == "7"

    await form.get_by_role("button", name="Start", exact=True).click()
    await expect(form.locator('[data-path="data"]')).to_contain_text("Must be base64 text")
    await expect(form.get_by_label("Data")).to_be_focused()


INPUTS: list[dict[str, Any]] = [
    {"steps": 5}, {"steps": 5, "seconds": 0.5, "verbose": True, "strict": False},
    {"steps": 1, "text": "it's $HOME {x} \"quoted\" \\ and 'more'"}, {"steps": 1, "text": "5"},
    {"steps": 1, "text": "-x"}, {"steps": 1, "text": "--help"}, {"steps": 1, "text": "two\nlines\u2028"},
    {"steps": 1, "text": '{"a": 1}'}, {"steps": 1, "text": "null"}, {"steps": 1, "text": " space "},
    {"steps": 1, "either": "12"}, {"steps": 1, "either": 12}, {"steps": 1, "either": "true"},
    {"steps": 1, "either": "plain"}, {"steps": 1, "hosts": ["a b", "-c"]}, {"steps": 1, "hosts": ["[1]"]},
    {"steps": 1, "hosts": []}, {"steps": 1, "sizes": [1, 2]}, {"steps": 1, "hosts": ["1"]}, {"steps": 1, "sizes": None},
    {"steps": 1, "extra": {"é$x": 1, "q'": 2}}, {"steps": 1, "address": {"city": "Graz {x}"}, "timeout": 3},
    {"steps": 1, "hosts": ["ü", "null"]}, {"steps": 1, "text": "$$ {{ }}"}, {"steps": 1, "either": "-5"},
]


async def test_a_start_is_copied_as_it_is_typed(tasks):
    """The line for a notebook means the same input and options to the magic's own parser, and the command for a shell
    is the same start, with the token left to the shell."""
    [info] = [t for t in tasks.server.get("api/task-types")["taskTypes"] if t["name"] == "all-fields"]
    options = {"name": "It's {this} $one", "tags": ["a", "-b"], "timeout": 7.5, "retries": 2}
    copies = await tasks.page.evaluate(
        "async ([type, inputs, options]) => {"
        "const { asMagic, asCurl } = await import('./static/sse_tasks/copy_as.js');"
        "return inputs.map(input => [asMagic(type, input, options),"
        "asCurl('http://host/a%40b/', type.name, JSON.stringify(input), options)]); }", [info, INPUTS, options])
    namespace = {"x": "wrong", "HOME": "wrong", "one": "wrong", "this": "wrong"}
    task_type = TaskTypeInfo(name=info["name"], input=info["input"])
    for expected, (magic, curl) in zip(INPUTS, copies, strict=True):
        assert "\n" not in magic
        request = parse_start_line(magic.removeprefix("%start_task "), lambda _: task_type, namespace)
        assert (request.task_type, request.input) == ("all-fields", expected), magic
        assert (request.name, request.tags, request.timeout, request.retries) == (
            options["name"], tuple(options["tags"]), options["timeout"], options["retries"]), magic
        words = shlex.split(curl)
        address = urllib.parse.urlsplit(words[3])
        assert words[:3] == ["curl", "-H", "Authorization: token $TOKEN"] and words[4] == "-d"
        assert json.loads(words[5]) == expected
        assert (address.path, urllib.parse.parse_qs(address.query)) == (
            "/a%40b/api/tasks/all-fields",
            {"name": [options["name"]], "tag": options["tags"], "timeout": ["7.5"], "retries": ["2"]})

    form = await tasks.open_form()
    await form.get_by_label("Steps").fill("4")
    await form.get_by_role("button", name="Copy as a line for a notebook").click()
    await expect(form.locator("pre")).to_have_text("%start_task all-fields --steps 4")


async def test_several_are_found_and_aborted_at_once(tasks):
    """Search and filters narrow the list; what is selected is aborted with one click, which says how many."""
    for name in ("bulk-one", "bulk-two", "bulk-three", "other"):
        await tasks.start(name=name, steps=1000, seconds=1000)
    await tasks.start(name="bulk-done", steps=1)
    await expect(tasks.row("bulk-done")).to_have_attribute("data-status", "completed")
    await expect(tasks.page).to_have_title("(4) Tasks")

    await tasks.page.get_by_label("Search tasks").fill("bulk ALL-fields")
    await expect(tasks.row("other")).to_have_count(0)
    await tasks.page.get_by_role("button", name="Live").click()
    await expect(tasks.page.locator(".sse-tasks-Row")).to_have_count(3)
    await tasks.page.get_by_label("Select bulk-one").check()
    await tasks.page.get_by_label("Select all that are listed").click()
    await tasks.page.get_by_role("button", name="Abort 3 tasks").click()
    await expect(tasks.page.locator(".sse-tasks-Row")).to_have_count(0)
    await expect(tasks.page.get_by_text("No task matches.")).to_be_visible()
    await tasks.page.get_by_role("button", name="Show all").click()
    for name in ("bulk-one", "bulk-two", "bulk-three"):
        await expect(tasks.row(name)).to_have_attribute("data-status", "aborted")
    await expect(tasks.row("other")).to_have_attribute("data-status", "running")

    await tasks.page.get_by_role("button", name="Select none").click()
    await tasks.row("other").get_by_role("button", name="Pause").click()
    await expect(tasks.row("other")).to_have_attribute("data-status", "paused")


async def test_forgetting_can_be_taken_back(page, server):
    """A forgotten task leaves the list at once and the server six seconds later; until then Undo brings it back."""
    await page.clock.install()
    tasks = await TasksPage(page, server).open()
    ids = [await tasks.start(name=name, steps=1) for name in ("forget-me", "forget-too")]
    for name in ("forget-me", "forget-too"):
        await page.clock.run_for(300)
        await expect(tasks.row(name)).to_have_attribute("data-status", "completed")
        await tasks.page.get_by_label(f"Select {name}").check()

    await page.clock.pause_at(await page.evaluate("Date.now() / 1000 + 3"))  # however long a click takes
    await page.get_by_role("button", name="Forget 2 tasks").click()
    await page.clock.run_for(300)
    await expect(tasks.row("forget-me")).to_have_count(0)
    await page.get_by_role("button", name="Undo").click()
    await page.clock.run_for(10_000)
    await expect(tasks.row("forget-me")).to_be_visible()
    assert tasks.info(ids[0])["status"] == "completed"

    await tasks.row("forget-too").get_by_role("button", name="Forget", exact=True).click()
    async with page.expect_response(lambda response: response.request.method == "DELETE") as deleted:
        await page.clock.run_for(6000)
    assert (await deleted.value).status == 204
    left = {task["taskId"] for task in server.get("api/tasks")["tasks"]}
    assert ids[0] in left and ids[1] not in left
    assert tasks.faults == []


NOTIFICATIONS = """
window.told = [];
window.Notification = class extends Notification {
  constructor(title, options) {
    super(title, options);
    this.addEventListener('show', () => told.push([this.title, this.body, this.requireInteraction]));
  }
};
"""


async def test_an_end_that_nobody_looks_at_is_told(page, server, tmp_path):
    """A task that ends while another window has the focus is told by the page and, where a click allowed it, by the
    browser; a failure more loudly than a success; one that is looked at, or aborted, not at all."""
    await page.context.grant_permissions(["notifications"])  # what a person does when the browser asks
    await page.add_init_script(NOTIFICATIONS)
    tasks = await TasksPage(page, server).open()
    await page.get_by_role("button", name="Notify me").click()
    await expect(page.get_by_role("button", name="Notifications are on")).to_be_visible()
    await tasks.start(name="seen", steps=1)
    await expect(tasks.row("seen")).to_have_attribute("data-status", "completed")
    sign = tmp_path / "go"
    for name, ending in (("good", ""), ("bad", "It broke")):
        await tasks.start("your-task", name=name, steps=1, seconds=0, ending=ending, wait_for=str(sign))
        await expect(tasks.row(name)).to_have_attribute("data-status", "running")
    await tasks.start(name="ended", steps=1000, seconds=1000)
    await tasks.row("ended").get_by_role("button", name="Abort").click()
    await page.evaluate("document.hasFocus = () => false")
    await expect(tasks.row("ended")).to_have_attribute("data-status", "aborted")
    sign.touch()

    # All at once, for a success goes by itself.
    notices = await page.wait_for_function(
        "() => { const notices = [...document.querySelectorAll('.sse-tasks-Page-notice')];"
        "return notices.length >= 2 && notices.map(({ role, textContent }) => [role, textContent]).sort(); }")
    (alert, failure), (status, success) = await notices.json_value()
    assert (alert, status) == ("alert", "status")
    assert failure.startswith("bad failedValueError: It broke") and success.startswith("good is done")
    await page.wait_for_function("told.length === 2")  # the browser has shown them
    assert sorted(await page.evaluate("told")) == [["bad failed", "ValueError: It broke", True],
                                                   ["good is done", "", False]]
    assert "✗" in await page.title()
    await page.evaluate("dispatchEvent(new Event('focus'))")
    assert "✗" not in await page.title()
    assert tasks.faults == []


async def test_signed_out_is_said_and_ends_by_itself(tasks):
    """The list says it and leads to the login; once one is signed in again, in whatever tab, it lives again."""
    await tasks.start(name="lasting", steps=1000, seconds=1000)
    await expect(tasks.row("lasting")).to_have_attribute("data-status", "running")
    await tasks.page.context.clear_cookies()
    await tasks.row("lasting").get_by_role("button", name="Pause").click()
    refused = "lasting could not be paused: You are signed out. Sign in again in another tab"
    await expect(tasks.page.get_by_role("alert").filter(has_text=refused)).to_be_visible()
    await tasks.page.evaluate("dispatchEvent(new Event('online'))")
    banner = tasks.page.get_by_role("status").filter(has_text="You are signed out.")
    await expect(banner).to_be_visible()
    link = await banner.get_by_role("link", name="Sign in again").get_attribute("href")
    assert link == f"{tasks.server.url}login?next={urllib.parse.quote(tasks.server.base_url, safe='')}sse-tasks"

    other = await tasks.page.context.new_page()
    await other.goto(f"{tasks.server.url}sse-tasks?token={tasks.server.token}")
    await tasks.page.evaluate("dispatchEvent(new Event('online'))")
    await expect(banner).to_be_hidden()
    await tasks.row("lasting").get_by_role("button", name="Pause").click()
    await expect(tasks.row("lasting")).to_have_attribute("data-status", "paused")


async def test_one_task_has_an_address(tasks):
    """`sse-tasks#<id>` opens that task's card; an id that nobody knows is said; the token leaves the address."""
    task_id = await tasks.start(name="addressed", steps=1)
    await tasks.page.goto("about:blank")
    await tasks.open(f"#{task_id}")
    await expect(tasks.row("addressed").locator(".sse-tasks-TaskView")).to_contain_text("Completed")
    assert tasks.page.url == f"{tasks.server.url}sse-tasks#{task_id}"

    await tasks.page.evaluate("location.hash = '0'.repeat(26)")
    await expect(tasks.page.get_by_text("There is no such task.")).to_be_visible()


async def test_it_fits_a_phone_and_the_keyboard(tasks):
    """At 320 pixels nothing sticks out, with form and card open; everything is reached by the keyboard, and each such
    element keeps its keys from JupyterLab."""
    await tasks.page.set_viewport_size({"width": 320, "height": 700})
    await tasks.start(name="a-rather-long-name-for-a-small-screen-" + "x" * 60, steps=1000, seconds=1000)
    row = tasks.page.locator(".sse-tasks-Row[data-status=running]")
    await row.get_by_role("button", expanded=False).press("Enter")
    await expect(row.locator(".sse-tasks-TaskView")).to_contain_text("Running")
    await expect(row.locator(".sse-tasks-TaskView-title")).to_be_hidden()  # a few letters of what stands above
    await tasks.page.get_by_role("button", name="Start a task").press("Space")
    await tasks.open_form()

    assert await tasks.page.evaluate("document.scrollingElement.scrollWidth") == 320
    sticking_out = await tasks.page.evaluate(
        "[...document.querySelectorAll('.sse-tasks-Panel *')].filter(node => node.checkVisibility()"
        "&& !node.closest('.sse-tasks-hidden, .sse-tasks-TaskView-spoken, [class*=chart]')"
        "&& node.getBoundingClientRect().right > 321).map(node => node.className)")
    assert sticking_out == []
    unmarked = "button, input, select, textarea, summary, a, [tabindex]"
    assert await tasks.page.evaluate(
        "selector => [...document.querySelectorAll(selector)].filter(node => node.closest('.sse-tasks-Panel')"
        "&& !node.dataset.lmSuppressShortcuts).map(node => node.outerHTML)", unmarked) == []
    await tasks.page.keyboard.press("Escape")
    await expect(tasks.page.get_by_role("button", name="Start a task")).to_be_focused()


async def test_a_restarted_server_is_found_again(tasks):
    """While the server is down the list says so, and the form; when it is back, the same task goes on before one's
    eyes, and the form has its task types."""
    await tasks.start(name="survivor", steps=1000, seconds=1000)
    await expect(tasks.row("survivor")).to_have_attribute("data-status", "running")
    tasks.server.stop()
    banner = tasks.page.get_by_text("The server does not answer; trying again.")
    await expect(banner).to_be_visible()
    await tasks.page.get_by_role("button", name="Start a task").click()
    types = tasks.page.get_by_role("form").get_by_label("Task type").locator("option")
    await expect(types).to_have_text(["The task types can’t be loaded; trying again…"])
    tasks.server.start()
    tasks.server.wait()

    await expect(types.filter(has_text="all-fields")).to_be_attached()
    await expect(tasks.page.get_by_role("alert")).to_be_hidden()
    await tasks.page.keyboard.press("Escape")
    await expect(banner).to_be_hidden()
    figures = tasks.row("survivor").locator(".sse-tasks-Row-figures")
    before = await figures.text_content()
    await expect(figures).not_to_have_text(re.compile(f"^{re.escape(before)}$"))
    await tasks.row("survivor").get_by_role("button", name="Abort").click()
    await expect(tasks.row("survivor")).to_have_attribute("data-status", "aborted")


async def mounted(page: Page, overview: Any) -> None:
    """The panel on the page of a server of this process."""
    await page.goto(overview.url)
    await page.evaluate(
        "async () => { const link = document.createElement('link'); link.rel = 'stylesheet';"
        "link.href = 'frontend/task_list.css'; document.head.append(link);"
        "const { mountPanel } = await import('./frontend/panel.js');"
        "window.panel = mountPanel(document.getElementById('cards'), { hub: connectHub() }); }")


async def test_an_abort_that_loses_work_is_asked_about(page, overview):
    """Of several as of one: the list says what would be lost, keeps it by default, and asks nothing where little is."""
    for number, started in (("1", "2026-01-01"), ("2", "2026-01-01"), ("3", None)):
        overview.put(number.zfill(26), name=f"task-{number}", startedAt=started and f"{started}T00:00:00.000Z",
                     status="running" if started else "idle")
    await mounted(page, overview)
    row = page.locator(".sse-tasks-Row", has_text="task-1")
    await row.get_by_role("button", name="Abort").click()
    question = page.get_by_role("alertdialog")
    await expect(question).to_contain_text("No checkpoint was saved")
    await expect(question.get_by_role("button", name="Keep")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(question).to_be_hidden()
    await expect(row.get_by_role("button", name="Abort")).to_be_focused()
    for number in (1, 2, 3):
        await page.get_by_label(f"Select task-{number}").check()
    await page.get_by_role("button", name="Abort 3 tasks").click()
    await expect(question).to_contain_text("2 of 3 tasks would lose work")
    assert overview.asked == []

    await question.get_by_role("button", name="Abort 3 tasks").click()
    await expect(question).to_be_hidden()
    await page.get_by_role("button", name="Select none").click()
    await until("three requests", lambda: len(overview.asked) >= 3)
    assert sorted(overview.asked) == [("abort", number.zfill(26)) for number in ("1", "2", "3")]
    await page.locator(".sse-tasks-Row", has_text="task-3").get_by_role("button", name="Abort").click()
    await expect(question).to_be_hidden()


async def test_a_task_is_shown_by_a_list_that_was_out_of_sight(page, overview):
    """As when a form longer than the page has just started it: its line is there, open, and scrolled to."""
    await mounted(page, overview)
    await expect(page.get_by_text("No tasks yet.")).to_be_visible()
    await page.evaluate("document.querySelector('.sse-tasks-Panel-header').style.height = '3000px'")
    await until("no stream", lambda: not overview.streams)
    overview.put("1" * 26, name="started")
    assert await page.evaluate("panel.reveal('1'.repeat(26), 'your-task')")

    row = page.locator(".sse-tasks-Row", has_text="started")
    await expect(row.locator(".sse-tasks-TaskView")).to_be_in_viewport()


async def test_a_quick_tasks_end_is_no_news_to_who_looks(page, overview):
    """Also where it has ended before its line was drawn."""
    await mounted(page, overview)
    await page.evaluate(
        "async () => { window.told = []; const { watchEnds } = await import('./frontend/notices.js');"
        "watchEnds(connectHub(), ({ title }) => told.push(title)); }")
    await expect(page.get_by_text("No tasks yet.")).to_be_visible()
    for number, name in enumerate(("looked-at", "missed")):
        for status in ("running", "completed"):
            overview.put(f"{number:026d}", status=status, name=name)
        await expect(page.locator(".sse-tasks-Row", has_text=name)).to_have_attribute("data-status", "completed")
        await page.evaluate("document.hasFocus = () => false")

    await page.wait_for_function("() => told.length > 0")
    assert await page.evaluate("told") == ["missed is done"]


async def test_thousands_of_ended_tasks_come_line_by_line(page, overview):
    """Three thousand tasks cost sixty lines and one request, until somebody scrolls; a search goes through all."""
    for number in range(3000):
        overview.put(f"{number:026d}", status="completed", name=f"task-{number}.", endedAt="2026-11-28T13:00:00.000Z")
    await mounted(page, overview)
    rows = page.locator(".sse-tasks-Row")
    await expect(rows.first).to_contain_text("task-2999")
    assert await rows.count() <= 120
    assert len([request for request in overview.requests if request.startswith("GET api/tasks?")]) <= 2

    await page.wait_for_function(
        "() => { document.querySelector('.sse-tasks-List-older').scrollIntoView();"
        "return document.querySelectorAll('.sse-tasks-Row').length > 300; }")
    await page.get_by_label("Search tasks").fill("task-7. YOUR-task")
    await expect(rows).to_have_count(1)
