"""Fetch, versions 4 to 18.

Behaviour: whole batches from the one that holds the offset asked for; `max_bytes` over all
partitions and `partition_max_bytes` for each, but the first partition with anything gives its first
batch however large (KIP-74). A fetch that found less than `min_bytes` parks, without a task, until
enough is committed or `max_wait_ms` is over; an error in reading any partition answers at once, one
of a partition that is not here does so only if there is no other, as in Kafka. Sessions
(KIP-227) from version 7: see app/kafka/sessions.py. Leader epochs are fenced (KIP-320); from 12 a
client that names the epoch of its last record learns where its log diverges (KIP-595); from 13
topics go by id (KIP-516); from 12 a moved leader is named (KIP-951, endpoints from 16).
Oddities: no preferred read replica yet. `isolation_level` changes nothing before there are
transactions, but read_committed gets its empty list of aborted ones. A throttled fetch is answered
at once without records. Followers do not use this API: `replica_id` is ignored.

Records are never copied here: an answer is a list of buffers and file ranges. One answer has
FETCH_COPIED_BYTES_MAX of buffers at most: a client that reads no answer costs no more memory.
The segments of the ranges stay pinned by the connection until it shows that it has read them
(app/kafka/pins.py).
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

from app import limits
from app.errors import NotLeader, OffsetOutOfRange, StorageFailed, UnknownTopicOrPartition
from app.kafka.context import LEADER_CHANGED, RequestContext
from app.kafka.pins import Pin
from app.kafka.sessions import Fetched, FetchScope
from app.partitions import read
from app.partitions.replica import Replica
from app.world.ports import FileRange
from streambus.protocol.messages import fetch as message

if TYPE_CHECKING:
    from app.kafka.connection import Connection
    from app.partitions.waiting import Parked

KEY = 1
VERSIONS = (4, 18)
STORAGE_FAILED_FROM = 6
SESSIONS_FROM = 7
READ_COMMITTED = 1

Piece = memoryview | FileRange
Part = bytes | Piece
FetchedTopic = tuple[bytes | None, bytes | None, list[message.PartitionFetched[Piece]]]


class Answered:
    """One partition of an answer."""

    __slots__ = (
        "counted",
        "diverging",
        "error",
        "fetched",
        "high_watermark",
        "last_stable_offset",
        "length",
        "log_start",
        "parts",
        "pins",
        "replica",
    )

    def __init__(self, fetched: Fetched, replica: Replica | None, error: int) -> None:
        self.fetched = fetched
        self.replica = replica
        self.error = error
        self.high_watermark = -1
        self.last_stable_offset = -1
        self.log_start = -1
        self.length = 0
        self.counted = 0  # towards min_bytes: what was cut would have filled its limit
        self.parts: Sequence[Part] = ()
        self.pins: list[Pin] = []
        self.diverging: tuple[int, int] | None = None

    def take(self, result: read.ReadResult, limit: int) -> None:
        self.error = result.error
        if result.error:
            return
        self.high_watermark = result.high_watermark
        self.last_stable_offset = result.last_stable_offset
        self.log_start = result.log_start
        self.length = result.length
        self.counted = max(limit, result.length) if result.is_cut else result.length
        self.parts = result.parts
        self.pins = result.pins

    def release(self) -> None:
        """It is not sent after all."""
        for segment, _ in self.pins:
            segment.unpin()
        self.pins = []

    def encoded(self, isolation: int, context: RequestContext) -> message.PartitionFetched[Piece]:
        leader, error = None, self.error
        if error == StorageFailed.code and context.api_version < STORAGE_FAILED_FROM:
            error = NotLeader.code  # old clients take what they do not know as fatal
        if self.error in LEADER_CHANGED and self.replica is not None:
            leader = context.broker.leader_of(self.replica.key)
        aborted: list[message.Aborted] | None = (
            [] if self.replica is None or (isolation == READ_COMMITTED and not self.error) else None
        )
        return (
            self.fetched.partition,
            error,
            self.high_watermark,
            self.last_stable_offset,
            self.log_start,
            aborted,
            -1,  # no preferred read replica
            self.diverging,
            leader,
            self.length,
            self.parts,
        )


class FetchTurn:
    """One fetch from its arrival to its answer; it has its connection's turn meanwhile."""

    __slots__ = (
        "_bytes_max",
        "_connection",
        "_context",
        "_deadline_ms",
        "_is_abandoned",
        "_is_hurried",
        "_min_bytes",
        "_parked",
        "_parked_at_ns",
        "_parked_ns",
        "_request",
        "_scope",
    )

    def __init__(
        self,
        connection: "Connection",
        context: RequestContext,
        request: message.FetchRequest,
        scope: FetchScope,
    ) -> None:
        self._connection = connection
        self._context = context
        self._request = request
        self._scope = scope
        settings = context.broker.settings
        self._bytes_max = min(request.max_bytes, settings.fetch_response_bytes_max)
        self._min_bytes = min(request.min_bytes, self._bytes_max)
        clock = context.broker.world.clock
        wait_ms = min(max(request.max_wait_ms, 0), limits.FETCH_WAIT_MS_MAX)
        self._deadline_ms = clock.monotonic_ms() + wait_ms
        self._parked: Parked | None = None
        self._parked_at_ns = self._parked_ns = 0  # since when, and how long before
        self._is_abandoned = False
        self._is_hurried = False

    # Turn

    def abandon(self) -> None:
        self._is_abandoned = True
        self._context.broker.sessions.give_back(len(self._request.partitions))
        if self._parked is not None:
            self._parked.cancel()
            self._parked = None

    def hurry(self) -> None:
        self._is_hurried = True
        if self._parked is not None:
            self._parked.cancel()
            self.attempt()

    # Reading

    def attempt(self) -> None:
        """Read what is there: answer if that is enough, else park. Called again when woken."""
        self._parked = None
        if self._is_abandoned:
            return
        if self._parked_at_ns:
            self._parked_ns += self._connection.listener.now_ns() - self._parked_at_ns
            self._parked_at_ns = 0
        if len(self._scope) > limits.FETCH_PARTITIONS_PER_TURN:
            self._read_in_turns()
            return
        answers: list[Answered] = []
        left, copies, found = self._bytes_max, limits.FETCH_COPIED_BYTES_MAX, False
        for fetched in self._scope:
            answered, replica = self._prepare(fetched)
            answers.append(answered)
            if replica is None:
                continue
            limit = _limit(fetched, left, copies)
            result = read.try_read(
                replica,
                fetched.offset,
                limit,
                self._request.isolation,
                at_least_one=not found,
                copies_max=copies,
                current_leader_epoch=fetched.current_leader_epoch,
            )
            if result is None:
                self._release(answers)
                self._read_in_turns()
                return
            answered.take(result, limit)
            if answered.length:
                found = True
                left = max(0, left - answered.length)
                copies -= result.copied
        self._decide(answers)

    def _read_in_turns(self) -> None:
        """Something is not in the page cache, or this is more than the loop may do at once: read
        it all (again), on the `reader` lane where need be."""
        self._connection.spawn(self._attempt_in_turns(), "fetch", self._context.correlation_id)

    async def _attempt_in_turns(self) -> None:
        answers: list[Answered] = []
        left, copies, found = self._bytes_max, limits.FETCH_COPIED_BYTES_MAX, False
        try:
            for count, fetched in enumerate(self._scope, start=1):
                if count % limits.FETCH_PARTITIONS_PER_TURN == 0:
                    await asyncio.sleep(0)
                answered, replica = self._prepare(fetched)
                answers.append(answered)
                if replica is None:
                    continue
                limit = _limit(fetched, left, copies)
                result = await read.read(
                    replica,
                    fetched.offset,
                    limit,
                    self._request.isolation,
                    at_least_one=not found,
                    copies_max=copies,
                    current_leader_epoch=fetched.current_leader_epoch,
                )
                answered.take(result, limit)
                if answered.length:
                    found = True
                    left = max(0, left - answered.length)
                    copies -= result.copied
        except BaseException:
            self._release(answers)
            raise
        if self._is_abandoned:
            self._release(answers)
        else:
            self._decide(answers)

    def _prepare(self, fetched: Fetched) -> tuple[Answered, Replica | None]:
        """Find the replica; None beside an answer that is complete already."""
        broker = self._context.broker
        error, replicas = self._connection.reads.find(
            broker, self._context.principal, fetched.name, fetched.topic_id
        )
        replica = None
        if 0 <= fetched.partition < len(replicas):
            replica = replicas[fetched.partition]
        if replica is None:
            error = error or UnknownTopicOrPartition.code
            return Answered(fetched, None, error), None
        answered = Answered(fetched, replica, 0)
        if fetched.last_fetched_epoch >= 0 and self._diverges(fetched, replica, answered):
            return answered, None
        return answered, replica

    def _diverges(self, fetched: Fetched, replica: Replica, answered: Answered) -> bool:
        """Whether the client's log has a tail that ours has not (KIP-595)."""
        error = read.check(replica, fetched.current_leader_epoch)
        if error:
            answered.error = error
            return True
        if fetched.offset < replica.log_start:
            answered.error = OffsetOutOfRange.code
            return True
        epoch, end_offset = replica.log.end_offset_for(fetched.last_fetched_epoch)
        if epoch < 0 or end_offset < 0:
            answered.error = OffsetOutOfRange.code
            return True
        if epoch < fetched.last_fetched_epoch or end_offset < fetched.offset:
            answered.diverging = (epoch, end_offset)
            answered.high_watermark = replica.high_watermark
            answered.last_stable_offset = replica.high_watermark
            answered.log_start = replica.log_start
            return True
        return False

    # Answering

    def _decide(self, answers: list[Answered]) -> None:
        broker, min_bytes = self._context.broker, self._min_bytes
        size = sum([each.length for each in answers])
        counted = sum([each.counted for each in answers])
        wait_ms = self._deadline_ms - broker.world.clock.monotonic_ms()
        # What is not here waits with the rest: a client would ask again at once, and for ever.
        here = [each for each in answers if each.replica is not None]
        if (
            counted >= min_bytes
            or wait_ms <= 0
            or not here
            or self._is_hurried
            or any([each.error or each.diverging for each in here])
        ):
            self._answer(answers, size)
            return
        waits = [
            (each.replica, each.fetched.offset, each.high_watermark)
            for each in here
            if each.replica is not None
        ]
        self._parked = broker.registry.parked.park(
            waits, min_bytes - counted, wait_ms, self.attempt
        )
        if self._parked is None:
            self._answer(answers, size)
        else:
            self._parked_at_ns = self._connection.listener.now_ns()
            self._release(answers)

    def _answer(self, answers: list[Answered], size: int) -> None:
        context, scope = self._context, self._scope
        broker = context.broker
        throttle_ms = broker.quotas.throttle_ms(context.principal, context.client_id, KEY, size)
        if throttle_ms > 0:
            self._release(answers)
            session_id = 0 if scope.session is None else scope.session.id
            self._reply([], session_id, throttle_ms)
            return
        pins = self._connection.pins
        mentioned: list[Answered] = []
        served: list[Fetched] = []
        for each in answers:
            fetched = each.fetched
            must = fetched.must_mention(
                each.error,
                each.length,
                each.high_watermark,
                each.log_start,
                each.diverging is not None,
            )
            if must or not scope.is_incremental:
                mentioned.append(each)
            if each.length:
                served.append(fetched)
                if each.replica is not None:
                    each.replica.traffic.fetched_bytes += each.length
            if each.pins:
                pins.lend(fetched.key, each.pins)
        scope.served(served)
        session_id = 0
        if scope.session is not None:
            session_id = scope.session.id
        elif scope.wants_session and context.api_version >= SESSIONS_FROM:
            session_id = broker.sessions.start(
                scope,
                broker.world.clock.monotonic_ms(),
                partial(broker.world.randomness.below, 2**31),
                uses_topic_ids=context.api_version >= message.TOPIC_IDS_FROM,
            )
        self._reply(mentioned, session_id, 0)

    def _reply(self, answers: list[Answered], session_id: int, throttle_ms: int) -> None:
        context, isolation = self._context, self._request.isolation
        topics: list[FetchedTopic] = []
        last: tuple[bytes | None, bytes | None] | None = None
        leaders: set[int] = set()
        for each in answers:
            topic = (each.fetched.name, each.fetched.topic_id)
            if topic != last:
                topics.append((*topic, []))
                last = topic
            encoded = each.encoded(isolation, context)
            if encoded[1]:
                context.failed(encoded[1])
            if encoded[8] is not None:
                leaders.add(encoded[8][0])
            topics[-1][2].append(encoded)
        pieces = message.encode_response(
            context.correlation_id,
            context.api_version,
            throttle_ms,
            self._scope.error,
            session_id,
            topics,
            context.broker.endpoints(leaders, context.listener) if leaders else (),
        )
        context.broker.sessions.give_back(len(self._request.partitions))
        if self._scope.error:
            context.failed(self._scope.error)
        if self._parked_ns:
            self._connection.listener.fetches_parked.observe(self._parked_ns)
        self._connection.reply(cast("list[Part]", pieces), throttle_ms, self._parked_ns)

    @staticmethod
    def _release(answers: list[Answered]) -> None:
        for each in answers:
            each.release()


def _limit(fetched: Fetched, left: int, copies: int) -> int:
    """How much to look for. Without room for copies only a file range can come: a short look
    tells."""
    return min(fetched.size_max, left if copies > 0 else min(left, limits.SMALL_READ_BYTES))


def start(
    connection: "Connection", context: RequestContext, view: memoryview, position: int, stop: int
) -> None:
    """One request at `view[position:stop]`, which has its connection's turn."""
    request = message.decode_request(view, position, stop, context.api_version)
    broker = context.broker
    weight = len(request.partitions)
    if not broker.sessions.take(weight):
        connection.refuse("more partitions are being fetched than there is memory for")
        return
    scope = broker.sessions.open(
        request.session_id,
        request.session_epoch,
        request.partitions,
        request.forgotten,
        broker.world.clock.monotonic_ms(),
        uses_topic_ids=context.api_version >= message.TOPIC_IDS_FROM,
    )
    channel = connection.channel
    assert channel is not None
    # Nobody can have read what has not even left: such a claim releases nothing yet.
    if len(connection.pins) and not channel.is_sending:
        for fetched in scope:
            connection.pins.read_up_to(fetched.key, fetched.offset)
    turn = FetchTurn(connection, context, request, scope)
    connection.turn = turn
    turn.attempt()
