"""Records deleted: answered when the new start is durable, and never half."""

import asyncio
from typing import Any

import pytest

from app.admin.commands.records import (
    DeleteRecords,
    LogStart,
    ReadRecords,
    RecordsBefore,
)
from app.config import BrokerConfig
from app.errors import StorageFailed
from tests.sim.broker import SimBroker
from tests.sim.world import Simulation, simulate
from tests.unit.admin.arrange import Desk, on_broker, told


async def delete(desk: Desk, offset: int, partition: int = 0, **options: Any) -> Any:
    command = DeleteRecords((RecordsBefore("orders", partition, offset),), **options)
    (item,) = (await desk.ask(command)).partitions
    return item


async def filled(desk: Desk, **configs: str) -> None:
    await desk.create("orders", **configs)
    for number in range(5):
        await desk.write("orders", b"%d" % number)


def test_the_log_starts_where_it_was_told_to() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk)
        for offset, start in ((2, 2), (1, 2), (2, 2), (4, 4), (-1, 5), (0, 5), (5, 5)):
            assert await delete(desk, offset) == LogStart("orders", 0, start)
            assert desk.replica("orders").log_start == start
        assert (await desk.ask(ReadRecords("orders"))).records == ()
        assert (await desk.write("orders", b"next")).records[0].offset == 5

    on_broker(scenario)


def test_many_partitions_share_one_sync() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", partitions=20)
        for number in range(20):
            await desk.write("orders", b"v", partition=number)
        before = desk.registry.wal.synced_through
        items = tuple([RecordsBefore("orders", number, -1) for number in range(20)])
        reply = await desk.ask(DeleteRecords(items))
        assert reply.partitions == tuple([LogStart("orders", n, 1) for n in range(20)])
        assert desk.registry.wal.synced_through <= before + 2

    on_broker(scenario)


@pytest.mark.parametrize("offset", [-2, 6, 2**70])
def test_an_offset_that_is_not_committed_deletes_nothing(offset: int) -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk)
        assert told(await delete(desk, offset)) == (
            1,
            f"orders-0 has records up to 5: what is before {offset} cannot be deleted.",
        )
        assert desk.replica("orders").log_start == 0

    on_broker(scenario)


def test_what_has_no_such_records_says_why() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        await desk.create("compacted", cleanup_policy="compact")
        await desk.create("both", cleanup_policy="compact,delete")
        await desk.create("kept", cleanup_policy="")
        await desk.create("__consumer_offsets")
        items = tuple(
            [
                RecordsBefore(name, partition, 0)
                for name, partition in (
                    ("orders", 1),
                    ("nowhere", 0),
                    ("compacted", 0),
                    ("__consumer_offsets", 0),
                    ("both", 0),
                    ("kept", 0),
                )
            ]
        )
        reply = (await desk.ask(DeleteRecords(items))).partitions
        assert [told(each) for each in reply[:4]] == [
            (3, "This server does not host orders-1."),
            (3, "This server does not host topic 'nowhere'."),
            (
                44,
                "Records of compacted-0 can be deleted only if its cleanup.policy has 'delete': it "
                "has 'compact' alone.",
            ),
            (17, "Topic '__consumer_offsets' is the broker's own: only it deletes there."),
        ]
        assert reply[4:] == (LogStart("both", 0, 0), LogStart("kept", 0, 0))

    on_broker(scenario)


def test_it_is_answered_when_it_is_durable_and_not_before() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk)
        task = desk.world.spawn(delete(desk, 3))
        await desk.world.sleep(0)
        replica = desk.replica("orders")
        assert (replica.log.start, replica.log_start, task.done()) == (3, 0, False)
        assert await task == LogStart("orders", 0, 3)
        assert replica.log_start == 3 and replica.starting is None

    on_broker(scenario)


def test_what_is_not_durable_in_time_says_that_it_may_still_happen() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk)
        desk.registry.wal.append_control = lambda *_: 0  # type: ignore[method-assign]
        assert told(await delete(desk, 3, timeout_ms=1_000)) == (
            7,
            "orders-0 did not get there in time. What was asked may still happen: look before you "
            "ask again.",
        )

    on_broker(scenario)


def test_a_log_that_fails_deletes_nothing_and_takes_nothing() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk)
        task = desk.world.spawn(delete(desk, 3))
        await desk.world.sleep(0)
        desk.registry.on_failed(StorageFailed("the disk is gone"))
        failed = (
            56,
            "orders-0 cannot be used now: its log failed, and the broker's events say why.",
        )
        assert told(await task) == failed
        assert told(await delete(desk, 3)) == failed

    on_broker(scenario)


def test_a_replica_that_does_not_lead_deletes_nothing() -> None:
    async def scenario(desk: Desk) -> None:
        await filled(desk)
        desk.replica("orders").become("following")
        assert told(await delete(desk, 3)) == (
            6,
            "orders-0: this broker does not lead it yet, or not any more.",
        )

    on_broker(scenario)


@pytest.mark.parametrize("seed", range(1, 21))
def test_after_a_crash_records_are_deleted_or_all_there(seed: int) -> None:
    async def scenario(simulation: Simulation) -> None:
        broker = SimBroker(simulation.machine("broker"), BrokerConfig(data="/data"))
        desk = Desk(broker, await broker.start())
        await desk.world.spawn(filled(desk))
        task = desk.world.spawn(delete(desk, 3))
        for _ in range(seed):
            await asyncio.sleep(0.000_2)
        is_answered = task.done()
        broker.crash()
        desk = Desk(broker, await broker.start())
        start = desk.replica("orders").log_start
        assert start == 3 if is_answered else start in (0, 3)
        page = await desk.world.spawn(desk.ask(ReadRecords("orders")))
        assert [each.value for each in page.records] == [b"%d" % n for n in range(start, 5)]
        await broker.stop()

    simulate(scenario, seed)
