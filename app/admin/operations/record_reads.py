"""Records read for people and small programs: found as ListOffsets finds, read as Fetch reads, and
decoded on a lane."""

import asyncio
from collections.abc import Sequence
from functools import partial

from app import limits
from app.admin.commands.records import ReadRecord, ReadRecords, RecordPage
from app.admin.operations import partitions
from app.admin.parts import Parts
from app.core.manifest.image import Topic
from app.errors import Corrupt, InvalidRequest, Malformed
from app.model import Principal
from app.partitions import lookup, read
from app.partitions.replica import Replica
from app.world.ports import FileRange
from streambus.protocol import batch, records

RECORD_OVERHEAD_BYTES = 32
"""What a record of a page counts for, beside its key, value and headers."""


async def read_records(parts: Parts, asker: Principal, command: ReadRecords) -> RecordPage:
    _check(command)
    topic, replica = partitions.find(parts, command.topic, command.partition)
    isolation = read.READ_COMMITTED if command.committed else read.READ_UNCOMMITTED
    offset = await _start(parts, topic, replica, command, isolation)
    clock = parts.world.clock
    deadline = clock.monotonic_ms() + command.wait_ms
    found: list[ReadRecord] = []
    while True:
        result = await read.read(replica, offset, command.bytes_max, isolation, at_least_one=True)
        if result.error:
            raise partitions.partition_error(parts, topic, replica, result.error)
        end = result.last_stable_offset if command.committed else result.high_watermark
        if result.length:
            found, offset = await _decoded(parts, topic, replica, result, offset, end, command)
        elif offset < end:
            failure = Corrupt(f"the index has nothing at offset {offset}, below {end}")
            code = read.unreadable(replica, offset, failure)
            raise partitions.partition_error(parts, topic, replica, code)
        left = deadline - clock.monotonic_ms()
        # Bytes without a record (what a transaction's end leaves) are passed over: read on.
        if found or (offset >= end and left <= 0):
            log_start, high_watermark = replica.log_start, result.high_watermark
            return RecordPage(command.partition, tuple(found), offset, log_start, high_watermark)
        if offset >= end:
            await _more(parts, replica, offset, result.high_watermark, left)


def _check(command: ReadRecords) -> None:
    for name, number, least, most in (
        ("records_max", command.records_max, 1, limits.READ_RECORDS_MAX),
        ("bytes_max", command.bytes_max, 1, limits.READ_BYTES_MAX),
        ("wait_ms", command.wait_ms, 0, limits.READ_WAIT_MS_MAX),
    ):
        if not least <= number <= most:
            raise InvalidRequest(f"{name}: from {least} to {most}, not {number}")
    if command.timestamp_ms is not None:
        if command.timestamp_ms < 0:
            raise InvalidRequest("timestamp_ms: milliseconds since 1970, 0 or more")
        if command.offset != "earliest":
            raise InvalidRequest("offset and timestamp_ms: give one of them")


async def _start(
    parts: Parts, topic: Topic, replica: Replica, command: ReadRecords, isolation: int
) -> int:
    if isinstance(command.offset, int):
        return command.offset
    asked = {"earliest": lookup.EARLIEST, "latest": lookup.LATEST}[command.offset]
    if command.timestamp_ms is not None:
        asked = command.timestamp_ms
    located = await lookup.list_offsets(replica, asked, isolation)
    if located.error:
        raise partitions.partition_error(parts, topic, replica, located.error)
    # Nothing is as late as that: what comes next may be.
    return located.offset if located.offset >= 0 else replica.high_watermark


async def _more(
    parts: Parts, replica: Replica, offset: int, high_watermark: int, wait_ms: int
) -> None:
    """Until something is committed beyond, the role changed, or the time is over."""
    woken = asyncio.Event()
    waits = [(replica, offset, high_watermark)]
    parked = parts.registry.parked.park(waits, 1, wait_ms, woken.set)
    if parked is None:
        # Either it moved just now, or too many wait already; then this one asks again in a while.
        if replica.high_watermark <= high_watermark and not replica.read_error:
            await parts.world.sleep(min(wait_ms, limits.PARK_RETRY_MS))
        return
    try:
        await woken.wait()
    finally:
        parked.cancel()


async def _decoded(
    parts: Parts,
    topic: Topic,
    replica: Replica,
    result: read.ReadResult,
    offset: int,
    end: int,
    command: ReadRecords,
) -> tuple[list[ReadRecord], int]:
    """The records below `end`, and the offset after them."""
    job = partial(_decode, result.parts, offset, end, command.records_max, command.bytes_max)
    try:
        return await parts.world.lane("reader").run(job)
    except read.UNREADABLE as failure:
        code = read.unreadable(replica, offset, failure)
        raise partitions.partition_error(parts, topic, replica, code) from failure
    finally:
        result.release()


def _decode(
    pieces: Sequence[read.Part], offset: int, end: int, records_max: int, bytes_max: int
) -> tuple[list[ReadRecord], int]:
    """On the lane."""
    found: list[ReadRecord] = []
    room = bytes_max
    for piece in pieces:
        view = memoryview(piece if not isinstance(piece, FileRange) else _read(piece))
        try:
            for position, header in batch.headers(view):
                after = header[batch.BASE_OFFSET] + header[batch.LAST_OFFSET_DELTA] + 1
                if header[batch.ATTRIBUTES] & batch.Attributes.CONTROL:
                    offset = after
                    continue
                for row in records.read_records(view, position, limits.DECOMPRESSED_BYTES_MAX):
                    if row[0] < offset:
                        continue
                    record = _record(row)
                    room -= _bytes(record)
                    if len(found) == records_max or (found and room < 0) or row[0] >= end:
                        return found, row[0]
                    found.append(record)
                offset = after
        except Malformed as error:
            raise Corrupt(f"what is stored at offset {offset} or after does not parse") from error
    return found, offset


def _read(piece: FileRange) -> bytes:
    return piece.file.read(piece.position, piece.length)


def _record(row: records.RecordTuple) -> ReadRecord:
    offset, timestamp_ms, key, value, headers = row
    # A name that is no Unicode cannot cross JSON or the sibling's socket: it is shown as such.
    names = [
        name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name, _ in headers
    ]
    shown = tuple([(name, worth) for name, (_, worth) in zip(names, headers, strict=True)])
    return ReadRecord(offset, timestamp_ms, key, value, shown)


def _bytes(record: ReadRecord) -> int:
    size = RECORD_OVERHEAD_BYTES + len(record.key or b"") + len(record.value or b"")
    return size + sum([len(name) + len(worth or b"") for name, worth in record.headers])
