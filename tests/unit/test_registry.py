"""Task types: what ``@task`` makes of a function, how inputs are checked, and how workers are found and loaded."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sse_tasks.errors import InvalidInputError, WorkerDefinitionError, WorkerLoadError
from sse_tasks.registry import (
    InvalidOutputError,
    Registry,
    Worker,
    describe_entry_point,
    describe_file,
    fit_name,
    load_worker,
    merge,
    task,
    to_json,
    validate_input,
    worker_ref,
)
from sse_tasks.schema_check import fault_of, field_faults
from sse_tasks.types import TaskTypeInfo


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Address(msgspec.Struct, forbid_unknown_fields=True):
    city: str
    zip_code: int | None = None


class Circle(msgspec.Struct, tag=True):
    radius: float


class Square(msgspec.Struct, tag=True):
    side: float


class Node(msgspec.Struct):
    value: int
    children: list[Node] = []


class Point(NamedTuple):
    x: int
    y: int = 0


class ReviewsStruct(msgspec.Struct):
    url: str
    max_pages: int = 5
    out: Path = Path("reviews.csv")


@dataclasses.dataclass
class ReviewsDataclass:
    url: str
    max_pages: int = 5
    out: Path = Path("reviews.csv")


@attrs.define
class ReviewsAttrs:
    url: str
    max_pages: int = 5
    out: Path = Path("reviews.csv")


class ReviewsDict(TypedDict, total=False):
    url: str
    max_pages: int


@pytest.fixture
def imports(tmp_path: Path) -> Iterator[Path]:
    """A folder for worker files; what they load is unloaded afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("sse_tasks_worker_") or getattr(sys.modules[name], "__file__", "").startswith(str(tmp_path)):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


GREET = '''
from __future__ import annotations
from sse_tasks.registry import task

@task("greet")
def greet(name: str, times: int = 1) -> str:
    """Say hello.

    Loudly."""
    return f"hello {name} " * times
'''


# What @task makes of a function.


def test_bare_task_takes_the_function_s_name_with_dashes() -> None:
    """``@task`` above ``scrape_reviews`` is the task type ``scrape-reviews``."""
    @task
    def scrape_reviews() -> None: ...

    @task()
    def with_parentheses() -> None: ...

    assert scrape_reviews.name == "scrape-reviews"
    assert with_parentheses.name == "with-parentheses"


def test_a_worker_is_still_the_function() -> None:
    """It is called as before, and carries the function's name, doc and the function itself."""
    @task("add")
    def add(a: int, b: int = 2) -> int:
        """Add
        two numbers.

        And nothing else."""
        return a + b

    assert add(1) == 3
    assert add(1, b=5) == 6
    assert (add.__name__, add.__wrapped__(2, 2)) == ("add", 4)
    assert add.__doc__ is not None and add.__doc__.startswith("Add")
    assert add.doc == "Add two numbers."
    assert "add" in repr(add)


@pytest.mark.parametrize(
    ("name", "suggested"), [("My Task", "my-task"), ("scrape_reviews", "scrape-reviews"), ("-x", "x"), ("", "worker"),
                            ("ScrapeReviews", "scrape-reviews"), ("x" * 65, "x" * 64)]
)
def test_a_bad_name_is_refused_with_a_near_one(name: str, suggested: str) -> None:
    """The error names the function and a name that fits."""
    with pytest.raises(WorkerDefinitionError, match=f"your_task.*@task\\('{suggested}'\\)"):
        @task(name)
        def your_task() -> None: ...

    assert fit_name(name) == suggested


def test_the_context_is_a_parameter_annotated_as_one_or_first_and_named_ctx() -> None:
    """Its annotation is compared by name and never looked up; it is no field of the input."""
    @task
    def named(ctx, url: str) -> None: ...

    @task
    def annotated(url: str, c: TaskContext) -> None: ...  # noqa: F821

    @task
    async def asynchronous(c: sse_tasks.AsyncTaskContext, url: str) -> None: ...  # noqa: F821

    @task
    def without(url: str) -> None: ...

    workers = (named, annotated, asynchronous, without)
    assert [w.context_name for w in workers] == ["ctx", "c", "c", None]
    assert [w.takes_ctx for w in workers] == [True, True, True, False]
    assert [w.is_async for w in workers] == [False, False, True, False]
    assert all(list(w.input_schema()["properties"]) == ["url"] for w in workers)


def test_call_hands_over_context_and_arguments_wherever_they_stand() -> None:
    """Positional-only parameters too; an async function gives its coroutine."""
    @task
    def sync(ctx, a: int, /, b: int, *, c: int = 3) -> Any:
        return ctx, a, b, c

    @task
    async def asynchronous(a: int, c: AsyncTaskContext) -> Any:  # noqa: F821
        return a, c

    assert sync.call("ctx", sync.convert({"a": 1, "b": 2})) == ("ctx", 1, 2, 3)
    assert asyncio.run(asynchronous.call("ctx", asynchronous.convert({"a": 1}))) == (1, "ctx")


@pytest.mark.parametrize("star", ["*pages", "**options"])
def test_star_parameters_are_refused_with_what_to_write(star: str) -> None:
    """The error names the function, the parameter and an alternative."""
    scope: dict[str, Any] = {"task": task}
    with pytest.raises(WorkerDefinitionError, match=rf"your_task.*{star.replace('*', '.')}.*write one parameter"):
        exec(f"@task\ndef your_task({star}): ...", scope)


def test_what_can_t_be_a_worker_is_refused_where_it_is_defined() -> None:
    """A class, a generator, a type that JSON can't carry, one that isn't defined, a union that can't be told apart."""
    with pytest.raises(WorkerDefinitionError, match="above a function"):
        task(Address)
    with pytest.raises(WorkerDefinitionError, match=r"ctx\.emit"):
        @task
        def yields():
            yield 1
    with pytest.raises(WorkerDefinitionError, match=r"your_task.*number can't come in as JSON.*complex"):
        @task
        def your_task(number: complex) -> None: ...
    with pytest.raises(WorkerDefinitionError, match=r"the type of x, Nowhere.*above the function"):
        @task
        def missing(x: Nowhere) -> None: ...  # noqa: F821
    with pytest.raises(WorkerDefinitionError, match="can't come in as JSON"):
        @task
        def ambiguous(x: str | datetime.date) -> None: ...


@pytest.mark.parametrize(
    ("parameters", "is_refused"),
    [
        ("action: str, taskId: str", True),
        ("action: str, taskId", True),
        ("action: Literal['pause', 'x'], taskId: str | None = None, other: int = 1", True),
        ("action: str, taskId: Literal['a', 'b']", True),
        ("action: str, taskId: Annotated[str, msgspec.Meta(pattern='^x')]", True),
        ("action: str, taskId: int", False),
        ("action: Literal['go'], taskId: str", False),
        ("action: str, taskId: str, url: str", False),
        ("action: str, task_id: str", False),
        ("action: str", False),
    ],
)
def test_an_input_that_could_be_a_pause_or_resume_is_refused(parameters: str, is_refused: bool) -> None:
    """A body of exactly ``action`` and ``taskId`` is a control, so no task type may accept it as its input."""
    scope = {"task": task, "Literal": Literal, "Annotated": Annotated, "msgspec": msgspec}
    source = f"@task\ndef steer({parameters}): ..."
    if is_refused:
        with pytest.raises(WorkerDefinitionError, match=r"steer.*action"):
            exec(source, scope)
    else:
        exec(source, scope)


def test_a_struct_that_could_be_a_control_is_refused_by_its_names_in_json() -> None:
    """``rename="camel"`` makes a ``taskId`` of ``task_id``."""
    class Control(msgspec.Struct, rename="camel"):
        action: str
        task_id: str

    with pytest.raises(WorkerDefinitionError, match="action"):
        @task
        def steer(control: Control) -> None: ...


# Inputs and outputs.


def test_the_schema_has_the_parameters_their_defaults_and_descriptions() -> None:
    """Names as they are, unannotated is anything, ``= None`` allows null, nothing else is allowed in."""
    @task
    def your_task(
        ctx, url: Annotated[str, "the page"], pages: Annotated[int, msgspec.Meta(ge=1, description="how many")] = 5,
        anything=None, since: datetime.date = None, color: Color = Color.RED, out: Path = Path("a"),  # noqa: RUF013
    ) -> None: ...

    schema = your_task.input_schema()

    assert schema["required"] == ["url"] and schema["additionalProperties"] is False
    assert schema["properties"] == {
        "url": {"type": "string", "description": "the page"},
        "pages": {"type": "integer", "minimum": 1, "description": "how many", "default": 5},
        "anything": {"default": None},
        "since": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
        "color": {"$ref": "#/$defs/Color", "default": "red"},
        "out": {"type": "string", "format": "path", "default": "a"},
    }
    assert your_task.output_schema() is None


def test_values_arrive_in_the_types_of_the_signature() -> None:
    """Nested structs, enums, dates, paths, dicts with numbers as keys; what isn't given is left to the default."""
    @task
    def your_task(
        a: Address, shapes: list[Circle | Square], color: Color, day: datetime.date, at: datetime.datetime | None,
        out: Path | None, text_or_path: str | Path, counts: dict[int, float], pair: tuple[int, str], unset: int = 7,
        either: Literal["x", 1] = 1,
    ) -> None: ...

    arguments = your_task.convert({
        "a": {"city": "Bonn"}, "shapes": [{"type": "Circle", "radius": 1}, {"type": "Square", "side": 2.5}],
        "color": "blue", "day": "2026-11-24", "at": "2026-11-24T03:58:00Z", "out": "x/y", "text_or_path": "z",
        "counts": {"1": 2}, "pair": [1, "b"],
    })

    assert arguments == {
        "a": Address("Bonn"), "shapes": [Circle(1.0), Square(2.5)], "color": Color.BLUE,
        "day": datetime.date(2026, 11, 24), "at": datetime.datetime(2026, 11, 24, 3, 58, tzinfo=datetime.UTC),
        "out": Path("x/y"), "text_or_path": "z", "counts": {1: 2.0}, "pair": (1, "b"),
    }


@pytest.mark.parametrize("kind", [ReviewsStruct, ReviewsDataclass, ReviewsAttrs, ReviewsDict])
def test_one_parameter_of_a_struct_type_takes_the_whole_input(kind: Any) -> None:
    """Its fields are the input's; unknown ones are refused, defaults are filled in."""
    def your_task(ctx, reviews): ...

    your_task.__annotations__["reviews"] = kind
    worker = task(your_task)

    assert set(worker.input_schema()["properties"]) >= {"url", "max_pages"}
    result = worker.convert({"url": "u"})["reviews"]
    if kind is ReviewsDict:
        assert result == {"url": "u"}
    else:
        assert result == kind("u")
        assert worker.input_schema()["properties"]["out"]["default"] == "reviews.csv"
    with pytest.raises(InvalidInputError) as caught:
        worker.convert({"url": 1, "max_page": 2})
    assert [e["path"] for e in caught.value.errors] == ["max_page", "url"]


def test_a_struct_s_own_checks_are_told_as_a_fault_of_the_input() -> None:
    """What ``__post_init__`` refuses is an InvalidInputError with its words."""
    class Range(msgspec.Struct):
        first: int
        last: int

        def __post_init__(self) -> None:
            if self.first > self.last:
                raise ValueError("first must not come after last")

    @task
    def your_task(span: Range) -> None: ...

    with pytest.raises(InvalidInputError, match="first must not come after last"):
        your_task.convert({"first": 2, "last": 1})


def test_types_defined_in_a_function_work_although_annotations_are_text() -> None:
    """This module has ``from __future__ import annotations``, and no closure holds the type."""
    class Local(msgspec.Struct):
        x: int

    @task
    def your_task(a: list[Local], b: Local | None = None) -> Local:
        return a[0]

    assert your_task.convert({"a": [{"x": 1}]}) == {"a": [Local(1)]}
    your_task.check_output({"x": 1})


def test_every_wrong_field_is_listed_with_its_path_and_the_near_names() -> None:
    """Unknown, missing and wrong fields in one error, each with a sentence; the manager says the same."""
    @task
    def your_task(
        url: str, max_pages: int, color: Color, items: list[dict[str, float]], a: Address | None = None
    ) -> None: ...
    value = {"max_page": 1, "max_pages": 2.5, "color": "rad", "items": [{"price": "x"}], "a": {"city": 5}}

    with pytest.raises(InvalidInputError) as caught:
        your_task.convert(value)
    with pytest.raises(InvalidInputError) as by_schema:
        validate_input(your_task.info(), value)

    assert {e["path"]: e["message"] for e in caught.value.errors} == {
        "url": "is missing",
        "max_page": "is no field of this task type. Did you mean max_pages?",
        "max_pages": "must be a whole number, not 2.5",
        "color": 'must be "blue" or "red", not "rad". Did you mean red?',
        "items[0].price": 'must be a number, not "x"',
        "a.city": "must be text, not 5",
    }
    assert by_schema.value.errors == caught.value.errors
    assert str(caught.value).startswith("The input of your-task doesn't fit: url: is missing; ")


def test_a_pattern_is_told_by_its_example() -> None:
    """A pattern says little to a person: where the field has an example, that is what the text must be like."""
    schema = {"type": "string", "pattern": "^https?://"}

    told = [field_faults({"properties": {"url": each}}, {"url": "shop.example"})[0]["message"]
            for each in (schema, schema | {"examples": ["https://shop.example/"]})]

    assert told == ['must match ^https?://, not be "shop.example"',
                    'must be like https://shop.example/, not "shop.example"']


def test_of_very_many_choices_only_some_are_told() -> None:
    """The first ten and how many there are, and those that are near what was meant."""
    schema = {"enum": [f"station-{number:05}" for number in range(20_000)]}

    for one in (schema, {"anyOf": [schema, {"type": "null"}]}):
        fault = fault_of(one, "station-1234", one)
        assert fault is not None
        assert fault["message"].startswith('must be one of "station-00000", "station-00001", ')
        assert '"station-00009", … (20,000 in all), not "station-1234". Did you mean station-123' in fault["message"]
        assert len(fault["message"]) < 400
    assert fault_of(schema, "station-12345", schema) is None


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_an_input_that_is_no_object_is_refused(value: Any) -> None:
    """By the runner and by the manager."""
    @task
    def your_task() -> None: ...

    for check in (your_task.convert, lambda v: validate_input(your_task.info(), v)):
        with pytest.raises(InvalidInputError, match="must be an object"):
            check(value)


def test_a_tagged_union_tells_the_fault_of_the_member_that_was_meant() -> None:
    """By its tag; a tag that is missing or unknown is told itself."""
    @task
    def your_task(shape: Circle | Square) -> None: ...

    for value, path, words in (
        ({"type": "Circle", "radius": "x"}, "shape.radius", "must be a number"),
        ({"type": "Oval"}, "shape.type", 'must be "Circle" or "Square", not "Oval"'),
        ({"radius": 1}, "shape.type", "is missing"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            validate_input(your_task.info(), {"shape": value})
        [fault] = caught.value.errors
        assert fault["path"] == path and words in fault["message"]


def test_the_manager_refuses_a_task_type_that_could_not_be_described() -> None:
    """There is no schema to check by; the reason is told."""
    with pytest.raises(WorkerLoadError, match="SyntaxError"):
        validate_input(TaskTypeInfo(name="x", source="/x.py", error="SyntaxError: no"), {})


def test_an_input_nested_without_end_is_refused_not_crashed_on() -> None:
    """A recursive type and a body nested far too deeply give an error for a person."""
    @task
    def your_task(node: Node) -> None: ...
    value: Any = {"value": 1}
    for _ in range(5000):
        value = {"value": 1, "children": [value]}

    with pytest.raises(InvalidInputError, match="nested too deeply"):
        validate_input(your_task.info(), value)


def test_pydantic_models_are_accepted_without_being_imported_here() -> None:
    """As the whole input and inside another type, with pydantic's own words for what it refuses."""
    import pydantic


    class Inner(pydantic.BaseModel):
        n: int

    class Model(pydantic.BaseModel):
        url: str
        inner: Inner = Inner(n=1)

        @pydantic.field_validator("url")
        @classmethod
        def is_web(cls, value: str) -> str:
            if not value.startswith("http"):
                raise ValueError("must be a web address")
            return value

    @task
    def whole(model: Model) -> None: ...

    @task
    def part(model: Model, x: int = 1) -> Model: ...

    for worker in (whole, part):
        value = {"url": "http://x", "inner": {"n": 2}}
        value = value if worker is whole else {"model": value}
        validate_input(worker.info(), value)
        assert worker.convert(value)["model"] == Model(url="http://x", inner=Inner(n=2))
    with pytest.raises(InvalidInputError, match=r"must be a web address") as caught:
        whole.convert({"url": "ftp", "inner": {"n": "x"}})
    assert [e["path"] for e in caught.value.errors] == ["url", "inner.n"]
    with pytest.raises(InvalidInputError, match=r"inner\.n: must be a whole number"):
        validate_input(whole.info(), {"url": "http", "inner": {"n": "x"}})
    with pytest.raises(InvalidInputError, match="other"):
        whole.convert({"url": "http", "other": 1})
    part.check_output(Model(url="http"))
    assert to_json(Model(url="http")) == {"url": "http", "inner": {"n": 1}}


def test_an_output_is_checked_only_where_its_type_is_declared() -> None:
    """A dict passes for a struct, and a struct for itself; numpy's numbers are numbers."""
    import numpy


    @task
    def undeclared():
        pass

    @task
    def declared() -> ReviewsDataclass: ...

    @task
    def numbers() -> dict[str, list[float]]: ...

    undeclared.check_output(object())
    declared.check_output({"url": "u", "max_pages": 1, "out": "x"})
    declared.check_output(ReviewsDataclass("u"))
    numbers.check_output({"a": [1, numpy.float64(2.5), numpy.int64(3)]})
    with pytest.raises(InvalidOutputError, match="url: is missing"):
        declared.check_output({"max_pages": 1})
    with pytest.raises(InvalidOutputError, match=r"a\[1\]: must be a number"):
        numbers.check_output({"a": [1, "x"]})


def test_an_output_type_that_json_hasn_t_is_checked_by_its_class() -> None:
    """A function may declare that it returns a DataFrame, or the like."""
    class Frame: ...

    @task
    def your_task() -> Frame: ...

    your_task.check_output(Frame())
    assert your_task.output_schema() == {"title": "Frame"}
    with pytest.raises(InvalidOutputError, match="Frame"):
        your_task.check_output({"a": 1})


def test_the_input_type_converts_an_input() -> None:
    """A struct made from the parameters where none is declared."""
    @task
    def your_task(url: str, tags: list[str] = ["a"], out: Path = Path("b")) -> None: ...  # noqa: B006

    made = msgspec.convert({"url": "x"}, your_task.input_type)

    assert (made.url, made.tags, made.out) == ("x", ["a"], Path("b"))


# The manager's check and the runner's agree.

TYPES: list[Any] = [
    int, float, str, bool, None, Any, bytes, datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
    uuid.UUID, decimal.Decimal, Color, Level, Address, Node, Point, Path, Circle | Square, Literal["a", 1, None],
    int | None, int | str | None, list[int] | dict[str, int] | bool, list[datetime.datetime], set[str],
    tuple[int, str], tuple[float, ...], dict[str, int], dict[int, str], dict[Literal["a", "b"], int],
    dict[str, list[Address | None]], Annotated[int, msgspec.Meta(ge=1, lt=5)],
    Annotated[float, msgspec.Meta(gt=0.5, le=9)], Annotated[str, msgspec.Meta(min_length=1, max_length=2)],
    Annotated[str, msgspec.Meta(pattern="^a.*b$")], Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)],
    Annotated[int, msgspec.Meta(multiple_of=3)],
]


def _worker_of(kind: Any) -> Worker[..., Any]:
    def your_task(value): ...

    your_task.__annotations__["value"] = kind
    if any(kind is struct for struct in (Address, Node)):  # else it would be the whole input
        your_task.__annotations__["value"] = Annotated[kind, msgspec.Meta(description="nested")] | None
    return Worker(your_task, "your-task")


WORKERS = [_worker_of(kind) for kind in TYPES]

texts = st.one_of(
    st.text(max_size=4),
    st.sampled_from(["red", "blue", "a", "b", "ab", "1", "-1", "1.5", "2026-11-24", "2026-11-24T03:58:00Z", "03:58:00",
                     "2026-13-24", "PT5S", "P1D", "aGk=", "aGk", "3.5", "NaN", str(uuid.UUID(int=5)), "Circle", "x/y"]),
)
numbers = st.one_of(
    st.integers(-3, 10), st.sampled_from([2**63, -(2**70), 10**400]), st.floats(-3, 10),
    st.sampled_from([0.0, 1.0, 2.0, 3.0, 1e300]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
keys = st.sampled_from(["value", "children", "city", "zip_code", "type", "radius", "side", "a", "b", "1", "-2", "x"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)
near_values = st.one_of(
    st.fixed_dictionaries({"city": scalars}, optional={"zip_code": scalars, "x": scalars}),
    st.fixed_dictionaries({"type": st.sampled_from(["Circle", "Square", "Oval"])}, optional={"radius": numbers,
                                                                                         "side": scalars}),
    st.fixed_dictionaries({"value": numbers},
                          optional={"children": st.lists(st.fixed_dictionaries({"value": scalars}))}),
)


@pytest.mark.parametrize("worker", WORKERS, ids=[str(kind) for kind in TYPES])
@settings(max_examples=60, deadline=None)
@given(value=st.one_of(values, near_values))
def test_manager_and_runner_accept_and_refuse_the_same(worker: Worker[..., Any], value: Any) -> None:
    """Of the same type, the check by JSON Schema alone and the conversion to the real types agree on every value."""
    def accepts(check: Any) -> bool:
        try:
            check({"value": value})
        except InvalidInputError as error:
            assert all(e["message"] for e in error.errors)
            return False
        return True

    info = worker.info()

    assert accepts(lambda v: validate_input(info, v)) == accepts(worker.convert)


# Where workers are found.


def test_a_registry_lists_worker_files_in_the_order_of_its_folders(tmp_path: Path) -> None:
    """``*.py``, not those that begin with ``_``; a folder that isn't there, or stands twice, does no harm."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        for name in ("b.py", "a.py", "_private.py", ".hidden.py", "notes.txt"):
            write(folder, name, "raise SystemExit('never imported')")

    registry = Registry([second, tmp_path / "nowhere", first, second])

    assert registry.files() == [second / "a.py", second / "b.py", first / "a.py", first / "b.py"]
    assert ("scrape-reviews", "sse_tasks_workers.scrape_reviews") in registry.entry_points()


def test_a_file_says_which_task_types_it_has(imports: Path) -> None:
    """Their docs, schemas and where they come from; a file without a worker has none."""
    path = write(imports, "greet.py", GREET)

    [info] = describe_file(path)

    assert (info.name, info.doc, info.source, info.error) == ("greet", "Say hello.", str(path), None)
    assert info.input is not None and info.input["required"] == ["name"]
    assert info.output == {"type": "string"}
    assert worker_ref(info) == {"file": str(path)}
    assert describe_file(write(imports, "plain.py", "x = 1")) == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found' (My_Shop.py:1)"),
        ("x = 1\ndef (", "SyntaxError: invalid syntax (My_Shop.py:2)"),
        ("def f():\n    return 1 / 0\nf()", "ZeroDivisionError: division by zero (My_Shop.py:2)"),
        ("raise SystemExit(3)", "SystemExit: 3 (My_Shop.py:1)"),
        ("from sse_tasks.registry import task\n@task\ndef f(*a): ...", "WorkerDefinitionError"),
        ("x = '\0'", "null bytes"),  # a SyntaxError, in older patch releases a ValueError
    ],
)
def test_a_broken_file_is_listed_with_its_error(imports: Path, source: str, told: str) -> None:
    """Under the file's name made to fit, in one sentence with the place; describing never raises."""
    path = write(imports, "My_Shop.py", source)

    [info] = describe_file(path)

    assert info.name == "my-shop" and info.input is None
    assert info.error is not None and told in info.error and "\n" not in info.error
    with pytest.raises(WorkerLoadError, match="my-shop can't be loaded"):
        load_worker({"file": str(path)}, "my-shop")


def test_a_file_that_is_gone_and_a_module_that_is_missing_are_told_likewise(imports: Path) -> None:
    """For entry points the entry point's name stands for it."""
    [gone] = describe_file(imports / "gone.py")
    [missing] = describe_entry_point("Shop", "nowhere.to_be_found")

    assert gone.error is not None and "FileNotFoundError" in gone.error
    assert (missing.name, missing.source) == ("shop", "nowhere.to_be_found")
    assert missing.error is not None and "No module named 'nowhere'" in missing.error


def test_an_installed_module_says_its_task_types(imports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its worker is loaded by the module's name."""
    write(imports, "installed_greeting.py", GREET)
    monkeypatch.syspath_prepend(imports)

    [info] = describe_entry_point("greet", "installed_greeting")

    assert worker_ref(info) == {"module": "installed_greeting"}
    assert load_worker(worker_ref(info), "greet").call(None, {"name": "x"}) == "hello x "


def test_a_file_s_siblings_can_be_imported_and_keep_their_own_workers(imports: Path) -> None:
    """A worker imported from a neighbouring file is listed once: by that file."""
    write(imports, "sibling_shop.py", GREET + "PRICE = 5\n")
    path = write(imports, "shop_main.py", """
from sibling_shop import PRICE, greet
from sse_tasks.registry import task

@task
def price() -> int:
    return PRICE
""")

    assert [info.name for info in describe_file(path)] == ["price"]
    assert load_worker({"file": str(path)}, "price")() == 5


def test_an_edited_file_counts_from_the_next_load_on(imports: Path) -> None:
    """Even if its size and its time in whole seconds stay the same."""
    path = write(imports, "edited.py", GREET)
    assert load_worker({"file": str(path)}, "greet")(name="x") == "hello x "

    write(imports, "edited.py", GREET.replace("hello", "howdy"))

    assert load_worker({"file": str(path)}, "greet")(name="x") == "howdy x "


def test_a_worker_that_the_file_hasn_t_is_told_with_the_near_names(imports: Path) -> None:
    """The task type may have been renamed since the task was started."""
    path = write(imports, "greet.py", GREET)

    with pytest.raises(WorkerLoadError, match=r"no such task type\. Did you mean greet\?"):
        load_worker({"file": str(path)}, "great")
    with pytest.raises(WorkerLoadError, match="not url"):
        load_worker({"url": "x"}, "great")


NOTEBOOK = '''
import dataclasses, enum, msgspec
from sse_tasks.registry import task
from sse_tasks.worker_pickle import dump_worker

class Color(enum.Enum):
    RED = "red"

class Inner(msgspec.Struct, forbid_unknown_fields=True):
    n: int = 1
    tags: list[str] = []

class Struct(Inner, rename="camel"):
    max_pages: int = 5
    color: Color = Color.RED

    def __post_init__(self):
        if self.max_pages < 0:
            raise ValueError("no negative pages")

    def double(self):
        return [type(self) is Struct, 2 * self.max_pages]

@dataclasses.dataclass
class Pair:
    struct: Struct
    b: int = 2

@task
def add(pair: Pair) -> int:
    return [pair.b, pair.struct.double(), pair.struct.tags, type(pair.struct) is Struct]

def double(x: int) -> int:
    return 2 * x

add.convert({"struct": {}})
open(FOLDER + "/add", "wb").write(dump_worker(add))
open(FOLDER + "/double", "wb").write(dump_worker(double))
add.convert({"struct": {}})
'''


def test_a_function_and_a_worker_come_back_from_a_pickle(imports: Path) -> None:
    """By value in another process that has no such module, with the types that stand in the same notebook."""
    code = """
import sys
from sse_tasks.errors import InvalidInputError
from sse_tasks.registry import load_worker
add = load_worker({"pickle": sys.argv[1] + "/add"}, "add")
double = load_worker({"pickle": sys.argv[1] + "/double"}, "double-it")
print(add.call(None, add.convert({"struct": {"maxPages": 4}})))
print(double.name, double.call(None, double.convert({"x": 4})))
for wrong in ({"maxPages": -1}, {"max_pages": 1}, {"color": "blue"}):
    try:
        add.convert({"struct": wrong})
    except InvalidInputError as error:
        print(error)
"""

    subprocess.run([sys.executable, "-c", f"FOLDER = {str(imports)!r}\n{NOTEBOOK}"], timeout=60, check=True)
    done = subprocess.run([sys.executable, "-c", code, str(imports)], capture_output=True, text=True, timeout=60)

    lines = done.stdout.splitlines()
    assert lines[:2] == ["[2, [True, 8], [], True]", "double-it 8"], done.stderr
    assert "no negative pages" in lines[2] and "struct.max_pages" in lines[3] and "struct.color" in lines[4]
    with pytest.raises(WorkerLoadError, match="FileNotFoundError"):
        load_worker({"pickle": str(imports / "gone")}, "add")


def test_of_two_task_types_of_one_name_the_first_counts() -> None:
    """In the order of folders, then entry points."""
    first, second, other = (TaskTypeInfo(name=n, source=s) for n, s in (("a", "1"), ("a", "2"), ("b", "3")))

    assert merge([first, second, other]) == {"a": first, "b": other}


def test_the_registry_is_light_to_import() -> None:
    """No worker code, no validator, no front end: a manager starts in every kernel and shell."""
    code = ("import sys, sse_tasks.registry, sse_tasks.options; "
            "print([m for m in ('pandas', 'IPython', 'pydantic', 'jsonschema', 'cloudpickle', 'attrs', 'tornado',"
            " 'playwright', 'sse_tasks.handle') if m in sys.modules])")

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "[]\n"
