"""Messages as plain dictionaries, by the JSON schemas that come with kafka-python.

Nothing here is shared with the broker's codecs: what they write is read by other rules. Field
names are the schemas' own. A reply must be used up to its last byte.
"""

import json
import re
import struct
import uuid
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NAMES = {
    "Produce": 0,
    "Fetch": 1,
    "ListOffsets": 2,
    "Metadata": 3,
    "FindCoordinator": 10,
    "ApiVersions": 18,
    "CreateTopics": 19,
    "DeleteTopics": 20,
    "DeleteRecords": 21,
    "InitProducerId": 22,
    "OffsetForLeaderEpoch": 23,
    "DescribeConfigs": 32,
    "AlterConfigs": 33,
    "DescribeLogDirs": 35,
    "CreatePartitions": 37,
    "IncrementalAlterConfigs": 44,
    "DescribeCluster": 60,
    "DescribeProducers": 61,
    "ListConfigResources": 74,
    "DescribeTopicPartitions": 75,
}
OF_KEY = {key: name for name, key in NAMES.items()}
INTEGERS = {
    "int8": ">b",
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "float64": ">d",
}
CLIENT_ID = "diff"
FOREVER = 1 << 15

Message = dict[str, Any]


@cache
def versions_of(text: str) -> range:
    """`3+`, `0-12`, `4` and `none`."""
    if text == "none":
        return range(0)
    first, dash, last = text.removesuffix("+").partition("-")
    if text.endswith("+"):
        return range(int(first), FOREVER)
    return range(int(first), int(last if dash else first) + 1)


@dataclass(frozen=True)
class Schema:
    fields: list[Message]
    valid: range
    flexible: range


@cache
def _resources() -> Path:
    spec = find_spec("kafka")
    assert spec is not None and spec.origin is not None, "kafka-python is not installed"
    return Path(spec.origin).parent / "protocol/schemas/resources"


@cache
def schema_of(name: str) -> Schema:
    text = (_resources() / f"{name}.json").read_text()
    loaded = json.loads(re.sub(r"(?m)^\s*//.*$", "", text))
    shared = {each["name"]: each["fields"] for each in loaded.get("commonStructs", ())}
    return Schema(
        _complete(loaded["fields"], shared),
        versions_of(loaded["validVersions"]),
        versions_of(loaded["flexibleVersions"]),
    )


def _complete(fields: list[Message], shared: dict[str, list[Message]]) -> list[Message]:
    """Fields of structs that the schema describes once, put where they are used."""
    for field in fields:
        inner = field.setdefault("fields", shared.get(field["type"].removeprefix("[]"), []))
        _complete(inner, shared)
    return fields


def is_in(field: Message, key: str, version: int) -> bool:
    return version in versions_of(field.get(key, "none"))


def is_tagged(field: Message, version: int) -> bool:
    return is_in(field, "taggedVersions", version)


def default_of(field: Message, version: int) -> Any:
    kind, default = field["type"], field.get("default")
    if default == "null" or (default is None and kind == "records"):
        return None
    if kind.startswith("[]"):
        return []
    if kind == "string":
        return default or ""
    if kind == "bytes":
        return b""
    if kind == "bool":
        return str(default).lower() == "true"
    if kind == "uuid":
        return uuid.UUID(int=0)
    if kind in INTEGERS:
        return int(str(default), 0) if default not in (None, "") else 0
    return {}


class Writer:
    """Writes one message of `version`; what the body leaves out has the schema's default."""

    def __init__(self, version: int, flexible: bool) -> None:
        self.version, self.flexible, self.out = version, flexible, bytearray()

    def varint(self, value: int) -> None:
        while value > 127:
            self.out.append(value & 127 | 128)
            value >>= 7
        self.out.append(value)

    def length(self, size: int | None, narrow: str) -> None:
        """`None` is null."""
        if self.flexible:
            self.varint(0 if size is None else size + 1)
        else:
            self.out += struct.pack(narrow, -1 if size is None else size)

    def message(self, fields: list[Message], body: Message) -> None:
        unknown = set(body) - {field["name"] for field in fields}
        assert not unknown, f"no such fields: {unknown}"
        present = [field for field in fields if is_in(field, "versions", self.version)]
        for field in present:
            if not is_tagged(field, self.version):
                given = body.get(field["name"], default_of(field, self.version))
                self.value(field, field["type"], given)
        if not self.flexible:
            return
        tagged = [f for f in present if is_tagged(f, self.version) and f["name"] in body]
        self.varint(len(tagged))
        for field in sorted(tagged, key=lambda field: int(field["tag"])):
            inner = Writer(self.version, True)
            inner.value(field, field["type"], body[field["name"]])
            self.varint(int(field["tag"]))
            self.varint(len(inner.out))
            self.out += inner.out

    def value(self, field: Message, kind: str, value: Any) -> None:
        if kind.startswith("[]"):
            self.length(None if value is None else len(value), ">i")
            for each in value or ():
                self.value({"fields": field.get("fields"), "type": kind[2:]}, kind[2:], each)
        elif kind in ("string", "bytes", "records"):
            sent = value.encode() if isinstance(value, str) else value
            self.length(None if sent is None else len(sent), ">h" if kind == "string" else ">i")
            self.out += sent or b""
        elif kind == "bool":
            self.out.append(1 if value else 0)
        elif kind == "uuid":
            self.out += value.bytes
        elif kind in INTEGERS:
            self.out += struct.pack(INTEGERS[kind], value)
        elif is_in(field, "nullableVersions", self.version):
            self.out += b"\xff" if value is None else b"\x01"
            if value is not None:
                self.message(field["fields"], value)
        else:
            self.message(field["fields"], value)


class Unreadable(ValueError):
    """A reply that its schema does not describe."""


class Reader:
    def __init__(self, source: bytes, version: int, flexible: bool) -> None:
        self.source, self.at = source, 0
        self.version, self.flexible = version, flexible

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.source):
            raise Unreadable(f"{size} bytes at {self.at} of {len(self.source)}")
        self.at += size
        return self.source[self.at - size : self.at]

    def integer(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def length(self, narrow: str) -> int | None:
        size = self.varint() - 1 if self.flexible else int(self.integer(narrow))
        return None if size < 0 else size

    def message(self, fields: list[Message]) -> Message:
        read: Message = {}
        present = [field for field in fields if is_in(field, "versions", self.version)]
        tagged = {int(f["tag"]): f for f in present if is_tagged(f, self.version)}
        for field in present:
            if not is_tagged(field, self.version):
                read[field["name"]] = self.value(field, field["type"])
        if self.flexible:
            for _ in range(self.varint()):
                tag, size = self.varint(), self.varint()
                end = self.at + size
                if tag not in tagged:
                    raise Unreadable(f"unknown tag {tag}")
                read[tagged[tag]["name"]] = self.value(tagged[tag], tagged[tag]["type"])
                if self.at != end:
                    raise Unreadable(f"tag {tag} has {size} bytes, read {self.at - end + size}")
        return read

    def value(self, field: Message, kind: str) -> Any:
        if kind.startswith("[]"):
            count = self.length(">i")
            inner = {"fields": field.get("fields"), "type": kind[2:]}
            return None if count is None else [self.value(inner, kind[2:]) for _ in range(count)]
        if kind in ("string", "bytes", "records"):
            size = self.length(">h" if kind == "string" else ">i")
            taken = None if size is None else self.take(size)
            return taken.decode() if kind == "string" and taken is not None else taken
        if kind == "bool":
            return bool(self.take(1)[0])
        if kind == "uuid":
            return uuid.UUID(bytes=self.take(16))
        if kind in INTEGERS:
            return self.integer(INTEGERS[kind])
        if is_in(field, "nullableVersions", self.version) and self.integer(">b") < 0:
            return None
        return self.message(field["fields"])


def encode(name: str, version: int, body: Message, correlation: int = 7) -> bytes:
    """A whole request frame without its size."""
    schema = schema_of(f"{name}Request")
    writer = Writer(version, version in schema.flexible)
    writer.out += struct.pack(">hhih", NAMES[name], version, correlation, len(CLIENT_ID))
    writer.out += CLIENT_ID.encode()
    if writer.flexible:
        writer.varint(0)
    writer.message(schema.fields, body)
    return bytes(writer.out)


def request_of(frame: bytes) -> tuple[str, int]:
    key, version = struct.unpack_from(">hh", frame)
    return OF_KEY.get(key, f"api {key}"), version


def decode_request(frame: bytes) -> Message:
    """What was asked, for a person to read."""
    name, version = request_of(frame)
    schema = schema_of(f"{name}Request")
    reader = Reader(frame, version, version in schema.flexible)
    reader.take(8)
    reader.take(max(0, reader.integer(">h")))
    if reader.flexible:
        reader.varint()
    return reader.message(schema.fields)


def decode(name: str, version: int, frame: bytes, correlation: int = 7) -> Message:
    """A whole reply frame without its size."""
    schema = schema_of(f"{name}Response")
    reader = Reader(frame, version, version in schema.flexible)
    echoed = reader.integer(">i")
    if echoed != correlation:
        raise Unreadable(f"correlation id {echoed}")
    # ApiVersions alone keeps the oldest header, so that any client can read it.
    if reader.flexible and name != "ApiVersions":
        reader.varint()
    read = reader.message(schema.fields)
    if reader.at != len(frame):
        raise Unreadable(f"{len(frame) - reader.at} bytes after the message")
    return read
