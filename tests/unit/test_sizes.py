"""Sizes in a configuration file: bytes, or texts for people."""

from __future__ import annotations

import pytest
from traitlets import TraitError
from traitlets.config import Config, Configurable

from sse_tasks.size_trait import Size
from sse_tasks.sizes import parse_size, say_size


class Holder(Configurable):
    limit = Size("2 GiB").tag(config=True)
    optional = Size(None, allow_none=True).tag(config=True)


@pytest.mark.parametrize(("size", "count"), [
    (0, 0), (17, 17), (3.0, 3), ("17", 17), ("17 b", 17), ("2 GiB", 2 << 30), ("2gib", 2 << 30),
    ("500 MB", 500_000_000), (" 1.5 KiB ", 1536), ("1 TB", 10 ** 12), ("0.5 PiB", 1 << 49)])
def test_sizes_are_bytes_or_texts(size: object, count: int) -> None:
    """Whole numbers, and numbers with a decimal or a binary unit in any case."""
    assert parse_size(size) == count
    assert Holder(limit=size).limit == count


@pytest.mark.parametrize("size", [
    -1, 1.5, True, None, [], "", "x", "2 GiBs", "2 bananas", "-1 KiB", "1e9", "1_000", "GiB", "٢", "inf", float("nan")])
def test_what_is_no_size_is_refused_by_name(size: object) -> None:
    """The message says which setting, what was written, and what to write."""
    with pytest.raises(ValueError, match="no size"):
        parse_size(size)
    with pytest.raises(TraitError, match=r"Holder.limit.*such as '2 GiB'"):
        Holder(limit=size)


def test_none_is_no_limit_where_that_is_said() -> None:
    """Only a trait that allows it takes None; from a configuration and from a command line too."""
    assert Holder().optional is None
    assert Holder(optional="1 KiB").optional == 1024
    assert Holder(config=Config(Holder={"limit": "3 MiB"})).limit == 3 << 20
    assert Size(None, allow_none=True).from_string("None") is None
    assert Size().from_string("1 KiB") == 1024


@pytest.mark.parametrize(("count", "text"), [
    (0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1024, "1 KiB"), (1536, "1.5 KiB"), (200 << 20, "200 MiB"),
    (1023 << 20, "1023 MiB"), (2 << 30, "2 GiB"), (1 << 60, "1024 PiB")])
def test_sizes_are_said_for_people(count: int, text: str) -> None:
    """In the largest unit that leaves a number of 1 or more."""
    assert say_size(count) == text
