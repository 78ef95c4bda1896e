"""The one table of the Kafka APIs that StreamBus speaks: keys, versions, where flexible begins.

Owns    which versions of which API exist here, for the broker's advertisement and the client alike.
Never   serves anything: the broker's routing table may serve less and then advertises less.
Trusts  semantics of Apache Kafka 4.3: the versions are exactly what its broker serves.
"""

from typing import NamedTuple

PRODUCE = 0
FETCH = 1
LIST_OFFSETS = 2
METADATA = 3
OFFSET_COMMIT = 8
OFFSET_FETCH = 9
FIND_COORDINATOR = 10
JOIN_GROUP = 11
HEARTBEAT = 12
LEAVE_GROUP = 13
SYNC_GROUP = 14
DESCRIBE_GROUPS = 15
LIST_GROUPS = 16
API_VERSIONS = 18
CREATE_TOPICS = 19
DELETE_TOPICS = 20
DELETE_RECORDS = 21
INIT_PRODUCER_ID = 22
OFFSET_FOR_LEADER_EPOCH = 23
DESCRIBE_CONFIGS = 32
ALTER_CONFIGS = 33
DESCRIBE_LOG_DIRS = 35
CREATE_PARTITIONS = 37
DELETE_GROUPS = 42
INCREMENTAL_ALTER_CONFIGS = 44
OFFSET_DELETE = 47
DESCRIBE_QUORUM = 55
DESCRIBE_CLUSTER = 60
DESCRIBE_PRODUCERS = 61
LIST_CONFIG_RESOURCES = 74
DESCRIBE_TOPIC_PARTITIONS = 75

NEVER = 1 << 15
"""No version is as high: what is flexible from here has no tagged fields at all."""


class Api(NamedTuple):
    """One API: the inclusive range of versions, and the first that has tagged fields (KIP-482)."""

    key: int
    name: str
    oldest: int
    newest: int
    flexible_from: int


TABLE = (
    Api(PRODUCE, "Produce", 3, 13, 9),
    Api(FETCH, "Fetch", 4, 18, 12),
    Api(LIST_OFFSETS, "ListOffsets", 1, 11, 6),
    Api(METADATA, "Metadata", 0, 13, 9),
    Api(FIND_COORDINATOR, "FindCoordinator", 0, 6, 3),
    Api(API_VERSIONS, "ApiVersions", 0, 4, 3),
    Api(CREATE_TOPICS, "CreateTopics", 2, 7, 5),
    Api(DELETE_TOPICS, "DeleteTopics", 1, 6, 4),
    Api(DELETE_RECORDS, "DeleteRecords", 0, 2, 2),
    Api(INIT_PRODUCER_ID, "InitProducerId", 0, 5, 2),
    Api(OFFSET_FOR_LEADER_EPOCH, "OffsetForLeaderEpoch", 2, 4, 4),
    Api(DESCRIBE_CONFIGS, "DescribeConfigs", 1, 4, 4),
    Api(ALTER_CONFIGS, "AlterConfigs", 0, 2, 2),
    Api(DESCRIBE_LOG_DIRS, "DescribeLogDirs", 1, 5, 2),
    Api(CREATE_PARTITIONS, "CreatePartitions", 0, 3, 2),
    Api(INCREMENTAL_ALTER_CONFIGS, "IncrementalAlterConfigs", 0, 1, 1),
    Api(DESCRIBE_QUORUM, "DescribeQuorum", 0, 2, 0),
    Api(DESCRIBE_CLUSTER, "DescribeCluster", 0, 2, 0),
    Api(DESCRIBE_PRODUCERS, "DescribeProducers", 0, 0, 0),
    Api(LIST_CONFIG_RESOURCES, "ListConfigResources", 0, 1, 0),
    Api(DESCRIBE_TOPIC_PARTITIONS, "DescribeTopicPartitions", 0, 0, 0),
)
GROUP_APIS = (
    Api(OFFSET_COMMIT, "OffsetCommit", 2, 10, 8),
    Api(OFFSET_FETCH, "OffsetFetch", 1, 10, 6),
    Api(JOIN_GROUP, "JoinGroup", 0, 9, 6),
    Api(HEARTBEAT, "Heartbeat", 0, 4, 4),
    Api(LEAVE_GROUP, "LeaveGroup", 0, 5, 4),
    Api(SYNC_GROUP, "SyncGroup", 0, 5, 4),
    Api(DESCRIBE_GROUPS, "DescribeGroups", 0, 6, 5),
    Api(LIST_GROUPS, "ListGroups", 0, 5, 3),
    Api(DELETE_GROUPS, "DeleteGroups", 0, 2, 2),
    Api(OFFSET_DELETE, "OffsetDelete", 0, 0, NEVER),
)
"""Known, and not in the table before a broker serves them: what is in it is spoken by all of us."""

BY_KEY = {api.key: api for api in TABLE}
FLEXIBLE_FROM = {api.key: api.flexible_from for api in TABLE}

# librdkafka turns gzip, snappy and lz4 off for good when a broker does not list Produce 0
# (KAFKA-18659). So it is advertised from 0, and refused below the oldest that is served.
PRODUCE_ADVERTISED_OLDEST = 0


def is_served(key: int, version: int) -> bool:
    api = BY_KEY.get(key)
    return api is not None and api.oldest <= version <= api.newest


def is_flexible(key: int, version: int) -> bool:
    """Whether requests and responses of this version carry tagged fields."""
    api = BY_KEY.get(key)
    return api is not None and version >= api.flexible_from


def name_of(key: int) -> str:
    api = BY_KEY.get(key)
    return f"api {key}" if api is None else api.name


def advertised() -> tuple[tuple[int, int, int], ...]:
    """(key, oldest, newest) of everything here, as ApiVersions tells it."""
    return tuple(
        (api.key, PRODUCE_ADVERTISED_OLDEST if api.key == PRODUCE else api.oldest, api.newest)
        for api in TABLE
    )
