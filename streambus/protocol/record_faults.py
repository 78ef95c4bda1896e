"""What can be wrong with a records section, numbered: compiled and plain codec say the same.

Owns    the numbers (the kernel reports them from where it cannot raise) and their words.
"""

from streambus.errors import Malformed

(
    NONE,
    SHORT,
    VARINT,
    RECORD_LENGTH,
    OFFSET_DELTA,
    FIELD_LENGTH,
    HEADER_COUNT,
    LEFT_OVER,
    OVERFLOW,
    COLUMN_OFFSETS,
    TOO_LARGE,
    CHANGED,
) = range(12)

_WORDS = {
    SHORT: "a field runs past the end",
    VARINT: "a varint is longer than its type allows",
    RECORD_LENGTH: "its length does not fit the section",
    OFFSET_DELTA: "its offset delta is not in 0..2^31-1",
    FIELD_LENGTH: "a key, value or header does not fit the record",
    HEADER_COUNT: "its header count does not fit the record",
    LEFT_OVER: "its length leaves bytes over",
    OVERFLOW: "its offset or timestamp does not fit 64 bits",
    COLUMN_OFFSETS: "the offsets of a column fall or run past its data",
    TOO_LARGE: "it takes more than 2^31-1 bytes",
    CHANGED: "its bytes changed while they were read",
}

SECTION_BYTES_MAX = 2**31 - 1  # lengths and Arrow offsets are int32
RECORD_BYTES_MIN = 7  # one byte each: length, attributes, two deltas, key, value, header count


def fault(index: int, number: int) -> Malformed:
    return Malformed(f"record {index}: {_WORDS[number]}")


def left_over(count: int, size: int) -> Malformed:
    return Malformed(f"{size} bytes left over after {count} records")


def check_count(count: int, section_bytes: int) -> None:
    """Nothing is made for records that the section cannot hold."""
    if section_bytes > SECTION_BYTES_MAX:
        raise Malformed(f"a records section of {section_bytes} bytes")
    if count < 0 or count * RECORD_BYTES_MIN > section_bytes:
        raise Malformed(f"{section_bytes} bytes cannot hold {count} records")


def column_short(name: str, size: int, needed: int) -> Malformed:
    return Malformed(f"column {name} has {size} bytes, {needed} are needed")
