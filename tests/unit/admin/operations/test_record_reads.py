"""Records read by people: from an offset, a time or an end; so many, so large, for so long."""

import asyncio
from typing import Any

import pytest

from app import limits
from app.admin.commands.records import (
    DeleteRecords,
    NewRecord,
    ReadRecords,
    RecordPage,
    RecordsBefore,
    WriteRecords,
)
from app.admin.commands.topics import DeleteTopics, TopicRef
from app.errors import (
    InvalidRequest,
    OffsetOutOfRange,
    StorageFailed,
    StreamBusError,
    UnknownTopicOrPartition,
)
from streambus.protocol import batch
from tests.unit.admin.arrange import Desk, on_broker

NOW = 1_700_000_000_000


async def filled(desk: Desk, count: int = 10, **configs: str) -> None:
    """`orders` with values 0, 1, … in batches of two, 10 ms apart."""
    await desk.create("orders", **configs)
    for number in range(0, count, 2):
        pair = [
            NewRecord(b"%d" % each, partition=0, timestamp_ms=NOW + 10 * each)
            for each in (number, number + 1)
        ]
        await desk.ask(WriteRecords("orders", tuple(pair)))


async def read(desk: Desk, **options: Any) -> RecordPage:
    page: RecordPage = await desk.ask(ReadRecords("orders", **options))
    return page


def values(page: RecordPage) -> list[int]:
    return [int(each.value or b"-1") for each in page.records]


def test_pages_follow_each_other_without_gap_or_repetition() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk)
        seen: list[int] = []
        offset = 0
        while True:
            page = await read(desk, offset=offset, records_max=3)
            assert [each.offset for each in page.records] == values(page)
            if not page.records:
                break
            seen += values(page)
            offset = page.next_offset
            assert (page.log_start, page.high_watermark) == (0, 10)
        assert seen == list(range(10)) and offset == 10

    on_broker(scenario)


def test_a_read_begins_at_an_offset_an_end_or_a_time() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk)
        await desk.ask(DeleteRecords((RecordsBefore("orders", 0, 3),)))
        cases: list[tuple[dict[str, Any], list[int], int]] = [
            ({"offset": 7}, [7, 8, 9], 10),
            ({"offset": "earliest"}, [3, 4, 5, 6, 7, 8, 9], 10),
            ({"offset": "latest"}, [], 10),
            ({"offset": 10}, [], 10),
            ({"timestamp_ms": NOW + 55}, [6, 7, 8, 9], 10),
            ({"timestamp_ms": 0}, [3, 4, 5, 6, 7, 8, 9], 10),
            ({"timestamp_ms": NOW + 91}, [], 10),
        ]
        for options, expected, after in cases:
            page = await read(desk, **options)
            assert (values(page), page.next_offset) == (expected, after), options
            assert (page.log_start, page.high_watermark) == (3, 10)

    on_broker(scenario)


def test_a_page_has_so_many_bytes_and_one_record_whatever_its_size() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        for _ in range(3):
            await desk.write("orders", b"x" * 1_000, b"y" * 1_000)
        page = await read(desk, bytes_max=2_500)
        assert len(page.records) == 2 and page.next_offset == 2
        page = await read(desk, bytes_max=1, offset=page.next_offset)
        assert len(page.records) == 1 and page.next_offset == 3
        # What is unpacked counts, not what was stored.
        await desk.create("packed", compression_type="zstd")
        for _ in range(4):
            await desk.write("packed", b"z" * 100_000)
        packed = await desk.ask(ReadRecords("packed", bytes_max=250_000))
        assert len(packed.records) == 2

    on_broker(scenario)


def test_large_records_are_read_from_their_file() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        values = [bytes([number]) * (2 * limits.SMALL_READ_BYTES) for number in range(3)]
        for value in values:
            await desk.write("orders", value)
        page = await read(desk)
        assert [each.value for each in page.records] == values
        assert all(segment.pins == 0 for segment in desk.registry.wal._segments)

    on_broker(scenario)


def test_a_read_waits_for_a_first_record_and_no_longer_than_it_said() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk, 2)
        clock = desk.world.clock
        began = clock.monotonic_ms()
        page = await read(desk, offset=2, wait_ms=5_000)
        assert (values(page), page.next_offset) == ([], 2)
        assert clock.monotonic_ms() - began >= 5_000
        began = clock.monotonic_ms()
        task = desk.world.spawn(read(desk, offset="latest", wait_ms=20_000))
        await desk.world.sleep(1_000)
        await desk.write("orders", b"2")
        page = await task
        assert (values(page), page.next_offset, page.high_watermark) == ([2], 3, 3)
        assert clock.monotonic_ms() - began < 5_000

    on_broker(scenario)


def test_a_read_that_waits_sees_its_topic_go() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk, 2)
        task = desk.world.spawn(read(desk, offset="latest", wait_ms=20_000))
        await desk.world.sleep(1_000)
        await desk.ask(DeleteTopics((TopicRef("orders"),)))
        with pytest.raises(UnknownTopicOrPartition) as raised:
            await task
        assert str(raised.value) == "This server does not host orders-0."

    on_broker(scenario)


def test_a_read_that_is_given_up_waits_no_more() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk, 2)
        task = desk.world.spawn(read(desk, offset="latest", wait_ms=20_000))
        await desk.world.sleep(1_000)
        assert len(desk.registry.parked) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(desk.registry.parked) == 0

    on_broker(scenario)


def test_where_too_many_wait_a_read_looks_again_by_itself() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk, 2)
        desk.registry.parked._parked_max = 0
        task = desk.world.spawn(read(desk, offset="latest", wait_ms=20_000))
        await desk.world.sleep(1_000)
        await desk.write("orders", b"2")
        assert values(await task) == [2]

    on_broker(scenario)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"records_max": 0}, "records_max: from 1 to 1000, not 0"),
        ({"records_max": limits.READ_RECORDS_MAX + 1}, "records_max: from 1 to 1000, not 1001"),
        ({"bytes_max": 0}, "bytes_max: from 1 to 10485760, not 0"),
        ({"wait_ms": -1}, "wait_ms: from 0 to 30000, not -1"),
        ({"wait_ms": 30_001}, "wait_ms: from 0 to 30000, not 30001"),
        ({"timestamp_ms": -1}, "timestamp_ms: milliseconds since 1970, 0 or more"),
        ({"timestamp_ms": 1, "offset": 4}, "offset and timestamp_ms: give one of them"),
    ],
)
def test_a_read_has_its_bounds(options: dict[str, Any], message: str) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        with pytest.raises(InvalidRequest) as raised:
            await read(desk, **options)
        assert str(raised.value) == message

    on_broker(scenario)


@pytest.mark.parametrize("offset", [-1, 2, 11, 2**70])
def test_an_offset_that_is_not_there_says_which_are(offset: int) -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk)
        await desk.ask(DeleteRecords((RecordsBefore("orders", 0, 3),)))
        with pytest.raises(OffsetOutOfRange) as raised:
            await read(desk, offset=offset)
        assert str(raised.value) == "orders-0 has the offsets from 3 up to 10, and no other."

    on_broker(scenario)


def test_a_partition_that_is_not_there_is_unknown() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk, 2)
        for partition in (1, -1):
            with pytest.raises(UnknownTopicOrPartition) as raised:
                await read(desk, partition=partition)
            assert str(raised.value) == f"This server does not host orders-{partition}."

    on_broker(scenario)


def test_bytes_that_rotted_are_never_shown() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        await desk.write("orders", b"the truth")
        disk = desk.world.machine.disk
        path = "/data/wal/0000000000000001.segment"
        at = disk.read(path).index(b"the truth")
        disk.overwrite(path, at, b"the truce")
        with pytest.raises(StorageFailed) as raised:
            await read(desk)
        assert str(raised.value) == (
            "orders-0 cannot be used now: its log failed, and the broker's events say why."
        )

    on_broker(scenario)


def test_what_the_index_lost_is_an_error_and_no_endless_search() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk, 2)
        desk.registry.wal._index.drop(desk.replica("orders").key)
        with pytest.raises(StorageFailed):
            await read(desk, wait_ms=1_000)

    on_broker(scenario)


def test_committed_and_uncommitted_reads_are_the_same_without_transactions() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk, 4)
        assert await read(desk, committed=True) == await read(desk)

    on_broker(scenario)


def test_what_only_the_broker_needs_is_passed_over() -> None:
    """Control batches are no records: a page goes on behind them."""

    async def scenario(desk: Desk) -> None:
        await filled(desk, 2)
        replica = desk.replica("orders")
        body = batch.build([(0, 0, b"\0\0\0\1", b"", ())], base_timestamp=NOW, control=True)
        end = replica.log.end
        header = batch.read_header(body)
        replica.log.absorb(header, end, replica.log.leader_epoch, NOW)
        replica._stream.append(memoryview(body), end, end + 1, replica.log.leader_epoch, NOW)
        await desk.write("orders", b"3")
        page = await read(desk)
        assert ([each.offset for each in page.records], page.next_offset) == ([0, 1, 3], 4)
        assert (await read(desk, offset=2, records_max=1)).records[0].offset == 3

    on_broker(scenario)


def test_a_header_name_that_is_no_unicode_is_shown_as_such() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        body = batch.build([(0, 0, None, b"v", (("caf\udce9", b"1"),))], base_timestamp=NOW)
        from app.partitions.replies import Awaited

        pending = Awaited(1, 30_000)
        view = memoryview(body)
        desk.replica("orders").append(view, 0, len(body), -1, 9, pending, 0, NOW)
        await pending.wait()
        assert (await read(desk)).records[0].headers == (("caf\ufffd", b"1"),)

    on_broker(scenario)


def test_a_replica_that_does_not_lead_says_who_does() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk, 2)
        desk.replica("orders").become("following")
        with pytest.raises(StreamBusError) as raised:
            await read(desk)
        assert (raised.value.code, str(raised.value)) == (
            6,
            "orders-0: this broker does not lead it yet, or not any more.",
        )

    on_broker(scenario)
