"""Which offset: by timestamp, by special name, or where a leader epoch ended.

Owns    the answers of ListOffsets and OffsetForLeaderEpoch for one replica.
Never   answers from a batch's header alone: timestamps are found record by record.
Trusts  the WAL's index to name the first piece that may hold a timestamp.
"""

from functools import partial
from typing import NamedTuple

from app.errors import UnsupportedVersion
from app.partitions.read import UNREADABLE, check, unreadable
from app.partitions.replica import Replica
from app.tiers.nvme.wal import Slice
from streambus.protocol import batch, records

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING = range(-1, -7, -1)

NOTHING = -1


class Located(NamedTuple):
    """One partition of a ListOffsets answer; -1 where there is no such offset."""

    error: int = 0
    timestamp: int = NOTHING
    offset: int = NOTHING
    leader_epoch: int = NOTHING


class EpochEnd(NamedTuple):
    """One partition of an OffsetForLeaderEpoch answer."""

    error: int = 0
    leader_epoch: int = NOTHING
    end_offset: int = NOTHING


async def list_offsets(
    replica: Replica, timestamp: int, isolation: int, current_leader_epoch: int = -1
) -> Located:
    """The offset that `timestamp` (or one of Kafka's negative names for it) means now.

    Which names a version of the API knows is the caller's concern. Without an object tier nothing
    is tiered, so "latest tiered" and "earliest pending upload" are answered with no offset, as
    Kafka does.
    """
    if error := check(replica, current_leader_epoch):
        return Located(error)
    if timestamp == LATEST:
        # Under read_committed this is the last stable offset: the same until there are
        # transactions.
        return Located(0, NOTHING, replica.high_watermark, replica.leader_epoch)
    if timestamp in (EARLIEST, EARLIEST_LOCAL):
        start = replica.log_start
        return Located(0, NOTHING, start, replica.log.epochs.epoch_at(start))
    if timestamp in (LATEST_TIERED, EARLIEST_PENDING):
        return Located()
    if timestamp < 0 and timestamp != MAX_TIMESTAMP:
        return Located(UnsupportedVersion.code)
    try:
        if timestamp == MAX_TIMESTAMP:
            return await _latest_in_time(replica)
        return await _first_at_or_after(replica, timestamp)
    except UNREADABLE as failure:
        return Located(unreadable(replica, replica.log_start, failure))


def end_of_epoch(replica: Replica, epoch: int, current_leader_epoch: int = -1) -> EpochEnd:
    """Where `epoch` ended in this log (KIP-101, KIP-279): a client compares it with its
    position."""
    if error := check(replica, current_leader_epoch):
        return EpochEnd(error)
    found, end_offset = replica.log.end_offset_for(epoch)
    # The written end is nobody's business before it is durable.
    return EpochEnd(0, found, min(end_offset, replica.synced_end))


async def _first_at_or_after(replica: Replica, timestamp: int) -> Located:
    start, end = replica.log_start, replica.high_watermark
    while start < end:
        piece = await replica.shared.wal.locate_timestamp(replica.key, timestamp, start, end)
        if piece is None:
            return Located()
        found = await _scan(replica, piece, timestamp, start, end)
        if found is not None:
            offset, at_ms = found
            return Located(0, at_ms, offset, replica.log.epochs.epoch_at(offset))
        start = piece.end_offset
    return Located()


async def _latest_in_time(replica: Replica) -> Located:
    """The first record that carries the newest timestamp of all (KIP-734): the first of all where
    none has a time."""
    start, end = replica.log_start, replica.high_watermark
    newest = await replica.shared.wal.max_timestamp(replica.key, start, end)
    if newest is None:
        return Located()
    return await _first_at_or_after(replica, newest[0])


async def _scan(
    replica: Replica, piece: Slice, timestamp: int, start: int, end: int
) -> tuple[int, int] | None:
    """The first record of `piece` in start..end at or after `timestamp`: decoded on the `reader`
    lane."""
    piece.segment.pin()
    try:
        return await replica.shared.world.lane("reader").run(
            partial(_scan_piece, piece, timestamp, start, end)
        )
    finally:
        piece.segment.unpin()


def _scan_piece(piece: Slice, timestamp: int, start: int, end: int) -> tuple[int, int] | None:
    view = memoryview(piece.segment.file.read(piece.position, piece.length))
    for position, header in batch.headers(view):
        base_offset = header[batch.BASE_OFFSET]
        if base_offset >= end:
            return None
        if header[batch.MAX_TIMESTAMP] < timestamp:
            continue
        whole = view[position : position + batch.batch_bytes(header)]
        found = records.first_at_or_after(whole, header, timestamp, start)
        if found is not None:
            return found if found[0] < end else None
    return None
