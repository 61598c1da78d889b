"""A worker's result: what goes over the wire, and what Python gets back.

JSON data goes over the wire as it is. What JSON can only say roughly (NaN, tuples, keys that are no strings, dates) goes
as JSON, and exactly into ``result.pickle``. Any other object is an artifact, ``files/result.*``: Parquet, npy, else
pickle; over the wire goes what it is. Pickles are only ever read in Python, from the user's own folder.
"""

from __future__ import annotations

import io
import json
import pickle
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from ..folder import TaskFolder
from ..wire import encode, to_plain

__all__ = ["keep_result", "load_result"]

_EXACT = "result.pickle"
_KEPT = "result.kept.json"


def keep_result(value: Any, folder: TaskFolder, function: Callable[..., Any]) -> str:
    """Writes what Python needs of a result into the folder, and gives its JSON for the wire.

    Raises whatever pickling it raises.
    """
    data = _as_data(value)
    try:
        wire, _ = encode(data)
    except TypeError:
        return encode(_keep_object(value, folder, function))[0]
    if not _is_json(data):
        (folder.path / _EXACT).write_bytes(pickle.dumps(data))
    return wire


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


def _as_data(value: Any) -> Any:
    """Structs, dataclasses and pydantic models as dicts, with dates and the like left as they are."""
    if isinstance(value, msgspec.Struct) or hasattr(value, "__dataclass_fields__") or hasattr(value, "model_dump"):
        return to_plain(value)
    return value


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
    for suffix, form, write in ((".parquet", "parquet", _to_parquet), (".npy", "npy", _to_npy)):
        if (data := write(value)) is not None:
            break
    else:
        suffix, form, data = ".pickle", "pickle", _to_pickle(value, function)
    name = f"result{suffix}"
    (folder.files_path / name).write_bytes(data)
    (folder.path / _KEPT).write_text(json.dumps({"file": name, "format": form}), "ascii")
    return about | {"file": name, "bytes": len(data)}


def _to_parquet(value: Any) -> bytes | None:
    """A DataFrame that comes back from Parquet as it went, else None."""
    pandas = sys.modules.get("pandas")
    if pandas is None or type(value) is not pandas.DataFrame:
        return None
    try:
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

    module = sys.modules.get(function.__module__)
    by_value = module is not None and function.__module__ != "__main__"
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    return cloudpickle.dumps(value)


def _read_parquet(file: Any) -> Any:
    import pandas

    return pandas.read_parquet(file)


def _read_npy(file: Any) -> Any:
    import numpy

    return numpy.load(file, allow_pickle=False)


_READERS: dict[str, Callable[[Any], Any]] = {"parquet": _read_parquet, "npy": _read_npy, "pickle": pickle.load}

