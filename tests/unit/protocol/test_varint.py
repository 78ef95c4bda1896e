"""Zigzag varints, one at a time."""

import pytest

from streambus.errors import Malformed
from streambus.protocol import varint

KNOWN = {
    0: b"\x00",
    -1: b"\x01",
    1: b"\x02",
    63: b"\x7e",
    -64: b"\x7f",
    64: b"\x80\x01",
    300: b"\xd8\x04",
    2**31 - 1: b"\xfe\xff\xff\xff\x0f",
    -(2**31): b"\xff\xff\xff\xff\x0f",
    2**63 - 1: b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    -(2**63): b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
}


@pytest.mark.parametrize("value", KNOWN)
def test_known_values_are_written_and_read(value: int) -> None:
    assert varint.write(value) == KNOWN[value]
    assert varint.size(value) == len(KNOWN[value])
    padded = b"ab" + KNOWN[value] + b"\xff"
    end = 2 + len(KNOWN[value])
    assert varint.read(padded, 2, end, 64) == (value, end)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 16_383, 16_384, 2**32 - 1, 2**64 - 1])
def test_unsigned_values_come_back(value: int) -> None:
    written = varint.write_unsigned(value)
    assert varint.read_unsigned(written, 0, len(written), 64) == (value, len(written))


@pytest.mark.parametrize("written", [b"", b"\x80", b"\xff\xff\xff\xff"])
def test_a_varint_that_is_cut_off_says_so(written: bytes) -> None:
    with pytest.raises(varint.CutOff):
        varint.read(written + b"\x00", 0, len(written))


@pytest.mark.parametrize(
    ("written", "bits"),
    [
        (b"\xff\xff\xff\xff\x1f", 32),
        (b"\x80\x80\x80\x80\x80\x00", 32),
        (b"\x80\x80\x80\x80\x80", 32),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 64),
        (b"\x80" * 10 + b"\x00", 64),
    ],
)
def test_a_varint_beyond_its_type_is_malformed(written: bytes, bits: int) -> None:
    with pytest.raises(Malformed, match=f"longer than {bits} bits"):
        varint.read(written, 0, len(written), bits)


def test_a_varint_longer_than_need_be_is_read() -> None:
    assert varint.read(b"\x82\x80\x80\x80\x00", 0, 5) == (1, 5)
