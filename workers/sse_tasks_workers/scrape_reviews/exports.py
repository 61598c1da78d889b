"""The reviews as files for other programs: ``reviews.csv``, ``reviews.jsonl``, ``reviews.parquet``.

Written item by item, each into a partial file that takes its name when it is whole. The same reviews are in all three:
as JSON they are exactly the items; a spreadsheet's cells can't be formulas, and Parquet has typed columns.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from .records import frame_dtypes

__all__ = ["MISSING_PYARROW", "Stopped", "has_pyarrow", "plain_cell", "safe_cell", "write_exports"]

MISSING_PYARROW = "reviews.parquet is left out: pyarrow is not installed (pip install pyarrow)."

# What a spreadsheet takes for the beginning of a formula, its wide twins too. A quote before it makes it a text; where
# the text has quotes there itself, it gets one more, so that taking one away gives back what it was.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_DEFUSED = re.compile(r"''*[=+\-@\t\r\n＝＋－＠]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_BYTES_AT_ONCE = 8 << 20
_INT64 = range(-(1 << 63), 1 << 63)


class Stopped(Exception):
    """Somebody wants no more exports."""


class Export(Protocol):
    def add(self, item: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


def has_pyarrow() -> bool:
    try:
        import pyarrow.json
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return False
    return True


def write_exports(folder: Path, kinds: Iterable[str], items: Iterable[Mapping[str, Any]], columns: Iterable[str], *,
                  stop: Callable[[], bool] = lambda: False) -> list[str]:
    """Writes ``items`` as each of ``kinds`` (``csv``, ``jsonl``, ``parquet``), and gives the files' names.

    Where ``stop`` says so, or something goes wrong, no file is left or changed. Raises OSError, Stopped.
    """
    fields = list(columns)
    names = [f"reviews.{kind}" for kind in dict.fromkeys(kinds)]
    partials = [folder / f".{name}.partial" for name in names]
    exports: list[Export] = []
    try:
        for name, partial in zip(names, partials, strict=True):
            exports.append(_KINDS[name.removeprefix("reviews.")](partial, fields))
        for item in items:
            if stop():
                raise Stopped
            for export in exports:
                export.add(item)
        while exports:
            exports.pop().close()
        for name, partial in zip(names, partials, strict=True):
            os.replace(partial, folder / name)
    finally:
        for export in exports:
            try:
                export.close()
            except Exception:  # what went wrong is being raised already
                pass
        for partial in partials:
            partial.unlink(missing_ok=True)
    return names


class CsvExport:
    """UTF-8, RFC 4180: lines end with CR LF, every text is quoted, numbers are not."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        self._columns = columns
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, quoting=csv.QUOTE_NONNUMERIC)
        self._writer.writerow(columns)

    def add(self, item: Mapping[str, Any]) -> None:
        self._writer.writerow([safe_cell(item.get(name)) for name in self._columns])

    def close(self) -> None:
        self._file.close()


class JsonlExport:
    """An item a line, in UTF-8."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")

    def add(self, item: Mapping[str, Any]) -> None:
        line = json.dumps(item, ensure_ascii=False)
        if not line.isascii() and _UNSTORABLE.search(line):  # no UTF-8 holds half a character; an escape does
            line = json.dumps(item)
        self._file.write(f"{line}\n")

    def close(self) -> None:
        self._file.close()


class ParquetExport:
    """Typed columns; dates are UTC timestamps. What a column can't hold is null in it.

    By way of JSON: whatever makes Arrow's columns of Python's objects imports pandas first, a third of a second.
    """

    def __init__(self, path: Path, columns: list[str]) -> None:
        import pyarrow
        import pyarrow.json
        import pyarrow.parquet

        kinds = {"string": pyarrow.string(), "Float64": pyarrow.float64(), "Int64": pyarrow.int64(),
                 "boolean": pyarrow.bool_(), "datetime64[ns, UTC]": pyarrow.timestamp("us", "UTC"),
                 "object": pyarrow.list_(pyarrow.string())}
        dtypes = frame_dtypes()
        self._readers = {name: _READERS[dtypes.get(name, "string")] for name in columns}
        schema = pyarrow.schema([(name, kinds[dtypes.get(name, "string")]) for name in columns])
        self._parse = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
        self._json = pyarrow.json
        self._rows = bytearray()
        self._writer = pyarrow.parquet.ParquetWriter(path, schema, compression="zstd")

    def add(self, item: Mapping[str, Any]) -> None:
        row = {name: None if (value := item.get(name)) is None else read(value)
               for name, read in self._readers.items()}
        self._rows += json.dumps(row, allow_nan=False).encode("ascii") + b"\n"
        if len(self._rows) >= _BYTES_AT_ONCE:
            self._flush()

    def close(self) -> None:
        try:
            if self._rows:
                self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        rows, self._rows = bytes(self._rows), bytearray()
        reading = self._json.ReadOptions(use_threads=False, block_size=len(rows))
        self._writer.write_table(self._json.read_json(io.BytesIO(rows), reading, self._parse))


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet runs. Numbers stay numbers; lists are JSON; what can't be stored is ``�``."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    text = _UNSTORABLE.sub("�", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return f"'{text}" if _FORMULA.match(text) else text


def plain_cell(text: str) -> str:
    """The text of a cell that ``safe_cell`` may have defused."""
    return text[1:] if _DEFUSED.match(text) else text


def _moment(value: Any) -> str | None:
    try:
        moment = dt.datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment.isoformat().removesuffix("+00:00") + "Z"


def _texts(value: Any) -> list[str | None] | None:
    return [_text(each) for each in value] if isinstance(value, list) else None


def _text(value: Any) -> str:
    return _UNSTORABLE.sub("�", value if isinstance(value, str) else json.dumps(value))


_READERS: dict[str, Callable[[Any], Any]] = {
    "string": _text, "object": _texts, "datetime64[ns, UTC]": _moment,
    "boolean": lambda value: value if isinstance(value, bool) else None,
    "Float64": lambda value: float(value) if isinstance(value, int | float) and abs(value) < 1e308 else None,
    "Int64": lambda value: int(value) if isinstance(value, int | float) and value in _INT64 else None,
}

_KINDS: dict[str, Callable[[Path, list[str]], Export]] = {
    "csv": CsvExport, "jsonl": JsonlExport, "parquet": ParquetExport}
