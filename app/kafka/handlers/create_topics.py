"""CreateTopics, versions 2 to 7.

Behaviour: each topic is decided by itself by the controller; the reply comes when the manifest
has them durably and this broker leads them. `validate_only` decides and changes nothing.
Partitions and replicas of -1 are the broker's defaults (KIP-464); manual assignments as in Kafka.
From 5 the answer has partitions, replicas and all configs with their sources (KIP-525), if the
client may describe configs; from 7 the topic id.
Oddities: needs Create on the cluster or on the topic. The same name twice is INVALID_REQUEST, told
once; the same partition twice in a manual assignment is INVALID_REPLICA_ASSIGNMENT.
"""

from typing import Any
from uuid import UUID

from app.core import topic_config
from app.core.manifest.decide import NewTopic
from app.errors import InvalidReplicaAssignment, StreamBusError, TopicAuthorizationFailed
from app.kafka.context import RequestContext
from app.kafka.router import code_of, message_of
from app.model import NO_TOPIC_ID
from app.raft.controller import CreatedTopic
from app.security.ports import CLUSTER_NAME, Operation, Resource

KEY = 19
VERSIONS = (2, 7)

# Sources as DescribeConfigs numbers them (`DescribeConfigsResponse.ConfigSource`).
_SET_ON_TOPIC, _DEFAULT = 1, 5


async def handle(context: RequestContext, request: Any) -> Any:
    whole_cluster = context.allows(Operation.CREATE, Resource.CLUSTER, CLUSTER_NAME)
    answers: dict[int, CreatedTopic | StreamBusError] = {}
    wanted: list[tuple[int, NewTopic]] = []
    for position, topic in enumerate(request.topics):
        if not (whole_cluster or context.allows(Operation.CREATE, Resource.TOPIC, topic.name)):
            answers[position] = TopicAuthorizationFailed("Authorization failed.")
        elif len({each.partition_index for each in topic.assignments}) < len(topic.assignments):
            answers[position] = InvalidReplicaAssignment(
                "The manual partition assignment names a partition more than once."
            )
        else:
            wanted.append((position, _new_topic(topic)))
    if wanted:
        decided = await context.broker.controller.create_topics(
            [topic for _, topic in wanted],
            validate_only=request.validate_only,
            timeout_ms=int(request.timeout.total_seconds() * 1000),
        )
        answers |= {position: answer for (position, _), answer in zip(wanted, decided, strict=True)}
    told = {topic.name: answers[position] for position, topic in enumerate(request.topics)}
    return context.shape(
        "CreateTopicsResponse",
        throttle_time=context.throttle,
        topics=tuple(_answer(context, name, answer) for name, answer in told.items()),
    )


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    return context.shape(
        "CreateTopicsResponse",
        throttle_time=context.throttle,
        topics=tuple(_refused(context, topic.name, code, message) for topic in request.topics),
    )


def _new_topic(topic: Any) -> NewTopic:
    return NewTopic(
        name=topic.name,
        partitions=topic.num_partitions,
        replication_factor=topic.replication_factor,
        assignments={each.partition_index: tuple(each.broker_ids) for each in topic.assignments},
        configs={each.name: each.value for each in topic.configs},
    )


def _answer(context: RequestContext, name: str, answer: CreatedTopic | StreamBusError) -> Any:
    if isinstance(answer, StreamBusError):
        return _refused(context, name, code_of(answer), message_of(answer))
    return _created(context, answer)


def _created(context: RequestContext, created: CreatedTopic) -> Any:
    describes = context.allows(Operation.DESCRIBE_CONFIGS, Resource.TOPIC, created.name)
    values = {
        "name": created.name,
        "topic_id": None
        if created.topic_id == NO_TOPIC_ID  # only validated
        else UUID(bytes=created.topic_id),
        "error_code": context.error(0),
        "error_message": None,
    }
    if not describes:
        return context.shape(
            "CreatableTopicResult",
            topic_config_error_code=TopicAuthorizationFailed.code,
            configs=None,
            **values,
        )
    return context.shape(
        "CreatableTopicResult",
        num_partitions=created.partitions,
        replication_factor=created.replication,
        configs=_configs(context, created) if context.api_version >= 5 else None,
        **values,
    )


def _configs(context: RequestContext, created: CreatedTopic) -> tuple[Any, ...]:
    given = created.configs
    return tuple(
        context.shape(
            "CreatableTopicConfigs",
            name=option.name,
            value=given.get(option.name, option.default),
            read_only=False,
            config_source=_SET_ON_TOPIC if option.name in given else _DEFAULT,
            is_sensitive=False,
        )
        for option in topic_config.TABLE
    )


def _refused(context: RequestContext, name: str, code: int, message: str) -> Any:
    return context.shape(
        "CreatableTopicResult",
        name=name,
        topic_id=None,
        error_code=context.error(code),
        error_message=message,
        configs=(),
    )
