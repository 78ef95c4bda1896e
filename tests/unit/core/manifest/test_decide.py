"""Decisions: what may happen to topics, brokers and producer ids, and how a refusal reads."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count

import pytest

from app.core.manifest import decide
from app.core.manifest.decide import ControllerDefaults, MorePartitions, NewTopic
from app.core.manifest.facts import (
    FEATURE_LEVEL,
    BrokerRegistered,
    ClusterFormed,
    FeatureRaised,
    PartitionsAdded,
    PrefixConfigsSet,
    ProducerIdsReserved,
    TopicCreated,
)
from app.core.manifest.manifest import Manifest
from app.errors import (
    InvalidConfig,
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
from app.model import BrokerId, Endpoint, Incarnation, ProducerId, TopicId

ONE = BrokerId(1)
PLAIN, TLS = Endpoint("plain", "host", 9092), Endpoint("tls", "host", 9093)


def ids() -> Callable[[], TopicId]:
    numbers = count(100)
    return lambda: TopicId(next(numbers).to_bytes(16, "big"))


def cluster(brokers: int = 1, topics: Mapping[str, int] | None = None) -> Manifest:
    manifest = Manifest()
    for broker in range(1, brokers + 1):
        for fact in decide.decide_register(manifest, BrokerId(broker), [PLAIN], None, "c"):
            manifest.apply(fact)
    for name, partitions in (topics or {}).items():
        new_id = ids_after(manifest)
        (topic,) = decide.decide_create(
            manifest, [NewTopic(name, partitions)], ControllerDefaults(), new_id
        )
        assert isinstance(topic, TopicCreated), topic
        manifest.apply(topic)
    return manifest


def ids_after(manifest: Manifest) -> Callable[[], TopicId]:
    start = len(manifest.topics) + 2
    return lambda: TopicId(start.to_bytes(16, "big"))


def create(
    manifest: Manifest, *topics: NewTopic, defaults: ControllerDefaults | None = None
) -> list[TopicCreated | Rejected]:
    return decide.decide_create(manifest, topics, defaults or ControllerDefaults(), ids())


def created(manifest: Manifest, topic: NewTopic) -> TopicCreated:
    (answer,) = create(manifest, topic)
    assert isinstance(answer, TopicCreated), answer
    return answer


def refused(manifest: Manifest, topic: NewTopic) -> Rejected:
    (answer,) = create(manifest, topic)
    assert isinstance(answer, Rejected), answer
    return answer


def test_the_first_broker_forms_the_cluster_and_later_ones_only_register() -> None:
    manifest = Manifest()
    facts = decide.decide_register(manifest, ONE, [TLS, PLAIN], "r", "cluster")
    registered = BrokerRegistered(ONE, Incarnation(1), (PLAIN, TLS), "r")
    assert facts == [ClusterFormed("cluster"), FeatureRaised(FEATURE_LEVEL), registered]
    for fact in facts:
        manifest.apply(fact)
    assert decide.decide_register(manifest, ONE, [TLS], "r", "other") == [
        BrokerRegistered(ONE, Incarnation(2), (TLS,), "r")
    ]


def test_a_broker_alone_raises_the_level_and_one_among_others_does_not() -> None:
    manifest = Manifest()
    for fact in (ClusterFormed("c"), FeatureRaised(1)):
        manifest.apply(fact)
    manifest.apply(BrokerRegistered(ONE, Incarnation(1), (PLAIN,), None))
    again = BrokerRegistered(ONE, Incarnation(2), (PLAIN,), None)
    assert decide.decide_register(manifest, ONE, [PLAIN], None, "x") == [
        FeatureRaised(FEATURE_LEVEL),
        again,
    ]
    manifest.apply(BrokerRegistered(BrokerId(2), Incarnation(1), (PLAIN,), None))
    assert decide.decide_register(manifest, ONE, [PLAIN], None, "x") == [again]
    with pytest.raises(UnsupportedVersion, match="at level 1 and this needs 2: upgrade StreamBus"):
        decide.decide_add_partitions(manifest, [MorePartitions("a", 2)])


def test_deciding_changes_nothing() -> None:
    manifest = cluster(topics={"a": 1})
    before = manifest.save()
    decide.decide_add_partitions(manifest, [MorePartitions("a", 5)])
    create(manifest, NewTopic("b"), NewTopic("a"))
    decide.decide_delete(manifest, ["a"])
    decide.decide_reserve_producer_ids(manifest, ONE)
    assert manifest.save() == before


def test_numbers_that_are_not_given_come_from_the_defaults() -> None:
    defaults = ControllerDefaults(num_partitions=4, replication_factor=2)
    (fact,) = create(cluster(brokers=3), NewTopic("a"), defaults=defaults)
    assert isinstance(fact, TopicCreated)
    assert len(fact.replicas) == 4
    assert all(len(row) == 2 for row in fact.replicas)


@pytest.mark.parametrize(
    ("topic", "error", "why"),
    [
        (NewTopic("no/slash"), InvalidTopic, "character"),
        (NewTopic(""), InvalidTopic, "empty"),
        (NewTopic("a"), TopicAlreadyExists, "already exists"),
        (NewTopic("x_y"), InvalidTopic, r"collides.*x\.y"),
        (NewTopic("b", partitions=0), InvalidPartitions, "non-positive"),
        (NewTopic("b", partitions=-2), InvalidPartitions, "non-positive"),
        (NewTopic("b", partitions=100_001), InvalidPartitions, "at most"),
        (NewTopic("b", replication_factor=0), InvalidReplicationFactor, "non-positive"),
        (NewTopic("b", replication_factor=-2), InvalidReplicationFactor, "non-positive"),
        (NewTopic("b", replication_factor=4), InvalidReplicationFactor, "only 3"),
        (NewTopic("b", 0, 0), InvalidReplicationFactor, "non-positive"),
        (NewTopic("b", -2, -2), InvalidReplicationFactor, "non-positive"),
        (NewTopic("b", 0, 4), InvalidPartitions, "non-positive"),
        (NewTopic("b", configs={"nope": "1"}), InvalidConfig, "nope"),
        (NewTopic("b", configs={"retention.ms": "x"}), InvalidConfig, "LONG"),
        (NewTopic("b", configs={"retention.ms": None}), InvalidConfig, "Null"),
        (NewTopic("b", 1, assignments={0: [1]}), InvalidRequest, "number of partitions"),
        (NewTopic("b", -1, 1, {0: [1]}), InvalidRequest, "replication factor"),
        (NewTopic("b", assignments={1: [1]}), InvalidReplicaAssignment, "consecutive"),
        (NewTopic("b", assignments={0: [1], 2: [1]}), InvalidReplicaAssignment, "consecutive"),
        (NewTopic("b", assignments={0: []}), InvalidReplicaAssignment, "empty"),
        (NewTopic("b", assignments={0: [1, 1]}), InvalidReplicaAssignment, "more than once"),
        (NewTopic("b", assignments={0: [9]}), InvalidReplicaAssignment, "no such broker"),
        (NewTopic("b", assignments={0: [1], 1: [1, 2]}), InvalidReplicaAssignment, "different"),
    ],
)
def test_a_topic_that_may_not_be_is_refused_with_the_reason(
    topic: NewTopic, error: type[Rejected], why: str
) -> None:
    answer = refused(cluster(brokers=3, topics={"a": 1, "x.y": 1}), topic)
    assert type(answer) is error
    with pytest.raises(error, match=why):
        raise answer


def test_a_manual_assignment_is_kept_as_given() -> None:
    fact = created(cluster(brokers=3), NewTopic("b", assignments={1: [2, 3], 0: [3, 1]}))
    assert fact.replicas == ((3, 1), (2, 3))


def test_configs_are_kept_sorted() -> None:
    fact = created(cluster(), NewTopic("b", configs={"segment.ms": "5", "retention.ms": "6"}))
    assert fact.configs == (("retention.ms", "6"), ("segment.ms", "5"))


def test_a_name_asked_for_twice_in_one_request_is_refused_each_time() -> None:
    topics = [NewTopic("a"), NewTopic("b"), NewTopic("a"), NewTopic("c", 3)]
    refusals = decide.refuse_repeated(topics)
    assert sorted(refusals) == [0, 2]
    assert all(isinstance(refusal, InvalidRequest) for refusal in refusals.values())


def test_topics_of_one_request_see_each_other() -> None:
    answers = create(cluster(), NewTopic("a"), NewTopic("x.y"), NewTopic("x_y"))
    assert [type(answer) for answer in answers] == [TopicCreated, TopicCreated, InvalidTopic]


def test_leaders_of_new_topics_are_spread() -> None:
    answers = create(cluster(brokers=3), *(NewTopic(f"t{n}") for n in range(6)))
    leaders = [answer.replicas[0][0] for answer in answers if isinstance(answer, TopicCreated)]
    assert sorted(leaders) == [1, 1, 2, 2, 3, 3]


def test_ids_that_kafka_reserves_and_those_in_use_are_drawn_again() -> None:
    manifest = cluster(topics={"a": 1})
    taken = next(iter(manifest.topics))
    dash = b"\xf8" + bytes(15)  # '+' in base64, '-' in its URL-safe form
    free = b"\x01" * 16
    drawn: Iterator[bytes] = iter([bytes(16), bytes(15) + b"\x01", taken, dash, free])
    (fact,) = decide.decide_create(
        manifest, [NewTopic("b")], ControllerDefaults(), lambda: TopicId(next(drawn))
    )
    assert isinstance(fact, TopicCreated)
    assert fact.topic_id == free


def test_the_number_of_topics_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "TOPICS_MAX", 2)
    answers = create(cluster(topics={"a": 1}), NewTopic("b"), NewTopic("c"))
    assert [type(answer) for answer in answers] == [TopicCreated, PolicyViolation]


def more(manifest: Manifest, *topics: MorePartitions) -> list[PartitionsAdded | Rejected]:
    return decide.decide_add_partitions(manifest, topics)


def test_more_partitions_go_on_in_the_turn_of_the_topic() -> None:
    manifest = cluster(brokers=3, topics={"first": 1})
    (fact,) = create(manifest, NewTopic("b", 7, 2))
    assert isinstance(fact, TopicCreated)
    whole = fact.replicas
    narrow = created(manifest, NewTopic("b", 2, 2))
    assert narrow.replicas == whole[:2]
    manifest.apply(narrow)
    assert more(manifest, MorePartitions("b", 7)) == [
        PartitionsAdded(narrow.topic_id, 2, whole[2:])
    ]


def test_more_partitions_may_be_assigned_by_hand() -> None:
    manifest = cluster(brokers=3)
    topic = created(manifest, NewTopic("b", assignments={0: [1, 2]}))
    manifest.apply(topic)
    assert more(manifest, MorePartitions("b", 3, ((3, 1), (2, 3)))) == [
        PartitionsAdded(topic.topic_id, 1, ((BrokerId(3), BrokerId(1)), (BrokerId(2), BrokerId(3))))
    ]


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        (
            MorePartitions("nope", 2),
            UnknownTopicOrPartition,
            "This server does not host topic 'nope'.",
        ),
        (MorePartitions("a", 4), InvalidPartitions, "Topic already has 4 partition(s)."),
        (
            MorePartitions("a", 3),
            InvalidPartitions,
            "The topic a currently has 4 partition(s); 3 would not be an increase.",
        ),
        (
            MorePartitions("a", -1),
            InvalidPartitions,
            "The topic a currently has 4 partition(s); -1 would not be an increase.",
        ),
        (
            MorePartitions("a", 100_001),
            InvalidPartitions,
            "A topic has at most 100000 partitions.",
        ),
        (
            MorePartitions("__consumer_offsets", 51),
            InvalidPartitions,
            "The number of partitions of the internal topic __consumer_offsets cannot be changed.",
        ),
        (
            MorePartitions("a", 6, ((1,),)),
            InvalidReplicaAssignment,
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        ),
        (
            MorePartitions("a", 5, ((1, 2),)),
            InvalidReplicaAssignment,
            "The manual partition assignment includes a partition with 2 replica(s), but this is "
            "not consistent with previous partitions, which have 1 replica(s).",
        ),
        (
            MorePartitions("a", 5, ((),)),
            InvalidReplicaAssignment,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            MorePartitions("a", 5, ((9,),)),
            InvalidReplicaAssignment,
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (
            MorePartitions("a", 5, ((1, 1),)),
            InvalidReplicaAssignment,
            "The manual partition assignment includes a broker more than once: [1, 1].",
        ),
    ],
)
def test_partitions_that_may_not_be_added_are_refused_with_the_reason(
    asked: MorePartitions, error: type[Rejected], text: str
) -> None:
    manifest = cluster(brokers=2, topics={"a": 4, "__consumer_offsets": 50})
    (answer,) = more(manifest, asked)
    assert type(answer) is error
    assert str(answer) == text


def test_added_partitions_count_against_the_bound_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "PARTITIONS_MAX", 10)
    manifest = cluster(topics={"a": 4, "b": 3})
    answers = more(manifest, MorePartitions("a", 6), MorePartitions("b", 5))
    assert [type(answer) for answer in answers] == [PartitionsAdded, PolicyViolation]
    assert str(answers[1]) == "the cluster has 7 partitions, and 10 are the most allowed"


def test_a_topic_wider_than_the_cluster_is_now_cannot_grow() -> None:
    manifest = cluster(brokers=2)
    manifest.apply(created(manifest, NewTopic("b", 1, 2)))
    del manifest.brokers[BrokerId(2)]
    (answer,) = more(manifest, MorePartitions("b", 2))
    assert isinstance(answer, InvalidReplicationFactor)


def test_a_new_topic_is_checked_with_what_it_inherits() -> None:
    manifest = cluster()
    manifest.apply(PrefixConfigsSet("app.*", (("min.compaction.lag.ms", "10"),)))
    short = {"max.compaction.lag.ms": "5"}
    assert isinstance(refused(manifest, NewTopic("app.x", configs=short)), InvalidConfig)
    assert created(manifest, NewTopic("x", configs=short)).configs == tuple(short.items())


def test_topics_are_deleted_by_name_or_by_id_and_once() -> None:
    manifest = cluster(topics={"a": 1, "b": 1})
    b = manifest.by_name["b"].topic_id
    answers = decide.decide_delete(manifest, ["a", b, "a", "nope", TopicId(b"?" * 16)])
    assert [
        answer[0].name if isinstance(answer, tuple) else type(answer) for answer in answers
    ] == [
        "a",
        "b",
        UnknownTopicOrPartition,
        UnknownTopicOrPartition,
        UnknownTopicId,
    ]


def test_producer_ids_are_reserved_in_blocks_until_there_are_none() -> None:
    manifest = cluster()
    fact = decide.decide_reserve_producer_ids(manifest, ONE)
    assert fact == ProducerIdsReserved(ProducerId(0), ProducerId(1000), ONE)
    manifest.apply(fact)
    assert decide.decide_reserve_producer_ids(manifest, ONE).start == 1000
    manifest.next_producer_id = ProducerId(2**63 - 500)
    with pytest.raises(PolicyViolation):
        decide.decide_reserve_producer_ids(manifest, ONE)


def test_the_partitions_of_all_topics_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "PARTITIONS_MAX", 10)
    manifest = cluster(topics={"a": 4, "b": 3})
    assert isinstance(refused(manifest, NewTopic("c", 4)), PolicyViolation)
    assert len(created(manifest, NewTopic("c", 3)).replicas) == 3
    manifest.apply(decide.TopicDeleted(manifest.by_name["a"].topic_id))
    assert len(created(manifest, NewTopic("c", 7)).replicas) == 7
    assert Manifest.load(manifest.save()).partitions == manifest.partitions == 3
