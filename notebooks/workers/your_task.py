"""``your-task``: what a task looks like. Five steps, told as they are done, with a checkpoint after each."""

from __future__ import annotations

from typing import TypedDict

from sse_tasks import TaskContext, task


class YourTaskOutput(TypedDict):
    result: str
    count: int


@task("your-task")
def your_task(ctx: TaskContext, param1: str, param2: int = 123, seconds: float = 0.5) -> YourTaskOutput:
    """Process a value in five steps, each of which takes some seconds."""
    ctx.message("Starting task...")
    ctx.progress(1, 5, "Initializing", percentage=10)
    ctx.sleep(seconds)
    ctx.checkpoint()

    ctx.message("Processing data...")
    for step in (2, 3, 4):
        ctx.progress(step, 5, "Processing", percentage={2: 30, 3: 50, 4: 80}[step])
        ctx.emit({"step": step, "value": f"{param1}-{step}"})
        ctx.sleep(seconds)
        ctx.checkpoint()
    output = do_work(param1, param2)
    ctx.checkpoint()

    ctx.message(f"Successfully processed {output['count']} items")
    ctx.progress(5, 5, "Complete")
    return output


def do_work(param1: str, param2: int) -> YourTaskOutput:
    """Your task's logic."""
    return {"result": f"processed-{param1}", "count": param2}
