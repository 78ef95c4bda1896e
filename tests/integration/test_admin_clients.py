"""Admin clients that we did not write, over real sockets: every operation that each of them has."""

import json
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition as AioPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin import NewPartitions as AioNewPartitions
from aiokafka.admin import NewTopic as AioNewTopic
from aiokafka.admin.config_resource import ConfigResource as AioResource
from aiokafka.admin.config_resource import ConfigResourceType as AioKind
from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    ResourceType,
)
from kafka import KafkaAdminClient
from kafka import TopicPartition as PythonPartition
from kafka.admin import AlterConfigOp, ConfigFilterType
from kafka.admin import ConfigResource as PythonResource
from kafka.admin import NewTopic as PythonNewTopic
from kafka.errors import (
    InvalidConfigurationError,
    InvalidPartitionsError,
    UnknownTopicOrPartitionError,
)

from benchmarks.broker import BrokerProcess

pytestmark = pytest.mark.clients


def unused(prefix: str = "topic-") -> str:
    return f"{prefix}{uuid.uuid4().hex[:8]}"


def written(broker: BrokerProcess, topic: str, count: int, **settings: object) -> None:
    """`count` records in partition 0, one batch each."""
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 0} | settings)
    for number in range(count):
        producer.produce(topic, b"%d" % number, partition=0)
        assert producer.flush(20) == 0


# confluent-kafka (librdkafka)


@pytest.fixture
def confluent(broker: BrokerProcess) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.address})


@pytest.fixture
def python(broker: BrokerProcess) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    yield admin
    admin.close()


def code_of(call: Callable[[], Any]) -> int:
    with pytest.raises(KafkaException) as failure:
        call()
    code: int = failure.value.args[0].code()
    return code


def configs_of(admin: AdminClient, kind: ResourceType, name: str) -> dict[str, Any]:
    (told,) = admin.describe_configs([ConfigResource(kind, name)]).values()
    configs: dict[str, Any] = told.result(20)
    return configs


def set_config(
    admin: AdminClient, kind: ResourceType, name: str, *changes: tuple[str, Any, str | None]
) -> None:
    entries = [
        ConfigEntry(config, value, incremental_operation=operation)
        for config, operation, value in changes
    ]
    resource = ConfigResource(kind, name, incremental_configs=entries)
    (done,) = admin.incremental_alter_configs([resource]).values()
    done.result(20)


def test_confluent_creates_and_validates_topics(confluent: AdminClient) -> None:
    by_number, by_hand, tried = unused(), unused(), unused()
    made = confluent.create_topics(
        [
            NewTopic(by_number, 3, 1, config={"retention.ms": "60000"}),
            NewTopic(by_hand, 2, replica_assignment=[[1], [1]]),
        ]
    )
    assert [each.result(20) for each in made.values()] == [None, None]
    confluent.create_topics([NewTopic(tried, 1, 1)], validate_only=True)[tried].result(20)
    topics = confluent.list_topics(timeout=20).topics
    assert (len(topics[by_number].partitions), len(topics[by_hand].partitions)) == (3, 2)
    assert tried not in topics
    wrong = NewTopic(tried, 1, 1, config={"retention.ms": "soon"})
    result = confluent.create_topics([wrong])[tried].result
    assert code_of(lambda: result(20)) == KafkaError.INVALID_CONFIG
    gone = confluent.delete_topics([by_number, "nowhere"])
    assert gone[by_number].result(20) is None
    assert code_of(lambda: gone["nowhere"].result(20)) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_confluent_adds_partitions(broker: BrokerProcess, confluent: AdminClient) -> None:
    topic = unused()
    confluent.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    tried = confluent.create_partitions([NewPartitions(topic, 5)], validate_only=True)
    assert tried[topic].result(20) is None
    assert len(confluent.list_topics(topic, timeout=20).topics[topic].partitions) == 1
    confluent.create_partitions([NewPartitions(topic, 3)])[topic].result(20)
    by_hand = NewPartitions(topic, 4, replica_assignment=[[1]])
    confluent.create_partitions([by_hand])[topic].result(20)
    assert len(confluent.list_topics(topic, timeout=20).topics[topic].partitions) == 4
    fewer = confluent.create_partitions([NewPartitions(topic, 2)])[topic]
    assert code_of(lambda: fewer.result(20)) == KafkaError.INVALID_PARTITIONS
    producer = Producer({"bootstrap.servers": broker.address})
    producer.produce(topic, b"x", partition=3)
    assert producer.flush(20) == 0


def test_confluent_deletes_records(broker: BrokerProcess, confluent: AdminClient) -> None:
    topic = unused()
    confluent.create_topics([NewTopic(topic, 2, 1)])[topic].result(20)
    written(broker, topic, 5)

    def before(offset: int, partition: int = 0) -> Any:
        (done,) = confluent.delete_records([TopicPartition(topic, partition, offset)]).values()
        return done.result(20)

    assert before(2).low_watermark == 2
    assert before(1).low_watermark == 2
    assert before(-1).low_watermark == 5
    assert before(-1, 1).low_watermark == 0
    assert code_of(lambda: before(6)) == KafkaError.OFFSET_OUT_OF_RANGE


def test_confluent_changes_configs_of_topics(confluent: AdminClient) -> None:
    topic = unused()
    confluent.create_topics([NewTopic(topic, 1, 1, config={"segment.ms": "1000000"})])[
        topic
    ].result(20)
    configs = configs_of(confluent, ResourceType.TOPIC, topic)
    assert configs["segment.ms"].source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    assert configs["retention.ms"].source == ConfigSource.DEFAULT_CONFIG.value
    assert configs["retention.ms"].is_default
    set_config(
        confluent,
        ResourceType.TOPIC,
        topic,
        ("retention.ms", AlterConfigOpType.SET, "70000"),
        ("cleanup.policy", AlterConfigOpType.APPEND, "compact"),
        ("segment.ms", AlterConfigOpType.DELETE, None),
    )
    configs = configs_of(confluent, ResourceType.TOPIC, topic)
    assert configs["retention.ms"].value == "70000"
    assert set(configs["cleanup.policy"].value.split(",")) == {"delete", "compact"}
    assert configs["segment.ms"].source == ConfigSource.DEFAULT_CONFIG.value
    set_config(
        confluent,
        ResourceType.TOPIC,
        topic,
        ("cleanup.policy", AlterConfigOpType.SUBTRACT, "delete"),
    )
    assert configs_of(confluent, ResourceType.TOPIC, topic)["cleanup.policy"].value == "compact"
    only = ConfigResource(ResourceType.TOPIC, topic, set_config={"max.message.bytes": "2000"})
    (done,) = confluent.alter_configs([only]).values()
    done.result(20)
    set_on_topic = {
        name
        for name, each in configs_of(confluent, ResourceType.TOPIC, topic).items()
        if each.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    }
    assert set_on_topic == {"max.message.bytes"}


def test_configs_that_are_changed_are_obeyed_at_once(
    broker: BrokerProcess, confluent: AdminClient
) -> None:
    topic = unused()
    confluent.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    written(broker, topic, 1)
    set_config(
        confluent,
        ResourceType.TOPIC,
        topic,
        ("max.message.bytes", AlterConfigOpType.SET, "100"),
    )
    outcomes: list[Any] = []
    producer = Producer({"bootstrap.servers": broker.address})
    producer.produce(
        topic, bytes(200), partition=0, on_delivery=lambda error, _: outcomes.append(error)
    )
    producer.flush(20)
    assert outcomes[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_wrong_configs_change_nothing_and_disturb_no_other(confluent: AdminClient) -> None:
    topics = [unused(), unused()]
    for made in confluent.create_topics([NewTopic(each, 1, 1) for each in topics]).values():
        made.result(20)

    def changed(kind: ResourceType, name: str, config: str, value: str) -> ConfigResource:
        entry = ConfigEntry(config, value, incremental_operation=AlterConfigOpType.SET)
        return ConfigResource(kind, name, incremental_configs=[entry])

    resources = [
        changed(ResourceType.TOPIC, topics[0], "retention.ms", "soon"),
        changed(ResourceType.TOPIC, topics[1], "retention.ms", "1000"),
        changed(ResourceType.TOPIC, "nowhere", "retention.ms", "1000"),
        changed(ResourceType.TOPIC, "no/slash", "nope", "1"),
    ]
    told = list(confluent.incremental_alter_configs(resources).values())
    assert code_of(lambda: told[0].result(20)) == KafkaError.INVALID_CONFIG
    assert told[1].result(20) is None
    assert code_of(lambda: told[2].result(20)) == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert configs_of(confluent, ResourceType.TOPIC, topics[0])["retention.ms"].is_default
    assert configs_of(confluent, ResourceType.TOPIC, topics[1])["retention.ms"].value == "1000"


def test_topics_inherit_what_is_set_on_their_broker(confluent: AdminClient) -> None:
    topic = unused()
    confluent.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    change = ("log.retention.ms", AlterConfigOpType.SET, "82000")
    set_config(confluent, ResourceType.BROKER, "1", change)
    inherited = configs_of(confluent, ResourceType.TOPIC, topic)["retention.ms"]
    assert inherited.value == "82000"
    assert inherited.source == ConfigSource.DYNAMIC_BROKER_CONFIG.value
    own = configs_of(confluent, ResourceType.BROKER, "1")["log.retention.ms"]
    assert (own.value, own.source) == ("82000", ConfigSource.DYNAMIC_BROKER_CONFIG.value)
    back = ("log.retention.ms", AlterConfigOpType.DELETE, None)
    set_config(confluent, ResourceType.BROKER, "1", back)
    assert configs_of(confluent, ResourceType.TOPIC, topic)["retention.ms"].is_default
    fixed = ("advertised.listeners", AlterConfigOpType.SET, "x")
    refused = code_of(lambda: set_config(confluent, ResourceType.BROKER, "1", fixed))
    assert refused == KafkaError.INVALID_REQUEST


def test_configs_of_a_prefix_are_inherited_and_say_so(confluent: AdminClient) -> None:
    app = unused("app-")
    prefix, topic = f"{app}.billing.*", f"{app}.billing.paid"
    confluent.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    set_config(
        confluent, ResourceType.TOPIC, prefix, ("retention.ms", AlterConfigOpType.SET, "91000")
    )
    own = configs_of(confluent, ResourceType.TOPIC, prefix)["retention.ms"]
    assert (own.value, own.source) == ("91000", ConfigSource.DYNAMIC_TOPIC_CONFIG.value)
    inherited = configs_of(confluent, ResourceType.TOPIC, topic)["retention.ms"]
    assert inherited.value == "91000"
    assert inherited.source == ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG.value
    assert f"{prefix}:retention.ms" in inherited.synonyms
    set_config(
        confluent, ResourceType.TOPIC, topic, ("retention.ms", AlterConfigOpType.SET, "92000")
    )
    assert configs_of(confluent, ResourceType.TOPIC, topic)["retention.ms"].value == "92000"


def test_confluent_describes_the_cluster_and_topics(
    broker: BrokerProcess, confluent: AdminClient
) -> None:
    topic = unused()
    confluent.create_topics([NewTopic(topic, 2, 1)])[topic].result(20)
    cluster = confluent.describe_cluster(include_authorized_operations=True).result(20)
    assert [(each.id, each.port) for each in cluster.nodes] == [(1, broker.port)]
    assert cluster.controller.id == 1 and cluster.cluster_id
    assert len(cluster.authorized_operations) > 5
    shown = confluent.describe_topics(TopicCollection([topic]), include_authorized_operations=True)[
        topic
    ].result(20)
    assert [each.id for each in shown.partitions] == [0, 1]
    assert len(shown.authorized_operations) == 8 and not shown.is_internal


# kafka-python


def python_config(admin: KafkaAdminClient, kind: str, name: str, config: str) -> Any:
    told = admin.describe_configs(
        [PythonResource(kind, name)],
        include_synonyms=True,
        config_filter=ConfigFilterType.ALL,
    )
    return told[kind.lower()][name][config]


def test_kafka_python_creates_adds_partitions_and_deletes(python: KafkaAdminClient) -> None:
    topic = unused()
    python.create_topics([PythonNewTopic(topic, 1, 1)])
    assert topic in python.list_topics()
    python.create_partitions({topic: 3})
    python.create_partitions({topic: {"count": 4, "assignments": [[1]]}})
    with pytest.raises(InvalidPartitionsError):
        python.create_partitions({topic: 2})
    with pytest.raises(UnknownTopicOrPartitionError):
        python.create_partitions({"nowhere": 2})
    (shown,) = python.describe_topics([topic])
    assert len(shown["partitions"]) == 4
    python.delete_topics([topic])
    assert topic not in python.list_topics()


def test_kafka_python_describes_topics_partition_by_partition(python: KafkaAdminClient) -> None:
    topic = unused()
    python.create_topics([PythonNewTopic(topic, 5, 1)])
    first = python.describe_topic_partitions([topic], response_partition_limit=3)
    (shown,) = first["topics"]
    assert [each["partition_index"] for each in shown["partitions"]] == [0, 1, 2]
    assert first["next_cursor"]["partition_index"] == 3
    rest = python.describe_topic_partitions([topic], cursor=first["next_cursor"])
    assert [each["partition_index"] for each in rest["topics"][0]["partitions"]] == [3, 4]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("incremental", [True, False])
def test_kafka_python_changes_configs(python: KafkaAdminClient, incremental: bool) -> None:
    topic = unused()
    python.create_topics([PythonNewTopic(topic, 1, 1)])
    python.alter_configs(
        [PythonResource("TOPIC", topic, {"retention.ms": "60000"})], incremental=incremental
    )
    told = python_config(python, "TOPIC", topic, "retention.ms")
    assert told["value"] == "60000"
    if incremental:
        gone = {"retention.ms": (AlterConfigOp.DELETE, None)}
        python.alter_configs([PythonResource("TOPIC", topic, gone)])
        assert python_config(python, "TOPIC", topic, "retention.ms")["value"] == "604800000"
        wrong = PythonResource("TOPIC", topic, {"retention.ms": "soon"})
        told = python.alter_configs([wrong], raise_on_unknown=False)
        assert told["topic"][topic] is not None
        assert InvalidConfigurationError.__name__ in repr(told)


def test_kafka_python_lists_what_has_configs(python: KafkaAdminClient) -> None:
    topic = unused()
    python.create_topics([PythonNewTopic(topic, 1, 1)])
    listed = json.dumps(python.list_config_resources(), default=str)
    assert topic in listed
    assert topic not in json.dumps(python.list_config_resources(["BROKER"]), default=str)


def test_kafka_python_deletes_records(broker: BrokerProcess, python: KafkaAdminClient) -> None:
    topic = unused()
    python.create_topics([PythonNewTopic(topic, 1, 1)])
    written(broker, topic, 4)
    partition = PythonPartition(topic, 0)
    told = python.delete_records({partition: 3})
    assert told[partition]["low_watermark"] == 3


def test_kafka_python_describes_the_cluster_and_its_directories(
    broker: BrokerProcess, python: KafkaAdminClient
) -> None:
    topic = unused()
    python.create_topics([PythonNewTopic(topic, 2, 1)])
    written(broker, topic, 4)
    cluster = python.describe_cluster()
    assert [each["port"] for each in cluster["brokers"]] == [broker.port]
    told = json.dumps(python.describe_log_dirs([topic]), default=str)
    assert topic in told and str(broker.data) in told
    quorum = python.describe_metadata_quorum()
    (partition,) = quorum["topics"][0]["partitions"]
    assert partition["leader_id"] == 1 and partition["high_watermark"] > 0


def test_kafka_python_describes_producers(broker: BrokerProcess, python: KafkaAdminClient) -> None:
    topic = unused()
    python.create_topics([PythonNewTopic(topic, 1, 1)])
    written(broker, topic, 3, **{"enable.idempotence": True})
    partition = PythonPartition(topic, 0)
    told = python.describe_producers([partition])[partition]
    (producer,) = told.active_producers
    assert producer.producer_id >= 0 and producer.last_sequence == 2


# aiokafka


async def test_aiokafka_administers_topics(broker: BrokerProcess) -> None:
    topic = unused()
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    try:
        await admin.create_topics([AioNewTopic(topic, 1, 1)])
        assert topic in await admin.list_topics()
        await admin.create_partitions({topic: AioNewPartitions(3)})
        (shown,) = await admin.describe_topics([topic])
        assert len(shown["partitions"]) == 3
        await admin.alter_configs(
            [AioResource(AioKind.TOPIC, topic, configs={"retention.ms": "60000"})]
        )
        (told,) = await admin.describe_configs([AioResource(AioKind.TOPIC, topic)])
        values = {each[0]: each[1] for each in told.resources[0][4]}
        assert values["retention.ms"] == "60000"
        written(broker, topic, 4)
        partition = AioPartition(topic, 0)
        low = await admin.delete_records({partition: RecordsToDelete(before_offset=2)})
        assert low[partition] == 2
        cluster = await admin.describe_cluster()
        assert [each["port"] for each in cluster["brokers"]] == [broker.port]
        await admin.delete_topics([topic])
        assert topic not in await admin.list_topics()
    finally:
        await admin.close()


# kcat


@pytest.mark.skipif(shutil.which("kcat") is None, reason="no kcat (Debian: apt-get install kcat)")
def test_kcat_lists_brokers_and_topics(broker: BrokerProcess, confluent: AdminClient) -> None:
    topic = unused()
    confluent.create_topics([NewTopic(topic, 2, 1)])[topic].result(20)
    confluent.create_partitions([NewPartitions(topic, 3)])[topic].result(20)
    listed = subprocess.run(
        ["kcat", "-b", broker.address, "-L", "-J"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    told = json.loads(listed.stdout)
    assert [each["name"] for each in told["brokers"]] == [broker.address]
    (shown,) = [each for each in told["topics"] if each["topic"] == topic]
    assert [(each["partition"], each["leader"]) for each in shown["partitions"]] == [
        (0, 1),
        (1, 1),
        (2, 1),
    ]
