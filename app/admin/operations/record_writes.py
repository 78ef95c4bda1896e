"""Records written for people and small programs: made into batches, and appended as Produce's."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from app import limits
from app.admin.commands.records import NewRecord, WriteRecords, WrittenRecord, WrittenRecords
from app.admin.operations import partitions
from app.admin.parts import Parts
from app.admin.port import Failed
from app.core import topic_names
from app.core.manifest.image import Topic
from app.core.topic_policy import INT64_MAX
from app.errors import (
    InvalidRecord,
    InvalidRequest,
    InvalidTimestamp,
    InvalidTopic,
    StreamBusError,
    ThrottlingQuotaExceeded,
    UnknownTopicOrPartition,
)
from app.model import Principal
from app.partitions.preparing import KeyMissing
from app.partitions.replica import ALL, Replica
from app.partitions.replies import Awaited
from streambus.protocol import api, batch
from streambus.protocol.murmur2 import partition_for

PRODUCE_VERSION = api.BY_KEY[api.PRODUCE].newest


@dataclass(frozen=True, slots=True)
class Placed:
    """A record, where it stands in the command, and the timestamp that it gets."""

    place: int
    record: NewRecord
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Made:
    """The records of one partition as the batch that is to be appended."""

    replica: Replica
    placed: Sequence[Placed]
    whole: memoryview


async def write_records(parts: Parts, asker: Principal, command: WriteRecords) -> WrittenRecords:
    topic = parts.image.topics_by_name.get(command.topic)
    if topic is None:
        raise UnknownTopicOrPartition(f"This server does not host topic '{command.topic}'.")
    if topic.name in topic_names.INTERNAL:
        raise InvalidTopic(f"Topic '{topic.name}' is the broker's own: only it writes there.")
    if not 1 <= len(command.records) <= limits.WRITE_RECORDS_MAX:
        raise InvalidRequest(
            f"records: from 1 to {limits.WRITE_RECORDS_MAX} at once, not {len(command.records)}"
        )
    # As the Kafka port reads no more connections then: memory has its bound, whoever writes.
    if parts.registry.wal.pending_bytes > limits.WAL_PENDING_BYTES_MAX:
        raise ThrottlingQuotaExceeded(
            "The disk does not keep up: more than "
            f"{limits.WAL_PENDING_BYTES_MAX} bytes wait to be synced. Try again in a moment."
        )
    answers: list[WrittenRecord | Failed | None] = [None] * len(command.records)
    made: list[Made] = []
    for number, placed in (await _placed(parts, topic, command.records, answers)).items():
        try:
            _, replica = partitions.leading(parts, topic.name, number)
            made.append(Made(replica, placed, await _batch(parts, replica, placed)))
        except KeyMissing as error:
            for position, each in enumerate(placed):
                is_at_fault = position in error.positions
                answers[each.place] = Failed.of(_key_missing(topic, number, is_at_fault))
        except StreamBusError as error:
            for each in placed:
                answers[each.place] = Failed.of(error)
    pending = Awaited(len(made), command.timeout_ms)
    now_ms = parts.world.clock.now_ms()
    for slot, one in enumerate(made):
        end = len(one.whole)
        one.replica.append(one.whole, 0, end, ALL, PRODUCE_VERSION, pending, slot, now_ms)
    for one, (code, base_offset, append_ms) in zip(made, await pending.wait(), strict=True):
        failure = None
        if code:
            failure = Failed.of(partitions.partition_error(parts, topic, one.replica, code))
        for position, each in enumerate(one.placed):
            answers[each.place] = failure or WrittenRecord(
                one.replica.key.partition,
                base_offset + position,
                each.timestamp_ms if append_ms < 0 else append_ms,
            )
    return WrittenRecords(tuple([answer for answer in answers if answer is not None]))


async def _placed(
    parts: Parts,
    topic: Topic,
    records: Sequence[NewRecord],
    answers: list[WrittenRecord | Failed | None],
) -> dict[int, list[Placed]]:
    """What goes where. Hashing takes 0.3 s for a key of a megabyte: on the lane."""
    turn = parts.turn
    parts.turn += sum([record.partition is None and record.key is None for record in records])
    now_ms = parts.world.clock.now_ms()
    job = partial(_by_partition, topic, records, answers, turn, now_ms)
    return await parts.world.lane("reader").run(job)


def _by_partition(
    topic: Topic,
    records: Sequence[NewRecord],
    answers: list[WrittenRecord | Failed | None],
    turn: int,
    now_ms: int,
) -> dict[int, list[Placed]]:
    """What cannot go anywhere gets its answer. `turn` is whose turn it was last."""
    placed: dict[int, list[Placed]] = {}
    for place, record in enumerate(records):
        turn += record.partition is None and record.key is None
        try:
            number = _partition_of(topic, record, turn)
            timestamp_ms = now_ms if record.timestamp_ms is None else record.timestamp_ms
            _check(record, timestamp_ms)
        except StreamBusError as error:
            answers[place] = Failed.of(error)
        else:
            placed.setdefault(number, []).append(Placed(place, record, timestamp_ms))
    return placed


def _partition_of(topic: Topic, record: NewRecord, turn: int) -> int:
    count = len(topic.partitions)
    if record.partition is not None:
        if not 0 <= record.partition < count:
            raise UnknownTopicOrPartition(
                f"partition: topic '{topic.name}' has the partitions 0 to {count - 1}, "
                f"not {record.partition}"
            )
        return record.partition
    if record.key is not None:
        return partition_for(record.key, count)
    return turn % count


def _check(record: NewRecord, timestamp_ms: int) -> None:
    if not 0 <= timestamp_ms <= INT64_MAX:
        raise InvalidTimestamp(
            f"timestamp_ms: milliseconds since 1970, 0 to {INT64_MAX}, not {timestamp_ms}"
        )
    for name, _ in record.headers:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InvalidRecord(f"headers: the name {name!r} is not Unicode text") from None


def _key_missing(topic: Topic, number: int, is_at_fault: bool) -> InvalidRecord:
    if is_at_fault:
        return InvalidRecord(
            f"key: topic '{topic.name}' is compacted and takes no record without one"
        )
    return InvalidRecord(
        f"Nothing was written to {topic.name}-{number}: another of the records has no key."
    )


async def _batch(parts: Parts, replica: Replica, placed: Sequence[Placed]) -> memoryview:
    """As the topic stores it. Encoding many records takes a while: on the lane."""
    whole = memoryview(await parts.world.lane("reader").run(partial(_encode, placed)))
    if len(whole) <= replica.policy.max_message_bytes and replica.prepares:
        return await replica.prepare(whole, PRODUCE_VERSION)
    return whole  # too large: `append` says so


def _encode(placed: Sequence[Placed]) -> bytes:
    start_ms = placed[0].timestamp_ms
    return batch.build(
        [
            (
                position,
                each.timestamp_ms - start_ms,
                each.record.key,
                each.record.value,
                each.record.headers,
            )
            for position, each in enumerate(placed)
        ],
        base_timestamp=start_ms,
    )
