"""Produce, versions 3 to 13 (advertised from 0, as Kafka does: see api.PRODUCE_ADVERTISED_OLDEST).

Behaviour: acks=-1 is answered when committed, acks=1 when synced, acks=0 never; each partition's
records are one batch; offsets are assigned in the order in which requests arrived on a connection.
Oddities: a failed acks=0 closes the connection, as in Kafka, so that the producer looks at the
metadata again. Any other acks gives INVALID_REQUIRED_ACKS (21) for every partition. From version 10
NOT_LEADER names the leader (KIP-951); from 13 topics go by id, an unknown one is UNKNOWN_TOPIC_ID.
A topic with its own `compression.type`, or a compacted one, has its batches opened on a lane before
they are admitted; that connection's next requests wait meanwhile, so order holds.

This is the hot path: `arrived` runs inside the read callback, makes one object per request, and
does not await.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from app.errors import (
    InvalidRequiredAcks,
    InvalidTimestamp,
    StreamBusError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartition,
)
from app.kafka.context import LEADER_CHANGED
from app.kafka.router import code_of
from app.partitions.preparing import KeyMissing
from app.partitions.replica import Replica
from app.security.ports import Operation, Resource
from streambus.protocol.messages import produce as message

if TYPE_CHECKING:
    from app.kafka.connection import Connection

KEY = 0
VERSIONS = (3, 13)

REASONS_FROM = 8  # KIP-467
_REASONS = {
    InvalidTimestamp.code: "a timestamp is further from the broker's clock than the topic allows "
    "(message.timestamp.before.max.ms, message.timestamp.after.max.ms), or not the producer's own"
}


class PendingOne:
    """A request for one partition that is not answered yet: most requests by far."""

    __slots__ = (
        "append_time_ms",
        "base_offset",
        "connection",
        "correlation_id",
        "error",
        "is_answered",
        "key",
        "outstanding",
        "partition",
        "replica",
        "size",
        "throttle_ms",
        "timeout_ms",
        "version",
    )

    def __init__(
        self,
        connection: "Connection",
        correlation_id: int,
        version: int,
        is_answered: bool,
        timeout_ms: int,
        size: int,
        throttle_ms: int,
        key: bytes,
        partition: int,
        replica: Replica | None,
    ) -> None:
        self.connection = connection
        self.correlation_id = correlation_id
        self.version = version
        self.is_answered = is_answered
        self.timeout_ms = timeout_ms
        self.size = size
        self.throttle_ms = throttle_ms
        self.key = key
        self.partition = partition
        self.replica = replica
        self.outstanding = 1

    def resolve(
        self, slot: int, error: int, base_offset: int, log_append_time_ms: int = -1
    ) -> None:
        self.error = error
        self.base_offset = base_offset
        self.append_time_ms = log_append_time_ms
        self.outstanding = 0
        connection = self.connection
        if not connection.is_dirty:
            connection.listener.dirty(connection)

    @property
    def has_failed(self) -> bool:
        return self.error != 0

    def failure(self) -> dict[str, object]:
        return {"partition": self.partition, "code": self.error}

    def encode(self) -> bytes | None:
        if not self.is_answered:
            return None
        version, error, replica = self.version, self.error, self.replica
        if (error in LEADER_CHANGED and version >= message.LEADER_HINTS_FROM) or (
            error in _REASONS and version >= REASONS_FROM
        ):
            answer = _answer(self.connection, self.partition, replica, error, -1, -1, None)
            return _encode(self, [(self.key, [answer])])
        return message.encode_single(
            self.correlation_id,
            version,
            self.key,
            self.key,
            self.partition,
            error,
            self.base_offset,
            self.append_time_ms,
            -1 if replica is None or error else replica.log_start,
            self.throttle_ms,
        )


class PendingMany:
    """A request for any number of partitions. A slot is a position in `answers`."""

    __slots__ = (
        "answers",
        "connection",
        "correlation_id",
        "is_answered",
        "outstanding",
        "record_errors",
        "size",
        "throttle_ms",
        "timeout_ms",
        "topics",
        "version",
    )

    def __init__(
        self,
        connection: "Connection",
        correlation_id: int,
        version: int,
        is_answered: bool,
        timeout_ms: int,
        size: int,
        throttle_ms: int,
        topics: list[tuple[bytes, list[tuple[int, Replica | None]]]],
    ) -> None:
        self.connection = connection
        self.correlation_id = correlation_id
        self.version = version
        self.is_answered = is_answered
        self.timeout_ms = timeout_ms
        self.size = size
        self.throttle_ms = throttle_ms
        self.topics = topics
        self.outstanding = sum(len(partitions) for _, partitions in topics)
        self.answers: list[tuple[int, int, int]] = [(0, -1, -1)] * self.outstanding
        self.record_errors: dict[int, KeyMissing] = {}

    def resolve(
        self, slot: int, error: int, base_offset: int, log_append_time_ms: int = -1
    ) -> None:
        self.answers[slot] = (error, base_offset, log_append_time_ms)
        self.outstanding -= 1
        if not self.outstanding:
            connection = self.connection
            if not connection.is_dirty:
                connection.listener.dirty(connection)

    @property
    def has_failed(self) -> bool:
        return any(error for error, _, _ in self.answers)

    def failure(self) -> dict[str, object]:
        return {"code": next(error for error, _, _ in self.answers if error)}

    def encode(self) -> bytes | None:
        if not self.is_answered:
            return None
        slot = 0
        topics = []
        for key, partitions in self.topics:
            encoded: list[message.PartitionAnswer] = []
            for partition, replica in partitions:
                error, base_offset, time_ms = self.answers[slot]
                if not error and replica is not None:
                    start = replica.log_start
                    encoded.append((partition, 0, base_offset, time_ms, start, None, None, ()))
                    slot += 1
                    continue
                missing = self.record_errors.get(slot)
                encoded.append(
                    _answer(
                        self.connection, partition, replica, error, base_offset, time_ms, missing
                    )
                )
                slot += 1
            topics.append((key, encoded))
        return _encode(self, topics)


Pending: TypeAlias = PendingOne | PendingMany


def arrived(
    connection: "Connection",
    view: memoryview,
    position: int,
    stop: int,
    version: int,
    correlation_id: int,
) -> None:
    """One request at `view[position:stop]`: decide it now, answer it when that is durable."""
    transactional_id, acks, timeout_ms, topics = message.decode_request(
        view, position, stop, version
    )
    broker = connection.listener.broker
    size = stop - position
    throttle_ms = broker.quotas.throttle_ms(connection.principal, connection.client_id, KEY, size)
    refusal = 0
    if acks not in (-1, 1, 0):
        refusal = InvalidRequiredAcks.code
    elif transactional_id is not None and not broker.authorizer.allows(
        connection.principal, Operation.WRITE, Resource.TRANSACTIONAL_ID, transactional_id
    ):
        refusal = TransactionalIdAuthorizationFailed.code
    if len(topics) != 1 or len(topics[0][2]) != 1:
        many = _resolve_topics(connection, topics)
        all_of_it = PendingMany(
            connection, correlation_id, version, acks != 0, timeout_ms, size, throttle_ms, many
        )
        _append_many(connection, view, topics, acks, all_of_it, refusal)
        connection.accepted(all_of_it, throttle_ms)
        return
    name, topic_id, partitions = topics[0]
    key = (topic_id if name is None else name) or b""
    partition, start, end = partitions[0]
    error, replicas = connection.writes.find(broker, connection.principal, name, topic_id)
    replica = None
    if 0 <= partition < len(replicas):
        replica = replicas[partition]
    if replica is not None and replica.prepares and not (refusal or replica.refuses):
        slow = PendingMany(
            connection,
            correlation_id,
            version,
            acks != 0,
            timeout_ms,
            size,
            throttle_ms,
            [(key, [(partition, replica)])],
        )
        _open(connection, view, topics, acks, slow)
        connection.accepted(slow, throttle_ms)
        return
    pending = PendingOne(
        connection,
        correlation_id,
        version,
        acks != 0,
        timeout_ms,
        size,
        throttle_ms,
        key,
        partition,
        replica,
    )
    if refusal or replica is None:
        pending.resolve(0, refusal or error or UnknownTopicOrPartition.code, -1)
    else:
        replica.append(view, start, end, acks, version, pending, 0)
    connection.accepted(pending, throttle_ms)


def _resolve_topics(
    connection: "Connection", topics: list[message.TopicSent]
) -> list[tuple[bytes, list[tuple[int, Replica | None]]]]:
    resolved: list[tuple[bytes, list[tuple[int, Replica | None]]]] = []
    broker, principal = connection.listener.broker, connection.principal
    for name, topic_id, partitions in topics:
        key = (topic_id if name is None else name) or b""
        _, replicas = connection.writes.find(broker, principal, name, topic_id)
        count = len(replicas)
        resolved.append(
            (key, [(p, replicas[p] if 0 <= p < count else None) for p, _, _ in partitions])
        )
    return resolved


def _append_many(
    connection: "Connection",
    view: memoryview,
    topics: list[message.TopicSent],
    acks: int,
    pending: PendingMany,
    refusal: int,
) -> None:
    if not refusal and any(
        replica is not None and replica.prepares and not replica.refuses
        for _, partitions in pending.topics
        for _, replica in partitions
    ):
        _open(connection, view, topics, acks, pending)
        return
    version = pending.version
    slot = 0
    for (name, topic_id, sent), (_, partitions) in zip(topics, pending.topics, strict=True):
        for (_, start, end), (_, replica) in zip(sent, partitions, strict=True):
            if refusal or replica is None:
                error = refusal or _why_not(connection, name, topic_id)
                pending.resolve(slot, error, -1)
            else:
                replica.append(view, start, end, acks, version, pending, slot)
            slot += 1


def _why_not(connection: "Connection", name: bytes | None, topic_id: bytes | None) -> int:
    """The error of a partition that has no replica here."""
    broker, principal = connection.listener.broker, connection.principal
    error, _ = connection.writes.find(broker, principal, name, topic_id)
    return error or UnknownTopicOrPartition.code


def _open(
    connection: "Connection",
    view: memoryview,
    topics: list[message.TopicSent],
    acks: int,
    pending: PendingMany,
) -> None:
    """The slow path: batches are opened on a lane first. The buffer keeps still meanwhile."""
    connection.hold_buffer()
    connection.spawn(
        _open_then_append(connection, view, topics, acks, pending),
        f"produce-{pending.correlation_id}",
    )


async def _open_then_append(
    connection: "Connection",
    view: memoryview,
    topics: list[message.TopicSent],
    acks: int,
    pending: PendingMany,
) -> None:
    try:
        opened: list[memoryview | int] = []
        for (name, topic_id, sent), (_, partitions) in zip(topics, pending.topics, strict=True):
            for (_, start, end), (_, replica) in zip(sent, partitions, strict=True):
                if replica is None:
                    opened.append(_why_not(connection, name, topic_id))
                else:
                    records = view[max(start, 0) : max(end, 0)]
                    opened.append(await _prepared(replica, records, pending, len(opened)))
        if connection.is_closed:
            return
        replicas = [replica for _, partitions in pending.topics for _, replica in partitions]
        for slot, (replica, outcome) in enumerate(zip(replicas, opened, strict=True)):
            if replica is None or isinstance(outcome, int):
                assert isinstance(outcome, int), "records without a replica"
                pending.resolve(slot, outcome, -1)
            else:
                end = len(outcome)
                start = 0 if end else -1  # null records
                replica.append(outcome, start, end or -1, acks, pending.version, pending, slot)
    finally:
        connection.release_buffer()


async def _prepared(
    replica: Replica, records: memoryview, pending: PendingMany, slot: int
) -> memoryview | int:
    """The bytes to append, or the error that says why not."""
    if not replica.prepares or not len(records):
        return records
    try:
        return await replica.prepare(records, pending.version)
    except KeyMissing as error:
        pending.record_errors[slot] = error
        return error.code
    except StreamBusError as error:
        return code_of(error)


def _answer(
    connection: "Connection",
    partition: int,
    replica: Replica | None,
    error: int,
    base_offset: int,
    time_ms: int,
    missing: KeyMissing | None,
) -> message.PartitionAnswer:
    leader = None
    if error in LEADER_CHANGED and replica is not None:
        leader = connection.listener.broker.leader_of(replica.key)
    return (
        partition,
        error,
        base_offset,
        time_ms,
        -1 if replica is None or error else replica.log_start,
        _REASONS.get(error) if missing is None else str(missing),
        leader,
        () if missing is None else [(index, str(missing)) for index in missing.positions],
    )


def _encode(
    pending: Pending, topics: Sequence[tuple[bytes, Sequence[message.PartitionAnswer]]]
) -> bytes:
    hints = {hint[0] for _, answers in topics for answer in answers if (hint := answer[6])}
    connection = pending.connection
    broker, listener = connection.listener.broker, connection.door.name
    endpoints = broker.endpoints(hints, listener) if hints else ()
    return message.encode_response(
        pending.correlation_id,
        pending.version,
        [(key, key, answers) for key, answers in topics],
        pending.throttle_ms,
        endpoints,
    )
