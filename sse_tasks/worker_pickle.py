"""A notebook's own function as bytes: by value, with the classes that it uses.

cloudpickle alone fails on a class that msgspec has looked at (it carries msgspec's cache), and rebuilds a Struct of the
notebook without its fields and without a word. ``registry.load_worker`` reads what this writes.
"""

from __future__ import annotations

import inspect
import io
import types
from collections.abc import Callable
from typing import Any

import cloudpickle
import msgspec

__all__ = ["dump_worker"]

_CACHE = "__msgspec_cache__"
_MADE = frozenset({"__dict__", "__weakref__", "__slots__", "__match_args__", "__annotations__", "__module__", "__doc__",
                   "__qualname__", "__post_init__", _CACHE})
_CONFIG = ("frozen", "order", "eq", "kw_only", "repr_omit_defaults", "array_like", "gc", "weakref", "dict",
           "cache_hash", "omit_defaults", "forbid_unknown_fields", "tag_field", "tag")


def dump_worker(worker: Callable[..., Any]) -> bytes:
    """A function or Worker as a pickle. What is importable goes by name, what only the notebook has by value.

    Raises TypeError or pickle.PicklingError for what can't be sent, such as an open file that the function uses.
    """
    file = io.BytesIO()
    _Pickler(file).dump(worker)
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type) and _CACHE in vars(obj):
            delattr(obj, _CACHE)  # made anew when it is needed
        reduced = super().reducer_override(obj)
        is_by_value = isinstance(obj, msgspec.StructMeta) and reduced is not NotImplemented
        return _struct_by_value(obj) if is_by_value else reduced


def _struct_by_value(struct: Any) -> Any:
    """How to build the class again. Its methods come after it, since they may refer to it."""
    annotations = inspect.get_annotations(struct)
    fields = {}
    for field in msgspec.structs.fields(struct):
        if field.name in annotations:
            fields[field.name] = (field.encode_name, field.default, field.default_factory)
    config = {name: getattr(struct.__struct_config__, name) for name in _CONFIG
              if hasattr(struct.__struct_config__, name)}
    namespace = {name: struct.__dict__[name] for name in ("__module__", "__qualname__", "__doc__", "__post_init__")
                 if name in struct.__dict__}
    rest = {name: value for name, value in struct.__dict__.items() if name not in _MADE and name not in annotations
            and not name.startswith("__struct_") and not isinstance(value, types.MemberDescriptorType)}
    arguments = (struct.__name__, struct.__bases__, namespace, annotations, fields, config)
    return _struct, arguments, rest, None, None, _add


def _struct(
    name: str, bases: tuple[type, ...], namespace: dict[str, Any], annotations: dict[str, Any],
    fields: dict[str, Any], config: dict[str, Any],
) -> type:
    defaults = {}
    for field, (_, default, factory) in fields.items():
        if factory is not msgspec.NODEFAULT:
            defaults[field] = msgspec.field(default_factory=factory)
        elif default is not msgspec.NODEFAULT:
            defaults[field] = msgspec.field(default=default)
    renamed = {field: encode_name for field, (encode_name, *_) in fields.items()}
    return msgspec.StructMeta(name, bases, {**namespace, **defaults, "__annotations__": annotations},
                              rename=renamed.get, **config)


def _add(struct: type, rest: dict[str, Any]) -> None:
    for name, value in rest.items():
        setattr(struct, name, value)
