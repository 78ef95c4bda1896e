"""The scenario's commands in confluent-kafka (librdkafka)."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from typing import Any

import confluent_kafka
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from tests.clients.python.spoken import (
    MESSAGE_BYTES_MAX,
    WAIT_S,
    Answer,
    Command,
    Record,
    Refused,
    read,
    records,
    speak,
)


def refused(error: KafkaError) -> Refused:
    # librdkafka's own code for "out of range, and auto.offset.reset forbids to start elsewhere".
    code = 1 if error.code() == KafkaError._AUTO_OFFSET_RESET else error.code()
    return Refused(code, error.str())


def result(future: "Future[Any]") -> Any:
    try:
        return future.result(WAIT_S)
    except KafkaException as error:
        raise refused(error.args[0]) from error


@cache
def connected(broker: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker})


def admin(command: Command) -> AdminClient:
    """One client per broker: what it was asked ends with an error when it is let go."""
    return connected(command["broker"])


def only(futures: dict[Any, "Future[Any]"]) -> Any:
    [future] = futures.values()
    return result(future)


def version(_: Command) -> Answer:
    own, library = confluent_kafka.version(), confluent_kafka.libversion()
    return {"version": own if isinstance(own, str) else own[0], "with": f"librdkafka {library[0]}"}


def produce(command: Command) -> Answer:
    producer = Producer(
        {
            "bootstrap.servers": command["broker"],
            "compression.type": command["codec"],
            "acks": command["acks"],
            "enable.idempotence": command["idempotent"],
            "partitioner": "murmur2_random",
            "message.max.bytes": MESSAGE_BYTES_MAX,
            "message.timeout.ms": WAIT_S * 1000,
            "linger.ms": 20,
        }
    )
    told: dict[int, tuple[KafkaError | None, int, int]] = {}

    def delivery_of(at: int) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, message: Message) -> None:
            offset = message.offset()
            told[at] = (error, message.partition() or 0, -1 if offset is None else max(offset, -1))

        return delivered

    where = {} if command["partition"] is None else {"partition": command["partition"]}
    for at, record in enumerate(records(command)):
        producer.produce(
            command["topic"],
            record.value,
            record.key,
            headers=record.headers,
            timestamp=record.timestamp or 0,
            on_delivery=delivery_of(at),
            **where,
        )
    producer.flush(WAIT_S)
    for error, _, _ in told.values():
        if error is not None:
            raise refused(error)
    return {"written": [[told[at][1], told[at][2]] for at in sorted(told)]}


def consumer(command: Command) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": command["broker"],
            "group.id": "never-joined",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": f"read_{'' if command.get('committed') else 'un'}committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,  # the end is told when a wait at it is over
        }
    )


def read_all(command: Command) -> Answer:
    reader = consumer(command)
    start = confluent_kafka.OFFSET_BEGINNING if command["from"] == "earliest" else command["from"]
    unread = set(command["partitions"])
    found = []
    try:
        reader.assign([TopicPartition(command["topic"], each, start) for each in unread])
        while unread:
            message = reader.poll(WAIT_S)
            if message is None:
                raise Refused(-1, f"nothing came in {WAIT_S} s")
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition())
            elif error is not None:
                raise refused(error)
            else:
                record = Record(
                    message.key(), message.value(), message.headers() or [], message.timestamp()[1]
                )
                found.append(read(message.partition() or 0, message.offset() or 0, record))
    finally:
        reader.close()
    return {"records": found}


def offset(command: Command) -> Answer:
    specs: dict[str, Callable[[], OffsetSpec]] = {
        "earliest": OffsetSpec.earliest,
        "latest": OffsetSpec.latest,
        "max_timestamp": OffsetSpec.max_timestamp,
    }
    at = command["at"]
    spec = specs[at]() if at in specs else OffsetSpec.for_timestamp(at)
    committed = command.get("committed")
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    asked = {TopicPartition(command["topic"], command["partition"]): spec}
    return {"offset": only(admin(command).list_offsets(asked, isolation_level=level)).offset}


def create(command: Command) -> Answer:
    topic = NewTopic(command["topic"], command["partitions"], 1, config=command["configs"])
    only(admin(command).create_topics([topic], operation_timeout=WAIT_S))
    return {}


def describe(command: Command) -> Answer:
    topic = only(admin(command).describe_topics(TopicCollection([command["topic"]])))
    return {"partitions": sorted(each.id for each in topic.partitions)}


def list_topics(command: Command) -> Answer:
    return {"topics": sorted(admin(command).list_topics(timeout=WAIT_S).topics)}


def configs(command: Command) -> Answer:
    entries = only(
        admin(command).describe_configs([ConfigResource(ResourceType.TOPIC, command["topic"])])
    )
    return {"configs": {name: entry.value for name, entry in entries.items()}}


def alter(command: Command) -> Answer:
    kinds = {
        "set": AlterConfigOpType.SET,
        "append": AlterConfigOpType.APPEND,
        "subtract": AlterConfigOpType.SUBTRACT,
    }
    changes = [
        ConfigEntry(name, value, incremental_operation=kind)
        for word, kind in kinds.items()
        for name, value in command.get(word, {}).items()
    ] + [
        ConfigEntry(name, None, incremental_operation=AlterConfigOpType.DELETE)
        for name in command.get("delete", [])
    ]
    resource = ConfigResource(ResourceType.TOPIC, command["topic"], incremental_configs=changes)
    only(admin(command).incremental_alter_configs([resource]))
    return {}


def replace(command: Command) -> Answer:
    resource = ConfigResource(ResourceType.TOPIC, command["topic"], set_config=command["configs"])
    only(admin(command).alter_configs([resource]))
    return {}


def add_partitions(command: Command) -> Answer:
    only(admin(command).create_partitions([NewPartitions(command["topic"], command["total"])]))
    return {}


def delete_records(command: Command) -> Answer:
    before = TopicPartition(command["topic"], command["partition"], command["before"])
    return {"start": only(admin(command).delete_records([before])).low_watermark}


def delete(command: Command) -> Answer:
    only(admin(command).delete_topics([command["topic"]], operation_timeout=WAIT_S))
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
            "replace": replace,
            "add_partitions": add_partitions,
            "delete_records": delete_records,
            "delete": delete,
        }
    )
