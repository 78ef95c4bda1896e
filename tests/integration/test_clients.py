"""What clients that we did not write see of our ways, beside the scenario of tests/clients."""

import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaAdminClient
from kafka.errors import IncompatibleBrokerVersion

from benchmarks.broker import BrokerProcess

pytestmark = pytest.mark.clients


@pytest.fixture
def admin(broker: BrokerProcess) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.address})


@pytest.fixture
def topic(admin: AdminClient) -> str:
    name = f"topic-{uuid.uuid4().hex[:8]}"
    create(admin, name)
    return name


@pytest.fixture
def consumer(broker: BrokerProcess) -> Iterator[Consumer]:
    """One that assigns partitions itself."""
    made = Consumer(
        {"bootstrap.servers": broker.address, "group.id": "unused", "enable.auto.commit": False}
    )
    yield made
    made.close()


def create(admin: AdminClient, topic: str) -> None:
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)


def produce(broker: BrokerProcess, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.address})
    producer.produce(topic, value, partition=0)
    assert producer.flush(20) == 0


def test_a_reader_waits_for_what_comes(
    broker: BrokerProcess, topic: str, consumer: Consumer
) -> None:
    consumer.assign([TopicPartition(topic, 0, 0)])
    assert consumer.poll(0.2) is None
    produce(broker, topic, b"late")
    message = consumer.poll(20)
    assert message is not None and message.value() == b"late"


def test_a_deleted_topic_created_again_is_empty(
    broker: BrokerProcess, admin: AdminClient, topic: str, consumer: Consumer
) -> None:
    produce(broker, topic, b"old")
    admin.delete_topics([topic])[topic].result(10)
    create(admin, topic)
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), 10) == (0, 0)


def test_topics_are_created_by_use(broker: BrokerProcess, consumer: Consumer) -> None:
    topic = f"auto-{uuid.uuid4().hex[:8]}"
    produce(broker, topic, b"first")
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(20)
    assert message is not None and message.value() == b"first"


def test_clients_are_told_what_is_not_served(broker: BrokerProcess, admin: AdminClient) -> None:
    with pytest.raises(KafkaException) as unserved:
        admin.describe_user_scram_credentials().result(20)
    assert unserved.value.args[0].code() == KafkaError._UNSUPPORTED_FEATURE
    python = KafkaAdminClient(bootstrap_servers=broker.address)
    try:
        with pytest.raises(IncompatibleBrokerVersion):
            python.list_groups()
    finally:
        python.close()
