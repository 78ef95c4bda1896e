"""Records written by people: placed as Kafka's clients place them, one batch for each partition."""

import asyncio
from typing import Any

import pytest

from app import limits
from app.admin.commands.records import (
    NewRecord,
    ReadRecord,
    ReadRecords,
    WriteRecords,
    WrittenRecord,
)
from app.admin.operations import record_writes
from app.errors import (
    InvalidRequest,
    InvalidTopic,
    StorageFailed,
    ThrottlingQuotaExceeded,
    UnknownTopicOrPartition,
)
from streambus.protocol.murmur2 import partition_for
from tests.unit.admin.arrange import Desk, on_broker, told

NOW = 1_700_000_000_000


async def read(desk: Desk, partition: int = 0, topic: str = "orders") -> list[ReadRecord]:
    return list((await desk.ask(ReadRecords(topic, partition))).records)


def test_records_are_read_as_they_were_written() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        written = (
            NewRecord(b"value", b"key", (("a", b"1"), ("a", None), ("ü", b"")), 0, NOW),
            NewRecord(None, b"", (), 0, NOW - 5),
            NewRecord(b"", None, (), 0, NOW + 7),
        )
        reply = await desk.ask(WriteRecords("orders", written))
        assert reply.records == (
            WrittenRecord(0, 0, NOW),
            WrittenRecord(0, 1, NOW - 5),
            WrittenRecord(0, 2, NOW + 7),
        )
        assert await read(desk) == [
            ReadRecord(0, NOW, b"key", b"value", (("a", b"1"), ("a", None), ("ü", b""))),
            ReadRecord(1, NOW - 5, b"", None),
            ReadRecord(2, NOW + 7, None, b""),
        ]

    on_broker(scenario)


def test_keys_choose_partitions_as_javas_clients_do_and_the_rest_goes_in_turn() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", partitions=4)
        keys = [b"key-%d" % number for number in range(20)]
        reply = await desk.ask(
            WriteRecords("orders", tuple([NewRecord(b"v", key) for key in keys]))
        )
        assert [each.partition for each in reply.records] == [partition_for(k, 4) for k in keys]
        reply = await desk.ask(WriteRecords("orders", (NewRecord(b"v"),) * 8))
        turns = [each.partition for each in reply.records]
        assert sorted(turns) == [0, 0, 1, 1, 2, 2, 3, 3]
        (one,) = (await desk.ask(WriteRecords("orders", (NewRecord(b"v"),)))).records
        assert one.partition == turns[0]

    on_broker(scenario)


def test_keys_are_hashed_on_a_lane_for_a_large_one_would_hold_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashed_in: list[bool] = []

    def hashing(key: bytes, count: int) -> int:
        hashed_in.append(asyncio.current_task() is not None)
        return partition_for(key, count)

    monkeypatch.setattr(record_writes, "partition_for", hashing)

    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        await desk.ask(WriteRecords("orders", (NewRecord(b"v", b"k"),)))
        assert hashed_in == [False]

    on_broker(scenario)


def test_the_records_of_one_partition_are_one_batch_and_share_one_sync() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", partitions=2)
        await desk.write("orders", b"first", partition=1)
        before = desk.registry.wal.synced_through
        records = tuple([NewRecord(b"v", partition=number % 2) for number in range(10)])
        reply = await desk.ask(WriteRecords("orders", records))
        assert [(each.partition, each.offset) for each in reply.records] == [
            (number % 2, number // 2 + number % 2) for number in range(10)
        ]
        assert desk.registry.wal.synced_through == before + 1

    on_broker(scenario)


def test_a_broker_that_stamps_says_its_time() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", message_timestamp_type="LogAppendTime")
        record = NewRecord(b"v", timestamp_ms=5)
        (written,) = (await desk.ask(WriteRecords("orders", (record,)))).records
        assert written.timestamp_ms > NOW
        assert (await read(desk))[0].timestamp_ms == written.timestamp_ms

    on_broker(scenario)


def test_a_topics_codec_is_what_is_stored() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("plain")
        await desk.create("packed", compression_type="zstd")
        value = b"again and again " * 1_000
        for name in ("plain", "packed"):
            await desk.write(name, value)
            assert [each.value for each in await read(desk, topic=name)] == [value]
        sizes = {
            name: desk.registry.wal.bytes_of(desk.replica(name).key) for name in ("plain", "packed")
        }
        assert sizes["packed"] * 10 < sizes["plain"]

    on_broker(scenario)


def test_what_cannot_be_written_says_why_and_the_rest_is_written() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", partitions=2)
        records = (
            NewRecord(b"good", partition=0),
            NewRecord(b"bad", partition=2),
            NewRecord(b"bad", partition=-1),
            NewRecord(b"bad", partition=0, timestamp_ms=-1),
            NewRecord(b"bad", partition=0, timestamp_ms=2**63),
            NewRecord(b"bad", partition=0, headers=(("\ud800", b""),)),
        )
        reply = await desk.ask(WriteRecords("orders", records))
        assert reply.records[0].offset == 0
        assert [told(each) for each in reply.records[1:]] == [
            (3, "partition: topic 'orders' has the partitions 0 to 1, not 2"),
            (3, "partition: topic 'orders' has the partitions 0 to 1, not -1"),
            (
                32,
                "timestamp_ms: milliseconds since 1970, 0 to 9223372036854775807, not -1",
            ),
            (
                32,
                "timestamp_ms: milliseconds since 1970, 0 to 9223372036854775807, "
                "not 9223372036854775808",
            ),
            (87, "headers: the name '\\ud800' is not Unicode text"),
        ]
        assert [each.value for each in await read(desk)] == [b"good"]

    on_broker(scenario)


@pytest.mark.parametrize(
    ("configs", "record", "expected"),
    [
        (
            {"max_message_bytes": "1000"},
            NewRecord(b"x" * 2_000),
            (
                10,
                "orders-0 takes batches of 1000 bytes at most (max.message.bytes), and all records "
                "of one partition are one batch: send fewer at once, or smaller ones.",
            ),
        ),
        (
            {"message_timestamp_before_max_ms": "1000"},
            NewRecord(b"x", timestamp_ms=5),
            (
                32,
                "orders-0 takes no such timestamp: it is further from the broker's clock than "
                "message.timestamp.before.max.ms or message.timestamp.after.max.ms allow.",
            ),
        ),
        (
            {"max_message_bytes": "1000", "compression_type": "zstd"},
            NewRecord(b"x" * 2_000),
            (
                10,
                "orders-0 takes batches of 1000 bytes at most (max.message.bytes), and all records "
                "of one partition are one batch: send fewer at once, or smaller ones.",
            ),
        ),
    ],
)
def test_what_the_topic_refuses_is_said_in_words(
    configs: dict[str, str], record: NewRecord, expected: tuple[int, str]
) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", **configs)
        reply = await desk.ask(WriteRecords("orders", (record, NewRecord(b"x"))))
        assert [told(each) for each in reply.records] == [expected, expected]
        assert desk.replica("orders").log.end == 0

    on_broker(scenario)


def test_a_compacted_topic_takes_keys_only_and_says_which_record_had_none() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", cleanup_policy="compact")
        records = (NewRecord(b"a", b"key"), NewRecord(b"b"))
        reply = await desk.ask(WriteRecords("orders", records))
        assert [told(each) for each in reply.records] == [
            (87, "Nothing was written to orders-0: another of the records has no key."),
            (87, "key: topic 'orders' is compacted and takes no record without one"),
        ]
        assert (await desk.ask(WriteRecords("orders", records[:1]))).records[0].offset == 0

    on_broker(scenario)


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        (
            WriteRecords("nowhere", (NewRecord(b""),)),
            UnknownTopicOrPartition,
            "This server does not host topic 'nowhere'.",
        ),
        (WriteRecords("orders", ()), InvalidRequest, "records: from 1 to 10000 at once, not 0"),
        (
            WriteRecords("orders", (NewRecord(b""),) * (limits.WRITE_RECORDS_MAX + 1)),
            InvalidRequest,
            "records: from 1 to 10000 at once, not 10001",
        ),
        (
            WriteRecords("__consumer_offsets", (NewRecord(b""),)),
            InvalidTopic,
            "Topic '__consumer_offsets' is the broker's own: only it writes there.",
        ),
    ],
)
def test_a_write_that_is_wrong_as_a_whole_is_refused_as_a_whole(
    command: WriteRecords, error: type[Exception], message: str
) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", "__consumer_offsets")
        with pytest.raises(error) as raised:
            await desk.ask(command)
        assert str(raised.value) == message

    on_broker(scenario)


def test_a_write_that_is_not_synced_in_time_says_that_it_may_still_happen() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        desk.registry.on_synced = lambda *_: None  # type: ignore[method-assign]
        reply: Any = await desk.ask(WriteRecords("orders", (NewRecord(b"v"),), timeout_ms=1_000))
        assert told(reply.records[0]) == (
            7,
            "orders-0 did not get there in time. What was asked may still happen: look before you "
            "ask again.",
        )

    on_broker(scenario)


def test_a_log_that_fails_meanwhile_is_told_and_nothing_is_acknowledged() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        desk.world.machine.disk.fail("write", times=1_000, path=".segment")
        reply = await desk.write("orders", b"lost")
        failed = (
            56,
            "orders-0 cannot be used now: its log failed, and the broker's events say why.",
        )
        assert told(reply.records[0]) == failed
        assert told((await desk.write("orders", b"lost")).records[0]) == failed
        assert isinstance(desk.registry.failure, StorageFailed)
        assert await read(desk) == []
        desk.world.machine.disk.heal()

    on_broker(scenario)


def test_a_disk_that_does_not_keep_up_is_not_given_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        first = desk.world.spawn(desk.write("orders", b"x" * 2_000))
        while not desk.replica("orders").log.end:
            await desk.world.sleep_s(0.000_1)
        monkeypatch.setattr(limits, "WAL_PENDING_BYTES_MAX", 1_000)
        with pytest.raises(ThrottlingQuotaExceeded) as raised:
            await desk.write("orders", b"more")
        assert str(raised.value) == (
            "The disk does not keep up: more than 1000 bytes wait to be synced. Try again in a "
            "moment."
        )
        await first
        assert (await desk.write("orders", b"more")).records[0].offset == 1

    on_broker(scenario)


def test_who_gives_up_waiting_takes_nothing_back() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        task = desk.world.spawn(desk.write("orders", b"kept"))
        while not desk.replica("orders").log.end:
            await desk.world.sleep_s(0.000_1)
        assert not task.done()
        task.cancel()
        await desk.world.sleep(5_000)
        assert [each.value for each in await read(desk)] == [b"kept"]

    on_broker(scenario)
