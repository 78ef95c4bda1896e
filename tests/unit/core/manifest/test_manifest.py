"""The Manifest machine: what each fact does."""

import pytest

from app.core.manifest.facts import (
    BrokerRegistered,
    ClusterFormed,
    FeatureRaised,
    ProducerIdsReserved,
    TopicCreated,
    TopicDeleted,
)
from app.core.manifest.manifest import Manifest, Saved
from app.errors import UpgradeNeeded
from app.model import BrokerId, Endpoint, Incarnation, ProducerId, TopicId

ONE, TWO = BrokerId(1), BrokerId(2)
PLAIN, TLS = Endpoint("plain", "host", 9092), Endpoint("tls", "elsewhere", 9093)
A, B = TopicId(b"a" * 16), TopicId(b"b" * 16)


def two_brokers() -> Manifest:
    manifest = Manifest()
    manifest.apply(ClusterFormed("cluster"))
    manifest.apply(FeatureRaised(1))
    for broker in (ONE, TWO):
        manifest.apply(BrokerRegistered(broker, Incarnation(1), (PLAIN,), None))
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
        Manifest().apply(FeatureRaised(2))
    with pytest.raises(UpgradeNeeded, match="upgrade StreamBus"):
        Manifest.load(Saved(level=2))


def test_facts_that_contradict_the_state_are_our_bug() -> None:
    manifest = two_brokers()
    manifest.apply(TopicCreated(A, "a", ((ONE,),), ()))
    for fact in (
        ClusterFormed("again"),
        FeatureRaised(1),
        TopicCreated(A, "other", ((ONE,),), ()),
        TopicCreated(B, "a", ((ONE,),), ()),
        BrokerRegistered(ONE, Incarnation(2), (PLAIN, PLAIN), None),
    ):
        with pytest.raises(AssertionError):
            manifest.apply(fact)


def test_what_was_saved_loads_to_an_equal_machine_that_goes_on_alike() -> None:
    manifest = two_brokers()
    manifest.apply(TopicCreated(A, "a", ((ONE, TWO),), (("retention.ms", "5"),)))
    manifest.apply(BrokerRegistered(ONE, Incarnation(2), (PLAIN,), None))
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
