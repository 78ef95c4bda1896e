"""Decisions about the manifest: may this happen, and which facts say that it did?

Owns    the rules of creating and deleting topics, registering brokers and reserving producer ids,
        with Kafka's errors (`ReplicationControlManager`).
Never   changes anything: a decision is a value, and its facts count once they are in the log.
Trusts  that one decision is made at a time, on the state that the last one left.
"""

import base64
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from app.core import topic_config, topic_names
from app.core.manifest.facts import (
    FEATURE_LEVEL,
    BrokerRegistered,
    ClusterFormed,
    Fact,
    FeatureRaised,
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


def decide_register(
    manifest: Manifest,
    broker_id: BrokerId,
    endpoints: Sequence[Endpoint],
    rack: str | None,
    new_cluster_id: str,
) -> list[Fact]:
    """A broker starts: it forms the cluster if there is none, and gets its next incarnation."""
    facts: list[Fact] = []
    if not manifest.cluster_id:
        facts += [ClusterFormed(new_cluster_id), FeatureRaised(FEATURE_LEVEL)]
    known = manifest.brokers.get(broker_id)
    incarnation = Incarnation(known.incarnation + 1 if known else 1)
    by_name = tuple(sorted(endpoints, key=lambda endpoint: endpoint.name))
    return [*facts, BrokerRegistered(broker_id, incarnation, by_name, rack)]


def refuse_repeated(topics: Sequence[NewTopic]) -> dict[int, Rejected]:
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
    planned: dict[str, str] = {}  # collision key to name, of this request
    partitions = manifest.partitions
    answers: list[TopicCreated | Rejected] = []
    for topic in topics:
        try:
            _check_name(manifest, topic.name, planned)
            if len(manifest.topics) + len(planned) >= TOPICS_MAX:
                raise PolicyViolation(f"the cluster has {TOPICS_MAX} topics, the most allowed")
            configs = topic_config.check(topic.configs)
            replicas = _decide_replicas(manifest, topic, defaults, len(planned))
            if partitions + len(replicas) > PARTITIONS_MAX:
                raise PolicyViolation(
                    f"the cluster has {manifest.partitions} partitions, and {PARTITIONS_MAX} are "
                    "the most allowed"
                )
        except Rejected as error:
            answers.append(error)
            continue
        planned[topic_names.collision_key(topic.name)] = topic.name
        partitions += len(replicas)
        topic_id = _fresh(manifest, new_topic_id)
        answers.append(TopicCreated(topic_id, topic.name, replicas, tuple(configs.items())))
    return answers


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
    manifest: Manifest, topic: NewTopic, defaults: ControllerDefaults, planned: int
) -> tuple[tuple[BrokerId, ...], ...]:
    if topic.assignments:
        return _assigned(manifest, topic)
    count = defaults.num_partitions if topic.partitions == DEFAULT else topic.partitions
    factor = topic.replication_factor
    if factor == DEFAULT:
        factor = defaults.replication_factor
    if count <= 0:
        raise InvalidPartitions("Number of partitions was set to an invalid non-positive value.")
    if count > PARTITIONS_PER_TOPIC_MAX:
        raise InvalidPartitions(f"A topic has at most {PARTITIONS_PER_TOPIC_MAX} partitions.")
    if factor <= 0:
        raise InvalidReplicationFactor(
            "Replication factor was set to an invalid non-positive value."
        )
    if factor > len(manifest.brokers):
        raise InvalidReplicationFactor(
            f"Unable to replicate the partition {factor} time(s): the target replication factor "
            f"cannot be reached because only {len(manifest.brokers)} broker(s) are registered."
        )
    # Each topic starts its turn at the next broker, or broker 1 would lead every partition 0.
    rows = place(count, factor, list(manifest.brokers), len(manifest.topics) + planned)
    return tuple(tuple(BrokerId(broker) for broker in row) for row in rows)


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
    rows = [
        tuple(BrokerId(broker) for broker in topic.assignments[number])
        for number in range(len(topic.assignments))
    ]
    for row in rows:
        _check_row(row, manifest.brokers)
    if any(len(one) != len(other) for one, other in pairwise(rows)):
        raise InvalidReplicaAssignment(
            "The manual partition assignment gives partitions different numbers of replicas."
        )
    return tuple(rows)


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
