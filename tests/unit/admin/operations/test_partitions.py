"""What the codes of a replica mean in words, and what became unknown after it was allowed."""

import pytest

from app.admin.commands.configs import ConfigsAsked, DescribeConfigs
from app.admin.commands.health import CheckHealth
from app.admin.commands.producers import DescribeProducers, PartitionAsked
from app.admin.commands.records import (
    DeleteRecords,
    NewRecord,
    ReadRecords,
    RecordsBefore,
    WriteRecords,
)
from app.admin.commands.topics import DeleteTopics, DescribeTopics, TopicRef
from app.admin.operations import (
    configs,
    health,
    partitions,
    producers,
    record_deletions,
    record_reads,
    record_writes,
    topic_changes,
    topics,
)
from app.admin.parts import Parts
from app.errors import NotLeader, StreamBusError, UnknownTopicOrPartition
from app.model import ANONYMOUS
from app.security.ports import AllowAll
from tests.unit.kafka.arrange import FakeController, FakeRegistry, ManualWorld, broker_shown


class Kit:
    """Parts over a fake controller: topics may be led by anyone."""

    def __init__(self) -> None:
        self.registry = FakeRegistry()
        self.controller = FakeController(self.registry)
        self.parts = Parts(
            broker_id=1,  # type: ignore[arg-type]
            world=ManualWorld(),  # type: ignore[arg-type]
            registry=self.registry,  # type: ignore[arg-type]
            controller=self.controller,  # type: ignore[arg-type]
            authorizer=AllowAll(),
            directory="data",
        )

    def elsewhere(self, name: str, leader: int) -> None:
        """A topic of which this broker has no replica."""
        topic = self.controller.add(name, leader=leader)
        self.registry.topics_by_id[topic.topic_id].replicas = [None]


@pytest.mark.parametrize(
    ("leader", "message"),
    [
        (2, "orders-0 is led by broker 2: ask there."),
        (-1, "orders-0 has no leader now: try again when one of its replicas is back."),
    ],
)
def test_a_partition_without_a_replica_here_says_where_to_ask(leader: int, message: str) -> None:
    kit = Kit()
    kit.elsewhere("orders", leader)
    with pytest.raises(NotLeader) as raised:
        partitions.find(kit.parts, "orders", 0)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (1, "orders-0 has the offsets from 3 up to 7, and no other."),
        (3, "This server does not host orders-0."),
        (6, "orders-0: this broker does not lead it yet, or not any more."),
        (
            7,
            "orders-0 did not get there in time. What was asked may still happen: look before you "
            "ask again.",
        ),
        (
            10,
            "orders-0 takes batches of 1048588 bytes at most (max.message.bytes), and all records "
            "of one partition are one batch: send fewer at once, or smaller ones.",
        ),
        (
            19,
            "orders-0 has fewer replicas in sync than min.insync.replicas asks for: nothing was "
            "written. Bring the others back, or lower it.",
        ),
        (
            32,
            "orders-0 takes no such timestamp: it is further from the broker's clock than "
            "message.timestamp.before.max.ms or message.timestamp.after.max.ms allow.",
        ),
        (56, "orders-0 cannot be used now: its log failed, and the broker's events say why."),
        (87, "orders-0 does not take these records."),
    ],
)
def test_a_replicas_code_in_words(code: int, message: str) -> None:
    kit = Kit()
    topic = kit.controller.add("orders")
    replica = kit.registry.topics[b"orders"].replicas[0]
    replica.log_start, replica.high_watermark = 3, 7
    error = partitions.partition_error(kit.parts, topic, replica, code)
    assert (error.code, str(error)) == (code, message)


async def test_what_went_after_it_was_allowed_is_unknown() -> None:
    """Judging many items takes turns, and a topic may be deleted in one of them."""
    parts, gone = Kit().parts, TopicRef("gone")
    unknown = (3, "This server does not host topic 'gone'.")
    (described,) = await topics.describe_topics(parts, ANONYMOUS, DescribeTopics((gone,)), [gone])
    (deleted,) = await topic_changes.delete_topics(parts, ANONYMOUS, DeleteTopics((gone,)), [gone])
    for answer in (described, deleted):
        assert isinstance(answer, StreamBusError) and (answer.code, str(answer)) == unknown
    asked, before = PartitionAsked("gone", 0), RecordsBefore("gone", 0, 0)
    (one,) = await producers.describe_producers(
        parts, ANONYMOUS, DescribeProducers((asked,)), [asked]
    )
    (two,) = await record_deletions.delete_records(
        parts, ANONYMOUS, DeleteRecords((before,)), [before]
    )
    for item in (one, two):
        assert isinstance(item, StreamBusError)
        assert str(item) == "This server does not host gone-0."
    with pytest.raises(UnknownTopicOrPartition):
        await record_reads.read_records(parts, ANONYMOUS, ReadRecords("gone"))
    with pytest.raises(UnknownTopicOrPartition):
        await record_writes.write_records(parts, ANONYMOUS, WriteRecords("gone", (NewRecord(b""),)))


async def test_a_partition_that_is_elsewhere_is_described_without_what_only_it_knows() -> None:
    kit = Kit()
    kit.elsewhere("orders", 2)
    command = DescribeTopics((TopicRef("orders"),))
    (shown,) = await topics.describe_topics(kit.parts, ANONYMOUS, command, [TopicRef("orders")])
    assert not isinstance(shown, StreamBusError)
    (only,) = shown.partitions
    assert (only.leader, only.leader_epoch, only.replicas, only.isr) == (2, 3, (2,), (2,))
    assert (only.log_start, only.high_watermark, only.last_stable, only.bytes, only.role) == (
        -1, -1, -1, -1, "",
    )  # fmt: skip


async def test_only_a_broker_itself_knows_its_configs() -> None:
    kit = Kit()
    kit.controller.register(broker_shown(2, plain=9093))
    asked = ConfigsAsked("broker", "2")
    (failed,) = await configs.describe_configs(
        kit.parts, ANONYMOUS, DescribeConfigs((asked,)), [asked]
    )
    assert isinstance(failed, StreamBusError)
    assert (failed.code, str(failed)) == (42, "Broker 2 knows its own configs: ask that broker.")


async def test_a_broker_that_is_not_registered_is_not_ready() -> None:
    kit = Kit()
    kit.parts.is_serving = True
    kit.parts.broker_id = 7  # type: ignore[assignment]
    kit.registry.failure = None  # type: ignore[attr-defined]
    kit.registry.quarantined = {}  # type: ignore[attr-defined]
    kit.controller.is_leader = True  # type: ignore[attr-defined]
    shown = await health.check_health(kit.parts, ANONYMOUS, CheckHealth())
    assert shown.reasons == ("The broker is not registered in the manifest.",)
