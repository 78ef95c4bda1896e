"""The five codecs of a records section, each bounded in what it may unpack to.

Owns    Kafka's framing of each codec, and the bound: a bomb is refused before its result is built.
Never   trusts a size that the bytes declare: declared sizes only refuse earlier.

Libraries load at the first use of their codec: a broker that never unpacks does not pay for them.
"""

import zlib

from streambus.errors import Malformed
from streambus.protocol.columns import Buffer

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
NAMES = ("none", "gzip", "snappy", "lz4", "zstd")

DECOMPRESSED_BYTES_MAX = 128 << 20

_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER = _XERIAL + b"\x00\x00\x00\x01\x00\x00\x00\x01"  # version, oldest readable
_XERIAL_BLOCK_BYTES = 32 << 10  # Java's default
# The densest element of raw snappy is a copy of 64 bytes in 3: no honest size is above this ratio.
_SNAPPY_RATIO_MAX = 22

_PIECE_BYTES = 1 << 20
# A frame after the first is fed in slices: each ended frame copies what is left of its slice, and a
# section of a thousand tiny frames must not copy itself a thousand times.
_SLICE_BYTES = 4 << 10

_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_SKIPPABLE = 0x184D2A50  # sixteen magics, the low four bits free
# What zstd's own decoder allows: a frame of level 22 needs it. It is touched only as it fills.
_ZSTD_WINDOW_BYTES_MAX = 128 << 20


def compress(codec: int, section: Buffer, level: int | None = None) -> bytes:
    """The section as Kafka's Java clients would frame it."""
    if codec == GZIP:
        deflate = zlib.compressobj(-1 if level is None else level, zlib.DEFLATED, 31)
        return deflate.compress(section) + deflate.flush()
    if codec == LZ4:
        import lz4.frame

        # Java's reader takes no block that depends on another (KIP-57).
        return bytes(
            lz4.frame.compress(
                section,
                compression_level=0 if level is None else level,
                block_size=lz4.frame.BLOCKSIZE_MAX64KB,
                block_linked=False,
                store_size=False,
            )
        )
    if codec == ZSTD:
        import zstandard

        return zstandard.ZstdCompressor(level=3 if level is None else level).compress(section)
    if codec == SNAPPY:
        return _xerial(section)
    assert codec == NONE, codec
    return bytes(section)


def decompress(codec: int, section: Buffer, bytes_max: int = DECOMPRESSED_BYTES_MAX) -> bytes:
    """What the section unpacks to: Malformed if that is more than `bytes_max` or does not parse."""
    if codec == GZIP:
        return _gunzip(section, bytes_max)
    if codec == LZ4:
        return _unpack_lz4(section, bytes_max)
    if codec == ZSTD:
        return _unpack_zstd(section, bytes_max)
    if codec == SNAPPY:
        return _unpack_snappy(section, bytes_max)
    if codec != NONE:
        raise Malformed(f"codec {codec} is not known")
    if len(section) > bytes_max:
        raise _too_large(NONE, bytes_max)
    return bytes(section)


def _too_large(codec: int, bytes_max: int) -> Malformed:
    return Malformed(f"{NAMES[codec]} section unpacks to more than {bytes_max} bytes")


def _bad(codec: int, reason: object) -> Malformed:
    return Malformed(f"{NAMES[codec]} section does not unpack: {reason}")


def _gunzip(section: Buffer, bytes_max: int) -> bytes:
    view = memoryview(section)
    pieces: list[bytes] = []
    left = bytes_max
    position, slice_bytes = 0, len(view)
    while position < len(view) or not pieces:
        inflate = zlib.decompressobj(31)
        while not inflate.eof:
            fed = view[position : position + slice_bytes]
            if not fed:
                raise _bad(GZIP, "it ends early")
            try:
                # One byte more than is allowed tells a full result from one that goes on.
                piece = inflate.decompress(fed, left + 1)
            except zlib.error as error:
                raise _bad(GZIP, error) from None
            left -= len(piece)
            if left < 0:
                raise _too_large(GZIP, bytes_max)
            pieces.append(piece)
            position += len(fed) - len(inflate.unused_data)
        slice_bytes = _SLICE_BYTES
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _unpack_lz4(section: Buffer, bytes_max: int) -> bytes:
    import lz4.frame

    view = memoryview(section)
    pieces: list[bytes] = []
    left = bytes_max
    position, slice_bytes = 0, len(view)
    while position < len(view) or not pieces:
        unpack = lz4.frame.LZ4FrameDecompressor()
        while not unpack.eof:
            fed: Buffer = b""
            if unpack.needs_input:
                fed = view[position : position + slice_bytes]
                position += len(fed)
                if not fed:
                    raise _bad(LZ4, "it ends early")
            try:
                piece = unpack.decompress(fed, max_length=min(left + 1, _PIECE_BYTES))
            except RuntimeError as error:
                raise _bad(LZ4, error) from None
            left -= len(piece)
            if left < 0:
                raise _too_large(LZ4, bytes_max)
            pieces.append(piece)
        position -= len(unpack.unused_data or b"")
        slice_bytes = _SLICE_BYTES
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _unpack_zstd(section: Buffer, bytes_max: int) -> bytes:
    import zstandard

    declared = _zstd_declared(memoryview(section))
    if declared > bytes_max:
        raise _too_large(ZSTD, bytes_max)
    unpack = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
    pieces: list[bytes] = []
    left = bytes_max
    try:
        with unpack.stream_reader(section, read_across_frames=True) as reader:
            while piece := reader.read(min(left + 1, _PIECE_BYTES)):
                left -= len(piece)
                if left < 0:
                    raise _too_large(ZSTD, bytes_max)
                pieces.append(piece)
    except zstandard.ZstdError as error:
        raise _bad(ZSTD, error) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _zstd_declared(view: memoryview) -> int:
    """The sizes that the frames declare, summed, having walked to the end of the last.

    The library's reader takes a frame that was cut off for one that ended, so the frames (RFC 8878
    section 3.1.1) are walked here: header, blocks, checksum, each within the section.
    """
    position, declared, end = 0, 0, len(view)
    while position < end or position == 0:
        magic = int.from_bytes(view[position : position + 4], "little")
        if magic & ~0xF == _ZSTD_SKIPPABLE:
            position += 8 + int.from_bytes(view[position + 4 : position + 8], "little")
        elif magic == _ZSTD_MAGIC and position + 5 < end:
            size, position = _zstd_frame(view, position + 4)
            declared += size
        else:
            raise _bad(ZSTD, "no frame where one should start")
        if position > end:
            raise _bad(ZSTD, "it ends early")
    return declared


def _zstd_frame(view: memoryview, position: int) -> tuple[int, int]:
    """(declared size or 0, position after it) of the frame whose descriptor is at `position`."""
    descriptor = view[position]
    single_segment = descriptor >> 5 & 1
    size_bytes = (single_segment, 2, 4, 8)[descriptor >> 6]
    position += 1 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3]
    declared = int.from_bytes(view[position : position + size_bytes], "little")
    if size_bytes == 2:
        declared += 256
    position += size_bytes
    block = 0
    while not block & 1:
        if position + 3 > len(view):
            raise _bad(ZSTD, "it ends early")
        block = int.from_bytes(view[position : position + 3], "little")
        # A block of one repeated byte states how often, and carries it once.
        position += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
    return declared, position + (4 if descriptor & 4 else 0)


def _xerial(section: Buffer) -> bytes:
    """Snappy in the frame of xerial's Java library, which Kafka's Java clients read and write."""
    import cramjam

    view = memoryview(section)
    pieces: list[bytes] = [_XERIAL_HEADER]
    for position in range(0, len(view), _XERIAL_BLOCK_BYTES):
        block = bytes(cramjam.snappy.compress_raw(view[position : position + _XERIAL_BLOCK_BYTES]))
        pieces.append(len(block).to_bytes(4, "big"))
        pieces.append(block)
    return b"".join(pieces)


def _unpack_snappy(section: Buffer, bytes_max: int) -> bytes:
    import cramjam

    # librdkafka writes one raw block, Java writes xerial's frame. A raw block cannot begin with its
    # magic: the first element would copy from before the start.
    view = memoryview(section)
    blocks = _xerial_blocks(view) if view[: len(_XERIAL)] == _XERIAL else [view]
    sizes = [_snappy_size(block) for block in blocks]
    if sum(sizes) > bytes_max:
        raise _too_large(SNAPPY, bytes_max)
    unpacked = bytearray(sum(sizes))
    into = memoryview(unpacked)
    position = 0
    for block, size in zip(blocks, sizes, strict=True):
        try:
            cramjam.snappy.decompress_raw_into(block, into[position : position + size])
        except cramjam.DecompressionError as error:
            raise _bad(SNAPPY, error) from None
        position += size
    return bytes(unpacked)


def _xerial_blocks(view: memoryview) -> list[memoryview]:
    blocks: list[memoryview] = []
    position = 0
    while position < len(view):
        # Streams may follow one another, each with its header.
        if view[position : position + len(_XERIAL)] == _XERIAL:
            position += len(_XERIAL_HEADER)
            if position > len(view):
                raise _bad(SNAPPY, "it ends early")
            continue
        size = int.from_bytes(view[position : position + 4], "big")
        position += 4
        if position + size > len(view):
            raise _bad(SNAPPY, "it ends early")
        blocks.append(view[position : position + size])
        position += size
    return blocks


def _snappy_size(block: memoryview) -> int:
    """The size that a raw block declares, if the block could unpack to it."""
    size = 0
    for index, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if size > _SNAPPY_RATIO_MAX * len(block):
                raise _bad(SNAPPY, f"{len(block)} bytes cannot hold {size}")
            return size
    raise _bad(SNAPPY, "its size is not a varint")
