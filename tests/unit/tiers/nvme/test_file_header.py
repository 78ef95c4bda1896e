"""The header that every file of the WAL begins with."""

import pytest

from app.tiers.nvme import file_header
from app.tiers.nvme.file_header import SEGMENT, SIDECAR, FileHeader, WrittenByNewer, crc32c


def header() -> bytes:
    return file_header.pack(SEGMENT, sequence=9, kind=1, count=2, a=3, b=4, c=5, body_crc=6)


def sealed(raw: bytearray) -> bytes:
    raw[60:64] = crc32c(bytes(raw[:60])).to_bytes(4, "little")
    return bytes(raw)


def test_what_is_packed_is_parsed() -> None:
    assert len(header()) == file_header.HEADER_BYTES
    assert file_header.parse(header(), SEGMENT, "f") == FileHeader(1, 2, 9, 3, 4, 5, 6)


def test_any_damage_makes_it_no_header() -> None:
    for bit in range(8 * file_header.HEADER_BYTES):
        damaged = bytearray(header())
        damaged[bit // 8] ^= 1 << bit % 8
        assert file_header.parse(bytes(damaged), SEGMENT, "f") is None
    assert file_header.parse(header()[:-1], SEGMENT, "f") is None
    assert file_header.parse(header(), SIDECAR, "f") is None
    assert file_header.parse(bytes(64), SEGMENT, "f") is None


@pytest.mark.parametrize("at", [4, 12, 16])
def test_an_intact_header_that_asks_for_more_says_to_upgrade(at: int) -> None:
    """A newer version, an incompatible flag, a key."""
    newer = bytearray(header())
    newer[at] += 1
    with pytest.raises(WrittenByNewer, match=r"/data/f: .*written by a newer StreamBus: upgrade"):
        file_header.parse(sealed(newer), SEGMENT, "/data/f")


def test_a_compatible_flag_is_ignored() -> None:
    newer = bytearray(header())
    newer[8] = 0xFF
    assert file_header.parse(sealed(newer), SEGMENT, "f") is not None
