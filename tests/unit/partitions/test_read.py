"""Reads: whole batches, within bounds, as copies or as file ranges, hot or cold, with Kafka's
errors."""

import pytest

from app import limits
from app.partitions.lookup import list_offsets
from app.partitions.read import GATHER_BYTES_MAX, ReadResult, try_read
from app.tiers.nvme.wal import Slice
from app.world.ports import FileRange
from streambus.protocol import batch
from tests.sim.world import Simulation, simulate
from tests.unit.partitions.arrange import records
from tests.unit.partitions.house import House, topic

ORDERS = topic("orders", 1, 4)


def offsets(read: bytes) -> list[int]:
    """The base offsets of the batches."""
    return [header[batch.BASE_OFFSET] for _, header in batch.headers(memoryview(read))]


def large(size: int) -> bytes:
    return batch.build([(0, 0, None, bytes(size), ())])


def test_a_fetch_inside_a_batch_gets_the_whole_batch() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS)
        for _ in range(4):
            await house.produce(records(5))
        assert offsets((await house.fetch(7))[1]) == [5, 10, 15]
        assert offsets((await house.fetch(10))[1]) == [10, 15]
        assert (await house.fetch(20))[1] == b""

    simulate(scenario, 1)


def test_bytes_max_bounds_whole_batches_but_the_first_may_be_larger() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS)
        for _ in range(4):
            await house.produce(records(5))
        size = len(records(5))
        for bytes_max, count in ((0, 1), (1, 1), (size, 1), (2 * size - 1, 1), (3 * size, 3)):
            _, read = await house.fetch(0, bytes_max=bytes_max)
            assert len(offsets(read)) == count
        assert (await house.fetch(0, bytes_max=size - 1, at_least_one=False))[1] == b""
        assert (await house.fetch(0, bytes_max=0, at_least_one=False))[1] == b""

    simulate(scenario, 1)


@pytest.mark.parametrize(
    ("offset", "epoch", "error"),
    [
        (-1, -1, 1),
        (21, -1, 1),
        (20, -1, 0),
        (0, 3, 0),
        (0, 2, 74),
        (0, 4, 75),
        (99, 2, 74),
        (0, -2, 74),
    ],
)
def test_errors_of_a_fetch_are_kafkas(offset: int, epoch: int, error: int) -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(topic("orders", 1, epoch=3))
        await house.produce(records(20))
        result, read = await house.fetch(offset, epoch=epoch)
        assert result.error == error
        assert (result.log_start, result.high_watermark) == (0, 20)
        assert (read != b"") == (error == 0 and offset < 20)

    simulate(scenario, 1)


def test_a_fetch_between_the_committed_and_the_written_end_is_early_not_out_of_range() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(topic("orders", 1, isr=(1, 2)))
        await house.produce(records(5), acks=1)
        for offset in (0, 3, 5):
            result, read = await house.fetch(offset)
            assert (result.error, read) == (0, b"")
        assert (await house.fetch(6))[0].error == 1

    simulate(scenario, 1)


def test_large_pieces_are_file_ranges_with_a_pin_each_and_small_ones_are_copies() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        machine.disk.cold_chance = 0.0
        house = await House(machine).start(ORDERS)
        await house.produce(records(5))
        result = await_now(house, 0)
        assert [type(part) for part in result.parts] == [bytes]
        assert result.pins == []
        await house.produce(large(2 * limits.SMALL_READ_BYTES))
        result = await_now(house, 5)
        (part,) = result.parts
        assert isinstance(part, FileRange)
        ((segment, end_offset),) = result.pins
        assert (segment.pins, end_offset) == (1, 6)
        result.release()
        assert segment.pins == 0

    def await_now(house: House, offset: int) -> ReadResult:
        result = try_read(house.replica("orders"), offset, 1 << 30, 0, at_least_one=True)
        assert result is not None
        return result

    simulate(scenario, 1)


def test_interleaved_partitions_are_each_read_as_they_were_written() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS)
        sent: dict[int, list[bytes]] = {number: [] for number in range(4)}
        for turn in range(120):
            pending = []
            for number in range(4):
                body = records(1 + (turn * 7 + number) % 40)
                sent[number].append(body)
                pending.append(house.send(body, partition=number))
            for each in pending:
                assert (await house.answer(each))[0] == 0
        for number in range(4):
            result, read = await house.fetch(0, partition=number)
            assert len(result.parts) < 12
            assert all(len(part) <= GATHER_BYTES_MAX for part in result.parts)
            found = [
                read[at + 16 : at + batch.batch_bytes(header)]
                for at, header in batch.headers(memoryview(read))
            ]
            assert found == [body[16:] for body in sent[number]]

    simulate(scenario, 4)


def test_a_cold_read_gives_the_same_bytes_and_the_loop_never_waits_for_the_disk() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        machine.disk.cold_chance = 0.0
        house = await House(machine).start(ORDERS)
        for size in (3, 70_000, 5, 9, 80_000, 2):
            await house.produce(large(size))
        hot = try_read(house.replica("orders"), 0, 1 << 30, 0, at_least_one=True)
        assert hot is not None
        expected = await house.sent(hot)
        machine.disk.cold_chance = 1.0
        assert try_read(house.replica("orders"), 0, 1 << 30, 0, at_least_one=True) is None
        result, cold = await house.fetch(0)
        assert cold == expected
        assert all(segment.pins == 0 for segment, _ in result.pins)

    simulate(scenario, 1)


def test_a_disk_that_cannot_be_read_is_a_storage_error_and_no_pin_stays() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("one")
        house = await House(machine).start(ORDERS)
        for size in (3, 70_000, 5):
            await house.produce(large(size))
        machine.disk.cold_chance = 1.0
        for nth in (1, 2):  # the look-up, the records
            machine.disk.fail("read", nth=nth, times=100)
            result, read = await house.fetch(0)
            assert (result.error, result.parts, read) == (56, [], b"")
            machine.disk.heal()
            machine.disk.fail("read", times=100)
            assert (await list_offsets(house.replica("orders"), 0, 0)).error == 56
            machine.disk.heal()
            result, read = await house.fetch(0)
            assert (result.error, len(offsets(read))) == (0, 3)
        assert all(slice_.segment.pins == 0 for slice_ in await slices(house))

    async def slices(house: House) -> list[Slice]:
        wal, key = house.registry.wal, house.replica("orders").key
        return await wal.slices(key, 0, 3, 1 << 30, at_least_one=True)

    simulate(scenario, 1)


def test_copies_are_bounded_whatever_the_client_asks_for_and_the_first_comes_anyway() -> None:
    async def scenario(simulation: Simulation) -> None:
        house = await House(simulation.machine("one")).start(ORDERS)
        for _ in range(6):
            await house.produce(records(5))
            await house.produce(records(1), partition=1)
        size = len(records(5))
        for copies_max, count in ((0, 1), (1, 1), (2 * size, 2), (3 * size - 1, 2), (6 * size, 6)):
            result, read = await house.fetch(0, copies_max=copies_max)
            assert len(offsets(read)) == count
            assert result.copied == len(read)
            assert result.is_cut == (count < 6)
        result, read = await house.fetch(0, copies_max=size - 1, at_least_one=False)
        assert (read, result.is_cut) == (b"", True)

    simulate(scenario, 1)
