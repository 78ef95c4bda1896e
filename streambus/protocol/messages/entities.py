"""Reads bytes from outside into kio's entities, by kio's schemas but not by kio's reader.

Owns    the compiled reader of each entity class, made once from its dataclass fields.
Never   allocates by a count before proving that the message can hold it.
Trusts  the dataclasses of kio 0.6.5; `test_entities.py` compares with kio's own reader.

kio's reader reserves room for as many elements as an array claims to have: seven bytes that claim
two billion abort the whole process ("memory allocation failed"), past every `except`. Its schemas
and its writer, which see only our own values, are good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from functools import cache
from types import UnionType
from typing import Any, TypeAlias, get_args, get_origin
from uuid import UUID

from kio.schema.errors import ErrorCode

from streambus.protocol.wire import Reader

FieldReader: TypeAlias = Callable[[Reader], Any]

_ERRORS: dict[int, ErrorCode] = {int(code): code for code in ErrorCode}
_NO_UUID = bytes(16)


def _read_uuid(reader: Reader) -> UUID | None:
    value = reader.uuid()
    return None if value == _NO_UUID else UUID(bytes=value)


def _read_error(reader: Reader) -> ErrorCode:
    code = reader.int16()
    # A peer newer than we are may know errors that we do not: still an error, just not by name.
    return _ERRORS.get(code, ErrorCode.unknown_server_error)


def _read_timedelta(reader: Reader) -> timedelta:
    return timedelta(milliseconds=reader.int32())


def _read_bytes(reader: Reader) -> bytes | None:
    value = reader.nullable_bytes()
    return None if value is None else bytes(value)


_PRIMITIVES: dict[str, FieldReader] = {
    "int8": Reader.int8,
    "int16": Reader.int16,
    "int32": Reader.int32,
    "int64": Reader.int64,
    "uint16": Reader.uint16,
    "uint32": Reader.uint32,
    "bool": Reader.boolean,
    "uuid": _read_uuid,
    "error_code": _read_error,
    "timedelta_i32": _read_timedelta,
}
_PRIMITIVE_BYTES_MIN = {"int8": 1, "bool": 1, "int16": 2, "int32": 4, "int64": 8, "uuid": 16}


def _is_optional(annotation: Any) -> bool:
    return get_origin(annotation) is UnionType and type(None) in get_args(annotation)


def _without_none(annotation: Any) -> Any:
    if not _is_optional(annotation):
        return annotation
    (inner,) = (part for part in get_args(annotation) if part is not type(None))
    return inner


def _field_reader(field: Field[Any]) -> FieldReader:
    annotation = _without_none(field.type)
    optional = _is_optional(field.type)
    if get_origin(annotation) is tuple:
        return _array_reader(annotation, field, optional=optional)
    if is_dataclass(annotation):
        read: FieldReader = entity_reader(annotation)  # type: ignore[arg-type]
        return _nullable_reader(read) if optional else read
    return _primitive_reader(field.metadata["kafka_type"], optional=optional)


def _nullable_reader(read: FieldReader) -> FieldReader:
    """A byte says whether the structure follows: it does not if that is negative (KIP-893)."""

    def read_nullable(reader: Reader) -> Any:
        return None if reader.int8() < 0 else read(reader)

    return read_nullable


def _primitive_reader(kafka_type: str, *, optional: bool) -> FieldReader:
    if kafka_type == "string":
        return Reader.nullable_string if optional else Reader.string
    return _PRIMITIVES[kafka_type]


def _array_reader(annotation: Any, field: Field[Any], *, optional: bool) -> FieldReader:
    element = get_args(annotation)[0]
    if is_dataclass(element):
        read = entity_reader(element)  # type: ignore[arg-type]
        bytes_min = 1
    else:
        kafka_type = field.metadata["kafka_type"]
        read = _primitive_reader(kafka_type, optional=False)
        bytes_min = _PRIMITIVE_BYTES_MIN.get(kafka_type, 1)

    def read_array(reader: Reader) -> tuple[Any, ...] | None:
        count = reader.nullable_count(bytes_min) if optional else reader.count(bytes_min)
        return None if count < 0 else tuple([read(reader) for _ in range(count)])

    return read_array


def _default(field: Field[Any]) -> Any:
    """What a tagged field means when it is absent."""
    if field.default is not MISSING:
        return field.default
    raise TypeError(f"the tagged field {field.name} has no default")


@cache
def entity_reader(entity_type: type[Any]) -> FieldReader:
    """A function that reads one `entity_type`; raises Malformed, and nothing else, on bad bytes."""
    plain: list[tuple[str, FieldReader]] = []
    tagged: dict[int, tuple[str, FieldReader]] = {}
    defaults: dict[str, Any] = {}
    for field in fields(entity_type):
        tag = field.metadata.get("tag")
        if tag is None:
            plain.append((field.name, _field_reader(field)))
        else:
            tagged[tag] = (field.name, _tagged_reader(field))
            defaults[field.name] = _default(field)

    def read_entity(reader: Reader) -> Any:
        values = dict(defaults)
        for name, read in plain:
            values[name] = read(reader)
        for tag, value in reader.tagged():
            known = tagged.get(tag)
            if known is not None:
                values[known[0]] = known[1](value)
        return entity_type(**values)

    return read_entity


def _tagged_reader(field: Field[Any]) -> FieldReader:
    """A tagged field that is there is never null, whatever its annotation: absence says null."""
    annotation = _without_none(field.type)
    if is_dataclass(annotation):
        return entity_reader(annotation)  # type: ignore[arg-type]
    if get_origin(annotation) is tuple:
        return _field_reader(field)
    return _primitive_reader(field.metadata["kafka_type"], optional=False)
