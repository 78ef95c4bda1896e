"""Producers of a simulated run: each a loop that lives through whatever happens to the broker.

An idempotent producer sends the same batch with the same sequence until it is acknowledged, as
clients do; a plain one sends each once. Both keep several requests in flight on one connection.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from app.tiers.nvme.failures import DiskFull
from streambus.protocol import batch
from tests.sim.broker import KafkaClient, NoAnswer
from tests.sim.history import PartitionHistory

if TYPE_CHECKING:
    from tests.sim.workload import Topic, Workload

NOT_LEADER, TIMED_OUT, OUT_OF_ORDER, STORAGE_ERROR = 6, 7, 45, 56
UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID = 3, 100
GONE = (UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID)
AGAIN = (NOT_LEADER, TIMED_OUT, STORAGE_ERROR)
IN_FLIGHT_MAX = 5
HEAVY_CHANCE = 0.04  # of a batch so large that it is not copied, but written from where it arrived


@dataclass
class Outgoing:
    """One batch until its producer knows where it stands."""

    values: list[bytes]
    raw: bytes
    answer: Any = None
    committed: int = 0
    """The high watermark that clients knew of when this was sent."""
    was_refusing: bool = False
    """The log had failed for good when this was sent: nobody may acknowledge it."""


@dataclass
class Place:
    """A producer's state for one partition."""

    topic: "Topic"
    partition: int
    history: PartitionHistory
    sequence: int = 0
    number: int = 0
    outgoing: list[Outgoing] = field(default_factory=list)


class Producer:
    def __init__(self, run: "Workload", number: int, *, idempotent: bool) -> None:
        self.run = run
        self.random: Random = run.random_of(f"producer {number}")
        self.heavy: Random = run.random_of(f"heavy {number}")  # apart: it moves no other choice
        self.idempotent = idempotent
        self.name = f"{'i' if idempotent else 'p'}{number}"
        self.version = self.random.randint(7, 13)
        self.acks = -1 if idempotent else self.random.choice((-1, 1, 1, 0))
        self.producer_id, self.epoch = -1, -1
        self.place: Place | None = None

    async def live(self) -> None:
        while not self.run.is_done or (self.idempotent and self.place and self.place.outgoing):
            try:
                client = await self.run.connect()
                try:
                    await self._on(client)
                finally:
                    client.close()
            except NoAnswer:
                self.run.history.mark("producer.disconnected")
            else:
                await self.run.sleep(0.4 * self.random.random())  # refused: not again at once
            if not self.idempotent and self.place is not None:
                self.place.outgoing.clear()
            await self.run.pause(self.random)

    async def _on(self, client: KafkaClient) -> None:
        """Produce on this connection until something goes wrong."""
        run, random = self.run, self.random
        if self.idempotent and self.producer_id < 0:
            error, self.producer_id, self.epoch = await client.init_producer_id()
            if error:
                self.producer_id = -1
                assert error in AGAIN, error
                return
            run.history.new_producer(self.producer_id)
        while True:
            if self.place is None or (not self.place.outgoing and random.random() < 0.2):
                self._choose_place()
            place = self.place
            if place is None:
                return
            if not place.outgoing:
                if run.is_done:
                    return
                for _ in range(random.randint(1, IN_FLIGHT_MAX)):
                    self._build(place)
            if not await self._send_all(client, place):
                return
            await run.think(random)

    def _choose_place(self) -> None:
        """Another partition. A producer that comes back goes on where it was, as clients do."""
        topics = [t for t in self.run.topics.values() if not t.is_deleting]
        if not self.version >= 13:
            topics = [t for t in topics if not t.is_volatile]
        self.place = None
        if topics:
            topic = self.random.choice(topics)
            partition = self.random.randrange(topic.partitions)
            places = topic.places.setdefault(self.name, {})
            if partition not in places:
                history = self.run.history.of(topic.topic_id, partition)
                places[partition] = Place(topic, partition, history)
            self.place = places[partition]

    def _build(self, place: Place) -> None:
        run, random = self.run, self.random
        now = run.broker.machine.clock.now_ms()
        base = now - random.choice((0, random.randint(0, 60_000)))
        is_heavy = self.heavy.random() < HEAVY_CHANCE
        entries, values = [], []
        for delta in range(random.choice((1, 1, random.randint(1, 8)))):
            head = f"{place.topic.topic_id.hex()} {place.partition} {self.name} {place.number} "
            size = run.value_bytes(random)
            if is_heavy and not values:
                size = self.heavy.randint(40_000, 60_000)
            value = head.encode().ljust(size, random.choice(b"abc").to_bytes())
            shift = random.randint(-50, 50)
            stamps = place.topic.stamps
            place.history.send(value, self.name, place.number, -1 if stamps else base + shift)
            entries.append((delta, shift, self.name.encode(), value, ()))
            values.append(value)
            place.number += 1
        codec = random.randint(0, 4)
        raw = batch.build(
            entries,
            codec=0 if is_heavy else codec,
            base_timestamp=base,
            producer_id=self.producer_id,
            producer_epoch=self.epoch,
            base_sequence=place.sequence if self.idempotent else -1,
        )
        place.sequence += len(values)
        place.outgoing.append(Outgoing(values, raw))

    async def _send_all(self, client: KafkaClient, place: Place) -> bool:
        """Send everything unanswered, in order, and hear what became of it. False: begin anew."""
        topic = (place.topic.name.encode(), place.topic.topic_id)
        for out in place.outgoing:
            out.committed = place.history.high_watermark
            out.was_refusing = self.run.has_failed
            out.answer = client.send_produce(
                topic, place.partition, out.raw, acks=self.acks, version=self.version
            )
        if self.acks == 0:
            place.outgoing.clear()
            return True
        has_failed = False
        waiting: Sequence[Outgoing] = list(place.outgoing)
        for out in waiting:
            _, error, offset, stamp, start, _, _, _ = await client.produced(
                out.answer, self.version
            )
            if error == 0:
                assert not out.was_refusing, "acknowledged after the log had failed"
                # Behind a batch that failed, an idempotent one can only be out of order.
                assert not (has_failed and self.idempotent), "acknowledged behind a refused batch"
                assert (stamp >= 0) == place.topic.stamps, (place.topic, stamp)
                place.history.acknowledge(out.values, offset, stamp)
                if offset < out.committed:
                    self.run.history.mark("produce.duplicate")
                place.history.show(None, start)
                place.outgoing.remove(out)
                self.run.history.mark("produce.acknowledged")
                continue
            self.run.history.mark(f"produce.error {error}")
            if not self.idempotent:
                place.outgoing.remove(out)
            if error in GONE:
                assert place.topic.is_deleting, f"{place.topic.name} is not there any more"
                place.outgoing.clear()
                self.place = None
                return True
            assert error in AGAIN or (error == OUT_OF_ORDER and has_failed), (
                f"{self.name} got {error} for {out.values[0][:80]!r}"
            )
            has_failed = has_failed or error != TIMED_OUT
            if error == TIMED_OUT and self.idempotent:
                return False
        return not has_failed


def has_failed_for_good(registry: Any) -> bool:
    """The log refuses everything until the process ends."""
    return registry.failure is not None and not isinstance(registry.failure, DiskFull)
