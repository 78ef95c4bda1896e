"""One partition of a command: its replica here, and what its error codes mean in words.

The paths that Kafka's clients use answer in codes; a person who administers gets a sentence.
"""

from collections.abc import Mapping

from app.admin.parts import Parts
from app.core.manifest.image import Topic
from app.errors import (
    InvalidRecord,
    InvalidTimestamp,
    MessageTooLarge,
    NotEnoughReplicas,
    NotLeader,
    OffsetOutOfRange,
    RequestTimedOut,
    StorageFailed,
    StreamBusError,
    UnknownTopicOrPartition,
)
from app.partitions.replica import Replica

_MEANINGS: Mapping[int, tuple[type[StreamBusError], str]] = {
    each.code: (each, meaning)
    for each, meaning in (
        (OffsetOutOfRange, "{where} has the offsets from {start} up to {end}, and no other."),
        (
            RequestTimedOut,
            "{where} did not get there in time. What was asked may still happen: look before you "
            "ask again.",
        ),
        (
            MessageTooLarge,
            "{where} takes batches of {largest} bytes at most (max.message.bytes), and all records "
            "of one partition are one batch: send fewer at once, or smaller ones.",
        ),
        (
            NotEnoughReplicas,
            "{where} has fewer replicas in sync than min.insync.replicas asks for: nothing was "
            "written. Bring the others back, or lower it.",
        ),
        (
            InvalidTimestamp,
            "{where} takes no such timestamp: it is further from the broker's clock than "
            "message.timestamp.before.max.ms or message.timestamp.after.max.ms allow.",
        ),
        (
            StorageFailed,
            "{where} cannot be used now: its log failed, and the broker's events say why.",
        ),
        (InvalidRecord, "{where} does not take these records."),
    )
}


def find(parts: Parts, topic: str, partition: int) -> tuple[Topic, Replica]:
    """The topic and its replica here, or the error that says where to ask."""
    known = parts.image.topics_by_name.get(topic)
    if known is None or not 0 <= partition < len(known.partitions):
        raise UnknownTopicOrPartition(f"This server does not host {topic}-{partition}.")
    replica = parts.replica(known, partition)
    if replica is None:
        raise not_leader(parts, known, partition)
    return known, replica


def leading(parts: Parts, topic: str, partition: int) -> tuple[Topic, Replica]:
    """The same, where the replica leads and may be changed."""
    known, replica = find(parts, topic, partition)
    if replica.refuses:
        raise partition_error(parts, known, replica, replica.refuses)
    return known, replica


def partition_error(parts: Parts, topic: Topic, replica: Replica, code: int) -> StreamBusError:
    """What a code that a replica gave means, for whoever reads it."""
    where = f"{topic.name}-{replica.key.partition}"
    if code == NotLeader.code:
        return not_leader(parts, topic, replica.key.partition)
    if code == UnknownTopicOrPartition.code:
        return UnknownTopicOrPartition(f"This server does not host {where}.")
    kind, meaning = _MEANINGS[code]
    return kind(
        meaning.format(
            where=where,
            start=replica.log_start,
            end=replica.high_watermark,
            largest=replica.policy.max_message_bytes,
        )
    )


def not_leader(parts: Parts, topic: Topic, partition: int) -> NotLeader:
    leader = topic.partitions[partition].leader
    where = f"{topic.name}-{partition}"
    if leader < 0:
        return NotLeader(f"{where} has no leader now: try again when one of its replicas is back.")
    if leader == parts.broker_id:
        return NotLeader(f"{where}: this broker does not lead it yet, or not any more.")
    return NotLeader(f"{where} is led by broker {leader}: ask there.")
