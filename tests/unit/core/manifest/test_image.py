"""Images never change, and cost little."""

import dataclasses

import pytest

from app.core.manifest.facts import (
    BrokerRegistered,
    ClusterFormed,
    FeatureRaised,
    ProducerIdsReserved,
    TopicCreated,
    TopicDeleted,
)
from app.core.manifest.image import Image
from app.core.manifest.manifest import LEVEL_NAME, Manifest
from app.model import BrokerId, Endpoint, Incarnation, ProducerId, TopicId

ONE = BrokerId(1)
PLAIN, TLS = Endpoint("plain", "host", 9092), Endpoint("tls", "host", 9093)
OTHER = Endpoint("plain", "other", 9093)
A, B = TopicId(b"a" * 16), TopicId(b"b" * 16)


def formed() -> Manifest:
    manifest = Manifest()
    manifest.apply(ClusterFormed("cluster"))
    manifest.apply(FeatureRaised(1))
    manifest.apply(BrokerRegistered(ONE, Incarnation(1), (PLAIN, TLS), "rack"))
    return manifest


def test_an_image_shows_what_exists() -> None:
    manifest = formed()
    manifest.apply(TopicCreated(A, "a", ((ONE,), (ONE,)), (("retention.ms", "5"),)))
    image = manifest.image(Image(), 7, ONE)
    assert (image.index, image.cluster_id, image.controller_id) == (7, "cluster", ONE)
    assert image.features == {LEVEL_NAME: 1}
    assert image.brokers[ONE].rack == "rack"
    topic = image.topics_by_name["a"]
    assert image.topics_by_id[A] is topic
    assert topic.policy.retention_ms == 5
    assert topic.replication_factor == 1
    assert [state.leader for state in topic.partitions] == [ONE, ONE]


def test_a_broker_is_reached_by_the_name_of_a_listener_or_not_at_all() -> None:
    broker = formed().image(Image(), 1, ONE).brokers[ONE]
    assert (broker.endpoint("plain"), broker.endpoint("tls")) == (PLAIN, TLS)
    assert broker.endpoint("inner") is None


def test_an_image_stays_as_it_was_when_the_manifest_goes_on() -> None:
    manifest = formed()
    manifest.apply(TopicCreated(A, "a", ((ONE,),), ()))
    before = manifest.image(Image(), 1, ONE)
    manifest.apply(TopicCreated(B, "b", ((ONE,),), ()))
    manifest.apply(BrokerRegistered(ONE, Incarnation(2), (OTHER,), None))
    manifest.apply(TopicDeleted(A))
    after = manifest.image(before, 2, ONE)
    assert set(before.topics_by_name) == {"a"} and set(before.topics_by_id) == {A}
    assert before.brokers[ONE].endpoint("plain") == PLAIN
    assert before.topics_by_name["a"].partitions[0].leader_epoch == 0
    assert set(after.topics_by_name) == {"b"} and set(after.topics_by_id) == {B}
    assert after.brokers[ONE].endpoint("plain") == OTHER


def test_the_generation_grows_only_when_a_reader_would_see_a_change() -> None:
    manifest = formed()
    first = manifest.image(Image(), 1, ONE)
    manifest.apply(ProducerIdsReserved(ProducerId(0), ProducerId(10), ONE))
    same = manifest.image(first, 2, ONE)
    assert (same.index, same.generation) == (2, first.generation)
    assert same.topics_by_name is first.topics_by_name
    manifest.apply(TopicCreated(A, "a", ((ONE,),), ()))
    assert manifest.image(same, 3, ONE).generation == first.generation + 1


def test_topics_that_did_not_change_are_shared_between_images() -> None:
    manifest = formed()
    manifest.apply(TopicCreated(A, "a", ((ONE,),), ()))
    before = manifest.image(Image(), 1, ONE)
    manifest.apply(TopicCreated(B, "b", ((ONE,),), ()))
    assert manifest.image(before, 2, ONE).topics_by_id[A] is before.topics_by_id[A]


def test_nobody_can_write_to_an_image() -> None:
    manifest = formed()
    manifest.apply(TopicCreated(A, "a", ((ONE,),), (("retention.ms", "5"),)))
    image = manifest.image(Image(), 1, ONE)
    with pytest.raises(TypeError):
        image.topics_by_name["x"] = image.topics_by_name["a"]  # type: ignore[index]
    with pytest.raises(TypeError):
        image.topics_by_name["a"].configs["x"] = "y"  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.index = 2  # type: ignore[misc]
