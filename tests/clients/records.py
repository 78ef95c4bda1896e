"""The records of the scenario, and how two clients' readings of them are compared."""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
START_MS = 1_700_000_000_000
MIB = 1 << 20


def noise(size: int) -> bytes:
    """Bytes that no codec makes smaller, the same in every run."""
    blocks = (hashlib.sha256(b"%d" % each).digest() for each in range(size // 32 + 1))
    return b"".join(blocks)[:size]


@dataclass(frozen=True)
class Sent:
    """A record as a client sends it, and as every client must read it."""

    name: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = field(default=())
    timestamp: int | None = None


RECORDS = (
    Sent("plain", b"key", b"value"),
    Sent("null key", None, b"no key"),
    Sent("null value", b"no value", None),
    Sent("empty value", b"no bytes", b""),
    Sent("empty key", b"", b"empty key"),
    Sent("letters", "ключ".encode(), "значение".encode() * 100, (("ü", "þ".encode()),)),
    Sent("zeroes", b"zeroes", bytes(range(256)) * 16),
    Sent("one header", b"h1", b"v", (("a", b"1"),)),
    Sent("empty header", b"h2", b"v", (("a", b"1"), ("empty", b""))),
)
# What some clients cannot say or read: kept apart.
ODD_HEADERS = (
    Sent("repeated header", b"h3", b"v", (("a", b"1"), ("a", b"2"), ("b", b"3"))),
    Sent("unsorted headers", b"h4", b"v", (("b", b"1"), ("a", b"2"))),
    Sent("null header", b"h5", b"v", (("a", b"1"), ("none", None))),
    Sent("binary header", b"h6", b"v", (("binary", b"\x00\xff\x00"),)),
)


def stamped(records: Iterable[Sent], start_ms: int = START_MS) -> tuple[Sent, ...]:
    """The same records, 10 ms apart."""
    return tuple(
        Sent(each.name, each.key, each.value, each.headers, start_ms + 10 * at)
        for at, each in enumerate(records)
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def as_json(record: Sent) -> dict[str, Any]:
    """A record as a `produce` names it and a `read` answers it."""
    return {
        "key": _text(record.key),
        "value": _text(record.value),
        "headers": [[name, _text(value)] for name, value in record.headers],
        "timestamp": record.timestamp,
    }


def content(read: dict[str, Any], timestamps: bool = True) -> dict[str, Any]:
    """What a record says, without where it lies."""
    names = ("key", "value", "headers", "timestamp") if timestamps else ("key", "value", "headers")
    return {name: read[name] for name in names}


def digest(records: Sequence[dict[str, Any]]) -> str:
    """One number for what records say, in their order, but for timestamps: kcat cannot set them."""
    said = [[each["key"], each["value"], each["headers"]] for each in records]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()
