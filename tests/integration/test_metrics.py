"""Metrics of a live broker: what clients sent and got is what is counted, to the byte."""

import asyncio
import io
import json
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client.parser import text_string_to_metric_families

from app.config import BrokerConfig
from app.core.manifest import decide
from app.main import Started, started
from app.partitions.metrics import PartitionMetrics
from app.partitions.traffic import TopicTraffic
from app.telemetry import events
from app.telemetry.exposition import render
from app.telemetry.process import watched
from app.world.real import RealWorld
from streambus.protocol import api
from streambus.protocol.messages import control, list_offsets
from tests.golden.generate_metrics_page import declared
from tests.integration.test_seams import until
from tests.integration.wire import a_batch, fetched, frame_of, produced

Labels = tuple[tuple[str, str], ...]


class Scrape:
    """What a scrape shows, as Prometheus reads it."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self._samples.get((f"streambus_{name}", tuple(sorted(labels.items()))), 0)

    def series(self, name: str) -> list[Labels]:
        return [labels for known, labels in self._samples if known == f"streambus_{name}"]


async def scraped(broker: Started, world: RealWorld) -> Scrape:
    families = await broker.collectors.gather(world.clock)
    return Scrape(b"".join(render(families)).decode())


@asynccontextmanager
async def measured_broker(directory: Path) -> AsyncIterator[tuple[Started, RealWorld]]:
    world = RealWorld()
    try:
        settings = BrokerConfig(data=str(directory), listeners=("127.0.0.1:0",))
        async with started(settings, world) as broker:
            with watched(world, broker.collectors):
                yield broker, world
    finally:
        await world.close()


class Frames:
    """A client that counts what it sends and gets, by API key."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.sent: dict[int, int] = {}
        self.got: dict[int, int] = {}
        self.requests: dict[int, int] = {}

    @classmethod
    async def open(cls, broker: Started) -> "Frames":
        return cls(*await asyncio.open_connection(*broker.addresses[0]))

    def send(self, *requests: bytes) -> None:
        """All of them at once."""
        for request in requests:
            (key,) = struct.unpack_from(">h", request, 4)
            self.sent[key] = self.sent.get(key, 0) + len(request)
            self.requests[key] = self.requests.get(key, 0) + 1
        self._writer.write(b"".join(requests))

    async def answer(self, key: int) -> bytes:
        head = await self._reader.readexactly(4)
        body = await self._reader.readexactly(int.from_bytes(head, "big"))
        self.got[key] = self.got.get(key, 0) + 4 + len(body)
        return body

    async def ask(self, request: bytes) -> bytes:
        self.send(request)
        return await self.answer(struct.unpack_from(">h", request, 4)[0])

    async def is_closed(self) -> bool:
        return await self._reader.read() == b""

    def close(self) -> None:
        self._writer.close()


def names() -> dict[int, str]:
    return {each.key: each.name for each in api.TABLE}


def metadata_of(*topics: str) -> bytes:
    types = control.request_types(api.METADATA, 4)
    asked = tuple(types.MetadataRequestTopic(name=name) for name in topics)
    request = types.MetadataRequest(topics=asked, allow_auto_topic_creation=False)
    return control.encode_request(request, 1, "wire")


def creation_of(topic: str) -> bytes:
    types = control.request_types(api.CREATE_TOPICS, 4)
    one = types.CreatableTopic(
        name=topic, num_partitions=1, replication_factor=1, assignments=(), configs=()
    )
    return control.encode_request(types.CreateTopicsRequest(topics=(one,)), 1, "wire")


async def test_requests_bytes_and_records_are_counted_exactly(tmp_path: Path) -> None:
    async with measured_broker(tmp_path / "data") as (broker, world):
        client = await Frames.open(broker)
        await client.ask(creation_of("orders"))
        batches = [a_batch([b"x" * size] * count) for size, count in ((1, 1), (100, 7), (9_000, 3))]
        for _ in range(5):
            client.send(*[produced("orders", each) for each in batches])
            for _ in batches:
                await client.answer(api.PRODUCE)
        for _ in range(4):
            await client.ask(fetched("orders"))
        await client.ask(fetched("orders", offset=55, wait_ms=50))
        await client.ask(metadata_of("orders"))
        scrape = await scraped(broker, world)
        for key, name in names().items():
            assert scrape("requests_total", api=name) == client.requests.get(key, 0), name
            assert scrape("request_seconds_count", api=name) == client.requests.get(key, 0), name
            assert scrape("request_bytes_total", api=name) == client.sent.get(key, 0), name
            assert scrape("response_bytes_total", api=name) == client.got.get(key, 0), name
        stored = 5 * sum(map(len, batches))
        assert scrape("topic_appended_batches_total", topic="orders") == 15
        assert scrape("topic_appended_records_total", topic="orders") == 55
        assert scrape("topic_appended_bytes_total", topic="orders") == stored
        assert scrape("topic_fetched_bytes_total", topic="orders") == 4 * stored
        place = {"topic": "orders", "partition": "0"}
        assert scrape("partition_end_offset", **place) == 55
        assert scrape("partition_start_offset", **place) == 0
        assert scrape("partition_bytes", **place) == stored
        assert scrape("partitions", role="leading") == 1
        assert scrape("fetch_wait_seconds_count") == 1
        assert 0.04 < scrape("fetch_wait_seconds_sum") < 5
        assert scrape("wal_blocks_total") == scrape("wal_syncs_total") > 0
        assert scrape("wal_written_bytes_total") > stored
        assert scrape("wal_block_seconds_count") == scrape("wal_blocks_total")
        assert not scrape.series("request_errors_total")
        client.close()


async def test_error_codes_are_counted_for_each_partition_that_got_one(tmp_path: Path) -> None:
    async with measured_broker(tmp_path / "data") as (broker, world):
        client = await Frames.open(broker)
        await client.ask(creation_of("orders"))
        await client.ask(creation_of("orders"))
        await client.ask(metadata_of("orders", "nothing", "nowhere"))
        await client.ask(produced("orders", a_batch([b"x"]), partition=9))
        await client.ask(produced("nothing", a_batch([b"x"])))
        await client.ask(fetched("orders", (0, 7, 8)))
        asked = list_offsets.Request([(b"nothing", [(0, -1, -1)])])
        await client.ask(list_offsets.encode_request(1, "wire", 5, asked))
        scrape = await scraped(broker, world)
        unknown = "UNKNOWN_TOPIC_OR_PARTITION"
        assert scrape("request_errors_total", api="CreateTopics", error="TOPIC_ALREADY_EXISTS") == 1
        assert scrape("request_errors_total", api="Metadata", error=unknown) == 2
        assert scrape("request_errors_total", api="Produce", error=unknown) == 2
        assert scrape("request_errors_total", api="Fetch", error=unknown) == 2
        assert scrape("request_errors_total", api="ListOffsets", error=unknown) == 1
        assert len(scrape.series("request_errors_total")) == 5
        client.close()


async def test_connections_and_what_waits_on_them_are_counted(tmp_path: Path) -> None:
    async with measured_broker(tmp_path / "data") as (broker, world):
        clients = [await Frames.open(broker) for _ in range(3)]
        await clients[0].ask(creation_of("orders"))
        clients[0].send(fetched("orders", wait_ms=60_000))
        clients[1].send(frame_of(b"\x7f\xff" + bytes(20)))  # an API that nobody has
        assert await clients[1].is_closed()
        await until(lambda: len(broker.registry.parked) == 1)
        scrape = await scraped(broker, world)
        assert scrape("connections", listener="plain") == 2
        assert scrape("connections_accepted_total", listener="plain") == 3
        assert scrape("connections_closed_total", reason="refused") == 1
        assert scrape("fetches_parked") == scrape("requests_in_flight", api="Fetch") == 1
        for client in clients:
            client.close()
        await until(lambda: not broker.listener.connections)
        scrape = await scraped(broker, world)
        assert scrape("connections", listener="plain") == scrape("fetches_parked") == 0


async def test_what_a_real_client_writes_and_reads_adds_up(tmp_path: Path) -> None:
    def traffic(address: str) -> int:
        servers = {"bootstrap.servers": address}
        admin = AdminClient(servers)
        (created,) = admin.create_topics([NewTopic("events", 3, 1)]).values()
        created.result(10)
        producer = Producer({**servers, "linger.ms": 5})
        for number in range(2_000):
            producer.produce("events", b"value %d" % number, partition=number % 3)
        assert producer.flush(30) == 0
        consumer = Consumer({**servers, "group.id": "g", "enable.auto.commit": False})
        consumer.assign([TopicPartition("events", each, 0) for each in range(3)])
        got = 0
        while got < 2_000:
            got += sum(message.error() is None for message in consumer.consume(500, 10))
        consumer.close()
        return got

    async with measured_broker(tmp_path / "data") as (broker, world):
        host, port = broker.addresses[0]
        assert await asyncio.to_thread(traffic, f"{host}:{port}") == 2_000
        scrape = await scraped(broker, world)
        assert scrape("topic_appended_records_total", topic="events") == 2_000
        places = [{"topic": "events", "partition": str(each)} for each in range(3)]
        assert sum(scrape("partition_end_offset", **place) for place in places) == 2_000
        appended = scrape("topic_appended_bytes_total", topic="events")
        assert sum(scrape("partition_bytes", **place) for place in places) == appended
        assert scrape("topic_fetched_bytes_total", topic="events") >= appended
        assert not [
            each for each in scrape.series("request_errors_total") if "Produce" in str(each)
        ]
        known = {metric.name: metric for metric in declared()}
        families = await broker.collectors.gather(world.clock)
        assert {family.name for family in families} == set(known)
        for family in families:
            metric = known[family.name]
            assert (family.kind, family.help, family.labels, family.bounds) == (
                metric.kind, metric.help, metric.labels, metric.bounds
            )  # fmt: skip


async def test_topics_and_partitions_beyond_the_bound_have_no_series(tmp_path: Path) -> None:
    async with measured_broker(tmp_path / "data") as (broker, world):
        broker.registry.traffic = TopicTraffic(topics_max=3)
        topics = [decide.NewTopic(f"topic-{number}", 2) for number in range(6)]
        await broker.controller.create_topics(topics)
        client = await Frames.open(broker)
        for topic in topics:
            await client.ask(produced(topic.name, a_batch([b"x"])))
        scrape = await scraped(broker, world)
        assert sorted(scrape.series("topic_appended_records_total")) == [
            (("topic", name),) for name in ("", "topic-0", "topic-1", "topic-2")
        ]
        assert scrape("topic_appended_records_total", topic="") == 3
        await broker.controller.delete_topics([broker.registry.topics[b"topic-5"].topic_id])
        assert (await scraped(broker, world))("topic_appended_records_total", topic="") == 3
        few = [piece for piece in PartitionMetrics(broker.registry, 7).collect() if piece]
        rows = {family.name: family.rows for family in few}
        assert len(rows["streambus_partition_end_offset"]) == 7
        assert rows["streambus_partitions_without_series"] == [((), [3])]
        client.close()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    handlers, level = list(events.LOGGER.handlers), events.LOGGER.level
    propagate = events.LOGGER.propagate
    stream = io.StringIO()
    events.configure("json", "debug", stream)
    yield stream
    events.LOGGER.handlers[:] = handlers
    events.LOGGER.setLevel(level)
    events.LOGGER.propagate = propagate


async def test_what_is_said_of_a_request_carries_its_id(tmp_path: Path, lines: io.StringIO) -> None:
    def said(event: str) -> list[dict[str, Any]]:
        every = [json.loads(line) for line in lines.getvalue().splitlines()]
        return [line for line in every if line["event"] == event]

    async with measured_broker(tmp_path / "data") as (broker, _):
        first, second = await Frames.open(broker), await Frames.open(broker)
        await first.ask(creation_of("orders"))
        await second.ask(metadata_of("orders"))
        await first.ask(produced("orders", a_batch([b"x"])))
        await first.ask(fetched("orders"))
        answered = said("request.answered")
        assert [(line["request"], line["api"]) for line in answered] == [
            ("1-1", "create_topics"),
            ("2-1", "metadata"),
        ], "of control requests alone"
        second.send(frame_of(struct.pack(">hhih", api.METADATA, 4, 77, -1) + b"\xff"))
        assert await second.is_closed()
        assert [line["request"] for line in said("connection.refused")] == ["2-77"]
        first.close()
