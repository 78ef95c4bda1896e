"""Broker configs: Kafka's names for what a broker has here."""

import pytest

from app.core import broker_config, topic_config
from app.core.broker_config import DEFAULT_OF, OPTIONS, TABLE
from app.errors import InvalidConfig


def test_names_are_unique_and_sorted_and_say_what_they_do() -> None:
    names = [option.name for option in TABLE]
    assert names == sorted(set(names))
    assert all(option.doc.endswith(".") for option in TABLE)


def test_every_topic_config_has_its_default_here_of_the_same_type_and_bounds() -> None:
    assert set(DEFAULT_OF) == set(topic_config.OPTIONS)
    for name, option in DEFAULT_OF.items():
        topic = topic_config.OPTIONS[name]
        assert option.topic == name and option.dynamic == "cluster-wide"
        assert (option.kind, option.minimum, option.maximum, option.gap, option.allowed) == (
            (topic.kind, topic.minimum, topic.maximum, topic.gap, topic.allowed)
        )
        assert (
            option.default == topic.default
            or (option.default is None and option.older)
            or (option.name == "log.flush.interval.ms")
        )


def test_older_names_are_configs_too_and_never_change_at_run_time() -> None:
    older = {name for option in TABLE for name in option.older}
    assert older == {
        "log.retention.hours",
        "log.retention.minutes",
        "log.roll.hours",
        "log.roll.jitter.hours",
    }
    assert all(OPTIONS[name].dynamic == "read-only" for name in older)


def test_each_default_parses_to_its_kind() -> None:
    for option in TABLE:
        if option.default is not None:
            option.parse(option.default)


def test_what_kafka_keeps_read_only_is_read_only() -> None:
    for name in (
        "auto.create.topics.enable",
        "broker.id",
        "connections.max.idle.ms",
        "default.replication.factor",
        "fetch.max.bytes",
        "log.dirs",
        "log.retention.check.interval.ms",
        "num.partitions",
        "socket.request.max.bytes",
    ):
        assert OPTIONS[name].dynamic == "read-only"


def test_the_first_level_that_sets_a_default_of_topics_decides() -> None:
    levels = (
        {"log.retention.ms": "1", "max.connections": "5"},
        {"log.retention.ms": "2", "message.max.bytes": "3"},
        {"message.max.bytes": "4", "log.roll.ms": "5", "retention.bytes": "6"},
    )
    assert broker_config.topic_defaults(levels) == {
        "retention.ms": "1",
        "max.message.bytes": "3",
        "segment.ms": "5",
    }


def test_a_number_is_that_of_the_first_level_or_the_default() -> None:
    name = broker_config.CONNECTIONS_MAX
    assert broker_config.number(({}, {name: "7"}, {name: "8"}), name) == 7
    assert broker_config.number(({},), name) == 10_000


def test_connections_may_be_bounded_to_none_and_to_no_fewer() -> None:
    assert OPTIONS["max.connections"].parse("0") == 0
    with pytest.raises(InvalidConfig, match="at least 0"):
        OPTIONS["max.connections"].parse("-1")
