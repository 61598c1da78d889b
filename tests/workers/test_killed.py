"""scrape-reviews killed at any moment, and restarted: what it finds is what an unbroken run finds."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from shop import Answer, Shop, reviews_html

from sse_tasks.task_manager import TaskManager

from ..places import Place, Task, began_at, is_keeper, kill, processes_of, wait_for

pytestmark = pytest.mark.browser

Given = Callable[[Shop], dict[str, Any]]

PAGES = 6
THINGS = 3
KILLS = 2


@pytest.fixture
def shops() -> Iterator[list[Shop]]:
    """Each of four has the same: a thing with reviews on six pages, three others with two pages each. It takes its time
    for a page."""
    with ExitStack() as stack:
        found = [stack.enter_context(Shop()) for _ in range(4)]
        for shop in found:
            threading.Thread(target=shop.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            stack.callback(shop.shutdown)
            for number in range(1, PAGES + 1):
                link = f'<a rel="next" href="/kettle?page={number + 1}">Next</a>' if number < PAGES else ""
                path = "/kettle" if number == 1 else f"/kettle?page={number}"
                authors = [f"{number}{letter}" for letter in "abc"]
                shop.answers[path] = Answer(reviews_html(authors, links=link), wait=0.1)
            for thing in range(THINGS):
                link = f'<a rel="next" href="/thing{thing}?page=2">Next</a>'
                shop.answers[f"/thing{thing}"] = Answer(reviews_html([f"A{thing}", f"B{thing}"], links=link), wait=0.1)
                shop.answers[f"/thing{thing}?page=2"] = Answer(reviews_html([f"C{thing}"]), wait=0.1)
        yield found


def one_address(shop: Shop) -> dict[str, Any]:
    return {"url": shop.url()}


def several_addresses(shop: Shop) -> dict[str, Any]:
    return {"urls": [shop.url(f"/thing{thing}") for thing in range(THINGS)], "concurrency": 2}


def start(place: Place, manager: TaskManager, shop: Shop, given: Given) -> Task:
    return place.start("scrape-reviews", manager, delay=0, **given(shop))


def records(task: Task, shop: Shop) -> list[bytes]:
    """In their order; with several tabs at once that isn't the same each time."""
    found = [item.replace(shop.address.encode(), b"") for item in task.items()]
    return found if b"/kettle" in found[0] else sorted(found)


def victim_of(task: Task, who: str) -> int:
    """The task's process, once there is one; 0 for a task that has ended before."""
    def look() -> list[int]:
        return [pid for pid in processes_of(task.task_id) if is_keeper(pid) == (who == "keeper")]

    wait_for(f"the {who}", lambda: look() or task.info().is_ended)
    return min(look(), key=lambda pid: (began_at(pid) or 0, pid), default=0)  # the oldest


def kill_sometime(task: Task, shop: Shop, chance: random.Random) -> str:
    """Kills a process of the task at some moment around a page; says which, and when. It may have been too late."""
    before = len(shop.asked("/"))
    who, pages, seconds = chance.choice(["runner", "keeper"]), chance.randrange(PAGES), chance.uniform(0, 0.25)
    pid = victim_of(task, who)
    wait_for("the page", lambda: len(shop.asked("/")) - before >= pages or task.info().is_ended, 60)
    moment = time.monotonic() + seconds
    wait_for("the moment", lambda: time.monotonic() >= moment)
    if pid in processes_of(task.task_id):
        kill(pid)
    return f"{who} {seconds:.3f} s after {pages} pages"


def broken_run(place: Place, manager: TaskManager, shop: Shop, given: Given, seed: int) -> tuple[Task, list[str]]:
    """The last of a chain of tasks, each but the last killed and the next one its restart; and what was killed when."""
    task = start(place, manager, shop, given)
    chance = random.Random(f"{seed} {given.__name__}")
    story = [f"seed {seed}"]
    for _ in range(KILLS):
        story.append(kill_sometime(task, shop, chance))
        end = task.end(60)
        if end.status == "completed":
            break
        assert (end.status, end.code) == ("failed", "worker_died"), (end, story, task.output())
        task = Task(manager, manager.restart(task.task_id).task_id)
    return task, story


def test_killed_and_restarted_it_finds_what_an_unbroken_run_finds(place: Place, shops: list[Shop]) -> None:
    """Whichever process is killed, at moments that are others each time, and twice: every review is there once, in
    order, and the outcome counts them so. The same for several addresses, of which two are read at once."""
    seed = random.randrange(10_000)
    manager = place.manager()
    givens = (one_address, several_addresses)
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(broken_run, place, manager, shop, given, seed)
                for shop, given in zip(shops[:2], givens, strict=True)]
        whole = [start(place, manager, shop, given) for shop, given in zip(shops[2:], givens, strict=True)]

    counts = (3 * PAGES, 3 * THINGS)
    for count, run, shop, unbroken, other in zip(counts, runs, shops[:2], whole, shops[2:], strict=True):
        expected = unbroken.end(60)
        assert expected.items == count, (expected, unbroken.output())
        task, story = run.result()
        end = task.end(60)
        print(story)
        assert end.status == "completed", (end, story, task.output())
        assert records(task, shop) == records(unbroken, other), story
        assert (end.items, end.result["found"], end.result["pages"]) == (
            expected.items, expected.result["found"], expected.result["pages"]), story
