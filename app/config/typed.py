"""Trees and texts as typed values: what a file, a variable or a flag says of a setting.

Owns    which forms a value may have, and the complaint where it has none of them.
Never   raises for what someone wrote: it complains of all of it, and gives what is right.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from app.config import catalogue
from app.config.problems import Complain
from app.config.settings import BrokerConfig

NOTHING: Final = object()
"""In the place of a value that was complained of."""
ALL_LISTED = "docs/configuration.md lists them all"
_SHOWN_MAX = 60
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}\Z")


def leaves(tree: Mapping[Any, Any], complain: Complain) -> Iterator[tuple[str, Any]]:
    """(path, value) of every setting in the tree of a file."""
    yield from _group(tree, BrokerConfig, "", complain)


def _group(
    tree: Mapping[Any, Any], group: type, prefix: str, complain: Complain
) -> Iterator[tuple[str, Any]]:
    fields = {field.name: field for field in catalogue.fields(group)}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if name not in fields:
            complain(path, unknown(path, (entry.path for entry in catalogue.entries())))
            continue
        kind, _ = catalogue.plain(fields[name].type)
        if not isinstance(kind, inspect.StructType):
            typed = read(value, fields[name].type, path, complain)
            if typed is not NOTHING:
                yield path, typed
        elif isinstance(value, Mapping):
            yield from _group(value, kind.cls, f"{path}.", complain)
        elif value is not None:  # a group with nothing below it is an empty one
            complain(path, f"is a group of {_names(kind)}, not {shown(value)}")


def unknown(wrong: str, names: Iterator[str]) -> str:
    nearest = catalogue.nearest(wrong, names)
    hint = f"did you mean {nearest}?" if nearest else ALL_LISTED
    return f"there is no such setting; {hint}"


def _names(kind: inspect.StructType) -> str:
    return ", ".join(field.name for field in kind.fields)


def read(value: Any, declared: inspect.Type, path: str, complain: Complain, unit: str = "") -> Any:
    """The value as the type has it, or NOTHING after a complaint."""
    kind, known = catalogue.plain(declared)
    unit = unit or (known.extra or {}).get("unit", "")
    match kind:
        case inspect.UnionType():
            return _read_union(value, kind, path, complain)
        case inspect.StructType() if isinstance(value, Mapping):
            return _read_struct(value, kind, path, complain)
        case inspect.VarTupleType() if isinstance(value, list):
            items = [
                read(item, kind.item_type, f"{path}[{place}]", complain)
                for place, item in enumerate(value)
            ]
            return NOTHING if NOTHING in items else tuple(items)
        case inspect.DictType() if isinstance(value, Mapping):
            texts = {
                str(key): _text(item, f"{path}.{key}", complain) for key, item in value.items()
            }
            return NOTHING if NOTHING in texts.values() else texts
        case inspect.BoolType() if isinstance(value, bool):
            return value
        case inspect.IntType() if isinstance(value, int) and not isinstance(value, bool):
            return value
        case inspect.StrType() if isinstance(value, str):
            return value
        case inspect.LiteralType() if isinstance(value, str) and value in kind.values:
            return value
    complain(path, f"takes {catalogue.takes(kind, unit)}, not {shown(value)}{_advice(kind, value)}")
    return NOTHING


def _read_union(value: Any, kind: inspect.UnionType, path: str, complain: Complain) -> Any:
    """Which of the types is meant shows in the value: null, text or an object."""
    for one in kind.types:
        matches = {
            inspect.NoneType: value is None,
            inspect.StrType: isinstance(value, str),
            inspect.StructType: isinstance(value, Mapping),
        }
        if matches[type(one)]:
            return None if value is None else read(value, one, path, complain)
    text = next((one for one in kind.types if isinstance(one, inspect.StrType)), kind)
    complain(path, f"takes {catalogue.takes(kind)}, not {shown(value)}{_advice(text, value)}")
    return NOTHING


def _read_struct(
    value: Mapping[Any, Any], kind: inspect.StructType, path: str, complain: Complain
) -> Any:
    fields = {field.name: field for field in kind.fields}
    typed: dict[str, Any] = {}
    for name, item in value.items():
        if name not in fields:
            complain(f"{path}.{name}", unknown(str(name), iter(fields)))
            typed[str(name)] = NOTHING
        else:
            typed[name] = read(item, fields[name].type, f"{path}.{name}", complain)
    for field in kind.fields:
        if field.required and field.name not in value:
            complain(path, f"lacks `{field.name}`")
            typed[field.name] = NOTHING
    return NOTHING if NOTHING in typed.values() else msgspec.convert(typed, kind.cls)


def _text(value: Any, path: str, complain: Complain) -> Any:
    """A topic config, which is text on the wire, from how one writes it in a file."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    complain(path, f"takes text, a number, true or false, not {shown(value)}")
    return NOTHING


def _advice(kind: inspect.Type, value: Any) -> str:
    if isinstance(kind, inspect.StrType) and not isinstance(value, Mapping | list | None):
        return "; put it in quotes"
    return ""


def shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return repr(value if len(value) <= _SHOWN_MAX else value[:_SHOWN_MAX] + "…")
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            return str(value)[:_SHOWN_MAX]


def from_text(text: str, setting: catalogue.Setting, complain: Complain) -> Any:
    """The value that a variable or a flag gives a setting."""
    kind, path = setting.type, setting.path
    value: Any = text
    match kind:
        case inspect.BoolType():
            value = {"true": True, "false": False}.get(text.lower(), text)
        case inspect.IntType() if _INTEGER.match(text):
            value = int(text)
        case inspect.UnionType():
            value = text or None
        case inspect.VarTupleType() if not text.lstrip().startswith("["):
            value = [part.strip() for part in text.split(",") if part.strip()]
        case inspect.VarTupleType() | inspect.DictType():
            try:
                value = json.loads(text)
            except ValueError as error:
                complain(path, f"takes JSON: {error}")
                return NOTHING
    return read(value, kind, path, complain, setting.unit)
