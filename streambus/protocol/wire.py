"""Primitives of the Kafka wire format: a bounded cursor to read, small encoders to write.

Owns    integers, strings, uuids, varints, array counts and tagged fields in both encodings.
Never   reads beyond `end`, and never allocates by a count that the bytes there cannot hold.
Trusts  nothing that comes from outside: whatever is wrong is `Malformed`.
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from struct import error as StructError
from typing import TypeAlias

from streambus.errors import Malformed

__all__ = ["ENTRIES_MAX", "TAGS_MAX", "Malformed", "NodeEndpoint", "Reader", "StructError"]

ENTRIES_MAX = 200_000
"""Array elements in one message. An element may be 2 bytes on the wire and 200 in memory, so the
size of a frame does not bound what decoding it costs; no client names more than this at once."""

TAGS_MAX = 32
"""Tagged fields in one section (Kafka has 4): each costs a step of a loop for two bytes sent."""

INT8 = Struct(">b")
INT16 = Struct(">h")
INT32 = Struct(">i")
INT64 = Struct(">q")
UINT16 = Struct(">H")
UINT32 = Struct(">I")

_UVARINT_SMALL = tuple(bytes((value,)) for value in range(128))

NodeEndpoint: TypeAlias = tuple[int, str, int, str | None]
"""(node id, host, port, rack), as the tagged fields of KIP-951 carry it."""


def read_uvarint(view: memoryview, position: int) -> tuple[int, int]:
    """An unsigned varint of at most 32 bits and the position after it. IndexError past the end."""
    value = view[position]
    position += 1
    if value < 128:
        return value, position
    value &= 127
    for shift in (7, 14, 21, 28):
        byte = view[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value > 0xFFFFFFFF:
                break
            return value, position
    raise Malformed("a varint is longer than 32 bits")


def read_string(view: memoryview, position: int) -> tuple[str | None, int]:
    """A string with its size before it in two bytes, and the position after it: prove at last
    that it is not past the end, where a slice is silently short."""
    size: int = INT16.unpack_from(view, position)[0]
    start = position + 2
    if size >= 0:
        return str(view[start : start + size], "utf-8"), start + size
    if size == -1:
        return None, start
    raise Malformed(f"a string of {size} bytes")


def read_compact_string(view: memoryview, position: int) -> tuple[str | None, int]:
    """The same with a varint before it."""
    size = view[position]
    position += 1
    if size > 127:
        size, position = read_uvarint(view, position - 1)
    if size == 0:
        return None, position
    end = position + size - 1
    return str(view[position:end], "utf-8"), end


def skip_tags(view: memoryview, position: int, end: int) -> int:
    """The position after a section of tagged fields, none of which concerns us."""
    count, position = read_uvarint(view, position)
    if count > TAGS_MAX:
        raise Malformed(f"{count} tagged fields in one place")
    for _ in range(count):
        _, position = read_uvarint(view, position)
        size, position = read_uvarint(view, position)
        position += size
        if position > end:
            raise Malformed("a tagged field runs past the end of the message")
    return position


class Reader:
    """A cursor over `view[position:end]` for messages that are not on the hot path.

    `flexible` chooses the encoding (KIP-482), so that one decoder reads both.
    """

    __slots__ = ("end", "entries_left", "flexible", "position", "view")

    def __init__(self, view: memoryview, position: int, end: int, *, flexible: bool) -> None:
        if not 0 <= position <= end <= len(view):
            raise Malformed(f"{position}..{end} is not inside a message of {len(view)} bytes")
        self.view = view
        self.position = position
        self.end = end
        self.flexible = flexible
        self.entries_left = ENTRIES_MAX

    def take(self, size: int) -> memoryview:
        position = self.position
        end = position + size
        if size < 0 or end > self.end:
            raise Malformed(f"{size} bytes wanted at {position}, the message ends at {self.end}")
        self.position = end
        return self.view[position:end]

    def int8(self) -> int:
        value: int = INT8.unpack(self.take(1))[0]
        return value

    def int16(self) -> int:
        value: int = INT16.unpack(self.take(2))[0]
        return value

    def int32(self) -> int:
        value: int = INT32.unpack(self.take(4))[0]
        return value

    def int64(self) -> int:
        value: int = INT64.unpack(self.take(8))[0]
        return value

    def uint16(self) -> int:
        value: int = UINT16.unpack(self.take(2))[0]
        return value

    def uint32(self) -> int:
        value: int = UINT32.unpack(self.take(4))[0]
        return value

    def boolean(self) -> bool:
        return self.take(1)[0] != 0

    def uuid(self) -> bytes:
        return bytes(self.take(16))

    def uvarint(self) -> int:
        try:
            value, position = read_uvarint(self.view, self.position)
        except IndexError:
            raise Malformed("the message ends inside a varint") from None
        if position > self.end:
            raise Malformed("the message ends inside a varint")
        self.position = position
        return value

    def _size(self, wide: bool) -> int:
        """Size of a string (int16), of bytes or an array (int32), or compact; -1 is null."""
        if self.flexible:
            return self.uvarint() - 1
        return self.int32() if wide else self.int16()

    def nullable_name(self) -> bytes | None:
        """A string as the bytes it came in: cheap to look up, not yet proven to be UTF-8."""
        size = self._size(wide=False)
        return None if size == -1 else bytes(self.take(size))

    def name(self) -> bytes:
        name = self.nullable_name()
        if name is None:
            raise Malformed("a string is null that may not be")
        return name

    def nullable_string(self) -> str | None:
        size = self._size(wide=False)
        if size == -1:
            return None
        try:
            return str(self.take(size), "utf-8")
        except UnicodeDecodeError:
            raise Malformed("a string is not UTF-8") from None

    def string(self) -> str:
        value = self.nullable_string()
        if value is None:
            raise Malformed("a string is null that may not be")
        return value

    def nullable_bytes(self) -> memoryview | None:
        """Bytes or records, uncopied."""
        size = self._size(wide=True)
        return None if size == -1 else self.take(size)

    def nullable_count(self, entry_bytes_min: int = 1) -> int:
        """Elements of an array, -1 for null; Malformed if the bytes left cannot hold as many."""
        count = self._size(wide=True)
        if count == -1:
            return count
        if count < 0 or count * entry_bytes_min > self.end - self.position:
            raise Malformed(f"an array of {count} does not fit in what is left of the message")
        self.entries_left -= count
        if self.entries_left < 0:
            raise Malformed(f"more than {ENTRIES_MAX} array elements in one message")
        return count

    def count(self, entry_bytes_min: int = 1) -> int:
        count = self.nullable_count(entry_bytes_min)
        if count == -1:
            raise Malformed("an array is null that may not be")
        return count

    def tagged(self) -> Iterator[tuple[int, "Reader"]]:
        """(tag, cursor over its bytes) of each tagged field; exhaust it to move on."""
        if not self.flexible:
            return
        count = self.uvarint()
        if count > TAGS_MAX:
            raise Malformed(f"{count} tagged fields in one place")
        for _ in range(count):
            tag = self.uvarint()
            size = self.uvarint()
            start = self.position
            self.take(size)
            field = Reader(self.view, start, self.position, flexible=True)
            field.entries_left = self.entries_left
            yield tag, field
            self.entries_left = field.entries_left

    def skip_tagged(self) -> None:
        for _ in self.tagged():
            pass


def uvarint(value: int) -> bytes:
    if value < 128:
        return _UVARINT_SMALL[value]
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_name(name: bytes | None, *, flexible: bool) -> bytes:
    """A string that is already bytes."""
    if name is None:
        return b"\x00" if flexible else b"\xff\xff"
    return (uvarint(len(name) + 1) if flexible else INT16.pack(len(name))) + name


def encode_string(value: str | None, *, flexible: bool) -> bytes:
    return encode_name(None if value is None else value.encode(), flexible=flexible)


def encode_count(count: int, *, flexible: bool) -> bytes:
    """The count before an array; -1 is a null array."""
    return uvarint(count + 1) if flexible else INT32.pack(count)


def encode_tags(fields: Sequence[tuple[int, bytes]]) -> bytes:
    """A section of tagged fields, given in ascending order of tag."""
    if not fields:
        return b"\x00"
    parts = [uvarint(len(fields))]
    for tag, value in fields:
        parts += (uvarint(tag), uvarint(len(value)), value)
    return b"".join(parts)


def encode_endpoints(endpoints: Sequence[NodeEndpoint]) -> bytes:
    """The value of the NodeEndpoints tag of Produce and Fetch responses (KIP-951)."""
    parts = [uvarint(len(endpoints) + 1)]
    for node_id, host, port, rack in endpoints:
        parts += (
            INT32.pack(node_id),
            encode_string(host, flexible=True),
            INT32.pack(port),
            encode_string(rack, flexible=True),
            b"\x00",
        )
    return b"".join(parts)


def read_endpoints(field: Reader) -> list[NodeEndpoint]:
    endpoints: list[NodeEndpoint] = []
    for _ in range(field.count(11)):
        endpoints.append((field.int32(), field.string(), field.int32(), field.nullable_string()))
        field.skip_tagged()
    return endpoints
