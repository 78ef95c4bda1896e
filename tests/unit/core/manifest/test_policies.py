"""Policies: typed, shared, and inherited in the right order."""

import pytest

from app.core.manifest import policies as module
from app.core.manifest.policies import Policies
from app.core.topic_policy import DEFAULT
from app.model import BrokerId

ONE = BrokerId(1)


def test_nobody_says_anything_gives_the_defaults() -> None:
    assert Policies().of("a", {}) == Policies().inherited("a.*") == DEFAULT


def test_equal_configs_share_one_policy() -> None:
    policies = Policies(ONE, prefix_configs={"a.*": {"retention.ms": "1"}})
    assert policies.of("a.x", {}) is policies.of("a.y.z", {}) is policies.inherited("a.b.*")
    configs = {"segment.ms": "5"}
    assert policies.of("a.x", configs) is policies.of("a.y", dict(configs))
    assert policies.of("a.x", configs) != policies.of("b", configs)


def test_the_policies_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLICIES_KEPT", 3)
    policies = Policies()
    for number in range(1, 20):
        policy = policies.of("a", {"retention.ms": str(number)})
        assert policy.retention_ms == number
        assert len(policies._made) <= 3


def test_only_this_brokers_own_configs_and_those_of_all_count() -> None:
    brokers = {1: {"log.retention.ms": "1"}, 2: {"log.retention.bytes": "2"}}
    policies = Policies(ONE, {"log.roll.ms": "3"}, {**brokers, -1: {"log.retention.bytes": "4"}})
    policy = policies.of("a", {})
    assert (policy.retention_ms, policy.retention_bytes, policy.segment_ms) == (1, 4, 3)
    assert Policies(broker_configs=brokers).of("a", {}) == DEFAULT
    again = policies.having({}, {"a.*": {"retention.ms": "9"}})
    assert again.of("a.b", {}).retention_ms == 9 and again.defaults.segment_ms == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.b.c", "1"), ("a.b", "2"), ("a.b.*", "2"), ("b", "3"), ("b.*", "3")],
)
def test_a_text_is_inherited_from_where_its_policy_is(name: str, text: str) -> None:
    policies = Policies(
        ONE,
        {"log.retention.ms": "3"},
        prefix_configs={"a.b.*": {"retention.ms": "1"}, "a.*": {"retention.ms": "2"}},
    )
    assert policies.inherited_text(name, "retention.ms") == text
    assert policies.inherited(name).retention_ms == int(text)
    assert policies.inherited_text(name, "segment.ms") == "604800000"
