"""Sidecars: the index of a sealed segment beside it, sorted by topic id, partition and offset.

Owns    the bytes of a sidecar (docs/wal.md): a directory, read at start; rows, read when asked for.
Never   is the truth: a sidecar that is missing or damaged is rebuilt from its segment.
Trusts  that a segment is sealed, so that its rows never change.
"""

import struct
import sys
from array import array
from typing import NamedTuple

from crc32c import crc32c

from app.errors import Corrupt
from app.model import PartitionKey, TopicId
from app.tiers.nvme import file_header
from app.tiers.nvme.index import Extent, Rows
from app.tiers.nvme.segment import SIDECAR_SUFFIX, Segment, write_file
from app.world.ports import Files

# topic id, partition, frames, chunks, CRC of the rows | start, end, bytes, newest timestamp,
# position of the rows in the sidecar
_EXTENT = struct.Struct("<16siIIIqqqqQ")
# topic id, partition, padding | offset from which older segments hold nothing (0: dropped); or HELD
_CUT = struct.Struct("<16sixxxxq")
HELD = -1  # the partition is quarantined for what is wrong here


class Directory(NamedTuple):
    last_block: int
    end: int
    """Where the segment's last block ends."""
    extents: list[Extent]
    cuts: dict[PartitionKey, int]
    holds: set[PartitionKey]


def write(
    files: Files, directory: str, segment: Segment, live: list[Extent], holds: set[PartitionKey]
) -> list[tuple[Extent, tuple[int, int, int, int]]]:
    """Write the sidecar of a sealed segment, durably: its live extents, and the partitions that it
    is
    held for. Gives the place of the rows of each extent: the caller sets it on the loop, and lets
    the rows go. On the `roll` lane."""
    extents = sorted(live, key=lambda extent: (extent.key, extent.start))
    cuts = sorted([*segment.cuts.items(), *((key, HELD) for key in holds)])
    position = file_header.HEADER_BYTES + _EXTENT.size * len(extents) + _CUT.size * len(cuts)
    position += -position % 8
    top, sections, places = [], [], []
    for extent in extents:
        rows = extent.rows
        assert rows is not None, extent
        section = _pack_rows(rows)
        place = (position, len(rows.base), len(rows.mark_base), crc32c(section))
        key = extent.key
        top.append(
            _EXTENT.pack(
                key.topic_id,
                key.partition,
                *place[1:],
                extent.start,
                extent.end,
                extent.bytes,
                extent.max_timestamp,
                position,
            )
        )
        sections.append(section)
        places.append((extent, place))
        position += len(section)
    for key, offset in cuts:
        top.append(_CUT.pack(key.topic_id, key.partition, offset))
    directory_bytes = b"".join(top)
    header = file_header.pack(
        file_header.SIDECAR,
        sequence=segment.sequence,
        count=len(extents),
        a=segment.last_block,
        b=segment.end,
        c=len(cuts),
        body_crc=crc32c(directory_bytes),
    )
    padding = bytes(-(len(header) + len(directory_bytes)) % 8)
    name = f"{segment.sequence:016x}{SIDECAR_SUFFIX}"
    write_file(files, directory, name, [header, directory_bytes, padding, *sections])
    return places


def load(files: Files, path: str, segment: Segment) -> Directory | None:
    """The directory of a segment's sidecar; None if there is none that can be believed."""
    try:
        file = files.open(path, writable=False)
    except FileNotFoundError:
        return None
    try:
        header = file_header.parse(
            file.read(0, file_header.HEADER_BYTES), file_header.SIDECAR, path
        )
        if header is None or header.sequence != segment.sequence:
            return None
        length = _EXTENT.size * header.entries + _CUT.size * header.c
        raw = file.read(file_header.HEADER_BYTES, length)
        if len(raw) != length or crc32c(raw) != header.body_crc:
            return None
        return _parse_directory(raw, header, segment)
    finally:
        file.close()


def _parse_directory(raw: bytes, header: file_header.FileHeader, segment: Segment) -> Directory:
    extents = []
    for i in range(header.entries):
        fields = _EXTENT.unpack_from(raw, i * _EXTENT.size)
        topic_id, partition, frames, marks, crc, start, end, size, newest, position = fields
        extent = Extent(PartitionKey(TopicId(topic_id), partition), segment, start, end)
        extent.bytes, extent.max_timestamp = size, newest
        extent.place = (position, frames, marks, crc)
        extents.append(extent)
    cuts = {}
    holds = set()
    for i in range(header.c):
        at = header.entries * _EXTENT.size + i * _CUT.size
        topic_id, partition, offset = _CUT.unpack_from(raw, at)
        key = PartitionKey(TopicId(topic_id), partition)
        if offset == HELD:
            holds.add(key)
        else:
            cuts[key] = offset
    return Directory(header.a, header.b, extents, cuts, holds)


def read_rows(files: Files, path: str, place: tuple[int, int, int, int]) -> Rows:
    """The rows of one extent. Raises `Corrupt` if they are not what was written. On a lane."""
    position, frames, marks, crc = place
    length = frames * Rows.FRAME_BYTES + marks * Rows.MARK_BYTES
    try:
        file = files.open(path, writable=False)
    except FileNotFoundError:
        raise Corrupt(f"{path}: the index of this segment is gone; a restart rebuilds it") from None
    try:
        raw = file.read(position, length)
    finally:
        file.close()
    if len(raw) != length or crc32c(raw) != crc:
        raise Corrupt(
            f"{path}: the index rows at {position} are damaged: move this file away and restart "
            "the broker, which rebuilds it from its segment"
        )
    rows = Rows()
    at = 0
    for names, count in ((Rows.FRAME_COLUMNS, frames), (Rows.MARK_COLUMNS, marks)):
        for name in names:
            column = array("q", raw[at : at + 8 * count])
            if sys.byteorder == "big":
                column.byteswap()
            setattr(rows, name, column)
            at += 8 * count
    return rows


def _pack_rows(rows: Rows) -> bytes:
    columns = [getattr(rows, name) for name in (*Rows.FRAME_COLUMNS, *Rows.MARK_COLUMNS)]
    if sys.byteorder == "big":
        columns = [array("q", column) for column in columns]
        for column in columns:
            column.byteswap()
    return b"".join(column.tobytes() for column in columns)
