"""``%start_task``'s line: its words, its options by the task type's schema, help and completion, and the way back."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sse_tasks.errors import BadParameterError, InvalidInputError, TaskTypeNotFoundError, WorkerLoadError
from sse_tasks.option_help import complete, help_text, types_text
from sse_tasks.options import StartRequest, parse_start_line, start_line
from sse_tasks.registry import task, validate_input
from sse_tasks.types import TaskTypeInfo


class Address(msgspec.Struct, forbid_unknown_fields=True):
    city: str
    zip_code: int | None = None


@task
def scrape_reviews(
    ctx, url: Annotated[str, "the page of the product"], max_pages: int = 5, headless: bool = True,
    tags: list[str] = [], color: Literal["red", "blue"] = "red", address: Address | None = None,  # noqa: B006
    since: datetime.date | None = None, ratio: float | int | str = 0.5, matrix: list[list[int]] = [],  # noqa: B006
    counts: dict[str, int] = {}, size: tuple[int, str] = (1, "a"), anything=None, name: str = "x",  # noqa: B006
) -> None:
    """Scrape the reviews of a shop."""


INFO = scrape_reviews.info("/shop/scrape_reviews.py")
BROKEN = TaskTypeInfo(name="broken", source="/shop/broken.py", error="SyntaxError: invalid syntax (broken.py:1)")


def info_of(name: str) -> TaskTypeInfo:
    known = {info.name: info for info in (INFO, BROKEN)}
    if name not in known:
        raise TaskTypeNotFoundError(name, known)
    return known[name]


def parse(line: str, **namespace: Any) -> StartRequest:
    return parse_start_line(line, info_of, namespace)


def input_of(options: str, **namespace: Any) -> dict[str, Any]:
    return parse(f"scrape-reviews {options}", **namespace).input


# Options and values.


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--url https://shop.example/kettle?a=1&b=2", {"url": "https://shop.example/kettle?a=1&b=2"}),
        ("--url=https://x", {"url": "https://x"}),
        ("--url 'a  b'", {"url": "a  b"}),
        ('--url "a \\"b\\""', {"url": 'a "b"'}),
        ("--url a\\ b", {"url": "a b"}),
        ("--url 007", {"url": "007"}),
        ("--url=--dashes", {"url": "--dashes"}),
        ("--url=", {"url": ""}),
        ("--max-pages 3", {"max_pages": 3}),
        ("--max_pages=3", {"max_pages": 3}),
        ("--max-pages -3", {"max_pages": -3}),
        ("--headless", {"headless": True}),
        ("--no-headless", {"headless": False}),
        ("--headless=false --url x", {"headless": False, "url": "x"}),
        ("--headless true", {"headless": True}),
        ("--tags a --tags 'b c'", {"tags": ["a", "b c"]}),
        ("--tags a", {"tags": ["a"]}),
        ("--tags 5", {"tags": ["5"]}),
        ('--tags ["a", "b c"]', {"tags": ["a", "b c"]}),
        ("--tags []", {"tags": []}),
        ("--color blue", {"color": "blue"}),
        ("--address.city Bonn --address.zip-code 53111", {"address": {"city": "Bonn", "zip_code": 53111}}),
        ('--address {"city": "Bad Honnef"}', {"address": {"city": "Bad Honnef"}}),
        ("--address null", {"address": None}),
        ("--counts.a-b 3", {"counts": {"a-b": 3}}),
        ("--since 2026-11-24", {"since": "2026-11-24"}),
        ("--ratio 3", {"ratio": 3}),
        ("--ratio 2.5e3", {"ratio": 2500.0}),
        ("--ratio half", {"ratio": "half"}),
        ("--matrix [1,2] --matrix [3]", {"matrix": [[1, 2], [3]]}),
        ("--matrix [1,2]", {"matrix": [[1, 2]]}),
        ("--matrix [[1,2],[3]]", {"matrix": [[1, 2], [3]]}),
        ("--size 1 --size 2", {"size": [1, "2"]}),
        ("--anything 5", {"anything": 5}),
        ("--anything true", {"anything": True}),
        ("--anything text", {"anything": "text"}),
        ('{"url": "a b", "max_pages": 2}', {"url": "a b", "max_pages": 2}),
        ('{"url": "a b", "max_pages": 2} --max-pages 3', {"url": "a b", "max_pages": 3}),
        ("--input {\"url\": \"$a {b} c\"}", {"url": "$a {b} c"}),
        ("'{\"url\": \"a\"}'", {"url": "a"}),
        ('{"address": {"city": "a"}} --address.zip_code 5', {"address": {"city": "a", "zip_code": 5}}),
    ],
)
def test_an_option_is_read_as_its_field_s_type(options: str, expected: dict[str, Any]) -> None:
    """Words are split as in a shell, values typed by the schema, and a literal JSON object survives."""
    found = input_of(options)

    assert found == expected
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--max-page 3", r"^--max-page: .*Did you mean --max-pages\?"),
        ("--pages 3", "--max-pages"),
        ("-url x", r"two dashes\. Did you mean --url\?"),
        ("--max-pages x", '--max-pages: must be a whole number, not "x"'),
        ("--max-pages 2.5", "must be a whole number, not 2.5"),
        ("--max-pages", "--max-pages: needs a value"),
        ("--url --max-pages 3", "--url=--max-pages"),
        ("--max-pages 1 --max-pages 2", "given twice"),
        ("--headless=maybe", "must be true or false"),
        ("--no-headless=1", "takes no value"),
        ("--wait=1", "takes no value"),
        ("--color rad", r'must be "blue" or "red", not "rad". Did you mean red\?'),
        ("--since tomorrow", "must be a date like 2026-11-24"),
        ("--address.town x", r"address has no town\. .*city"),
        ("--address 5", "must be an object or null"),
        ('--address {"city": 5}', "--address: city must be text, not 5"),
        ('--address {"city": "x"} --address.city y', None),
        ("--tags.a 5", "tags has no a"),
        ("--size 1 --size 2 --size 3", "must have at most 2|must not be there"),
        ("--timeout soon", "--timeout: must be a number of seconds"),
        ("--timeout -1", "more than 0"),
        ("--timeout 1 --timeout 2", "given twice"),
        ("--retries 1.5", r"--retries: must be a whole number, not 1\.5"),
        ("--retries -1", "--retries: must be a whole number"),
        ("--retries 1 --retries 1", "given twice"),
        ("--url 'x", "the quote that begins at 'x is never closed"),
        ('{"url": "x"', "has no end"),
        ("{'url': 'x'}", "double quotes"),
        ('{"ratio": NaN}', "NaN"),
        ("--max-pages " + "[" * 3000 + "]" * 3000, "--max-pages: must be a whole number"),
        ('{"url":' * 3000 + "1" + "}" * 3000, "nested too deeply"),
        ("stray", "stray: is neither an option, nor a JSON object, nor a name"),
        ("--input nowhere", "nor a name that is defined here"),
        ('{"url": "a"} {"url": "b"}', "given twice"),
    ],
)
def test_a_wrong_option_is_refused_with_what_to_write(options: str, told: str | None) -> None:
    """The error begins with the option and names the near ones."""
    if told is None:
        assert input_of(options) == {"address": {"city": "y"}}
        return
    with pytest.raises(BadParameterError, match=told):
        input_of(options)


def test_a_variable_that_json_has_no_word_for_is_refused() -> None:
    """A list that contains itself, or what JSON doesn't know, is told as a fault of its option."""
    circle: list[Any] = []
    circle.append(circle)
    for value in (circle, [object()]):
        with pytest.raises(BadParameterError, match="--tags: can't be written as JSON"):
            input_of("--tags $x", x=value)


def test_variables_and_expressions_are_filled_in() -> None:
    """``$var``, ``$a.b`` and ``{expression}`` inside values; what isn't defined stays; doubled signs are literal."""
    names = {"host": "https://x", "n": 3, "address": Address("Bonn")}

    assert input_of("--url $host/p{n + 1}", **names) == {"url": "https://x/p4"}
    assert input_of("--url '{host} and $n'", **names) == {"url": "https://x and 3"}
    assert input_of("--url $address.city", **names) == {"url": "Bonn"}
    assert input_of("--url $nowhere/{neither}/$5", **names) == {"url": "$nowhere/{neither}/$5"}
    assert input_of("--url '$$n {{n}}'", **names) == {"url": "$n {n}"}
    assert input_of("--max-pages $n", **names) == {"max_pages": 3}
    assert parse("$kind --url x", kind="scrape-reviews").task_type == "scrape-reviews"


def test_a_value_that_is_nothing_but_a_variable_is_passed_on_as_it_is() -> None:
    """Lists, dicts, structs, dates and paths keep what they are, as far as the field takes it."""
    names = {"tags": ["a", "b"], "address": Address("Bonn"), "day": datetime.date(2026, 11, 24), "n": 7,
             "path": Path("a/b")}

    assert input_of("--tags $tags --address {address} --since $day --url $n", **names) == {
        "tags": ["a", "b"], "address": {"city": "Bonn", "zip_code": None}, "since": "2026-11-24", "url": "7"}
    assert input_of("--url $path", **names) == {"url": "a/b"}


def test_the_whole_input_comes_from_a_name_of_many_kinds() -> None:
    """A dict, dataclass, struct or JSON text, by ``--input`` or bare; options win over it."""
    @dataclasses.dataclass
    class Reviews:
        url: str
        since: datetime.date

    class Struct(msgspec.Struct):
        url: str

    names = {"d": {"url": "d"}, "c": Reviews("c", datetime.date(2026, 11, 24)), "s": Struct("s"), "j": '{"url": "j"}',
             "number": 5, "odd": {"url": object()}}

    assert input_of("--input d", **names) == {"url": "d"}
    assert input_of("d --max-pages 1", **names) == {"url": "d", "max_pages": 1}
    assert input_of("--input c", **names) == {"url": "c", "since": "2026-11-24"}
    assert input_of("--input=s --url t", **names) == {"url": "t"}
    assert input_of("--input $d", **names) == {"url": "d"}
    assert input_of("{d}", **names) == {"url": "d"}
    assert input_of("--input $j", **names) == {"url": "j"}
    with pytest.raises(InvalidInputError, match="number is no object"):
        input_of("--input number", **names)
    with pytest.raises(BadParameterError, match="odd can't be written as JSON"):
        input_of("--input odd", **names)


def test_start_options_stand_beside_the_input_and_yield_to_a_field_of_their_name() -> None:
    """The type has a field ``name``: ``--name`` sets it, and ``--task-name`` names the task; that always works."""
    request = parse("scrape-reviews --url u --name field --task-name 'My task' --tag a --task-tag b --timeout 1.5 "
                    "--retries 3 --wait --quiet --inline")

    assert request == StartRequest(
        task_type="scrape-reviews", input={"url": "u", "name": "field"}, name="My task", tags=("a", "b"), timeout=1.5,
        retries=3, wait=True, quiet=True, inline=True)

    other = TaskTypeInfo(name="other", input={"type": "object", "properties": {"retries": {"type": "integer"}}})
    request = parse_start_line("other --retries 2 --task-retries 5", lambda name: other, {})
    assert (request.input, request.retries) == ({"retries": 2}, 5)
    assert "--task-retries N" in help_text(other)


def test_an_empty_line_and_help_need_no_input() -> None:
    """Help wins over whatever else is wrong on the line."""
    assert parse("  ") == StartRequest(task_type=None, input={})
    assert parse("--help").help
    assert parse("scrape-reviews --max-pages x --help") == StartRequest(
        task_type="scrape-reviews", input={}, help=True)
    assert parse("broken --help").help


def test_a_task_type_that_is_unknown_broken_or_not_first_is_told() -> None:
    """With the near names, the reason, the order."""
    with pytest.raises(TaskTypeNotFoundError, match="scrape-reviews"):
        parse("scrape-review --url x")
    with pytest.raises(WorkerLoadError, match="SyntaxError"):
        parse("broken --x 1")
    with pytest.raises(BadParameterError, match="the task type comes first"):
        parse("--url x scrape-reviews")


# Help and completion.


def test_help_shows_each_option_with_type_default_description_and_mark() -> None:
    """Aligned plain text, and the options of every start under the names that work here."""
    lines = help_text(INFO).splitlines()

    assert lines[0] == "scrape-reviews: Scrape the reviews of a shop."
    found = {line.split()[0].rstrip(","): line for line in lines if line.startswith("  --")}
    assert found["--url"].split(maxsplit=2) == ["--url", "TEXT", "the page of the product (required)"]
    assert found["--max-pages"].split() == ["--max-pages", "INT", "(default:", "5)"]
    assert "--headless, --no-headless" in found["--headless"]
    assert "blue|red" in found["--color"] and "DATE" in found["--since"] and "may be repeated" in found["--tags"]
    assert {"--task-name", "--timeout", "--name"} <= set(found)
    assert len({line.index("(default") for line in lines if line.startswith("  --") and "(default" in line}) == 1
    assert "SyntaxError" in help_text(BROKEN)


def test_the_list_of_task_types_tells_docs_and_errors() -> None:
    """And says what to do if there are none."""
    text = types_text([INFO, BROKEN])

    assert "Scrape the reviews of a shop." in text and "can't be loaded: SyntaxError" in text
    assert "@task" in types_text([])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%start_task ", ["scrape-reviews", "broken"]),
        ("t = %start_task scr", ["scrape-reviews"]),
        ("%start_task scrape-reviews --m", ["--max-pages", "--matrix"]),
        ("%start_task scrape-reviews --url x --u", []),
        ("%start_task scrape-reviews --tags x --ta", ["--tags", "--task-name", "--tag"]),
        ("%start_task scrape-reviews --color ", ["blue", "red"]),
        ("%start_task scrape-reviews --color=b", ["--color=blue"]),
        ("%start_task scrape-reviews --headless=", ["--headless=true", "--headless=false"]),
        ("%start_task scrape-reviews --headless f", ["false"]),
        ("%start_task scrape-reviews --no-h", ["--no-headless"]),
        ("%start_task scrape-reviews --headless --no-h", []),
        ("%start_task scrape-reviews --timeout ", []),
        ("%start_task broken --", ["--help"]),
        ("%pause_task 0", ["01aa"]),
        ("%abort_task ", ["01aa", "1bbb"]),
        ("%abort_task 01aa ", []),
        ("%restart_task ", ["01aa", "1bbb"]),
        ("%restart_task --", ["--fresh"]),
        ("%restart_task --fresh ", ["01aa", "1bbb"]),
        ("%restart_task 01aa ", ["--fresh"]),
        ("%restart_task 01aa --fresh ", []),
        ("%tasks --s", ["--status"]),
        ("%tasks --status p", ["paused"]),
        ("print('%start", []),
        ("%timeit ", []),
    ],
)
def test_tab_completes_types_options_values_and_ids(text: str, expected: list[str]) -> None:
    """In place of the last word before the cursor."""
    assert complete(text, [INFO, BROKEN], ["01aa", "1bbb"]) == expected


# The way back.

texts = st.one_of(
    st.text(max_size=8),
    st.text(alphabet=" '\"\\{}[]$-=:,1a\n", max_size=10),
    st.sampled_from(["", "null", "true", "5", "-5", "1e3", "--x", "{a}", "$a", "{{", "$$", '{"a": 1}', '{"a": 1} ',
                     "[1]", "a b", "it's", "\u2028", "\x85", "é", "--help", "{'a': 1}", "{", "}"]),
)
finite = st.floats(allow_nan=False, allow_infinity=False)
inputs = st.fixed_dictionaries(
    {"url": texts},
    optional={
        "max_pages": st.integers(),
        "headless": st.booleans(),
        "tags": st.lists(texts, max_size=3),
        "color": st.sampled_from(["red", "blue"]),
        "address": st.none() | st.fixed_dictionaries({"city": texts}, optional={"zip_code": st.none() | st.integers()}),
        "since": st.none() | st.dates().map(str),
        "ratio": finite | st.integers() | texts,
        "matrix": st.lists(st.lists(st.integers(), max_size=2), max_size=2),
        "counts": st.dictionaries(texts, st.integers(), max_size=2),
        "size": st.tuples(st.integers(), texts).map(list),
        "anything": st.recursive(st.none() | st.booleans() | finite | texts, lambda x: st.lists(x, max_size=2) |
                                 st.dictionaries(texts, x, max_size=2), max_leaves=3),
        "name": texts,
    },
)


@settings(max_examples=400, deadline=None)
@given(input=inputs, with_info=st.booleans())
def test_a_line_made_from_an_input_gives_it_back(input: dict[str, Any], with_info: bool) -> None:
    """Whatever stands in it, on one line, whatever names are defined where it is pasted."""
    assume(all(abs(value) < 10**300 for value in input.values() if isinstance(value, int)))
    validate_input(INFO, input)

    line = start_line("scrape-reviews", input, INFO if with_info else None)
    request = parse(line, a="other", b=2, x=5)

    assert len(line.splitlines()) == 1
    assert request == StartRequest(task_type="scrape-reviews", input=input)
    assert json.dumps(request.input, sort_keys=True) == json.dumps(input, sort_keys=True)  # 5 is not 5.0, nor true


def test_a_line_is_written_as_a_person_would() -> None:
    """Options where the type is known, JSON where it isn't."""
    input = {"url": "https://shop.example/kettle", "max_pages": 5, "headless": False, "tags": ["a", "b c"]}

    assert start_line("scrape-reviews", input, INFO) == (
        "scrape-reviews --url https://shop.example/kettle --max-pages 5 --no-headless --tags a --tags 'b c'")
    assert start_line("scrape-reviews", {"url": "a b"}) == 'scrape-reviews {"url": "a b"}'
    assert start_line("scrape-reviews", {}) == "scrape-reviews"
