"""DescribeQuorum, versions 0 to 2.

Behaviour: who votes on the manifest's log and how far each is, under the name that Kafka's tools
ask for: topic `__cluster_metadata`, partition 0. From 1 with the times of the last fetch, from 2
with the voters' endpoints (those that this listener's clients reach).
Oddities: needs Describe on the cluster. Anything but that one partition is
UNKNOWN_TOPIC_OR_PARTITION for every partition of the request, as in Kafka. Voters have no directory
ids.
"""

from functools import partial
from typing import Any

from app.admin.commands.cluster import DescribeQuorum, QuorumDescription, VoterDescription
from app.errors import UnknownTopicOrPartition
from app.kafka.context import RequestContext, nodes

KEY = 55
VERSIONS = (0, 2)
TOPIC = "__cluster_metadata"


async def handle(context: RequestContext, request: Any) -> Any:
    described: QuorumDescription = await context.broker.admin.ask(
        context.principal, DescribeQuorum()
    )
    if not _is_known(request):
        return await context.aside(partial(_unknown, context, request))
    partition = context.shape(
        "PartitionData",
        partition_index=0,
        error_code=context.error(0),
        error_message=None,
        leader_id=described.leader_id,
        leader_epoch=described.leader_epoch,
        high_watermark=described.high_watermark,
        current_voters=_states(context, described.voters),
        observers=_states(context, described.observers),
    )
    topic = context.shape("TopicData", topic_name=TOPIC, partitions=(partition,))
    return _response(context, topics=(topic,), nodes=_nodes(context, described))


def refuse(context: RequestContext, request: Any, code: int, message: str) -> Any:
    return _response(context, code=code, message=message)


def _is_known(request: Any) -> bool:
    """Whether the one partition that there is was asked for, and nothing else."""
    if len(request.topics) != 1:
        return False
    (topic,) = request.topics
    return topic.topic_name == TOPIC and [each.partition_index for each in topic.partitions] == [0]


def _unknown(context: RequestContext, request: Any) -> Any:
    def partition(index: int) -> Any:
        return context.shape(
            "PartitionData",
            partition_index=index,
            error_code=context.error(UnknownTopicOrPartition.code),
            error_message="This server does not host this topic-partition.",
            leader_id=0,
            leader_epoch=0,
            high_watermark=0,
            current_voters=(),
            observers=(),
        )

    topics = tuple(
        context.shape(
            "TopicData",
            topic_name=topic.topic_name,
            partitions=tuple(partition(each.partition_index) for each in topic.partitions),
        )
        for topic in request.topics
    )
    return _response(context, topics=topics)


def _states(context: RequestContext, members: tuple[VoterDescription, ...]) -> tuple[Any, ...]:
    return tuple(
        context.shape(
            "ReplicaState",
            replica_id=each.broker_id,
            replica_directory_id=None,
            log_end_offset=each.log_end,
            last_fetch_timestamp=each.last_fetch_ms,
            last_caught_up_timestamp=each.last_caught_up_ms,
        )
        for each in members
    )


def _nodes(context: RequestContext, described: QuorumDescription) -> tuple[Any, ...]:
    if context.api_version < 2:
        return ()
    reached = nodes(context.broker.controller.image, context.listener)
    shown = []
    for voter in described.voters:
        if voter.broker_id in reached:
            _, host, port, _ = reached[voter.broker_id]
            # Kafka's client takes none that is not in capitals.
            name = context.listener.upper()
            listener = context.shape("Listener", name=name, host=host, port=port)
            shown.append(context.shape("Node", node_id=voter.broker_id, listeners=(listener,)))
    return tuple(shown)


def _response(
    context: RequestContext,
    *,
    code: int = 0,
    message: str | None = None,
    topics: tuple[Any, ...] = (),
    nodes: tuple[Any, ...] = (),
) -> Any:
    return context.shape(
        "DescribeQuorumResponse",
        error_code=context.error(code),
        error_message=message,
        topics=topics,
        nodes=nodes,
    )
