"""DescribeCluster, DescribeProducers, DescribeTopicPartitions, DescribeLogDirs and their limits."""

from tests.diff.batches import TIME, batch
from tests.diff.schema import Message
from tests.diff.script import Script


def describe_cluster(script: Script) -> None:
    for version in script.versions("DescribeCluster"):
        for operations in (False, True):
            body: Message = {"IncludeClusterAuthorizedOperations": operations}
            script.call("DescribeCluster", version, body)
            if version > 0:
                for kind in (1, 2, 0, 3):
                    script.call("DescribeCluster", version, {**body, "EndpointType": kind})
            if version > 1:
                script.call("DescribeCluster", version, {**body, "IncludeFencedBrokers": True})


def describe_producers(script: Script) -> None:
    script.create("t", 3)
    script.produce("t", batch([(None, b"v")] * 4, producer_id=7, epoch=2, sequence=0))
    script.produce("t", batch(producer_id=9, epoch=0, sequence=5, times=[TIME + 5]))
    script.produce("t", batch(producer_id=9, epoch=1, sequence=0))
    script.produce("t", batch(), partition=1)
    for version in script.versions("DescribeProducers"):
        rows = [{"Name": script.topic("t"), "PartitionIndexes": [0, 1, 2, 3, -1]}]
        script.call("DescribeProducers", version, {"Topics": rows})
        rows = [
            {"Name": name, "PartitionIndexes": [0]} for name in ("a b", script.topic("missing"))
        ]
        script.call("DescribeProducers", version, {"Topics": rows})
        script.call("DescribeProducers", version, {"Topics": []})


def describe_topic_partitions(script: Script) -> None:
    script.create("a", 3)
    script.create("b", 2)
    names = [{"Name": script.topic(name)} for name in ("b", "a", "missing")]
    bodies: list[Message] = [
        {"Topics": names},
        {"Topics": names[:2], "ResponsePartitionLimit": 1},
        {"Topics": names[:2], "ResponsePartitionLimit": 3},
        {"Topics": names[:2], "ResponsePartitionLimit": 4},
        {"Topics": names[:2], "ResponsePartitionLimit": 0},
        {"Topics": names[:2], "ResponsePartitionLimit": -1},
        {"Topics": [{"Name": "a b"}]},
        {"Topics": [names[0], names[0]]},
    ]
    for name, partition in (("a", 1), ("a", 2), ("a", 3), ("a", 9), ("b", 0), ("a", -1)):
        cursor = {"TopicName": script.topic(name), "PartitionIndex": partition}
        bodies.append({"Topics": names[:2], "Cursor": cursor})
        bodies.append({"Topics": names[:2], "Cursor": cursor, "ResponsePartitionLimit": 1})
    for version in script.versions("DescribeTopicPartitions"):
        for body in bodies:
            script.call("DescribeTopicPartitions", version, body)


def list_config_resources(script: Script) -> None:
    """Not of topics: those of all cases are there."""
    script.call("ListConfigResources", 0, {})
    for kinds in ([4], [8], [16], [99], [4, 16]):
        script.call("ListConfigResources", 1, {"ResourceTypes": kinds})


def find_coordinator(script: Script) -> None:
    """Kinds that exist would make Kafka's internal topics, which other cases would meet."""
    for version in script.versions("FindCoordinator", 1):
        for kind in (3, 99, -1):
            if version < 4:
                body: Message = {"Key": "g", "KeyType": kind}
            else:
                body = {"KeyType": kind, "CoordinatorKeys": ["g"]}
            script.call("FindCoordinator", version, body)
