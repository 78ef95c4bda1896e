"""Seams that only real files and sockets can show: two brokers in one process, lent pages."""

import asyncio
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.config import BrokerConfig, TopicsConfig, WalConfig
from app.limits import KIB
from app.main import Started, started
from app.tiers.nvme.segment import Segment
from app.world.real import RealWorld
from streambus.protocol import batch, records
from streambus.protocol.messages import fetch as fetching
from streambus.protocol.messages import list_offsets as listing
from tests.sim.broker import KafkaClient

UNKNOWN_TOPIC = 3
NOW_MS = time.time_ns() // 1_000_000  # retention takes what is older


def config(directory: Path, broker_id: int = 1, segment_bytes: int = 256 * KIB) -> BrokerConfig:
    return BrokerConfig(
        broker_id=broker_id,
        data=str(directory),
        listeners=("127.0.0.1:0",),
        wal=WalConfig(segment_bytes=segment_bytes),
        topics=TopicsConfig(retention_check_ms=20),
    )


@asynccontextmanager
async def real_broker(settings: BrokerConfig) -> AsyncIterator[Started]:
    world = RealWorld()
    try:
        async with started(settings, world) as broker:
            yield broker
    finally:
        await world.close()


@asynccontextmanager
async def client_of(broker: Started) -> AsyncIterator[KafkaClient]:
    world = RealWorld()
    client = await KafkaClient(world.network, *broker.addresses[0]).open()
    try:
        yield client
    finally:
        client.close()
        await world.close()


def one_record(value: bytes) -> bytes:
    return batch.build([(0, 0, None, value, ())], base_timestamp=NOW_MS)


def values_of(view: memoryview | bytes | None) -> list[tuple[int, bytes | None]]:
    """(offset, value) of whole batches, CRCs checked."""
    view = memoryview(b"" if view is None else view)
    found: list[tuple[int, bytes | None]] = []
    for position, _ in batch.headers(view):
        for offset, _, _, value, _ in records.read_records(view, position):
            found.append((offset, value))
    return found


async def until(reached: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not reached():  # noqa: ASYNC110 (what is waited for belongs to the broker)
            await asyncio.sleep(0.005)


# 1. Two brokers in one process


def module_state() -> dict[str, str]:
    """What every module of the broker holds in containers that can change."""
    return {
        f"{name}.{attribute}": repr(value)
        for name, module in sorted(sys.modules.items())
        if name.split(".")[0] in ("app", "streambus")
        for attribute, value in vars(module).items()
        if isinstance(value, list | dict | set | bytearray) and not attribute.startswith("__")
    }


async def use(broker: Started, mark: bytes) -> bytes:
    """Create a topic of one name, write to it, read it back; gives its id."""
    async with client_of(broker) as client:
        error, topic_id = await client.create_topic("same", 1, {})
        assert error == 0
        topic = (b"same", topic_id)
        for number in range(20):
            told = await client.produce(topic, 0, one_record(mark + b" %d" % number))
            assert told[1:3] == (0, number)
        fetched = await client.read(topic, 0, 0)
        expected = [(number, mark + b" %d" % number) for number in range(20)]
        assert values_of(fetched.records) == expected
        return topic_id


async def test_two_brokers_in_one_process_share_nothing(tmp_path: Path) -> None:
    async with real_broker(config(tmp_path / "warm")) as first:
        await use(first, b"everything is imported now")
    before = module_state()
    assert before, "no module was looked at"
    first_config, second_config = config(tmp_path / "1", 1), config(tmp_path / "2", 2)
    async with real_broker(first_config) as first:
        async with real_broker(second_config) as second:
            one, other = await asyncio.gather(use(first, b"first"), use(second, b"second"))
            assert one != other
            assert first.registry.wal is not second.registry.wal
            assert module_state() == before, "a module keeps something of a broker"
            async with client_of(first) as client:
                assert await client.delete_topic("same") == 0
            async with client_of(second) as client:
                fetched = await client.read((b"same", other), 0, 0)
                assert len(values_of(fetched.records)) == 20
                assert list(second.controller.image.brokers) == [2]
        # The second has ended: the first goes on.
        async with client_of(first) as client:
            assert (await client.metadata(["same"]))["same"].error == UNKNOWN_TOPIC
            error, topic_id = await client.create_topic("after", 1, {})
            assert error == 0
            assert (await client.produce((b"after", topic_id), 0, one_record(b"x")))[1] == 0
    async with real_broker(second_config) as again, client_of(again) as client:
        fetched = await client.read((b"same", other), 0, 0)
        assert len(values_of(fetched.records)) == 20


# 7. No reader ever sees a foreign byte

VALUE_BYTES = 80_000  # above SMALL_READ_BYTES: lent by sendfile, not copied
LAPS = 8  # segments begun while the reader does not read: each file is used several times


class SlowReader:
    """A raw socket with the smallest buffer: what it has not read is lent by the broker's pages."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.setblocking(True)
        self.socket.settimeout(10)
        self.socket.connect(address)
        self.address = self.socket.getsockname()

    def ask(self, topic: str, offset: int) -> None:
        wanted = (topic.encode(), None, 0, -1, offset, -1, -1, 50 << 20)
        request = fetching.FetchRequest(max_wait_ms=0, min_bytes=1, partitions=[wanted])
        self.socket.sendall(fetching.encode_request(1, "slow", 4, request))

    def read(self) -> bytes:
        """All that comes: one whole answer, or what came before the connection ended."""
        received = bytearray()
        while True:
            if len(received) >= 4:
                size = int.from_bytes(received[:4], "big")
                if len(received) >= 4 + size:
                    return bytes(received)
            try:
                piece = self.socket.recv(65_536)
            except ConnectionError:
                return bytes(received)
            if not piece:
                return bytes(received)
            received += piece

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Ring:
    """A broker whose WAL goes round: two topics of which only the newest records stay."""

    def __init__(self, broker: Started, client: KafkaClient) -> None:
        self.broker = broker
        self.client = client
        self.topics: dict[bytes, bytes] = {}
        self.written: dict[bytes, int] = {b"own": 0, b"foreign": 0}

    async def start(self) -> None:
        for name in self.written:
            error, topic_id = await self.client.create_topic(
                name.decode(), 1, {"retention.bytes": "300000", "retention.ms": "-1"}
            )
            assert error == 0
            self.topics[name] = topic_id

    @staticmethod
    def value(name: bytes, offset: int) -> bytes:
        return (b"%s %d " % (name, offset)).ljust(VALUE_BYTES, name[:1])

    async def write(self, name: bytes) -> None:
        offset = self.written[name]
        told = await self.client.produce(
            (name, self.topics[name]), 0, one_record(self.value(name, offset))
        )
        assert told[1:3] == (0, offset)
        self.written[name] += 1

    async def wrap_round(self) -> None:
        segments = self.broker.registry.wal._segments
        begun = segments[-1].sequence
        while self.broker.registry.wal._segments[-1].sequence < begun + LAPS:
            for name in self.written:
                await self.write(name)
            await asyncio.sleep(0.005)  # retention gets its turns

    async def lend(self) -> tuple[SlowReader, int]:
        """A client that asked for all of `own` and reads nothing; and the offset that it asked."""
        for _ in range(6):
            await self.write(b"own")
        while True:
            offset = (await self.client.list_offset(b"own", 0, listing.EARLIEST))[3]
            reader = await asyncio.to_thread(SlowReader, self.broker.addresses[0])
            reader.ask("own", offset)
            try:
                await until(self.pinned, seconds=1)
                return reader, offset
            except TimeoutError:  # retention moved the start in between: nothing was lent
                reader.socket.close()

    def pinned(self) -> list[Segment]:
        return [each for each in self.broker.registry.wal._segments if each.pins]

    def check(self, received: bytes, offset: int) -> int:
        """Every whole batch that came is its topic's own, in order; gives how many."""
        head = struct.calcsize(">iii") + 4 + 2 + len("own") + 4
        head += struct.calcsize(">ihqq") + 4 + 4  # a partition up to its records, none aborted
        view, count = memoryview(received)[head:], 0
        while len(view) >= batch.HEADER_BYTES:
            size = batch.LENGTH_PREFIX + int.from_bytes(view[8:12], "big")
            expected = one_record(self.value(b"own", offset))
            if size > len(view):  # it broke off here, but what came is right
                assert bytes(view[61:]) == expected[61 : len(view)], "a foreign byte"
                return count
            assert values_of(view[:size]) == [(offset, self.value(b"own", offset))]
            view = view[size:]
            offset, count = offset + 1, count + 1
        return count


@asynccontextmanager
async def ring(directory: Path) -> AsyncIterator[Ring]:
    async with real_broker(config(directory)) as broker, client_of(broker) as client:
        one = Ring(broker, client)
        await one.start()
        yield one


@pytest.fixture(autouse=True)
def _free_files_are_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more than one the newest is used first, and a lent one might wait below for ever."""
    monkeypatch.setattr("app.tiers.nvme.spares.SEGMENTS_FREE_MAX", 1)


async def test_a_reader_that_stalls_gets_its_own_bytes_though_the_wal_went_round(
    tmp_path: Path,
) -> None:
    async with ring(tmp_path) as one:
        for _ in range(3):
            reader, offset = await one.lend()
            await one.wrap_round()
            received = await asyncio.to_thread(reader.read)
            assert len(received) > VALUE_BYTES * 3
            assert one.check(received, offset) >= 3
            reader.socket.close()
        await until(lambda: not one.pinned())


async def test_what_is_on_its_way_when_the_broker_drops_a_connection_stays_right(
    tmp_path: Path,
) -> None:
    """The kernel goes on sending lent pages after the broker has let go of the connection."""
    async with ring(tmp_path) as one:
        arrived = 0
        for _ in range(4):
            reader, offset = await one.lend()
            lent = one.pinned()
            for connection in list(one.broker.listener.connections):
                if connection.channel is not None and _is_of(connection.channel, reader):
                    connection.channel.abort()
            await until(partial(is_let_go, lent))
            assert all(each.tainted for each in lent)
            await one.wrap_round()
            received = await asyncio.to_thread(reader.read)
            one.check(received, offset)
            arrived += len(received)
            reader.socket.close()
        assert arrived > 0, "nothing was on its way"


async def test_a_client_that_resets_with_answers_unread_taints_what_it_was_lent(
    tmp_path: Path,
) -> None:
    async with ring(tmp_path) as one:
        reader, _ = await one.lend()
        lent = one.pinned()
        files = [Path(each.path).open("rb") for each in lent]  # noqa: ASYNC230, SIM115
        before = [file.read(each.end) for file, each in zip(files, lent, strict=True)]
        await asyncio.to_thread(reader.reset)
        async with asyncio.timeout(10):
            while any(each.pins for each in lent):
                await one.write(b"foreign")  # nobody notices a dead peer before something is sent
                await asyncio.sleep(0.005)
        assert all(each.tainted for each in lent)
        await one.wrap_round()
        for file, content in zip(files, before, strict=True):
            file.seek(0)
            assert file.read(len(content)) == content, "a lent file was written over"
            file.close()
        # Everybody else reads their own.
        for name, topic_id in one.topics.items():
            found: list[tuple[int, bytes | None]] = []
            async with asyncio.timeout(10):
                while not found:  # retention may move the start between the two requests
                    start = (await one.client.list_offset(name, 0, listing.EARLIEST))[3]
                    found = values_of((await one.client.read((name, topic_id), 0, start)).records)
            assert all(value == one.value(name, at) for at, value in found)


def is_let_go(segments: list[Segment]) -> bool:
    return not any(each.pins for each in segments)


def _is_of(channel: Any, reader: SlowReader) -> bool:
    return str(channel.peer).endswith(f":{reader.address[1]}")
