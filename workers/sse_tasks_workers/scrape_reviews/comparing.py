"""Only what is new: the reviews of an earlier task, and which of those that are found now it had already.

A task is known by its id and read from the same data folder, never from a path. What it had, and what it knew from
tasks that it was compared with itself, is kept in this task's ``known_before.jsonl``: so a chain of tasks remembers all
that any of them has read, also when the first ones have been forgotten.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from sse_tasks import TaskError
from sse_tasks.errors import NothingThereError, TaskNotFoundError
from sse_tasks.folder import TaskFolder
from sse_tasks.types import is_task_id

from .contract import Compared
from .merging import SURE_LENGTH, identity, plain_text
from .records import Review

__all__ = ["KNOWN_BEFORE", "ComparedReview", "Comparison", "ComparisonState", "Known"]

KNOWN_BEFORE = "known_before.jsonl"
_TASK_TYPE = "scrape-reviews"


class ComparedReview(Review, kw_only=True):
    """A review that the earlier task hadn't (``new``), or had otherwise (``changed``)."""

    change: Literal["new", "changed"]


class ComparisonState(msgspec.Struct, kw_only=True):
    """What a later attempt needs: how many ``items`` the earlier task had when it was read and its ``status`` then, and
    which of the known reviews, by their place, were ``met`` since. ``elsewhere`` is the earlier task's address, where
    it read none of this one's."""

    items: int
    status: str
    elsewhere: str = ""
    met: list[int] = []
    new: int = 0
    changed: int = 0


class _Names(msgspec.Struct, array_like=True, frozen=True):
    """By what a review is known again: its identity; its words and its id, each with the author; and a digest of what
    may change. Empty where there is no such thing."""

    identity: str
    words: str
    id: str
    content: str


class Known:
    """Reviews that are known, each to be met once: where nothing tells two apart, they are counted."""

    def __init__(self, names: Iterable[_Names], met: Iterable[int] = ()) -> None:
        self.names = list(names)
        self.met = {place for place in met if place < len(self.names)}
        self._places: dict[str, deque[int]] = defaultdict(deque)
        for place, each in enumerate(self.names):
            for name in filter(None, (each.identity, each.words, each.id)):
                self._places[name].append(place)

    def meet(self, names: _Names) -> int | None:
        """The place of the known one that this is; None where it is another."""
        for name in filter(None, (names.identity, names.words, names.id)):
            places = self._places.get(name)
            while places and places[0] in self.met:
                places.popleft()
            if places:
                self.met.add(places[0])
                return places[0]
        return None

    def after(self, reviews: Iterable[Review]) -> Known:
        """What is known once these have been found, too. What was known otherwise is known as it is now."""
        names = list(self.names)
        for each in map(_names, reviews):
            place = self.meet(each)
            if place is None:
                names.append(each)
            else:
                names[place] = each
        return Known(names)


class Comparison:
    """What is found at ``addresses``, held against what an earlier task knew. Reads that task when it is made.

    Raises TaskError (``bad_compare_with``) for an id of no task that can be compared with.
    """

    def __init__(self, files: Path, task_id: str, state: ComparisonState | None = None,
                 addresses: Sequence[str] = ()) -> None:
        self._task_id = task_id
        own = files / KNOWN_BEFORE
        if state is not None and own.is_file():  # an earlier attempt of this task has read it all
            self._known, self.state = Known(_decoded(own.read_bytes().splitlines(), task_id), state.met), state
        else:
            tasks = _tasks_folder(files)
            known, items, status = _known_after(tasks, task_id, state.items if state else None)
            self.state = state or ComparisonState(items=items, status=status,
                                                  elsewhere=_elsewhere(tasks, task_id, addresses))
            self._known = Known(known.names, self.state.met)
            _write(own, known.names)

    def sift(self, reviews: Iterable[Review]) -> Iterator[Review]:
        """Those that are new or have changed, and which of it they are."""
        for review in reviews:
            names = _names(review)
            place = self._known.meet(names)
            if place is None:
                self.state.new += 1
            elif self._known.names[place].content != names.content:
                self.state.changed += 1
            else:
                continue
            yield ComparedReview(change="new" if place is None else "changed",
                                 **{name: getattr(review, name) for name in Review.__struct_fields__})
        self.state.met = sorted(self._known.met)

    def outcome(self) -> Compared:
        met = len(self.state.met)
        return Compared(task_id=self._task_id, status=self.state.status, new=self.state.new, changed=self.state.changed,
                        known=met - self.state.changed, missing=len(self._known.names) - met)


def _names(review: Review) -> _Names:
    author, body, title = map(plain_text, (review.author, review.body, review.title))
    has_own_id = review.id and not review.id.startswith("#")
    bare = (review.id, review.author, review.rating, review.date or review.date_raw, review.title, review.body)
    return _Names(
        identity=identity(review) or _digest("bare", *bare),
        # Without the date: "a month ago" is another day with each reading.
        words=_digest("words", author, title, body) if len(body) >= (1 if author else SURE_LENGTH) else "",
        id=_digest("id", review.id, author) if has_own_id else "",
        content=_digest(review.rating, title, body, plain_text(review.reply)),
    )


def _digest(*parts: object) -> str:
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "replace"), digest_size=9).hexdigest()


def _tasks_folder(files: Path) -> Path:
    """Where this task and its neighbours lie; for a worker that is run without a task, where tasks are here."""
    own = files.parent
    if (own / "task.json").is_file():
        return own.parent
    from sse_tasks.task_manager import default_manager

    return default_manager().root / "tasks"


def _known_after(tasks: Path, task_id: str, limit: int | None) -> tuple[Known, int, str]:
    """What is known with a task's items (the first ``limit`` of them), how many these are, and the task's status."""
    folder = TaskFolder(tasks / task_id)
    if not is_task_id(task_id) or not folder.exists():
        raise _refusal(task_id, "there is no such task here. Ids are in t.task_id and list_tasks(); tasks are "
                                "forgotten after some time (keep_days)")
    try:
        spec = folder.spec()
    except TaskNotFoundError:
        raise _refusal(task_id, "its folder can't be read") from None
    if spec.task_type != _TASK_TYPE:
        raise _refusal(task_id, f"it is a task of the type {spec.task_type}, not {_TASK_TYPE}")
    try:
        with open(folder.open_file(KNOWN_BEFORE), "rb") as file:
            known = Known(_decoded(file.read().splitlines(), task_id))
    except NothingThereError:
        before = spec.input.get("compare_with") if isinstance(spec.input, dict) else None
        known = _known_after(tasks, before, None)[0] if before else Known([])  # it had not begun yet
    latest, _ = folder.latest()
    reviews = list(_reviews(folder, task_id, limit))
    return known.after(reviews), len(reviews), str(latest.status) if latest else "idle"


def _elsewhere(tasks: Path, task_id: str, addresses: Sequence[str]) -> str:
    """The earlier task's address, where it is of none of the pages that ``addresses`` are of, as far as both say."""
    asked = TaskFolder(tasks / task_id).spec().input
    if not isinstance(asked, dict) or asked.get("sitemap"):
        return ""
    theirs = [str(url) for url in (asked.get("url"), *(asked.get("urls") or [])) if url]
    return theirs[0] if theirs and addresses and not {*map(_page, theirs)} & {*map(_page, addresses)} else ""


def _page(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return (parts.hostname or "").removeprefix("www."), parts.path.rstrip("/")


def _reviews(folder: TaskFolder, task_id: str, limit: int | None) -> Iterator[Review]:
    try:
        fd = folder.open_part("items.jsonl")
    except NothingThereError:
        return
    with open(fd, "rb") as file:
        for number, line in enumerate(file):
            if (limit is not None and number >= limit) or not line.endswith(b"\n"):  # the last is still being written
                return
            try:
                yield msgspec.convert(json.loads(line), Review)
            except (ValueError, RecursionError):
                raise _refusal(task_id, f"its item {number + 1} is no review as this version knows them") from None


def _decoded(lines: list[bytes], task_id: str) -> Iterator[_Names]:
    decode = msgspec.json.Decoder(_Names).decode
    for line in lines:
        try:
            yield decode(line)
        except (ValueError, RecursionError):
            raise _refusal(task_id, f"its {KNOWN_BEFORE} can't be read") from None


def _write(path: Path, names: list[_Names]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    encode: Any = msgspec.json.Encoder().encode_lines
    partial.write_bytes(encode(names))
    os.replace(partial, path)


def _refusal(task_id: str, why: str) -> TaskError:
    return TaskError(f"compare_with: nothing can be compared with the task {task_id!r:.80}: {why}.",
                     code="bad_compare_with")
