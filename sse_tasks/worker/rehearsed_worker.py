"""A worker for nobody: ``rehearsal`` loads it as it loads any worker file, so that the first real one loads quickly."""

from typing import Any

from sse_tasks import TaskContext, task


@task
def rehearsed(ctx: TaskContext, text: str, number: int = 1, names: list[str] | None = None) -> dict[str, Any]:
    """It does nothing."""
    return {"text": text, "number": number, "names": names}
