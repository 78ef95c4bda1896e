"""The first 64 bytes of every file that the WAL keeps: segments, sidecars, checkpoints.

Owns    the layout of that header and the promise of all versions: its CRC is in its last four
        bytes.
Never   guesses: a header whose CRC is wrong is no header; one that is right but newer is refused.
Trusts  nobody: what it reads may be rot, zeros, or the former life of a recycled file.
"""

import struct
from typing import NamedTuple

from crc32c import crc32c

from streambus.errors import Rejected

SEGMENT, SIDECAR, CHECKPOINT = b"SBWS", b"SBSC", b"SBCP"
VERSION = 1
HEADER_BYTES = 64
PLAIN_KEY_ID = 0  # bytes are not encrypted

# magic, version, kind, compatible flags, incompatible flags, key id, count, sequence, a, b, c, body
# CRC
_HEADER = struct.Struct("<4sHHIIIIQQQQI")
_CRC = struct.Struct("<I")
_CRC_AT = HEADER_BYTES - _CRC.size
_INCOMPATIBLE_KNOWN = 0


class WrittenByNewer(Rejected):
    """A file of a format that this version does not read. Nothing of it was touched."""

    code = 35


class FileHeader(NamedTuple):
    """What a kind of file means by `kind`, `entries`, `a`, `b` and `c` is said in docs/wal.md."""

    kind: int
    entries: int
    sequence: int
    a: int
    b: int
    c: int
    body_crc: int


def pack(
    magic: bytes,
    *,
    sequence: int,
    kind: int = 0,
    count: int = 0,
    a: int = 0,
    b: int = 0,
    c: int = 0,
    body_crc: int = 0,
) -> bytes:
    fields = _HEADER.pack(
        magic, VERSION, kind, 0, 0, PLAIN_KEY_ID, count, sequence, a, b, c, body_crc
    )
    return fields + _CRC.pack(crc32c(fields))


def parse(raw: bytes | memoryview, magic: bytes, path: str) -> FileHeader | None:
    """The header of a file of this kind, or None if these bytes are none (or damaged)."""
    if len(raw) < HEADER_BYTES or raw[:4] != magic:
        return None
    (crc,) = _CRC.unpack_from(raw, _CRC_AT)
    if crc32c(raw[:_CRC_AT]) != crc:
        return None
    _, version, kind, _, incompatible, key_id, count, sequence, a, b, c, body = _HEADER.unpack_from(
        raw
    )
    refuse_newer(path, version, incompatible, key_id)
    return FileHeader(kind, count, sequence, a, b, c, body)


def refuse_newer(path: str, version: int, incompatible: int, key_id: int) -> None:
    """Raise if intact bytes ask for what this version cannot do."""
    if version > VERSION or incompatible & ~_INCOMPATIBLE_KNOWN or key_id != PLAIN_KEY_ID:
        raise WrittenByNewer(
            f"{path}: format version {version} (flags {incompatible:#x}, key {key_id}) was "
            "written by a newer StreamBus: upgrade this broker, or start it on another directory"
        )
    if version < VERSION:
        raise WrittenByNewer(f"{path}: format version {version} is not known: never released")
