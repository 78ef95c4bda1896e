"""Reads of a replica: committed batches as bytes and file ranges, with what a Fetch answer states.

Owns    the checks of a fetch (role, leader epoch, range) and the choice of copy or file range.
Never   gives a byte at or above the high watermark; never blocks the loop.
Trusts  the WAL's slices to begin and end at the edges of batches.
"""

from collections.abc import Sequence
from functools import partial

from app import limits
from app.errors import (
    Corrupt,
    FencedLeaderEpoch,
    OffsetOutOfRange,
    StorageFailed,
    UnknownLeaderEpoch,
)
from app.model import NO_EPOCH
from app.partitions.replica import Replica
from app.partitions.shared import Shared
from app.telemetry import events
from app.tiers.nvme.segment import Segment
from app.tiers.nvme.wal import Slice
from app.world.ports import FileRange

READ_UNCOMMITTED, READ_COMMITTED = 0, 1

# Small pieces of a partition lie between those of others in the shared WAL. Reading over a gap of
# this much costs less than another call; a gathered read blocks the loop no longer than a turn of
# sending does.
GAP_BYTES_MAX = 8 * limits.KIB
GATHER_BYTES_MAX = 256 * limits.KIB

Part = bytes | FileRange
Pin = tuple[Segment, int]
"""A pinned segment, and the offset from which a later fetch proves that the range has been read."""


class ReadResult:
    """What one partition of a Fetch answers. With an `error` there are no parts.

    `parts` are to be sent in order (`length` bytes in all, of which `copied` are in memory);
    `is_cut` if there is more, which a limit left no room for. `pins` are already held, one for each
    file range lent: keep them by partition until this connection fetches
    the partition at or beyond the offset of each, or `release` a result that is not sent.
    """

    __slots__ = (
        "copied", "error", "high_watermark", "is_cut", "last_stable_offset", "length", "log_start",
        "parts", "pins",
    )  # fmt: skip

    def __init__(self, replica: Replica, error: int = 0) -> None:
        self.error = error
        self.high_watermark = replica.high_watermark
        # No transactions yet: everything committed is stable.
        self.last_stable_offset = replica.high_watermark
        self.log_start = replica.log_start
        self.parts: list[Part] = []
        self.length = 0
        self.copied = 0
        self.is_cut = False
        self.pins: list[Pin] = []

    def release(self) -> None:
        """Give the pins back: this result is not going to be sent."""
        for segment, _ in self.pins:
            segment.unpin()
        self.pins = []


def check(replica: Replica, current_leader_epoch: int) -> int:
    """Whether this replica answers reads at the epoch that the client knows (-1: it names none)."""
    if replica.read_error:
        return replica.read_error
    if current_leader_epoch != NO_EPOCH:
        if current_leader_epoch < replica.leader_epoch:
            return FencedLeaderEpoch.code
        if current_leader_epoch > replica.leader_epoch:
            return UnknownLeaderEpoch.code
    return 0


def try_read(
    replica: Replica,
    offset: int,
    bytes_max: int,
    isolation: int,
    *,
    at_least_one: bool,
    copies_max: int = limits.FETCH_COPIED_BYTES_MAX,
    current_leader_epoch: int = -1,
) -> ReadResult | None:
    """Read from `offset` up to `bytes_max`, whole batches, the first one that contains `offset`.

    None: the loop would block on the disk; `await read(...)` gives the same from the `reader`
    lane. With `at_least_one` the first batch comes however large it is (KIP-74: only for the first
    partition of a fetch that has anything), and one copy although `copies_max` bytes are used up.
    Empty at the high watermark: park it (waiting.py).
    """
    error = _refusal(replica, offset, current_leader_epoch)
    result = ReadResult(replica, error)
    if error or offset >= result.high_watermark or (bytes_max <= 0 and not at_least_one):
        return result
    try:
        slices = replica.shared.wal.try_slices(
            replica.key, offset, result.high_watermark, bytes_max, at_least_one
        )
        if slices is None or not _fill(result, _plan(slices, copies_max, at_least_one)):
            return None
    except UNREADABLE:
        return None  # `read` finds it too, and says so
    return result


async def read(
    replica: Replica,
    offset: int,
    bytes_max: int,
    isolation: int,
    *,
    at_least_one: bool,
    copies_max: int = limits.FETCH_COPIED_BYTES_MAX,
    current_leader_epoch: int = -1,
) -> ReadResult:
    """`try_read` that waits for the disk instead of giving up."""
    error = _refusal(replica, offset, current_leader_epoch)
    result = ReadResult(replica, error)
    if error or offset >= result.high_watermark or (bytes_max <= 0 and not at_least_one):
        return result
    try:
        slices = await replica.shared.wal.slices(
            replica.key, offset, result.high_watermark, bytes_max, at_least_one
        )
        # Meanwhile the log may have begun to start further on, or the role have ended: then what
        # was found does not begin where it was asked for.
        if error := _refusal(replica, offset, current_leader_epoch):
            return ReadResult(replica, error)
        planned = _plan(slices, copies_max, at_least_one)
        if not _fill(result, planned):
            await _fill_cold(result, planned, replica.shared)
    except UNREADABLE as failure:
        return ReadResult(replica, unreadable(replica, offset, failure))
    return result


UNREADABLE = (StorageFailed, Corrupt, OSError)


def unreadable(replica: Replica, offset: int, failure: Exception) -> int:
    """The disk did not give what the index promises: say so where an operator looks, and give the
    client the code with which it asks again, here or at another replica."""
    events.emit("read.failed", events.ERROR, partition=replica.key, offset=offset, error=failure)
    return StorageFailed.code


def _refusal(replica: Replica, offset: int, current_leader_epoch: int) -> int:
    error = check(replica, current_leader_epoch)
    # Between the high watermark and the written end a fetch is early, not out of range, as in
    # Kafka.
    if not error and not replica.log_start <= offset <= replica.log.end:
        return OffsetOutOfRange.code
    return error


class _Group:
    """Neighbouring small slices of one segment, read with one call."""

    __slots__ = ("end", "segment", "slices", "start")

    def __init__(self, first: Slice) -> None:
        self.segment = first.segment
        self.start = first.position
        self.end = first.position + first.length
        self.slices = [first]

    def takes(self, piece: Slice) -> bool:
        gap = piece.position - self.end
        return (
            piece.segment is self.segment
            and 0 <= gap <= GAP_BYTES_MAX
            and piece.position + piece.length - self.start <= GATHER_BYTES_MAX
        )

    def add(self, piece: Slice) -> None:
        self.end = piece.position + piece.length
        self.slices.append(piece)

    def cut(self, read: bytes) -> bytes:
        """The slices' own bytes out of what was read over them."""
        assert len(read) == self.end - self.start, "a segment ends before its index does"
        if len(self.slices) == 1:
            return read
        view = memoryview(read)
        start = self.start
        # One buffer costs a copy and saves the connection a queue of small ones.
        return b"".join(
            [
                view[each.position - start : each.position - start + each.length]
                for each in self.slices
            ]
        )


def _plan(slices: Sequence[Slice], copies_max: int, at_least_one: bool) -> "list[_Group | Slice]":
    """Large slices stay alone (file ranges); small neighbours join into groups, which are copies:
    as many as `copies_max` has room for."""
    planned: list[_Group | Slice] = []
    group: _Group | None = None
    for piece in slices:
        if piece.length >= limits.SMALL_READ_BYTES:
            planned.append(piece)
            group = None
            continue
        copies_max -= piece.length
        if copies_max < 0 and (planned or not at_least_one):
            break
        if group is not None and group.takes(piece):
            group.add(piece)
        else:
            group = _Group(piece)
            planned.append(group)
    return planned


def _fill(result: ReadResult, plan: "Sequence[_Group | Slice]") -> bool:
    """Parts from the page cache; False (and an untouched result) if some small piece is cold."""
    parts: list[Part] = []
    for planned in plan:
        if isinstance(planned, _Group):
            read = planned.segment.file.read_cached(planned.start, planned.end - planned.start)
            if read is None:
                return False
            parts.append(planned.cut(read))
        else:
            parts.append(FileRange(planned.segment.file, planned.position, planned.length))
    _finish(result, plan, parts)
    return True


async def _fill_cold(result: ReadResult, plan: "Sequence[_Group | Slice]", shared: Shared) -> None:
    """The same through the `reader` lane. Every segment is pinned while the lane reads it."""
    for planned in plan:
        planned.segment.pin()
    try:
        parts: list[Part] = []
        lane = shared.world.lane("reader")
        for planned in plan:
            if isinstance(planned, _Group):
                length = planned.end - planned.start
                read = await lane.run(partial(planned.segment.file.read, planned.start, length))
                parts.append(planned.cut(read))
            else:
                parts.append(FileRange(planned.segment.file, planned.position, planned.length))
        _finish(result, plan, parts)
    finally:
        for planned in plan:
            planned.segment.unpin()


def _finish(result: ReadResult, plan: "Sequence[_Group | Slice]", parts: list[Part]) -> None:
    lent = [planned for planned in plan if not isinstance(planned, _Group)]
    for piece in lent:
        piece.segment.pin()
    result.pins = [(piece.segment, piece.end_offset) for piece in lent]
    result.parts = parts
    result.copied = sum([len(part) for part in parts if not isinstance(part, FileRange)])
    result.length = result.copied + sum([piece.length for piece in lent])
    last = plan[-1] if plan else None
    end_offset = -1
    if last is not None:
        end_offset = last.slices[-1].end_offset if isinstance(last, _Group) else last.end_offset
    result.is_cut = end_offset < result.high_watermark
