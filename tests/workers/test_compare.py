"""Only what is new since an earlier task: real tasks on one data folder, and records held against each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from shop import Answer, Shop
from sse_tasks_workers.scrape_reviews.comparing import KNOWN_BEFORE, Comparison, ComparisonState
from sse_tasks_workers.scrape_reviews.records import Review

from sse_tasks import TaskError
from sse_tasks.items import read_items

from ..places import Place, Task, wait_for

LONG = "It boils a litre of water in no time and pours as a kettle should. "


def review(author: str = "Ann", **fields: Any) -> Review:
    return Review(**{"author": author, "body": f"{LONG}{author}", "rating": 4.0, "date": "2026-01-02"} | fields)


def page_of(*reviews: dict[str, Any], links: str = "") -> Answer:
    data = {"@type": "Product", "name": "Kettle", "review": [
        {"@type": "Review", "author": each["author"], "reviewBody": each["body"], "datePublished": each["date"],
         "reviewRating": {"ratingValue": each["rating"]}} for each in reviews]}
    return Answer(f'<script type="application/ld+json">{json.dumps(data)}</script>{links}')


def written(author: str, **fields: Any) -> dict[str, Any]:
    return msgspec.to_builtins(review(author, **fields))


class Folder:
    """A data folder with tasks that are nothing but their files."""

    def __init__(self, root: Path) -> None:
        self.tasks = root / "tasks"
        self._count = 0

    def task(self, *reviews: Review, task_type: str = "scrape-reviews", known_before: Path | None = None,
             **input: Any) -> str:
        self._count += 1
        task_id = f"{self._count:026}"
        folder = self.tasks / task_id
        (folder / "files").mkdir(parents=True)
        spec = {"taskId": task_id, "taskType": task_type, "worker": {}, "input": input, "createdAt": "2026"}
        (folder / "task.json").write_text(json.dumps(spec))
        (folder / "events.jsonl").write_text(json.dumps({"type": "status", "taskId": task_id, "status": "completed"})
                                             + "\n")
        (folder / "items.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(reviews))
        if known_before is not None:
            (folder / "files" / KNOWN_BEFORE).write_bytes(known_before.read_bytes())
        return task_id

    def files(self, task_id: str) -> Path:
        return self.tasks / task_id / "files"

    def compare(self, earlier: str, *found: Review, state: ComparisonState | None = None
                ) -> tuple[list[tuple[str | None, str]], tuple[int, ...], str]:
        """What is given of ``found``, with which change; new, changed, known and missing; and the task's id."""
        task_id = self.task(compare_with=earlier)
        comparison = Comparison(self.files(task_id), earlier, state)
        given = [(each.author, each.change) for each in comparison.sift(found)]  # type: ignore[attr-defined]
        told = comparison.outcome()
        return given, (told.new, told.changed, told.known, told.missing), task_id


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_new_changed_known_and_missing(folder: Folder) -> None:
    """Each review is one of it, whatever its place on the page."""
    earlier = folder.task(review("Ann"), review("Bob"), review("Cy", id="7"), review("Di"))

    given, numbers, _ = folder.compare(
        earlier, review("Eve"), review("Bob", rating=1.0), review("Cy", id="7", body="All other words."), review("Ann"))

    assert given == [("Eve", "new"), ("Bob", "changed"), ("Cy", "changed")]
    assert numbers == (1, 2, 1, 1)


@pytest.mark.parametrize(("before", "now"), [
    (review(date="2026-01-02", date_precision="month"), review(date="2026-02-02", date_precision="month")),
    (review(author=None), review(author=None, date=None)),
    (review(helpful_votes=3, page=1), review(helpful_votes=5, page=2, page_url="http://x/2")),
    (review(title="Good kettle"), review(title="Good  kettle!")),
])
def test_what_is_no_change(folder: Folder, before: Review, now: Review) -> None:
    """"A month ago" is another day with each reading, a review moves from page to page and is found helpful."""
    assert folder.compare(folder.task(before), now)[:2] == ([], (0, 0, 1, 0))


def test_what_nothing_tells_apart_is_counted(folder: Folder) -> None:
    """Of three ratings without a word, where there were two, one is new."""
    bare = Review(rating=5.0)

    assert folder.compare(folder.task(bare, bare), bare, bare, bare)[1] == (1, 0, 2, 0)
    assert folder.compare(folder.task(bare, bare), bare)[1] == (0, 0, 1, 1)


def test_a_chain_of_tasks_remembers(folder: Folder) -> None:
    """A task that gave only what was new knows the rest, too, also when the first one is forgotten."""
    first = folder.task(review("Ann"), review("Bob"))
    _, _, looked = folder.compare(first, review("Ann"), review("Bob", rating=2.0), review("Cy"))
    second = folder.task(review("Bob", rating=2.0), review("Cy"), compare_with=first,
                         known_before=folder.files(looked) / KNOWN_BEFORE)
    for file in sorted((folder.tasks / first).rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()

    given, numbers, _ = folder.compare(second, review("Ann"), review("Bob", rating=2.0), review("Cy"), review("Di"))

    assert given == [("Di", "new")]
    assert numbers == (1, 0, 3, 0)


def test_a_later_attempt_goes_on_counting(folder: Folder) -> None:
    """With the saved state it is as if there had been one attempt, also where the earlier task has gone on since."""
    earlier = folder.task(review("Ann"), review("Bob"))
    first = Comparison(folder.files(folder.task()), earlier)
    assert len(list(first.sift([review("Ann"), review("Eve")]))) == 1
    with (folder.tasks / earlier / "items.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(review("Fay")) + b"\n")
    state = msgspec.convert(msgspec.to_builtins(first.state), ComparisonState)

    given, numbers, _ = folder.compare(earlier, review("Bob"), review("Fay"), state=state)

    assert given == [("Fay", "new")]
    assert numbers == (2, 0, 2, 0)


@pytest.mark.parametrize(("task_id", "words"), [
    ("0" * 26, "there is no such task here"), ("../../etc/passwd", "there is no such task here"),
    ("", "there is no such task here"), ("notebook", "of the type run-notebook, not scrape-reviews"),
    ("other", "item 1 is no review")])
def test_what_can_not_be_compared_with(folder: Folder, task_id: str, words: str) -> None:
    """An id of no task, of another type's, or anything else than an id is refused in a sentence."""
    if task_id == "notebook":
        task_id = folder.task(task_type="run-notebook")
    elif task_id == "other":
        task_id = folder.task()
        (folder.tasks / task_id / "items.jsonl").write_text('{"author": 7}\n')

    with pytest.raises(TaskError, match=words) as raised:
        folder.compare(task_id)

    assert raised.value.code == "bad_compare_with"


@pytest.mark.parametrize(("before", "now", "elsewhere"), [
    ({"url": "https://shop.example/kettle"}, ["https://shop.example/lamp"], "https://shop.example/kettle"),
    ({"url": "https://shop.example/kettle"}, ["http://www.shop.example/kettle/?page=1"], ""),
    ({"urls": ["https://a.example/1", "https://a.example/2"]}, ["https://a.example/2", "https://a.example/3"], ""),
    ({"sitemap": "https://a.example/map.xml"}, ["https://a.example/2"], ""),
    ({"url": "https://shop.example/kettle"}, [], "")])
def test_a_task_of_another_address(folder: Folder, before: dict[str, Any], now: list[str], elsewhere: str) -> None:
    """A task that read none of this one's pages is noticed; where either read a sitemap, nobody can tell."""
    earlier = folder.task(review("Ann"), **before)

    assert Comparison(folder.files(folder.task()), earlier, None, now).state.elsewhere == elsewhere


@pytest.mark.browser
def test_tasks_on_one_data_folder(place: Place, shop: Shop) -> None:
    """The second task gives what has come since the first one, which may still run, and says what else became of it."""
    manager = place.manager()
    shop.answers["/kettle"] = page_of(written("Ann"), written("Bob"), written("Cy"),
                                      links='<a rel="next" href="/kettle?page=2">Next</a>')
    shop.answers["/kettle?page=2"] = Answer("", wait=60)
    running = place.start("scrape-reviews", manager, url=shop.url(), delay=0, exports=[])
    wait_for("its first page", lambda: len(running.items()) == 3 or running.info().is_ended, 60)
    shop.answers["/kettle"] = page_of(written("Eve"), written("Bob", rating=1.0), written("Ann"))

    task = place.start("scrape-reviews", manager, url=shop.url(), delay=0, compare_with=running.task_id)
    end = task.end(60)
    running.ask("abort")
    wrong = Task(manager, manager.start("scrape-reviews", {"url": shop.url(), "compare_with": "0" * 26}).task_id)
    refused = wrong.end(60)
    running.end(60)

    assert end.status == "completed", (end, task.output())
    assert [(item["author"], item["change"]) for item in read_items(task.folder)] == [
        ("Eve", "new"), ("Bob", "changed")]
    assert end.result["compared"] == {"task_id": running.task_id, "status": "running", "new": 1, "changed": 1,
                                      "known": 1, "missing": 1}
    assert end.result["found"] == 3
    assert "1 new, 1 changed, 1 known; 1 of before are gone." in end.result["message"]
    assert (task.folder.files_path / "reviews.csv").read_text().splitlines()[1].endswith('"new"')
    assert (refused.status, refused.code) == ("failed", "bad_compare_with")
