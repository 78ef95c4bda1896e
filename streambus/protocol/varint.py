"""Varints as records use them: zigzag, little groups of seven bits (Protocol Buffers' encoding).

Owns    reading and writing one varint; the record codecs inline the same rules.
Never   accepts more bytes than the type can need, nor a value beyond the type.

An encoding longer than it had to be, but no longer than the type allows, is accepted, as in Java.
"""

from streambus.errors import Malformed
from streambus.protocol.columns import Buffer


class CutOff(Malformed):
    """The varint goes on past the end of the bytes."""


def read_unsigned(view: Buffer, position: int, end: int, bits: int = 32) -> tuple[int, int]:
    """(value, position after it) of the unsigned varint that lies in position..end."""
    value = shift = 0
    while position < end:
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if value >> bits:
                break
            return value, position
        if shift >= bits:
            break
    else:
        raise CutOff("a varint runs past the end")
    raise Malformed(f"a varint is longer than {bits} bits")


def read(view: Buffer, position: int, end: int, bits: int = 32) -> tuple[int, int]:
    """(value, position after it) of the zigzag varint at `position`."""
    value, position = read_unsigned(view, position, end, bits)
    return (value >> 1) ^ -(value & 1), position


def write_unsigned(value: int) -> bytes:
    assert value >= 0, value
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def write(value: int) -> bytes:
    """The zigzag varint of a value of up to 64 bits."""
    assert -(1 << 63) <= value < 1 << 63, value
    return write_unsigned((value << 1) ^ (value >> 63))


def size(value: int) -> int:
    """How many bytes `write(value)` takes."""
    return max(1, (((value << 1) ^ (value >> 63)).bit_length() + 6) // 7)
