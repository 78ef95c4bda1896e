"""The cluster: its brokers, its quorum, and where its bytes are."""

from collections.abc import Sequence

import msgspec

from app.admin.port import Command, Failed, Touch
from app.security.ports import CLUSTER_NAME, Operation, Resource


class EndpointDescription(msgspec.Struct, frozen=True):
    listener: str
    host: str
    port: int


class BrokerDescription(msgspec.Struct, frozen=True):
    broker_id: int
    rack: str | None
    incarnation: int
    endpoints: tuple[EndpointDescription, ...]


class ClusterDescription(msgspec.Struct, frozen=True, tag=True):
    """`topics` and `partitions` are -1 where the asker may not describe the cluster; `operations`
    are the codes that he is allowed on it, where asked for and describable. `level` is the
    manifest's."""

    cluster_id: str
    controller_id: int
    brokers: tuple[BrokerDescription, ...]
    topics: int
    partitions: int
    level: int
    version: str
    operations: tuple[int, ...] = ()


class DescribeCluster(Command, frozen=True):
    """-> ClusterDescription. Everybody may ask, as in Kafka: Metadata tells it too."""

    operations: bool = False

    def touches(self) -> Sequence[Touch]:
        return ()


class VoterDescription(msgspec.Struct, frozen=True):
    """Timestamps are -1 where nobody measured them."""

    broker_id: int
    log_end: int
    last_fetch_ms: int = -1
    last_caught_up_ms: int = -1


class QuorumDescription(msgspec.Struct, frozen=True, tag=True):
    """Of the manifest's log. `high_watermark` is its first index that is not committed yet."""

    leader_id: int
    leader_epoch: int
    high_watermark: int
    voters: tuple[VoterDescription, ...]
    observers: tuple[VoterDescription, ...] = ()


class DescribeQuorum(Command, frozen=True):
    """-> QuorumDescription."""

    def touches(self) -> Sequence[Touch]:
        return (Touch(Operation.DESCRIBE, Resource.CLUSTER, CLUSTER_NAME),)


class ReplicaBytes(msgspec.Struct, frozen=True):
    """`lag` is in offsets, behind the high watermark or the leader's log end."""

    topic: str
    topic_id: bytes
    partition: int
    bytes: int
    lag: int


class LogDirectory(msgspec.Struct, frozen=True):
    """`total_bytes` and `usable_bytes` are the file system's, -1 if it does not say."""

    path: str
    total_bytes: int
    usable_bytes: int
    replicas: tuple[ReplicaBytes, ...]
    failure: Failed | None = None


class LogDirectories(msgspec.Struct, frozen=True, tag=True):
    directories: tuple[LogDirectory, ...]


class DescribeLogDirectories(Command, frozen=True):
    """-> LogDirectories of this broker. `topics` (name -> partitions) None asks for all."""

    topics: tuple[tuple[str, tuple[int, ...]], ...] | None = None

    def touches(self) -> Sequence[Touch]:
        return (Touch(Operation.DESCRIBE, Resource.CLUSTER, CLUSTER_NAME),)


COMMANDS = (DescribeCluster, DescribeQuorum, DescribeLogDirectories)
