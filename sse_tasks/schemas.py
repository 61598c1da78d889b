"""From a worker's signature to its input and output: JSON Schemas, and the values that the function is called with.

A type is what msgspec can convert from JSON, and besides ``pathlib.Path`` and pydantic models.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import inspect
import operator
import pathlib
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .conversion import FaultsError, convert, decode, is_pydantic, msgspec_fault, to_json, whole_model, without_scalars
from .errors import WorkerDefinitionError
from .schema_check import Fault, fault_of, field_faults, key_faults

__all__ = [
    "InvalidOutputError",
    "OutputShape",
    "Shape",
    "context_parameter",
    "input_shape",
    "item_schema",
    "output_shape",
]

_CONTEXTS = ("TaskContext", "AsyncTaskContext")
_REF = "#/$defs/{name}"
_MISSING = msgspec.NODEFAULT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """One field of an input: ``key`` in JSON, ``type`` in Python, ``default`` or NODEFAULT where it is required."""

    key: str
    type: Any
    required: bool
    default: Any = _MISSING
    description: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """What a worker's input looks like.

    Either the parameters are the fields (``struct`` is None), or the one parameter ``parameter`` takes the whole
    input as a ``struct``.
    """

    fields: tuple[Field, ...]
    struct: Any = None
    parameter: str = ""
    schema: Mapping[str, Any]

    def convert(self, value: Any) -> dict[str, Any]:
        """The arguments by parameter name. Raises FaultsError with every top-level field that is wrong."""
        if not isinstance(value, Mapping):
            raise FaultsError(field_faults(self.schema, value))
        faults = key_faults(self.schema, value)
        if is_pydantic(self.struct):
            return {self.parameter: whole_model(self.struct, value, faults)}
        arguments = {}
        for field in self.fields:
            if field.key not in value:
                continue
            try:
                arguments[field.key] = convert(value[field.key], field.type)
            except msgspec.ValidationError as error:
                schema = self.schema["properties"][field.key]
                fault = fault_of(schema, value[field.key], self.schema, field.key)
                faults.append(fault or msgspec_fault(error, field.key))
        if faults:
            raise FaultsError(faults)
        if self.struct is None:
            return arguments
        try:
            return {self.parameter: convert(value, self.struct)}
        except msgspec.ValidationError as error:  # what only the whole shows, in __post_init__
            raise FaultsError([msgspec_fault(error, "")]) from None


class InvalidOutputError(ValueError):
    """What a worker returned doesn't fit its declared output type. ``errors`` is a list of ``{"path", "message"}``."""

    def __init__(self, errors: list[Fault]) -> None:
        faults = "; ".join(f"{e['path']}: {e['message']}" if e["path"] else e["message"] for e in errors)
        super().__init__(f"The result doesn't fit the declared output type: {faults}")
        self.errors = errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputShape:
    """The declared output: its type, and its schema; ``{}`` for what JSON hasn't, such as a DataFrame."""

    type: Any
    schema: Mapping[str, Any]

    def check(self, value: Any) -> None:
        """Raises InvalidOutputError. Structs, dataclasses and models count as the objects that they are in JSON."""
        try:
            msgspec.convert(without_scalars(value), self.type, strict=True, str_keys=False, from_attributes=True,
                            dec_hook=decode)
        except msgspec.ValidationError as error:
            fault = None
            try:
                fault = fault_of(self.schema, to_json(value), self.schema)
            except (TypeError, ValueError):
                pass
            raise InvalidOutputError([fault or msgspec_fault(error, "")]) from None


def context_parameter(signature: inspect.Signature) -> str | None:
    """The name of the parameter that takes the context: annotated as one, or the first and named ``ctx``."""
    for index, parameter in enumerate(signature.parameters.values()):
        annotation = parameter.annotation
        if isinstance(annotation, str):
            name = annotation.strip("'\" ").rpartition(".")[2]
        else:
            name = getattr(annotation, "__name__", "")
        if name in _CONTEXTS or (index == 0 and parameter.name == "ctx"):
            return parameter.name
    return None


def input_shape(function: Callable[..., Any], names: Mapping[str, Any]) -> Shape:
    """The shape of a function's input; ``names`` are those of the place where it is defined.

    Raises WorkerDefinitionError, naming the function and what to write.
    """
    signature = inspect.signature(function)
    context = context_parameter(signature)
    parameters = [p for p in signature.parameters.values() if p.name != context]
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            star = "*" if p.kind is p.VAR_POSITIONAL else "**"
            instead = f"{p.name}: list[str]" if star == "*" else f"{p.name}: dict[str, str]"
            raise WorkerDefinitionError(
                f"{_where(function)} takes {star}{p.name}, but an input has named fields: write one parameter for "
                f"each, or a parameter such as `{instead}`."
            )
    hints = {p.name: _hint(function, p.name, p.annotation, names) for p in parameters}
    if len(parameters) == 1 and _is_struct(hints[parameters[0].name]):
        return _struct_shape(function, parameters[0].name, hints[parameters[0].name])
    fields = []
    for p in parameters:
        kind = hints[p.name]
        if p.default is None and kind is not Any:  # `x: int = None` is common, and means this
            kind = kind | None if isinstance(kind, type | types.UnionType) else typing.Optional[kind]  # noqa: UP045
        default = _MISSING if p.default is p.empty else p.default
        fields.append(Field(key=p.name, type=_json_type(kind), required=p.default is p.empty, default=default,
                            description=_description(kind)))
    return Shape(fields=tuple(fields), schema=_object_schema(function, fields))


def output_shape(function: Callable[..., Any], names: Mapping[str, Any]) -> OutputShape | None:
    """The shape of the declared output; None where none is declared, or ``None`` or ``Any`` is."""
    annotation = inspect.signature(function).return_annotation
    if annotation in (inspect.Signature.empty, None, "None", Any):
        return None
    kind = _json_type(_hint(function, "return", annotation, names))
    if kind in (Any, type(None)):
        return None
    try:
        _try_out(kind)
        try:
            (schema,), components = _schemas([kind], lenient=True)
        except TypeError:
            if not _is_struct(kind):
                raise
            # A default that is a path: msgspec can't write it, the fields one by one can be.
            schema, components = _object_schema(function, _struct_fields(kind, msgspec.inspect.type_info(kind))), {}
            del schema["additionalProperties"]
    except (TypeError, NameError, AttributeError) as error:
        raise WorkerDefinitionError(f"{_where(function)}: its output type can't be described: {error}.") from None
    return OutputShape(type=kind, schema=_with_defs(dict(schema), components))


def item_schema(function: Callable[..., Any], kind: Any) -> dict[str, Any]:
    """The schema of what a worker says it emits: a struct's fields, or any other type that JSON can carry.

    Raises WorkerDefinitionError.
    """
    try:
        if is_pydantic(kind):
            return dict(kind.model_json_schema(ref_template="#/$defs/{model}"))
        if _is_struct(kind):
            fields = _struct_fields(kind, msgspec.inspect.type_info(kind))
            if hasattr(kind, "__required_keys__"):  # of a TypedDict msgspec sorts the names
                fields.sort(key=lambda field: list(kind.__annotations__).index(field.key))
            schema = _object_schema(function, fields)
            del schema["additionalProperties"]
            return schema
        (schema,), components = _schemas([_json_type(kind)])
    except (TypeError, NameError, AttributeError) as error:
        raise WorkerDefinitionError(f"{_where(function)}: the type of its items can't be described: {error}.") from None
    return _with_defs(dict(schema), components)


def _where(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    place = f" ({pathlib.PurePath(code.co_filename).name}:{code.co_firstlineno})" if code else ""
    return f"The worker {getattr(function, '__qualname__', function)}{place}"


def _hint(function: Callable[..., Any], name: str, annotation: Any, names: Mapping[str, Any]) -> Any:
    if annotation is inspect.Parameter.empty:
        return Any
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    innermost = inspect.unwrap(function)
    try:
        hints = typing.get_type_hints(holder, getattr(innermost, "__globals__", {}), dict(names), include_extras=True)
    except Exception as error:  # an annotation is any expression
        what = "its return type" if name == "return" else f"the type of {name}"
        raise WorkerDefinitionError(
            f"{_where(function)}: {what}, {annotation}, can't be found ({error}). Import or define it above the "
            "function, not under `if TYPE_CHECKING:`."
        ) from None
    return hints[name]


def _struct_shape(function: Callable[..., Any], parameter: str, struct: Any) -> Shape:
    if is_pydantic(struct):
        schema = {"type": "object", "properties": {}, **struct.model_json_schema(ref_template="#/$defs/{model}")}
        schema.setdefault("additionalProperties", False)
        fields = tuple(Field(key=key, type=Any, required=key in schema.get("required", ()))
                       for key in schema["properties"])
        return Shape(fields=fields, struct=struct, parameter=parameter, schema=schema)
    try:
        described: Any = msgspec.inspect.type_info(struct)
    except (TypeError, NameError) as error:
        raise WorkerDefinitionError(f"{_where(function)}: {parameter} can't be described: {error}.") from None
    if getattr(described, "array_like", False):
        raise WorkerDefinitionError(f"{_where(function)}: {parameter} is an array_like struct, but an input is an "
                                    "object: define it without array_like.")
    fields_ = _struct_fields(struct, described)
    schema = _object_schema(function, fields_)
    return Shape(fields=tuple(fields_), struct=struct, parameter=parameter, schema=schema)


def _struct_fields(struct: Any, described: Any) -> list[Field]:
    hints = typing.get_type_hints(typing.get_origin(struct) or struct, include_extras=True)
    not_given = {f.name for f in dataclasses.fields(struct) if not f.init} if dataclasses.is_dataclass(struct) else ()
    fields = []
    for f in described.fields:
        if f.name in not_given:
            continue
        default = f.default
        if f.default_factory is not _MISSING:
            default = f.default_factory()
        kind = _json_type(_bare(hints[f.name]))
        fields.append(Field(key=f.encode_name, type=kind, required=f.required, default=default,
                            description=_description(kind)))
    return fields


def _bare(hint: Any) -> Any:
    while typing.get_origin(hint) in (typing.Required, typing.NotRequired, typing.Final):
        hint = typing.get_args(hint)[0]
    return hint


def _description(kind: Any) -> str | None:
    """``Annotated[int, "how many"]``: a bare string describes the field. (``Meta(description=…)`` msgspec writes.)"""
    metadata = getattr(kind, "__metadata__", ())
    return next((m for m in metadata if isinstance(m, str)), None)


def _is_struct(kind: Any) -> bool:
    kind = typing.get_origin(kind) or kind
    if not isinstance(kind, type):
        return False
    return (
        issubclass(kind, msgspec.Struct)
        or dataclasses.is_dataclass(kind)
        or hasattr(kind, "__attrs_attrs__")
        or (issubclass(kind, dict) and hasattr(kind, "__required_keys__"))  # a TypedDict, also of typing_extensions
        or is_pydantic(kind)
    )


def _object_schema(function: Callable[..., Any], fields: list[Field]) -> dict[str, Any]:
    schemas: list[Any] = []
    for field in fields:
        try:
            _schemas([field.type])
            _try_out(field.type)
        except (TypeError, NameError, AttributeError) as error:
            why = str(error).partition("\n")[0].removesuffix(":")
            if why.startswith("Generating JSON schema"):
                why = f"JSON has no {_name_of(field.type)}"
            raise WorkerDefinitionError(
                f"{_where(function)}: {field.key} can't come in as JSON: {why}. Take a type that JSON can carry "
                "(numbers, text, dates, lists, dicts, structs), or the path of a file."
            ) from None
    schemas, components = _schemas([field.type for field in fields])
    properties: dict[str, Any] = {}
    for field, schema in zip(fields, schemas, strict=True):
        entry = dict(schema)
        if field.description:
            entry.setdefault("description", field.description)
        if field.default is not _MISSING:
            try:
                entry["default"] = to_json(field.default)
            except (TypeError, ValueError):
                pass  # known to Python only; the function has it
        properties[field.key] = entry
    schema = {
        "type": "object",
        "properties": properties,
        "required": [field.key for field in fields if field.required],
        "additionalProperties": False,
    }
    return _with_defs(schema, components)


def _with_defs(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """``schema`` with what its ``$ref`` point to; definitions inside a pydantic model's schema come up to the top."""
    defs: dict[str, Any] = dict(components)
    for part in [schema, *schema.get("properties", {}).values(), *components.values()]:
        _take_defs(part, defs)
    return {**schema, "$defs": defs} if defs else schema


def _take_defs(part: Any, defs: dict[str, Any]) -> None:
    if isinstance(part, dict):
        defs.update(part.pop("$defs", {}) if isinstance(part.get("$defs"), dict) else {})
        for child in list(part.values()):
            _take_defs(child, defs)
    elif isinstance(part, list):
        for child in part:
            _take_defs(child, defs)


def _name_of(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind)


def _schemas(kinds: list[Any], lenient: bool = False) -> tuple[list[Any], dict[str, Any]]:
    def hook(kind: type) -> dict[str, Any]:
        if issubclass(kind, pathlib.PurePath):
            return {"type": "string", "format": "path"}
        if is_pydantic(kind):
            return typing.cast(Any, kind).model_json_schema(ref_template="#/$defs/{model}")
        if lenient:
            return {"title": kind.__name__}
        raise NotImplementedError

    schemas, components = msgspec.json.schema_components(kinds, schema_hook=hook, ref_template=_REF)
    return list(schemas), components


def _try_out(kind: Any) -> None:
    """Raises TypeError for a type, mostly a union, that msgspec describes but doesn't convert to."""
    try:
        msgspec.convert(None, kind, dec_hook=decode)
    except msgspec.ValidationError:
        pass


def _json_type(kind: Any) -> Any:
    """``kind`` with what msgspec leaves out of a schema, or can't take: formats of moments, keys that are no text,
    ``object``, and ``str | Path`` (a text is a text)."""
    if kind is object:
        return Any
    if kind is datetime.datetime:
        return typing.Annotated[kind, msgspec.Meta(extra_json_schema={"format": "date-time"})]
    if kind is datetime.time:
        return typing.Annotated[kind, msgspec.Meta(extra_json_schema={"format": "time"})]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return typing.Annotated[(_json_type(arguments[0]), *kind.__metadata__)]
    if origin in (typing.Union, types.UnionType):
        if str in arguments:
            arguments = tuple(a for a in arguments if not (isinstance(a, type) and issubclass(a, pathlib.PurePath)))
        return functools.reduce(operator.or_, map(_json_type, arguments))
    if origin is None or origin is typing.Literal or not arguments or _is_struct(kind):
        return kind
    inner = tuple(a if a is Ellipsis or isinstance(a, list) else _json_type(a) for a in arguments)
    rebuilt = kind if inner == arguments else origin[inner]
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping) and len(arguments) == 2
    if is_mapping and arguments[0] not in (str, Any):
        (keys,), components = _schemas([inner[0]])
        if not components:
            return typing.Annotated[rebuilt, msgspec.Meta(extra_json_schema={"propertyNames": keys})]
    return rebuilt
