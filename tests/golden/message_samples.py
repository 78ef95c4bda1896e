"""What the golden messages say: one full and one sparse sample of every request and response.

Field names are Kafka's in snake case. A version leaves out the fields that it does not have; one
that a sample does not name has the default of Kafka's schema.
"""

from typing import Any
from uuid import UUID

TOPIC_ID = UUID("01234567-89ab-4def-8123-456789abcdef")
DIRECTORY_ID = UUID("76543210-0000-4000-8000-00000000beef")
RECORDS = bytes(range(256)) + b"not a batch: nobody here looks inside"
ENDPOINTS = [
    {"node_id": 2, "host": "127.0.0.2", "port": 9093, "rack": "lab-1"},
    {"node_id": 3, "host": "broker-3.example", "port": 9094, "rack": None},
]
LEADER = {"leader_id": 2, "leader_epoch": 17}

Fields = dict[str, Any]
SAMPLES: dict[str, dict[str, Fields]] = {}

SAMPLES["ProduceRequest"] = {
    "full": {
        "transactional_id": "payments-tx",
        "acks": -1,
        "timeout_ms": 30_000,
        "topic_data": [
            {
                "name": "orders",
                "topic_id": TOPIC_ID,
                "partition_data": [
                    {"index": 0, "records": RECORDS},
                    {"index": 7, "records": None},
                    {"index": 8, "records": b"x" * 300},
                ],
            },
            {
                "name": "п-ünï",
                "topic_id": DIRECTORY_ID,
                "partition_data": [{"index": 1, "records": b""}],
            },
        ],
    },
    "sparse": {
        "transactional_id": None,
        "acks": 0,
        "timeout_ms": 1,
        "topic_data": [
            {
                "name": "t" * 249,
                "topic_id": TOPIC_ID,
                "partition_data": [{"index": 3, "records": b"r" * 62}],
            }
        ],
    },
}
SAMPLES["ProduceResponse"] = {
    "full": {
        "responses": [
            {
                "name": "orders",
                "topic_id": TOPIC_ID,
                "partition_responses": [
                    {
                        "index": 4,
                        "error_code": 87,
                        "base_offset": -1,
                        "log_append_time_ms": -1,
                        "log_start_offset": -1,
                        "record_errors": [
                            {"batch_index": 3, "batch_index_error_message": "no key"},
                            {"batch_index": 5, "batch_index_error_message": None},
                        ],
                        "error_message": "records without a key in a compacted topic",
                    },
                    {
                        "index": 5,
                        "error_code": 6,
                        "base_offset": -1,
                        "log_append_time_ms": -1,
                        "log_start_offset": -1,
                        "record_errors": [],
                        "error_message": None,
                        "current_leader": LEADER,
                    },
                ],
            }
        ],
        "throttle_time_ms": 250,
        "node_endpoints": ENDPOINTS,
    },
    "sparse": {
        "responses": [
            {
                "name": "orders",
                "topic_id": TOPIC_ID,
                "partition_responses": [
                    {
                        "index": 0,
                        "error_code": 0,
                        "base_offset": 2**40,
                        "log_append_time_ms": 1_732_500_000_000,
                        "log_start_offset": 12,
                        "record_errors": [],
                        "error_message": None,
                    }
                ],
            }
        ],
        "throttle_time_ms": 0,
    },
}
SAMPLES["FetchRequest"] = {
    "full": {
        "cluster_id": "cluster-a",
        "replica_id": 5,
        "replica_state": {"replica_id": 5, "replica_epoch": 99},
        "max_wait_ms": 500,
        "min_bytes": 1,
        "max_bytes": 52_428_800,
        "isolation_level": 1,
        "session_id": 77,
        "session_epoch": 3,
        "topics": [
            {
                "topic": "orders",
                "topic_id": TOPIC_ID,
                "partitions": [
                    {
                        "partition": 0,
                        "current_leader_epoch": 4,
                        "fetch_offset": 123_456_789_012,
                        "last_fetched_epoch": 3,
                        "log_start_offset": 17,
                        "partition_max_bytes": 1_048_576,
                        "replica_directory_id": DIRECTORY_ID,
                        "high_watermark": 123_456_789_000,
                    },
                    {
                        "partition": 1,
                        "current_leader_epoch": -1,
                        "fetch_offset": 0,
                        "last_fetched_epoch": -1,
                        "log_start_offset": -1,
                        "partition_max_bytes": 1,
                    },
                ],
            }
        ],
        "forgotten_topics_data": [
            {"topic": "old", "topic_id": DIRECTORY_ID, "partitions": [0, 1, 2]},
        ],
        "rack_id": "lab-1",
    },
    "sparse": {
        "replica_id": -1,
        "max_wait_ms": 0,
        "min_bytes": 0,
        "max_bytes": 1,
        "isolation_level": 0,
        "session_id": 0,
        "session_epoch": -1,
        "topics": [],
        "forgotten_topics_data": [],
        "rack_id": "",
    },
}
SAMPLES["FetchResponse"] = {
    "full": {
        "throttle_time_ms": 100,
        "error_code": 0,
        "session_id": 77,
        "responses": [
            {
                "topic": "orders",
                "topic_id": TOPIC_ID,
                "partitions": [
                    {
                        "partition_index": 0,
                        "error_code": 0,
                        "high_watermark": 1000,
                        "last_stable_offset": 990,
                        "log_start_offset": 10,
                        "aborted_transactions": [
                            {"producer_id": 4000, "first_offset": 900},
                            {"producer_id": 4001, "first_offset": 905},
                        ],
                        "preferred_read_replica": 2,
                        "records": RECORDS,
                    },
                    {
                        "partition_index": 1,
                        "error_code": 74,
                        "high_watermark": -1,
                        "last_stable_offset": -1,
                        "log_start_offset": -1,
                        "diverging_epoch": {"epoch": 6, "end_offset": 555},
                        "current_leader": LEADER,
                        "aborted_transactions": [],
                        "preferred_read_replica": -1,
                        "records": b"",
                    },
                ],
            }
        ],
        "node_endpoints": ENDPOINTS,
    },
    "sparse": {
        "throttle_time_ms": 0,
        "error_code": 70,
        "session_id": 0,
        "responses": [
            {
                "topic": "orders",
                "topic_id": TOPIC_ID,
                "partitions": [
                    {
                        "partition_index": 0,
                        "error_code": 3,
                        "high_watermark": -1,
                        "last_stable_offset": -1,
                        "log_start_offset": -1,
                        "aborted_transactions": None,
                        "preferred_read_replica": -1,
                        "records": None,
                    }
                ],
            }
        ],
    },
}
SAMPLES["ListOffsetsRequest"] = {
    "full": {
        "replica_id": -1,
        "isolation_level": 1,
        "topics": [
            {
                "name": "orders",
                "partitions": [
                    {"partition_index": 0, "current_leader_epoch": 4, "timestamp": -1},
                    {
                        "partition_index": 1,
                        "current_leader_epoch": -1,
                        "timestamp": 1_732_500_000_000,
                    },
                ],
            },
            {"name": "empty", "partitions": []},
        ],
        "timeout_ms": 15_000,
    },
    "sparse": {"replica_id": 3, "isolation_level": 0, "topics": [], "timeout_ms": 0},
}
SAMPLES["ListOffsetsResponse"] = {
    "full": {
        "throttle_time_ms": 30,
        "topics": [
            {
                "name": "orders",
                "partitions": [
                    {
                        "partition_index": 0,
                        "error_code": 0,
                        "timestamp": 1_732_500_000_001,
                        "offset": 42,
                        "leader_epoch": 4,
                    },
                    {
                        "partition_index": 1,
                        "error_code": 3,
                        "timestamp": -1,
                        "offset": -1,
                        "leader_epoch": -1,
                    },
                ],
            }
        ],
    },
    "sparse": {"throttle_time_ms": 0, "topics": []},
}
SAMPLES["MetadataRequest"] = {
    "full": {
        "topics": [{"topic_id": None, "name": "orders"}, {"topic_id": None, "name": "п-ünï"}],
        "allow_auto_topic_creation": False,
        "include_cluster_authorized_operations": True,
        "include_topic_authorized_operations": True,
    },
    "sparse": {"topics": [], "allow_auto_topic_creation": True},
}
SAMPLES["MetadataResponse"] = {
    "full": {
        "throttle_time_ms": 5,
        "brokers": ENDPOINTS,
        "cluster_id": "cluster-a",
        "controller_id": 2,
        "topics": [
            {
                "error_code": 0,
                "name": "orders",
                "topic_id": TOPIC_ID,
                "is_internal": True,
                "partitions": [
                    {
                        "error_code": 0,
                        "partition_index": 0,
                        "leader_id": 2,
                        "leader_epoch": 17,
                        "replica_nodes": [2, 3],
                        "isr_nodes": [2],
                        "offline_replicas": [3],
                    }
                ],
                "authorized_operations": [3, 4, 8],
            },
            {
                "error_code": 3,
                "name": "gone",
                "topic_id": None,
                "is_internal": False,
                "partitions": [],
            },
        ],
        "authorized_operations": [5, 9],
        "error_code": 0,
    },
    "sparse": {"brokers": [], "topics": [], "cluster_id": None, "controller_id": -1},
}
SAMPLES["FindCoordinatorRequest"] = {
    "full": {"key": "group-a", "key_type": 1, "coordinator_keys": ["group-a", "group-b"]},
    "sparse": {"key": "", "key_type": 0, "coordinator_keys": []},
}
SAMPLES["FindCoordinatorResponse"] = {
    "full": {
        "throttle_time_ms": 9,
        "error_code": 15,
        "error_message": "no coordinator here yet",
        "node_id": 2,
        "host": "127.0.0.2",
        "port": 9093,
        "coordinators": [
            {
                "key": "group-a",
                "node_id": 2,
                "host": "127.0.0.2",
                "port": 9093,
                "error_code": 0,
                "error_message": None,
            },
            {
                "key": "group-b",
                "node_id": -1,
                "host": "",
                "port": -1,
                "error_code": 15,
                "error_message": "no coordinator here yet",
            },
        ],
    },
    "sparse": {
        "error_code": 0,
        "error_message": None,
        "node_id": -1,
        "host": "",
        "port": -1,
        "coordinators": [],
    },
}
SAMPLES["ApiVersionsRequest"] = {
    "full": {"client_software_name": "streambus", "client_software_version": "0.1.0"},
    "sparse": {"client_software_name": "", "client_software_version": ""},
}
SAMPLES["ApiVersionsResponse"] = {
    "full": {
        "error_code": 0,
        "api_keys": [
            {"api_key": 0, "min_version": 0, "max_version": 13},
            {"api_key": 18, "min_version": 0, "max_version": 4},
        ],
        "throttle_time_ms": 4,
        "supported_features": [{"name": "transaction.version", "min_version": 1, "max_version": 2}],
        "finalized_features_epoch": 12,
        "finalized_features": [
            {"name": "transaction.version", "max_version_level": 2, "min_version_level": 1}
        ],
        "zk_migration_ready": True,
    },
    "sparse": {"error_code": 35, "api_keys": []},
}
SAMPLES["CreateTopicsRequest"] = {
    "full": {
        "topics": [
            {
                "name": "orders",
                "num_partitions": -1,
                "replication_factor": -1,
                "assignments": [
                    {"partition_index": 0, "broker_ids": [1, 2]},
                    {"partition_index": 1, "broker_ids": []},
                ],
                "configs": [
                    {"name": "retention.ms", "value": "1000"},
                    {"name": "cleanup.policy", "value": None},
                ],
            }
        ],
        "timeout_ms": 60_000,
        "validate_only": True,
    },
    "sparse": {
        "topics": [
            {
                "name": "t",
                "num_partitions": 4,
                "replication_factor": 1,
                "assignments": [],
                "configs": [],
            }
        ],
        "timeout_ms": 1,
    },
}
SAMPLES["CreateTopicsResponse"] = {
    "full": {
        "throttle_time_ms": 3,
        "topics": [
            {
                "name": "orders",
                "topic_id": TOPIC_ID,
                "error_code": 0,
                "error_message": None,
                "topic_config_error_code": 29,
                "num_partitions": 4,
                "replication_factor": 1,
                "configs": [
                    {
                        "name": "retention.ms",
                        "value": "1000",
                        "read_only": False,
                        "config_source": 1,
                        "is_sensitive": True,
                    }
                ],
            },
            {
                "name": "bad/name",
                "topic_id": None,
                "error_code": 17,
                "error_message": "a name may not contain /",
                "num_partitions": -1,
                "replication_factor": -1,
                "configs": None,
            },
        ],
    },
    "sparse": {"throttle_time_ms": 0, "topics": []},
}
SAMPLES["DeleteTopicsRequest"] = {
    "full": {
        "topics": [{"name": "orders", "topic_id": None}, {"name": None, "topic_id": TOPIC_ID}],
        "topic_names": ["orders", "old"],
        "timeout_ms": 30_000,
    },
    "sparse": {"topics": [], "topic_names": [], "timeout_ms": 0},
}
SAMPLES["DeleteTopicsResponse"] = {
    "full": {
        "throttle_time_ms": 8,
        "responses": [
            {
                "name": "orders",
                "topic_id": TOPIC_ID,
                "error_code": 41,
                "error_message": "not the controller",
            },
            {"name": "old", "topic_id": None, "error_code": 0, "error_message": None},
        ],
    },
    "sparse": {"throttle_time_ms": 0, "responses": []},
}
SAMPLES["InitProducerIdRequest"] = {
    "full": {
        "transactional_id": "payments-tx",
        "transaction_timeout_ms": 60_000,
        "producer_id": 4000,
        "producer_epoch": 6,
    },
    "sparse": {"transactional_id": None, "transaction_timeout_ms": 0},
}
SAMPLES["InitProducerIdResponse"] = {
    "full": {"throttle_time_ms": 1, "error_code": 0, "producer_id": 2**40, "producer_epoch": 7},
    "sparse": {"throttle_time_ms": 0, "error_code": 47, "producer_id": -1, "producer_epoch": -1},
}
SAMPLES["OffsetForLeaderEpochRequest"] = {
    "full": {
        "replica_id": 2,
        "topics": [
            {
                "topic": "orders",
                "partitions": [
                    {"partition": 0, "current_leader_epoch": 9, "leader_epoch": 8},
                    {"partition": 1, "current_leader_epoch": -1, "leader_epoch": 0},
                ],
            }
        ],
    },
    "sparse": {"replica_id": -1, "topics": []},
}
SAMPLES["OffsetForLeaderEpochResponse"] = {
    "full": {
        "throttle_time_ms": 2,
        "topics": [
            {
                "topic": "orders",
                "partitions": [
                    {"error_code": 0, "partition": 0, "leader_epoch": 8, "end_offset": 5_000},
                    {"error_code": 75, "partition": 1, "leader_epoch": -1, "end_offset": -1},
                ],
            }
        ],
    },
    "sparse": {"throttle_time_ms": 0, "topics": []},
}
