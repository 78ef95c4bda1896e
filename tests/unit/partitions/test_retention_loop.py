"""Retention: log starts move up by whole extents, segments come back, and nothing moves too
early."""

import errno

from app.partitions.retention_loop import RetentionLoop
from streambus.protocol import batch
from tests.sim.world import Simulation, simulate
from tests.unit.partitions.house import DIRECTORY, House, at_epoch, image, topic

DAY_MS = 86_400_000


def filling(house: House, size: int = 100_000) -> bytes:
    now_ms = house.world.clock.now_ms()
    return batch.build([(0, 0, None, bytes(size), ())], base_timestamp=now_ms)


def loop_of(house: House) -> RetentionLoop:
    return RetentionLoop(house.world, house.registry, 1_000)


def segments(house: House) -> list[str]:
    with house.world.on_lane("roll"):
        names = house.world.files.list(DIRECTORY)
    return [name for name in names if name.endswith(".segment") and not name.startswith("free")]


def test_old_records_go_and_their_segments_with_them() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        orders = topic("orders", 1, retention_ms=DAY_MS)
        house = await House(machine).start(orders)
        for _ in range(50):
            await house.produce(filling(house))
        before = len(segments(house))
        await loop_of(house).check()
        replica = house.replica("orders")
        assert replica.log.start == 0
        machine.clock.jump(2 * DAY_MS)
        await house.produce(filling(house))
        await loop_of(house).check()
        await house.produce(filling(house))
        start = replica.log_start
        assert 40 <= start <= 50
        await loop_of(house).check()
        await house.world.sleep(2_000)
        assert len(segments(house)) < before - 2
        assert (await house.fetch(start - 1))[0].error == 1
        assert (await house.fetch(start))[0].error == 0
        machine.crash()
        house = await House(machine).start(at_epoch(orders, 1))
        assert house.replica("orders").log_start >= start
        assert house.replica("orders").high_watermark == 52

    simulate(scenario, 1)


def test_what_is_above_retention_bytes_goes_oldest_first() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(
            topic("orders", 1, retention_bytes=2_000_000, retention_ms=-1)
        )
        for _ in range(60):
            await house.produce(filling(house))
        await loop_of(house).check()
        await house.produce(filling(house))
        start = house.replica("orders").log_start
        extents = house.registry.wal.extents(house.replica("orders").key)
        kept = sum(size for _, _, size, _ in extents)
        assert start > 0
        assert kept >= 2_000_000

    simulate(scenario, 1)


def test_a_compacted_or_unlimited_topic_keeps_everything() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(
            topic("kept", 1, retention_ms=-1, retention_bytes=-1),
            topic("compact", 2, cleanup_compact=True, cleanup_delete=False, retention_ms=1),
        )
        for name in ("kept", "compact"):
            await house.produce(filling(house), name)
        machine.clock.jump(1_000 * DAY_MS)
        await loop_of(house).check()
        for name in ("kept", "compact"):
            assert house.replica(name).log.start == 0

    simulate(scenario, 1)


def test_the_loop_looks_by_itself_and_soon_after_a_topic_is_deleted() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        orders, other = topic("orders", 1), topic("other", 2)
        house = await House(machine).start(orders, other)
        house.world.spawn(RetentionLoop(house.world, house.registry, 3_600_000).run())
        for _ in range(50):
            await house.produce(filling(house))
        before = len(segments(house))
        house.registry.apply(image(other))
        await house.produce(filling(house), "other")
        await house.world.sleep(5_000)
        assert len(segments(house)) < before - 2
        assert (await house.fetch(0, "other"))[0].error == 0

    simulate(scenario, 1)


def test_what_expired_stays_until_the_loop_looks_though_another_topic_goes() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        orders = topic("orders", 1, retention_ms=DAY_MS)
        gone = topic("gone", 2)
        house = await House(machine).start(orders, gone)
        house.world.spawn(RetentionLoop(house.world, house.registry, 60_000).run())
        for _ in range(50):
            await house.produce(filling(house))
        machine.clock.jump(2 * DAY_MS)
        await house.produce(filling(house))
        house.registry.apply(image(orders))
        await house.produce(filling(house))
        await house.world.sleep(20_000)
        assert house.replica("orders").log.start == 0
        house.replica("orders").move_start(1)
        await house.produce(filling(house))
        await house.world.sleep(20_000)
        assert house.replica("orders").log.start == 1
        await house.world.sleep(30_000)
        assert house.replica("orders").log.start > 40

    simulate(scenario, 1)


def test_idle_producers_expire() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(topic("orders", 1))
        sent = batch.build(
            [(0, 0, None, b"", ())],
            producer_id=4,
            producer_epoch=0,
            base_sequence=0,
            base_timestamp=machine.clock.now_ms(),
        )
        assert await house.produce(sent) == (0, 0)
        assert await house.produce(sent) == (0, 0)
        machine.clock.jump(2 * DAY_MS)
        await loop_of(house).check()
        assert await house.produce(sent) == (0, 1)

    simulate(scenario, 1)


def test_the_time_that_producers_are_remembered_may_change_while_it_runs() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(topic("orders", 1))
        loop = loop_of(house)
        sent = batch.build(
            [(0, 0, None, b"", ())],
            producer_id=4,
            producer_epoch=0,
            base_sequence=0,
            base_timestamp=machine.clock.now_ms(),
        )
        assert await house.produce(sent) == (0, 0)
        machine.clock.jump(5_000)
        await loop.check()
        assert await house.produce(sent) == (0, 0)
        loop.producer_expiration_ms = 4_000
        await loop.check()
        assert await house.produce(sent) == (0, 1)

    simulate(scenario, 1)


def test_a_disk_that_fails_under_retention_ends_neither_the_loop_nor_the_reads() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(topic("orders", 1, retention_ms=DAY_MS))
        house.world.spawn(house.registry.run())
        loop = house.world.spawn(RetentionLoop(house.world, house.registry, 1_000).run())
        for _ in range(30):
            await house.produce(filling(house))
        machine.clock.jump(2 * DAY_MS)
        machine.disk.fail("write", errno.ENOSPC, times=10**6)
        await house.world.sleep(20_000)
        assert not loop.done()
        assert house.replica("orders").log_start == 0
        assert (await house.fetch(0))[0].error == 0
        machine.disk.heal()
        await house.world.sleep(20_000)
        assert not loop.done()
        assert house.replica("orders").log_start > 10

    for seed in range(5):
        simulate(scenario, seed)
