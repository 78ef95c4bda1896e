"""The codecs: there and back, what other libraries write, and bombs that are not built."""

import gzip
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import cramjam
import lz4.frame
import pytest
import zstandard

from streambus.errors import Malformed
from streambus.protocol import compression
from streambus.protocol.compression import GZIP, LZ4, NONE, SNAPPY, ZSTD

MIB = 1 << 20
TEXT = b"".join(b'{"user": %d, "seen": %d}' % (n % 97, n * n % 1013) for n in range(9_000))
SECTIONS = {
    "nothing": b"",
    "a byte": b"a",
    "text": TEXT,
    "zeros": bytes(300_000),
    "noise": bytes((n * n * 31 + n // 7 * 131) & 0xFF for n in range(70_000)),
}
CODECS = pytest.mark.parametrize("codec", range(5), ids=compression.NAMES)
REAL_CODECS = pytest.mark.parametrize("codec", range(1, 5), ids=compression.NAMES[1:])


@CODECS
@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_comes_back(codec: int, name: str) -> None:
    section = SECTIONS[name]
    packed = compression.compress(codec, memoryview(section))
    for view in (packed, bytearray(packed), memoryview(b"x" + packed)[1:]):
        assert compression.decompress(codec, view, len(section)) == section


@CODECS
@pytest.mark.parametrize("name", ["a byte", "text", "zeros"])
def test_one_byte_above_the_bound_is_malformed(codec: int, name: str) -> None:
    section = SECTIONS[name]
    packed = compression.compress(codec, section)
    with pytest.raises(Malformed, match="unpacks to more than"):
        compression.decompress(codec, packed, len(section) - 1)


@REAL_CODECS
@pytest.mark.parametrize("name", ["a byte", "text"])
def test_a_section_that_was_cut_is_malformed_wherever_it_was_cut(codec: int, name: str) -> None:
    packed = compression.compress(codec, SECTIONS[name])
    # An xerial stream is whole after its header: such a cut leaves an empty one.
    whole = {16} if codec == SNAPPY else set()
    step = max(1, len(packed) // 61)
    if codec == SNAPPY and name == "text":
        blocks, position = set(), 16
        while position < len(packed):
            blocks.add(position)
            position += 4 + int.from_bytes(packed[position : position + 4], "big")
        whole = blocks
    for end in [*range(0, len(packed), step), len(packed) - 1]:
        if end not in whole:
            with pytest.raises(Malformed):
                compression.decompress(codec, packed[:end], MIB)


@REAL_CODECS
def test_noise_is_malformed(codec: int) -> None:
    for packed in (b"", b"\0", b"not compressed at all", bytes(64), b"\xff" * 64):
        if codec == SNAPPY and packed in (b"\0", bytes(64)):
            continue  # the raw block of nothing
        with pytest.raises(Malformed):
            compression.decompress(codec, packed, MIB)


def test_a_level_is_used() -> None:
    for codec, fast, small in ((GZIP, 1, 9), (LZ4, 0, 12), (ZSTD, 1, 19)):
        packed = compression.compress(codec, TEXT, small)
        assert packed != compression.compress(codec, TEXT, fast)
        assert compression.decompress(codec, packed, MIB) == TEXT


def test_an_unknown_codec_is_malformed_to_read_and_our_bug_to_write() -> None:
    for codec in (5, 6, 7, -1):
        with pytest.raises(Malformed):
            compression.decompress(codec, b"", 10)
        with pytest.raises(AssertionError):
            compression.compress(codec, b"")


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD, SNAPPY])
def test_members_and_frames_that_follow_one_another_are_one_section(codec: int) -> None:
    packed = compression.compress(codec, TEXT) * 3
    assert compression.decompress(codec, packed, 3 * len(TEXT)) == TEXT * 3
    with pytest.raises(Malformed):
        compression.decompress(codec, packed, 3 * len(TEXT) - 1)
    with pytest.raises(Malformed):
        compression.decompress(codec, packed + b"garbage", MIB)


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD])
def test_thousands_of_tiny_frames_are_read(codec: int) -> None:
    packed = compression.compress(codec, b"x") * 20_000
    assert compression.decompress(codec, packed, 20_000) == b"x" * 20_000


# ---- what others write


def test_gzip_of_other_writers_is_read() -> None:
    for packed in (gzip.compress(TEXT), gzip.compress(TEXT, 1, mtime=1)):
        assert compression.decompress(GZIP, packed, MIB) == TEXT
    assert gzip.decompress(compression.compress(GZIP, TEXT)) == TEXT


def test_zlib_and_raw_deflate_are_not_gzip() -> None:
    with pytest.raises(Malformed):
        compression.decompress(GZIP, zlib.compress(TEXT), MIB)


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("content_checksum", [True, False])
@pytest.mark.parametrize("store_size", [True, False])
def test_lz4_frames_of_every_kind_are_read(
    linked: bool, content_checksum: bool, store_size: bool
) -> None:
    packed = lz4.frame.compress(
        TEXT,
        block_linked=linked,
        content_checksum=content_checksum,
        block_checksum=content_checksum,
        store_size=store_size,
    )
    assert compression.decompress(LZ4, packed, MIB) == TEXT


def test_lz4_is_framed_as_java_can_read_it() -> None:
    """KIP-57: version 1, independent blocks, no dictionary; blocks of 64 KiB as Java's own."""
    packed = compression.compress(LZ4, TEXT)
    assert packed[:4] == b"\x04\x22\x4d\x18"
    flags, blocks = packed[4], packed[5]
    assert flags >> 6 == 1
    assert flags & 0x20, "blocks depend on one another"
    assert not flags & 0x01, "a dictionary is named"
    assert blocks == 0x40


def test_zstd_without_its_size_is_read() -> None:
    """Java streams: the frame does not say what it unpacks to."""
    for parameters in ({}, {"write_checksum": True}, {"level": 19}, {"write_content_size": False}):
        stream = zstandard.ZstdCompressor(**parameters).compressobj()
        packed = stream.compress(TEXT) + stream.flush()
        assert zstandard.frame_content_size(packed) == -1
        assert compression.decompress(ZSTD, packed, MIB) == TEXT


def test_zstd_frames_that_carry_nothing_are_skipped() -> None:
    skipped = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"
    packed = skipped + compression.compress(ZSTD, TEXT) + skipped
    assert compression.decompress(ZSTD, packed, MIB) == TEXT
    with pytest.raises(Malformed, match="ends early"):
        compression.decompress(ZSTD, packed[:-1], MIB)


def test_snappy_is_written_as_java_writes_it() -> None:
    packed = compression.compress(SNAPPY, TEXT)
    assert packed[:16] == b"\x82SNAPPY\0\0\0\0\1\0\0\0\1"
    size = int.from_bytes(packed[16:20], "big")
    first = bytes(cramjam.snappy.decompress_raw(packed[20 : 20 + size]))
    assert first == TEXT[: 32 << 10]


def test_raw_snappy_is_read() -> None:
    """librdkafka writes the block alone."""
    packed = bytes(cramjam.snappy.compress_raw(TEXT))
    assert compression.decompress(SNAPPY, packed, MIB) == TEXT
    with pytest.raises(Malformed):
        compression.decompress(SNAPPY, packed, len(TEXT) - 1)


def test_xerial_blocks_of_any_size_are_read() -> None:
    packed = b"\x82SNAPPY\0\0\0\0\1\0\0\0\1"
    for start, end in ((0, 5), (5, 5), (5, 200_000), (200_000, len(TEXT))):
        block = bytes(cramjam.snappy.compress_raw(TEXT[start:end]))
        packed += len(block).to_bytes(4, "big") + block
    assert compression.decompress(SNAPPY, packed, MIB) == TEXT


@pytest.mark.parametrize(
    "tail",
    [b"\0\0\0", b"\0\0\0\x05ab", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x82SNAPPY\0\0"],
)
def test_an_xerial_block_that_is_not_there_is_malformed(tail: bytes) -> None:
    with pytest.raises(Malformed):
        compression.decompress(SNAPPY, compression.compress(SNAPPY, b"abc") + tail, MIB)


# ---- bombs


def zstd_bomb(declares: bool) -> bytes:
    packer = zstandard.ZstdCompressor()
    if declares:
        return packer.compress(bytes(200 * MIB))
    stream = packer.compressobj()
    return b"".join([*(stream.compress(bytes(MIB)) for _ in range(200)), stream.flush()])


def snappy_bomb(blocks: int) -> bytes:
    block = bytes(cramjam.snappy.compress_raw(bytes(MIB)))
    framed = len(block).to_bytes(4, "big") + block
    return b"\x82SNAPPY\0\0\0\0\1\0\0\0\1" + framed * blocks


BOMBS: dict[str, tuple[int, Callable[[], bytes]]] = {
    "gzip": (GZIP, lambda: gzip.compress(bytes(200 * MIB), 1)),
    "gzip members": (GZIP, lambda: gzip.compress(bytes(MIB)) * 200),
    "lz4": (LZ4, lambda: lz4.frame.compress(bytes(200 * MIB))),
    "lz4 frames": (LZ4, lambda: lz4.frame.compress(bytes(MIB)) * 200),
    "zstd with its size": (ZSTD, lambda: zstd_bomb(True)),
    "zstd without its size": (ZSTD, lambda: zstd_bomb(False)),
    "zstd frames": (ZSTD, lambda: zstandard.compress(bytes(MIB)) * 200),
    "snappy": (SNAPPY, lambda: bytes(cramjam.snappy.compress_raw(bytes(200 * MIB)))),
    "xerial": (SNAPPY, lambda: snappy_bomb(200)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_built(name: str) -> None:
    codec, pack = BOMBS[name]
    bomb = pack()
    bound = 4 * MIB
    compression.decompress(codec, compression.compress(codec, b"loads the library"), 100)
    tracemalloc.start()
    try:
        with pytest.raises(Malformed, match="unpacks to more than"):
            compression.decompress(codec, bomb, bound)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # What was unpacked up to the bound, and once more to grow it: never the 200 MiB.
    assert peak < 3 * bound + len(bomb), f"{peak} bytes"


def test_a_size_that_its_bytes_cannot_hold_is_refused_at_once() -> None:
    for block in (b"\xff\xff\xff\xff\x07", b"\x80\x80\x80\x40\x00", b"\xe8\x07\x00"):
        with pytest.raises(Malformed, match="cannot hold"):
            compression.decompress(SNAPPY, block, 2**31)
    with pytest.raises(Malformed, match="not a varint"):
        compression.decompress(SNAPPY, b"\xff\xff\xff\xff\xff\x01", 2**31)
    # A zstd frame that declares 2**62 bytes.
    with pytest.raises(Malformed, match="more than"):
        frame = b"\x28\xb5\x2f\xfd\xc0\x58" + (2**62).to_bytes(8, "little") + b"\x01\x00\x00"
        compression.decompress(ZSTD, frame, MIB)


def test_a_zstd_window_above_the_limit_is_refused() -> None:
    # Descriptor without sizes, window 2**41; one raw block of a byte.
    frame = b"\x28\xb5\x2f\xfd\x00\xf8\x09\x00\x00a"
    with pytest.raises(Malformed):
        compression.decompress(ZSTD, frame, MIB)


def test_a_zstd_window_of_the_limit_is_read_and_the_next_larger_is_not() -> None:
    # RFC 8878: no declared size, 1 << 10 + (window >> 3), eighths more; one raw block of one byte.
    frame = b"\x28\xb5\x2f\xfd\x00%c\x09\x00\x00x"
    assert compression.decompress(ZSTD, frame % (17 << 3), 1) == b"x"
    with pytest.raises(Malformed, match="does not unpack"):
        compression.decompress(ZSTD, frame % (17 << 3 | 1), 1)


def test_libraries_load_at_the_first_use_of_their_codec() -> None:
    program = (
        "import sys; from streambus.protocol import compression as c;"
        "c.decompress(1, c.compress(1, b'x'), 9);"
        "print(sorted({'lz4', 'zstandard', 'cramjam'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_no_codec_is_bounded_alike() -> None:
    assert compression.decompress(NONE, b"abc", 3) == b"abc"
    with pytest.raises(Malformed):
        compression.decompress(NONE, b"abcd", 3)
