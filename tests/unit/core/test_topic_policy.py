"""TopicPolicy."""

import dataclasses

import pytest

from app.core.topic_policy import DEFAULT, TopicPolicy


def test_the_defaults_are_those_of_kafka() -> None:
    assert TopicPolicy() == DEFAULT
    assert dataclasses.asdict(DEFAULT) == {
        "max_message_bytes": 1_048_588,
        "timestamp_type": "CreateTime",
        "timestamp_before_max_ms": 2**63 - 1,
        "timestamp_after_max_ms": 3_600_000,
        "compression": "producer",
        "gzip_level": -1,
        "lz4_level": 9,
        "zstd_level": 3,
        "cleanup_compact": False,
        "cleanup_delete": True,
        "min_insync_replicas": 1,
        "retention_ms": 604_800_000,
        "retention_bytes": -1,
        "segment_ms": 604_800_000,
        "segment_bytes": 1_073_741_824,
        "delete_retention_ms": 86_400_000,
        "min_compaction_lag_ms": 0,
        "max_compaction_lag_ms": 2**63 - 1,
    }


def test_a_policy_is_a_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULT.retention_ms = 1  # type: ignore[misc]
