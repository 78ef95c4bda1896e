"""Every API meets the authorizer and the quotas: denying and throttling change each answer.

The cases are checked against the routing table, so an API without one fails here.
"""

from collections.abc import Callable
from typing import Any

import pytest

from app.kafka.handlers import ROUTES
from app.kafka.router import Router
from app.model import Principal
from app.security.ports import AllowAll, Unlimited
from tests.unit.kafka.arrange import (
    CLIENT_ID,
    NAMES,
    DenyAll,
    Kit,
    Throttle,
    decoded,
    frames,
    id_of,
    records,
    request,
    settled,
)

ALICE = Principal("User", "alice")
NOTHING_TO_DENY = {
    18: "ApiVersions is asked before anyone is known",
    60: "DescribeCluster tells everybody what Metadata tells",
}
HAS_NO_THROTTLE_TIME = {55: "DescribeQuorum was made for brokers"}

Case = tuple[int, dict[str, Any], Callable[[Any], int]]

ADMINISTRATION: dict[int, Case] = {
    21: (
        1,
        {
            "topics": [
                {"name": "orders", "partitions": [{"partition_index": 9, "offset": 0}]},
            ],
            "timeout_ms": 1_000,
        },
        lambda answer: answer.topics[0].partitions[0].error_code,
    ),
    32: (
        4,
        {
            "resources": [
                {"resource_type": 2, "resource_name": "orders", "configuration_keys": None}
            ],
            "include_synonyms": False,
            "include_documentation": False,
        },
        lambda answer: answer.results[0].error_code,
    ),
    33: (
        1,
        {
            "resources": [{"resource_type": 2, "resource_name": "nowhere", "configs": []}],
            "validate_only": False,
        },
        lambda answer: answer.responses[0].error_code,
    ),
    35: (4, {"topics": None}, lambda answer: answer.error_code),
    37: (
        2,
        {
            "topics": [{"name": "nowhere", "count": 9, "assignments": None}],
            "timeout_ms": 1_000,
            "validate_only": False,
        },
        lambda answer: answer.results[0].error_code,
    ),
    44: (
        1,
        {
            "resources": [{"resource_type": 2, "resource_name": "nowhere", "configs": []}],
            "validate_only": False,
        },
        lambda answer: answer.responses[0].error_code,
    ),
    55: (
        2,
        {"topics": [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}]},
        lambda answer: answer.error_code,
    ),
    60: (
        1,
        {"include_cluster_authorized_operations": True, "endpoint_type": 1},
        lambda answer: answer.error_code,
    ),
    61: (
        0,
        {"topics": [{"name": "orders", "partition_indexes": [9]}]},
        lambda answer: answer.topics[0].partitions[0].error_code,
    ),
    74: (1, {"resource_types": []}, lambda answer: answer.error_code),
    75: (
        0,
        {"topics": [{"name": "orders"}], "response_partition_limit": 9, "cursor": None},
        lambda answer: answer.topics[0].error_code,
    ),
}

# One request of each API that is answered at once, and where its answer keeps the error code.
CASES: dict[int, Case] = {
    0: (
        9,
        {
            "transactional_id": None,
            "acks": -1,
            "timeout_ms": 1_000,
            "topic_data": [
                {"name": "orders", "partition_data": [{"index": 9, "records": records()}]}
            ],
        },
        lambda answer: answer.responses[0].partition_responses[0].error_code,
    ),
    1: (
        4,
        {
            "replica_id": -1,
            "max_wait_ms": 0,
            "min_bytes": 0,
            "max_bytes": 1,
            "isolation_level": 0,
            "topics": [
                {
                    "topic": "orders",
                    "partitions": [{"partition": 9, "fetch_offset": 0, "partition_max_bytes": 1}],
                }
            ],
        },
        lambda answer: answer.responses[0].partitions[0].error_code,
    ),
    2: (
        5,
        {
            "replica_id": -1,
            "isolation_level": 0,
            "topics": [
                {
                    "name": "orders",
                    "partitions": [
                        {"partition_index": 9, "current_leader_epoch": -1, "timestamp": -1}
                    ],
                }
            ],
        },
        lambda answer: answer.topics[0].partitions[0].error_code,
    ),
    3: (
        9,
        {"topics": [{"name": "orders"}], "allow_auto_topic_creation": False},
        lambda answer: answer.topics[0].error_code,
    ),
    10: (
        3,
        {"key": "group", "key_type": 0},
        lambda answer: answer.error_code,
    ),
    18: (
        3,
        {"client_software_name": "tester", "client_software_version": "1"},
        lambda answer: answer.error_code,
    ),
    19: (
        5,
        {
            "topics": [
                {
                    "name": "fresh",
                    "num_partitions": 1,
                    "replication_factor": 1,
                    "assignments": [],
                    "configs": [],
                }
            ],
            "timeout_ms": 1_000,
            "validate_only": False,
        },
        lambda answer: answer.topics[0].error_code,
    ),
    20: (
        6,
        {"topics": [{"name": "orders", "topic_id": None}], "timeout_ms": 1_000},
        lambda answer: answer.responses[0].error_code,
    ),
    22: (
        4,
        {
            "transactional_id": None,
            "transaction_timeout_ms": 1_000,
            "producer_id": -1,
            "producer_epoch": -1,
        },
        lambda answer: answer.error_code,
    ),
    23: (
        4,
        {
            "replica_id": -1,
            "topics": [
                {
                    "topic": "orders",
                    "partitions": [{"partition": 9, "current_leader_epoch": -1, "leader_epoch": 1}],
                }
            ],
        },
        lambda answer: answer.topics[0].partitions[0].error_code,
    ),
    **ADMINISTRATION,
}

EVERY_API = pytest.mark.parametrize(
    "key", sorted(Router(ROUTES).routes), ids=lambda key: NAMES[key]
)


async def answer(key: int, *, authorizer: Any = None, quotas: Any = None) -> tuple[Any, Kit]:
    version, fields, _ = CASES[key]
    async with Kit(authorizer=authorizer, quotas=quotas) as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.connection.principal = ALICE  # as authentication will say
        peer.send(request(NAMES[key], version, **fields))
        await settled()
        (frame,) = frames(peer.taken())
        return decoded(NAMES[key], version, frame), kit


@EVERY_API
async def test_denying_changes_the_answer(key: int) -> None:
    authorizer = DenyAll()
    code_of = CASES[key][2]
    allowed, _ = await answer(key, authorizer=AllowAll())
    denied, _ = await answer(key, authorizer=authorizer)
    if key in NOTHING_TO_DENY:
        assert code_of(denied) == code_of(allowed) == 0
        return
    assert code_of(denied) in (29, 30, 31, 53)
    assert code_of(allowed) not in (-1, 29, 30, 31, 53)
    assert authorizer.asked, "the principal did not reach the authorizer"
    assert all(principal is ALICE for principal, *_ in authorizer.asked)


@EVERY_API
async def test_throttling_changes_the_answer_and_mutes_the_connection(key: int) -> None:
    quotas = Throttle(700)
    free, _ = await answer(key, quotas=Unlimited())
    throttled, _ = await answer(key, quotas=quotas)
    if key not in HAS_NO_THROTTLE_TIME:
        assert (free.throttle_time_ms, throttled.throttle_time_ms) == (0, 700)
    ((principal, client_id, charged_key, size),) = quotas.charged
    assert (principal, client_id, charged_key) == (ALICE, CLIENT_ID, key)
    assert size >= 0


@EVERY_API
async def test_a_muted_connection_is_not_served_until_its_time_is_over(key: int) -> None:
    version, fields, _ = CASES[key]
    async with Kit(quotas=Throttle(700)) as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(request(NAMES[key], version, 1, **fields))
        peer.send(request(NAMES[key], version, 2, **fields))
        await settled()
        assert len(frames(peer.taken())) == 1
        kit.world.advance(699)
        await settled()
        assert peer.taken() == b""
        kit.world.advance(1)
        await settled()
        assert len(frames(peer.taken())) == 1


def test_every_api_has_a_case() -> None:
    assert set(CASES) == set(Router(ROUTES).routes)
    assert id_of("orders") is not None
