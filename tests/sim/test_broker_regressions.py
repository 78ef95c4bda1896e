"""What simulated lives have found broken, each small enough to read."""

import errno

import pytest

from app.config import BrokerConfig
from app.core.manifest.entries import Entry
from app.errors import OffsetOutOfRange
from app.model import ControllerTerm
from app.partitions import read
from app.raft.consensus import Position
from app.raft.journal import Journal
from streambus.protocol import batch
from tests.sim.broker import KafkaClient, SimBroker
from tests.sim.world import Simulation, SimWorld, simulate

NOTHING = Position(bytes(16), 0, 0)
MINUTE_MS = 60_000


# A start builds on the journal's tail only once that is on the disk


def entry(index: int, term: int) -> Entry:
    return Entry(index, ControllerTerm(term), index.to_bytes(16, "big"), b"payload %d" % index * 50)


async def a_failed_sync_then_kill_then_power(simulation: Simulation) -> int:
    machine = simulation.machine("a")

    def journal(world: SimWorld) -> Journal:
        return Journal(world.files, "/m", bytes(range(16)))

    world = machine.boot()
    with world.on_lane("raft"):
        world.files.make_directory("/m")
        one = journal(world)
        one.open(NOTHING)
        one.append([entry(1, one.term)])
        machine.disk.fail("sync", errno.EIO)
        with pytest.raises(OSError):
            one.append([entry(2, one.term)])
    machine.kill()  # the page cache shows entry 2; the disk may have none or part of it
    world = machine.boot()
    with world.on_lane("raft"):
        two = journal(world)
        found = two.open(NOTHING).entries
        two.append([entry(len(found) + 1, two.term)])
    machine.crash()
    world = machine.boot()
    with world.on_lane("raft"):
        entries = journal(world).open(NOTHING).entries
    assert [each.index for each in entries] == list(range(1, len(found) + 2))
    return len(found)


def test_a_journal_tail_that_a_failed_sync_left_in_the_page_cache_is_written_again() -> None:
    assert 2 in {simulate(a_failed_sync_then_kill_then_power, seed).value for seed in range(20)}


# Whole brokers


async def begun(simulation: Simulation, **configs: str) -> tuple[SimBroker, KafkaClient, bytes]:
    broker = SimBroker(simulation.machine("broker"), BrokerConfig(data="/data"))
    await broker.start()
    client = await KafkaClient(simulation.machine("client").boot().network, "broker").open()
    named = {name.replace("_", "."): value for name, value in configs.items()}
    error, topic_id = await client.create_topic("t", 1, named)
    assert error == 0
    return broker, client, topic_id


def one_record(sequence: int = -1, producer_id: int = -1, size: int = 100) -> bytes:
    return batch.build(
        [(0, 0, None, bytes(size), ())],
        base_timestamp=1_700_000_000_000,
        producer_id=producer_id,
        producer_epoch=0 if producer_id >= 0 else -1,
        base_sequence=sequence,
    )


async def stamped_twice(simulation: Simulation) -> None:
    broker, client, topic_id = await begun(
        simulation, message_timestamp_type="LogAppendTime", cleanup_policy="delete"
    )
    _, producer_id, _ = await client.init_producer_id()
    topic = (b"t", topic_id)
    await client.produce(topic, 0, one_record(0, producer_id))
    broker.machine.clock.jump(-20 * MINUTE_MS)  # frames go on with the time of before
    sent = one_record(1, producer_id)
    first = await client.produce(topic, 0, sent)
    assert first[1] == 0
    broker.kill()
    await broker.start()
    again = await KafkaClient(client._network, "broker").open()
    second = await again.produce(topic, 0, sent)
    assert second[:4] == first[:4], "a duplicate is told what its original was told"


def test_a_duplicate_is_told_its_originals_log_append_time_after_a_restart() -> None:
    simulate(stamped_twice, 1)


async def read_while_the_start_moves(simulation: Simulation) -> bool:
    broker, client, topic_id = await begun(simulation)
    assert broker.broker is not None
    answers = [
        client.send_produce((b"t", topic_id), 0, one_record(size=200), acks=-1, version=13)
        for _ in range(6)
    ]
    for answer in answers:
        assert (await client.produced(answer, 13))[1] == 0
    await client.produce((b"t", topic_id), 0, one_record())
    (replica,) = broker.broker.registry.replicas()
    machine = broker.machine
    machine.disk.cold_chance = 1.0
    machine.delays.lane_s = 0.05
    asked = broker.machine.world.spawn(  # type: ignore[union-attr]
        read.read(replica, 3, 1 << 20, 0, at_least_one=True)
    )
    machine.delays.lane_s = 0.001
    replica.move_start(6)
    result = await asked
    if result.error:
        assert result.error == OffsetOutOfRange.code
        return True
    (first,) = (part for part in result.parts[:1])
    assert isinstance(first, bytes)
    assert batch.read_header(first)[batch.BASE_OFFSET] <= 3, "it begins behind what was asked for"
    return False


def test_a_cold_read_does_not_go_on_behind_a_log_start_that_moved_meanwhile() -> None:
    assert any(simulate(read_while_the_start_moves, seed).value for seed in range(10))
