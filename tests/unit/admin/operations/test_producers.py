"""Producers that a partition remembers, shown when what they did is durable."""

from app.admin.commands.producers import (
    DescribeProducers,
    PartitionAsked,
    PartitionProducers,
    ProducerDescription,
)
from app.errors import StorageFailed
from app.partitions.replies import Awaited
from tests.unit.admin.arrange import Desk, on_broker, told
from tests.unit.partitions.arrange import records


def append(desk: Desk, producer: tuple[int, int, int], count: int = 1) -> Awaited:
    body = records(count, producer=producer)
    pending = Awaited(1, 30_000)
    now_ms = desk.world.clock.now_ms()
    view = memoryview(body)
    desk.replica("orders").append(view, 0, len(body), -1, 9, pending, 0, now_ms)
    return pending


def test_producers_are_shown_in_order_once_they_are_durable() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", partitions=2)
        append(desk, (9, 0, 0), count=3)
        now_ms = desk.world.clock.now_ms()
        append(desk, (7, 2, 0))
        assert desk.replica("orders").synced_end == 0
        asked = (PartitionAsked("orders", 0), PartitionAsked("orders", 1))
        first, second = (await desk.ask(DescribeProducers(asked))).partitions
        assert desk.replica("orders").synced_end == 4
        assert first == PartitionProducers(
            "orders",
            0,
            (ProducerDescription(7, 2, 0, now_ms), ProducerDescription(9, 0, 2, now_ms)),
        )
        assert second == PartitionProducers("orders", 1, ())

    on_broker(scenario)


def test_what_cannot_be_shown_says_why() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        asked = (PartitionAsked("orders", 4), PartitionAsked("nowhere", 0))
        unknown, nowhere = (await desk.ask(DescribeProducers(asked))).partitions
        assert told(unknown) == (3, "This server does not host orders-4.")
        assert told(nowhere) == (3, "This server does not host topic 'nowhere'.")
        append(desk, (9, 0, 0))
        task = desk.world.spawn(desk.ask(DescribeProducers((PartitionAsked("orders", 0),))))
        await desk.world.sleep(0)
        desk.registry.on_failed(StorageFailed("the disk is gone"))
        failed = "orders-0 cannot be used now: its log failed, and the broker's events say why."
        assert told((await task).partitions[0]) == (56, failed)
        (refused,) = (await desk.ask(DescribeProducers((PartitionAsked("orders", 0),)))).partitions
        assert told(refused) == (56, failed)

    on_broker(scenario)
