"""Effective configs: the order of places. More by example in tests/transcripts/manifest."""

from collections.abc import Mapping
from types import MappingProxyType

from app.core.effective_config import (
    ALL_BROKERS,
    Effective,
    EffectiveConfigs,
    Synonym,
)
from app.core.manifest.image import Image
from app.core.topic_config import TABLE

FILE = {"log.retention.ms": "6", "broker.id": "1"}


def image(
    prefixes: Mapping[str, Mapping[str, str]] | None = None,
    brokers: Mapping[int, Mapping[str, str]] | None = None,
) -> Image:
    return Image(
        prefix_configs=MappingProxyType(prefixes or {}),
        broker_configs=MappingProxyType(brokers or {}),
    )


def found(described: list[Effective], name: str) -> Effective:
    (one,) = [each for each in described if each.option.name == name]
    return one


def test_each_place_wins_over_those_behind_it() -> None:
    one = image(
        {"a.b.*": {"retention.ms": "2"}, "a.*": {"retention.ms": "3"}},
        {1: {"log.retention.ms": "4"}, ALL_BROKERS: {"log.retention.ms": "5"}, 2: {}},
    )
    described = EffectiveConfigs(one, 1, FILE).topic("a.b.c", {"retention.ms": "1"})
    assert [each.option for each in described] == list(TABLE)
    synonyms = found(described, "retention.ms").synonyms
    assert synonyms == (
        Synonym("retention.ms", "1", "topic"),
        Synonym("retention.ms", "2", "prefix", "a.b.*"),
        Synonym("retention.ms", "3", "prefix", "a.*"),
        Synonym("log.retention.ms", "4", "broker"),
        Synonym("log.retention.ms", "5", "brokers"),
        Synonym("log.retention.ms", "6", "file"),
        Synonym("log.retention.hours", "168", "default"),
    )
    below = EffectiveConfigs(one, 1, FILE).topic("a.b.c", {})
    assert found(below, "retention.ms").synonyms == synonyms[1:]
    assert (found(below, "retention.ms").source, found(below, "retention.ms").where) == (
        ("prefix", "a.b.*")
    )
    other = EffectiveConfigs(one, 2, FILE).topic("a", {})
    assert found(other, "retention.ms").synonyms == synonyms[4:]


def test_describing_many_is_describing_each() -> None:
    one = image({"a.*": {"retention.ms": "3"}}, {1: {"message.max.bytes": "4"}})
    all_of_them = EffectiveConfigs(one, 1, FILE)
    for name, configs in (("a.x", {}), ("a.y", {"segment.ms": "1"}), ("b", {}), ("a.*", {})):
        for _ in range(2):
            alone = EffectiveConfigs(one, 1, FILE).topic(name, configs)
            assert all_of_them.topic(name, configs) == alone


def test_what_a_caller_does_with_an_answer_changes_no_other() -> None:
    all_of_them = EffectiveConfigs(image(), 1, FILE)
    all_of_them.topic("a", {}).clear()
    assert len(all_of_them.topic("b", {})) == len(TABLE)


def test_a_broker_shows_everything_and_all_brokers_only_what_is_set() -> None:
    one = image(brokers={ALL_BROKERS: {"max.connections": "5"}})
    mine = EffectiveConfigs(one, 1, FILE).broker()
    assert found(mine, "broker.id").read_only and found(mine, "broker.id").value == "1"
    assert not found(mine, "max.connections").read_only
    assert found(mine, "max.connections").source == "brokers"
    (shown,) = EffectiveConfigs(one, 1, FILE).all_brokers()
    assert (shown.option.name, shown.value, shown.synonyms) == (
        ("max.connections", "5", (Synonym("max.connections", "5", "brokers"),))
    )
