"""Topics: list, describe, create, delete, add partitions.

Names ending in `.*` are prefixes here (`app.service.*`): every topic whose name begins with what
stands before the star, which no topic can be named.
"""

from collections.abc import Sequence

import msgspec

from app import limits
from app.admin.commands.configs import ConfigEntry
from app.admin.port import Command, Failed, Touch
from app.core.manifest import decide
from app.security.ports import Operation, Resource

NewTopic = decide.NewTopic
MorePartitions = decide.MorePartitions


class TopicRef(msgspec.Struct, frozen=True):
    """A topic by its name, or by its id (16 bytes) if `topic_id` is not empty."""

    name: str = ""
    topic_id: bytes = b""

    def touch(self, operation: Operation) -> Touch:
        return Touch(operation, Resource.TOPIC, self.name, self.topic_id)


class TopicSummary(msgspec.Struct, frozen=True):
    name: str
    topic_id: bytes
    partitions: int
    replication_factor: int
    internal: bool


class TopicPage(msgspec.Struct, frozen=True, tag=True):
    """Topics in the order of their names; `next` is the `after` of the following page, or ""."""

    topics: tuple[TopicSummary, ...]
    next: str = ""


class ListTopics(Command, frozen=True):
    """-> TopicPage, of the topics that the asker may describe. `prefix` is a beginning of names
    (a star at its end is dropped)."""

    prefix: str = ""
    after: str = ""
    limit: int = limits.ADMIN_PAGE_MAX
    internal: bool = False

    def touches(self) -> Sequence[Touch]:
        return ()


class PartitionDescription(msgspec.Struct, frozen=True):
    """One partition. What only its replica knows (from `log_start` on) is -1 where this broker has
    none."""

    partition: int
    leader: int
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    log_start: int = -1
    high_watermark: int = -1
    last_stable: int = -1
    bytes: int = -1
    role: str = ""


class TopicDescription(msgspec.Struct, frozen=True, tag=True):
    """`partitions` are those from `DescribeTopics.partition_start` on, at most `partition_limit`;
    `partition_count` is how many there are. `operations` are the codes that the asker is allowed,
    where asked for."""

    name: str
    topic_id: bytes
    internal: bool
    partition_count: int
    replication_factor: int
    partitions: tuple[PartitionDescription, ...]
    operations: tuple[int, ...] = ()


class DescribeTopics(Command, frozen=True):
    """-> Described, an item for each topic."""

    topics: tuple[TopicRef, ...]
    partition_start: int = 0
    partition_limit: int = limits.PARTITIONS_PER_TOPIC_MAX
    operations: bool = False

    def touches(self) -> Sequence[Touch]:
        return tuple([topic.touch(Operation.DESCRIBE) for topic in self.topics])


class Described(msgspec.Struct, frozen=True, tag=True):
    topics: tuple[TopicDescription | Failed, ...]


class CreateTopics(Command, frozen=True):
    """-> Created, an item for each topic. Nothing is made if `validate_only`."""

    topics: tuple[NewTopic, ...]
    validate_only: bool = False
    timeout_ms: int = limits.PROPOSE_TIMEOUT_MS

    def touches(self) -> Sequence[Touch]:
        return tuple(
            [
                Touch(Operation.CREATE, Resource.TOPIC, topic.name, or_cluster=True)
                for topic in self.topics
            ]
        )


class CreatedTopic(msgspec.Struct, frozen=True, tag=True):
    """`topic_id` is all zero where it was only validated; `configs` is None where the asker may not
    describe them."""

    name: str
    topic_id: bytes
    partitions: int
    replication_factor: int
    configs: tuple[ConfigEntry, ...] | None


class Created(msgspec.Struct, frozen=True, tag=True):
    topics: tuple[CreatedTopic | Failed, ...]


class DeleteTopics(Command, frozen=True):
    """-> Deleted, an item for each topic. Nothing goes if `validate_only`."""

    topics: tuple[TopicRef, ...]
    validate_only: bool = False
    timeout_ms: int = limits.PROPOSE_TIMEOUT_MS

    def touches(self) -> Sequence[Touch]:
        return tuple([topic.touch(Operation.DELETE) for topic in self.topics])


class DeleteTopicsByPrefix(Command, frozen=True):
    """-> Deleted: every topic under `prefix` (`app.service.*`) that the asker may describe, in the
    order of names; those that it may not delete are Failed. Nothing goes if `validate_only`."""

    prefix: str
    validate_only: bool = False
    timeout_ms: int = limits.PROPOSE_TIMEOUT_MS

    def touches(self) -> Sequence[Touch]:
        return ()


class DeletedTopic(msgspec.Struct, frozen=True, tag=True):
    name: str
    topic_id: bytes
    partitions: int


class Deleted(msgspec.Struct, frozen=True, tag=True):
    topics: tuple[DeletedTopic | Failed, ...]


class AddPartitions(Command, frozen=True):
    """-> Added, an item for each topic."""

    topics: tuple[MorePartitions, ...]
    validate_only: bool = False
    timeout_ms: int = limits.PROPOSE_TIMEOUT_MS

    def touches(self) -> Sequence[Touch]:
        return tuple([Touch(Operation.ALTER, Resource.TOPIC, topic.name) for topic in self.topics])


class AddedPartitions(msgspec.Struct, frozen=True, tag=True):
    name: str
    total: int


class Added(msgspec.Struct, frozen=True, tag=True):
    topics: tuple[AddedPartitions | Failed, ...]


COMMANDS = (
    ListTopics,
    DescribeTopics,
    CreateTopics,
    DeleteTopics,
    DeleteTopicsByPrefix,
    AddPartitions,
)
