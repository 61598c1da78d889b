"""Task types that the server's tests start."""

import os
import time

from sse_tasks import TaskContext, task


@task("echo")
def echo(text: str = "", times: int = 1) -> dict[str, str]:
    """Says what it was given."""
    print(text)
    return {"text": text * times}


@task("gives-back")
def gives_back(value: object = None) -> object:
    """Gives back what it was given."""
    return value


@task("count")
def count(ctx: TaskContext, to: int = 3, pause_between: float = 0.0) -> int:
    """Counts, with progress, items and output."""
    for number in range(1, to + 1):
        ctx.progress(number, to, f"at {number}")
        ctx.emit({"number": number})
        print("counted", number, flush=True)
        ctx.sleep(pause_between)
        ctx.checkpoint()
    return to


@task("forever")
def forever(ctx: TaskContext) -> None:
    """Goes on until it is aborted."""
    while True:
        ctx.sleep(60)


@task("fails")
def fails() -> None:
    """Fails."""
    raise RuntimeError("it broke")


@task("leaves-files")
def leaves_files(ctx: TaskContext) -> None:
    """Leaves files that a careless server would run, follow or hang on."""
    (ctx.files / "page.html").write_text("<script>alert(1)</script>")
    (ctx.files / "dot.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (ctx.files / "digits.bin").write_bytes(b"0123456789" * 100_000)
    (ctx.files / "näme with % ?.txt").write_text("named")
    os.symlink("/etc/passwd", ctx.files / "link")
    os.mkfifo(ctx.files / "fifo")
    (ctx.files / "folder").mkdir()


@task("odd-numbers")
def odd_numbers(input_value: float = 0.0) -> dict[str, float]:
    """Returns what JSON has no number for."""
    return {"nan": float("nan"), "same": input_value}


@task("seconds")
def seconds(ctx: TaskContext, run: float = 1.0, gate: str = "") -> float:
    """Reports as often as it can for a while; where a gate is named, until that is there."""
    until = time.monotonic() + run
    step = 0
    while not os.path.exists(gate) if gate else time.monotonic() < until:
        step += 1
        ctx.progress(step, message="x" * (step % 200))
        ctx.emit({"step": step})
        ctx.sleep(0.01)
    return step
