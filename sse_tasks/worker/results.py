"""A worker's result: what goes over the wire, and what Python gets back.

JSON data goes over the wire as it is. What JSON can only say roughly (NaN, tuples, keys that are no strings, dates)
goes as JSON, and exactly into ``result.pickle``. Any other object is an artifact, ``files/result.*``: Parquet, npy,
else pickle; over the wire goes what it is. Pickles are only ever read in Python, from the user's own folder.
"""

from __future__ import annotations

import datetime
import decimal
import io
import json
import pickle
import sys
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ..folder import TaskFolder
from ..wire import encode, foreign

__all__ = ["drop_result", "keep_result", "kept_bytes", "load_result"]

_EXACT = "result.pickle"
_KEPT = "result.kept.json"


def keep_result(value: Any, folder: TaskFolder, function: Callable[..., Any]) -> str:
    """Writes what Python needs of a result into the folder, and gives its JSON for the wire.

    Raises whatever pickling it raises.
    """
    drop_result(folder)  # an attempt that died right after this may have left one
    try:
        wire, _ = encode(value)
    except TypeError:
        return encode(_keep_object(value, folder, function))[0]
    if not _is_json(value):
        data = value if _is_builtin(value) else _structs_as_dicts(value)
        if not _is_json(data):
            (folder.path / _EXACT).write_bytes(pickle.dumps(data))
    return wire


def kept_bytes(folder: TaskFolder) -> int:
    """How much ``keep_result`` has written into the folder."""
    total = 0
    for path in _kept(folder):
        try:
            total += path.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def drop_result(folder: TaskFolder) -> None:
    """Takes away what ``keep_result`` has written."""
    for path in (*_kept(folder), folder.path / _KEPT):
        try:
            path.unlink()
        except OSError:
            continue


def _kept(folder: TaskFolder) -> list[Path]:
    """The files of a result; the worker's own are none of them."""
    try:
        name = json.loads((folder.path / _KEPT).read_bytes())["file"]
    except (OSError, ValueError, KeyError, TypeError):
        name = None
    kept = [folder.files_path / name] if name in {f"result.{form}" for form in _READERS} else []
    return [folder.path / _EXACT, *kept]


def load_result(folder: TaskFolder) -> Any:
    """The result as the worker returned it (structs and dataclasses as dicts). Raises NothingThereError."""
    kept = folder.path / _KEPT
    if kept.exists():
        about = json.loads(kept.read_bytes())
        with open(folder.open_file(about["file"]), "rb") as file:
            return _READERS[about["format"]](file)
    if (folder.path / _EXACT).exists():
        return pickle.loads((folder.path / _EXACT).read_bytes())
    with open(folder.open_part("result.json"), "rb") as file:
        return json.load(file)


_BUILTIN = (str, bytes, bytearray, bool, int, float, complex, type(None), datetime.date, datetime.time,
            datetime.timedelta, decimal.Decimal, uuid.UUID)


def _is_builtin(value: Any) -> bool:
    """Whether every Python has the classes of this."""
    if isinstance(value, dict):
        return type(value) is dict and all(_is_builtin(k) and _is_builtin(v) for k, v in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return type(value) in (list, tuple, set, frozenset) and all(map(_is_builtin, value))
    return isinstance(value, _BUILTIN) and type(value).__module__ in ("builtins", "datetime", "decimal", "uuid")


def _structs_as_dicts(value: Any) -> Any:
    """Structs, dataclasses and models as dicts, with dates and the like left as they are."""
    return msgspec.to_builtins(value, builtin_types=(bytes, bytearray, datetime.date, datetime.datetime, datetime.time,
                                                     datetime.timedelta, decimal.Decimal, uuid.UUID), enc_hook=foreign)


def _is_json(value: Any) -> bool:
    """Whether JSON gives back exactly this."""
    match value:
        case None | True | False:
            return True
        case str():
            return type(value) is str and (value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value))
        case int():
            return type(value) is int and -(1 << 63) <= value < 1 << 64
        case float():
            return type(value) is float and value - value == 0
        case list():
            return type(value) is list and all(map(_is_json, value))
        case dict():
            return type(value) is dict and all(type(k) is str and _is_json(v) for k, v in value.items())
        case _:
            return False


def _keep_object(value: Any, folder: TaskFolder, function: Callable[..., Any]) -> dict[str, Any]:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    about: dict[str, Any] = {"type": kind}
    if (shape := getattr(value, "shape", None)) is not None and isinstance(shape, tuple):
        about["shape"] = [int(n) for n in shape if isinstance(n, int)]
    if (data := _to_parquet(value)) is not None:
        form = "parquet"
    elif (data := _to_npy(value)) is not None:
        form = "npy"
    else:
        form, data = "pickle", _to_pickle(value, function)
    name = f"result.{form}"
    (folder.files_path / name).write_bytes(data)
    (folder.path / _KEPT).write_text(json.dumps({"file": name, "format": form}), "ascii")
    return about | {"file": name, "bytes": len(data)}


def _to_parquet(value: Any) -> bytes | None:
    """A DataFrame that comes back from Parquet as it went, else None."""
    pandas = sys.modules.get("pandas")
    if pandas is None or type(value) is not pandas.DataFrame:
        return None
    try:
        with warnings.catch_warnings():  # what Parquet would change is found out right here, and kept otherwise
            warnings.simplefilter("ignore")
            data = value.to_parquet()
            pandas.testing.assert_frame_equal(pandas.read_parquet(io.BytesIO(data)), value)
    except Exception:
        return None  # no engine installed, or columns that Parquet would change: pickle keeps both
    return data


def _to_npy(value: Any) -> bytes | None:
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) is not numpy.ndarray or value.dtype.hasobject:
        return None
    buffer = io.BytesIO()
    numpy.save(buffer, value, allow_pickle=False)
    return buffer.getvalue()


def _to_pickle(value: Any, function: Callable[..., Any]) -> bytes:
    """By value for what the worker's own module defines: nobody else can import that."""
    import cloudpickle

    from ..worker_pickle import dump_worker

    module = sys.modules.get(function.__module__)
    if module is not None and function.__module__ != "__main__":
        cloudpickle.register_pickle_by_value(module)
    return dump_worker(value)


def _read_parquet(file: Any) -> Any:
    import pandas

    return pandas.read_parquet(file)


def _read_npy(file: Any) -> Any:
    import numpy

    return numpy.load(file, allow_pickle=False)


_READERS: dict[str, Callable[[Any], Any]] = {"parquet": _read_parquet, "npy": _read_npy, "pickle": pickle.load}

