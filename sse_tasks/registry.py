"""Task types: ``@task``, where they are found, what they say of themselves, and how a worker is loaded.

What a manager uses (``Registry``, ``merge``, ``validate_input``) imports no worker code. What does import it
(``describe_file``, ``describe_entry_point``, ``load_worker``) is for a process that is thrown away afterwards: the
module stays loaded there, and its folder on ``sys.path``.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import pathlib
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, overload

import msgspec

from .conversion import FaultsError, to_json
from .errors import InvalidInputError, WorkerDefinitionError, WorkerLoadError, near_names
from .importing import importing
from .schema_check import field_faults, key_faults, options_of
from .schemas import InvalidOutputError, Shape, context_parameter, input_shape, item_schema, output_shape
from .types import TaskTypeInfo, is_task_type
from .worker.processes import MARK

__all__ = [
    "ENTRY_POINT_GROUP",
    "InvalidOutputError",
    "Registry",
    "Worker",
    "describe_entry_point",
    "describe_file",
    "fit_name",
    "load_worker",
    "merge",
    "task",
    "to_json",
    "validate_input",
    "worker_ref",
]

ENTRY_POINT_GROUP = "sse_tasks.workers"

P = ParamSpec("P")
R = TypeVar("R")


class Worker(Generic[P, R]):
    """A function as a task type. Still callable as the function that it wraps.

    ``name`` is the task type, ``doc`` the docstring's first paragraph, ``context_name`` the parameter that takes the
    context, or None.
    """

    __name__: str
    __wrapped__: Callable[P, R]

    def __init__(self, function: Callable[P, R], name: str | None = None, names: Mapping[str, Any] = {},
                 items: Any = None) -> None:
        """``names`` are those of the place of definition, for annotations that are text; ``items`` is the type of what
        the function emits, if it says so.

        Raises WorkerDefinitionError for a function that can't work as a task.
        """
        if not callable(function) or isinstance(function, type):
            raise WorkerDefinitionError(f"@task goes above a function, not above {function!r}.")
        what = getattr(function, "__name__", type(function).__name__)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise WorkerDefinitionError(f"{what} yields, but a worker returns: hand partial results to ctx.emit(…).")
        functools.update_wrapper(self, function)
        self.function = function
        self.name = what.replace("_", "-").strip("-") if name is None else name
        if not is_task_type(self.name):
            raise WorkerDefinitionError(
                f"{what} can't be the task type {self.name!r}: that takes up to 64 of a-z, 0-9 and -, and begins with "
                f"a letter or digit. Write @task({fit_name(self.name)!r})."
            )
        self.doc = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
        self.is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
        self.context_name = context_parameter(inspect.signature(function))
        self._input: Shape = input_shape(function, names)
        self._output = output_shape(function, names)
        self._items = None if items is None else item_schema(function, items)
        if _accepts_control(self._input.schema):
            raise WorkerDefinitionError(
                f'{what} takes an input {{"action": "pause", "taskId": "…"}}, which is how a task is paused and '
                "resumed over HTTP: rename its field action or taskId."
            )

    def __repr__(self) -> str:
        return f"<Worker {self.name!r} of {self.function.__module__}.{self.function.__qualname__}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here and now. One that takes a ``ctx`` and is given none gets one that prints; an ``async def`` is run
        to its end then, in a running loop too. Inside a task it is the plain function."""
        names = list(inspect.signature(self.function).parameters)
        is_given = self.context_name in kwargs or (self.context_name in names[:len(args)])
        if is_given or MARK in os.environ:
            return self.function(*args, **kwargs)
        from .inline import run_inline

        result: R = run_inline(self, args, dict(kwargs))
        return result

    def start(self, /, **input: Any) -> Any:
        """Start it as a task, in a process of its own; returns its handle."""
        from .use_task import start_worker

        return start_worker(self, input)

    @property
    def takes_ctx(self) -> bool:
        return self.context_name is not None

    @property
    def input_type(self) -> Any:
        """A type that msgspec converts an input to: the declared struct, or one made from the parameters."""
        if self._input.struct is not None:
            return self._input.struct
        fields: list[Any] = []
        for field in self._input.fields:
            if field.required:
                fields.append((field.key, field.type))
            else:
                default = field.default
                fields.append((field.key, field.type, msgspec.field(default_factory=functools.partial(_same, default))))
        name = re.sub(r"\W", "_", self.name.title())
        return msgspec.defstruct(f"{name}Input", fields, kw_only=True, forbid_unknown_fields=True)

    @property
    def output_type(self) -> Any | None:
        return None if self._output is None else self._output.type

    def input_schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the input; its fields are named as the parameters."""
        return dict(self._input.schema)

    def output_schema(self) -> dict[str, Any] | None:
        """JSON Schema of the output; None where no output type is declared."""
        return None if self._output is None else dict(self._output.schema)

    def item_schema(self) -> dict[str, Any] | None:
        """JSON Schema of a partial result; None where no type of items is declared."""
        return self._items

    def convert(self, input: Any) -> dict[str, Any]:
        """The arguments, by parameter name and in the types of the signature, without the context: for ``call``.

        Raises InvalidInputError that lists each wrong top-level field.
        """
        try:
            return self._input.convert(input)
        except FaultsError as error:
            raise InvalidInputError(self.name, error.faults) from None

    def call(self, ctx: Any, arguments: Mapping[str, Any]) -> Any:
        """Call the function with what ``convert`` gave, and the context if it takes one. Async: the coroutine."""
        values = dict(arguments)
        if self.context_name is not None:
            values[self.context_name] = ctx
        positional = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            if parameter.kind is not parameter.POSITIONAL_ONLY or name not in values:
                break
            positional.append(values.pop(name))
        return self.function(*positional, **values)  # type: ignore[call-arg, arg-type]

    def check_output(self, value: Any) -> None:
        """Raises InvalidOutputError where an output type is declared and ``value`` doesn't fit it."""
        if self._output is not None:
            self._output.check(value)

    def info(self, source: str = "") -> TaskTypeInfo:
        """What the task type says of itself; ``source`` is where it comes from."""
        return TaskTypeInfo(name=self.name, doc=self.doc, input=self.input_schema(), output=self.output_schema(),
                            items=self.item_schema(), source=source)


def _same(value: Any) -> Any:
    return value


@overload
def task(function: Callable[P, R], /) -> Worker[P, R]: ...
@overload
def task(name: str | None = None, /, *, items: Any = None) -> Callable[[Callable[P, R]], Worker[P, R]]: ...
def task(target: Any = None, /, *, items: Any = None) -> Any:
    """Make a function a task type: ``@task("your-task")``, or ``@task`` for the function's name with dashes.

    The parameters, or one parameter of a struct type, are the input; the return annotation is the output. ``items``
    (``@task("your-task", items=Review)``) is the type of what it emits: a struct, dataclass, TypedDict or pydantic
    model, whose fields give ``t.to_frame()`` its columns and their dtypes. Raises WorkerDefinitionError for what can't
    work.
    """
    # Types may be local to the function that defines the worker, and their annotations text: no closure has them then.
    names = dict(sys._getframe(1).f_locals)
    if target is None or isinstance(target, str):
        return lambda function: Worker(function, target, names, items)
    return Worker(target, None, names, items)


def fit_name(text: str) -> str:
    """``text`` made to fit the pattern of task types: ``My Task`` becomes ``my-task``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", text)
    return re.sub(r"[^a-z0-9]+", "-", spaced.lower()).strip("-")[:64].rstrip("-") or "worker"


def _accepts_control(schema: Mapping[str, Any]) -> bool:
    """Whether an input may be exactly a control's body, ``{"action": "pause" | "resume", "taskId": str}``."""
    for action in ("pause", "resume"):
        body = {"action": action, "taskId": "0" * 26}
        if key_faults(schema, body):
            return False  # a field is missing or unknown, whatever the values
        faults = field_faults(schema, body)
        # A pattern or a choice may refuse this id and take another: any text may come as taskId.
        if not any(fault["path"] == "action" for fault in faults) and _takes_text(schema, "taskId"):
            return True
    return False


def _takes_text(schema: Mapping[str, Any], name: str) -> bool:
    field = schema.get("properties", {}).get(name, schema.get("additionalProperties", True))
    for option in options_of(field, schema):
        choices = option.get("enum", [option["const"]] if "const" in option else None)
        if choices is not None:
            if any(isinstance(choice, str) for choice in choices):
                return True
        elif option.get("type", "string") == "string" or "string" in option.get("type", ()):
            return True
    return False


class Registry:
    """Where task types are looked for: ``folders`` in order, then the entry points. Imports none of them."""

    def __init__(self, folders: Sequence[Path | str] = ()) -> None:
        self.folders = tuple(dict.fromkeys(Path(folder).expanduser().absolute() for folder in folders))

    def files(self) -> list[Path]:
        """The worker files: ``*.py`` that don't begin with ``_`` or ``.``; a folder that isn't there has none."""
        found: list[Path] = []
        for folder in self.folders:
            try:
                files = sorted(path for path in folder.iterdir() if path.suffix == ".py" and path.is_file())
            except OSError:
                continue
            found += [path for path in files if not path.name.startswith(("_", "."))]
        return found

    def entry_points(self) -> list[tuple[str, str]]:
        """(name, module) of the installed packages' entry points, sorted by name."""
        import importlib.metadata  # 15 ms, mostly of email: only who looks for task types pays them

        found = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
        return sorted({(point.name, point.module) for point in found})


def merge(infos: Iterable[TaskTypeInfo]) -> dict[str, TaskTypeInfo]:
    """By name; of several of one name the first counts, working or not: what is meant to replace a task type and
    is broken should say so."""
    merged: dict[str, TaskTypeInfo] = {}
    for info in infos:
        merged.setdefault(info.name, info)
    return merged


def worker_ref(info: TaskTypeInfo) -> dict[str, str]:
    """Where ``load_worker`` finds the worker that ``info`` came from."""
    kind = "file" if pathlib.PurePath(info.source).is_absolute() else "module"
    return {kind: info.source}


def validate_input(info: TaskTypeInfo, input: Any) -> None:
    """Check an input by the schema alone. Raises InvalidInputError that lists each wrong top-level field, and
    WorkerLoadError for a task type that couldn't be described."""
    if info.input is None:
        raise WorkerLoadError(info.name, info.source, info.error or "it says nothing of its input")
    faults = field_faults(info.input, input)
    if faults:
        raise InvalidInputError(info.name, faults)


def describe_file(path: Path | str) -> list[TaskTypeInfo]:
    """The task types in a file; none if it defines no worker. Imports it; what goes wrong is in ``error``."""
    path = Path(path).absolute()
    try:
        workers = _workers_of(_import_file(path))
    except BaseException as error:  # KeyboardInterrupt too: it is the file's own, nobody interrupts this process
        return [TaskTypeInfo(name=fit_name(path.stem), source=str(path), error=_cause(error, path))]
    return [worker.info(str(path)) for worker in workers if not _is_of_sibling(worker, path)]


def describe_entry_point(name: str, module: str) -> list[TaskTypeInfo]:
    """The task types of an installed module, likewise; ``name`` stands for it if it can't be imported."""
    try:
        workers = _workers_of(_import_module(module))
    except BaseException as error:
        return [TaskTypeInfo(name=fit_name(name), source=module, error=_cause(error))]
    return [worker.info(module) for worker in workers]


def load_worker(ref: Mapping[str, str], task_type: str) -> Worker[..., Any]:
    """The worker of a task type: from ``{"file": path}``, ``{"module": name}`` or ``{"pickle": path}`` (a function or
    Worker that cloudpickle wrote). Raises WorkerLoadError."""
    kind, source = next(iter(ref.items()), ("nothing", "nowhere"))
    try:
        match kind:
            case "file":
                workers = _workers_of(_import_file(Path(source)))
            case "module":
                workers = _workers_of(_import_module(source))
            case "pickle":
                workers = [_unpickled(Path(source), task_type)]
            case _:
                raise WorkerLoadError(task_type, source, f"a worker comes from a file, module or pickle, not {kind}")
    except WorkerLoadError:
        raise
    except (Exception, SystemExit) as error:
        raise WorkerLoadError(task_type, source, _cause(error, Path(source) if kind == "file" else None)) from error
    for worker in workers:
        if worker.name == task_type:
            return worker
    names = [worker.name for worker in workers]
    raise WorkerLoadError(task_type, source, f"it defines no such task type.{near_names(task_type, names)}")


def _import_file(path: Path) -> types.ModuleType:
    """Run a worker file as a module, its folder first on ``sys.path`` for its siblings.

    Compiled from the source each time: the bytecode cache tells versions apart by size and whole seconds only, and
    an edited file has to count at once.
    """
    folder = str(path.parent)
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    sys.modules[name] = module  # before it runs: dataclasses and annotations look themselves up there
    try:
        with importing():
            exec(code, module.__dict__)
    except BaseException:  # whatever it was goes on: only the half-made module is taken back
        del sys.modules[name]
        raise
    return module


def _import_module(name: str) -> types.ModuleType:
    with importing():
        return importlib.import_module(name)


def _module_name(path: Path) -> str:
    """The file's own name where that is free and ``import`` finds the file by it, as do the processes that
    ``multiprocessing`` spawns: what they are to run is sent by its module's name. Else one that nobody has."""
    if "." not in path.stem and path.stem not in sys.modules:
        found = importlib.util.find_spec(path.stem)
        if found is not None and found.origin == str(path):
            return path.stem
    digest = hashlib.blake2b(str(path).encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    return f"sse_tasks_worker_{re.sub(r'[^0-9a-zA-Z]', '_', path.stem)}_{digest}"


def _workers_of(module: types.ModuleType) -> list[Worker[..., Any]]:
    found = {id(value): value for value in vars(module).values() if isinstance(value, Worker)}
    return list(found.values())


def _is_of_sibling(worker: Worker[..., Any], path: Path) -> bool:
    """Whether a file only imported the worker from its neighbour, which is listed itself."""
    code = getattr(inspect.unwrap(worker.function), "__code__", None)
    if code is None:
        return False
    defined = Path(code.co_filename)
    return defined != path and defined.parent == path.parent and not defined.name.startswith("_")


def _unpickled(path: Path, task_type: str) -> Worker[..., Any]:
    import cloudpickle

    with path.open("rb") as file, importing():
        loaded = cloudpickle.load(file)
    return loaded if isinstance(loaded, Worker) else Worker(loaded, task_type)


def _cause(error: BaseException, path: Path | None = None) -> str:
    """``ModuleNotFoundError: No module named 'foo' (your_task.py:3)``; the worker's own line where there is one."""
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if path is not None and frame.filename == str(path)]
    foreign = [f for f in frames if f.filename != __file__ and not f.filename.startswith("<frozen importlib")]
    place = (own or foreign)[-1:]
    where = f" ({Path(place[0].filename).name}:{place[0].lineno})" if place else ""
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"
