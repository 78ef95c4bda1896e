"""Look-ups: by timestamp record by record, by Kafka's names, and by leader epoch."""

from random import Random

import pytest

from app.core.topic_policy import LOG_APPEND_TIME
from app.partitions.lookup import Located, end_of_epoch, list_offsets
from streambus.protocol import batch
from tests.sim.world import Simulation, simulate
from tests.unit.partitions.arrange import records
from tests.unit.partitions.house import House, at_epoch, topic

ORDERS = topic("orders", 1, 2, timestamp_after_max_ms=1 << 62)


def timed(*timestamps: int, codec: int = 0) -> bytes:
    """A batch whose records have these timestamps."""
    base = timestamps[0]
    return batch.build(
        [(number, each - base, None, b"v", ()) for number, each in enumerate(timestamps)],
        base_timestamp=base,
        codec=codec,
    )


def test_timestamps_are_found_record_by_record_as_a_list_would() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS)
        random = Random(simulation.seed)
        written: list[int] = []
        for turn in range(150):
            stamps = [random.randrange(1, 2_000) for _ in range(random.randrange(1, 30))]
            written += stamps
            pending = house.send(timed(*stamps, codec=random.randrange(5)))
            house.send(records(random.randrange(1, 60)), partition=1)
            if turn % 9 == 0:
                await house.answer(pending)
        await house.answer(pending)
        replica = house.replica("orders")
        for start in (0, 37):
            replica.log_start = start
            for wanted in (0, 1, 5, 500, 1_000, 1_900, 1_990, 1_998, 1_999, 2_000, 10**12):
                found = await list_offsets(replica, wanted, 0)
                expected = next(
                    ((at, n) for n, at in enumerate(written) if n >= start and at >= wanted),
                    (-1, -1),
                )
                assert (found.error, found.timestamp, found.offset) == (0, *expected)
            newest = max(written[start:])
            offset = next(n for n, at in enumerate(written) if n >= start and at == newest)
            assert await list_offsets(replica, -3, 0) == Located(0, newest, offset, 0)

    for seed in range(3):
        simulate(scenario, seed)


def test_timestamps_of_records_that_are_not_committed_are_not_found() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(topic("orders", 1, isr=(1, 2)))
        for stamp in (10, 20, 30):
            await house.produce(timed(stamp, stamp + 1), acks=1)
        replica = house.replica("orders")
        assert await list_offsets(replica, 0, 0) == Located()
        assert await list_offsets(replica, -3, 0) == Located()
        replica.reported(2, 4, 0)
        assert (await list_offsets(replica, 21, 0))[1:3] == (21, 3)
        assert (await list_offsets(replica, 22, 0)) == Located()
        assert (await list_offsets(replica, -3, 0))[1:3] == (21, 3)
        assert (await list_offsets(replica, -1, 0)).offset == 4

    simulate(scenario, 1)


def test_where_no_record_has_a_time_the_first_is_the_latest_in_time() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS)
        replica = house.replica("orders")
        assert await list_offsets(replica, -3, 0) == Located()
        for _ in range(2):
            await house.produce(timed(-1, -1))
        assert await list_offsets(replica, -3, 0) == Located(0, -1, 0, 0)
        assert await list_offsets(replica, 0, 0) == Located()
        await house.produce(timed(7))
        assert await list_offsets(replica, -3, 0) == Located(0, 7, 4, 0)

    simulate(scenario, 1)


def test_special_names_are_answered_as_kafka_does_without_an_object_tier() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(ORDERS)
        await house.produce(timed(5, 6, 7))
        machine.kill()
        house = await House(machine).start(at_epoch(ORDERS, 4))
        await house.produce(timed(8, 9))
        replica = house.replica("orders")
        assert await list_offsets(replica, -1, 1) == Located(0, -1, 5, 4)
        assert await list_offsets(replica, -2, 0) == Located(0, -1, 0, 0)
        assert await list_offsets(replica, -4, 0) == Located(0, -1, 0, 0)
        assert await list_offsets(replica, -5, 0) == Located()
        assert await list_offsets(replica, -6, 0) == Located()
        assert await list_offsets(replica, -7, 0) == Located(35)
        assert await list_offsets(replica, 6, 0) == Located(0, 6, 1, 0)
        assert await list_offsets(replica, 8, 0) == Located(0, 8, 3, 4)

    simulate(scenario, 1)


@pytest.mark.parametrize(("epoch", "error"), [(-1, 0), (3, 0), (2, 74), (4, 75)])
def test_a_look_up_is_fenced_by_the_clients_epoch(epoch: int, error: int) -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(at_epoch(ORDERS, 3))
        replica = house.replica("orders")
        assert (await list_offsets(replica, -1, 0, epoch)).error == error
        assert end_of_epoch(replica, 3, epoch).error == error

    simulate(scenario, 1)


def test_log_append_time_counts_as_every_records_timestamp() -> None:
    async def scenario(simulation: Simulation) -> None:
        stamping = topic("orders", 1, timestamp_type=LOG_APPEND_TIME)
        house = await House(simulation.machine("one")).start(stamping)
        await house.produce(timed(5, 6))
        await house.world.sleep(1_000)
        now_ms = house.world.clock.now_ms()
        await house.produce(timed(5, 6))
        replica = house.replica("orders")
        found = await list_offsets(replica, now_ms, 0)
        assert (found.offset, found.timestamp >= now_ms) == (2, True)
        assert await list_offsets(replica, -3, 0) == found

    simulate(scenario, 1)


def test_the_end_of_the_newest_epoch_is_told_only_as_far_as_it_is_durable() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS)
        await house.produce(records(3))
        pending = house.send(records(4))
        replica = house.replica("orders")
        assert end_of_epoch(replica, 0) == (0, 0, 3)
        await house.answer(pending)
        assert end_of_epoch(replica, 0) == (0, 0, 7)
        assert end_of_epoch(replica, 9) == (0, -1, -1)

    simulate(scenario, 1)
