"""``%start_task TYPE --field value …``: the words of a line as the input of a task type, and back.

Which options there are, and how a value is read, comes from the task type's JSON Schema. Where a field has the name
of a start option (``--name``, ``--timeout``, …), the plain option means the field, since that is what the task type's
own help lists; the start option is then written ``--task-name``, which always works.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .conversion import to_json
from .errors import BadParameterError, InvalidInputError, WorkerLoadError, near_names
from .option_words import escaped, expanded, is_json, json_text, parse_json, quoted, split
from .schema_check import fault_of, options_of, resolved
from .types import TaskTypeInfo

__all__ = ["START_OPTIONS", "StartRequest", "dashed", "field_options", "is_flag", "parse_start_line", "start_line"]

START_OPTIONS: dict[str, tuple[str, str]] = {
    "input": ("VAR_OR_JSON", "the whole input: a JSON object, or the name of a dict, dataclass, struct or model"),
    "name": ("TEXT", "what to call this task"),
    "tag": ("TEXT", "a tag to find it by; may be repeated"),
    "timeout": ("SECONDS", "fail it after so long; time paused doesn't count"),
    "retries": ("N", "further attempts when its processes die or its time is over"),
    "wait": ("", "wait for its end and return the result"),
    "quiet": ("", "show no view"),
    "inline": ("", "run it here in the kernel, with prints and debugger"),
    "help": ("", "show this"),
}
"""The options of every start: what their value is (nothing: a flag), and what they do."""

_ALWAYS = "task-"
_NUMBER = re.compile(r"[-+]?(\d+)(\.\d*)?([eE][-+]?\d+)?|[-+]?\.\d+([eE][-+]?\d+)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """What a line asks for. ``task_type`` is None for an empty line; ``timeout`` is in seconds, ``retries`` counts the
    attempts after the first."""

    task_type: str | None
    input: dict[str, Any]
    name: str | None = None
    tags: tuple[str, ...] = ()
    timeout: float | None = None
    retries: int = 0
    wait: bool = False
    quiet: bool = False
    inline: bool = False
    help: bool = False


def parse_start_line(
    line: str, info_of: Callable[[str], TaskTypeInfo], namespace: Mapping[str, Any]
) -> StartRequest:
    """Read ``TYPE --field value …``.

    ``$var`` and ``{expression}`` in values are looked up in ``namespace`` (``$$``, ``{{`` and ``}}`` stand for
    themselves, a literal JSON object or list is left alone), so the line has to come here unexpanded. ``info_of``
    gives a task type and raises TaskTypeNotFoundError. Raises BadParameterError for an option that is wrong,
    InvalidInputError for a whole input that is none, WorkerLoadError for a task type that can't be loaded.
    """
    words = split(line)
    if not words:
        return StartRequest(task_type=None, input={})
    if words == ["--help"]:
        return StartRequest(task_type=None, input={}, help=True)
    if words[0].startswith("-"):
        raise BadParameterError(words[0], "the task type comes first: %start_task TYPE --field value")
    task_type = str(expanded(words[0], namespace))
    return _Reader(info_of(task_type), namespace).read(words[1:])


def start_line(task_type: str, input: Mapping[str, Any], info: TaskTypeInfo | None = None) -> str:
    """The line that ``parse_start_line`` reads as this input: as options where ``info`` is there to say how they are
    read, and as one JSON object what can't be said in options."""
    words: list[str] = []
    rest = dict(input)
    if info is not None and info.input is not None:
        reader = _Reader(info, {})
        for name, value in input.items():
            option = _option_words(name, value, info)
            if option and reader.gives(option, name, value):
                words += option
                del rest[name]
    if rest:
        words.insert(0, json_text(rest))
    return " ".join([task_type, *(quoted(word) for word in words)])


def field_options(info: TaskTypeInfo) -> dict[str, Any]:
    """The schemas of a task type's fields, by the option (without dashes) that sets each."""
    properties = (info.input or {}).get("properties", {})
    named: dict[str, Any] = {}
    for name, schema in properties.items():
        named[dashed(name) if dashed(name) not in named else name] = schema
    return named


def dashed(name: str) -> str:
    """``max_pages`` as people write an option: ``max-pages``."""
    return name.replace("_", "-")


def is_flag(schema: Any, root: Mapping[str, Any]) -> bool:
    """Whether a field is true or false (or null), so that its option needs no value."""
    kinds = {option.get("type") for option in options_of(schema, root)}
    return "boolean" in kinds and kinds <= {"boolean", "null"}


class _Reader:
    """Reads the words after the task type."""

    def __init__(self, info: TaskTypeInfo, namespace: Mapping[str, Any]) -> None:
        self.info = info
        self.namespace = namespace
        self.schema: Mapping[str, Any] = info.input or {}
        self.properties: Mapping[str, Any] = self.schema.get("properties", {})
        self.whole: dict[str, Any] | None = None
        self.fields: dict[tuple[str, ...], list[Any]] = {}
        self.starts: dict[str, list[Any]] = {}

    def gives(self, words: Sequence[str], name: str, value: Any) -> bool:
        """Whether these words alone set the field to just this value."""
        try:
            request = _Reader(self.info, self.namespace).read(words)
        except (BadParameterError, InvalidInputError):
            return False
        return not request.help and json_text(request.input) == json_text({name: value})

    def read(self, words: Sequence[str]) -> StartRequest:
        if any(word.startswith("--") and self._start_option(word[2:]) == "help" for word in words):
            return StartRequest(task_type=self.info.name, input={}, help=True)
        if self.info.input is None:
            raise WorkerLoadError(self.info.name, self.info.source, self.info.error or "it says nothing of its input")
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word.startswith("--"):
                self._option(word, rest)
            elif word.startswith("-") and not _NUMBER.fullmatch(word):
                raise BadParameterError(word, f"options have two dashes.{self._near(word.lstrip('-'))}")
            else:
                self._take_whole(expanded(word, self.namespace), word)
        return self._request()

    def _option(self, word: str, rest: list[str]) -> None:
        name, equals, text = word[2:].partition("=")
        target = self._target(name)
        if target is None:
            raise BadParameterError(word if not equals else f"--{name}",
                                    f"{self.info.name} has no such option.{self._near(name)}")
        kind, path, negated = target
        if kind == "field":
            schema = self._schema_at(path, name)
            if negated:
                if equals:
                    raise BadParameterError(f"--{name}", "takes no value")
                self.fields.setdefault(path, []).append(False)
            elif not equals and is_flag(schema, self.schema) and rest[:1] not in (["true"], ["false"], ["null"]):
                self.fields.setdefault(path, []).append(True)
            else:
                self.fields.setdefault(path, []).append(self._value(name, equals, text, rest))
        elif START_OPTIONS[path[0]][0]:
            value = self._value(name, equals, text, rest)
            if path[0] == "input":
                self._take_whole(value, text if equals else str(value))
            else:
                self.starts.setdefault(path[0], []).append(value)
        elif equals:
            raise BadParameterError(f"--{name}", "takes no value")
        else:
            self.starts.setdefault(path[0], []).append(True)

    def _target(self, name: str) -> tuple[str, tuple[str, ...], bool] | None:
        """What an option means: ("field", its path, whether by --no-) or ("start", (its name,), False)."""
        field = self._field(name)
        if field is not None:
            return "field", (field,), False
        head, dot, tail = name.partition(".")
        if dot and (field := self._field(head)) is not None:
            return "field", (field, *tail.split(".")), False
        start = self._start_option(name)
        if start is not None:
            return "start", (start,), False
        field = self._field(name[3:]) if name.startswith(("no-", "no_")) else None
        if field is not None and is_flag(self.properties[field], self.schema):
            return "field", (field,), True
        return None

    def _field(self, name: str) -> str | None:
        if name in self.properties:
            return name
        return next((field for field in self.properties if dashed(field) == dashed(name)), None)

    def _start_option(self, name: str) -> str | None:
        name = name.partition("=")[0]
        if self._field(name) is not None:
            return None
        name = dashed(name).removeprefix(_ALWAYS)
        return name if name in START_OPTIONS else None

    def _near(self, name: str) -> str:
        names = [*field_options(self.info), *(n for n in START_OPTIONS if self._field(n) is None)]
        return near_names(dashed(name), names, "--")

    def _value(self, name: str, equals: str, text: str, rest: list[str]) -> Any:
        if not equals:
            if not rest or rest[0].startswith("--"):
                hint = f" One that begins with dashes is written --{name}={rest[0]}." if rest else ""
                raise BadParameterError(f"--{name}", f"needs a value.{hint}")
            text = rest.pop(0)
        return expanded(text, self.namespace)

    def _take_whole(self, value: Any, word: str) -> None:
        if self.whole is not None:
            raise BadParameterError("input", "the whole input is given twice")
        if isinstance(value, str):
            value = self._named(value) if not value.lstrip().startswith("{") else _parsed_object(value)
        try:
            value = to_json(value)
        except (TypeError, ValueError) as error:
            raise BadParameterError("input", f"{word} can't be written as JSON: {error}") from None
        if not isinstance(value, dict):
            raise InvalidInputError(self.info.name, [{"path": "", "message": f"{word} is no object with fields"}])
        self.whole = value

    def _named(self, name: str) -> Any:
        if name in self.namespace:
            return self.namespace[name]
        known = [n for n in self.namespace if not n.startswith("_")]
        near = near_names(name, known)
        raise BadParameterError(name, "is neither an option, nor a JSON object, nor a name that is defined here."
                                + (near if near.startswith(" Did") else ""))

    def _schema_at(self, path: tuple[str, ...], option: str) -> Any:
        schema: Any = self.properties[path[0]]
        for name in path[1:]:
            objects = [o for o in options_of(schema, self.schema) if o.get("type", "object") == "object"]
            found = [o["properties"][key] for o in objects for key in (_key(o, name),) if key is not None]
            found += [o.get("additionalProperties", {}) for o in objects
                      if not found and o.get("additionalProperties", True) is not False and not o.get("properties")]
            if not found:
                names = [key for o in objects for key in o.get("properties", {})]
                raise BadParameterError(f"--{option}", f"{path[0]} has no {name}.{near_names(name, names)}")
            schema = found[0]
        return schema

    def _request(self) -> StartRequest:
        for name, values in self.starts.items():
            if name != "tag" and len(values) > 1 and START_OPTIONS[name][0]:
                raise BadParameterError(f"--{name}", "is given twice")
        input = dict(self.whole or {})
        for path, values in self.fields.items():
            option = "--" + ".".join(map(dashed, path))
            schema = self._schema_at(path, option[2:])
            _put(input, self._keys(path), _field_value(values, schema, self.schema, option), option)
        timeout = self.starts.get("timeout", [None])[0]
        return StartRequest(
            task_type=self.info.name,
            input=input,
            name=str(self.starts["name"][0]) if "name" in self.starts else None,
            tags=tuple(str(tag) for tag in self.starts.get("tag", ())),
            timeout=None if timeout is None else _seconds(timeout),
            retries=_count(self.starts.get("retries", [0])[0]),
            wait="wait" in self.starts,
            quiet="quiet" in self.starts,
            inline="inline" in self.starts,
        )

    def _keys(self, path: tuple[str, ...]) -> list[str]:
        """The path as it is in JSON, where an option may have dashes for underscores."""
        keys = [path[0]]
        schema: Any = self.properties[path[0]]
        for name in path[1:]:
            objects = options_of(schema, self.schema)
            key = next((k for o in objects if (k := _key(o, name)) is not None), name)
            keys.append(key)
            schema = next((o["properties"][key] for o in objects if key in o.get("properties", {})), {})
        return keys


def _key(schema: Mapping[str, Any], name: str) -> str | None:
    properties = schema.get("properties", {})
    if name in properties:
        return name
    return next((key for key in properties if dashed(key) == dashed(name)), None)


def _put(input: dict[str, Any], keys: list[str], value: Any, option: str) -> None:
    place: Any = input
    for key in keys[:-1]:
        if place.get(key) is None:
            place[key] = {}
        elif not isinstance(place[key], dict):
            raise BadParameterError(option, f"{key} is given as a whole already")
        else:
            place[key] = dict(place[key])
        place = place[key]
    place[keys[-1]] = value


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not (0 < seconds < math.inf):
        raise BadParameterError("--timeout", f"must be a number of seconds, more than 0, not {value}")
    return seconds


def _count(value: Any) -> int:
    """How many it may be at most, the task manager says."""
    text = str(value).strip()
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise BadParameterError("--retries", f"must be a whole number, not {value}")
    return int(text)


def _field_value(given: list[Any], schema: Any, root: Mapping[str, Any], option: str) -> Any:
    lists = [o for o in options_of(schema, root) if o.get("type") == "array"]
    if len(given) > 1:
        if not lists:
            raise BadParameterError(option, "is given twice, and takes one value")
        value: Any = [_typed(one, _item_schema(lists[0], i), root, option) for i, one in enumerate(given)]
        fault = fault_of(schema, value, root)
        if fault:
            raise BadParameterError(option, _told(fault))
        return value
    candidates = list(_candidates(given[0], option))
    for candidate in candidates:
        if fault_of(schema, candidate, root) is None:
            return candidate
    if lists:  # a list of one
        try:
            value = [_typed(given[0], _item_schema(lists[0], 0), root, option)]
            fault = fault_of(schema, value, root)
            if fault is None:
                return value
            raise BadParameterError(option, _told(fault))
        except BadParameterError:
            if not isinstance(candidates[0], list):
                raise
    return _typed(given[0], schema, root, option)


def _item_schema(schema: Mapping[str, Any], index: int) -> Any:
    first = schema.get("prefixItems", ())
    return first[index] if index < len(first) else schema.get("items", True)


def _typed(given: Any, schema: Any, root: Mapping[str, Any], option: str) -> Any:
    """``given`` as the first of what it may mean that fits: null, a number, true or false, JSON, text."""
    candidates = list(_candidates(given, option))
    for candidate in candidates:
        if fault_of(schema, candidate, root) is None:
            return candidate
    fault = fault_of(schema, candidates[0], root)
    assert fault is not None
    raise BadParameterError(option, _told(fault))


def _candidates(given: Any, option: str) -> Iterator[Any]:
    """What ``given`` may mean; one at least."""
    if not isinstance(given, str):
        try:
            yield to_json(given)
        except (TypeError, ValueError) as error:
            if isinstance(given, dict | list):
                raise BadParameterError(option, f"can't be written as JSON: {error}") from None
        if isinstance(given, dict | list):
            return
        given = str(given)
    text = given.strip()
    if text in ("null", "None"):
        yield None
    elif text in ("true", "True", "false", "False"):
        yield text.lower() == "true"
    elif _NUMBER.fullmatch(text):
        if text.lstrip("+-").isdigit():
            yield int(text) if len(text) < 1000 else text
        elif math.isfinite(number := float(text)):
            yield number
    elif text[:1] in ("{", "["):
        try:
            yield parse_json(text)
        except ValueError:
            pass
    yield given


def _told(fault: Mapping[str, str]) -> str:
    return f"{fault['path']} {fault['message']}".strip()


def _parsed_object(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        shown = text if len(text) <= 200 else f"{text[:200]}…"
        raise BadParameterError("input", f"{shown} is no JSON: {error}. JSON has double quotes, true, false and null; "
                                "a Python dict goes by its name: --input my_dict") from None


def _option_words(name: str, value: Any, info: TaskTypeInfo) -> list[str]:
    root = info.input or {}
    schema = resolved(root.get("properties", {}).get(name, False), root)
    option = f"--{dashed(name)}"
    if schema is False:
        return []
    if isinstance(value, bool) and is_flag(schema, root):
        return [option if value else f"--no-{dashed(name)}"]
    repeated = isinstance(value, list) and value and not any(isinstance(item, list | dict) for item in value)
    words: list[str] = []
    for one in value if repeated else [value]:
        text = one if isinstance(one, str) else json_text(one)
        if not text.isprintable():
            return []  # a line is one line
        text = text if is_json(text) else escaped(text)
        words += [f"{option}={text}"] if text.startswith("-") or not text else [option, text]
    return words


