"""Workers that know bars and logging, and of tasks nothing, or little."""

import asyncio
import itertools
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sse_tasks import AsyncTaskContext, TaskContext, task


def wait_at(gate: str) -> None:
    """Until somebody opens the gate: the file is there."""
    while not Path(gate).exists():
        time.sleep(0.005)


@task
def bars_nested(gate: str) -> list[str]:
    """Two bars, the inner one made anew each time; it stops at the gate in the middle of both."""
    from tqdm import tqdm, trange

    for epoch in tqdm(range(4), desc="epoch"):
        for batch in trange(10, desc="batch", leave=False):
            if (epoch, batch) == (2, 7):
                wait_at(gate)
    return sorted(name for name in sys.modules if name.startswith("ipywidgets"))


@task
def bars_one(kind: str, gate: str = "") -> None:
    """A bar of each kind, to its end; that of bytes stops at the gate in its midst."""
    if kind == "manual":
        from tqdm import tqdm
        with tqdm(total=10) as bar:
            for step in range(5):
                bar.set_description(f"step {step}")
                bar.update(2)
    elif kind == "left":
        from tqdm import tqdm
        bar = tqdm(total=10, desc="left alone")
        bar.update(7)
        bar.n = 8
        bar.refresh()
    elif kind == "unknown":
        from tqdm import tqdm
        for _ in tqdm(iter("abc"), desc="of how many", unit=" letters"):
            pass
    elif kind == "postfix":
        from tqdm.auto import tqdm
        bar = tqdm(["a", "b"], desc="\x1b[32mgreen\x1b[0m")
        for _ in bar:
            bar.set_postfix(loss=0.5)
    elif kind == "notebook":
        from tqdm.notebook import trange
        for _ in trange(3, desc="nb", display=True):
            pass
    elif kind == "broken":
        from tqdm import tqdm
        for number in tqdm(range(10), desc="half"):
            if number == 5:
                break
    elif kind == "bytes":
        from tqdm import tqdm
        with tqdm(total=2, desc="files") as files, tqdm(total=3 << 20, desc="a", unit="B", unit_scale=True,
                                                        unit_divisor=1024) as file:
            file.update(1 << 20)
            wait_at(gate)
            files.update(1)
    elif kind == "disabled":
        from tqdm import tqdm
        for _ in tqdm(range(3), disable=True):
            pass
    elif kind == "rich-tracked":
        from rich.progress import track
        for _ in track(range(4), "[red]Tracking[/red]"):
            pass
    elif kind == "rich":
        from rich.progress import Progress
        with Progress() as progress:
            outer, inner = progress.add_task("outer", total=2), progress.add_task("inner", total=5)
            progress.advance(inner, 3)
            progress.update(outer, completed=1)
    elif kind == "tqdm-rich":
        from tqdm.rich import trange
        for _ in trange(3, desc="both"):
            pass


@task
def bars_log(gate: str, lines: int = 2) -> None:
    """Its bar stops at the gate, with ``tqdm.write`` before."""
    from tqdm import tqdm

    for number in tqdm(range(lines), desc="writing", file=sys.stdout):
        tqdm.write(f"line {number}")
    wait_at(gate)


def turns(kind: str) -> Iterator[int]:
    """Endlessly, with a bar of this kind."""
    if kind == "iterate":
        from tqdm import tqdm
        yield from tqdm(itertools.count())
    elif kind == "update":
        from tqdm import tqdm
        with tqdm() as bar:
            for number in itertools.count():
                bar.update()
                yield number
    elif kind == "track":
        from rich.progress import Progress
        with Progress() as progress:
            yield from progress.track(itertools.count(), total=None)
    elif kind == "advance":
        from rich.progress import Progress
        with Progress() as progress:
            bar = progress.add_task("", total=None)
            for number in itertools.count():
                progress.advance(bar)
                yield number


@task
def bars_ctx(ctx: TaskContext, kind: str) -> None:
    """Takes a ctx, and never calls it."""
    try:
        for _ in turns(kind):
            time.sleep(0.001)
    finally:
        print("cleaned")


@task
def bars_swallow(ctx: TaskContext) -> None:
    """Goes on whatever happens within a turn."""
    from tqdm import tqdm

    for _ in tqdm(itertools.count()):
        try:
            time.sleep(0.001)
        except BaseException:
            print("swallowed")


@task
async def bars_async(ctx: AsyncTaskContext, kind: str) -> None:
    """Bars between which a loop turns, or doesn't."""
    from tqdm.asyncio import tqdm

    async def numbers():
        for number in itertools.count():
            await asyncio.sleep(0.001)
            yield number

    try:
        if kind == "for":
            async for _ in tqdm(numbers()):
                pass
        elif kind == "plain":
            for _ in tqdm(itertools.count()):
                await asyncio.sleep(0.001)
        else:
            for _ in tqdm(itertools.count()):
                time.sleep(0.001)
    finally:
        print("cleaned")


@task
def bars_overruled(ctx: TaskContext) -> None:
    """Has a bar, and speaks for itself."""
    from tqdm import tqdm

    for number in tqdm(range(100), desc="bar"):
        if number == 50:
            ctx.progress(1, 4, "said")


@task
def bars_elsewhere(where: str) -> None:
    """Its bar turns in a thread, or in a process that it forks."""
    def turn() -> None:
        from tqdm import tqdm
        for _ in tqdm(range(20), desc="elsewhere"):
            pass

    if where == "thread":
        thread = threading.Thread(target=turn)
        thread.start()
        thread.join()
    else:
        import tqdm  # noqa: F401 - hooked before the fork
        child = multiprocessing.get_context("fork").Process(target=turn)
        child.start()
        child.join()


@task
def bars_flood() -> None:
    """More bars, and more redrawing, than anybody could read."""
    from rich.progress import Progress
    from tqdm import tqdm

    for _ in range(2000):
        for _ in tqdm(range(2), leave=False):
            pass
    with tqdm(range(5000), desc="redrawn") as bar:
        for number in bar:
            bar.set_postfix(n=number)
    with Progress() as progress:
        bar = progress.add_task("rich", total=1000)
        for _ in range(1000):
            progress.advance(bar)
            progress.refresh()


@task
def bars_imported() -> list[str]:
    """What has been imported for a worker that imports nothing."""
    return [name for name in ("tqdm", "rich", "IPython", "numpy") if name in sys.modules]


@task
def logs(kind: str) -> None:
    """Code that logs, after it has set up what ``kind`` says."""
    library = logging.getLogger("some.library")
    library.addHandler(logging.NullHandler())
    if kind == "basic":
        logging.basicConfig(format="<%(message)s>")
    elif kind == "basic-debug":
        logging.basicConfig(format="<%(message)s>", level=logging.DEBUG)
    elif kind == "own-handler":
        library.addHandler(handler := logging.StreamHandler(sys.stdout))
        handler.setFormatter(logging.Formatter("own %(message)s"))
    elif kind == "file":
        logging.getLogger().addHandler(logging.FileHandler(os.devnull))
    library.debug("l-debug")
    library.info("l-info")
    library.warning("l-warning")
    logging.info("r-info")
    logging.warning("r-warning")
