"""Arrangements for the tests of the Kafka face: requests by an independent codec, a channel in
memory, and a broker whose partitions and manifest are small fakes.

Requests are encoded and answers decoded by kafka-python, which shares nothing with our codec.
"""

import heapq
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType, SimpleNamespace
from typing import Any

from app.admin.local import LocalAdmin
from app.admin.parts import Parts
from app.core.manifest.decide import NewTopic
from app.core.manifest.image import Broker as BrokerShown
from app.core.manifest.image import Image, PartitionState, Topic
from app.core.topic_policy import TopicPolicy
from app.errors import InvalidTopic, StreamBusError, UnknownTopicOrPartition
from app.kafka.connection import Connection
from app.kafka.context import Broker, KafkaSettings
from app.kafka.handlers import ROUTES
from app.kafka.listener import Door, Listener
from app.kafka.metadata_cache import MetadataCache
from app.kafka.router import Router
from app.kafka.sessions import FetchSessions
from app.limits import LEASED_BATCH_BYTES_MIN
from app.model import BrokerId, Endpoint, Incarnation, LeaderEpoch, PartitionKey, Principal, TopicId
from app.raft.controller import CreatedTopic
from app.security.ports import AllowAll, Operation, Resource, Unlimited
from app.world.ports import FileRange, Lease
from streambus.protocol import api, batch
from tests.golden.generate_messages import filled, message_class
from tests.unit.partitions.arrange import Timer

CLIENT_ID = "tester"


def request(name: str, version: int, correlation_id: int = 1, **fields: Any) -> bytes:
    """One framed request, e.g. `request("Metadata", 9, topics=None)`."""
    message, _ = filled(message_class(f"{name}Request"), fields, version)
    message.with_header(correlation_id, CLIENT_ID)
    return bytes(message.encode(header=True, framed=True))


def decoded(name: str, version: int, frame: bytes) -> Any:
    return message_class(f"{name}Response").decode(frame, version=version, header=True, framed=True)


def frames(received: bytes) -> list[bytes]:
    """Framed answers cut apart; nothing may be left over."""
    found = []
    while received:
        size = 4 + int.from_bytes(received[:4], "big")
        assert len(received) >= size, "an answer is cut short"
        found.append(received[:size])
        received = received[size:]
    return found


def correlation_ids(received: bytes) -> list[int]:
    return [int.from_bytes(frame[4:8], "big") for frame in frames(received)]


def records(count: int = 1, **fields: Any) -> bytes:
    value = fields.pop("value", b"value")
    rows = [(number, 0, b"key", value, ()) for number in range(count)]
    return batch.build(rows, base_timestamp=1_700_000_000_000, **fields)


def produce(
    correlation_id: int = 1,
    version: int = 9,
    topic: str = "orders",
    partition: int = 0,
    acks: int = -1,
    body: bytes | None = None,
) -> bytes:
    return request(
        "Produce",
        version,
        correlation_id,
        transactional_id=None,
        acks=acks,
        timeout_ms=30_000,
        topic_data=[
            {
                "name": topic,
                "topic_id": id_of(topic),
                "partition_data": [{"index": partition, "records": body or records()}],
            }
        ],
    )


def id_of(topic: str) -> Any:
    from uuid import UUID

    return UUID(bytes=topic_id(topic))


def topic_id(topic: str) -> TopicId:
    return TopicId(topic.encode().rjust(16, b"\x00")[-16:])


class ManualWorld:
    """Clock, timers and randomness that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000
        self.clock = SimpleNamespace(
            now_ms=lambda: 1_700_000_000_000 + self.now,
            monotonic_ms=lambda: self.now,
            monotonic_ns=lambda: self.now * 1_000_000,
        )
        self.files = SimpleNamespace(space=lambda directory: (1_000, 400))
        self.randomness = SimpleNamespace(below=self._below)
        self._drawn = 0
        self._set = 0
        self._timers: list[tuple[int, int, Timer]] = []

    def lane(self, name: str) -> Any:
        """Jobs run at once, on the loop."""

        async def run(job: Callable[[], Any]) -> Any:
            return job()

        return SimpleNamespace(run=run)

    def _below(self, bound: int) -> int:
        self._drawn += 1
        return self._drawn % bound

    def call_later(self, ms: int, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        self._set += 1
        heapq.heappush(self._timers, (self.now + ms, self._set, timer))
        return timer

    def advance(self, ms: int) -> None:
        until = self.now + ms
        while self._timers and self._timers[0][0] <= until:
            self.now, _, timer = heapq.heappop(self._timers)
            if not timer.is_cancelled:
                timer.callback()
        self.now = until


class MemoryChannel:
    """The peer's end of a connection: what arrived there, and what we asked of the socket."""

    def __init__(self, peer: str = "127.0.0.1:1") -> None:
        self.peer = peer
        self.descriptor = -1
        self.is_full = False
        self.is_sending = False
        self.received = b""
        self.writes = 0
        self.is_paused = False
        self.is_closed = False
        self.is_aborted = False

    def send(self, parts: Any) -> None:
        assert not self.is_closed, "sent after close"
        self.writes += 1
        for part in parts:
            if isinstance(part, FileRange):
                self.received += part.file.read(part.position, part.length)
            else:
                self.received += bytes(part)

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True


class FakeReplica:
    """A partition that takes everything and answers when the test says `sync`."""

    def __init__(self, key: PartitionKey, policy: TopicPolicy) -> None:
        self.key = key
        self.policy = policy
        self.prepares = False
        self.refuses = 0
        self.read_error = 0
        self.role = "leading"
        self.log_start = 0
        self.high_watermark = 0
        self.log = SimpleNamespace(end=0, leader_epoch=3)
        self.appended: list[tuple[bytes, int]] = []  # (records, acks)
        self.keeps = False
        self.kept: list[tuple[memoryview, Lease]] = []  # large ones where they lie, as a log does
        self._waiting: list[tuple[Any, int, int]] = []
        self.prepared: Callable[[bytes], bytes] = bytes.upper

    def append(
        self,
        view: memoryview,
        start: int,
        end: int,
        acks: int,
        version: int,
        pending: Any,
        slot: int,
        now_ms: int,
        lease: Lease | None = None,
    ) -> None:
        if self.refuses:
            pending.resolve(slot, self.refuses, -1)
            return
        self.appended.append((bytes(view[start:end]) if start >= 0 else b"", acks))
        if self.keeps and lease is not None and end - start >= LEASED_BATCH_BYTES_MIN:
            lease.hold()
            self.kept.append((view[start:end], lease))
        offset = self.log.end
        self.log.end += 1
        if acks == 0:
            pending.resolve(slot, 0, offset)
        else:
            self._waiting.append((pending, slot, offset))

    async def prepare(self, view: memoryview, version: int) -> memoryview:
        return memoryview(self.prepared(bytes(view)))

    def let_go(self) -> None:
        """What was kept is written."""
        kept, self.kept = self.kept, []
        for _, lease in kept:
            lease.release()

    def sync(self, count: int | None = None) -> None:
        """The first `count` waiting appends (or all) are durable and committed."""
        ready, self._waiting = (
            self._waiting[:count],
            [] if count is None else self._waiting[count:],
        )
        for pending, slot, offset in ready:
            self.high_watermark = offset + 1
            pending.resolve(slot, 0, offset)


class FakeRegistry:
    """Routes of the topics that the test declares."""

    def __init__(self) -> None:
        self.topics: dict[bytes, Any] = {}
        self.topics_by_id: dict[TopicId, Any] = {}
        self.generation = 0
        self.failure = None
        self.wal = SimpleNamespace(pending_bytes=0, bytes_of=lambda key: 0)
        self._released: list[Callable[[], None]] = []
        self._drained: list[Callable[[], None]] = []

    def after_release(self, callback: Callable[[], None]) -> None:
        self._released.append(callback)

    def after_drained(self, callback: Callable[[], None]) -> None:
        self._drained.append(callback)

    def round(self) -> None:
        for callback in self._released:
            callback()

    def drained(self) -> None:
        for callback in self._drained:
            callback()

    def apply(self, image: Image) -> None:
        self.generation += 1
        for gone in [name for name in self.topics if name.decode() not in image.topics_by_name]:
            del self.topics_by_id[self.topics.pop(gone).topic_id]
        for topic in image.topics_by_name.values():
            if topic.name.encode() in self.topics:
                continue
            route = SimpleNamespace(
                name=topic.name.encode(),
                topic_id=topic.topic_id,
                policy=topic.policy,
                replicas=[
                    FakeReplica(PartitionKey(topic.topic_id, number), topic.policy)
                    for number in range(len(topic.partitions))
                ],
            )
            self.topics[route.name] = route
            self.topics_by_id[route.topic_id] = route


def broker_shown(broker_id: int, **ports: int) -> BrokerShown:
    """A broker of 127.0.0.1 with a listener per name, e.g. `broker_shown(2, plain=1, tls=2)`."""
    endpoints = tuple(Endpoint(name, "127.0.0.1", port) for name, port in sorted(ports.items()))
    return BrokerShown(BrokerId(broker_id), endpoints, None, Incarnation(1))


class FakeController:
    """Topics in an image, without a log behind it."""

    def __init__(self, registry: FakeRegistry) -> None:
        self._registry = registry
        self.image = Image(
            cluster_id="test-cluster",
            controller_id=BrokerId(1),
            brokers=MappingProxyType({BrokerId(1): broker_shown(1, plain=9092)}),
        )
        self.validated = 0
        self.term = 1
        self.watchers: list[Callable[[Image], None]] = []

    def add(self, name: str, partitions: int = 1, leader: int = 1, **policy: Any) -> Topic:
        owners = (BrokerId(leader),)
        state = PartitionState(BrokerId(leader), LeaderEpoch(3), owners, owners)
        topic = Topic(
            name,
            topic_id(name),
            MappingProxyType({}),
            TopicPolicy(**policy),
            (state,) * partitions,
        )
        self._publish([*self.image.topics_by_name.values(), topic])
        return topic

    def register(self, broker: BrokerShown) -> None:
        brokers = MappingProxyType({**self.image.brokers, broker.id: broker})
        self.image = replace(self.image, index=self.image.index + 1, brokers=brokers)

    def watch(self, watcher: Callable[[Image], None]) -> None:
        self.watchers.append(watcher)
        watcher(self.image)

    def _publish(self, topics: list[Topic]) -> None:
        self.image = Image(
            index=self.image.index + 1,
            cluster_id=self.image.cluster_id,
            controller_id=self.image.controller_id,
            brokers=self.image.brokers,
            topics_by_name=MappingProxyType({each.name: each for each in topics}),
            topics_by_id=MappingProxyType({each.topic_id: each for each in topics}),
        )
        self._registry.apply(self.image)
        for watcher in self.watchers:
            watcher(self.image)

    async def create_topics(
        self, topics: list[NewTopic], *, validate_only: bool = False, timeout_ms: int = 0
    ) -> list[CreatedTopic | StreamBusError]:
        answers: list[CreatedTopic | StreamBusError] = []
        for topic in topics:
            if not topic.name.isidentifier():
                answers.append(InvalidTopic(topic.name))
                continue
            partitions = max(topic.partitions, 1)
            created_id = TopicId(bytes(16))
            if validate_only:
                self.validated += 1
            else:
                created_id = self.add(topic.name, partitions).topic_id
            answers.append(CreatedTopic(topic.name, created_id, partitions, 1, {}))
        return answers

    async def ensure_topic(self, name: str) -> Topic:
        if name not in self.image.topics_by_name:
            (answer,) = await self.create_topics([NewTopic(name)])
            if isinstance(answer, StreamBusError):
                raise answer
        return self.image.topics_by_name[name]

    async def delete_topics(
        self, wanted: list[TopicId], *, timeout_ms: int = 0
    ) -> list[Topic | StreamBusError]:
        answers: list[Topic | StreamBusError] = []
        for which in wanted:
            topic = self.image.topics_by_id.get(which)
            if topic is None:
                answers.append(UnknownTopicOrPartition(which.hex()))
                continue
            self._publish([each for each in self.image.topics_by_name.values() if each != topic])
            answers.append(topic)
        return answers

    async def alter_configs(
        self, resources: list[Any], *, validate_only: bool = False, timeout_ms: int = 0
    ) -> list[dict[str, str] | StreamBusError]:
        """Nothing changes; unknown topics are told."""
        return [
            {}
            if each.name in self.image.topics_by_name
            else UnknownTopicOrPartition(f"The topic '{each.name}' does not exist.")
            for each in resources
        ]


class FakeProducerIds:
    def __init__(self) -> None:
        self.given = 6_999

    async def next(self) -> int:
        self.given += 1
        return self.given


class DenyAll:
    """Nobody may do anything. `asked` is what was asked."""

    generation = 1

    def __init__(self) -> None:
        self.asked: list[tuple[Principal, Operation, Resource, str]] = []

    def allows(
        self, principal: Principal, operation: Operation, resource: Resource, name: str
    ) -> bool:
        self.asked.append((principal, operation, resource, name))
        return False

    def allows_any(self, principal: Principal, operation: Operation, resource: Resource) -> bool:
        self.asked.append((principal, operation, resource, "*"))
        return False


class Throttle:
    """Everybody is to be quiet for `ms` after every request."""

    def __init__(self, ms: int = 250) -> None:
        self.ms = ms
        self.charged: list[tuple[Principal, str, int, int]] = []

    def throttle_ms(self, principal: Principal, client_id: str, api_key: int, size: int) -> int:
        self.charged.append((principal, client_id, api_key, size))
        return self.ms


class Peer:
    """A client in memory: what it sends goes to a connection as a socket would bring it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.channel = MemoryChannel()
        connection.connected(self.channel)

    def send(self, sent: bytes, piece: int = 1 << 30) -> None:
        """In reads of at most `piece` bytes, for as long as the connection reads."""
        while sent and not (self.channel.is_paused or self.channel.is_closed):
            room = self.connection.get_buffer()
            assert len(room) > 0, "no room to read into"
            count = min(len(room), len(sent), piece)
            room[:count] = sent[:count]
            self.connection.buffer_updated(count)
            sent = sent[count:]
        self.unsent = sent

    def more(self) -> None:
        """Go on with what did not go before reading paused."""
        self.send(self.unsent)

    def taken(self) -> bytes:
        """What arrived since the last call."""
        received, self.channel.received = self.channel.received, b""
        return received

    def close(self) -> None:
        self.connection.disconnected(None)


class Kit:
    """A broker's Kafka face over fakes. `async with Kit() as kit:`."""

    def __init__(
        self,
        *,
        authorizer: Any = None,
        quotas: Any = None,
        settings: KafkaSettings | None = None,
        admin: Any = None,
    ) -> None:
        self.world = ManualWorld()
        self.registry = FakeRegistry()
        self.controller = FakeController(self.registry)
        self.producer_ids = FakeProducerIds()
        self.admin = admin or local_admin(self.world, self.registry, self.controller, authorizer)
        self.broker = Broker(
            broker_id=BrokerId(1),
            world=self.world,  # type: ignore[arg-type]
            registry=self.registry,  # type: ignore[arg-type]
            controller=self.controller,  # type: ignore[arg-type]
            producer_ids=self.producer_ids,  # type: ignore[arg-type]
            authorizer=authorizer or AllowAll(),
            quotas=quotas or Unlimited(),
            settings=settings or KafkaSettings(),
            sessions=FetchSessions(),
            metadata=MetadataCache(),
            admin=self.admin,
        )
        self.listener = Listener(self.broker, Router(ROUTES))

    async def __aenter__(self) -> "Kit":
        await self.listener.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        for connection in list(self.listener.connections):
            connection.abort()
        await self.listener.__aexit__(*exception)

    def connect(self, listener: str = "plain") -> Peer:
        return Peer(Door(self.listener, listener).accept())

    def replica(self, topic: str, partition: int = 0) -> FakeReplica:
        replica: FakeReplica = self.registry.topics[topic.encode()].replicas[partition]
        return replica

    async def ask(self, name: str, version: int, peer: Peer | None = None, **fields: Any) -> Any:
        """One request that is answered without a sync, decoded."""
        peer = peer or self.connect()
        peer.send(request(name, version, **fields))
        await settled()
        (frame,) = frames(peer.taken())
        return decoded(name, version, frame)


class ScriptedAdmin:
    """Answers a command with what stands in `replies` for its class: a reply, an error to raise, or
    a function of the command. `asked` is what it was asked."""

    def __init__(self, replies: dict[type, Any]) -> None:
        self.replies = replies
        self.asked: list[Any] = []

    async def ask(self, principal: Principal, command: Any) -> Any:
        self.asked.append(command)
        reply = self.replies[type(command)]
        if isinstance(reply, StreamBusError):
            raise reply
        return reply(command) if callable(reply) else reply


def local_admin(world: Any, registry: Any, controller: Any, authorizer: Any) -> LocalAdmin:
    """The admin port over these parts, real or fake."""
    return LocalAdmin(
        Parts(
            broker_id=BrokerId(1),
            world=world,
            registry=registry,
            controller=controller,
            authorizer=authorizer or AllowAll(),
            directory="data",
        )
    )


async def settled() -> None:
    """Let every task and callback that is ready run."""
    import asyncio

    for _ in range(20):
        await asyncio.sleep(0)


NAMES = {row.key: row.name for row in api.TABLE}
