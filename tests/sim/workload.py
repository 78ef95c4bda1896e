"""A seeded life of one whole broker: clients at work, and a nemesis that hurts it in every way.

`live(simulation)` is the scenario: it raises at the first thing that a client should never have
seen, and at the end reads everything back, twice, with a restart between. What it returns says how
often each kind of thing happened.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

from app.config import BrokerConfig, LimitsConfig, TopicsConfig, WalConfig
from app.limits import KIB
from app.partitions.replica import LEADING
from app.telemetry import events
from tests.sim.administrators import Administrator
from tests.sim.broker import KafkaClient, NoAnswer, SimBroker
from tests.sim.consumers import Consumer
from tests.sim.history import History
from tests.sim.nemesis import Nemesis
from tests.sim.producers import Place, Producer, has_failed_for_good
from tests.sim.verdict import Verdict
from tests.sim.world import Simulation

LIFE_MS = 12_000
LIFE_S_MAX = 600  # of virtual time: a client that never gets its answer is a failure, not a hang
TOPIC_EXISTS, STORAGE_ERROR, TIMED_OUT, UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID = 36, 56, 7, 3, 100

# In a ring everything goes after a while, so segments are retired and used again and again.
RING = {"retention.ms": "2000"}

CONFIGS: tuple[dict[str, str], ...] = (
    {},
    {"retention.bytes": "60000"},
    {"retention.ms": "5000"},
    {"message.timestamp.type": "LogAppendTime"},
    {"compression.type": "lz4"},
    {"compression.type": "uncompressed", "message.timestamp.type": "LogAppendTime"},
)


@dataclass
class Topic:
    name: str
    topic_id: bytes
    partitions: int
    stamps: bool
    is_volatile: bool
    is_deleting: bool = False  # somebody has asked for it
    is_deleted: bool = False  # somebody was told that it is gone
    places: dict[str, dict[int, Place]] = field(default_factory=dict)


class Workload:
    def __init__(self, simulation: Simulation, alarms: "Alarms") -> None:
        self.simulation = simulation
        self.alarms = alarms
        self.random = self.random_of("workload")
        self.history = History()
        self.topics: dict[bytes, Topic] = {}
        self.names: dict[bytes, bytes] = {}
        self.is_done = False
        self.is_large = self.random.random() < 0.3
        self.is_ring = self.random.random() < 0.5
        # Acknowledged before the disk has it: then only processes die, and that must cost nothing.
        self.is_lax = self.random.random() < 0.15
        random = self.random
        sync = random.choice(("os", "interval:5", "interval:200")) if self.is_lax else "block"
        segment_bytes = 256 * KIB if self.is_large else random.choice((16, 64, 128)) * KIB
        self.broker = SimBroker(
            simulation.machine("broker"),
            BrokerConfig(
                data="/data",
                wal=WalConfig(segment_bytes=segment_bytes, sync=sync),
                topics=TopicsConfig(
                    retention_check_ms=200 if self.is_ring else random.choice((200, 1_000, 5_000))
                ),
                limits=LimitsConfig(fetch_sessions=random.choice((1, 3, 1_000))),
            ),
        )
        self.broker.machine.disk.cold_chance = random.choice((0.0, 0.1, 0.5))
        self.administrator = Administrator(self)
        self.client_world = simulation.machine("client").boot()
        self._watermarks: dict[tuple[int, Any], int] = {}

    def random_of(self, name: str) -> Random:
        """Choices of one actor: what another does does not move them."""
        return Random(f"{self.simulation.seed}/{name}")

    # What actors use

    async def connect(self) -> KafkaClient:
        return await KafkaClient(self.client_world.network, "broker").open()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def pause(self, random: Random) -> None:
        await self.sleep(random.choice((0.005, 0.05, 0.3)) * random.random())

    async def think(self, random: Random) -> None:
        await self.sleep(0.25 * random.random() ** 3)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)

    def value_bytes(self, random: Random) -> int:
        if self.is_large and random.random() < 0.3:
            return random.randint(60_000, 100_000)
        return random.choice((1, 200, random.randint(1, 3_000)))

    @property
    def has_failed(self) -> bool:
        broker = self.broker.broker
        return self.broker.is_up and broker is not None and has_failed_for_good(broker.registry)

    # Topics

    async def create(self, name: str, random: Random, *, is_volatile: bool) -> None:
        """Until it is there, whatever happens meanwhile."""
        partitions = random.randint(1, 3)
        configs = random.choice(CONFIGS) | (RING if self.is_ring else {})
        while True:
            try:
                client = await self.connect()
                try:
                    error, _ = await client.create_topic(name, partitions, configs)
                    assert error in (0, TOPIC_EXISTS, STORAGE_ERROR, TIMED_OUT), error
                    if error in (0, TOPIC_EXISTS):
                        seen = (await client.metadata([name]))[name]
                        assert seen.error == 0, f"{name} was created, and Metadata says {seen}"
                        break
                finally:
                    client.close()
            except NoAnswer:
                self.history.mark("create.unanswered")
            await self.pause(random)
        assert seen.topic_id not in self.topics, f"{name} has the id of a topic of before"
        assert len(seen.leader_epochs) == partitions
        stamps = configs.get("message.timestamp.type") == "LogAppendTime"
        self.names[seen.topic_id] = name.encode()
        self.topics[seen.topic_id] = Topic(name, seen.topic_id, partitions, stamps, is_volatile)
        self.history.mark("topic.created")

    async def delete(self, topic: Topic, random: Random) -> None:
        topic.is_deleting = True
        while not topic.is_deleted:
            try:
                client = await self.connect()
                try:
                    error = await client.delete_topic(topic.name)
                    # Behind an attempt whose answer got lost the topic may be gone already.
                    gone = (0, UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID)
                    assert error in (*gone, STORAGE_ERROR, TIMED_OUT), error
                    topic.is_deleted = error in gone
                    if topic.is_deleted:
                        seen = (await client.metadata([topic.name]))[topic.name]
                        assert seen.error == UNKNOWN_TOPIC, f"deleted, and Metadata says {seen}"
                finally:
                    client.close()
            except NoAnswer:
                self.history.mark("delete.unanswered")
            await self.pause(random)
        self.history.mark("topic.deleted")

    async def churn(self) -> None:
        """One name over and over: made, used, deleted."""
        random = self.random_of("churn")
        while not self.is_done:
            await self.create("volatile", random, is_volatile=True)
            await self.sleep(random.uniform(0.1, 3))
            (topic,) = (t for t in self.topics.values() if t.is_volatile and not t.is_deleted)
            await self.delete(topic, random)

    # What must hold inside the broker at every moment

    async def watch(self) -> None:
        while not self.is_done:
            self.look()
            await self.sleep(0.02)

    def look(self) -> None:
        self.broker.check()
        self.alarms.check()
        broker = self.broker.broker
        if broker is None or not self.broker.is_up:
            return
        self.administrator.check(broker.controller.image)
        for replica in broker.registry.replicas():
            assert replica.log_start <= replica.log.start <= replica.log.end, replica.key
            assert replica.high_watermark <= replica.synced_end <= replica.log.end, replica.key
            if replica.role != LEADING:
                continue
            key = (self.broker.boots, replica.key)
            before = self._watermarks.get(key, 0)
            assert replica.high_watermark >= before, f"{replica.key}: the watermark went back"
            self._watermarks[key] = replica.high_watermark

    async def live(self) -> dict[str, int]:
        random = self.random
        await self.broker.start()
        for number in range(2):
            await self.create(f"stable{number}", random, is_volatile=False)
        nemesis = Nemesis(self)
        actors = [Producer(self, n, idempotent=n % 3 != 2) for n in range(3)]
        consumers = [Consumer(self, n) for n in range(2)]
        lives = [each.live() for each in actors] + [each.live() for each in consumers]
        async with asyncio.TaskGroup() as tasks:
            for each in lives:
                tasks.create_task(each)
            tasks.create_task(self.churn())
            tasks.create_task(self.administrator.live())
            tasks.create_task(self.watch())
            await nemesis.live(LIFE_MS)
            await nemesis.heal()
            self.is_done = True
        self.look()
        verdict = Verdict(self)
        await verdict.read_everything()
        await nemesis.restart_once()
        await verdict.read_everything()
        await self.broker.stop()
        self.alarms.check()
        return {
            **self.history.marks,
            "records": sum(len(each.records) for each in self.history.partitions.values()),
        }


class Alarms(logging.Handler):
    """Events that nothing which the nemesis does may cause: it never makes stored bytes wrong."""

    NAMES = frozenset(
        (
            "wal.corrupt",
            "replica.quarantined",
            "replica.fenced",
            "manifest.damaged",
            "connection.refused",
            "request.failed",
            "loop.error",
            "broker.failed",
        )
    )

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.raised: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        # A failed acks=0 ends its connection, as in Kafka: there is no other answer to it.
        if record.getMessage() in self.NAMES and "acks=0" not in fields.get("reason", ""):
            self.raised.append(f"{record.getMessage()} {fields}")

    def check(self) -> None:
        assert not self.raised, self.raised


async def live(simulation: Simulation) -> dict[str, int]:
    alarms = Alarms()
    events.LOGGER.addHandler(alarms)
    try:
        async with asyncio.timeout(LIFE_S_MAX):
            run = Workload(simulation, alarms)
            return await run.live()
    finally:
        events.LOGGER.removeHandler(alarms)
