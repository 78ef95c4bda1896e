"""The records of the client scenario, and what a client must read back."""

from dataclasses import dataclass, field

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True)
class Sent:
    """One record as a client sends it, and must get it back."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = field(default=())
    timestamp_ms: int = 0


START_MS = 1_700_000_000_000

RECORDS = (
    Sent(b"key", b"value", (), START_MS),
    Sent(None, b"no key", (), START_MS + 1),
    Sent(b"no value", None, (), START_MS + 2),
    Sent(b"", b"", (), START_MS + 3),
    Sent(b"headers", b"v", (("a", b"1"), ("a", b"2"), ("empty", b"")), START_MS + 4),
    Sent("ключ".encode(), "значение".encode() * 100, (("ü", b"\x00\xff"),), START_MS + 5),
    Sent(b"one MiB", bytes(range(256)) * 4_000, (), START_MS + 6),
)
