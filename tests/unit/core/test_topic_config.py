"""Topic configs: what is taken, what it means, and how a wrong one is refused."""

import pytest

from app.core import topic_config, topic_policy
from app.core.topic_config import OPTIONS, TABLE, Kind
from app.errors import InvalidConfig


def test_the_defaults_of_the_table_are_the_defaults_of_the_policy() -> None:
    defaults = {option.name: option.default for option in TABLE}
    assert topic_config.check(dict(defaults)) == defaults
    assert topic_config.policy(defaults) == topic_policy.DEFAULT
    assert topic_config.policy({}) is topic_policy.DEFAULT


def test_every_field_of_the_policy_is_set_by_some_config() -> None:
    named = {option.field for option in TABLE if option.field}
    every = set(topic_policy.TopicPolicy.__dataclass_fields__)
    assert named == every - {"cleanup_compact", "cleanup_delete"}


def test_names_are_unique_and_sorted_and_say_what_they_do() -> None:
    names = [option.name for option in TABLE]
    assert names == sorted(set(names))
    assert all(option.doc.endswith(".") for option in TABLE)


def test_values_reach_the_policy_typed() -> None:
    policy = topic_config.policy(
        {
            "retention.ms": " +1000 ",
            "cleanup.policy": "compact, delete",
            "message.timestamp.type": "LogAppendTime",
            "compression.type": "zstd",
            "max.message.bytes": "0",
        }
    )
    assert policy.retention_ms == 1000
    assert policy.cleanup_compact and policy.cleanup_delete
    assert policy.timestamp_type == topic_policy.LOG_APPEND_TIME
    assert policy.compression == "zstd"
    assert policy.max_message_bytes == 0


def test_a_compacted_topic_deletes_nothing_by_age() -> None:
    policy = topic_config.policy({"cleanup.policy": "compact"})
    assert policy.cleanup_compact and not policy.cleanup_delete


def test_what_a_topic_does_not_set_comes_from_the_defaults_given() -> None:
    defaults = topic_policy.TopicPolicy(retention_ms=5, cleanup_compact=True)
    policy = topic_config.policy({"segment.ms": "7"}, defaults)
    assert (policy.retention_ms, policy.segment_ms, policy.cleanup_compact) == (5, 7, True)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("retention.ms", "abc", "LONG"),
        ("retention.ms", "1_000", "LONG"),
        ("retention.ms", "٣", "LONG"),
        ("retention.ms", "9223372036854775808", "LONG"),
        ("retention.ms", "9" * 5000, "LONG"),
        ("retention.ms", "", "LONG"),
        ("retention.ms", "-2", "at least -1"),
        ("retention.bytes", "-2", "at least -1"),
        ("max.message.bytes", "2147483648", "INT"),
        ("max.message.bytes", "-1", "at least 0"),
        ("min.insync.replicas", "0", "at least 1"),
        ("segment.bytes", "100", "at least 1048576"),
        ("cleanup.policy", "burn", "compact, delete"),
        ("cleanup.policy", "delete,", "compact, delete"),
        ("compression.type", "LZ4", "producer"),
        ("message.timestamp.type", "createtime", "CreateTime"),
        ("min.cleanable.dirty.ratio", "1.01", "no more than 1"),
        ("min.cleanable.dirty.ratio", "nan", "DOUBLE"),
        ("min.cleanable.dirty.ratio", "1e999", "DOUBLE"),
        ("preallocate", "yes", "true or false"),
        ("compression.gzip.level", "10", "no more than 9"),
        ("compression.gzip.level", "0", "not be 0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_is_allowed(
    name: str, value: str, why: str
) -> None:
    with pytest.raises(InvalidConfig, match=why) as caught:
        topic_config.check({name: value})
    assert name in str(caught.value)
    assert caught.value.code == 40


LONG_MAX = 2**63 - 1
INT_MAX = 2**31 - 1


# Apache Kafka 4.x `LogConfig.java`: the least, the most and the default of every whole number.
@pytest.mark.parametrize(
    ("name", "least", "most", "default"),
    [
        ("compression.gzip.level", -1, 9, -1),
        ("compression.lz4.level", 1, 17, 9),
        ("compression.zstd.level", -131_072, 22, 3),
        ("delete.retention.ms", 0, LONG_MAX, 86_400_000),
        ("file.delete.delay.ms", 0, LONG_MAX, 60_000),
        ("flush.messages", 1, LONG_MAX, LONG_MAX),
        ("flush.ms", 0, LONG_MAX, LONG_MAX),
        ("index.interval.bytes", 0, INT_MAX, 4096),
        ("max.compaction.lag.ms", 1, LONG_MAX, LONG_MAX),
        ("max.message.bytes", 0, INT_MAX, 1_048_588),
        ("message.timestamp.after.max.ms", 0, LONG_MAX, 3_600_000),
        ("message.timestamp.before.max.ms", 0, LONG_MAX, LONG_MAX),
        ("min.compaction.lag.ms", 0, LONG_MAX, 0),
        ("min.insync.replicas", 1, INT_MAX, 1),
        ("retention.bytes", -1, LONG_MAX, -1),
        ("retention.ms", -1, LONG_MAX, 604_800_000),
        ("segment.bytes", 1_048_576, INT_MAX, 1_073_741_824),
        ("segment.index.bytes", 4, INT_MAX, 10_485_760),
        ("segment.jitter.ms", 0, LONG_MAX, 0),
        ("segment.ms", 1, LONG_MAX, 604_800_000),
    ],
)
def test_a_whole_number_has_the_bounds_and_the_default_of_kafka(
    name: str, least: int, most: int, default: int
) -> None:
    option = OPTIONS[name]
    assert [option.parse(str(each)) for each in (least, most)] == [least, most]
    for outside in (least - 1, most + 1):
        with pytest.raises(InvalidConfig):
            option.parse(str(outside))
    assert option.parse(option.default) == default


def test_every_whole_number_is_held_to_those_of_kafka() -> None:
    marks = test_a_whole_number_has_the_bounds_and_the_default_of_kafka.pytestmark
    stated = {row[0] for row in marks[0].args[1]}
    assert stated == {each.name for each in TABLE if each.kind in (Kind.INT, Kind.LONG)}


def test_an_unknown_name_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(InvalidConfig, match=r"retention\.hours.*retention\.ms"):
        topic_config.check({"retention.hours": "1"})


def test_null_is_not_a_value() -> None:
    with pytest.raises(InvalidConfig, match="Null"):
        topic_config.check({"retention.ms": None})


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="conflict"):
        topic_config.check({"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "9"})


def test_texts_are_kept_as_they_were_given() -> None:
    assert topic_config.check({"retention.ms": "+7", "preallocate": "TRUE"}) == {
        "preallocate": "TRUE",
        "retention.ms": "+7",
    }


def test_each_default_parses_to_its_kind() -> None:
    kinds = {
        Kind.INT: int,
        Kind.LONG: int,
        Kind.DOUBLE: float,
        Kind.BOOLEAN: bool,
        Kind.STRING: str,
        Kind.LIST: tuple,
    }
    for option in OPTIONS.values():
        assert isinstance(option.parse(option.default), kinds[option.kind]), option.name
