"""Clients that we did not write, over real sockets: what they send is what they read."""

import json
import shutil
import subprocess
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as AioPartition
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import TopicPartition as PythonPartition
from kafka.admin import NewTopic as PythonNewTopic
from kafka.errors import IncompatibleBrokerVersion, UnknownTopicOrPartitionError

from benchmarks.broker import BrokerProcess
from tests.integration.scenario import CODECS, RECORDS, START_MS, Sent

pytestmark = pytest.mark.clients

kcat = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed here")


def new_topic(broker: BrokerProcess, partitions: int = 1, **configs: str) -> str:
    name = f"topic-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic(name, partitions, 1, config=configs)])[name].result(10)
    return name


def confluent_producer(broker: BrokerProcess, **settings: object) -> Producer:
    return Producer(
        {"bootstrap.servers": broker.address, "message.max.bytes": 2_000_000} | settings
    )


def confluent_read(
    broker: BrokerProcess, topic: str, count: int, *, partition: int = 0, offset: int = 0
) -> list[Message]:
    """`count` records from `offset` by assignment; fails after 20 s without one."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.address,
            "group.id": "unused",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
        }
    )
    consumer.assign([TopicPartition(topic, partition, offset)])
    found: list[Message] = []
    try:
        while len(found) < count:
            message = consumer.poll(20)
            assert message is not None, f"{len(found)} of {count} records"
            assert message.error() is None, message.error()
            found.append(message)
    finally:
        consumer.close()
    return found


def as_sent(message: Message) -> Sent:
    headers = tuple((name, value) for name, value in message.headers() or [])
    return Sent(message.key(), message.value(), headers, message.timestamp()[1])


@pytest.mark.parametrize("codec", CODECS)
def test_confluent_reads_what_it_wrote(broker: BrokerProcess, codec: str) -> None:
    topic = new_topic(broker)
    producer = confluent_producer(broker, **{"compression.type": codec, "linger.ms": 20})
    for sent in RECORDS:
        producer.produce(
            topic,
            sent.value,
            sent.key,
            headers=list(sent.headers),
            partition=0,
            timestamp=sent.timestamp_ms,
        )
    assert producer.flush(20) == 0
    assert [as_sent(m) for m in confluent_read(broker, topic, len(RECORDS))] == list(RECORDS)


@pytest.mark.parametrize("codec", CODECS)
async def test_aiokafka_reads_what_it_wrote(broker: BrokerProcess, codec: str) -> None:
    topic = new_topic(broker)
    codec_or_none = None if codec == "none" else codec
    async with AIOKafkaProducer(
        bootstrap_servers=broker.address,
        compression_type=codec_or_none,
        acks="all",
        max_request_size=2_000_000,
    ) as producer:
        for sent in RECORDS:
            await producer.send_and_wait(
                topic,
                sent.value,
                sent.key,
                partition=0,
                headers=list(sent.headers),
                timestamp_ms=sent.timestamp_ms,
            )
    async with AIOKafkaConsumer(bootstrap_servers=broker.address) as consumer:
        consumer.assign([AioPartition(topic, 0)])
        await consumer.seek_to_beginning()
        read = [await consumer.getone() for _ in RECORDS]
    assert [Sent(r.key, r.value, tuple(r.headers), r.timestamp) for r in read] == list(RECORDS)


@kcat
@pytest.mark.parametrize("codec", CODECS)
def test_kcat_reads_what_it_wrote(broker: BrokerProcess, codec: str) -> None:
    topic = new_topic(broker)
    lines = "".join(f"key-{i}\tvalue-{i}\n" for i in range(1_000))
    subprocess.run(
        [
            "kcat",
            "-b",
            broker.address,
            "-P",
            "-t",
            topic,
            "-p",
            "0",
            "-K",
            "\t",
            "-z",
            codec,
            "-H",
            "from=kcat",
        ],
        input=lines,
        text=True,
        check=True,
        timeout=30,
    )
    read = subprocess.run(
        ["kcat", "-b", broker.address, "-C", "-t", topic, "-p", "0", "-e", "-J", "-o", "beginning"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    records = [json.loads(line) for line in read.stdout.splitlines()]
    assert [f"{r['key']}\t{r['payload']}\n" for r in records] == lines.splitlines(keepends=True)
    assert all(r["headers"] == ["from", "kcat"] for r in records)


def test_one_client_reads_what_another_wrote(broker: BrokerProcess) -> None:
    topic = new_topic(broker)
    for codec in CODECS:
        producer = confluent_producer(broker, **{"compression.type": codec, "linger.ms": 20})
        for index in range(100):
            producer.produce(topic, f"{codec}-{index}".encode() * 20, partition=0)
        assert producer.flush(20) == 0
    read = subprocess.run(
        ["kcat", "-b", broker.address, "-C", "-t", topic, "-e", "-q"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert read.stdout.split() == [f"{c}-{i}" * 20 for c in CODECS for i in range(100)]


def test_idempotent_producers_keep_order_and_write_once(broker: BrokerProcess) -> None:
    topic = new_topic(broker, 3)
    producer = confluent_producer(broker, **{"enable.idempotence": True, "linger.ms": 1})
    for index in range(3_000):
        producer.produce(topic, str(index).encode(), partition=index % 3)
    assert producer.flush(20) == 0
    for partition in range(3):
        read = confluent_read(broker, topic, 1_000, partition=partition)
        assert [int(m.value()) for m in read] == list(range(partition, 3_000, 3))


async def test_aiokafka_idempotent_producer_is_acknowledged(broker: BrokerProcess) -> None:
    topic = new_topic(broker)
    async with AIOKafkaProducer(
        bootstrap_servers=broker.address, enable_idempotence=True
    ) as producer:
        for index in range(50):
            sent = await producer.send_and_wait(topic, str(index).encode(), partition=0)
            assert sent.offset == index


def test_timestamps_are_looked_up_to_the_record(broker: BrokerProcess) -> None:
    topic = new_topic(broker)
    producer = confluent_producer(broker, **{"compression.type": "zstd", "linger.ms": 50})
    for index in range(500):
        producer.produce(topic, b"x", partition=0, timestamp=START_MS + 10 * index)
    assert producer.flush(20) == 0
    consumer = Consumer(
        {"bootstrap.servers": broker.address, "group.id": "unused", "enable.auto.commit": False}
    )
    try:
        for wanted, offset in ((0, 0), (1, 1), (10, 1), (11, 2), (4_990, 499)):
            [found] = consumer.offsets_for_times([TopicPartition(topic, 0, START_MS + wanted)], 10)
            assert found.offset == offset, wanted
        [beyond] = consumer.offsets_for_times([TopicPartition(topic, 0, START_MS + 4_991)], 10)
        assert beyond.offset == -1
        assert consumer.get_watermark_offsets(TopicPartition(topic, 0), 10) == (0, 500)
    finally:
        consumer.close()


def test_a_reader_waits_for_what_comes(broker: BrokerProcess) -> None:
    topic = new_topic(broker)
    consumer = Consumer(
        {"bootstrap.servers": broker.address, "group.id": "unused", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        assert consumer.poll(0.2) is None
        producer = confluent_producer(broker)
        producer.produce(topic, b"late", partition=0)
        assert producer.flush(20) == 0
        message = consumer.poll(20)
        assert message is not None and message.value() == b"late"
    finally:
        consumer.close()


def test_errors_are_clean(broker: BrokerProcess) -> None:
    topic = new_topic(broker)
    producer = confluent_producer(broker, **{"message.timeout.ms": 5_000})
    outcomes: list[KafkaError | None] = []
    producer.produce(
        topic, bytes(1_500_000), partition=0, on_delivery=lambda error, _: outcomes.append(error)
    )
    producer.flush(20)
    assert outcomes[0] is not None and outcomes[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    admin = AdminClient({"bootstrap.servers": broker.address})
    with pytest.raises(KafkaException) as again:
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
    assert again.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    with pytest.raises(KafkaException) as bad:
        admin.create_topics([NewTopic("no/slash", 1, 1)])["no/slash"].result(10)
    assert bad.value.args[0].code() == KafkaError.TOPIC_EXCEPTION


def test_a_deleted_topic_created_again_is_empty(broker: BrokerProcess) -> None:
    topic = new_topic(broker)
    producer = confluent_producer(broker)
    producer.produce(topic, b"old", partition=0)
    assert producer.flush(20) == 0
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.delete_topics([topic])[topic].result(10)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
    consumer = Consumer(
        {"bootstrap.servers": broker.address, "group.id": "unused", "enable.auto.commit": False}
    )
    try:
        assert consumer.get_watermark_offsets(TopicPartition(topic, 0), 10) == (0, 0)
    finally:
        consumer.close()


def test_topics_are_created_by_use(broker: BrokerProcess) -> None:
    topic = f"auto-{uuid.uuid4().hex[:8]}"
    producer = confluent_producer(broker)
    producer.produce(topic, b"first")
    assert producer.flush(20) == 0
    assert confluent_read(broker, topic, 1)[0].value() == b"first"


def test_kafka_python_creates_writes_reads_by_assignment_and_deletes(
    broker: BrokerProcess,
) -> None:
    topic = f"topic-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    producer = KafkaProducer(bootstrap_servers=broker.address, compression_type="gzip")
    consumer = KafkaConsumer(
        bootstrap_servers=broker.address, auto_offset_reset="earliest", consumer_timeout_ms=20_000
    )
    try:
        admin.create_topics([PythonNewTopic(topic, 2, 1)])
        for number in range(6):
            sent = producer.send(
                topic, b"%d" % number, partition=number % 2, timestamp_ms=START_MS + number
            )
            assert sent.get(20).offset == number // 2
        partitions = [PythonPartition(topic, 0), PythonPartition(topic, 1)]
        consumer.assign(partitions)
        read = [next(consumer) for _ in range(6)]
        assert sorted(each.value for each in read) == [b"%d" % number for number in range(6)]
        assert consumer.beginning_offsets(partitions) == dict.fromkeys(partitions, 0)
        assert consumer.end_offsets(partitions) == dict.fromkeys(partitions, 3)
        found = consumer.offsets_for_times({partitions[0]: START_MS + 1})[partitions[0]]
        assert (found.offset, found.timestamp) == (1, START_MS + 2)
        admin.delete_topics([topic])
        with pytest.raises(UnknownTopicOrPartitionError):
            admin.delete_topics([topic])
        with pytest.raises(IncompatibleBrokerVersion):
            admin.list_groups()
    finally:
        for client in (consumer, producer, admin):
            client.close()


def test_confluent_asks_for_offsets_and_topics_and_is_told_what_is_not_served(
    broker: BrokerProcess,
) -> None:
    topic = new_topic(broker, partitions=2)
    producer = confluent_producer(broker)
    for number in range(3):
        producer.produce(topic, b"x", partition=0, timestamp=START_MS + number)
    assert producer.flush(20) == 0
    admin = AdminClient({"bootstrap.servers": broker.address})
    for wanted, full, empty in (
        (OffsetSpec.earliest(), 0, 0),
        (OffsetSpec.latest(), 3, 0),
        (OffsetSpec.max_timestamp(), 2, -1),
        (OffsetSpec.for_timestamp(START_MS + 1), 1, -1),
    ):
        asked = {TopicPartition(topic, partition): wanted for partition in (0, 1)}
        told = admin.list_offsets(asked)
        assert [each.result(20).offset for each in told.values()] == [full, empty]
    shown = admin.describe_topics(TopicCollection([topic, "nowhere"]))
    assert len(shown[topic].result(20).partitions) == 2
    with pytest.raises(KafkaException) as missing:
        shown["nowhere"].result(20)
    assert missing.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    with pytest.raises(KafkaException) as unserved:
        admin.describe_user_scram_credentials().result(20)
    assert unserved.value.args[0].code() == KafkaError._UNSUPPORTED_FEATURE
