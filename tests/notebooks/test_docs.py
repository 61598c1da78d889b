"""What users are told of magics and handle is all there is, and all there is is told."""

from __future__ import annotations

import re
from pathlib import Path

import sse_tasks
from sse_tasks.handle import Task
from sse_tasks.magics import TaskMagics
from sse_tasks.options import START_OPTIONS

TEXT = (Path(__file__).parents[2] / "docs" / "notebook.md").read_text()


def test_every_magic_is_told() -> None:
    """And none that isn't there."""
    told = set(re.findall(r"^\| `%(\w+)", TEXT, re.MULTILINE))

    assert told == set(TaskMagics.magics["line"])


def test_every_member_of_the_handle_is_told() -> None:
    """And none that isn't there."""
    told = set(re.findall(r"\bt\.(\w+)", TEXT)) - {"observe"}
    inherited = set(dir(Task.__mro__[1]))
    made_by_functions = {"start", "start_worker", "attach", "last", "mark_shown"}

    assert told == {name for name in dir(Task) if not name.startswith("_")} - inherited - made_by_functions


def test_every_start_option_is_told() -> None:
    """Those that each task type has."""
    assert {name for name in START_OPTIONS if f"`--{name}" not in TEXT} == {"help"}
    assert "--help" in TEXT


def test_public_names_are_there() -> None:
    """`__all__` is right, and what a notebook imports is in it."""
    assert all(hasattr(sse_tasks, name) for name in sse_tasks.__all__)
    assert {"start_task", "use_task", "get_task", "list_tasks", "task"} <= set(sse_tasks.__all__)
    assert callable(sse_tasks.use_task)
