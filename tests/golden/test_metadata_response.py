"""Our hand-coded MetadataResponse against an independent codec, every version."""

from typing import Any
from uuid import UUID

import pytest

from streambus.protocol.messages.metadata import (
    NO_OPERATIONS,
    PartitionShown,
    Response,
    TopicShown,
    encode_response,
    encode_topic,
)
from tests.golden.generate_messages import filled, message_class

IDS = (UUID(int=0x1234 << 64 | 7), UUID(int=0))


def ours() -> Response:
    return Response(
        brokers=[(1, "127.0.0.1", 9092, None), (2, "broker-2.example", 9093, "rack-1")],
        cluster_id="cluster",
        controller_id=1,
        throttle_ms=17,
        cluster_operations=264,
        error=0,
        topics=[],
    )


TOPICS = [
    TopicShown(
        0,
        "orders",
        IDS[0].bytes,
        False,
        [
            PartitionShown(0, 0, 1, 4, (1, 2), (1,), (2,)),
            PartitionShown(5, 1, -1, 9, (2, 1), ()),
        ],
        3576,
    ),
    TopicShown(3, "nowhere", IDS[1].bytes),
    TopicShown(0, "__consumer_offsets", IDS[0].bytes, True, []),
]


def encoded(version: int) -> Response:
    return ours()._replace(topics=[encode_topic(each, version) for each in TOPICS])


def bits(operations: int) -> list[int] | None:
    """As the other codec has them; None where nobody asked."""
    if operations == NO_OPERATIONS:
        return None
    return [bit for bit in range(31) if operations >> bit & 1]


def theirs(version: int) -> Any:
    def partition(shown: PartitionShown) -> dict[str, Any]:
        return {
            "error_code": shown.error,
            "partition_index": shown.partition,
            "leader_id": shown.leader,
            "leader_epoch": shown.leader_epoch,
            "replica_nodes": list(shown.replicas),
            "isr_nodes": list(shown.isr),
            "offline_replicas": list(shown.offline),
        }

    answer = ours()
    fields = {
        "throttle_time_ms": answer.throttle_ms,
        "brokers": [
            {"node_id": node, "host": host, "port": port, "rack": rack}
            for node, host, port, rack in answer.brokers
        ],
        "cluster_id": answer.cluster_id,
        "controller_id": answer.controller_id,
        "topics": [
            {
                "error_code": topic.error,
                "name": topic.name,
                "topic_id": UUID(bytes=topic.topic_id),
                "is_internal": topic.is_internal,
                "partitions": [partition(each) for each in topic.partitions],
                "authorized_operations": bits(topic.operations),
            }
            for topic in TOPICS
        ],
        "authorized_operations": bits(answer.cluster_operations),
        "error_code": answer.error,
    }
    message, _ = filled(message_class("MetadataResponse"), fields, version)
    message.with_header(99)
    return bytes(message.encode(header=True, framed=True))


@pytest.mark.parametrize("version", range(14))
def test_every_version_has_the_bytes_of_the_other_codec(version: int) -> None:
    assert encode_response(99, version, encoded(version)) == theirs(version)


def test_a_topic_found_by_no_id_has_no_name() -> None:
    topic = encode_topic(TopicShown(100, None, IDS[0].bytes), 12)
    answer = Response((), "c", 1, [topic])
    decoded = message_class("MetadataResponse").decode(
        encode_response(1, 12, answer), version=12, header=True, framed=True
    )
    (topic,) = decoded.topics
    assert (topic.name, topic.topic_id, topic.error_code) == (None, IDS[0], 100)
    assert topic.authorized_operations is None
