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
from app.kafka.buffers import Lease
from app.kafka.context import LEADER_CHANGED
from app.kafka.router import code_of
from app.limits import LEASED_BATCH_BYTES_MIN
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


Target: TypeAlias = Replica | int
"""Where a partition's records go; or the error code of one that has no replica here."""

_UNKNOWN = (0, -1, -1)  # error, base offset, append time of what is not answered yet


class PendingOne:
    """A request for one partition that is not answered yet: most requests by far."""

    __slots__ = (
        "append_time_ms",
        "arrived_ns",
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

    arrived_ns: int
    """When it was parsed; its connection says so."""

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
        if error:
            connection.listener.produced.failed(error)
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
            answer = _failed(self.connection, self.partition, replica, error, None)
            return _encode(self, [(self.key, [answer])], [answer])
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
    """A request for any number of partitions. A slot is a position in `sent`, `targets` and
    `answers`; `topics` says how many of them belong to which topic."""

    __slots__ = (
        "answers",
        "arrived_ns",
        "connection",
        "correlation_id",
        "has_failed",
        "is_answered",
        "must_open",
        "outstanding",
        "record_errors",
        "sent",
        "size",
        "targets",
        "throttle_ms",
        "timeout_ms",
        "topics",
        "version",
    )

    arrived_ns: int
    """When it was parsed; its connection says so."""

    def __init__(
        self,
        connection: "Connection",
        correlation_id: int,
        version: int,
        is_answered: bool,
        timeout_ms: int,
        size: int,
        throttle_ms: int,
        topics: list[tuple[bytes, int]],
        sent: list[message.PartitionSent],
        targets: list[Target],
        must_open: bool,
    ) -> None:
        self.connection = connection
        self.correlation_id = correlation_id
        self.version = version
        self.is_answered = is_answered
        self.timeout_ms = timeout_ms
        self.size = size
        self.throttle_ms = throttle_ms
        self.topics = topics
        self.sent = sent
        self.targets = targets
        self.must_open = must_open
        self.outstanding = len(sent)
        self.answers: list[tuple[int, int, int]] = [_UNKNOWN] * len(sent)
        self.has_failed = False
        self.record_errors: dict[int, KeyMissing] = {}

    def resolve(
        self, slot: int, error: int, base_offset: int, log_append_time_ms: int = -1
    ) -> None:
        self.answers[slot] = (error, base_offset, log_append_time_ms)
        if error:
            self.has_failed = True
            self.connection.listener.produced.failed(error)
        self.outstanding -= 1
        if not self.outstanding:
            connection = self.connection
            if not connection.is_dirty:
                connection.listener.dirty(connection)

    def failure(self) -> dict[str, object]:
        return {"code": next(error for error, _, _ in self.answers if error)}

    def encode(self) -> bytes | None:
        if not self.is_answered:
            return None
        plain = message.plain_encoder(self.version)
        encoded: list[bytes | message.PartitionAnswer] = []
        failed: list[message.PartitionAnswer] = []
        for (partition, _, _), target, (error, base_offset, time_ms) in zip(
            self.sent, self.targets, self.answers, strict=True
        ):
            if not error:
                assert not isinstance(target, int), "appended where there is no replica"
                encoded.append(plain(partition, 0, base_offset, time_ms, target.log_start))
                continue
            replica = None if isinstance(target, int) else target
            missing = self.record_errors.get(len(encoded))
            failed.append(_failed(self.connection, partition, replica, error, missing))
            encoded.append(failed[-1])
        topics, start = [], 0
        for key, count in self.topics:
            topics.append((key, encoded[start : start + count]))
            start += count
        return _encode(self, topics, failed)


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
        many = _many(
            connection, correlation_id, version, acks != 0, timeout_ms, size, throttle_ms, topics
        )
        _append_many(view, acks, many, refusal, connection.buffer.lease())
        connection.accepted(many, throttle_ms)
        return
    name, topic_id, partitions = topics[0]
    key = (topic_id if name is None else name) or b""
    partition, start, end = partitions[0]
    error, replicas = connection.writes.find(broker, connection.principal, name, topic_id)
    replica = replicas[partition] if 0 <= partition < len(replicas) else None
    if replica is not None and replica.prepares and not (refusal or replica.refuses):
        slow = _many(
            connection, correlation_id, version, acks != 0, timeout_ms, size, throttle_ms, topics
        )
        _open(view, acks, slow)
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
        now_ms = broker.world.clock.now_ms()
        lease = connection.buffer.lease() if size >= LEASED_BATCH_BYTES_MIN else None
        replica.append(view, start, end, acks, version, pending, 0, now_ms, lease)
    connection.accepted(pending, throttle_ms)


def _many(
    connection: "Connection",
    correlation_id: int,
    version: int,
    is_answered: bool,
    timeout_ms: int,
    size: int,
    throttle_ms: int,
    topics: list[message.TopicSent],
) -> PendingMany:
    broker, principal = connection.listener.broker, connection.principal
    counts: list[tuple[bytes, int]] = []
    every: list[message.PartitionSent] = []
    targets: list[Target] = []
    must_open = False
    for name, topic_id, sent in topics:
        if not sent:
            continue  # nothing to answer: Kafka leaves such a topic out
        error, replicas = connection.writes.find(broker, principal, name, topic_id)
        none = error or UnknownTopicOrPartition.code
        count = len(replicas)
        mine = [(replicas[p] if 0 <= p < count else None) or none for p, _, _ in sent]
        targets += mine
        for target in mine:
            if not isinstance(target, int):
                must_open = must_open or target.prepares  # like every partition of the topic
                break
        counts.append(((topic_id if name is None else name) or b"", len(sent)))
        every += sent
    return PendingMany(
        connection,
        correlation_id,
        version,
        is_answered,
        timeout_ms,
        size,
        throttle_ms,
        counts,
        every,
        targets,
        must_open,
    )


def _append_many(
    view: memoryview, acks: int, pending: PendingMany, refusal: int, lease: Lease | None
) -> None:
    targets, version = pending.targets, pending.version
    if refusal:
        for slot in range(len(targets)):
            pending.resolve(slot, refusal, -1)
        return
    if pending.must_open:
        _open(view, acks, pending)
        return
    now_ms = pending.connection.listener.world.clock.now_ms()
    for slot, ((_, start, end), target) in enumerate(zip(pending.sent, targets, strict=True)):
        if isinstance(target, int):
            pending.resolve(slot, target, -1)
        else:
            target.append(view, start, end, acks, version, pending, slot, now_ms, lease)


def _open(view: memoryview, acks: int, pending: PendingMany) -> None:
    """The slow path: batches are opened on a lane first. The buffer keeps still meanwhile."""
    connection = pending.connection
    connection.hold_buffer()
    connection.spawn(_open_then_append(view, acks, pending), "produce", pending.correlation_id)


async def _open_then_append(view: memoryview, acks: int, pending: PendingMany) -> None:
    connection, targets = pending.connection, pending.targets
    try:
        opened: list[memoryview | int] = []
        for (_, start, end), target in zip(pending.sent, targets, strict=True):
            if isinstance(target, int):
                opened.append(target)
            else:
                records = view[max(start, 0) : max(end, 0)]
                opened.append(await _prepared(target, records, pending, len(opened)))
        if connection.is_closed:
            return
        now_ms = connection.listener.world.clock.now_ms()
        for slot, (target, outcome) in enumerate(zip(targets, opened, strict=True)):
            if isinstance(outcome, int):
                pending.resolve(slot, outcome, -1)
                continue
            assert not isinstance(target, int), "records without a replica"
            end = len(outcome)
            start = 0 if end else -1  # null records
            target.append(outcome, start, end or -1, acks, pending.version, pending, slot, now_ms)
    finally:
        connection.release_buffer()


async def _prepared(
    replica: Replica, records: memoryview, pending: PendingMany, slot: int
) -> memoryview | int:
    """The bytes to append, or the error that says why not."""
    if not replica.prepares or replica.refuses or not len(records):
        return records
    try:
        return await replica.prepare(records, pending.version)
    except KeyMissing as error:
        pending.record_errors[slot] = error
        return error.code
    except StreamBusError as error:
        return code_of(error)


def _failed(
    connection: "Connection",
    partition: int,
    replica: Replica | None,
    error: int,
    missing: KeyMissing | None,
) -> message.PartitionAnswer:
    leader = None
    if error in LEADER_CHANGED and replica is not None:
        leader = connection.listener.broker.leader_of(replica.key)
    return (
        partition,
        error,
        -1,
        -1,
        -1,
        _REASONS.get(error) if missing is None else str(missing),
        leader,
        () if missing is None else [(index, str(missing)) for index in missing.positions],
    )


def _encode(
    pending: Pending,
    topics: Sequence[tuple[bytes, Sequence[bytes | message.PartitionAnswer]]],
    failed: Sequence[message.PartitionAnswer],
) -> bytes:
    hints = {hint[0] for answer in failed if (hint := answer[6])}
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
