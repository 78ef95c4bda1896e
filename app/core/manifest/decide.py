"""Decisions about the manifest: may this happen, and which facts say that it did?

Owns    the rules of creating, widening and deleting topics, registering brokers and reserving
        producer ids, with Kafka's errors (`ReplicationControlManager`).
Never   changes anything: a decision is a value, and its facts count once they are in the log.
Trusts  that one decision is made at a time, on the state that the last one left.
"""

import base64
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.core import topic_config, topic_names
from app.core.manifest.facts import (
    FEATURE_LEVEL,
    LEVEL_OF,
    BrokerRegistered,
    ClusterFormed,
    Fact,
    FeatureRaised,
    PartitionsAdded,
    ProducerIdsReserved,
    TopicCreated,
    TopicDeleted,
)
from app.core.manifest.image import Topic
from app.core.manifest.manifest import Manifest
from app.core.placement import place
from app.errors import (
    InvalidPartitions,
    InvalidReplicaAssignment,
    InvalidReplicationFactor,
    InvalidRequest,
    InvalidTopic,
    PolicyViolation,
    Rejected,
    TopicAlreadyExists,
    UnknownTopicId,
    UnknownTopicOrPartition,
    UnsupportedVersion,
)
from app.limits import PARTITIONS_MAX, PARTITIONS_PER_TOPIC_MAX, PRODUCER_ID_BLOCK, TOPICS_MAX
from app.model import BrokerId, Endpoint, Incarnation, ProducerId, TopicId

DEFAULT = -1
"""Partitions or replicas 'as the broker's defaults say' (KIP-464)."""
_PRODUCER_IDS_END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ControllerDefaults:
    """What a topic gets that does not say."""

    num_partitions: int = 1
    replication_factor: int = 1
    auto_create: bool = True


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic as asked for. With `assignments` (partition -> brokers) both numbers must be -1."""

    name: str
    partitions: int = DEFAULT
    replication_factor: int = DEFAULT
    assignments: Mapping[int, Sequence[int]] = field(default_factory=dict)
    configs: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MorePartitions:
    """`total` is how many partitions the topic shall have then; `assignments` has a row of brokers
    for each new one, or is None."""

    name: str
    total: int
    assignments: tuple[tuple[int, ...], ...] | None = None


def decide_register(
    manifest: Manifest,
    broker_id: BrokerId,
    endpoints: Sequence[Endpoint],
    rack: str | None,
    new_cluster_id: str,
) -> list[Fact]:
    """A broker starts: it forms the cluster if there is none, and gets its next incarnation. One
    that is alone in it may use at once all that it knows."""
    facts: list[Fact] = []
    if not manifest.cluster_id:
        facts.append(ClusterFormed(new_cluster_id))
    if manifest.level < FEATURE_LEVEL and set(manifest.brokers) <= {broker_id}:
        facts.append(FeatureRaised(FEATURE_LEVEL))
    known = manifest.brokers.get(broker_id)
    incarnation = Incarnation(known.incarnation + 1 if known else 1)
    by_name = tuple(sorted(endpoints, key=lambda endpoint: endpoint.name))
    return [*facts, BrokerRegistered(broker_id, incarnation, by_name, rack)]


def refuse_below(manifest: Manifest, level: int) -> None:
    """Raise for what the cluster cannot note yet."""
    if manifest.level < level:
        raise UnsupportedVersion(
            f"the cluster is at level {manifest.level} and this needs {level}: upgrade StreamBus "
            "on every broker, then raise the level"
        )


def refuse_repeated(topics: Sequence[NewTopic | MorePartitions]) -> dict[int, Rejected]:
    """Place to refusal of each topic that the same request names more than once."""
    times = Counter(topic.name for topic in topics)
    return {
        place: InvalidRequest(f"Duplicate topic name: '{topic.name}'")
        for place, topic in enumerate(topics)
        if times[topic.name] > 1
    }


def decide_create(
    manifest: Manifest,
    topics: Sequence[NewTopic],
    defaults: ControllerDefaults,
    new_topic_id: Callable[[], TopicId],
) -> list[TopicCreated | Rejected]:
    """One answer per topic, in order; those that may be are not in each other's way. The names
    differ from each other: see `refuse_repeated`."""
    return list(deciding_create(manifest, topics, defaults, new_topic_id))


def deciding_create(
    manifest: Manifest,
    topics: Sequence[NewTopic],
    defaults: ControllerDefaults,
    new_topic_id: Callable[[], TopicId],
) -> Iterator[TopicCreated | Rejected]:
    """The same, one after another: for who has many and takes turns."""
    planned: dict[str, str] = {}  # collision key to name, of this request
    partitions = manifest.partitions
    for topic in topics:
        try:
            _check_name(manifest, topic.name, planned)
            if len(manifest.topics) + len(planned) >= TOPICS_MAX:
                raise PolicyViolation(f"the cluster has {TOPICS_MAX} topics, the most allowed")
            inherited = manifest.policies.inherited(topic.name)
            configs = topic_config.check(topic.configs, inherited)
            replicas = _decide_replicas(manifest, topic, defaults, len(planned), partitions)
        except Rejected as error:
            yield error
            continue
        planned[topic_names.collision_key(topic.name)] = topic.name
        partitions += len(replicas)
        topic_id = _fresh(manifest, new_topic_id)
        yield TopicCreated(topic_id, topic.name, replicas, tuple(configs.items()))


def _check_room(manifest: Manifest, partitions: int) -> None:
    if partitions > PARTITIONS_MAX:
        raise PolicyViolation(
            f"the cluster has {manifest.partitions} partitions, and {PARTITIONS_MAX} are the most "
            "allowed"
        )


def _check_name(manifest: Manifest, name: str, planned: Mapping[str, str]) -> None:
    topic_names.check(name)
    if name in manifest.by_name:
        raise TopicAlreadyExists(f"Topic '{name}' already exists.")
    key = topic_names.collision_key(name)
    other = manifest.collisions.get(key) or planned.get(key)
    if other is not None:
        raise InvalidTopic(f"Topic '{name}' collides with existing topic: {other}")


def _fresh(manifest: Manifest, new_topic_id: Callable[[], TopicId]) -> TopicId:
    while True:
        topic_id = new_topic_id()
        # Kafka reserves the ids 0 and 1, and those whose text starts with '-', which shells take
        # for an option.
        is_reserved = topic_id[:15] == bytes(15) and topic_id[15] <= 1
        is_option = base64.urlsafe_b64encode(topic_id).startswith(b"-")
        if not is_reserved and not is_option and topic_id not in manifest.topics:
            return topic_id


def _decide_replicas(
    manifest: Manifest,
    topic: NewTopic,
    defaults: ControllerDefaults,
    planned: int,
    partitions: int,
) -> tuple[tuple[BrokerId, ...], ...]:
    """`planned` topics and so many `partitions` are there already when this one comes."""
    if topic.assignments:
        assigned = _assigned(manifest, topic)
        _check_room(manifest, partitions + len(assigned))
        return assigned
    count = defaults.num_partitions if topic.partitions == DEFAULT else topic.partitions
    factor = topic.replication_factor
    if factor == DEFAULT:
        factor = defaults.replication_factor
    if factor <= 0:
        raise InvalidReplicationFactor(
            "Replication factor was set to an invalid non-positive value."
        )
    if count <= 0:
        raise InvalidPartitions("Number of partitions was set to an invalid non-positive value.")
    if count > PARTITIONS_PER_TOPIC_MAX:
        raise InvalidPartitions(f"A topic has at most {PARTITIONS_PER_TOPIC_MAX} partitions.")
    if factor > len(manifest.brokers):
        raise InvalidReplicationFactor(
            f"Unable to replicate the partition {factor} time(s): the target replication factor "
            f"cannot be reached because only {len(manifest.brokers)} broker(s) are registered."
        )
    _check_room(manifest, partitions + count)
    # Each topic starts its turn at the next broker, or broker 1 would lead every partition 0.
    return place(count, factor, list(manifest.brokers), len(manifest.topics) + planned)


def _assigned(manifest: Manifest, topic: NewTopic) -> tuple[tuple[BrokerId, ...], ...]:
    for number, what in (
        (topic.partitions, "number of partitions"),
        (topic.replication_factor, "replication factor"),
    ):
        if number != DEFAULT:
            raise InvalidRequest(
                f"A manual partition assignment was specified, but the {what} was not set to -1."
            )
    if sorted(topic.assignments) != list(range(len(topic.assignments))):
        raise InvalidReplicaAssignment(
            "Partitions should be a consecutive 0-based integer sequence."
        )
    if len(topic.assignments) > PARTITIONS_PER_TOPIC_MAX:
        raise InvalidPartitions(f"A topic has at most {PARTITIONS_PER_TOPIC_MAX} partitions.")
    rows = _rows([topic.assignments[number] for number in range(len(topic.assignments))])
    different = dict.fromkeys(rows)  # few, in order
    for row in different:
        _check_row(row, manifest.brokers)
    if len({len(row) for row in different}) > 1:
        raise InvalidReplicaAssignment(
            "The manual partition assignment gives partitions different numbers of replicas."
        )
    return rows


def _rows(assignments: Sequence[Sequence[int]]) -> tuple[tuple[BrokerId, ...], ...]:
    """Equal rows are one object, however many there are."""
    rows = list(map(tuple, assignments))
    shared = {row: tuple(map(BrokerId, row)) for row in dict.fromkeys(rows)}
    return tuple([shared[row] for row in rows])


def _check_row(row: Sequence[BrokerId], brokers: Collection[BrokerId]) -> None:
    if not row:
        raise InvalidReplicaAssignment(
            "The manual partition assignment includes an empty replica list."
        )
    for broker in row:
        if broker not in brokers:
            raise InvalidReplicaAssignment(
                f"The manual partition assignment includes broker {broker}, but no such broker is "
                "registered."
            )
    if len(set(row)) != len(row):
        raise InvalidReplicaAssignment(
            f"The manual partition assignment includes a broker more than once: {list(row)}."
        )


def decide_add_partitions(
    manifest: Manifest, topics: Sequence[MorePartitions]
) -> list[PartitionsAdded | Rejected]:
    """One answer per topic, in order. The names differ from each other: see `refuse_repeated`."""
    return list(deciding_add_partitions(manifest, topics))


def deciding_add_partitions(
    manifest: Manifest, topics: Sequence[MorePartitions]
) -> Iterator[PartitionsAdded | Rejected]:
    """The same, one after another."""
    refuse_below(manifest, LEVEL_OF[PartitionsAdded])
    partitions = manifest.partitions
    for more in topics:
        try:
            topic = _to_widen(manifest, more)
            start = len(topic.partitions)
            _check_room(manifest, partitions + more.total - start)
            if more.assignments is None:
                rows = _place_more(manifest, topic, more.total)
            else:
                rows = _assigned_more(manifest, topic, more)
        except Rejected as error:
            yield error
            continue
        partitions += len(rows)
        yield PartitionsAdded(topic.topic_id, start, rows)


def _to_widen(manifest: Manifest, more: MorePartitions) -> Topic:
    topic = manifest.by_name.get(more.name)
    if topic is None:
        raise UnknownTopicOrPartition(f"This server does not host topic '{more.name[:256]}'.")
    count = len(topic.partitions)
    if more.total == count:
        raise InvalidPartitions(f"Topic already has {count} partition(s).")
    if more.total < count:
        raise InvalidPartitions(
            f"The topic {topic.name} currently has {count} partition(s); {more.total} would not be "
            "an increase."
        )
    if more.total > PARTITIONS_PER_TOPIC_MAX:
        raise InvalidPartitions(f"A topic has at most {PARTITIONS_PER_TOPIC_MAX} partitions.")
    if topic.name in topic_names.INTERNAL:
        # What lies where in it depends on how many there are: its records would not be found.
        raise InvalidPartitions(
            f"The number of partitions of the internal topic {topic.name} cannot be changed."
        )
    return topic


def _place_more(manifest: Manifest, topic: Topic, total: int) -> tuple[tuple[BrokerId, ...], ...]:
    """The turn goes on where the topic's first leader began it."""
    factor = topic.replication_factor
    if factor > len(manifest.brokers):
        raise InvalidReplicationFactor(
            f"Unable to replicate the partition {factor} time(s): only {len(manifest.brokers)} "
            "broker(s) are registered."
        )
    ring = sorted(manifest.brokers)
    leader = topic.partitions[0].replicas[0]
    first = ring.index(leader) if leader in manifest.brokers else 0
    return place(total, factor, ring, first)[len(topic.partitions) :]


def _assigned_more(
    manifest: Manifest, topic: Topic, more: MorePartitions
) -> tuple[tuple[BrokerId, ...], ...]:
    assignments = more.assignments or ()
    additional = more.total - len(topic.partitions)
    if len(assignments) != additional:
        raise InvalidReplicaAssignment(
            f"Attempted to add {additional} additional partition(s), but only {len(assignments)} "
            "assignment(s) were specified."
        )
    rows = _rows(assignments)
    for row in dict.fromkeys(rows):
        _check_row(row, manifest.brokers)
        if len(row) != topic.replication_factor:
            raise InvalidReplicaAssignment(
                f"The manual partition assignment includes a partition with {len(row)} replica(s), "
                "but this is not consistent with previous partitions, which have "
                f"{topic.replication_factor} replica(s)."
            )
    return rows


def decide_delete(
    manifest: Manifest, wanted: Sequence[str | TopicId]
) -> list[tuple[Topic, TopicDeleted] | Rejected]:
    """One answer per name (text) or topic id (bytes), in order; a repeated one finds nothing."""
    gone: set[TopicId] = set()
    answers: list[tuple[Topic, TopicDeleted] | Rejected] = []
    for which in wanted:
        topic = (
            manifest.by_name.get(which) if isinstance(which, str) else manifest.topics.get(which)
        )
        if topic is not None and topic.topic_id not in gone:
            gone.add(topic.topic_id)
            answers.append((topic, TopicDeleted(topic.topic_id)))
        elif isinstance(which, str):
            answers.append(UnknownTopicOrPartition(f"This server does not host topic '{which}'."))
        else:
            answers.append(UnknownTopicId(f"This server does not host topic id {which.hex()}."))
    return answers


def decide_reserve_producer_ids(manifest: Manifest, broker_id: BrokerId) -> ProducerIdsReserved:
    start = manifest.next_producer_id
    if start > _PRODUCER_IDS_END - PRODUCER_ID_BLOCK:
        raise PolicyViolation("every producer id of this cluster was used")
    return ProducerIdsReserved(start, ProducerId(start + PRODUCER_ID_BLOCK), broker_id)
