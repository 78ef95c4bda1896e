"""Seams of the broker, each seen by a Kafka client: epochs, time, deletion, committed data."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from app.config import BrokerConfig, TopicsConfig, WalConfig
from app.limits import KIB
from app.model import BrokerId, TopicId
from streambus.protocol import api, batch, records
from streambus.protocol.messages import list_offsets as listing
from streambus.protocol.messages.fetch import FetchRequest
from tests.sim.broker import Down, KafkaClient, NoAnswer, SimBroker
from tests.sim.wal_frames import stored_frames
from tests.sim.world import Simulation, SimWorld, simulate

MINUTE_MS = 60_000
UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID = 3, 100
FENCED_EPOCH, UNKNOWN_EPOCH = 74, 75


class Place:
    """A broker and a machine for its clients."""

    def __init__(self, simulation: Simulation, *, segment_bytes: int = 64 * KIB) -> None:
        self.simulation = simulation
        self.broker = SimBroker(
            simulation.machine("broker"),
            BrokerConfig(
                data="/data",
                wal=WalConfig(segment_bytes=segment_bytes),
                topics=TopicsConfig(retention_check_ms=100),
            ),
        )
        self.clients: SimWorld = simulation.machine("client").boot()

    async def start(self) -> KafkaClient:
        await self.broker.start()
        return await self.connect()

    async def connect(self) -> KafkaClient:
        return await KafkaClient(self.clients.network, "broker").open()


def records_of(*values: bytes, timestamp: int = 1_700_000_000_000) -> bytes:
    entries = [(delta, 0, None, value, ()) for delta, value in enumerate(values)]
    return batch.build(entries, base_timestamp=timestamp)


async def read_all(
    client: KafkaClient, topic: tuple[bytes, bytes]
) -> list[tuple[int, int, bytes | None]]:
    """(offset, leader epoch, value) of all that is committed in partition 0."""
    found: list[tuple[int, int, bytes | None]] = []
    offset = (await client.list_offset(topic[0], 0, listing.EARLIEST))[3]
    while True:
        fetched = await client.read(topic, 0, offset)
        assert fetched.error == 0, fetched
        if not fetched.records:
            assert offset == fetched.high_watermark
            return found
        for position, header in batch.headers(fetched.records):
            batch.verify(fetched.records, position, header)
            for at, _, _, value, _ in records.read_records(fetched.records, position):
                found.append((at, header[batch.LEADER_EPOCH], value))
        offset = found[-1][0] + 1


# 6. Deletion


async def delete_and_make_again(simulation: Simulation) -> None:
    place = Place(simulation)
    random = simulation.random
    client = await place.start()
    error, old_id = await client.create_topic("t", 1, {})
    assert error == 0
    for number in range(30):
        told = await client.produce((b"t", old_id), 0, records_of(b"old %d" % number * 300))
        assert told[1] == 0
    assert await client.delete_topic("t") == 0
    error, new_id = await client.create_topic("t", 1, {})
    assert error == 0 and new_id != old_id
    written = []
    for number in range(random.randint(0, 3)):
        assert (await client.produce((b"t", new_id), 0, records_of(b"new %d" % number)))[1] == 0
        written.append(b"new %d" % number)
    for _ in range(3):
        random.choice((place.broker.kill, place.broker.crash))()
        client = await place.start()
        found = await read_all(client, (b"t", new_id))
        assert [value for _, _, value in found] == written
        assert [offset for offset, _, _ in found] == list(range(len(written)))
        assert (await client.read((b"t", old_id), 0, 0)).error == UNKNOWN_TOPIC_ID
        assert (await client.metadata())["t"].topic_id == new_id


@pytest.mark.parametrize("seed", range(8))
def test_a_topic_deleted_and_made_again_shows_no_old_record_after_a_crash(seed: int) -> None:
    simulate(delete_and_make_again, seed)


async def delete_while_power_fails(simulation: Simulation) -> None:
    """Power fails at some change of the disk between the deletion and the first new record."""
    place = Place(simulation)
    client = await place.start()
    _, old_id = await client.create_topic("t", 1, {})
    for number in range(10):
        assert (await client.produce((b"t", old_id), 0, records_of(b"old %d" % number)))[1] == 0
    place.broker.machine.disk.crash_at(simulation.random.randint(0, 12))
    new_id, written = b"", False
    try:
        assert await client.delete_topic("t") == 0
        _, new_id = await client.create_topic("t", 1, {})
        written = (await client.produce((b"t", new_id), 0, records_of(b"new")))[1] == 0
        place.broker.crash()
    except NoAnswer:
        assert not place.broker.is_up
    client = await place.start()
    topics = await client.metadata()
    if "t" not in topics:
        assert not written
        _, new_id = await client.create_topic("t", 1, {})
        assert await read_all(client, (b"t", new_id)) == []
        return
    found = [value for _, _, value in await read_all(client, (b"t", topics["t"].topic_id))]
    if topics["t"].topic_id == old_id:
        assert not written and found == [b"old %d" % number for number in range(10)]
    else:
        assert found in ([b"new"], [] if not written else [b"new"])


@pytest.mark.parametrize("seed", range(12))
def test_power_failing_during_a_deletion_mixes_no_two_topics(seed: int) -> None:
    simulate(delete_while_power_fails, seed)


async def a_log_start_stays_where_it_was(simulation: Simulation) -> None:
    place = Place(simulation)
    client = await place.start()
    _, topic_id = await client.create_topic("t", 1, {"retention.bytes": "20000"})
    topic, start, number = (b"t", topic_id), 0, 0
    for _ in range(4):
        for _ in range(20):
            told = await client.produce(topic, 0, records_of(b"%d " % number * 1_000))
            assert told[1:3] == (0, number)
            number += 1
        await asyncio.sleep(0.3)
        moved = (await client.list_offset(b"t", 0, listing.EARLIEST))[3]
        assert moved >= start
        start = moved
        simulation.random.choice((place.broker.kill, place.broker.crash))()
        client = await place.start()
        after = (await client.list_offset(b"t", 0, listing.EARLIEST))[3]
        assert after >= start, "what retention took came back"
        start = after
        found = await read_all(client, topic)
        assert found[0][0] >= start and found[-1][0] == number - 1
    assert start > 0, "retention took nothing"


@pytest.mark.parametrize("seed", range(4))
def test_a_moved_log_start_survives_kills_and_crashes(seed: int) -> None:
    simulate(a_log_start_stays_where_it_was, seed)


# 8. Three ends


async def a_follower_holds_back(simulation: Simulation) -> None:
    place = Place(simulation)
    client = await place.start()
    _, topic_id = await client.create_topic("t", 1, {})
    topic = (b"t", topic_id)
    assert (await client.produce(topic, 0, records_of(b"before")))[1] == 0
    broker = place.broker.broker
    assert broker is not None
    # The image as it will be with a second broker, which is in sync and says nothing yet.
    image = broker.controller.image
    known = image.topics_by_id[TopicId(topic_id)]
    (state,) = known.partitions
    both = (BrokerId(1), BrokerId(2))
    shared = replace(known, partitions=(replace(state, replicas=both, isr=both),))
    broker.registry.apply(
        replace(
            image,
            topics_by_name={"t": shared},
            topics_by_id={TopicId(topic_id): shared},
        )
    )
    (replica,) = broker.registry.replicas()
    everyone = client.send_produce(topic, 0, records_of(b"a", b"b"), acks=-1, version=13)
    await asyncio.sleep(1)
    leader = await place.connect()
    told = await leader.produce(topic, 0, records_of(b"c"), acks=1)
    assert told[1:3] == (0, 3), "acks=1 is answered when the leader has it"
    reader = await place.connect()
    wanted = (*topic, 0, -1, 1, -1, -1, 1 << 20)
    waiting = asyncio.get_running_loop().create_task(
        reader.fetch(FetchRequest(max_wait_ms=60_000, min_bytes=1, partitions=[wanted]), 16)
    )
    await asyncio.sleep(1)
    assert replica.synced_end == 4
    assert not everyone.done() and not waiting.done()
    fetched = await leader.read(topic, 0, 1)
    assert (fetched.error, fetched.high_watermark, fetched.records or b"") == (0, 1, b"")
    assert (await leader.list_offset(b"t", 0, listing.LATEST))[3] == 1
    assert (await leader.list_offset(b"t", 0, listing.MAX_TIMESTAMP))[3] == 0
    replica.reported(2, 3, 0)
    assert (await client.produced(everyone, 13))[1:3] == (0, 1)
    response = await waiting
    ((_, _, (woken,)),) = response.topics
    assert woken.high_watermark == 3 and woken.records
    assert [header[0] for _, header in batch.headers(woken.records)] == [1]
    replica.reported(2, 4, 0)
    assert [value for _, _, value in await read_all(leader, topic)] == [b"before", b"a", b"b", b"c"]


@pytest.mark.parametrize("seed", range(4))
def test_clients_see_nothing_above_what_a_follower_in_sync_holds(seed: int) -> None:
    simulate(a_follower_holds_back, seed)


# 10. Time


async def jump_about(simulation: Simulation) -> tuple[int, int]:
    place = Place(simulation)
    random, machine = simulation.random, place.broker.machine
    client = await place.start()
    _, topic_id = await client.create_topic("t", 1, {"retention.ms": "-1"})
    walls = []
    old = records_of(b"x" * 500, timestamp=1_600_000_000_000)  # behind every clock of this run
    for _ in range(40):
        assert (await client.produce((b"t", topic_id), 0, old))[1] == 0
        walls.append(machine.clock.now_ms())
        machine.clock.jump(random.choice((0, 5_000, -30 * MINUTE_MS, 29 * MINUTE_MS)))
        if random.random() < 0.2:
            random.choice((place.broker.kill, place.broker.crash))()
            client = await place.start()
    await place.broker.stop()
    stamps = [frame.append_ms for frame in stored_frames(machine.disk, "/data/wal")]
    assert stamps == sorted(stamps), "append_ms went back"
    backward = sum(later < earlier for earlier, later in pairwise(walls))
    return len(stamps), backward


@pytest.mark.parametrize("seed", range(4))
def test_append_ms_on_disk_never_goes_back_when_the_wall_clock_does(seed: int) -> None:
    frames, backward = simulate(jump_about, seed).value
    assert frames >= 40 and backward > 5


# 11. Leader epochs


async def epochs_over_restarts(simulation: Simulation) -> None:
    place = Place(simulation)
    client = await place.start()
    _, topic_id = await client.create_topic("t", 1, {})
    topic, ends, end = (b"t", topic_id), {}, 0
    for boot in range(5):
        (epoch,) = (await client.metadata())["t"].leader_epochs
        assert epoch == boot
        for _ in range(simulation.random.choice((0, 1, 3)) if boot else 2):
            assert (await client.produce(topic, 0, records_of(b"a", b"b")))[1:3] == (0, end)
            end += 2
            ends[epoch] = end
        found = await read_all(client, topic)
        assert {at: each for at, each, _ in found} == {
            at: min(each for each, stop in ends.items() if at < stop) for at in range(end)
        }
        for asked in range(epoch + 1):
            # An epoch that wrote nothing ends where the newest one before it does.
            known = max((each for each in ends if each <= asked), default=-1)
            told = await client.end_of_epoch("t", 0, asked)
            expected = end if asked == epoch else ends[known]
            assert (told[0], told[2]) == (0, expected), (asked, told, ends)
            assert told[1] == (epoch if asked == epoch else known)
        assert (await client.end_of_epoch("t", 0, epoch + 1)) == (0, -1, -1)
        for current, error in ((epoch - 1, FENCED_EPOCH), (epoch, 0), (epoch + 1, UNKNOWN_EPOCH)):
            if current >= 0:
                wanted = (*topic, 0, current, 0, -1, -1, 1 << 20)
                request = FetchRequest(max_wait_ms=0, min_bytes=0, partitions=[wanted])
                ((_, _, (fetched,)),) = (await client.fetch(request, 16)).topics
                assert fetched.error == error
        simulation.random.choice((place.broker.kill, place.broker.crash))()
        client = await place.start()


@pytest.mark.parametrize("seed", range(4))
def test_every_batch_has_its_leader_epoch_and_the_history_is_known_after_restarts(
    seed: int,
) -> None:
    simulate(epochs_over_restarts, seed)


# 13. Create, then look


async def create_then_look_hundreds_of_times(simulation: Simulation) -> int:
    place = Place(simulation)
    await place.start()
    count = 0

    async def one(number: int) -> None:
        nonlocal count
        maker, looker = await place.connect(), await place.connect()
        for round_ in range(40):
            name = f"t-{number}-{round_}"
            error, topic_id = await maker.create_topic(name, 1, {})
            assert error == 0
            version = simulation.random.randint(1, 13) if round_ % 2 else 12
            asked = None if simulation.random.random() < 0.2 else [name]
            seen = (await looker.metadata(asked, max(version, 10)))[name]
            assert (seen.error, seen.topic_id) == (0, topic_id)
            told = await looker.produce((name.encode(), topic_id), 0, records_of(b"at once"))
            assert told[1:3] == (0, 0)
            if round_ % 4 == 0:
                assert await maker.delete_topic(name) == 0
                assert (await looker.metadata([name]))[name].error == UNKNOWN_TOPIC
            count += 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(one(number))
    return count


def test_who_was_told_that_a_topic_exists_sees_it_and_may_write_to_it() -> None:
    assert simulate(create_then_look_hundreds_of_times, 1).value == 320


# A start that dies is no start


async def crash_while_starting(simulation: Simulation) -> int:
    place = Place(simulation)
    client = await place.start()
    _, topic_id = await client.create_topic("t", 1, {})
    for number in range(20):
        assert (await client.produce((b"t", topic_id), 0, records_of(b"%d" % number)))[1] == 0
    place.broker.crash()
    deaths = 0
    for step in range(60):
        place.broker.machine.disk.crash_at(step)
        try:
            await place.broker.start()
        except Down:
            deaths += 1
            continue
        place.broker.machine.disk.never_crash()
        break
    client = await place.connect()
    found = await read_all(client, (b"t", topic_id))
    assert [value for _, _, value in found] == [b"%d" % number for number in range(20)]
    return deaths


@pytest.mark.parametrize("seed", range(3))
def test_power_may_fail_at_every_step_of_a_start(seed: int) -> None:
    assert simulate(crash_while_starting, seed).value > 3


def test_the_version_table_has_the_versions_that_these_tests_speak() -> None:
    for key, version in ((api.PRODUCE, 13), (api.FETCH, 16), (api.METADATA, 12)):
        assert api.is_served(key, version)
