"""The administrative APIs: what is asked of the admin, and how its replies are told."""

from typing import Any

import pytest

from app.admin.commands import cluster, configs, producers, records, topics
from app.admin.commands.cluster import (
    BrokerDescription,
    ClusterDescription,
    EndpointDescription,
    LogDirectories,
    LogDirectory,
    QuorumDescription,
    ReplicaBytes,
    VoterDescription,
)
from app.admin.port import Failed
from app.errors import (
    ClusterAuthorizationFailed,
    InvalidPartitions,
    OffsetOutOfRange,
    RequestTimedOut,
    StorageFailed,
    TopicAuthorizationFailed,
    UnknownTopicOrPartition,
)
from tests.unit.kafka.arrange import Kit, ScriptedAdmin, Throttle, broker_shown

CLUSTER = ClusterDescription(
    "test-cluster",
    1,
    (
        BrokerDescription(
            1,
            "lab",
            7,
            (
                EndpointDescription("plain", "127.0.0.1", 9092),
                EndpointDescription("tls", "x", 9093),
            ),
        ),
        BrokerDescription(2, None, 7, (EndpointDescription("tls", "y", 9093),)),
    ),
    3,
    30,
    2,
    "1",
    (8, 11),
)


def failed(kind: type, text: str) -> Failed:
    return Failed.of(kind(text))


# CreatePartitions


def more(name: str, count: int, assignments: Any = None) -> dict[str, Any]:
    return {"name": name, "count": count, "assignments": assignments}


@pytest.mark.parametrize("version", range(4))
async def test_partitions_are_added_topic_by_topic(version: int) -> None:
    answers = (topics.AddedPartitions("orders", 4), failed(InvalidPartitions, "no increase"))
    admin = ScriptedAdmin({topics.AddPartitions: topics.Added(answers)})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "CreatePartitions",
            version,
            topics=[more("orders", 4), more("payments", 1, [{"broker_ids": [1, 2]}])],
            timeout_ms=1_500,
            validate_only=True,
        )
    assert [(each.name, each.error_code, each.error_message) for each in answer.results] == [
        ("orders", 0, None),
        ("payments", 37, "no increase"),
    ]
    assert admin.asked == [
        topics.AddPartitions(
            (
                topics.MorePartitions("orders", 4),
                topics.MorePartitions("payments", 1, ((1, 2),)),
            ),
            validate_only=True,
            timeout_ms=1_500,
        )
    ]


async def test_a_topic_named_twice_gets_no_partitions_and_disturbs_no_other() -> None:
    added = topics.Added((topics.AddedPartitions("payments", 2),))
    admin = ScriptedAdmin({topics.AddPartitions: added})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "CreatePartitions",
            3,
            topics=[more("orders", 4), more("payments", 2), more("orders", 5)],
            timeout_ms=1_000,
            validate_only=False,
        )
    assert [(each.name, each.error_code, each.error_message) for each in answer.results] == [
        ("orders", 42, "Duplicate topic name."),
        ("payments", 0, None),
    ]
    assert [each.name for each in admin.asked[0].topics] == ["payments"]


async def test_a_request_of_refused_items_alone_asks_nobody() -> None:
    admin = ScriptedAdmin({})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "CreatePartitions",
            3,
            topics=[more("orders", 4)] * 2,
            timeout_ms=1_000,
            validate_only=False,
        )
    assert [each.error_code for each in answer.results] == [42] and admin.asked == []


@pytest.mark.parametrize("version", [1, 2])
async def test_a_command_that_fails_as_a_whole_fails_every_item(version: int) -> None:
    admin = ScriptedAdmin({topics.AddPartitions: RequestTimedOut("too slow")})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "CreatePartitions",
            version,
            topics=[more("orders", 4), more("payments", 2)],
            timeout_ms=1_000,
            validate_only=False,
        )
    assert [(each.error_code, each.error_message) for each in answer.results] == [
        (7, "too slow"),
        (7, "too slow"),
    ]


# DeleteRecords


def before(*partitions: tuple[int, int], name: str = "orders") -> dict[str, Any]:
    rows = [{"partition_index": number, "offset": offset} for number, offset in partitions]
    return {"name": name, "partitions": rows}


@pytest.mark.parametrize("version", range(3))
async def test_records_are_deleted_partition_by_partition(version: int) -> None:
    answers = (
        records.LogStart("orders", 0, 7),
        failed(OffsetOutOfRange, "beyond"),
        failed(UnknownTopicOrPartition, "nowhere"),
    )
    admin = ScriptedAdmin({records.DeleteRecords: records.DeletedRecords(answers)})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "DeleteRecords",
            version,
            topics=[before((0, 7), (1, -1)), before((0, 3), name="nowhere")],
            timeout_ms=2_000,
        )
    told = [
        (topic.name, each.partition_index, each.low_watermark, each.error_code)
        for topic in answer.topics
        for each in topic.partitions
    ]
    assert told == [("orders", 0, 7, 0), ("orders", 1, -1, 1), ("nowhere", 0, -1, 3)]
    assert admin.asked[0].timeout_ms == 2_000


async def test_what_was_said_last_of_a_partition_counts() -> None:
    starts = (records.LogStart("orders", 0, 2), records.LogStart("orders", 1, 5))
    admin = ScriptedAdmin({records.DeleteRecords: records.DeletedRecords(starts)})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "DeleteRecords",
            2,
            topics=[before((0, 9), (1, 5)), before((0, 2))],
            timeout_ms=2_000,
        )
    assert admin.asked[0].partitions == (
        records.RecordsBefore("orders", 0, 2),
        records.RecordsBefore("orders", 1, 5),
    )
    (topic,) = answer.topics
    assert [each.low_watermark for each in topic.partitions] == [2, 5]


async def test_no_records_go_when_the_command_fails() -> None:
    admin = ScriptedAdmin({records.DeleteRecords: StorageFailed("the disk is full")})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask("DeleteRecords", 2, topics=[before((0, 9))], timeout_ms=2_000)
    (partition,) = answer.topics[0].partitions
    assert (partition.error_code, partition.low_watermark) == (56, -1)


# DescribeCluster


@pytest.mark.parametrize("version", range(3))
async def test_a_cluster_is_told_as_this_listener_reaches_it(version: int) -> None:
    admin = ScriptedAdmin({cluster.DescribeCluster: CLUSTER})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "DescribeCluster",
            version,
            include_cluster_authorized_operations=True,
            endpoint_type=1,
            include_fenced_brokers=True,
        )
        assert (answer.error_code, answer.error_message) == (0, None)
        assert (answer.cluster_id, answer.controller_id) == ("test-cluster", 1)
        assert [(b.broker_id, b.host, b.port, b.rack) for b in answer.brokers] == [
            (1, "127.0.0.1", 9092, "lab")
        ]
        assert answer.authorized_operations == {8, 11}
        by_tls = await kit.ask(
            "DescribeCluster",
            version,
            kit.connect("tls"),
            include_cluster_authorized_operations=False,
        )
        assert [each.broker_id for each in by_tls.brokers] == [1, 2]
        assert by_tls.authorized_operations is None


async def test_a_controller_that_this_listener_cannot_reach_is_not_named() -> None:
    admin = ScriptedAdmin({cluster.DescribeCluster: CLUSTER})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "DescribeCluster",
            0,
            kit.connect("inner"),
            include_cluster_authorized_operations=False,
        )
    assert (answer.controller_id, answer.brokers) == (-1, [])


@pytest.mark.parametrize(
    ("endpoint_type", "code", "text"),
    [
        (
            2,
            114,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type "
            "CONTROLLER",
        ),
        (0, 115, "Unsupported endpoint type 0"),
        (9, 115, "Unsupported endpoint type 9"),
    ],
)
async def test_only_brokers_are_described(endpoint_type: int, code: int, text: str) -> None:
    async with Kit(admin=ScriptedAdmin({})) as kit:
        answer = await kit.ask(
            "DescribeCluster",
            1,
            include_cluster_authorized_operations=False,
            endpoint_type=endpoint_type,
        )
    assert (answer.error_code, answer.error_message) == (code, text)


# DescribeLogDirs

DIRECTORIES = LogDirectories(
    (
        LogDirectory(
            "/data",
            1_000,
            400,
            (
                ReplicaBytes("orders", b"o" * 16, 0, 70, 0),
                ReplicaBytes("orders", b"o" * 16, 2, 80, 5),
                ReplicaBytes("payments", b"p" * 16, 0, 90, 0),
            ),
        ),
        LogDirectory("/other", -1, -1, (), failed(StorageFailed, "gone")),
    )
)


@pytest.mark.parametrize("version", range(1, 6))
async def test_directories_are_told_with_their_replicas(version: int) -> None:
    admin = ScriptedAdmin({cluster.DescribeLogDirectories: DIRECTORIES})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask("DescribeLogDirs", version, topics=None)
    assert admin.asked == [cluster.DescribeLogDirectories(None)]
    told = {
        (directory.error_code, directory.log_dir): [
            (topic.name, each.partition_index, each.partition_size, each.offset_lag)
            for topic in directory.topics
            for each in topic.partitions
        ]
        for directory in answer.results
    }
    assert told == {
        (0, "/data"): [("orders", 0, 70, 0), ("orders", 2, 80, 5), ("payments", 0, 90, 0)],
        (56, "/other"): [],
    }
    assert [topic.name for topic in answer.results[0].topics] == ["orders", "payments"]
    if version >= 4:
        spaces = [(each.total_bytes, each.usable_bytes) for each in answer.results]
        assert spaces == [(1_000, 400), (-1, -1)]
    if version >= 5:
        assert [each.is_cordoned for each in answer.results] == [False, False]


async def test_replicas_are_asked_for_once_however_often_they_are_named() -> None:
    admin = ScriptedAdmin({cluster.DescribeLogDirectories: DIRECTORIES})
    async with Kit(admin=admin) as kit:
        rows = [("orders", [2, 0, 2]), ("payments", [0]), ("orders", [1, 0])]
        asked = [{"topic": topic, "partitions": partitions} for topic, partitions in rows]
        await kit.ask("DescribeLogDirs", 4, topics=asked)
        await kit.ask("DescribeLogDirs", 4, topics=[])
    assert [each.topics for each in admin.asked] == [
        (("orders", (2, 0, 1)), ("payments", (0,))),
        (),
    ]


@pytest.mark.parametrize("version", [1, 2, 3, 5])
async def test_who_may_not_see_directories_sees_none(version: int) -> None:
    refused = ClusterAuthorizationFailed("no")
    async with Kit(admin=ScriptedAdmin({cluster.DescribeLogDirectories: refused})) as kit:
        answer = await kit.ask("DescribeLogDirs", version, topics=None)
    assert answer.results == []
    if version >= 3:
        assert answer.error_code == 31


# DescribeProducers


async def test_producers_are_told_partition_by_partition() -> None:
    one = producers.ProducerDescription(4_000, 3, 9, 1_700_000_000_000, -1, 5)
    answers = (
        producers.PartitionProducers("orders", 0, (one,)),
        failed(TopicAuthorizationFailed, "no"),
        failed(UnknownTopicOrPartition, "unknown"),
        failed(UnknownTopicOrPartition, "unknown"),
    )
    admin = ScriptedAdmin({producers.DescribeProducers: producers.DescribedProducers(answers)})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask(
            "DescribeProducers",
            0,
            topics=[
                {"name": "orders", "partition_indexes": [0, 1]},
                {"name": "nowhere", "partition_indexes": [0]},
                {"name": "no/slash", "partition_indexes": [0]},
            ],
        )
    told = [
        (topic.name, each.partition_index, each.error_code)
        for topic in answer.topics
        for each in topic.partitions
    ]
    assert told == [("orders", 0, 0), ("orders", 1, 29), ("nowhere", 0, 3), ("no/slash", 0, 17)]
    (shown,) = answer.topics[0].partitions[0].active_producers
    assert (shown.producer_id, shown.producer_epoch, shown.last_sequence) == (4_000, 3, 9)
    assert (shown.last_timestamp, shown.coordinator_epoch) == (1_700_000_000_000, -1)
    assert shown.current_txn_start_offset == 5
    assert answer.topics[0].partitions[1].error_message == "no"


async def test_no_producers_are_told_when_the_command_fails() -> None:
    admin = ScriptedAdmin({producers.DescribeProducers: RequestTimedOut("too slow")})
    async with Kit(admin=admin) as kit:
        topic = {"name": "orders", "partition_indexes": [0, 1]}
        answer = await kit.ask("DescribeProducers", 0, topics=[topic])
    assert [each.error_code for each in answer.topics[0].partitions] == [7, 7]


# DescribeQuorum

QUORUM = QuorumDescription(1, 4, 12, (VoterDescription(1, 12, 5, 6), VoterDescription(9, 11)))


def quorum_of(*partitions: int, topic: str = "__cluster_metadata") -> dict[str, Any]:
    rows = [{"partition_index": each} for each in partitions]
    return {"topics": [{"topic_name": topic, "partitions": rows}]}


@pytest.mark.parametrize("version", range(3))
async def test_the_quorum_goes_by_the_name_that_tools_ask_for(version: int) -> None:
    async with Kit(admin=ScriptedAdmin({cluster.DescribeQuorum: QUORUM})) as kit:
        answer = await kit.ask("DescribeQuorum", version, **quorum_of(0))
    assert answer.error_code == 0
    (partition,) = answer.topics[0].partitions
    assert (partition.error_code, partition.leader_id, partition.leader_epoch) == (0, 1, 4)
    assert partition.high_watermark == 12 and partition.observers == []
    voters = partition.current_voters
    assert [(each.replica_id, each.log_end_offset) for each in voters] == [(1, 12), (9, 11)]
    if version >= 1:
        times = [(each.last_fetch_timestamp, each.last_caught_up_timestamp) for each in voters]
        assert times == [(5, 6), (-1, -1)]
    if version >= 2:
        (node,) = answer.nodes  # the other one has no endpoint that this client reaches
        assert (node.node_id, node.listeners[0].name, node.listeners[0].port) == (1, "PLAIN", 9092)


@pytest.mark.parametrize(
    "asked",
    [quorum_of(1), quorum_of(0, 1), quorum_of(0, topic="orders"), quorum_of(0, 0), quorum_of()],
)
async def test_no_other_partition_has_a_quorum(asked: dict[str, Any]) -> None:
    async with Kit(admin=ScriptedAdmin({cluster.DescribeQuorum: QUORUM})) as kit:
        answer = await kit.ask("DescribeQuorum", 2, **asked)
    assert (answer.error_code, answer.nodes) == (0, [])
    assert {
        (each.error_code, each.error_message)
        for topic in answer.topics
        for each in topic.partitions
    } <= {(3, "This server does not host this topic-partition.")}
    shown = [each.partition_index for topic in answer.topics for each in topic.partitions]
    wanted = [each["partition_index"] for each in asked["topics"][0]["partitions"]]
    assert shown == wanted


@pytest.mark.parametrize("version", [0, 2])
async def test_who_may_not_see_the_quorum_is_told_so(version: int) -> None:
    refused = ClusterAuthorizationFailed("no")
    async with Kit(admin=ScriptedAdmin({cluster.DescribeQuorum: refused})) as kit:
        answer = await kit.ask("DescribeQuorum", version, **quorum_of(0))
    assert (answer.error_code, answer.topics) == (31, [])


# ListConfigResources

RESOURCES = configs.ConfigResources(
    (
        configs.ConfigResource("topic", "orders"),
        configs.ConfigResource("topic", "app.*"),
        configs.ConfigResource("broker", "1"),
        configs.ConfigResource("broker", ""),
    )
)


async def test_version_0_lists_subscriptions_to_metrics_and_there_are_none() -> None:
    admin = ScriptedAdmin({configs.ListConfigResources: RESOURCES})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask("ListConfigResources", 0)
    assert (answer.error_code, answer.config_resources) == (0, [])
    assert len(admin.asked) == 1  # whether the client may ask is the admin's to say


@pytest.mark.parametrize(
    ("kinds", "asked"),
    [
        ([], ("topic", "broker")),
        ([2, 2], ("topic",)),
        ([4, 8], ("broker",)),
        ([16, 4, 2], ("broker", "topic")),
    ],
)
async def test_resources_with_configs_are_listed(kinds: list[int], asked: tuple[str, ...]) -> None:
    admin = ScriptedAdmin({configs.ListConfigResources: RESOURCES})
    async with Kit(admin=admin) as kit:
        answer = await kit.ask("ListConfigResources", 1, resource_types=kinds)
    assert admin.asked == [configs.ListConfigResources(asked)]  # type: ignore[arg-type]
    assert [(each.resource_type, each.resource_name) for each in answer.config_resources] == [
        (2, "orders"),
        (2, "app.*"),
        (4, "1"),
        (4, ""),
    ]


@pytest.mark.parametrize("kinds", [[8], [16, 32]])
async def test_kinds_that_do_not_exist_here_have_no_resources(kinds: list[int]) -> None:
    async with Kit(admin=ScriptedAdmin({configs.ListConfigResources: RESOURCES})) as kit:
        answer = await kit.ask("ListConfigResources", 1, resource_types=kinds)
    assert (answer.error_code, answer.config_resources) == (0, [])


@pytest.mark.parametrize("kind", [0, 99, -1])
async def test_a_kind_that_nobody_knows_is_an_unsupported_version(kind: int) -> None:
    async with Kit(admin=ScriptedAdmin({})) as kit:
        answer = await kit.ask("ListConfigResources", 1, resource_types=[2, kind])
    assert (answer.error_code, answer.config_resources) == (35, [])


# All of them


@pytest.mark.parametrize(
    ("name", "version", "fields"),
    [
        ("CreatePartitions", 3, {"topics": [], "timeout_ms": 1, "validate_only": False}),
        ("DeleteRecords", 2, {"topics": [], "timeout_ms": 1}),
        ("DescribeConfigs", 4, {"resources": []}),
        ("AlterConfigs", 2, {"resources": [], "validate_only": False}),
        ("IncrementalAlterConfigs", 1, {"resources": [], "validate_only": False}),
        ("DescribeCluster", 2, {"include_cluster_authorized_operations": False}),
        ("DescribeLogDirs", 5, {"topics": None}),
        ("DescribeProducers", 0, {"topics": []}),
        ("ListConfigResources", 1, {"resource_types": [2]}),
        ("DescribeTopicPartitions", 0, {"topics": [], "cursor": None}),
        ("CreateTopics", 7, {"topics": [], "timeout_ms": 1, "validate_only": False}),
        ("DeleteTopics", 6, {"topics": [], "timeout_ms": 1}),
    ],
)
async def test_a_throttled_client_is_told_how_long(
    name: str, version: int, fields: dict[str, Any]
) -> None:
    admin = ScriptedAdmin(
        {
            cluster.DescribeCluster: CLUSTER,
            cluster.DescribeLogDirectories: DIRECTORIES,
            configs.ListConfigResources: RESOURCES,
            topics.ListTopics: topics.TopicPage(()),
        }
    )
    async with Kit(admin=admin, quotas=Throttle(250)) as kit:
        kit.controller.register(broker_shown(1, plain=9092))
        answer = await kit.ask(name, version, **fields)
    assert answer.throttle_time_ms == 250
