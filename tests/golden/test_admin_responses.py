"""Hand-coded answers about configs and replicas against an independent codec, every version."""

from typing import Any

import pytest

from streambus.protocol import api
from streambus.protocol.messages import configs, replicas
from streambus.protocol.messages.configs import ConfigShown, SynonymShown, TopicMade
from streambus.protocol.messages.metadata import PartitionShown, TopicShown
from tests.golden.test_messages import CORRELATION_ID, GOLDEN


def config_of(fields: dict[str, Any]) -> ConfigShown:
    synonyms = [
        SynonymShown(each["name"], each["value"], each["source"])
        for each in fields.get("synonyms", ())
    ]
    return ConfigShown(
        fields["name"],
        fields["value"],
        fields["read_only"],
        fields["config_source"],
        fields["is_sensitive"],
        synonyms,
        fields.get("config_type", 0),
        fields.get("documentation"),
    )


def described_configs(version: int, fields: dict[str, Any]) -> bytes:
    resources = [
        configs.described_resource(
            version,
            each["error_code"],
            each["error_message"],
            each["resource_type"],
            each["resource_name"],
            [configs.described_entry(version, config_of(one)) for one in each["configs"]],
        )
        for each in fields["results"]
    ]
    throttle_ms = fields["throttle_time_ms"]
    return configs.encode_described(CORRELATION_ID, version, throttle_ms, resources)


def created_topics(version: int, fields: dict[str, Any]) -> bytes:
    topics = []
    for each in fields["topics"]:
        entries = each.get("configs", [])
        topic_id = each.get("topic_id")
        topics.append(
            configs.created_topic(
                version,
                TopicMade(
                    each["name"],
                    bytes(16) if topic_id is None else topic_id.bytes,
                    each["error_code"],
                    each["error_message"],
                    each.get("num_partitions", -1),
                    each.get("replication_factor", -1),
                    None
                    if entries is None
                    else [configs.created_entry(config_of(one)) for one in entries],
                    each.get("topic_config_error_code", 0),
                ),
            )
        )
    throttle_ms = fields["throttle_time_ms"]
    return configs.encode_created(CORRELATION_ID, version, throttle_ms, topics)


def topic_partitions(version: int, fields: dict[str, Any]) -> bytes:
    topics = []
    for each in fields["topics"]:
        partitions = [
            PartitionShown(
                one["error_code"],
                one["partition_index"],
                one["leader_id"],
                one["leader_epoch"],
                tuple(one["replica_nodes"]),
                tuple(one["isr_nodes"]),
                tuple(one["offline_replicas"]),
            )
            for one in each["partitions"]
        ]
        shown = TopicShown(
            each["error_code"],
            each["name"],
            each["topic_id"].bytes,
            each["is_internal"],
            partitions,
            each["topic_authorized_operations"],
        )
        topics.append(replicas.topic_partitions(shown))
    cursor = fields["next_cursor"] or {"topic_name": None, "partition_index": 0}
    return replicas.encode_topic_partitions(
        CORRELATION_ID,
        fields["throttle_time_ms"],
        topics,
        cursor["topic_name"],
        cursor["partition_index"],
    )


def log_dirs(version: int, fields: dict[str, Any]) -> bytes:
    directories = []
    for each in fields["results"]:
        topics = []
        for topic in each["topics"]:
            rows = [
                (one["partition_index"], one["partition_size"], one["offset_lag"])
                for one in topic["partitions"]
            ]
            topics.append(replicas.log_dir_topic(version, topic["name"], rows))
        directories.append(
            replicas.log_dir(
                version,
                each["error_code"],
                each["log_dir"],
                topics,
                each.get("total_bytes", -1),
                each.get("usable_bytes", -1),
            )
        )
    error = fields.get("error_code", 0)
    return replicas.encode_log_dirs(
        CORRELATION_ID, version, fields["throttle_time_ms"], error, directories
    )


def config_resources(version: int, fields: dict[str, Any]) -> bytes:
    resources = [
        (each.get("resource_type", 16), each["resource_name"])
        for each in fields["config_resources"]
    ]
    return configs.encode_resources(
        CORRELATION_ID, version, fields["throttle_time_ms"], fields["error_code"], resources
    )


ENCODERS = {
    api.LIST_CONFIG_RESOURCES: config_resources,
    api.DESCRIBE_CONFIGS: described_configs,
    api.CREATE_TOPICS: created_topics,
    api.DESCRIBE_TOPIC_PARTITIONS: topic_partitions,
    api.DESCRIBE_LOG_DIRS: log_dirs,
}


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(entry, id=entry.id)
        for entry in GOLDEN
        if entry.key in ENCODERS and not entry.is_request
    ],
)
def test_a_response_is_written_as_the_independent_codec_does(entry: Any) -> None:
    assert ENCODERS[entry.key](entry.version, entry.fields) == entry.frame
