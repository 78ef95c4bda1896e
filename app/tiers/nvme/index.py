"""Where each partition's batches are: extents by offset, and in them the frames and their chunks.

Owns    flat arrays per extent; the order by offset, whatever the order in the files; what a cut
        removes.
Never   reads a file: rows of a sealed segment come from its sidecar when someone asks (lookup.py).
Trusts  that live ranges of one partition never overlap (an overlap raises `Corrupt`).

An extent is a run of one partition's frames in one segment, `start` <= offset < `end`. Its rows may
reach beyond these bounds (what was cut is not forgotten one by one): every look-up clips to them.
"""

from array import array
from bisect import bisect_left, bisect_right

from app.errors import Corrupt
from app.model import PartitionKey
from app.tiers.nvme.block import Frame
from app.tiers.nvme.segment import Segment


class Rows:
    """Frames (base, end, position, length, newest timestamp), and the chunks of those that have
    more
    than one (base, position, newest timestamp). Sorted by base offset."""

    __slots__ = (
        "base",
        "end",
        "length",
        "mark_base",
        "mark_position",
        "mark_timestamp",
        "position",
        "timestamp",
    )

    FRAME_COLUMNS = ("base", "end", "position", "length", "timestamp")
    MARK_COLUMNS = ("mark_base", "mark_position", "mark_timestamp")
    FRAME_BYTES, MARK_BYTES = 8 * len(FRAME_COLUMNS), 8 * len(MARK_COLUMNS)

    def __init__(self) -> None:
        self.base = array("q")
        self.end = array("q")
        self.position = array("q")
        self.length = array("q")
        self.timestamp = array("q")
        self.mark_base = array("q")
        self.mark_position = array("q")
        self.mark_timestamp = array("q")

    @property
    def bytes_held(self) -> int:
        return len(self.base) * self.FRAME_BYTES + len(self.mark_base) * self.MARK_BYTES

    def add(self, frame: Frame) -> None:
        position = frame.position
        self.base.append(frame.base_offset)
        self.end.append(frame.end_offset)
        self.position.append(position)
        self.length.append(frame.length)
        self.timestamp.append(frame.max_timestamp)
        marks = frame.marks
        for i in range(0, len(marks), 3):
            self.mark_base.append(marks[i])
            self.mark_position.append(position + marks[i + 1])
            self.mark_timestamp.append(marks[i + 2])

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The rows that hold offsets from `start` up to `end`."""
        first = max(bisect_right(self.base, start) - 1, 0)
        if first < len(self.end) and self.end[first] <= start:
            first += 1
        return first, max(bisect_left(self.base, end), first)

    def marks(self, base: int, end: int) -> tuple[int, int]:
        """The chunks of the frame with these bounds; none if it is one chunk."""
        return bisect_left(self.mark_base, base), bisect_left(self.mark_base, end)


class Extent:
    """`place` is (position, frames, marks, CRC) of its rows in the sidecar once that is written;
    `rows` may then be None. `bytes` counts whole frames."""

    __slots__ = (
        "bytes",
        "end",
        "is_growing",
        "is_live",
        "key",
        "max_timestamp",
        "place",
        "rows",
        "segment",
        "start",
    )

    def __init__(self, key: PartitionKey, segment: Segment, start: int, end: int) -> None:
        self.key = key
        self.segment = segment
        self.start = start
        self.end = end
        self.bytes = 0
        self.max_timestamp = -1
        self.rows: Rows | None = None
        self.place: tuple[int, int, int, int] | None = None
        self.is_growing = False
        self.is_live = True

    def __repr__(self) -> str:
        return f"Extent({self.key} {self.start}..{self.end} in {self.segment.sequence:#x})"

    def cut(self, offset: int) -> None:
        """No offset from `offset` on; what is appended later begins another extent."""
        self.is_growing = False
        if offset >= self.end:
            return
        self.end = offset
        rows = self.rows
        if rows is not None:  # without rows the old sums stay, as upper bounds
            first, after = rows.span(self.start, offset)
            self.bytes = sum(rows.length[first:after])
            self.max_timestamp = max(rows.timestamp[first:after], default=-1)

    def forget(self) -> None:
        """This extent is in no index any more."""
        assert self.is_live, self
        self.is_live = False
        self.segment.extents_live -= 1


class PartitionIndex:
    """One partition's extents, sorted by offset. `start`: below it nothing is looked for."""

    __slots__ = ("extents", "start")

    def __init__(self) -> None:
        self.extents: list[Extent] = []
        self.start = 0

    def find(self, offset: int) -> int:
        """The position of the first extent that ends above `offset`."""
        i = bisect_right(self.extents, offset, key=_start_of)
        return i - 1 if i and self.extents[i - 1].end > offset else i


def _start_of(extent: Extent) -> int:
    return extent.start


class Index:
    """All partitions of the WAL."""

    def __init__(self) -> None:
        self.partitions: dict[PartitionKey, PartitionIndex] = {}

    def of(self, key: PartitionKey) -> PartitionIndex:
        partition = self.partitions.get(key)
        if partition is None:
            partition = self.partitions[key] = PartitionIndex()
        return partition

    def add(self, segment: Segment, frame: Frame) -> None:
        """A frame of batches that stands in `segment` at `frame.position`."""
        partition = self.of(frame.key)
        extents = partition.extents
        if extents:
            last = extents[-1]
            if frame.base_offset == last.end and last.is_growing and last.segment is segment:
                rows = last.rows
                assert rows is not None
                rows.add(frame)
                last.end = frame.end_offset
                last.bytes += frame.length
                last.max_timestamp = max(last.max_timestamp, frame.max_timestamp)
                return
        extent = Extent(frame.key, segment, frame.base_offset, frame.end_offset)
        extent.rows = Rows()
        extent.rows.add(frame)
        extent.bytes = frame.length
        extent.max_timestamp = frame.max_timestamp
        extent.is_growing = True
        self.insert(extent)

    def insert(self, extent: Extent) -> None:
        """An extent goes where its offsets belong."""
        extents = self.of(extent.key).extents
        i = bisect_right(extents, extent.start, key=_start_of)
        if i and extents[i - 1].end > extent.start:
            raise Corrupt(f"{extent} overlaps {extents[i - 1]}")
        if i < len(extents) and extents[i].start < extent.end:
            raise Corrupt(f"{extent} overlaps {extents[i]}")
        extents.insert(i, extent)
        extent.segment.extents.append(extent)
        extent.segment.extents_live += 1

    def cut(self, key: PartitionKey, offset: int) -> None:
        """Nothing at or above `offset` exists any more."""
        partition = self.partitions.get(key)
        if partition is None:
            return
        extents = partition.extents
        while extents and extents[-1].start >= offset:
            extents.pop().forget()
        if extents:
            extents[-1].cut(offset)

    def start_moved(self, key: PartitionKey, offset: int) -> None:
        """Nothing below `offset` is read any more: whole extents go."""
        partition = self.of(key)
        partition.start = max(partition.start, offset)
        extents = partition.extents
        gone = 0
        while gone < len(extents) and extents[gone].end <= partition.start:
            extents[gone].forget()
            gone += 1
        del extents[:gone]

    def drop(self, key: PartitionKey) -> None:
        partition = self.partitions.pop(key, None)
        if partition is not None:
            for extent in partition.extents:
                extent.forget()

    def end(self, key: PartitionKey) -> int | None:
        """The end of the newest extent, None where there is none."""
        partition = self.partitions.get(key)
        return partition.extents[-1].end if partition and partition.extents else None

    def hole(self, key: PartitionKey, start: int, end: int) -> tuple[int, int] | None:
        """The first offsets of `start`..`end` that stand nowhere."""
        partition = self.partitions.get(key)
        at = start
        for extent in partition.extents if partition else ():
            if extent.start > at:
                return at, min(extent.start, end)
            at = max(at, extent.end)
        return (at, end) if at < end else None
