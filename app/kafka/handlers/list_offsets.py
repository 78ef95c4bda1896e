"""ListOffsets, versions 1 to 11.

Behaviour: by timestamp the first record at or after it, found record by record; by name -1 latest,
-2 earliest, -3 record with the largest timestamp (from 7, KIP-734), -4 earliest local (from 8), -5
latest tiered (from 9), -6 earliest pending upload (from 11). Leader epochs are checked from 4.
Oddities: a name that the version does not know is UNSUPPORTED_VERSION for that partition; the same
partition twice is INVALID_REQUEST, told once, as in Kafka. Nothing is tiered yet: -5 and -6 give
no offset.
"""

import asyncio
from collections import Counter
from functools import partial

from app.admin.turns import Turns
from app.errors import (
    InvalidRequest,
    StreamBusError,
    TopicAuthorizationFailed,
    UnknownTopicOrPartition,
    UnsupportedVersion,
)
from app.kafka.context import RequestContext
from app.kafka.router import code_of
from app.partitions import lookup
from app.partitions.lookup import Located
from app.security.ports import Operation, Resource
from streambus.protocol.messages import list_offsets as message

KEY = 2
VERSIONS = (1, 11)

# The first version that knows each name.
_KNOWN_FROM = {
    lookup.LATEST: 1,
    lookup.EARLIEST: 1,
    lookup.MAX_TIMESTAMP: 7,
    lookup.EARLIEST_LOCAL: 8,
    lookup.LATEST_TIERED: 9,
    lookup.EARLIEST_PENDING: 11,
}

Answer = list[tuple[bytes, list[message.PartitionAnswer]]]


def decode(key: int, version: int, view: memoryview, position: int, end: int) -> message.Request:
    return message.decode_request(view, position, end, version)


async def handle(context: RequestContext, request: message.Request) -> tuple[Answer, int]:
    asked_times = await context.aside(partial(_counted, request))
    turns = Turns()
    refused: set[tuple[bytes, int]] = set()
    topics: Answer = []
    for name, partitions in request.topics:
        allowed = context.allows(
            Operation.DESCRIBE, Resource.TOPIC, name.decode("utf-8", "replace")
        )
        answers = []
        if turns.is_over():
            await asyncio.sleep(0)
        for partition, leader_epoch, timestamp in partitions:
            if turns.is_over():
                await asyncio.sleep(0)
            if not allowed:
                located = Located(TopicAuthorizationFailed.code)
            elif asked_times[name, partition] > 1:
                if (name, partition) in refused:
                    continue
                refused.add((name, partition))
                located = Located(InvalidRequest.code)
            else:
                located = await _locate(
                    context, name, partition, leader_epoch, timestamp, request.isolation
                )
            answers.append((partition, *located))
            if located.error:
                context.failed(located.error)
        if answers:
            topics.append((name, answers))
    return topics, context.throttle_ms


def refuse(
    context: RequestContext, request: message.Request, code: int, text: str
) -> tuple[Answer, int]:
    topics: Answer = [
        (name, [(partition, *Located(code)) for partition, _, _ in partitions])
        for name, partitions in request.topics
    ]
    return topics, context.throttle_ms


def encode(answer: tuple[Answer, int], correlation_id: int, version: int) -> bytes:
    topics, throttle_ms = answer
    return message.encode_response(correlation_id, version, topics, throttle_ms)


def _counted(request: message.Request) -> Counter[tuple[bytes, int]]:
    return Counter(
        (name, partition) for name, partitions in request.topics for partition, _, _ in partitions
    )


async def _locate(
    context: RequestContext,
    name: bytes,
    partition: int,
    leader_epoch: int,
    timestamp: int,
    isolation: int,
) -> Located:
    if timestamp < 0 and context.api_version < _KNOWN_FROM.get(timestamp, 1 << 16):
        return Located(UnsupportedVersion.code)
    replica = context.broker.replica(name, partition)
    if replica is None:
        return Located(UnknownTopicOrPartition.code)
    try:
        return await lookup.list_offsets(replica, timestamp, isolation, leader_epoch)
    except StreamBusError as error:
        return Located(code_of(error))
