"""A task type that measures."""

from sse_tasks import TaskContext, task


@task("measures")
def measures(ctx: TaskContext, points: int = 3) -> None:
    """A number in each of some steps, and one that is none."""
    for step in range(points):
        ctx.metric("loss", 1 / (1 << step), step)
    ctx.metric("näme", float("nan"))
