"""The cluster, its quorum and its directories as they are."""

from app.admin.commands.cluster import (
    BrokerDescription,
    DescribeCluster,
    DescribeLogDirectories,
    DescribeQuorum,
    EndpointDescription,
    VoterDescription,
)
from app.admin.port import Failed
from app.config import BrokerConfig
from app.errors import StorageFailed
from streambus import __version__
from tests.unit.admin.arrange import Desk, on_broker


def test_the_cluster_is_described_with_its_brokers() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", "payments", partitions=3)
        shown = await desk.ask(DescribeCluster())
        assert shown.brokers == (
            BrokerDescription(1, "r1", 1, (EndpointDescription("plain", "127.0.0.1", 9092),)),
        )
        assert (shown.cluster_id, shown.controller_id) == (desk.image.cluster_id, 1)
        assert (shown.topics, shown.partitions, shown.version) == (2, 6, __version__)
        assert shown.level == desk.image.features["streambus.level"] > 0
        assert shown.operations == ()
        assert (await desk.ask(DescribeCluster(operations=True))).operations == (
            5, 7, 8, 9, 10, 11, 12,
        )  # fmt: skip

    on_broker(scenario, config=BrokerConfig(data="/data", rack="r1"))


def test_a_broker_alone_is_its_whole_quorum() -> None:
    async def scenario(desk: Desk) -> None:
        before = await desk.ask(DescribeQuorum())
        await desk.create("orders")
        after = await desk.ask(DescribeQuorum())
        now_ms = desk.world.clock.now_ms()
        end = desk.image.index + 1
        assert (after.leader_id, after.leader_epoch, after.high_watermark) == (1, 1, end)
        assert after.voters == (VoterDescription(1, end, now_ms, now_ms),)
        assert after.observers == () and before.high_watermark < end

    on_broker(scenario)


def test_a_directory_is_described_with_its_replicas_and_its_room() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", "payments", partitions=2)
        await desk.write("orders", b"x" * 1_000, partition=1)
        (directory,) = (await desk.ask(DescribeLogDirectories())).directories
        held = {(each.topic, each.partition): each for each in directory.replicas}
        assert list(held) == [(name, n) for name in ("orders", "payments") for n in (0, 1)]
        assert held["orders", 1].bytes > 1_000 and held["orders", 0].bytes == 0
        assert held["orders", 1].topic_id == desk.image.topics_by_name["orders"].topic_id
        assert {each.lag for each in directory.replicas} == {0}
        assert directory.path == "/data" and directory.failure is None
        assert 0 < directory.usable_bytes < directory.total_bytes

    on_broker(scenario)


def test_only_what_is_asked_for_is_measured_and_what_is_not_there_is_left_out() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders", "payments", partitions=2)
        asked = (("orders", (1, 7)), ("nowhere", (0,)))
        (directory,) = (await desk.ask(DescribeLogDirectories(asked))).directories
        assert [(each.topic, each.partition) for each in directory.replicas] == [("orders", 1)]

    on_broker(scenario)


def test_a_failed_log_is_told_and_a_disk_that_does_not_answer_is_no_failure() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        desk.registry.on_failed(StorageFailed("the disk is gone"))
        desk.world.machine.disk.fail("read", path="/data", nth=1)
        (directory,) = (await desk.ask(DescribeLogDirectories())).directories
        assert directory.failure == Failed(56, "unavailable", "the disk is gone", True)
        assert (directory.total_bytes, directory.usable_bytes) == (-1, -1)
        assert len(directory.replicas) == 1

    on_broker(scenario)
