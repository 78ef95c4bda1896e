"""The cluster as it is: brokers, quorum, and where this broker's bytes are."""

from collections.abc import Mapping, Sequence
from functools import partial

from app.admin import authorize
from app.admin.commands.cluster import (
    BrokerDescription,
    ClusterDescription,
    DescribeCluster,
    DescribeLogDirectories,
    DescribeQuorum,
    EndpointDescription,
    LogDirectories,
    LogDirectory,
    QuorumDescription,
    ReplicaBytes,
    VoterDescription,
)
from app.admin.parts import Parts
from app.admin.port import Failed
from app.admin.turns import Turns
from app.core.manifest.image import Broker, Image, Topic
from app.core.manifest.manifest import LEVEL_NAME
from app.errors import StorageFailed
from app.model import Principal
from app.security.ports import CLUSTER_NAME, Resource
from streambus import __version__


async def describe_cluster(
    parts: Parts, asker: Principal, command: DescribeCluster
) -> ClusterDescription:
    image = parts.image
    describes = authorize.may_describe_cluster(parts, asker)
    operations: tuple[int, ...] = ()
    topics = partitions = -1
    if describes:
        topics = len(image.topics_by_id)
        partitions = sum([len(topic.partitions) for topic in image.topics_by_id.values()])
        if command.operations:
            operations = authorize.allowed(parts, asker, Resource.CLUSTER, CLUSTER_NAME)
    return ClusterDescription(
        image.cluster_id,
        image.controller_id,
        tuple([_broker(image.brokers[each]) for each in sorted(image.brokers)]),
        topics,
        partitions,
        image.features.get(LEVEL_NAME, 0),
        __version__,
        operations,
    )


def _broker(broker: Broker) -> BrokerDescription:
    endpoints = tuple(
        [EndpointDescription(each.name, each.host, each.port) for each in broker.endpoints]
    )
    return BrokerDescription(broker.id, broker.rack, broker.incarnation, endpoints)


async def describe_quorum(
    parts: Parts, asker: Principal, command: DescribeQuorum
) -> QuorumDescription:
    """A broker alone is the whole quorum: what it has applied is committed."""
    image = parts.image
    end = image.index + 1
    now_ms = parts.world.clock.now_ms()
    voters = (VoterDescription(parts.broker_id, end, now_ms, now_ms),)
    return QuorumDescription(image.controller_id, parts.controller.term, end, voters)


async def describe_log_directories(
    parts: Parts, asker: Principal, command: DescribeLogDirectories
) -> LogDirectories:
    directory = parts.directory
    try:
        lane = parts.world.lane("reader")
        total, usable = await lane.run(partial(parts.world.files.space, directory))
    except OSError:
        total = usable = -1  # the directory is described all the same
    image, turns = parts.image, Turns()
    replicas: list[ReplicaBytes] = []
    for topic, numbers in _asked(image, command):
        for number in numbers:
            replica = parts.replica(topic, number)
            if replica is not None:
                held = parts.registry.wal.bytes_of(replica.key)
                lag = max(replica.high_watermark - replica.log.end, 0)
                replicas.append(ReplicaBytes(topic.name, topic.topic_id, number, held, lag))
            await turns.took()
    failure = parts.registry.failure
    failed = None if failure is None else Failed.of(StorageFailed(str(failure)))
    return LogDirectories((LogDirectory(directory, total, usable, tuple(replicas), failed),))


def _asked(image: Image, command: DescribeLogDirectories) -> list[tuple[Topic, Sequence[int]]]:
    """What is not there is left out, as in Kafka."""
    known: Mapping[str, Topic] = image.topics_by_name
    if command.topics is None:
        return [(topic, range(len(topic.partitions))) for topic in known.values()]
    return [(known[name], numbers) for name, numbers in command.topics if name in known]
