"""Changes of configs: bounds, and that deciding changes nothing. Rules and words are in
tests/transcripts/manifest."""

import pytest

from app.core.manifest import config_changes
from app.core.manifest.config_changes import (
    Altered,
    ConfigChange,
    ConfigsChanged,
    ConfigsReplaced,
    Resource,
    ResourceKind,
    decide_alter,
)
from app.core.manifest.facts import BrokerRegistered, ClusterFormed, FeatureRaised, TopicCreated
from app.core.manifest.manifest import Manifest
from app.errors import PolicyViolation, Rejected, UnsupportedVersion
from app.limits import CONFIGS_BYTES_MAX
from app.model import BrokerId, Incarnation, TopicId

ONE = BrokerId(1)


def cluster(level: int = 2) -> Manifest:
    manifest = Manifest()
    for fact in (
        ClusterFormed("cluster"),
        FeatureRaised(level),
        BrokerRegistered(ONE, Incarnation(1), (), None),
        TopicCreated(TopicId(b"a" * 16), "a", ((ONE,),), (("retention.ms", "5"),)),
    ):
        manifest.apply(fact)
    return manifest


def changed(name: str, config: str, value: str, kind: ResourceKind = "topic") -> Resource:
    return ConfigsChanged(kind, name, (ConfigChange(config, "set", value),))


def refused(manifest: Manifest, resource: Resource) -> Rejected:
    (answer,) = decide_alter(manifest, [resource])
    assert isinstance(answer, Rejected), answer
    return answer


def test_deciding_changes_nothing() -> None:
    manifest = cluster()
    before, policies = manifest.save(), manifest.policies
    answers = decide_alter(
        manifest,
        [
            changed("a", "retention.ms", "7"),
            changed("a.*", "retention.ms", "7"),
            changed("", "log.retention.ms", "7", "broker"),
            ConfigsReplaced("topic", "nope", {}),
        ],
    )
    assert [type(answer) for answer in answers[:3]] == [Altered] * 3
    assert manifest.save() == before and manifest.policies is policies
    assert manifest.by_name["a"].policy.retention_ms == 5


def test_a_cluster_below_the_level_says_so() -> None:
    with pytest.raises(UnsupportedVersion, match="at level 1 and this needs 2"):
        decide_alter(cluster(level=1), [changed("a", "retention.ms", "7")])


def test_the_prefixes_that_have_configs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_changes, "PREFIXES_MAX", 2)
    manifest = cluster()
    asked = [changed(f"{name}.*", "retention.ms", "7") for name in "xyz"]
    answers = decide_alter(manifest, asked)
    assert [type(answer) for answer in answers] == [Altered, Altered, PolicyViolation]
    assert str(answers[2]) == "2 prefixes have configs, the most allowed"
    for answer in answers:
        if isinstance(answer, Altered) and answer.fact is not None:
            manifest.apply(answer.fact)
    # One that has some may get others, and one that goes makes room.
    assert isinstance(decide_alter(manifest, [changed("x.*", "segment.ms", "7")])[0], Altered)
    answers = decide_alter(manifest, [ConfigsReplaced("topic", "x.*", {}), asked[2]])
    assert [type(answer) for answer in answers] == [Altered, Altered]


@pytest.mark.parametrize(
    ("name", "kind", "config"),
    [
        ("a", "topic", "cleanup.policy"),
        ("a.*", "topic", "cleanup.policy"),
        ("1", "broker", "log.cleanup.policy"),
    ],
)
def test_the_configs_of_one_resource_are_bounded(
    name: str, kind: ResourceKind, config: str
) -> None:
    blanks = "\u2003" * (CONFIGS_BYTES_MAX // 3)  # of three bytes each
    for long in (",".join(["delete"] * (CONFIGS_BYTES_MAX // 6)), f"{blanks}delete"):
        answer = refused(cluster(), changed(name, config, long, kind))
        assert isinstance(answer, PolicyViolation)
        assert str(answer) == "the values of all configs together have at most 32767 bytes"
