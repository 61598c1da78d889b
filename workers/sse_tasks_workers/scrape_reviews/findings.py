"""What a task gives of what it found: items as they come, and at the end files, numbers and a picture of all of them.

All the task's items count, those of earlier attempts too: these stand in its folder when an attempt begins. Those of
this attempt are kept here as they are emitted, since the ones on the disk are written by another process.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from .browser import BrowserSession, Canvas
from .comparing import ComparedReview, Comparison, ComparisonState
from .contract import ScrapeReviewsInput, ScrapeReviewsOutput
from .counts import Counts
from .ending import end_all
from .exports import MISSING_PYARROW, Stopped, has_pyarrow, write_exports
from .records import Review
from .summary_page import WIDTH, summary_page

if TYPE_CHECKING:
    from sse_tasks import AsyncTaskContext

__all__ = ["PICTURE", "Findings"]

PICTURE = "summary.png"
_IN_MEMORY_BYTES = 4_000_000


class Findings:
    """``add`` what each page brings, ``finish`` at the end. ``state`` is what an earlier attempt saved.

    Reads the task that is compared with: raises TaskError (``bad_compare_with``).
    """

    def __init__(self, ctx: AsyncTaskContext, input: ScrapeReviewsInput, state: ComparisonState | None) -> None:
        self._ctx = ctx
        self._kinds: list[str] = list(input.exports)
        addresses = [] if input.sitemap else [*filter(None, (input.url,)), *input.urls]
        self._comparison = (Comparison(ctx.files, input.compare_with, state, addresses) if input.compare_with else None)
        self._before = ctx.files.parent / "items.jsonl" if (ctx.files.parent / "task.json").is_file() else None
        self._before_bytes = self._before.stat().st_size if self._before is not None and self._before.is_file() else 0
        self._since = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - closed by close()

    def add(self, found: list[Review]) -> None:
        """Emits what is wanted of it."""
        for review in found if self._comparison is None else self._comparison.sift(found):
            self._ctx.emit(review)
            self._since.write(msgspec.json.encode(review) + b"\n")

    def state(self) -> Any:
        """What a later attempt needs, as JSON data."""
        return None if self._comparison is None else msgspec.to_builtins(self._comparison.state)

    def close(self) -> None:
        self._since.close()

    async def finish(self, output: ScrapeReviewsOutput, session: BrowserSession) -> None:
        """Writes the files and fills in the numbers. What can't be written is said in ``errors``, and no more: the
        reviews are there."""
        if self._comparison is not None:
            output.compared = self._comparison.outcome()
            output.message += f" {_compared_in_words(output)}"
            if elsewhere := self._comparison.state.elsewhere:
                output.errors.append("compare_with names a task that read none of these addresses but "
                                     f"{elsewhere}: what it had isn't gone, and what seems known may be another review")
        kinds = self._kinds
        if "parquet" in kinds and not await asyncio.to_thread(has_pyarrow):
            kinds = [kind for kind in kinds if kind != "parquet"]
            self._ctx.log.info("%s", MISSING_PYARROW)
        counts = Counts()
        async with AsyncExitStack() as stack:
            canvas: asyncio.Future[Canvas] | None = None
            if self._before_bytes or self._since.tell():  # there is something to draw
                canvas = asyncio.ensure_future(stack.enter_async_context(session.canvas(WIDTH)))  # meanwhile
            try:
                await self._export(kinds, counts, output)
            except BaseException:
                if canvas is not None:
                    await end_all({canvas})
                raise
            if canvas is not None:
                await asyncio.wait({canvas})
            output.rating_histogram = counts.rating_histogram()
            output.rating_mean = counts.rating_mean()
            output.per_month = counts.months()
            if canvas is not None and counts.count:
                await self._draw(output, counts, canvas)

    async def _export(self, kinds: list[str], counts: Counts, output: ScrapeReviewsOutput) -> None:
        stop = threading.Event()
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, kinds, counts, stop))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            stop.set()  # and no file is left half written
            await asyncio.wait({writing})
            raise
        except OSError as why:
            output.errors.append(f"the reviews can't be written as {', '.join(kinds)}: {why.strerror or why}")

    def _write(self, kinds: list[str], counts: Counts, stop: threading.Event) -> None:
        def items() -> Iterator[dict[str, Any]]:
            for item in self._items():
                counts.add(item)
                yield item

        columns = Review.__struct_fields__ if self._comparison is None else ComparedReview.__struct_fields__
        try:
            write_exports(self._ctx.files, kinds, items(), columns, stop=stop.is_set)
        except Stopped:
            pass

    def _items(self) -> Iterator[dict[str, Any]]:
        left = self._before_bytes
        if left and self._before is not None:
            with self._before.open("rb") as file:
                while left > 0 and (line := file.readline()):
                    left -= len(line)
                    yield json.loads(line)
        self._since.seek(0)
        for line in self._since:
            yield json.loads(line)

    async def _draw(self, output: ScrapeReviewsOutput, counts: Counts, canvas: asyncio.Future[Canvas]) -> None:
        try:
            picture = await canvas.result().draw(summary_page(output, counts), "main")
            partial = self._ctx.files / f".{PICTURE}.partial"
            partial.write_bytes(picture)
            partial.replace(self._ctx.files / PICTURE)
        except Exception as why:  # the browser's own reasons: nobody should lose a task for a picture
            self._ctx.log.warning("%s can't be drawn: %s", PICTURE, why)


def _compared_in_words(output: ScrapeReviewsOutput) -> str:
    compared = output.compared
    assert compared is not None
    words = f"Compared with the earlier task: {compared.new} new, {compared.changed} changed, {compared.known} known"
    if not compared.missing:
        return f"{words}."
    return f"{words}; {compared.missing} of before {'weren’t met' if output.partial else 'are gone'}."
