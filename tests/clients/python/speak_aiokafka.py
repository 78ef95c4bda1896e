"""The scenario's commands in aiokafka."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

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


def awaited(verb: Callable[[Command], Awaitable[Answer]]) -> Callable[[Command], Answer]:
    async def bounded(command: Command) -> Answer:
        async with asyncio.timeout(2 * WAIT_S):
            return await verb(command)

    def asked(command: Command) -> Answer:
        try:
            return asyncio.run(bounded(command))
        except KafkaError as error:
            raise Refused(getattr(error, "errno", -1), repr(error)) from error

    return asked


@asynccontextmanager
async def admin(command: Command) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=command["broker"])
    await client.start()
    try:
        yield client
    finally:
        await client.close()


def checked(code: int, text: object = "") -> None:
    if code:
        raise Refused(code, text)


async def version(_: Command) -> Answer:
    return {"version": aiokafka.__version__}


async def produce(command: Command) -> Answer:
    async with AIOKafkaProducer(
        bootstrap_servers=command["broker"],
        compression_type=None if command["codec"] == "none" else command["codec"],
        acks={"all": "all", "1": 1, "0": 0}[command["acks"]],
        enable_idempotence=command["idempotent"],
        max_request_size=MESSAGE_BYTES_MAX,
        max_batch_size=MESSAGE_BYTES_MAX,
        linger_ms=20,
    ) as producer:
        waiting = [
            await producer.send(
                command["topic"],
                record.value,
                record.key,
                partition=command["partition"],
                timestamp_ms=record.timestamp,
                headers=record.headers,
            )
            for record in records(command)
        ]
        told = [await each for each in waiting]
    return {
        "written": [
            # What is not acknowledged has no metadata here.
            [command["partition"], -1] if each is None else [each.partition, max(each.offset, -1)]
            for each in told
        ]
    }


def consumer(command: Command) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=command["broker"],
        auto_offset_reset="none",
        enable_auto_commit=False,
        isolation_level=f"read_{'' if command.get('committed') else 'un'}committed",
    )


async def read_all(command: Command) -> Answer:
    found = []
    async with consumer(command) as reader:
        asked = [TopicPartition(command["topic"], each) for each in command["partitions"]]
        reader.assign(asked)
        ends = await reader.end_offsets(asked)
        if command["from"] == "earliest":
            await reader.seek_to_beginning(*asked)
        else:
            for each in asked:
                reader.seek(each, command["from"])
                ends[each] = max(ends[each], command["from"] + 1)
        while [each for each in asked if await reader.position(each) < ends[each]]:
            polled = await reader.getmany(timeout_ms=WAIT_S * 1000)
            if not polled:
                raise Refused(-1, f"nothing came in {WAIT_S} s")
            for where, batch in polled.items():
                for each in batch:
                    record = Record(each.key, each.value, list(each.headers), each.timestamp)
                    found.append(read(where.partition, each.offset, record))
    return {"records": found}


async def offset(command: Command) -> Answer:
    where, at = TopicPartition(command["topic"], command["partition"]), command["at"]
    if at == "max_timestamp":
        raise Lacking("no look-up of the largest timestamp")
    async with consumer(command) as reader:
        if at == "earliest":
            return {"offset": (await reader.beginning_offsets([where]))[where]}
        if at == "latest":
            return {"offset": (await reader.end_offsets([where]))[where]}
        found = (await reader.offsets_for_times({where: at}))[where]
        return {"offset": -1 if found is None else found.offset}


async def create(command: Command) -> Answer:
    topic = NewTopic(command["topic"], command["partitions"], 1, topic_configs=command["configs"])
    async with admin(command) as client:
        told = await client.create_topics([topic])
    for _, code, text in told.topic_errors:
        checked(code, text)
    return {}


async def describe(command: Command) -> Answer:
    async with admin(command) as client:
        [topic] = await client.describe_topics([command["topic"]])
    checked(topic["error_code"])
    return {"partitions": sorted(each["partition"] for each in topic["partitions"])}


async def list_topics(command: Command) -> Answer:
    async with admin(command) as client:
        return {"topics": sorted(await client.list_topics())}


async def configs(command: Command) -> Answer:
    async with admin(command) as client:
        [told] = await client.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, command["topic"])]
        )
    [(code, text, _, _, entries)] = told.resources
    checked(code, text)
    return {"configs": {name: value for name, value, *_ in entries}}


async def replace(command: Command) -> Answer:
    resource = ConfigResource(
        ConfigResourceType.TOPIC, command["topic"], configs=command["configs"]
    )
    async with admin(command) as client:
        [told] = await client.alter_configs([resource])
    for code, text, *_ in told.resources:
        checked(code, text)
    return {}


async def add_partitions(command: Command) -> Answer:
    async with admin(command) as client:
        await client.create_partitions({command["topic"]: NewPartitions(command["total"])})
    return {}


async def delete_records(command: Command) -> Answer:
    where = TopicPartition(command["topic"], command["partition"])
    async with admin(command) as client:
        told: dict[Any, int] = await client.delete_records(
            {where: RecordsToDelete(before_offset=command["before"])}
        )
    return {"start": told[where]}


async def delete(command: Command) -> Answer:
    async with admin(command) as client:
        told = await client.delete_topics([command["topic"]])
    for _, code in told.topic_error_codes:
        checked(code)
    return {}


if __name__ == "__main__":
    verbs = {
        "version": version,
        "produce": produce,
        "read": read_all,
        "offset": offset,
        "create": create,
        "describe": describe,
        "list": list_topics,
        "configs": configs,
        "replace": replace,
        "add_partitions": add_partitions,
        "delete_records": delete_records,
        "delete": delete,
    }
    speak({name: awaited(verb) for name, verb in verbs.items()})
