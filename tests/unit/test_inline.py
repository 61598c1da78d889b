"""A worker called like a function runs here and now."""

from __future__ import annotations

import asyncio

import pytest

from sse_tasks import AsyncTaskContext, TaskContext, task


@task
def counts(ctx: TaskContext, total: int) -> dict:
    for step in ctx.track(range(total), "Counting"):
        ctx.emit({"step": step})
        ctx.checkpoint({"step": step})
    (ctx.files / "made.txt").write_text("x")
    return {"count": total, "file": str(ctx.files / "made.txt")}


@task
async def waits(ctx: AsyncTaskContext, seconds: float) -> str:
    await ctx.sleep(seconds)
    async for _ in ctx.track([1, 2]):
        await ctx.checkpoint()
    return "waited"


@task
async def no_ctx(x: int) -> int:
    await asyncio.sleep(0)
    return x + 1


def test_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """A plain worker gives its result, prints its progress, and its artifacts stay."""
    result = counts(total=2)

    assert result["count"] == 2
    with open(result["file"]) as file:
        assert file.read() == "x"
    assert "100 % Counting" in capsys.readouterr().err


@task
def says(ctx: TaskContext, words: str) -> None:
    ctx.message(words)
    ctx.progress(1, 2, words)


@task
def says_as_progress(ctx: TaskContext, words: str) -> None:
    ctx.progress(words)


def test_what_is_said_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A message is a sentence: at most 4,000 characters of it are told."""
    says(words="x" * 100_000)

    first, second = capsys.readouterr().err.splitlines()
    assert (first, second) == (f"[{'x' * 3999}…]", f"[50 % {'x' * 3999}…]")


def test_words_are_no_progress() -> None:
    """Who passes words as numbers is told where they go."""
    with pytest.raises(TypeError, match=r"progress takes numbers, not 'Initializing'; words go into message="):
        says_as_progress(words="Initializing")


def test_async_without_a_loop() -> None:
    """An async worker runs to its end where no loop runs."""
    assert waits(seconds=0.01) == "waited"
    assert no_ctx(1) == 2


async def test_async_inside_a_running_loop() -> None:
    """In a kernel, where a loop runs already, an async worker runs to its end too."""
    assert waits(seconds=0.01) == "waited"
    assert no_ctx(x=2) == 3


async def test_with_a_context_it_is_the_plain_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a task, and where a context is given, an async worker is a coroutine function like any other."""
    monkeypatch.setenv("SSE_TASK_ID", "x")

    assert await no_ctx(3) == 4


def test_errors_are_the_functions_own() -> None:
    """Nothing stands between the caller and the worker's own exception."""

    @task
    def fails(ctx: TaskContext) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fails()
