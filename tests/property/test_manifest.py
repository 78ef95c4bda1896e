"""Invariant 6 for the manifest: load(save(state)) == state, and the same facts give equal nodes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.manifest.entries import Gate
from app.core.manifest.image import Image
from app.core.manifest.manifest import Manifest
from app.model import BrokerId, Endpoint
from tests.property.histories import random_entries

seeds = st.integers(0, 2**32)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_two_nodes_that_applied_the_same_facts_are_equal(seed: int) -> None:
    entries, expected = random_entries(seed, 60)
    one, other = (Gate(), Manifest()), (Gate(), Manifest())
    image = Image()
    for entry in entries:
        for gate, manifest in (one, other):
            for fact in gate.take(entry).facts:
                manifest.apply(fact)
        image = one[1].image(image, entry.index, BrokerId(1))  # lending must not matter
    assert one[0] == other[0]
    assert one[1] == other[1] == expected
    assert set(image.topics_by_name) == set(expected.by_name)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(0, 60))
def test_load_of_save_is_equal_and_goes_on_alike(seed: int, cut: int) -> None:
    entries, expected = random_entries(seed, 60)
    gate, manifest = Gate(), Manifest()
    for entry in entries:
        if entry.index == cut:
            manifest = Manifest.load(manifest.save())
        for fact in gate.take(entry).facts:
            manifest.apply(fact)
    assert Manifest.load(manifest.save()) == manifest == expected


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_an_image_never_changes_once_it_was_given(seed: int) -> None:
    entries, _ = random_entries(seed, 40)
    gate, manifest = Gate(), Manifest()
    images: list[tuple[Image, dict[BrokerId, tuple[Endpoint, ...]], dict[str, object]]] = []
    image = Image()
    for entry in entries:
        for fact in gate.take(entry).facts:
            manifest.apply(fact)
        image = manifest.image(image, entry.index, BrokerId(1))
        shown: dict[str, object] = {
            name: (topic.topic_id, topic.partitions) for name, topic in image.topics_by_name.items()
        }
        images.append((image, {b.id: b.endpoints for b in image.brokers.values()}, shown))
    for image, brokers, shown in images:
        assert {b.id: b.endpoints for b in image.brokers.values()} == brokers
        assert {
            name: (topic.topic_id, topic.partitions) for name, topic in image.topics_by_name.items()
        } == shown
