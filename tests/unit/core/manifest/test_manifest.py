"""The Manifest machine: what each fact does."""

import pytest

from app.core.manifest.facts import (
    FEATURE_LEVEL,
    BrokerConfigsSet,
    BrokerRegistered,
    ClusterFormed,
    Fact,
    FeatureRaised,
    PartitionsAdded,
    PrefixConfigsSet,
    ProducerIdsReserved,
    TopicConfigsSet,
    TopicCreated,
    TopicDeleted,
)
from app.core.manifest.image import Image
from app.core.manifest.manifest import Manifest, Saved
from app.core.manifest.policies import Policies
from app.errors import UpgradeNeeded
from app.model import BrokerId, Endpoint, Incarnation, ProducerId, TopicId

ONE, TWO = BrokerId(1), BrokerId(2)
PLAIN, TLS = Endpoint("plain", "host", 9092), Endpoint("tls", "elsewhere", 9093)
A, B = TopicId(b"a" * 16), TopicId(b"b" * 16)


def two_brokers_facts() -> list[Fact]:
    return [
        ClusterFormed("cluster"),
        FeatureRaised(FEATURE_LEVEL),
        *(BrokerRegistered(broker, Incarnation(1), (PLAIN,), None) for broker in (ONE, TWO)),
    ]


def two_brokers() -> Manifest:
    manifest = Manifest()
    for fact in two_brokers_facts():
        manifest.apply(fact)
    return manifest


def epochs(manifest: Manifest, name: str) -> list[int]:
    return [state.leader_epoch for state in manifest.by_name[name].partitions]


def test_a_new_topic_is_led_by_the_first_of_its_replicas_at_epoch_zero() -> None:
    manifest = two_brokers()
    manifest.apply(TopicCreated(A, "a", ((ONE, TWO), (TWO, ONE)), ()))
    states = manifest.by_name["a"].partitions
    assert [(s.leader, s.leader_epoch, s.isr) for s in states] == [
        (ONE, 0, (ONE, TWO)),
        (TWO, 0, (TWO, ONE)),
    ]


def test_registering_again_bumps_the_epoch_of_every_partition_it_leads_and_of_no_other() -> None:
    manifest = two_brokers()
    manifest.apply(TopicCreated(A, "a", ((ONE, TWO), (TWO, ONE)), ()))
    manifest.apply(TopicCreated(B, "b", ((TWO,),), ()))
    manifest.apply(BrokerRegistered(ONE, Incarnation(2), (TLS,), "r"))
    assert epochs(manifest, "a") == [1, 0]
    assert epochs(manifest, "b") == [0]
    assert manifest.topics[A] is manifest.by_name["a"]
    assert manifest.brokers[ONE].endpoints == (TLS,)


def test_an_old_incarnation_cannot_come_after_a_newer_one() -> None:
    manifest = two_brokers()
    manifest.apply(BrokerRegistered(ONE, Incarnation(5), (PLAIN,), None))
    with pytest.raises(AssertionError):
        manifest.apply(BrokerRegistered(ONE, Incarnation(5), (PLAIN,), None))


def test_a_name_is_free_again_when_its_topic_is_deleted() -> None:
    manifest = two_brokers()
    manifest.apply(TopicCreated(A, "a.b", ((ONE,),), ()))
    manifest.apply(TopicDeleted(A))
    manifest.apply(TopicCreated(B, "a_b", ((ONE,),), ()))
    assert set(manifest.topics) == {B}
    assert manifest.collisions == {"a_b": "a_b"}


def test_producer_ids_follow_without_a_gap() -> None:
    manifest = two_brokers()
    manifest.apply(ProducerIdsReserved(ProducerId(0), ProducerId(1000), ONE))
    assert manifest.next_producer_id == 1000
    with pytest.raises(AssertionError):
        manifest.apply(ProducerIdsReserved(ProducerId(0), ProducerId(1000), TWO))


def test_a_level_from_the_future_says_upgrade() -> None:
    with pytest.raises(UpgradeNeeded, match="upgrade StreamBus"):
        Manifest().apply(FeatureRaised(FEATURE_LEVEL + 1))
    with pytest.raises(UpgradeNeeded, match="upgrade StreamBus"):
        Manifest.load(Saved(level=FEATURE_LEVEL + 1))


def test_facts_that_contradict_the_state_are_our_bug() -> None:
    manifest = two_brokers()
    manifest.apply(TopicCreated(A, "a", ((ONE,),), ()))
    for fact in (
        ClusterFormed("again"),
        FeatureRaised(1),
        TopicCreated(A, "other", ((ONE,),), ()),
        TopicCreated(B, "a", ((ONE,),), ()),
        BrokerRegistered(ONE, Incarnation(2), (PLAIN, PLAIN), None),
        PartitionsAdded(A, 0, ((ONE,),)),
        PartitionsAdded(A, 1, ()),
    ):
        with pytest.raises(AssertionError):
            manifest.apply(fact)


def test_a_fact_does_not_come_before_its_level() -> None:
    manifest = Manifest()
    manifest.apply(ClusterFormed("cluster"))
    manifest.apply(FeatureRaised(1))
    manifest.apply(BrokerRegistered(ONE, Incarnation(1), (PLAIN,), None))
    with pytest.raises(AssertionError):
        manifest.apply(PrefixConfigsSet("a.*", (("retention.ms", "5"),)))
    manifest.apply(FeatureRaised(2))
    manifest.apply(PrefixConfigsSet("a.*", (("retention.ms", "5"),)))
    assert manifest.prefix_configs == {"a.*": {"retention.ms": "5"}}


def test_added_partitions_begin_at_epoch_zero_behind_the_others() -> None:
    manifest = two_brokers()
    manifest.apply(TopicCreated(A, "a", ((ONE, TWO),), (("retention.ms", "5"),)))
    manifest.apply(BrokerRegistered(ONE, Incarnation(2), (PLAIN,), None))
    manifest.apply(PartitionsAdded(A, 1, ((TWO, ONE), (ONE, TWO))))
    topic = manifest.by_name["a"]
    assert [(each.leader, each.leader_epoch, each.isr) for each in topic.partitions] == [
        (ONE, 1, (ONE, TWO)),
        (TWO, 0, (TWO, ONE)),
        (ONE, 0, (ONE, TWO)),
    ]
    assert manifest.partitions == 3
    assert topic.policy.retention_ms == 5
    assert Manifest.load(manifest.save()) == manifest


def retention(manifest: Manifest) -> dict[str, int]:
    return {name: topic.policy.retention_ms for name, topic in manifest.by_name.items()}


def test_configs_reach_the_policies_of_exactly_those_who_inherit_them() -> None:
    manifest = Manifest(Policies(ONE, {"log.retention.ms": "9"}))
    for fact in two_brokers_facts():
        manifest.apply(fact)
    names = ["app.x", "app.x.y", "app", "apple.x", "own"]
    for number, name in enumerate(names):
        configs = (("retention.ms", "1"),) if name == "own" else ()
        manifest.apply(TopicCreated(TopicId(bytes([number]) * 16), name, ((ONE,),), configs))
    assert retention(manifest) == {**dict.fromkeys(names, 9), "own": 1}
    manifest.apply(PrefixConfigsSet("app.*", (("retention.ms", "2"),)))
    assert retention(manifest) == {"app.x": 2, "app.x.y": 2, "app": 9, "apple.x": 9, "own": 1}
    manifest.apply(PrefixConfigsSet("app.x.*", (("retention.ms", "3"),)))
    manifest.apply(BrokerConfigsSet(-1, (("log.retention.ms", "8"),)))
    manifest.apply(BrokerConfigsSet(TWO, (("log.retention.ms", "6"),)))
    assert retention(manifest) == {"app.x": 2, "app.x.y": 3, "app": 8, "apple.x": 8, "own": 1}
    manifest.apply(BrokerConfigsSet(ONE, (("log.retention.ms", "7"),)))
    manifest.apply(TopicConfigsSet(manifest.by_name["own"].topic_id, ()))
    manifest.apply(TopicConfigsSet(manifest.by_name["app.x"].topic_id, (("retention.ms", "4"),)))
    assert retention(manifest) == {"app.x": 4, "app.x.y": 3, "app": 7, "apple.x": 7, "own": 7}
    loaded = Manifest.load(manifest.save(), Policies(ONE, {"log.retention.ms": "9"}))
    assert retention(loaded) == retention(manifest) and loaded == manifest
    manifest.apply(PrefixConfigsSet("app.x.*", ()))
    manifest.apply(BrokerConfigsSet(ONE, ()))
    manifest.apply(BrokerConfigsSet(-1, ()))
    assert retention(manifest) == {"app.x": 4, "app.x.y": 2, "app": 9, "apple.x": 9, "own": 9}
    assert set(manifest.prefix_configs) == {"app.*"} and set(manifest.broker_configs) == {TWO}


def test_a_topic_whose_policy_stays_equal_stays_the_same_object() -> None:
    manifest = two_brokers()
    manifest.apply(TopicCreated(A, "app.a", ((ONE,),), (("retention.ms", "1"),)))
    manifest.apply(TopicCreated(B, "b", ((ONE,),), ()))
    a, b = manifest.topics[A], manifest.topics[B]
    manifest.apply(BrokerConfigsSet(-1, (("log.retention.ms", "8"),)))
    assert manifest.topics[A] is a
    assert manifest.topics[B].policy.retention_ms == 8
    manifest.apply(PrefixConfigsSet("app.*", (("retention.ms", "5"),)))
    assert manifest.topics[A] is a
    b = manifest.topics[B]
    manifest.apply(BrokerConfigsSet(-1, (("log.retention.ms", "8"), ("max.connections", "5"))))
    assert manifest.topics[B] is b


def test_an_image_shows_configs_and_keeps_what_it_showed() -> None:
    manifest = two_brokers()
    manifest.apply(TopicCreated(A, "app.a", ((ONE,),), ()))
    manifest.apply(PrefixConfigsSet("app.*", (("retention.ms", "5"),)))
    first = manifest.image(Image(), 1, ONE)
    manifest.apply(PrefixConfigsSet("app.*", (("retention.ms", "6"),)))
    manifest.apply(BrokerConfigsSet(ONE, (("max.connections", "5"),)))
    manifest.apply(PartitionsAdded(A, 1, ((ONE,),)))
    second = manifest.image(first, 2, ONE)
    assert first.prefix_configs == {"app.*": {"retention.ms": "5"}}
    assert first.topics_by_name["app.a"].policy.retention_ms == 5
    assert len(first.topics_by_name["app.a"].partitions) == 1 and not first.broker_configs
    assert second.prefix_configs == {"app.*": {"retention.ms": "6"}}
    assert second.broker_configs == {ONE: {"max.connections": "5"}}
    assert second.topics_by_name["app.a"].policy.retention_ms == 6
    assert second.generation == first.generation + 1


def test_what_was_saved_loads_to_an_equal_machine_that_goes_on_alike() -> None:
    manifest = two_brokers()
    manifest.apply(TopicCreated(A, "a", ((ONE, TWO),), (("retention.ms", "5"),)))
    manifest.apply(BrokerRegistered(ONE, Incarnation(2), (PLAIN,), None))
    manifest.apply(PartitionsAdded(A, 1, ((ONE, TWO), (TWO, ONE))))
    manifest.apply(PrefixConfigsSet("x.*", (("retention.ms", "5"), ("segment.ms", "1"))))
    manifest.apply(BrokerConfigsSet(-1, (("log.retention.ms", "5"),)))
    loaded = Manifest.load(manifest.save())
    assert loaded == manifest
    for machine in (manifest, loaded):
        machine.apply(BrokerRegistered(ONE, Incarnation(3), (PLAIN,), None))
        machine.apply(TopicDeleted(A))
    assert loaded == manifest
    assert manifest != "a manifest"


def test_rows_that_no_machine_could_have_saved_are_refused() -> None:
    manifest = two_brokers()
    manifest.apply(TopicCreated(A, "a", ((ONE,), (ONE,)), ()))
    saved = manifest.save()
    saved.partitions = saved.partitions[1:]
    with pytest.raises(ValueError, match="out of order"):
        Manifest.load(saved)
    saved.partitions = []
    with pytest.raises(ValueError, match="no partitions"):
        Manifest.load(saved)
