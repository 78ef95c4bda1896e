"""What the golden messages of the administrative APIs say; see `message_samples.py`."""

from tests.golden.message_samples import DIRECTORY_ID, TOPIC_ID, Fields

SAMPLES: dict[str, dict[str, Fields]] = {}

SAMPLES["DeleteRecordsRequest"] = {
    "full": {
        "topics": [
            {
                "name": "orders",
                "partitions": [
                    {"partition_index": 0, "offset": 2**40},
                    {"partition_index": 1, "offset": -1},
                ],
            }
        ],
        "timeout_ms": 30_000,
    },
    "sparse": {"topics": [], "timeout_ms": 0},
}
SAMPLES["DeleteRecordsResponse"] = {
    "full": {
        "throttle_time_ms": 6,
        "topics": [
            {
                "name": "orders",
                "partitions": [
                    {"partition_index": 0, "low_watermark": 2**40, "error_code": 0},
                    {"partition_index": 1, "low_watermark": -1, "error_code": 1},
                ],
            }
        ],
    },
    "sparse": {"throttle_time_ms": 0, "topics": []},
}
SAMPLES["DescribeConfigsRequest"] = {
    "full": {
        "resources": [
            {"resource_type": 2, "resource_name": "orders", "configuration_keys": None},
            {"resource_type": 4, "resource_name": "1", "configuration_keys": ["log.dirs"]},
            {"resource_type": 4, "resource_name": "", "configuration_keys": []},
        ],
        "include_synonyms": True,
        "include_documentation": True,
    },
    "sparse": {"resources": []},
}
SAMPLES["DescribeConfigsResponse"] = {
    "full": {
        "throttle_time_ms": 5,
        "results": [
            {
                "error_code": 0,
                "error_message": None,
                "resource_type": 2,
                "resource_name": "orders",
                "configs": [
                    {
                        "name": "retention.ms",
                        "value": "1000",
                        "read_only": False,
                        "config_source": 1,
                        "is_sensitive": False,
                        "synonyms": [
                            {"name": "retention.ms", "value": "1000", "source": 1},
                            {"name": "app.*:retention.ms", "value": None, "source": 3},
                        ],
                        "config_type": 5,
                        "documentation": "How long.",
                    },
                    {
                        "name": "password",
                        "value": None,
                        "read_only": True,
                        "config_source": 4,
                        "is_sensitive": True,
                        "synonyms": [],
                        "config_type": 9,
                        "documentation": None,
                    },
                ],
            },
            {
                "error_code": 42,
                "error_message": "Unknown resource type 99",
                "resource_type": 99,
                "resource_name": "x",
                "configs": [],
            },
        ],
    },
    "sparse": {"throttle_time_ms": 0, "results": []},
}
SAMPLES["AlterConfigsRequest"] = {
    "full": {
        "resources": [
            {
                "resource_type": 2,
                "resource_name": "orders",
                "configs": [
                    {"name": "retention.ms", "value": "1000"},
                    {"name": "cleanup.policy", "value": None},
                ],
            }
        ],
        "validate_only": True,
    },
    "sparse": {"resources": [], "validate_only": False},
}
_ALTERED = {
    "full": {
        "throttle_time_ms": 2,
        "responses": [
            {
                "error_code": 40,
                "error_message": "no",
                "resource_type": 2,
                "resource_name": "orders",
            },
            {"error_code": 0, "error_message": None, "resource_type": 4, "resource_name": ""},
        ],
    },
    "sparse": {"throttle_time_ms": 0, "responses": []},
}
SAMPLES["AlterConfigsResponse"] = _ALTERED
SAMPLES["IncrementalAlterConfigsRequest"] = {
    "full": {
        "resources": [
            {
                "resource_type": 2,
                "resource_name": "orders",
                "configs": [
                    {"name": "retention.ms", "config_operation": 0, "value": "1000"},
                    {"name": "cleanup.policy", "config_operation": 1, "value": None},
                ],
            }
        ],
        "validate_only": True,
    },
    "sparse": {"resources": [], "validate_only": False},
}
SAMPLES["IncrementalAlterConfigsResponse"] = _ALTERED
SAMPLES["DescribeLogDirsRequest"] = {
    "full": {"topics": [{"topic": "orders", "partitions": [0, 7]}]},
    "sparse": {"topics": None},
}
SAMPLES["DescribeLogDirsResponse"] = {
    "full": {
        "throttle_time_ms": 9,
        "error_code": 31,
        "results": [
            {
                "error_code": 56,
                "log_dir": "/var/lib/streambus",
                "topics": [
                    {
                        "name": "orders",
                        "partitions": [
                            {
                                "partition_index": 7,
                                "partition_size": 2**40,
                                "offset_lag": 3,
                                "is_future_key": False,
                            }
                        ],
                    }
                ],
                "total_bytes": 2**41,
                "usable_bytes": -1,
                "is_cordoned": False,
            }
        ],
    },
    "sparse": {"throttle_time_ms": 0, "error_code": 0, "results": []},
}
SAMPLES["CreatePartitionsRequest"] = {
    "full": {
        "topics": [
            {"name": "orders", "count": 4, "assignments": None},
            {"name": "payments", "count": 2, "assignments": [{"broker_ids": [1, 2]}]},
        ],
        "timeout_ms": 1_000,
        "validate_only": True,
    },
    "sparse": {"topics": [], "timeout_ms": 0, "validate_only": False},
}
SAMPLES["CreatePartitionsResponse"] = {
    "full": {
        "throttle_time_ms": 1,
        "results": [
            {"name": "orders", "error_code": 37, "error_message": "not an increase"},
            {"name": "payments", "error_code": 0, "error_message": None},
        ],
    },
    "sparse": {"throttle_time_ms": 0, "results": []},
}
SAMPLES["DescribeQuorumRequest"] = {
    "full": {
        "topics": [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}]
    },
    "sparse": {"topics": []},
}
_VOTER = {
    "replica_id": 1,
    "replica_directory_id": DIRECTORY_ID,
    "log_end_offset": 12,
    "last_fetch_timestamp": 1_700_000_000_000,
    "last_caught_up_timestamp": -1,
}
SAMPLES["DescribeQuorumResponse"] = {
    "full": {
        "error_code": 0,
        "error_message": None,
        "topics": [
            {
                "topic_name": "__cluster_metadata",
                "partitions": [
                    {
                        "partition_index": 0,
                        "error_code": 3,
                        "error_message": "not here",
                        "leader_id": 1,
                        "leader_epoch": 4,
                        "high_watermark": 11,
                        "current_voters": [_VOTER],
                        "observers": [],
                    }
                ],
            }
        ],
        "nodes": [
            {"node_id": 1, "listeners": [{"name": "plain", "host": "127.0.0.1", "port": 65_535}]}
        ],
    },
    "sparse": {"error_code": 31, "error_message": "no", "topics": [], "nodes": []},
}
SAMPLES["DescribeClusterRequest"] = {
    "full": {
        "include_cluster_authorized_operations": True,
        "endpoint_type": 2,
        "include_fenced_brokers": True,
    },
    "sparse": {"include_cluster_authorized_operations": False},
}
SAMPLES["DescribeClusterResponse"] = {
    "full": {
        "throttle_time_ms": 4,
        "error_code": 114,
        "error_message": "not that kind",
        "endpoint_type": 1,
        "cluster_id": "cluster",
        "controller_id": 1,
        "brokers": [
            {"broker_id": 1, "host": "127.0.0.1", "port": 9092, "rack": "a", "is_fenced": True},
            {"broker_id": 2, "host": "b", "port": 9093, "rack": None, "is_fenced": False},
        ],
        "authorized_operations": [5, 8],
    },
    "sparse": {
        "throttle_time_ms": 0,
        "error_code": 0,
        "error_message": None,
        "cluster_id": "",
        "controller_id": -1,
        "brokers": [],
        "authorized_operations": [],
    },
}
SAMPLES["DescribeProducersRequest"] = {
    "full": {"topics": [{"name": "orders", "partition_indexes": [0, 7]}]},
    "sparse": {"topics": []},
}
SAMPLES["DescribeProducersResponse"] = {
    "full": {
        "throttle_time_ms": 7,
        "topics": [
            {
                "name": "orders",
                "partitions": [
                    {
                        "partition_index": 7,
                        "error_code": 6,
                        "error_message": "not the leader",
                        "active_producers": [
                            {
                                "producer_id": 2**40,
                                "producer_epoch": 3,
                                "last_sequence": 9,
                                "last_timestamp": 1_700_000_000_000,
                                "coordinator_epoch": -1,
                                "current_txn_start_offset": 5,
                            }
                        ],
                    }
                ],
            }
        ],
    },
    "sparse": {"throttle_time_ms": 0, "topics": []},
}
SAMPLES["ListConfigResourcesRequest"] = {
    "full": {"resource_types": [2, 4]},
    "sparse": {"resource_types": []},
}
SAMPLES["ListConfigResourcesResponse"] = {
    "full": {
        "throttle_time_ms": 3,
        "error_code": 35,
        "config_resources": [{"resource_name": "orders", "resource_type": 2}],
    },
    "sparse": {"throttle_time_ms": 0, "error_code": 0, "config_resources": []},
}
SAMPLES["DescribeTopicPartitionsRequest"] = {
    "full": {
        "topics": [{"name": "orders"}],
        "response_partition_limit": 17,
        "cursor": {"topic_name": "orders", "partition_index": 5},
    },
    "sparse": {"topics": [], "response_partition_limit": 2_000, "cursor": None},
}
SAMPLES["DescribeTopicPartitionsResponse"] = {
    "full": {
        "throttle_time_ms": 2,
        "topics": [
            {
                "error_code": 0,
                "name": "orders",
                "topic_id": TOPIC_ID,
                "is_internal": True,
                "partitions": [
                    {
                        "error_code": 5,
                        "partition_index": 5,
                        "leader_id": -1,
                        "leader_epoch": 3,
                        "replica_nodes": [1, 2],
                        "isr_nodes": [1],
                        "eligible_leader_replicas": [],
                        "last_known_elr": [],
                        "offline_replicas": [2],
                    }
                ],
                "topic_authorized_operations": 264,
            }
        ],
        "next_cursor": {"topic_name": "orders", "partition_index": 6},
    },
    "sparse": {"throttle_time_ms": 0, "topics": [], "next_cursor": None},
}
