"""JSON as it is written: valid for the strictest parser, ASCII, one line, and nothing lost between two Pythons."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import math
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sse_tasks.wire import encode, encode_exact, encode_update, to_plain

quick = settings(max_examples=150, deadline=None)

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=12)  # lone surrogates among them
numbers = st.one_of(st.integers(), st.integers(-(1 << 70), 1 << 70), st.floats(), st.booleans(), st.none())
json_values = st.recursive(st.one_of(numbers, texts), lambda inner: st.one_of(
    st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)), max_leaves=20)


def strictly(text: str) -> Any:
    """Parses as the strictest do: no NaN, no trailing anything; by two parsers that have nothing in common."""
    assert text.isascii() and "\n" not in text and "\r" not in text
    json.loads(text, parse_constant=pytest.fail)
    return msgspec.json.decode(text)


def same(a: Any, b: Any) -> bool:
    """Equal, of the same types, with NaN like NaN and -0.0 unlike 0.0."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, str) and isinstance(b, str):  # two halves of a pair are the pair, to every reader
        a, b = (text.encode("utf-16", "surrogatepass") for text in (a, b))
    return type(a) is type(b) and a == b


@quick
@given(value=json_values)
@example(value=[float("nan"), float("inf"), -float("inf"), -0.0, 1e300, 5e-324])
@example(value=[1 << 63, (1 << 64) - 1, 1 << 64, -(1 << 63), -(1 << 63) - 1, 10**4299])
@example(value={"\ud800": "\udfff\ud800", "x\udc00y": "😀", "\ufeff": "\ufeff\u2028\0\x7f"})
@example(value="\ud83d\ude00")
@example(value={"a": "\\ud800", "b": "1234567890123456789012"})
def test_every_value_is_valid_json_and_comes_back_exactly(value: Any) -> None:
    """Whatever JSON-like data a worker hands over: any parser reads it, and Python gets it back as it was."""
    wire, exact = encode(value)

    strictly(wire)
    assert same(json.loads(wire if exact is None else exact), value)
    assert (wire if exact is None else exact) == encode_exact(value)


@pytest.mark.parametrize(("value", "wire"), [
    (float("nan"), "null"), (float("-inf"), "null"), ([1.5, float("nan")], "[1.5,null]"),
    ((1 << 64) - 1, "18446744073709551615"), (1 << 64, '"18446744073709551616"'),
    (-(1 << 63), "-9223372036854775808"), (-(1 << 63) - 1, '"-9223372036854775809"'), ("\ud800", '"\\ufffd"'),
    ("a\ud83d\ude00b", '"a\\ud83d\\ude00b"'), ("é", '"\\u00e9"'), ({"\udc00": 1}, '{"\\ufffd":1}'),
    ((1, (2, "x")), '[1,[2,"x"]]'), ({}, "{}"), (True, "true"), ("", '""'),
])
def test_what_json_lacks_has_its_stand_in(value: Any, wire: str) -> None:
    """NaN and infinities are null, integers beyond 64 bits strings, lone surrogates U+FFFD."""
    assert encode(value)[0] == wire


class _Struct(msgspec.Struct):
    price: float
    seen: datetime.datetime | None = None


@dataclasses.dataclass
class _Data:
    inner: _Struct
    tags: tuple[str, ...] = ()


class _Model:
    """What pydantic's models have."""

    def __repr__(self) -> str:  # the same in each process of the tests
        return "_Model()"

    def model_dump(self) -> dict[str, Any]:
        return {"name": "x", "price": float("nan")}


class _Colour(enum.Enum):
    RED = "red"


class _Number(enum.IntEnum):
    ONE = 1


class _Text(str):
    pass


class _Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(("value", "plain"), [
    (_Struct(1.5), {"price": 1.5, "seen": None}),
    (_Data(_Struct(1.5, datetime.datetime(2026, 1, 2)), ("a",)),
     {"inner": {"price": 1.5, "seen": "2026-01-02T00:00:00"}, "tags": ["a"]}),
    ({"x": _Model()}, {"x": {"name": "x", "price": None}}),
    ([_Colour.RED, _Number.ONE, _Text("t")], ["red", 1, "t"]), (_Text("t"), "t"), ([_Text("\ud800")], ["\ufffd"]),
    ([collections.OrderedDict(a=1), collections.Counter("aa"), collections.defaultdict(int, b=2)],
     [{"a": 1}, {"a": 2}, {"b": 2}]),
    ([_Point(1, 2), _Colour.RED], [[1, 2], "red"]), (collections.OrderedDict(a=_Colour.RED), {"a": "red"}),
    ([numpy.int64(3), numpy.float64(2.5), numpy.float32(0.5)], [3, 2.5, 0.5]),
    ([numpy.bool_(True), numpy.str_("s")], [True, "s"]),
    (numpy.float32("nan"), None), (numpy.array(7), 7), ({"n": numpy.uint64((1 << 64) - 1)}, {"n": (1 << 64) - 1}),
    (Path("/a/b"), "/a/b"), (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (decimal.Decimal("1.10"), "1.10"), (datetime.date(2026, 1, 2), "2026-01-02"), (b"ab", "YWI="),
    ({1: "a", 2: "b"}, {"1": "a", "2": "b"}), ({_Colour.RED: 1}, {"red": 1}), ({3, }, [3]), (frozenset(), []),
    ({numpy.int64(1): 2}, {"1": 2}), ({(1, 2): 3}, None),
], ids=repr)
def test_what_people_return_is_written_as_plain_data(value: Any, plain: Any) -> None:
    """Structs, dataclasses, models, enums, numpy's scalars, dates, paths and sets go as the JSON one expects."""
    if isinstance(value, dict) and (1, 2) in value:
        with pytest.raises(TypeError):
            encode(value)
        return
    assert strictly(encode(value)[0]) == plain


@pytest.mark.parametrize("value", [object(), {"x": [lambda: None]}, numpy.zeros(3), 1j, {1: {2: object()}}, type],
                         ids=["object", "function", "array", "complex", "nested", "class"])
def test_what_json_has_no_word_for_is_a_type_error(value: Any) -> None:
    """The caller is told by name, and by TypeError alone."""
    with pytest.raises(TypeError):
        encode(value)
    with pytest.raises(TypeError):
        to_plain(value)


def _nested(depth: int, leaf: Any) -> Any:
    value = leaf
    for level in range(depth):
        value = [value] if level % 2 else {"x": value}
    return value


@pytest.mark.parametrize("leaf", [1, float("nan"), "\ud800", _Struct(1.0)], ids=["plain", "nan", "surrogate", "struct"])
@pytest.mark.parametrize("depth", [100, 299, 450, 600, 950, 5_000, 100_000])
def test_nesting_is_written_so_that_it_can_be_read_or_refused(depth: int, leaf: Any) -> None:
    """Data nested too deeply for parsers is a TypeError, by whatever way it is written; never a crash later on."""
    value = _nested(depth, leaf)
    try:
        wire, exact = encode(value)
    except TypeError:
        assert depth > 300
    else:
        assert depth <= 300
        strictly(wire)
        json.loads(exact or wire)
        update = encode_update({"type": "result", "taskId": "x", "result": to_plain(value)})
        assert msgspec.json.decode(update)["type"] == "result"


def test_a_circle_is_refused() -> None:
    """A list that holds itself is a TypeError."""
    circle: list[Any] = []
    circle.append(circle)

    with pytest.raises(TypeError):
        encode(circle)


def test_an_integer_too_long_for_decimal_digits_is_written_all_the_same() -> None:
    """Python refuses to print an integer of 4,300 digits and more; the wire has it in hexadecimal."""
    value = 10**5000

    wire, _ = encode({"n": value})

    assert int(strictly(wire)["n"], 16) == value


def test_an_update_is_one_line_without_empty_fields() -> None:
    """What is None is left out; newlines inside of texts are escaped."""
    line = encode_update({"type": "status", "message": "a\nb\u2028\r", "error": None, "items": 0, "result": [None]})

    assert line == b'{"type":"status","message":"a\\nb\\u2028\\r","items":0,"result":[null]}\n'
