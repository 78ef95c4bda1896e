"""Config options: a name, a type, a default and bounds, as Kafka's `ConfigDef`.

Owns    how a text becomes a typed value, and the words in which a wrong one is refused.
Never   knows which options there are: topic_config.py and broker_config.py have the tables.
Trusts  nothing: values are texts from clients.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from app.errors import InvalidConfig

_INTEGER = re.compile(r"[+-]?[0-9]+\Z", re.ASCII)
_DOUBLE = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z", re.ASCII)

_SHOWN_MAX = 100  # characters of a wrong value in the complaint about it

Value = int | float | bool | str | tuple[str, ...]


class Kind(StrEnum):
    """Kafka's names of config types, as its error messages and DescribeConfigs spell them."""

    INT = "INT"
    LONG = "LONG"
    DOUBLE = "DOUBLE"
    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    LIST = "LIST"


@dataclass(frozen=True, slots=True)
class Option:
    """One config: `minimum` and `maximum` bound numbers, `allowed` bounds texts and list items."""

    name: str
    kind: Kind
    default: str | None  # None: nothing, where it is not set
    doc: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    gap: float | None = None  # a number between the bounds that is none all the same
    field: str = ""  # of TopicPolicy; empty: checked and kept, but no typed policy needs it yet

    def parse(self, text: str) -> Value:
        """The typed value, or InvalidConfig with the name, the value and what is allowed."""
        value = _PARSERS[self.kind](self, text.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._check_bounds(value, text)
        return value

    def _check_bounds(self, value: float, text: str) -> None:
        if self.minimum is not None and value < self.minimum:
            raise self.refused(text, f"Value must be at least {self.minimum}")
        if self.maximum is not None and value > self.maximum:
            raise self.refused(text, f"Value must be no more than {self.maximum}")
        if value == self.gap:
            raise self.refused(text, f"Value must not be {self.gap}")

    def refused(self, text: str, why: str) -> InvalidConfig:
        shown = text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"
        return InvalidConfig(f"Invalid value {shown} for configuration {self.name}: {why}")


def _integer(bits: int) -> Callable[[Option, str], Value]:
    bound = 1 << (bits - 1)

    def parse(option: Option, text: str) -> Value:
        # Java's parseLong: no underscores, no digits of other scripts, which Python's int() takes.
        if len(text) > 20 or not _INTEGER.match(text) or not -bound <= int(text) < bound:
            raise option.refused(text, f"Not a number of type {option.kind}")
        return int(text)

    return parse


def _double(option: Option, text: str) -> Value:
    if not _DOUBLE.match(text) or not math.isfinite(float(text)):
        raise option.refused(text, "Not a number of type DOUBLE")
    return float(text)


def _boolean(option: Option, text: str) -> Value:
    if text.lower() not in {"true", "false"}:
        raise option.refused(text, "Expected value to be either true or false")
    return text.lower() == "true"


def _string(option: Option, text: str) -> Value:
    if option.allowed and text not in option.allowed:
        raise option.refused(text, f"String must be one of: {', '.join(option.allowed)}")
    return text


def _list(option: Option, text: str) -> Value:
    items = tuple(item.strip() for item in text.split(",")) if text else ()
    for item in items:
        if option.allowed and item not in option.allowed:
            raise option.refused(item, f"String must be one of: {', '.join(option.allowed)}")
    return items


_PARSERS: Mapping[Kind, Callable[[Option, str], Value]] = {
    Kind.INT: _integer(32),
    Kind.LONG: _integer(64),
    Kind.DOUBLE: _double,
    Kind.BOOLEAN: _boolean,
    Kind.STRING: _string,
    Kind.LIST: _list,
}


def unknown(what: str, name: str, known: Iterable[str]) -> InvalidConfig:
    """The refusal of a name that is none of `known`, with the nearest of them. `what` is whose."""
    near = get_close_matches(name[:100], list(known), n=1)
    hint = f"did you mean {near[0]}?" if near else "docs/configuration.md lists them"
    return InvalidConfig(f"Unknown {what} config name: {name[:100]}; {hint}")
