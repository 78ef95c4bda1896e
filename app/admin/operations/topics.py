"""Topics as they are: listed, and described with what their replicas here know."""

from collections.abc import Sequence

from app import limits
from app.admin import authorize
from app.admin.commands.topics import (
    DescribeTopics,
    ListTopics,
    PartitionDescription,
    TopicDescription,
    TopicPage,
    TopicRef,
    TopicSummary,
)
from app.admin.parts import Parts
from app.admin.turns import Turns
from app.core import topic_names
from app.core.manifest.image import Image, Topic
from app.errors import InvalidRequest, StreamBusError
from app.model import Principal, TopicId
from app.security.ports import Resource


async def list_topics(parts: Parts, asker: Principal, command: ListTopics) -> TopicPage:
    if not 1 <= command.limit <= limits.ADMIN_PAGE_MAX:
        raise InvalidRequest(
            f"limit: from 1 to {limits.ADMIN_PAGE_MAX} topics a page, not {command.limit}"
        )
    image = parts.image
    turns = Turns()
    shown: list[TopicSummary] = []
    for name in parts.names.beginning_with(command.prefix.removesuffix("*"), image, command.after):
        await turns.took()
        is_internal = name in topic_names.INTERNAL
        if is_internal and not command.internal:
            continue
        if not authorize.may_describe(parts, asker, name):
            continue
        if len(shown) == command.limit:
            return TopicPage(tuple(shown), shown[-1].name)
        topic = image.topics_by_name[name]
        shown.append(
            TopicSummary(
                name, topic.topic_id, len(topic.partitions), topic.replication_factor, is_internal
            )
        )
    return TopicPage(tuple(shown))


async def describe_topics(
    parts: Parts, asker: Principal, command: DescribeTopics, topics: Sequence[TopicRef]
) -> list[TopicDescription | StreamBusError]:
    if command.partition_start < 0 or command.partition_limit < 0:
        raise InvalidRequest("partition_start and partition_limit: 0 or more")
    image = parts.image
    turns = Turns()
    return [await _describe(parts, asker, command, image, ref, turns) for ref in topics]


async def _describe(
    parts: Parts,
    asker: Principal,
    command: DescribeTopics,
    image: Image,
    ref: TopicRef,
    turns: Turns,
) -> TopicDescription | StreamBusError:
    topic = find(image, ref)
    if topic is None:
        return authorize.unknown(ref.name, ref.topic_id)
    first = command.partition_start
    after = min(first + command.partition_limit, len(topic.partitions))
    partitions: list[PartitionDescription] = []
    for number in range(first, after):
        partitions.append(_partition(parts, topic, number))
        await turns.took()
    return TopicDescription(
        topic.name,
        topic.topic_id,
        topic.name in topic_names.INTERNAL,
        len(topic.partitions),
        topic.replication_factor,
        tuple(partitions),
        authorize.allowed(parts, asker, Resource.TOPIC, topic.name) if command.operations else (),
    )


def find(image: Image, ref: TopicRef) -> Topic | None:
    if ref.topic_id:
        return image.topics_by_id.get(TopicId(ref.topic_id))
    return image.topics_by_name.get(ref.name)


def _partition(parts: Parts, topic: Topic, number: int) -> PartitionDescription:
    state = topic.partitions[number]
    replica = parts.replica(topic, number)
    if replica is None:
        return PartitionDescription(
            number, state.leader, state.leader_epoch, state.replicas, state.isr
        )
    return PartitionDescription(
        number,
        state.leader,
        state.leader_epoch,
        state.replicas,
        state.isr,
        replica.log_start,
        replica.high_watermark,
        replica.high_watermark,  # no transactions yet: everything committed is stable
        parts.registry.wal.bytes_of(replica.key),
        replica.role,
    )
