"""Every served request and response version against frames of an independent codec.

Twin of `generate_messages.py`, which says how messages.json was made.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from streambus.protocol import api, frames
from streambus.protocol.messages import control, fetch, list_offsets, produce

CORRELATION_ID = 7
HAND_CODED = {api.PRODUCE: produce, api.FETCH: fetch, api.LIST_OFFSETS: list_offsets}
KEYS = {row.name: row.key for row in api.TABLE}


def revive(value: dict[str, Any]) -> Any:
    if value.keys() == {"hex"}:
        return bytes.fromhex(value["hex"])
    if value.keys() == {"uuid"}:
        return UUID(value["uuid"])
    return value


def load() -> list[SimpleNamespace]:
    text = Path(__file__).with_name("messages.json").read_text(encoding="utf-8")
    return [
        SimpleNamespace(
            key=KEYS[entry["message"].removesuffix("Request").removesuffix("Response")],
            is_request=entry["message"].endswith("Request"),
            version=entry["version"],
            sample=entry["sample"],
            fields=entry["fields"],
            frame=bytes.fromhex(entry["frame"]),
            id=f"{entry['message']}-v{entry['version']}-{entry['sample']}",
        )
        for entry in json.loads(text, object_hook=revive)["messages"]
    ]


GOLDEN = load()


def of(*, hand_coded: bool, is_request: bool) -> list[Any]:
    return [
        pytest.param(entry, id=entry.id)
        for entry in GOLDEN
        if (entry.key in HAND_CODED) == hand_coded and entry.is_request == is_request
    ]


def body_of(entry: SimpleNamespace) -> tuple[memoryview, int, int]:
    view = memoryview(entry.frame)
    assert int.from_bytes(view[:4]) == len(view) - 4
    if entry.is_request:
        header = frames.read_request_header(view, 4, len(view))
        client_id = "golden" if entry.sample == "full" else None
        assert header[:4] == (entry.key, entry.version, CORRELATION_ID, client_id)
        return view, header.body, len(view)
    flexible = frames.has_flexible_response_header(entry.key, entry.version)
    correlation_id, body = frames.read_response_header(view, 4, len(view), flexible=flexible)
    assert correlation_id == CORRELATION_ID
    return view, body, len(view)


def client_id_of(entry: SimpleNamespace) -> str | None:
    return "golden" if entry.sample == "full" else None


def name_of(topic: dict[str, Any], field: str) -> bytes | None:
    return topic[field].encode() if field in topic else None


def id_of(topic: dict[str, Any]) -> bytes | None:
    return topic["topic_id"].bytes if "topic_id" in topic else None


def leader_of(partition: dict[str, Any]) -> tuple[int, int] | None:
    leader = partition.get("current_leader")
    return None if leader is None else (leader["leader_id"], leader["leader_epoch"])


def endpoints_of(fields: dict[str, Any]) -> list[tuple[int, str, int, str | None]]:
    return [
        (node["node_id"], node["host"], node["port"], node["rack"])
        for node in fields.get("node_endpoints", [])
    ]


def produce_request(fields: dict[str, Any]) -> list[Any]:
    return [
        (
            name_of(topic, "name"),
            id_of(topic),
            [(partition["index"], partition["records"]) for partition in topic["partition_data"]],
        )
        for topic in fields["topic_data"]
    ]


def produce_response(fields: dict[str, Any]) -> list[Any]:
    return [
        (
            name_of(topic, "name"),
            id_of(topic),
            [
                (
                    partition["index"],
                    partition["error_code"],
                    partition["base_offset"],
                    partition["log_append_time_ms"],
                    partition.get("log_start_offset", -1),
                    partition.get("error_message"),
                    leader_of(partition),
                    [
                        (error["batch_index"], error["batch_index_error_message"])
                        for error in partition.get("record_errors", [])
                    ],
                )
                for partition in topic["partition_responses"]
            ],
        )
        for topic in fields["responses"]
    ]


def fetch_request(fields: dict[str, Any]) -> fetch.FetchRequest:
    partitions: list[Any] = []
    tags: dict[int, Any] = {}
    for topic in fields["topics"]:
        for wanted in topic["partitions"]:
            if "replica_directory_id" in wanted:
                directory_id = wanted["replica_directory_id"].bytes
                tags[len(partitions)] = (
                    directory_id,
                    wanted.get("high_watermark", fetch.INT64_MAX),
                )
            partitions.append(
                (
                    name_of(topic, "topic"),
                    id_of(topic),
                    wanted["partition"],
                    wanted.get("current_leader_epoch", -1),
                    wanted["fetch_offset"],
                    wanted.get("last_fetched_epoch", -1),
                    wanted.get("log_start_offset", -1),
                    wanted["partition_max_bytes"],
                )
            )
    state = fields.get("replica_state", {})
    request = fetch.FetchRequest(
        max_wait_ms=fields["max_wait_ms"],
        min_bytes=fields["min_bytes"],
        max_bytes=fields["max_bytes"],
        isolation=fields["isolation_level"],
        session_id=fields.get("session_id", 0),
        session_epoch=fields.get("session_epoch", -1),
        partitions=partitions,
        forgotten=[
            (name_of(topic, "topic"), id_of(topic), partition)
            for topic in fields.get("forgotten_topics_data", [])
            for partition in topic["partitions"]
        ],
        rack=fields.get("rack_id", ""),
        replica_id=state.get("replica_id", fields.get("replica_id", -1)),
        replica_epoch=state.get("replica_epoch", -1),
        cluster_id=fields.get("cluster_id"),
    )
    request.replica_tags = tags
    return request


def fetch_response(fields: dict[str, Any]) -> list[Any]:
    topics = []
    for topic in fields["responses"]:
        partitions = []
        for partition in topic["partitions"]:
            aborted = partition["aborted_transactions"]
            diverging = partition.get("diverging_epoch")
            records = partition["records"]
            partitions.append(
                (
                    partition["partition_index"],
                    partition["error_code"],
                    partition["high_watermark"],
                    partition["last_stable_offset"],
                    partition.get("log_start_offset", -1),
                    None
                    if aborted is None
                    else [(row["producer_id"], row["first_offset"]) for row in aborted],
                    partition.get("preferred_read_replica", -1),
                    None if diverging is None else (diverging["epoch"], diverging["end_offset"]),
                    leader_of(partition),
                    -1 if records is None else len(records),
                    [] if records is None else [records],
                )
            )
        topics.append((name_of(topic, "topic"), id_of(topic), partitions))
    return topics


def list_offsets_request(fields: dict[str, Any]) -> list_offsets.Request:
    return list_offsets.Request(
        [
            (
                topic["name"].encode(),
                [
                    (
                        asked["partition_index"],
                        asked.get("current_leader_epoch", -1),
                        asked["timestamp"],
                    )
                    for asked in topic["partitions"]
                ],
            )
            for topic in fields["topics"]
        ],
        fields["replica_id"],
        fields.get("isolation_level", 0),
        fields.get("timeout_ms", 0),
    )


def list_offsets_response(fields: dict[str, Any]) -> list[Any]:
    return [
        (
            topic["name"].encode(),
            [
                (
                    answer["partition_index"],
                    answer["error_code"],
                    answer["timestamp"],
                    answer["offset"],
                    answer.get("leader_epoch", -1),
                )
                for answer in topic["partitions"]
            ],
        )
        for topic in fields["topics"]
    ]


@pytest.mark.parametrize("entry", of(hand_coded=True, is_request=True))
def test_a_hand_coded_request_is_read_and_written_as_the_independent_codec_does(entry):
    view, body, end = body_of(entry)
    client_id, version, fields = client_id_of(entry), entry.version, entry.fields
    if entry.key == api.PRODUCE:
        topics = produce_request(fields)
        transactional_id, acks, timeout_ms, sent = produce.decode_request(view, body, end, version)
        assert (transactional_id, acks, timeout_ms) == (
            fields["transactional_id"],
            fields["acks"],
            fields["timeout_ms"],
        )
        found = [
            (name, topic_id, [(at, None if a < 0 else bytes(view[a:b])) for at, a, b in partitions])
            for name, topic_id, partitions in sent
        ]
        assert found == topics
        written = b"".join(
            produce.encode_request(
                CORRELATION_ID, client_id, version, acks, timeout_ms, topics, transactional_id
            )
        )
    elif entry.key == api.FETCH:
        request = fetch.decode_request(view, body, end, version)
        expected = fetch_request(fields)
        for slot in fetch.FetchRequest.__slots__:
            assert getattr(request, slot) == getattr(expected, slot), slot
        written = fetch.encode_request(CORRELATION_ID, client_id, version, expected)
    else:
        asked = list_offsets_request(fields)
        assert list_offsets.decode_request(view, body, end, version) == asked
        written = list_offsets.encode_request(CORRELATION_ID, client_id, version, asked)
    assert written == entry.frame


@pytest.mark.parametrize("entry", of(hand_coded=True, is_request=False))
def test_a_hand_coded_response_is_written_and_read_as_the_independent_codec_does(entry):
    view, body, end = body_of(entry)
    version, fields = entry.version, entry.fields
    throttle_ms = fields.get("throttle_time_ms", 0)
    if entry.key == api.PRODUCE:
        topics, endpoints = produce_response(fields), endpoints_of(fields)
        assert produce.decode_response(view, body, end, version) == (topics, throttle_ms, endpoints)
        written = produce.encode_response(CORRELATION_ID, version, topics, throttle_ms, endpoints)
    elif entry.key == api.FETCH:
        topics, endpoints = fetch_response(fields), endpoints_of(fields)
        error, session_id = fields.get("error_code", 0), fields.get("session_id", 0)
        response = fetch.decode_response(view, body, end, version)
        assert (response.throttle_ms, response.error, response.session_id) == (
            throttle_ms,
            error,
            session_id,
        )
        assert response.node_endpoints == endpoints
        assert [topic[:2] for topic in response.topics] == [topic[:2] for topic in topics]
        for found, expected in zip(response.topics, topics, strict=True):
            assert [tuple(part[:9]) for part in found[2]] == [part[:9] for part in expected[2]]
            records = [None if part.records is None else bytes(part.records) for part in found[2]]
            assert records == [part[10][0] if part[10] else None for part in expected[2]]
        (written,) = fetch.encode_response(
            CORRELATION_ID, version, throttle_ms, error, session_id, topics, endpoints
        )
    else:
        answers = list_offsets_response(fields)
        assert list_offsets.decode_response(view, body, end, version) == (answers, throttle_ms)
        written = list_offsets.encode_response(CORRELATION_ID, version, answers, throttle_ms)
    assert written == entry.frame


KIO_NAMES = {
    "throttle_time_ms": "throttle_time",
    "timeout_ms": "timeout",
    "transaction_timeout_ms": "transaction_timeout",
}


def assert_says(entity: Any, fields: dict[str, Any]) -> None:
    """The entity holds these fields of the sample, whatever kio calls them."""
    for name, expected in fields.items():
        if name == "authorized_operations":
            prefix = "topic" if hasattr(entity, "topic_authorized_operations") else "cluster"
            assert getattr(entity, f"{prefix}_{name}") == sum(1 << bit for bit in expected)
            continue
        value = getattr(entity, KIO_NAMES.get(name, name))
        if isinstance(expected, dict):
            assert_says(value, expected)
        elif isinstance(expected, list) and expected and isinstance(expected[0], dict):
            for inner, inner_fields in zip(value, expected, strict=True):
                assert_says(inner, inner_fields)
        elif isinstance(expected, list):
            assert list(value) == expected, name
        elif name in KIO_NAMES:
            assert value == control.span_ms(expected), name
        else:
            assert value == expected, name


@pytest.mark.parametrize("entry", of(hand_coded=False, is_request=True))
def test_a_control_request_is_read_and_written_as_the_independent_codec_does(entry):
    view, body, end = body_of(entry)
    entity = control.decode(entry.key, entry.version, view, body, end)
    assert_says(entity, entry.fields)
    assert control.encode_request(entity, CORRELATION_ID, client_id_of(entry)) == entry.frame


@pytest.mark.parametrize("entry", of(hand_coded=False, is_request=False))
def test_a_control_response_is_written_and_read_as_the_independent_codec_does(entry):
    view, body, end = body_of(entry)
    entity = control.decode_response(entry.key, entry.version, view, body, end)
    assert_says(entity, entry.fields)
    assert control.encode(entity, CORRELATION_ID, entry.version) == entry.frame


def test_no_served_version_is_without_golden_frames():
    seen = {(entry.key, entry.version, entry.is_request) for entry in GOLDEN}
    served = {
        (row.key, version, is_request)
        for row in api.TABLE
        for version in range(row.oldest, row.newest + 1)
        for is_request in (True, False)
    }
    assert seen == served
