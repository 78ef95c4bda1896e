"""Facts and their envelopes."""

import json

import pytest

from app.core.manifest import facts
from app.core.manifest.facts import (
    ENVELOPE,
    FORMS,
    BrokerConfigsSet,
    BrokerRegistered,
    ClusterFormed,
    Fact,
    FeatureRaised,
    PartitionsAdded,
    PrefixConfigsSet,
    ProducerIdsReserved,
    Stamp,
    TopicConfigsSet,
    TopicCreated,
    TopicDeleted,
)
from app.errors import Corrupt, UpgradeNeeded
from app.model import BrokerId, ControllerTerm, Endpoint, Incarnation, ProducerId, TopicId

STAMP = Stamp(ControllerTerm(3), bytes(range(12)) + bytes(4), 1_700_000_000_000)
TOPIC = TopicId(bytes(range(16)))
ONE, TWO = BrokerId(1), BrokerId(2)
SAMPLES: list[Fact] = [
    ClusterFormed("AAAAAAAAAAAAAAAAAAAAAA"),
    FeatureRaised(1),
    BrokerRegistered(ONE, Incarnation(4), (Endpoint("plain", "127.0.0.1", 9092),), None),
    BrokerRegistered(
        TWO,
        Incarnation(1),
        (Endpoint("plain", "::1", 9092), Endpoint("tls", "zwei.example", 9093)),
        "röck",
    ),
    TopicCreated(TOPIC, "orders", ((ONE, TWO), (TWO, ONE), (TWO, ONE)), (("retention.ms", "5"),)),
    TopicDeleted(TOPIC),
    ProducerIdsReserved(ProducerId(1000), ProducerId(2000), ONE),
    PartitionsAdded(TOPIC, 3, ((ONE, TWO), (ONE, TWO), (TWO, ONE))),
    TopicConfigsSet(TOPIC, (("retention.bytes", "7"), ("retention.ms", "5"))),
    TopicConfigsSet(TOPIC, ()),
    PrefixConfigsSet("app.service.*", (("cleanup.policy", "compact"),)),
    BrokerConfigsSet(-1, (("log.retention.ms", "5"),)),
    BrokerConfigsSet(2, ()),
]


def test_every_kind_of_fact_has_a_sample_here() -> None:
    assert {type(fact) for fact in SAMPLES} == {form.kind for form in FORMS}


def test_numbers_are_stable_and_never_shared() -> None:
    assert {form.kind.__name__: (form.number, form.version) for form in FORMS} == {
        "ClusterFormed": (1, 1),
        "FeatureRaised": (2, 1),
        "BrokerRegistered": (3, 1),
        "TopicCreated": (4, 1),
        "TopicDeleted": (5, 1),
        "ProducerIdsReserved": (6, 1),
        "PartitionsAdded": (7, 1),
        "TopicConfigsSet": (8, 1),
        "PrefixConfigsSet": (9, 1),
        "BrokerConfigsSet": (10, 1),
    }
    assert len({(form.number, form.version) for form in FORMS}) == len(FORMS)


def test_no_fact_needs_a_level_that_this_code_does_not_read() -> None:
    assert all(form.level <= facts.FEATURE_LEVEL for form in FORMS)


def test_a_kind_of_fact_keeps_the_level_that_it_came_with() -> None:
    assert {kind.__name__ for kind, level in facts.LEVEL_OF.items() if level == 2} == {
        "PartitionsAdded",
        "TopicConfigsSet",
        "PrefixConfigsSet",
        "BrokerConfigsSet",
    }
    assert set(facts.LEVEL_OF.values()) == {1, 2}


def test_facts_come_back_as_they_were_with_their_stamp() -> None:
    encoded = facts.encode(SAMPLES, STAMP)
    assert list(facts.decode(encoded)) == [(fact, STAMP) for fact in SAMPLES]


def test_payloads_are_canonical_json() -> None:
    for fact in SAMPLES:
        text = facts.encode([fact], STAMP)[ENVELOPE.size :].decode()
        again = json.dumps(
            json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        assert text == again


def test_a_wide_topic_of_one_broker_is_a_small_fact() -> None:
    fact = TopicCreated(TOPIC, "wide", ((ONE,),) * 100_000, ())
    assert facts.encoded_bytes(fact) < 200
    assert list(facts.decode(facts.encode([fact], STAMP))) == [(fact, STAMP)]
    assert facts.encoded_bytes(PartitionsAdded(TOPIC, 1, ((ONE,),) * 100_000)) < 200


def test_a_kind_or_version_from_the_future_says_upgrade() -> None:
    for number, version in ((6, 2), (99, 1)):
        encoded = ENVELOPE.pack(number, version, 2, 1, bytes(16), 5) + b"{}"
        with pytest.raises(UpgradeNeeded, match="upgrade StreamBus"):
            list(facts.decode(encoded))


def test_bytes_cut_anywhere_are_corrupt_never_another_fact() -> None:
    for sample in SAMPLES:
        encoded = facts.encode([sample], STAMP)
        for end in range(1, len(encoded)):
            with pytest.raises(Corrupt):
                list(facts.decode(encoded[:end]))


def test_a_payload_that_does_not_fit_its_kind_is_corrupt() -> None:
    for text in (b"[]", b"{}", b'{"level":1,"more":2}', b"\xff", b'"x"', b"nul"):
        encoded = ENVELOPE.pack(2, 1, len(text), 1, bytes(16), 5) + text
        with pytest.raises(Corrupt, match="FeatureRaised"):
            list(facts.decode(encoded))


def test_an_endpoint_that_does_not_fit_is_corrupt() -> None:
    for endpoints in (b"5", b"[5]", b'["plain"]', b'[{"name":"plain","host":"h"}]'):
        text = b'{"broker_id":1,"incarnation":1,"rack":null,"endpoints":' + endpoints + b"}"
        encoded = ENVELOPE.pack(3, 1, len(text), 1, bytes(16), 5) + text
        with pytest.raises(Corrupt, match="BrokerRegistered"):
            list(facts.decode(encoded))
