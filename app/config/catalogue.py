"""The settings as a list: what each is called, takes, and means. Made of the types, never by hand.

Owns    paths (`wal.sync`), the words for what a setting takes, and the nearest name to a wrong one.
Never   holds a value: `app.config.sources` gathers them.
"""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from app.config.settings import INT64_MAX, BrokerConfig

TOPIC_CONFIGS = "topics.configs"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting that has a value. `type` is msgspec's, without its metadata."""

    path: str
    type: inspect.Type
    default: Any
    doc: str
    unit: str
    at_once: str

    @property
    def takes(self) -> str:
        return takes(self.type, self.unit)

    @property
    def effect(self) -> str:
        more = ", …" if isinstance(self.type, inspect.DictType) else ""
        return f"at once (`{self.at_once}`{more})" if self.at_once else "at start"


@dataclass(frozen=True, slots=True)
class Group:
    path: str
    doc: str


@cache
def entries() -> tuple[Setting | Group, ...]:
    """Every group and setting, in the order in which they are written down."""
    return tuple(_entries(BrokerConfig, ""))


def settings() -> Iterator[Setting]:
    return (entry for entry in entries() if isinstance(entry, Setting))


@cache
def by_path() -> dict[str, Setting]:
    return {setting.path: setting for setting in settings()}


def _entries(group: type[msgspec.Struct], prefix: str) -> Iterator[Setting | Group]:
    for field in fields(group):
        path = prefix + field.name
        kind, known = plain(field.type)
        if isinstance(kind, inspect.StructType):
            yield Group(path, (kind.cls.__doc__ or "").strip())
            yield from _entries(kind.cls, f"{path}.")
        else:
            default = field.default
            if field.default_factory is not msgspec.NODEFAULT:
                default = field.default_factory()
            extra = known.extra or {}
            doc = (known.extra_json_schema or {})["description"]
            yield Setting(path, kind, default, doc, extra["unit"], extra["at_once"])


def fields(group: type) -> tuple[inspect.Field, ...]:
    known = inspect.type_info(group)
    assert isinstance(known, inspect.StructType), group
    return known.fields


def plain(kind: inspect.Type) -> tuple[inspect.Type, inspect.Metadata]:
    """The type, and what is said of it."""
    if isinstance(kind, inspect.Metadata):
        return kind.type, kind
    return kind, inspect.Metadata(kind)


def takes(kind: inspect.Type, unit: str = "") -> str:
    """What a value may be, for a person."""
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            unit = f" of {unit}" if unit else ""
            if kind.le == INT64_MAX:
                return f"a whole number{unit}, {kind.ge} or more"
            return f"a whole number{unit} from {kind.ge} to {kind.le}"
        case inspect.StrType():
            return "text"
        case inspect.LiteralType():
            return "one of " + ", ".join(map(str, kind.values))
        case inspect.UnionType():
            return " or ".join(takes(one) for one in kind.types)
        case inspect.NoneType():
            return "null"
        case inspect.VarTupleType():
            return f"a list, each {takes(kind.item_type)}"
        case inspect.DictType():
            return "names with a value each"
        case inspect.StructType():
            return f"an object of {', '.join(field.name for field in kind.fields)}"
        case _:
            raise AssertionError(f"no setting may have the type {kind}")


def nearest(wrong: str, names: Iterable[str]) -> str:
    """The name that was meant, "" if none comes near."""
    known = list(names)
    lowered = {name.lower(): name for name in reversed(known)}
    found = difflib.get_close_matches(wrong.lower(), lowered, n=1, cutoff=0.7)
    if found:
        return lowered[found[0]]
    # A setting in the wrong group, or in none: its last word is right.
    last = wrong.rpartition(".")[2].lower()
    words = {name.rpartition(".")[2].lower(): name for name in reversed(known)}
    found = difflib.get_close_matches(last, words, n=1, cutoff=0.8)
    return words[found[0]] if found else ""
