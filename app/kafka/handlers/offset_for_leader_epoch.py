"""OffsetForLeaderEpoch, versions 2 to 4.

Behaviour: where a leader epoch ended in this log (KIP-101, KIP-279), after the epoch that the
client believes current was checked (KIP-320). A consumer compares the answer with its position.
Oddities: needs Describe on the topic, as in Kafka since 2.3, so consumers may ask. An epoch that
this log has never seen is answered with -1 and -1.
"""

from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import Any

from app.admin.turns import Turns
from app.errors import TopicAuthorizationFailed, UnknownTopicOrPartition
from app.kafka.context import RequestContext
from app.partitions.lookup import EpochEnd, end_of_epoch
from app.security.ports import Operation, Resource

KEY = 23
VERSIONS = (2, 4)


async def handle(context: RequestContext, request: Any) -> Any:
    turns, ends = Turns(), []
    for topic in request.topics:
        await turns.took()
        for asked in topic.partitions:
            ends.append(_answer(context, topic.topic, asked))
            await turns.took()
    return await context.aside(partial(_response, context, request, iter(ends)))


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    return _response(context, request, repeat(EpochEnd(code)))


def _answer(context: RequestContext, topic: str, asked: Any) -> EpochEnd:
    if not context.allows(Operation.DESCRIBE, Resource.TOPIC, topic):
        return EpochEnd(TopicAuthorizationFailed.code)
    replica = context.broker.replica(topic.encode(), asked.partition)
    if replica is None:
        return EpochEnd(UnknownTopicOrPartition.code)
    return end_of_epoch(replica, asked.leader_epoch, asked.current_leader_epoch)


def _response(context: RequestContext, request: Any, ends: Iterator[EpochEnd]) -> Any:
    topics = []
    for topic in request.topics:
        partitions = []
        for asked in topic.partitions:
            end = next(ends)
            partitions.append(
                context.shape(
                    "EpochEndOffset",
                    error_code=context.error(end.error),
                    partition=asked.partition,
                    leader_epoch=end.leader_epoch,
                    end_offset=end.end_offset,
                )
            )
        topics.append(
            context.shape(
                "OffsetForLeaderTopicResult", topic=topic.topic, partitions=tuple(partitions)
            )
        )
    return context.shape(
        "OffsetForLeaderEpochResponse", throttle_time=context.throttle, topics=tuple(topics)
    )
