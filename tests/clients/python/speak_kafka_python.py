"""The scenario's commands in kafka-python."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import AlterConfigOp, ConfigFilterType, ConfigResource, ConfigResourceType
from kafka.errors import KafkaError
from kafka.protocol.consumer.offsets import IsolationLevel, OffsetSpec

from tests.clients.python.spoken import (
    MESSAGE_BYTES_MAX,
    WAIT_S,
    Answer,
    Command,
    Lacking,
    Record,
    Refused,
    read,
    records,
    speak,
)


def refusing(verb: Callable[[Command], Answer]) -> Callable[[Command], Answer]:
    @wraps(verb)
    def asked(command: Command) -> Answer:
        try:
            return verb(command)
        except KafkaError as error:
            raise Refused(getattr(error, "errno", -1), repr(error)) from error

    return asked


def by_admin(verb: Callable[[KafkaAdminClient, Command], Answer]) -> Callable[[Command], Answer]:
    def asked(command: Command) -> Answer:
        admin = KafkaAdminClient(bootstrap_servers=command["broker"])
        try:
            return verb(admin, command)
        finally:
            admin.close()

    return refusing(asked)


def version(_: Command) -> Answer:
    return {"version": kafka.__version__}


@refusing
def produce(command: Command) -> Answer:
    if any(value is None for each in records(command) for _, value in each.headers):
        raise Lacking("no null header values")
    acks = {"all": "all", "1": 1, "0": 0}[command["acks"]]
    producer = KafkaProducer(
        bootstrap_servers=command["broker"],
        compression_type=None if command["codec"] == "none" else command["codec"],
        acks=acks,
        enable_idempotence=command["idempotent"],
        max_request_size=MESSAGE_BYTES_MAX,
        linger_ms=20,
    )
    try:
        sent = [
            producer.send(
                command["topic"],
                record.value,
                record.key,
                headers=record.headers,
                partition=command["partition"],
                timestamp_ms=record.timestamp,
            )
            for record in records(command)
        ]
        producer.flush(WAIT_S)
        told = [each.get(WAIT_S) for each in sent]
    finally:
        producer.close(WAIT_S)
    return {"written": [[each.partition, max(each.offset, -1)] for each in told]}


def consumer(command: Command) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=command["broker"],
        auto_offset_reset="none",
        enable_auto_commit=False,
        isolation_level=f"read_{'' if command.get('committed') else 'un'}committed",
    )


@refusing
def read_all(command: Command) -> Answer:
    reader = consumer(command)
    found = []
    try:
        asked = [TopicPartition(command["topic"], each) for each in command["partitions"]]
        reader.assign(asked)
        ends = reader.end_offsets(asked)
        if command["from"] == "earliest":
            reader.seek_to_beginning(*asked)
        else:
            for each in asked:
                reader.seek(each, command["from"])
                ends[each] = max(ends[each], command["from"] + 1)
        while any(reader.position(each) < ends[each] for each in asked):
            polled: dict[Any, list[Any]] = reader.poll(WAIT_S * 1000)
            if not polled:
                raise Refused(-1, f"nothing came in {WAIT_S} s")
            for where, batch in polled.items():
                for each in batch:
                    record = Record(each.key, each.value, each.headers, each.timestamp)
                    found.append(read(where.partition, each.offset, record))
    finally:
        reader.close()
    return {"records": found}


@by_admin
def offset(admin: KafkaAdminClient, command: Command) -> Answer:
    specs = {
        "earliest": OffsetSpec.EARLIEST,
        "latest": OffsetSpec.LATEST,
        "max_timestamp": OffsetSpec.MAX_TIMESTAMP,
    }
    where = TopicPartition(command["topic"], command["partition"])
    committed = command.get("committed")
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    spec = specs.get(command["at"], command["at"])
    return {"offset": admin.list_partition_offsets({where: spec}, level)[where].offset}


@by_admin
def create(admin: KafkaAdminClient, command: Command) -> Answer:
    options = {
        "num_partitions": command["partitions"],
        "replication_factor": 1,
        "configs": command["configs"],
    }
    admin.create_topics({command["topic"]: options})
    return {}


@by_admin
def describe(admin: KafkaAdminClient, command: Command) -> Answer:
    [topic] = admin.describe_topics([command["topic"]])
    if topic["error_code"]:
        raise Refused(topic["error_code"], topic)
    return {"partitions": sorted(each["partition_index"] for each in topic["partitions"])}


@by_admin
def list_topics(admin: KafkaAdminClient, command: Command) -> Answer:
    return {"topics": sorted(admin.list_topics())}


@by_admin
def configs(admin: KafkaAdminClient, command: Command) -> Answer:
    resource = ConfigResource(ConfigResourceType.TOPIC, command["topic"])
    told = admin.describe_configs([resource], config_filter=ConfigFilterType.ALL)
    entries = told["topic"][command["topic"]]
    return {"configs": {name: entry["value"] for name, entry in entries.items()}}


@by_admin
def alter(admin: KafkaAdminClient, command: Command) -> Answer:
    changes: dict[str, Any] = {
        name: (AlterConfigOp.DELETE, None) for name in command.get("delete", [])
    }
    for word in ("set", "append", "subtract"):
        for name, value in command.get(word, {}).items():
            changes[name] = (AlterConfigOp[word.upper()], value)
    resource = ConfigResource(ConfigResourceType.TOPIC, command["topic"], changes)
    told = admin.alter_configs([resource], raise_on_unknown=False)
    # Refusals are no exceptions here, but texts beside the successes.
    said: str = told["topic"][command["topic"]]
    if said != "OK":
        code = re.search(r"\[Error (\d+)\]", said)
        raise Refused(int(code[1]) if code else -1, said)
    return {}


@by_admin
def add_partitions(admin: KafkaAdminClient, command: Command) -> Answer:
    admin.create_partitions({command["topic"]: command["total"]})
    return {}


@by_admin
def delete_records(admin: KafkaAdminClient, command: Command) -> Answer:
    where = TopicPartition(command["topic"], command["partition"])
    return {"start": admin.delete_records({where: command["before"]})[where]["low_watermark"]}


@by_admin
def delete(admin: KafkaAdminClient, command: Command) -> Answer:
    admin.delete_topics([command["topic"]])
    return {}


if __name__ == "__main__":
    speak(
        {
            "version": version,
            "produce": produce,
            "read": read_all,
            "offset": offset,
            "create": create,
            "describe": describe,
            "list": list_topics,
            "configs": configs,
            "alter": alter,
            "add_partitions": add_partitions,
            "delete_records": delete_records,
            "delete": delete,
        }
    )
