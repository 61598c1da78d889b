"""What ``%start_task`` tells of task types: the list, one type's options, and what Tab completes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .option_words import json_text
from .options import START_OPTIONS, dashed, field_options, is_flag
from .schema_check import options_of
from .types import Status, TaskTypeInfo

__all__ = ["complete", "help_text", "types_text"]

_LINE = re.compile(r"(?:^|.*[\s=])%{1,2}(?P<magic>\w+)\s+(?P<rest>.*)$", re.DOTALL)
_OF_TASKS = frozenset({"pause_task", "resume_task", "abort_task", "restart_task", "task_output"})
_KINDS = {"integer": "INT", "number": "NUMBER", "string": "TEXT", "boolean": "true|false", "object": "JSON",
          "array": "LIST", "null": "null"}
_FORMATS = {"date": "DATE", "date-time": "TIME", "time": "TIME", "path": "PATH", "uuid": "UUID",
            "duration": "DURATION", "decimal": "NUMBER", "base64": "BASE64"}
_MOST_CHOICES = 8
_DEFAULT_LENGTH = 40


def types_text(infos: Iterable[TaskTypeInfo]) -> str:
    """The task types, a line each."""
    rows = [(info.name, f"can't be loaded: {info.error}" if info.error else info.doc) for info in infos]
    if not rows:
        return ("There are no task types. Put a file with a function under @task into workers/ beside the notebook, "
                "or into a folder of SSE_TASKS_WORKERS.")
    return _aligned(rows) + "\n\n%start_task TYPE --help tells the options of one."


def help_text(info: TaskTypeInfo) -> str:
    """One task type: its doc, and its options with type, default, description and a mark for the required ones."""
    lines = [info.name if not info.doc else f"{info.name}: {info.doc}", f"from {info.source}" if info.source else ""]
    if info.input is None:
        return "\n".join([*filter(None, lines), f"It can't be loaded: {info.error}"])
    required = set(info.input.get("required", ()))
    fields = field_options(info)
    names = {id(schema): name for name, schema in info.input.get("properties", {}).items()}
    rows = []
    for option, schema in fields.items():
        head = _option_head(option, schema, info.input)
        notes = [str(schema.get("description", ""))]
        if names[id(schema)] in required:
            notes.append("(required)")
        elif schema.get("default") is not None:
            notes.append(f"(default: {_short(schema['default'])})")
        rows.append((head, " ".join(filter(None, notes))))
    parts = ["\n".join(filter(None, lines)), f"%start_task {info.name} …", _aligned(rows) or "It needs no input."]
    starts = []
    for name, (value, what) in START_OPTIONS.items():
        option = f"--task-{name}" if name in fields else f"--{name}"
        starts.append((f"{option} {value}".rstrip(), what))
    return "\n\n".join([*parts, "Of every start:\n" + _aligned(starts)])


def complete(text: str, infos: Sequence[TaskTypeInfo], task_ids: Iterable[str] = ()) -> list[str]:
    """What may stand in place of the last word of ``text``, the line up to the cursor (``%start_task scr``).

    Task types, then options and the values of options that have few; for the magics of one task its ids, for
    ``%tasks`` its options. Nothing for any other line.
    """
    found = _LINE.match(text)
    if found is None:
        return []
    words = re.split(r"\s+", found["rest"])
    before, last = words[:-1], words[-1]
    if found["magic"] in _OF_TASKS:
        ids = [] if any(not word.startswith("-") for word in before) else _beginning(last, task_ids)
        is_option = found["magic"] == "restart_task" and "--fresh" not in before and (before or last.startswith("-"))
        return [*ids, *(_beginning(last, ["--fresh"]) if is_option else [])]
    if found["magic"] == "tasks":
        statuses = [str(status) for status in Status]
        return _beginning(last, statuses if before[-1:] == ["--status"] else ["--all", "--status"])
    if found["magic"] != "start_task":
        return []
    if not before:
        return _beginning(last, [*(info.name for info in infos), *(["--help"] if last.startswith("-") else [])])
    info = next((info for info in infos if info.name == before[0]), None)
    if info is None or info.input is None:
        return _beginning(last, ["--help"])
    return _option_completions(info, before[1:], last)


def _option_completions(info: TaskTypeInfo, before: list[str], last: str) -> list[str]:
    root: Mapping[str, Any] = info.input or {}
    fields = field_options(info)
    option, equals, _ = last.partition("=")
    if equals and option.startswith("--"):
        return _beginning(last, [f"{option}={value}" for value in _values(fields.get(dashed(option[2:])), root)])
    previous = before[-1] if before else ""
    if previous.startswith("--") and "=" not in previous:
        schema = fields.get(dashed(previous[2:]))
        values = _values(schema, root)
        if schema is not None and not is_flag(schema, root):
            return _beginning(last, values)
        if schema is None and START_OPTIONS.get(previous[2:], ("",))[0]:
            return []
        if values and last and not last.startswith("-"):
            return _beginning(last, values)
    given = {dashed(word[2:].partition("=")[0]) for word in before if word.startswith("--")}
    names: list[str] = []
    for name, schema in fields.items():
        if is_flag(schema, root):
            if not given & {dashed(name), f"no-{dashed(name)}"}:
                names += [f"--{name}", f"--no-{name}"]
        elif dashed(name) not in given or any(o.get("type") == "array" for o in options_of(schema, root)):
            names.append(f"--{name}")
    for name in START_OPTIONS:
        option = f"task-{name}" if name in fields else name
        if option not in given or name == "tag":
            names.append(f"--{option}")
    return _beginning(last, names)


def _values(schema: Any, root: Mapping[str, Any]) -> list[str]:
    """The values that a person may pick from."""
    values: list[str] = []
    for option in [] if schema is None else options_of(schema, root):
        if option.get("type") == "array" and "items" in option:
            values += _values(option["items"], root)
        elif "enum" in option or "const" in option:
            values += [v if isinstance(v, str) else json_text(v) for v in option.get("enum", [option.get("const")])]
        elif option.get("type") == "boolean":
            values += ["true", "false"]
    return list(dict.fromkeys(values))


def _beginning(start: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(start)]


def _option_head(option: str, schema: Any, root: Mapping[str, Any]) -> str:
    if is_flag(schema, root):
        return f"--{option}, --no-{option}"
    kinds = list(dict.fromkeys(kind for o in options_of(schema, root) if (kind := _kind(o, root)) != "null"))
    return f"--{option} {'|'.join(kinds) or 'null'}"


def _kind(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        choices = [v if isinstance(v, str) else json_text(v) for v in schema.get("enum", [schema.get("const")])]
        return "|".join([*choices[:_MOST_CHOICES], *(["…"] if len(choices) > _MOST_CHOICES else [])])
    kind = schema.get("type", "VALUE")
    if kind == "array" and isinstance(schema.get("items"), dict):
        inner = "|".join(dict.fromkeys(_kind(o, root) for o in options_of(schema["items"], root)))
        return f"{inner} (may be repeated)"
    known = _FORMATS.get(str(schema.get("format") or schema.get("contentEncoding")))
    return known or _KINDS.get(str(kind), "VALUE")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) and value else json_text(value)
    return text if len(text) <= _DEFAULT_LENGTH else text[: _DEFAULT_LENGTH - 1] + "…"


def _aligned(rows: Sequence[tuple[str, str]]) -> str:
    width = max((len(left) for left, _ in rows), default=0)
    return "\n".join(f"  {left:<{width}}  {right}".rstrip() for left, right in rows)
