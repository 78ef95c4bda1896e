"""Metadata, versions 0 to 13.

Behaviour: all topics, or those named, or from 12 those with the given ids. A topic that is not
there is created with the broker's defaults if the broker is configured so, the client allows it
(always before 4) and may create it; the answer then already shows it. Otherwise
UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, or INVALID_TOPIC_EXCEPTION for a name that no topic
can have. Operations that the client is authorised to are told if it asks (topics from 8, the
cluster's from 8 to 10), also for a name that no topic has.
Oddities: in version 0 an empty list means all topics, later null does. A topic asked for twice is
told once. The broker's own topics are never made by asking for them. Topics that the client may
not describe are left out of 'all', and TOPIC_AUTHORIZATION_FAILED, existing or not, when named.
A client that came in by a listener is told the brokers' endpoints of that listener's name; a broker
without one is left out, and what it leads is answered LISTENER_NOT_FOUND (before 6
LEADER_NOT_AVAILABLE). Answers for all topics or one are kept encoded until the image changes.
"""

import asyncio
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

from app import limits
from app.admin.authorize import CLUSTER_OPERATIONS, TOPIC_OPERATIONS
from app.admin.turns import Turns, aside
from app.core import topic_names
from app.core.manifest.image import Image, Topic
from app.errors import (
    InvalidRequest,
    LeaderNotAvailable,
    ListenerNotFound,
    StreamBusError,
    TopicAuthorizationFailed,
    UnknownTopicId,
    UnknownTopicOrPartition,
)
from app.kafka.context import RequestContext, nodes
from app.kafka.router import code_of
from app.model import NO_TOPIC_ID, BrokerId, TopicId
from app.security.ports import CLUSTER_NAME, Operation, Resource
from streambus.protocol.messages import metadata as message
from streambus.protocol.messages.metadata import PartitionShown, TopicShown
from streambus.protocol.wire import NodeEndpoint

KEY = 3
VERSIONS = (0, 13)
NULL_MEANS_ALL_FROM = 1
IDS_FROM = 12
LISTENER_NOT_FOUND_FROM = 6

Asked = tuple[str | None, TopicId]
"""(name, id): one of them says which topic, the other is null or zero."""


async def handle(context: RequestContext, request: Any) -> bytes:
    asked = await context.aside(partial(_asked, context, request))
    key = _key(context, request, asked)
    if asked is None:
        return await _all_topics(context, request, key)
    if key is not None and (frame := _kept(context, key)) is not None:
        return frame
    verdicts = context.broker.authorizer.generation
    turns, found = Turns(), []
    for name, topic_id in asked:
        found.append(await _find(context, request, name, topic_id))
        if turns.is_over():
            await asyncio.sleep(0)
    # One image for the whole answer: the newest, which has what was just created.
    image = context.broker.controller.image
    reached = nodes(image, context.listener)
    topics = []
    for (name, topic_id), error in zip(asked, found, strict=True):
        known = _look_up(image, name, topic_id)
        if error == 0 and known is not None:
            topics.append(await _show(context, request, known, image, reached))
            spent = len(known.partitions)
        else:
            missing = UnknownTopicOrPartition if name is not None else UnknownTopicId
            code = error or missing.code
            operations = message.NO_OPERATIONS
            if name is not None and code != TopicAuthorizationFailed.code:
                operations = _topic_operations(context, request, name)
            topics.append(_refused(context, code, name, topic_id, operations))
            context.failed(code)
            key = None  # it may exist the next moment, and names would fill the cache
            spent = 1
        if turns.is_over(spent):
            await asyncio.sleep(0)
    frame = await _encode(context, request, image, reached, topics)
    if key is not None:
        context.broker.metadata.keep(key, frame, image, verdicts)
    return frame


async def _all_topics(context: RequestContext, request: Any, key: Hashable | None) -> bytes:
    """In turns, and once: who asks for the same meanwhile waits for the answer to be kept."""
    cache = context.broker.metadata
    while key is not None:
        if (frame := _kept(context, key)) is not None:
            return frame
        if key not in cache.making:
            break
        await cache.making[key].wait()
    made = asyncio.Event()
    if key is not None:
        cache.making[key] = made
    try:
        image, verdicts = context.broker.controller.image, context.broker.authorizer.generation
        reached = nodes(image, context.listener)
        turns = Turns()
        topics = []
        for topic in image.topics_by_name.values():
            if context.allows(Operation.DESCRIBE, Resource.TOPIC, topic.name):
                topics.append(await _show(context, request, topic, image, reached))
            await turns.took(1 + len(topic.partitions))
        frame = await _encode(context, request, image, reached, topics)
        if key is not None:
            cache.keep(key, frame, image, verdicts)
        return frame
    finally:
        if key is not None:
            del cache.making[key]
        made.set()


def _kept(context: RequestContext, key: Hashable) -> bytes | None:
    return context.broker.metadata.find(
        key,
        context.correlation_id,
        context.broker.controller.image,
        context.broker.authorizer.generation,
    )


def refuse(context: RequestContext, request: Any, code: int, text: str) -> bytes:
    asked = _asked_or_nothing(context, request)
    topics = [_refused(context, code, name, topic_id) for name, topic_id in asked]
    response = message.Response((), None, -1, topics, context.throttle_ms, error=code)
    return message.encode_response(context.correlation_id, context.api_version, response)


def encode(frame: bytes, correlation_id: int, version: int) -> bytes:
    return frame


def _asked(context: RequestContext, request: Any) -> list[Asked] | None:
    """None: all topics."""
    version, topics = context.api_version, request.topics
    if topics is None or (not topics and version < NULL_MEANS_ALL_FROM):
        return None
    asked: list[Asked] = []
    for each in topics:
        topic_id = getattr(each, "topic_id", None)
        if each.name is None and version < IDS_FROM:
            raise InvalidRequest("Topic name can not be null for version 10 and 11.")
        if topic_id is not None and version < IDS_FROM:
            raise InvalidRequest("Topic ids are not supported in version 10 and 11.")
        # Where both stand the id says which topic: names may be used again.
        if topic_id is not None:
            asked.append((None, TopicId(topic_id.bytes)))
        else:
            asked.append((each.name or "", NO_TOPIC_ID))
    return list(dict.fromkeys(asked))  # asked twice, told once


def _asked_or_nothing(context: RequestContext, request: Any) -> list[Asked]:
    try:
        return _asked(context, request) or []
    except InvalidRequest:
        return [
            (each.name or "", TopicId(each.topic_id.bytes) if each.topic_id else NO_TOPIC_ID)
            for each in request.topics
        ]


def _key(context: RequestContext, request: Any, asked: list[Asked] | None) -> Hashable | None:
    """What makes one answer differ from another, for answers worth keeping."""
    if context.throttle_ms or (asked is not None and len(asked) != 1):
        return None
    return (
        None if asked is None else asked[0],
        context.api_version,
        context.principal,
        context.listener,
        getattr(request, "include_topic_authorized_operations", False),
        getattr(request, "include_cluster_authorized_operations", False),
    )


def _look_up(image: Image, name: str | None, topic_id: TopicId) -> Topic | None:
    return image.topics_by_id.get(topic_id) if name is None else image.topics_by_name.get(name)


async def _find(context: RequestContext, request: Any, name: str | None, topic_id: TopicId) -> int:
    """0 if the topic is there for this client (perhaps only now), or the error that it gets."""
    topic = _look_up(context.broker.controller.image, name, topic_id)
    if name is None:
        if topic is None:
            return UnknownTopicId.code
        name = topic.name
    if not context.allows(Operation.DESCRIBE, Resource.TOPIC, name):
        return TopicAuthorizationFailed.code
    if topic is not None:
        return 0
    may_create = getattr(request, "allow_auto_topic_creation", True)
    if name in topic_names.INTERNAL or not (
        may_create and context.broker.settings.auto_create_topics
    ):
        return _missing(name)
    if not (
        context.allows(Operation.CREATE, Resource.CLUSTER, CLUSTER_NAME)
        or context.allows(Operation.CREATE, Resource.TOPIC, name)
    ):
        return TopicAuthorizationFailed.code
    try:
        await context.broker.controller.ensure_topic(name)
    except StreamBusError as error:
        return code_of(error)
    return 0


def _missing(name: str) -> int:
    try:
        topic_names.check(name)
    except StreamBusError as error:
        return code_of(error)
    return UnknownTopicOrPartition.code


def _refused(
    context: RequestContext,
    code: int,
    name: str | None,
    topic_id: TopicId,
    operations: int = message.NO_OPERATIONS,
) -> bytes:
    shown = TopicShown(code, name, topic_id, operations=operations)
    return message.encode_topic(shown, context.api_version)


async def _show(
    context: RequestContext,
    request: Any,
    topic: Topic,
    image: Image,
    reached: Mapping[int, NodeEndpoint],
) -> bytes:
    operations = _topic_operations(context, request, topic.name)
    count = len(topic.partitions)
    if count <= limits.ADMIN_ITEMS_PER_TURN:
        return _shown(context, topic, operations, image, reached)
    job = partial(_shown, context, topic, operations, image, reached)
    return await aside(context.broker.world, count, job)


def _shown(
    context: RequestContext,
    topic: Topic,
    operations: int,
    image: Image,
    reached: Mapping[int, NodeEndpoint],
) -> bytes:
    partitions = [
        PartitionShown(
            0 if state.leader in reached else _unreached(context, image, state.leader),
            number,
            state.leader if state.leader in reached else -1,
            state.leader_epoch,
            state.replicas,
            state.isr,
            tuple([each for each in state.replicas if each not in reached]),
        )
        for number, state in enumerate(topic.partitions)
    ]
    shown = TopicShown(
        0,
        topic.name,
        topic.topic_id,
        topic.name in topic_names.INTERNAL,
        partitions,
        operations,
    )
    return message.encode_topic(shown, context.api_version)


def unreached(image: Image, leader: int) -> int:
    """A leader that is there, without this client's listener, is most likely misconfigured."""
    is_there = BrokerId(leader) in image.brokers
    return ListenerNotFound.code if is_there else LeaderNotAvailable.code


def _unreached(context: RequestContext, image: Image, leader: BrokerId) -> int:
    if context.api_version < LISTENER_NOT_FOUND_FROM:
        return LeaderNotAvailable.code
    return unreached(image, leader)


def _topic_operations(context: RequestContext, request: Any, name: str) -> int:
    if not getattr(request, "include_topic_authorized_operations", False):
        return message.NO_OPERATIONS
    return allowed_operations(context, TOPIC_OPERATIONS, Resource.TOPIC, name)


def allowed_operations(
    context: RequestContext, operations: tuple[Operation, ...], resource: Resource, name: str
) -> int:
    return sum(1 << each for each in operations if context.allows(each, resource, name))


async def _encode(
    context: RequestContext,
    request: Any,
    image: Image,
    reached: Mapping[int, NodeEndpoint],
    topics: list[bytes],
) -> bytes:
    cluster = message.NO_OPERATIONS
    if getattr(request, "include_cluster_authorized_operations", False):
        cluster = 0
        if context.allows(Operation.DESCRIBE, Resource.CLUSTER, CLUSTER_NAME):
            cluster = allowed_operations(
                context, CLUSTER_OPERATIONS, Resource.CLUSTER, CLUSTER_NAME
            )
    response = message.Response(
        tuple(reached.values()),
        image.cluster_id,
        image.controller_id if image.controller_id in reached else -1,
        topics,
        context.throttle_ms,
        cluster,
    )
    encode = partial(message.encode_response, context.correlation_id, context.api_version, response)
    return await aside(context.broker.world, len(topics), encode)
