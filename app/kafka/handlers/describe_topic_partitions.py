"""DescribeTopicPartitions, version 0 (KIP-966).

Behaviour: topics by name, or all, in the order of their names, cut after the number of partitions
that the client asked for (2,000 at most, one at least); a cursor then says where the next request
goes on. With the operations that the client is allowed on each topic.
Oddities: topics that the client may not describe are left out of 'all'. A cursor must name one of
the topics asked for, and no negative partition (INVALID_REQUEST). Eligible leader replicas are
never any. Leaders that this listener's clients do not reach are told as Metadata tells them.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from app import limits
from app.admin.authorize import TOPIC_OPERATIONS
from app.admin.commands.topics import DescribeTopics, ListTopics, TopicDescription, TopicRef
from app.admin.port import Failed
from app.admin.turns import Turns
from app.errors import InvalidRequest, TopicAuthorizationFailed
from app.kafka.context import RequestContext, nodes
from app.kafka.handlers.metadata import allowed_operations, unreached
from app.kafka.items import of_topic
from app.model import NO_TOPIC_ID
from app.security.ports import Resource
from streambus.protocol.messages import replicas as message
from streambus.protocol.messages.metadata import NO_OPERATIONS, PartitionShown, TopicShown

KEY = 75
VERSIONS = (0, 0)


async def handle(context: RequestContext, request: Any) -> bytes:
    cursor = request.cursor
    names = await context.aside(partial(_names, request))
    if cursor is not None:
        if names and cursor.topic_name not in names:
            raise InvalidRequest(
                "DescribeTopicPartitionsRequest topic list should contain the cursor topic: "
                f"{cursor.topic_name}"
            )
        if cursor.partition_index < 0:
            raise InvalidRequest(
                f"DescribeTopicPartitionsRequest cursor partition must be valid: "
                f"{cursor.partition_index}"
            )
    left = max(min(limits.DESCRIBED_PARTITIONS_MAX, request.response_partition_limit), 1)
    encoded: list[bytes] = []
    turns = Turns()
    async for name, start in _asked(context, names, cursor):
        if left == 0:
            return _frame(context, encoded, name, start)
        described = await _describe(context, name, start, left)
        if isinstance(described, Failed):
            await turns.took()
            if names:
                context.failed(described.code)
                operations = NO_OPERATIONS
                if described.code != TopicAuthorizationFailed.code:
                    operations = allowed_operations(context, TOPIC_OPERATIONS, Resource.TOPIC, name)
                encoded.append(_refused(name, described.code, operations))
            continue
        encoded.append(message.topic_partitions(_shown(context, described)))
        count = len(described.partitions)
        await turns.took(1 + count)
        left -= count
        if start + count < described.partition_count and count:
            return _frame(context, encoded, name, start + count)
    return await context.aside(partial(_frame, context, encoded))


def refuse(context: RequestContext, request: Any, code: int, text: str) -> bytes:
    names = dict.fromkeys(topic.name for topic in request.topics)
    return _frame(context, [_refused(name, code) for name in names])


def encode(frame: bytes, correlation_id: int, version: int) -> bytes:
    return frame


def _names(request: Any) -> dict[str, None]:
    """In order, each once."""
    return dict.fromkeys(sorted([topic.name for topic in request.topics]))


async def _asked(
    context: RequestContext, names: dict[str, None], cursor: Any
) -> AsyncIterator[tuple[str, int]]:
    """(topic, first partition) of what is to be told, in order."""
    first = "" if cursor is None else cursor.topic_name
    if names:
        for name in names:
            if name >= first:
                yield name, cursor.partition_index if name == first and cursor is not None else 0
        return
    if cursor is not None:
        yield first, cursor.partition_index
    while True:
        page = await context.broker.admin.ask(
            context.principal, ListTopics(after=first, internal=True)
        )
        for topic in page.topics:
            yield topic.name, 0
        if not page.next:
            return
        first = page.next


async def _describe(
    context: RequestContext, name: str, start: int, count: int
) -> TopicDescription | Failed:
    reply = await context.broker.admin.ask(
        context.principal, DescribeTopics((TopicRef(name),), start, count, operations=True)
    )
    described: TopicDescription | Failed = of_topic(reply.topics[0], name)
    return described


def _shown(context: RequestContext, topic: TopicDescription) -> TopicShown:
    image = context.broker.controller.image
    reached = nodes(image, context.listener)
    partitions = [
        PartitionShown(
            0 if each.leader in reached else unreached(image, each.leader),
            each.partition,
            each.leader if each.leader in reached else -1,
            each.leader_epoch,
            each.replicas,
            each.isr,
            tuple([replica for replica in each.replicas if replica not in reached]),
        )
        for each in topic.partitions
    ]
    operations = sum(1 << each for each in topic.operations)
    return TopicShown(0, topic.name, topic.topic_id, topic.internal, partitions, operations)


def _refused(name: str, code: int, operations: int = NO_OPERATIONS) -> bytes:
    return message.topic_partitions(TopicShown(code, name, NO_TOPIC_ID, operations=operations))


def _frame(
    context: RequestContext,
    topics: list[bytes],
    next_topic: str | None = None,
    next_partition: int = 0,
) -> bytes:
    return message.encode_topic_partitions(
        context.correlation_id, context.throttle_ms, topics, next_topic, next_partition
    )
