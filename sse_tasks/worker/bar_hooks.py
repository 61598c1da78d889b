"""How tqdm and rich tell of their bars: some of their methods are wrapped in the moment when the worker imports them.

What they draw goes to the task's output as ever, but no faster than somebody could read it: of a bar at most a drawing
each max(0.1 s, running time ÷ 2,000), and its last.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from time import monotonic
from typing import Any

from .bars import Bar, Bars, Look, Pace

__all__ = ["follow_bars"]

_DRAW_SECONDS = 0.1
_REDRAW_SECONDS = 0.5  # rich draws all its bars anew each time
_DRAWINGS_PER_LIFE = 2_000
_NEW_AT_ONCE = 50  # bars: a loop that makes them faster goes on with ten a second
_BAR, _DRAWN = "_sse_tasks_bar", "_sse_tasks_drawn"


def follow_bars(bars: Bars) -> None:
    """From now on, bars of tqdm and rich are told to ``bars``. Imports neither of them."""
    hooks: dict[str, Callable[[Any, Bars], None]] = {
        "tqdm.std": _hook_tqdm, "tqdm.asyncio": _hook_async_tqdm, "tqdm.notebook": _hook_notebook_tqdm,
        "rich.progress": _hook_rich, "rich.live": _hook_rich_live}
    for name in hooks:
        if (module := sys.modules.get(name)) is not None:
            _apply(hooks[name], module, bars)
    sys.meta_path.insert(0, _Watcher(hooks, bars))  # type: ignore[arg-type]


def _apply(hook: Callable[[Any, Bars], None], module: Any, bars: Bars) -> None:
    try:
        hook(module, bars)
    except AttributeError as error:  # a version that has no such method: its bars are drawn all the same
        print(f"[sse_tasks: the bars of {module.__name__} are not followed: {error}]", file=sys.stderr)


class _Watcher:
    """A finder that finds nothing itself: it sees to it that a module is hooked once it has been executed."""

    def __init__(self, hooks: dict[str, Callable[[Any, Bars], None]], bars: Bars) -> None:
        self._hooks = hooks
        self._bars = bars

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        hook = self._hooks.get(name)
        if hook is None:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None or (spec := find(name, path, target)) is None:
                continue
            self._hook_after(spec.loader, name, hook)
            return spec
        return None

    def _hook_after(self, loader: Any, name: str, hook: Callable[[Any, Bars], None]) -> None:
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: Any) -> None:
            execute(module)
            if module.__name__ == name:  # a loader may be an archive's, with many modules
                with contextlib.suppress(AttributeError):
                    del loader.exec_module
                _apply(hook, module, self._bars)

        with contextlib.suppress(AttributeError):  # one that lets nobody in
            loader.exec_module = exec_module


def _wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replaces a method by what ``make`` gives for it."""
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(make(original)))


def _interval(bars: Bars, least: float) -> float:
    return max(least, bars.age_seconds / _DRAWINGS_PER_LIFE)


# -- tqdm ----------------------------------------------------------------------------------------------------------


def _hook_tqdm(module: Any, bars: Bars) -> None:
    tqdm = module.tqdm
    new = Pace(_DRAW_SECONDS, _NEW_AT_ONCE)

    def bar_of(shown: Any) -> Bar | None:
        bar: Bar | None = shown.__dict__.get(_BAR)
        return bar

    def init(original: Any) -> Any:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            if not self.disable and not any(kind.__module__ == "tqdm.rich" for kind in type(self).__mro__):
                bar = Bar(_look_at(self))
                bar.current = self.n
                setattr(self, _BAR, bar)
                bars.begin(bar)
        return __init__

    def iterate(original: Any) -> Any:
        def __iter__(self: Any) -> Iterator[Any]:
            bar = bar_of(self)
            if bar is None or self.disable:
                turned: Iterator[Any] = original(self)
                return turned
            bar.iterates, bar.current = True, self.n
            return _turns(original(self), bar, bars)
        return __iter__

    def update(original: Any) -> Any:
        def update(self: Any, n: Any = 1) -> Any:
            drawn = original(self, n)
            bar = bar_of(self)
            if bar is not None and not bar.iterates and not self.disable:
                bar.current = self.n
                if monotonic() >= bars.quiet_until:
                    bars.turn(bar)
            return drawn
        return update

    def refresh(original: Any) -> Any:
        def refresh(self: Any, *args: Any, **kwargs: Any) -> Any:
            drawn = original(self, *args, **kwargs)
            bar = bar_of(self)
            if bar is not None and not self.disable:
                if not bar.iterates:
                    bar.current = self.n
                bars.look(bar)
            return drawn
        return refresh

    def close(original: Any) -> Any:
        def close(self: Any) -> None:
            try:
                bar = bar_of(self)
                if bar is not None and not self.disable:
                    bar.current = self.n
                    bars.end(bar)
            finally:
                original(self)
        return close

    def delete(original: Any) -> Any:
        def __del__(self: Any) -> None:
            bar = self.__dict__.pop(_BAR, None)
            if bar is not None:  # at any moment, perhaps within a report: nothing is told
                bars.drop(bar)
            original(self)
        return __del__

    def display(original: Any) -> Any:
        def display(self: Any, msg: Any = None, pos: Any = None) -> Any:
            return _may_draw(self, msg, new, bars) and original(self, msg, pos)
        return display

    for name, make in (("__init__", init), ("__iter__", iterate), ("update", update), ("refresh", refresh),
                       ("close", close), ("__del__", delete), ("display", display)):
        _wrap(tqdm, name, make)


def _look_at(shown: Any) -> Callable[[Bar], Look | None]:
    there = weakref.ref(shown)

    def look(bar: Bar) -> Look | None:
        shown = there()
        if shown is None or shown.disable:
            return None
        write, scale = None, shown.unit_scale
        if scale is True:
            def write(number: Any) -> str:
                return f"{shown.format_sizeof(number, '', shown.unit_divisor)}{shown.unit}"
        elif scale:
            def write(number: Any) -> str:
                return f"{number * scale:g}"
        return Look(bar.current, shown.total, shown.desc or "", shown.postfix or "", write)

    return look


def _turns(source: Iterator[Any], bar: Bar, bars: Bars) -> Iterator[Any]:
    count = bar.current
    for element in source:
        yield element
        count += 1
        bar.current = count
        if monotonic() >= bars.quiet_until:
            bars.turn(bar)


def _may_draw(shown: Any, text: Any, new: Pace, bars: Bars) -> bool:
    drawn = shown.__dict__.get(_DRAWN)  # when, and at which number
    if shown.disable:  # it is being closed: its last line stays; there may be nothing to clear
        return text is None or drawn is not None
    now = monotonic()
    if drawn is None:
        may = new.allows()
    else:
        may = now - drawn[0] >= _interval(bars, _DRAW_SECONDS) or bool(
            shown.total and drawn[1] < shown.total <= shown.n)
    if may:
        setattr(shown, _DRAWN, (now, shown.n))
    return may


def _hook_async_tqdm(module: Any, bars: Bars) -> None:
    def following(original: Any) -> Any:
        async def __anext__(self: AsyncIterator[Any]) -> Any:
            await bars.checkpoint_async()
            return await original(self)
        return __anext__

    _wrap(module.tqdm_asyncio, "__anext__", following)


def _hook_notebook_tqdm(module: Any, bars: Bars) -> None:
    """There is no notebook here to put a widget into: its bars are plain ones."""
    class tqdm_notebook(module.std_tqdm):  # type: ignore[name-defined, misc]
        def __init__(self, *args: Any, display: bool = True, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    def tnrange(*args: Any, **kwargs: Any) -> Any:
        return tqdm_notebook(range(*args), **kwargs)

    module.tqdm = module.tqdm_notebook = tqdm_notebook
    module.trange = module.tnrange = tnrange


# -- rich ----------------------------------------------------------------------------------------------------------


def _hook_rich(module: Any, bars: Bars) -> None:
    def add_task(original: Any) -> Any:
        def add_task(self: Any, *args: Any, **kwargs: Any) -> Any:
            task_id = original(self, *args, **kwargs)
            if not self.disable:
                bar = Bar(_look_at_task(self, task_id, module.Text.from_markup))
                self.__dict__.setdefault(_BAR, {})[task_id] = bar
                bars.begin(bar)
            return task_id
        return add_task

    def moving(original: Any) -> Any:
        def move(self: Any, task_id: Any, *args: Any, **kwargs: Any) -> Any:
            done = original(self, task_id, *args, **kwargs)
            bar = self.__dict__.get(_BAR, {}).get(task_id)
            if bar is not None and monotonic() >= bars.quiet_until:
                bars.turn(bar)
            return done
        return move

    def remove_task(original: Any) -> Any:
        def remove_task(self: Any, task_id: Any) -> None:
            bar = self.__dict__.get(_BAR, {}).pop(task_id, None)
            if bar is not None:
                bars.end(bar)
            original(self, task_id)
        return remove_task

    def stop(original: Any) -> Any:
        def stop(self: Any) -> None:
            original(self)
            bars.end(*self.__dict__.get(_BAR, {}).values())
        return stop

    def track(original: Any) -> Any:
        def track(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            for element in original(self, *args, **kwargs):
                yield element
                bars.checkpoint()  # a thread of rich's tells how far it is
        return track

    for name, make in (("add_task", add_task), ("update", moving), ("advance", moving), ("reset", moving),
                       ("remove_task", remove_task), ("stop", stop), ("track", track)):
        _wrap(module.Progress, name, make)


def _look_at_task(progress: Any, task_id: Any, read: Callable[[str], Any]) -> Callable[[Bar], Look | None]:
    there = weakref.ref(progress)

    def look(bar: Bar) -> Look | None:
        progress = there()
        task = None if progress is None else progress._tasks.get(task_id)
        if task is None or not task.visible:
            return None
        description = task.description
        with contextlib.suppress(Exception):  # what is no markup stands for itself
            description = read(description).plain
        return Look(task.completed, task.total, description)

    return look


def _hook_rich_live(module: Any, bars: Bars) -> None:
    def refresh(original: Any) -> Any:
        def refresh(self: Any) -> None:
            now = monotonic()
            if self.is_started and now - self.__dict__.get(_DRAWN, 0.0) < _interval(bars, _REDRAW_SECONDS):
                return
            setattr(self, _DRAWN, now)
            original(self)
        return refresh

    _wrap(module.Live, "refresh", refresh)
