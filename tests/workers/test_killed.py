"""scrape-reviews killed at any moment, and restarted: what it finds is what an unbroken run finds."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from shop import Answer, Shop, reviews_html

from sse_tasks.task_manager import TaskManager

from ..places import Place, Task, is_keeper, kill, processes_of, wait_for

pytestmark = pytest.mark.browser

PAGES = 6
KILLS = 2


@pytest.fixture
def shops() -> Iterator[list[Shop]]:
    """Each of three has the same reviews on six pages, and takes its time for one."""
    with ExitStack() as stack:
        found = [stack.enter_context(Shop()) for _ in range(3)]
        for shop in found:
            threading.Thread(target=shop.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            stack.callback(shop.shutdown)
            for number in range(1, PAGES + 1):
                link = f'<a rel="next" href="/kettle?page={number + 1}">Next</a>' if number < PAGES else ""
                path = "/kettle" if number == 1 else f"/kettle?page={number}"
                authors = [f"{number}{letter}" for letter in "abc"]
                shop.answers[path] = Answer(reviews_html(authors, links=link), wait=0.1)
        yield found


def start(place: Place, manager: TaskManager, shop: Shop) -> Task:
    return place.start("scrape-reviews", manager, url=shop.url(), delay=0)


def records(task: Task, shop: Shop) -> list[bytes]:
    return [item.replace(shop.address.encode(), b"") for item in task.items()]


def victim_of(task: Task, who: str) -> int:
    """The task's process, once there is one; 0 for a task that has ended before."""
    def look() -> list[int]:
        return [pid for pid in processes_of(task.task_id) if is_keeper(pid) == (who == "keeper")]

    wait_for(f"the {who}", lambda: look() or task.info().is_ended, 60)
    return min(look(), default=0)


def kill_sometime(task: Task, shop: Shop, who: str, chance: random.Random) -> str:
    """Kills a process of the task at some moment around a page; says which, and when. It may have been too late."""
    before = len(shop.asked("/kettle"))
    pages, seconds = chance.randrange(PAGES), chance.uniform(0, 0.25)
    pid = victim_of(task, who)
    wait_for("the page", lambda: len(shop.asked("/kettle")) - before >= pages or task.info().is_ended, 60)
    moment = time.monotonic() + seconds
    wait_for("the moment", lambda: time.monotonic() >= moment)
    if pid in processes_of(task.task_id):
        kill(pid)
    return f"{who} {seconds:.3f} s after {pages} pages"


def broken_run(place: Place, manager: TaskManager, shop: Shop, who: str, seed: int) -> tuple[Task, list[str]]:
    """The last of a chain of tasks, each but the last killed and the next one its restart; and what was killed when."""
    task = start(place, manager, shop)
    chance = random.Random(f"{seed} {who}")
    story = [f"seed {seed}"]
    for _ in range(KILLS):
        story.append(kill_sometime(task, shop, who, chance))
        end = task.end(60)
        if end.status == "completed":
            break
        assert (end.status, end.code) == ("failed", "worker_died"), (end, story, task.output())
        task = Task(manager, manager.restart(task.task_id).task_id)
    return task, story


def test_killed_and_restarted_it_finds_what_an_unbroken_run_finds(place: Place, shops: list[Shop]) -> None:
    """Whichever process is killed, at moments that are others each time, and twice: every review is there once, in
    order, and the outcome counts them so."""
    seed = random.randrange(10_000)
    manager = place.manager()
    unbroken = start(place, manager, shops[0])
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(broken_run, place, manager, shop, who, seed)
                for shop, who in zip(shops[1:], ("runner", "keeper"), strict=True)]

    expected = unbroken.end(60)

    assert expected.items == 3 * PAGES, (expected, unbroken.output())
    for run, shop in zip(runs, shops[1:], strict=True):
        task, story = run.result()
        end = task.end(60)
        print(story)
        assert end.status == "completed", (end, story, task.output())
        assert records(task, shop) == records(unbroken, shops[0]), story
        assert (end.items, end.result["found"], end.result["pages"]) == (
            expected.items, expected.result["found"], expected.result["pages"]), story
