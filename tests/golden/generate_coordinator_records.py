"""Writes coordinator_records.json: records that Apache Kafka wrote to `__consumer_offsets`.

    python -m tests.golden.generate_coordinator_records

Those "from" "log" are what a real broker (4.4) wrote while real clients committed, joined, left and
were deleted; the others are every version of every value by Kafka's own classes. Beside the bytes
stand their fields as Kafka's own JSON converters name them. Ids and times differ from run to run.
"""

import json
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, NewTopic
from kio.index import load_payload_module
from kio.serial import entity_writer
from kio.static.constants import EntityType

from benchmarks.kafka_process import KafkaProcess, jars

PATH = Path(__file__).with_name("coordinator_records.json")
JAVA = Path(__file__).with_name("KafkaRecords.java")
WAIT_SECONDS_MAX = 60
OFFSET_COMMIT = 8
FLEXIBLE_FROM = 8
HOUR_MS = 3_600_000


def until(consumers: list[ck.Consumer], condition: Callable[[], bool]) -> None:
    """Polls the consumers in turn until the condition holds."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "Kafka and its clients did not get there"
        for consumer in consumers:
            consumer.poll(0.05)


def consumer(address: str, group: str, **settings: str) -> ck.Consumer:
    return ck.Consumer(
        {
            "bootstrap.servers": address,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
    )


def commit_by_hand(address: str, group: str, version: int, **fields: Any) -> None:
    """An OffsetCommit of a version, or with fields, that clients of today do not send."""
    types = load_payload_module(OFFSET_COMMIT, version, EntityType.request)
    partition = {"partition_index": 0, "committed_offset": 42, "committed_metadata": "by hand"}
    topic_id = fields.pop("topic_id", None)
    named = {"name": "orders"} if topic_id is None else {"topic_id": topic_id}
    topic = types.OffsetCommitRequestTopic(
        partitions=(types.OffsetCommitRequestPartition(**partition),), **named
    )
    body = BytesIO()
    entity = types.OffsetCommitRequest(group_id=group, member_id="", topics=(topic,), **fields)
    entity_writer(type(entity))(body, entity)
    header = struct.pack(">hhih", OFFSET_COMMIT, version, 1, -1)
    frame = header + (b"\x00" if version >= FLEXIBLE_FROM else b"") + body.getvalue()
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        answer = connection.makefile("rb")
        (size,) = struct.unpack(">i", answer.read(4))
        assert b"\x00\x00\x00\x00" in answer.read(size), "the commit was refused"


def commits(address: str, topic_id: UUID) -> None:
    alone = consumer(address, "alone")
    for offset, metadata in ((0, ""), (2, "with metadata é€😀")):
        wanted = ck.TopicPartition("orders", 1, offset, metadata, leader_epoch=offset or -1)
        alone.commit(offsets=[wanted], asynchronous=False)
    alone.close()
    commit_by_hand(address, "old", 2, retention_time=timedelta(milliseconds=HOUR_MS))
    commit_by_hand(address, "old", 7)
    commit_by_hand(address, "by-id", 10, topic_id=topic_id)


def classic_group(address: str) -> None:
    """A dynamic and a static member join, commit and leave; the group is deleted."""
    dynamic = consumer(address, "readers", client_id="dynamic")
    session = {"session_timeout_ms": "6000", "heartbeat_interval_ms": "2000"}
    named = {"client_id": "static", "group_instance_id": "rack-1"}
    static = consumer(address, "readers", **named, **session)
    both = [dynamic, static]
    for each in both:
        each.subscribe(["orders"])
    until(both, lambda: [len(each.assignment()) for each in both] == [1, 1])
    for each in both:
        offsets = [
            ck.TopicPartition(at.topic, at.partition, 1, "joined") for at in each.assignment()
        ]
        each.commit(offsets=offsets, asynchronous=False)
    dynamic.close()
    until([static], lambda: len(static.assignment()) == 2)
    static.close()


def consumer_group(address: str) -> None:
    """A group of the protocol of KIP-848, whose records have types of their own."""
    member = consumer(address, "newer", group_protocol="consumer")
    member.subscribe(["orders"])
    until([member], lambda: len(member.assignment()) == 2)
    member.close()


def delete(admin: AdminClient, group: str) -> None:
    """A static member stays until its session ends: so does its group."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        try:
            admin.delete_consumer_groups([group])[group].result()
            return
        except ck.KafkaException as error:
            assert time.monotonic() < deadline, error
            time.sleep(1)


def written(address: str) -> list[str]:
    """Every record of `__consumer_offsets` as "key value" in hex."""
    reader = consumer(address, "unused")
    at = ck.TopicPartition("__consumer_offsets", 0, ck.OFFSET_BEGINNING)
    _, end = reader.get_watermark_offsets(at, timeout=10)
    reader.assign([at])
    lines: list[str] = []
    while not lines or reader.position([at])[0].offset < end:
        record = reader.poll(10)
        assert record is not None and record.error() is None, record
        value = record.value()
        lines.append(f"{record.key().hex()} {'-' if value is None else value.hex()}")
    reader.close()
    return lines


def main() -> None:
    settings = {"offsets.topic.num.partitions": "1"}
    with tempfile.TemporaryDirectory() as folder:
        kafka = KafkaProcess(Path(folder) / "kafka", settings)
        kafka.start()
        try:
            admin = AdminClient({"bootstrap.servers": kafka.address})
            admin.create_topics([NewTopic("orders", 2, 1)])["orders"].result()
            described = admin.describe_topics(ck.TopicCollection(["orders"]))["orders"].result()
            commits(kafka.address, uuid_of(described.topic_id))
            classic_group(kafka.address)
            consumer_group(kafka.address)
            for group in ("readers", "alone"):
                delete(admin, group)
            lines = written(kafka.address)
        finally:
            kafka.stop()
    ran = subprocess.run(
        ["java", "-Dfile.encoding=UTF-8", "-cp", f"{jars()}/*", str(JAVA)],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        check=True,
    )
    entries = [json.loads(line) for line in ran.stdout.splitlines()]
    body = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    PATH.write_text(f"[\n{body}\n]\n")


def uuid_of(topic_id: ck.Uuid) -> UUID:
    halves = topic_id.get_most_significant_bits(), topic_id.get_least_significant_bits()
    return UUID(bytes=struct.pack(">qq", *halves))


if __name__ == "__main__":
    main()
