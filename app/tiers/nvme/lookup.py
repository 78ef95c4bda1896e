"""Look-ups in the index that end at exact batch edges: slices for readers, first places for
timestamps.

Owns    the walk over extents and rows, the scan of batch headers at the two edges, the rows in
        memory.
Never   blocks the loop: what is not in memory or the page cache raises `Cold`, and says what to
        warm.
Trusts  the index to be changed only on the loop, and rows of a sealed segment never to change.
"""

import struct
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from app.errors import StorageFailed
from app.limits import INDEX_EVERY_BYTES, SIDECAR_ROWS_BYTES_MAX
from app.tiers.nvme.index import Extent, PartitionIndex, Rows
from app.tiers.nvme.segment import Segment
from streambus.protocol.batch import HEADER_BYTES, LENGTH_PREFIX

_SCAN_BYTES = 2 * INDEX_EVERY_BYTES
SLICES_MAX = 512  # of one look-up: the loop does no more at once, and the rest is asked for again
# Base offset, length, last offset delta, newest timestamp: all that an edge needs of a batch.
_read_edge = struct.Struct(">qi11xi8xq").unpack_from


class Slice(NamedTuple):
    """Whole batches of one partition that stand one after another in a segment's file."""

    segment: Segment
    position: int
    length: int
    base_offset: int
    end_offset: int


class Cold(Exception):
    """Not an error: it says what has to be read first.

    `extent`: its rows are only in the sidecar; else `length` bytes of `segment` at `position`."""

    def __init__(
        self, extent: Extent | None, segment: Segment, position: int = 0, length: int = 0
    ) -> None:
        super().__init__()
        self.extent, self.segment = extent, segment
        self.position, self.length = position, length


class Lookup:
    """Holds rows of sealed segments, the least recently used given up above a bound; and for one
    asynchronous look-up at a time, what the `reader` lane has read for it (`warm`)."""

    def __init__(self, bytes_max: int = SIDECAR_ROWS_BYTES_MAX) -> None:
        self._held: OrderedDict[Extent, None] = OrderedDict()
        self._bytes = 0
        self._bytes_max = bytes_max

    def hold(self, extent: Extent, rows: Rows) -> None:
        """Rows read from a sidecar."""
        if extent.rows is not None:
            return
        extent.rows = rows
        self._held[extent] = None
        self._bytes += rows.bytes_held
        while self._bytes > self._bytes_max and len(self._held) > 1:
            oldest, _ = self._held.popitem(last=False)
            assert oldest.rows is not None
            self._bytes -= oldest.rows.bytes_held
            oldest.rows = None

    def adopt(self, extent: Extent) -> None:
        """Rows that a sidecar holds now: from here on they may be given up."""
        rows, extent.rows = extent.rows, None
        if rows is not None and extent.is_live:
            self.hold(extent, rows)

    def slices(
        self,
        partition: PartitionIndex,
        offset: int,
        end_max: int,
        bytes_max: int,
        at_least_one: bool,
        warm: "Warm",
    ) -> list[Slice]:
        """From the batch that holds `offset` to the last batch edge at or below `end_max` and
        within
        `bytes_max`; with `at_least_one` the first batch whatever its size. Empty if there is
        none."""
        slices: list[Slice] = []
        taken = 0
        extents = partition.extents
        for i in range(partition.find(offset), len(extents)):
            extent = extents[i]
            limit = min(end_max, extent.end)
            if extent.start >= limit:
                break
            rows = self._rows(extent, warm)
            segment = extent.segment
            row, after = rows.span(max(offset, extent.start), limit)
            while row < after:
                if len(slices) >= SLICES_MAX or (taken >= bytes_max and slices):
                    return slices
                base, row_end = rows.base[row], rows.end[row]
                start = position = rows.position[row]
                end = position + rows.length[row]
                if offset > base:
                    start, base = _seek(segment, rows, row, offset, warm)
                stop = row_end
                if row_end > limit or end - start > bytes_max - taken:
                    room = bytes_max - taken
                    first = at_least_one and not slices
                    end, stop = _edge(segment, rows, row, (start, base), limit, room, first, warm)
                if end > start:
                    slices.append(Slice(segment, start, end - start, base, stop))
                    taken += end - start
                if stop < min(row_end, limit):
                    return slices  # no room for the next batch
                row += 1
            offset = extent.end
        return slices

    def first_in_time(
        self, partition: PartitionIndex, timestamp_ms: int, start: int, end: int, warm: "Warm"
    ) -> Slice | None:
        """The first frame, from the batch that holds `start` on, in which a batch below `end` may
        have
        a record at or after `timestamp_ms`, from its first such chunk on."""
        extents = partition.extents
        for i in range(partition.find(start), len(extents)):
            extent = extents[i]
            limit = min(end, extent.end)
            if extent.start >= limit:
                break
            if extent.max_timestamp < timestamp_ms:
                continue
            rows = self._rows(extent, warm)
            for row in range(*rows.span(max(start, extent.start), limit)):
                if rows.timestamp[row] >= timestamp_ms:
                    bounds = (start, limit)
                    found = self._chunk(extent, rows, row, timestamp_ms, bounds, warm)
                    if found is not None:
                        return found
        return None

    def newest_in_time(
        self, partition: PartitionIndex, start: int, end: int, warm: "Warm"
    ) -> tuple[int, Slice] | None:
        """(timestamp, batch) of the newest batch of `start`..`end` by the headers, the first of
        equals.

        Looks at the newest extents, frames and chunks first: what cannot be better needs no
        look."""
        best = _NOTHING
        extents = [e for e in partition.extents if e.end > start and e.start < end]
        for extent in sorted(extents, key=lambda extent: -extent.max_timestamp):
            if not best.may_be_beaten(extent.max_timestamp, extent.start):
                continue
            rows = self._rows(extent, warm)
            bounds = (start, min(end, extent.end))
            span = range(*rows.span(max(start, extent.start), bounds[1]))
            for row in sorted(span, key=lambda row: -rows.timestamp[row]):
                if not best.may_be_beaten(rows.timestamp[row], rows.base[row]):
                    continue
                for chunk in sorted(_chunks(rows, row), key=lambda chunk: -chunk.timestamp):
                    if best.may_be_beaten(chunk.timestamp, chunk.base):
                        best = _newest(extent.segment, chunk, best, bounds, warm)
        return None if best.piece is None else (best.timestamp, best.piece)

    def _chunk(
        self,
        extent: Extent,
        rows: Rows,
        row: int,
        timestamp_ms: int,
        bounds: tuple[int, int],
        warm: "Warm",
    ) -> Slice | None:
        start, limit = bounds
        segment = extent.segment
        for chunk in _chunks(rows, row):
            if chunk.timestamp < timestamp_ms or chunk.end_offset <= start:
                continue
            position, base = chunk.position, chunk.base
            if base >= limit:
                return None
            if start > base:
                position, base = _seek(segment, rows, row, start, warm)
            end, stop = rows.position[row] + rows.length[row], rows.end[row]
            if stop > limit:
                room = end - position
                end, stop = _edge(segment, rows, row, (position, base), limit, room, False, warm)
            return Slice(segment, position, end - position, base, stop) if end > position else None
        return None

    def _rows(self, extent: Extent, warm: "Warm") -> Rows:
        rows = extent.rows or warm.rows.get(extent)
        if rows is None:
            raise Cold(extent, extent.segment)
        if extent in self._held:
            self._held.move_to_end(extent)
        return rows


class Warm:
    """Bytes that a lane has read for one look-up, so that it ends whatever the page cache keeps."""

    __slots__ = ("_read", "rows")

    def __init__(self) -> None:
        self.rows: dict[Extent, Rows] = {}
        self._read: dict[tuple[int, int, int], bytes] = {}

    def put(self, cold: Cold, read: bytes) -> None:
        self._read[cold.segment.sequence, cold.position, cold.length] = read

    def read(self, segment: Segment, position: int, length: int) -> bytes:
        read = self._read.get((segment.sequence, position, length)) if self._read else None
        if read is None:
            try:
                read = segment.file.read_cached(position, length)
            except OSError as error:
                raise StorageFailed(f"{segment.path}: reading failed: {error}") from error
            if read is None:
                raise Cold(None, segment, position, length)
        return read


class _Chunk(NamedTuple):
    base: int
    position: int
    timestamp: int
    end_offset: int
    end_position: int


def _chunks(rows: Rows, row: int) -> list[_Chunk]:
    """The chunks of a frame, of which a short one has one."""
    base, end_offset = rows.base[row], rows.end[row]
    position = rows.position[row]
    end = position + rows.length[row]
    first, after = rows.marks(base, end_offset)
    if first == after:
        return [_Chunk(base, position, rows.timestamp[row], end_offset, end)]
    chunks = []
    for mark in range(first, after):
        is_last = mark + 1 == after
        chunks.append(
            _Chunk(
                rows.mark_base[mark],
                rows.mark_position[mark],
                rows.mark_timestamp[mark],
                end_offset if is_last else rows.mark_base[mark + 1],
                end if is_last else rows.mark_position[mark + 1],
            )
        )
    return chunks


class _Newest(NamedTuple):
    """The newest batch so far, of equals the one at the lowest offset."""

    timestamp: int
    base: int
    piece: Slice | None

    def may_be_beaten(self, timestamp: int, base: int) -> bool:
        """By batches that are no newer than this, and begin no lower."""
        return timestamp > self.timestamp or (timestamp == self.timestamp and base < self.base)


_NOTHING = _Newest(-1, 1 << 63, None)
"""A batch without a time (-1) is newer than this; one of before 1970 is not, as in Kafka."""


def _newest(
    segment: Segment, chunk: _Chunk, best: _Newest, bounds: tuple[int, int], warm: Warm
) -> _Newest:
    """The best of a chunk's batches within `bounds`, if it is better than `best`."""
    start, limit = bounds
    for position, length, base, after, timestamp in _batches(
        segment, chunk.position, chunk.end_position, warm
    ):
        if start < after <= limit and best.may_be_beaten(timestamp, base):
            best = _Newest(timestamp, base, Slice(segment, position, length, base, after))
    return best


def _seek(segment: Segment, rows: Rows, row: int, offset: int, warm: Warm) -> tuple[int, int]:
    """(position, base offset) of the batch of this frame that holds `offset`, or the next above
    it."""
    position, base, row_end = rows.position[row], rows.base[row], rows.end[row]
    end = position + rows.length[row]
    first, after = rows.marks(base, row_end)
    mark = bisect_right(rows.mark_base, offset, first, after) - 1
    if mark >= first:
        position = rows.mark_position[mark]
    for at, _, batch_base, batch_end, _ in _batches(segment, position, end, warm):
        if batch_end > offset:
            return at, batch_base
    return end, row_end


def _edge(
    segment: Segment,
    rows: Rows,
    row: int,
    start: tuple[int, int],
    limit: int,
    room: int,
    first: bool,
    warm: Warm,
) -> tuple[int, int]:
    """(position, offset) after the last batch that ends at or below `limit` and within `room` of
    `start`; with `first`, the batch at `start` needs no room."""
    begin, offset = start
    end = rows.position[row] + rows.length[row]
    marked, after = rows.marks(rows.base[row], rows.end[row])
    mark = min(
        bisect_right(rows.mark_base, limit, marked, after),
        bisect_right(rows.mark_position, begin + room, marked, after),
    )
    position = begin
    if mark > marked and rows.mark_position[mark - 1] > begin:
        position, offset = rows.mark_position[mark - 1], rows.mark_base[mark - 1]
    for at, length, base, batch_end, _ in _batches(segment, position, end, warm):
        fits = at + length - begin <= room or (first and at == begin)
        if base >= limit:
            return position, limit  # the rest of this frame was cut off
        if batch_end > limit or not fits:
            return position, offset
        position, offset = at + length, batch_end
    return position, min(limit, rows.end[row])


def _batches(
    segment: Segment, position: int, end: int, warm: Warm
) -> Iterator[tuple[int, int, int, int, int]]:
    """(position, length, base offset, end offset, newest timestamp) of each batch up to `end`."""
    read = b""
    read_at = position
    while position < end:
        at = position - read_at
        if at + HEADER_BYTES > len(read):
            read = warm.read(segment, position, min(_SCAN_BYTES, end - position))
            read_at, at = position, 0
        base, length, delta, timestamp = _read_edge(read, at)
        length += LENGTH_PREFIX
        yield position, length, base, base + delta + 1, timestamp
        position += length
