"""The magics: they parse a line and delegate."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, needs_local_scope, no_var_expand

from .errors import BadParameterError, SseTasksError, near_names
from .handle import Task
from .kernel import workers_beside
from .option_help import complete, help_text, types_text
from .option_words import split
from .options import StartRequest, parse_start_line
from .registry import Worker, load_worker, worker_ref
from .task_manager import Action, default_manager
from .task_table import TaskTable
from .types import Status
from .use_task import get_task, use_task

__all__ = ["TaskMagics", "load", "unload"]

_OUTPUT_CHARACTERS = 100_000
"""The end of an output that ``%task_output`` prints: more makes a notebook slow."""
_COMPLETED_IDS = 50

F = TypeVar("F", bound=Callable[..., Any])


def _plainly(magic: F) -> F:
    """Errors that people meet are one sentence, without a traceback. The cell fails with it, so "Run All" stops."""

    @functools.wraps(magic)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return magic(*args, **kwargs)
        except SseTasksError as error:
            raise UsageError(str(error)) from error

    return run  # type: ignore[return-value]


@magics_class
class TaskMagics(Magics):
    """``%start_task`` and what goes with it."""

    @no_var_expand
    @needs_local_scope
    @line_magic
    def start_task(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        """Start a task: %start_task TYPE --field value …

        Shows its view and gives its handle. Alone it lists the task types, %start_task TYPE --help the options of one.
        """
        request = self._request(line, {**self._names(), **(local_ns or {})})
        if request is None:
            return None
        if request.inline:
            worker, arguments = self._worker(request)
            return worker(**arguments)  # its errors come with their traceback, for the debugger
        return self._start(request)

    @_plainly
    def _request(self, line: str, names: Mapping[str, Any]) -> StartRequest | None:
        """None where only help was asked for."""
        manager, beside = default_manager(), workers_beside()
        request = parse_start_line(line, lambda name: manager.task_type(name, beside=beside), names)
        if request.task_type is None:
            print(types_text(manager.task_types(beside=beside)))
            return None
        if request.help:
            print(help_text(manager.task_type(request.task_type, beside=beside)))
            return None
        return request

    @_plainly
    def _worker(self, request: StartRequest) -> tuple[Worker[..., Any], dict[str, Any]]:
        task_type = str(request.task_type)
        info = default_manager().task_type(task_type, beside=workers_beside())
        worker = load_worker(worker_ref(info), task_type)
        return worker, worker.convert(request.input)

    @_plainly
    def _start(self, request: StartRequest) -> Any:
        handle = use_task(name=request.name, tags=request.tags, timeout=request.timeout, retries=request.retries)
        handle.start(str(request.task_type), request.input)
        if not request.quiet:
            handle.show()
        if request.wait:
            return handle.wait()
        handle.mark_shown()
        return handle

    @line_magic
    @_plainly
    def restart_task(self, line: str) -> Task:
        """Restart a task that has ended, from its last saved checkpoint: %restart_task [ID] [--fresh]

        With the same input, as a new task: shows its view and gives its handle. --fresh is from the beginning.
        """
        words = split(line)
        for word in words:
            if word.startswith("-") and word != "--fresh":
                raise BadParameterError(word, f"%restart_task has no such option.{near_names(word, ['--fresh'])}")
        task = self._task([word for word in words if word != "--fresh"]).restart(fresh="--fresh" in words)
        task.show()
        task.mark_shown()
        return task

    @line_magic
    @_plainly
    def tasks(self, line: str) -> None:
        """Show your tasks: %tasks [--all] [--status running …]"""
        statuses: list[Status] = []
        words = split(line)
        is_all = False
        while words:
            option, equals, value = words.pop(0).partition("=")
            if option == "--all" and not equals:
                is_all = True
            elif option == "--status":
                statuses.append(_status(value if equals else words.pop(0) if words else ""))
            else:
                near = near_names(option, ["--all", "--status"])
                raise BadParameterError(option, f"%tasks has no such option.{near}")
        TaskTable(default_manager(), statuses, is_all).show()

    @line_magic
    @_plainly
    def pause_task(self, line: str) -> None:
        """Pause a task at its next checkpoint: %pause_task [ID], without an id this notebook's last."""
        self._ask(line, "pause")

    @line_magic
    @_plainly
    def resume_task(self, line: str) -> None:
        """Let a paused task go on: %resume_task [ID]"""
        self._ask(line, "resume")

    @line_magic
    @_plainly
    def abort_task(self, line: str) -> None:
        """End a task: %abort_task [ID]"""
        self._ask(line, "abort")

    @line_magic
    @_plainly
    def task_output(self, line: str) -> None:
        """Print what a task has printed so far: %task_output [ID]"""
        output = self._task(split(line)).output()
        if len(output) > _OUTPUT_CHARACTERS:
            hidden = len(output) - _OUTPUT_CHARACTERS
            print(f"… {hidden:,} characters before this: t.output() has them.")
        print(output[-_OUTPUT_CHARACTERS:], end="" if output.endswith("\n") else "\n")

    def _names(self) -> dict[str, Any]:
        assert self.shell is not None
        return self.shell.user_ns

    def _ask(self, line: str, action: Action) -> None:
        task = self._task(split(line))
        default_manager().ask(str(task.task_id), action)
        print(f"Asked {task.task_type} {task.task_id} to {action}.")

    def _task(self, words: Sequence[str]) -> Task:
        for word in words:
            if word.startswith("-"):
                raise BadParameterError(word, "there is no such option here: a task's id is all that can be said")
        if len(words) > 1:
            raise BadParameterError(words[1], "one id is enough")
        named = self._names().get(words[0]) if words else None
        return named if isinstance(named, Task) else get_task(words[0] if words else None)


def _status(word: str) -> Status:
    try:
        return Status(word)
    except ValueError:
        raise BadParameterError("--status", f"{word!r} is no status.{near_names(word, Status)}") from None


# -- completion --------------------------------------------------------------------------------------------------


def _completions(text: str) -> list[str]:
    """What may stand in place of the last word of ``text``, the line up to the cursor."""
    if "%" not in text:
        return []
    manager = default_manager()
    try:
        return complete(text, manager.task_types(beside=workers_beside()), manager.ids()[:_COMPLETED_IDS])
    except SseTasksError:
        return []


def _match(context: Any) -> Any:
    from IPython.core.completer import SimpleCompletion

    line = context.full_text.split("\n")[context.cursor_line][: context.cursor_position]
    found = _completions(line)
    last = "" if line[-1:].isspace() else line.split()[-1] if line.split() else ""
    return {"completions": [SimpleCompletion(text=text, type="param") for text in found],
            "matched_fragment": last, "suppress": bool(found), "ordered": True}


def _match_before_8_6(event: Any) -> list[str]:
    """The same for an older IPython, which replaces ``event.symbol`` alone: the end of the last word."""
    line = event.text_until_cursor
    last = "" if line[-1:].isspace() else line.split()[-1]
    return [word[len(last) - len(event.symbol):] for word in _completions(line)]


def load(ipython: Any) -> None:
    """Registers the magics and their completion."""
    ipython.register_magics(TaskMagics)
    try:
        from IPython.core.completer import context_matcher
    except ImportError:
        ipython.set_hook("complete_command", _match_before_8_6, re_key=r".*%(start_task|tasks|\w+_task|task_output)\b")
        return
    matchers = ipython.Completer.custom_matchers
    if _match not in matchers:
        matchers.append(context_matcher(identifier="sse_tasks")(_match))


def unload(ipython: Any) -> None:
    """Takes the completion away. IPython has no way to take magics away."""
    if _match in ipython.Completer.custom_matchers:
        ipython.Completer.custom_matchers.remove(_match)
