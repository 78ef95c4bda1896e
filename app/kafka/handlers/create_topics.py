"""CreateTopics, versions 2 to 7.

Behaviour: each topic is decided by itself by the controller; the reply comes when the manifest
has them durably and this broker leads them. `validate_only` decides and changes nothing.
Partitions and replicas of -1 are the broker's defaults (KIP-464); manual assignments as in Kafka.
From 5 the answer has partitions, replicas and all configs with their sources (KIP-525), if the
client may describe configs; from 7 the topic id.
Oddities: needs Create on the cluster or on the topic. The same name twice is INVALID_REQUEST, told
once; the same partition twice in a manual assignment is INVALID_REPLICA_ASSIGNMENT.
"""

from collections import Counter
from functools import partial
from typing import Any

from app.admin.commands.configs import ConfigEntry
from app.admin.commands.topics import CreatedTopic, CreateTopics
from app.admin.port import Failed
from app.admin.turns import Turns, aside
from app.core.manifest.decide import NewTopic
from app.errors import (
    InvalidReplicaAssignment,
    InvalidRequest,
    StreamBusError,
    TopicAuthorizationFailed,
)
from app.kafka.context import RequestContext
from app.kafka.handlers.describe_configs import shown
from app.kafka.items import ask_each, timeout_ms
from app.model import NO_TOPIC_ID
from streambus.protocol.messages import configs as message
from streambus.protocol.messages.configs import CREATE_FLEXIBLE_FROM, TopicMade

KEY = 19
VERSIONS = (2, 7)


async def handle(context: RequestContext, request: Any) -> bytes:
    asked = await context.aside(partial(_asked, request))
    answers = await ask_each(
        context,
        list(asked.values()),
        lambda topics: CreateTopics(topics, request.validate_only, timeout_ms(request)),
        lambda reply: reply.topics,
    )
    kept: dict[ConfigEntry, bytes] = {}  # topics have most of their configs in common
    encoded: list[bytes] = []
    turns = Turns()
    answers.reverse()
    for name in asked:
        answer = answers.pop()  # and forget it in the same turn: with its configs it is large
        if isinstance(answer, Failed):
            context.failed(answer.code)
            made = _refused(name, answer.code, answer.message)
        else:
            made = _created(context, answer, kept)
        encoded.append(message.created_topic(context.api_version, made))
        await turns.took(1 + len(made.entries or ()))
    return await aside(context.broker.world, len(encoded), partial(_frame, context, encoded))


def refuse(context: RequestContext, request: Any, code: int, text: str) -> bytes:
    names = dict.fromkeys(topic.name for topic in request.topics)
    return _frame(
        context,
        [message.created_topic(context.api_version, _refused(name, code, text)) for name in names],
    )


def encode(frame: bytes, correlation_id: int, version: int) -> bytes:
    return frame


def _asked(request: Any) -> dict[str, NewTopic | StreamBusError]:
    times = Counter(topic.name for topic in request.topics)
    return {topic.name: _new_topic(topic, times[topic.name]) for topic in request.topics}


def _new_topic(topic: Any, times: int) -> NewTopic | StreamBusError:
    if times > 1:
        return InvalidRequest("Duplicate topic name.")
    if len({each.partition_index for each in topic.assignments}) < len(topic.assignments):
        return InvalidReplicaAssignment(
            "The manual partition assignment names a partition more than once."
        )
    return NewTopic(
        name=topic.name,
        partitions=topic.num_partitions,
        replication_factor=topic.replication_factor,
        assignments={each.partition_index: tuple(each.broker_ids) for each in topic.assignments},
        configs={each.name: each.value for each in topic.configs},
    )


def _created(
    context: RequestContext, created: CreatedTopic, kept: dict[ConfigEntry, bytes]
) -> TopicMade:
    if created.configs is None:
        return TopicMade(
            created.name,
            created.topic_id,
            0,
            None,
            entries=None,
            config_error=TopicAuthorizationFailed.code,
        )
    entries = []
    if context.api_version >= CREATE_FLEXIBLE_FROM:
        for entry in created.configs:
            encoded = kept.get(entry)
            if encoded is None:
                encoded = kept[entry] = message.created_entry(shown(entry))
            entries.append(encoded)
    return TopicMade(
        created.name,
        created.topic_id,
        0,
        None,
        created.partitions,
        created.replication_factor,
        entries,
    )


def _refused(name: str, code: int, text: str) -> TopicMade:
    return TopicMade(name, NO_TOPIC_ID, code, text)


def _frame(context: RequestContext, topics: list[bytes]) -> bytes:
    return message.encode_created(
        context.correlation_id, context.api_version, context.throttle_ms, topics
    )
