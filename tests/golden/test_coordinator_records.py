"""The records that Apache Kafka writes to `__consumer_offsets`, read and written as it does."""

import json
from base64 import b64decode, urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from streambus.protocol import coordinator_records as records
from streambus.protocol.coordinator_records import (
    GroupKey,
    GroupValue,
    MemberValue,
    OffsetKey,
    OffsetValue,
    Unknown,
)

ENTRIES = json.loads(Path(__file__).with_name("coordinator_records.json").read_text())


def name_of(entry: dict[str, Any]) -> str:
    return f"{entry['from']}-{entry['type']}-v{entry.get('version')}".replace(" ", "_")


def expected_key(entry: dict[str, Any]) -> records.Key:
    if entry["type"] > records.GROUP_TYPE:
        return Unknown(entry["type"])
    fields = entry["key_fields"]
    return GroupKey(**fields) if entry["type"] == records.GROUP_TYPE else OffsetKey(**fields)


def expected_offset(fields: dict[str, Any]) -> OffsetValue:
    topic_id = fields.get("topicId")
    return OffsetValue(
        fields["offset"],
        fields.get("leaderEpoch", -1),
        fields["metadata"],
        fields["commitTimestamp"],
        fields.get("expireTimestamp"),
        None if topic_id is None else urlsafe_b64decode(topic_id + "=="),
    )


def expected_group(fields: dict[str, Any]) -> GroupValue:
    return GroupValue(
        fields["protocolType"],
        fields["generation"],
        fields["protocol"],
        fields["leader"],
        fields.get("currentStateTimestamp", -1),
        tuple(
            MemberValue(
                member["memberId"],
                member.get("groupInstanceId"),
                member["clientId"],
                member["clientHost"],
                member.get("rebalanceTimeout", member["sessionTimeout"]),
                member["sessionTimeout"],
                b64decode(member["subscription"]),
                b64decode(member["assignment"]),
            )
            for member in fields["members"]
        ),
    )


def test_the_file_has_every_version_and_what_a_group_writes_in_its_life() -> None:
    made = {(each["type"], each["version"]) for each in ENTRIES if each["from"] == "every version"}
    assert made == {(type, version) for type in (1, 2) for version in range(5)}
    log = [each for each in ENTRIES if each["from"] == "log"]
    assert {each["type"] for each in log} >= {1, 2, 3, 5, 6, 7, 8}
    assert {each.get("version") for each in log if each["type"] == 1} == {None, 1, 4}
    groups = [each["value_fields"] for each in log if each["type"] == 2 and each["value"]]
    assert {len(group["members"]) for group in groups} == {0, 1, 2}
    instances = {
        member["groupInstanceId"] is None for group in groups for member in group["members"]
    }
    assert instances == {True, False}


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_a_key_reads_as_kafka_reads_it(entry: dict[str, Any]) -> None:
    assert records.decode_key(bytes.fromhex(entry["key"])) == expected_key(entry)


KNOWN = [entry for entry in ENTRIES if entry["type"] <= records.GROUP_TYPE]


@pytest.mark.parametrize("entry", KNOWN, ids=name_of)
def test_a_key_is_written_as_kafka_writes_it(entry: dict[str, Any]) -> None:
    key = expected_key(entry)
    assert not isinstance(key, Unknown)
    current = entry["type"].to_bytes(2) if entry["type"] else b"\x00\x01"
    assert records.encode_key(key) == current + bytes.fromhex(entry["key"])[2:]


VALUES = [entry for entry in ENTRIES if entry.get("value_fields")]


@pytest.mark.parametrize("entry", VALUES, ids=name_of)
def test_a_value_reads_as_kafka_reads_it(entry: dict[str, Any]) -> None:
    value = bytes.fromhex(entry["value"])
    if entry["type"] == records.GROUP_TYPE:
        assert records.decode_group_value(value) == expected_group(entry["value_fields"])
    else:
        assert records.decode_offset_value(value) == expected_offset(entry["value_fields"])


CURRENT = {(1, 1), (1, 4), (2, 3)}
AS_WRITTEN = [entry for entry in VALUES if (entry["type"], entry["version"]) in CURRENT]


def test_all_that_a_broker_wrote_is_of_the_versions_that_we_write() -> None:
    log = [entry for entry in VALUES if entry["from"] == "log"]
    assert {(entry["type"], entry["version"]) for entry in log} == CURRENT


@pytest.mark.parametrize("entry", AS_WRITTEN, ids=name_of)
def test_a_value_is_written_as_kafka_writes_it(entry: dict[str, Any]) -> None:
    fields = entry["value_fields"]
    value = expected_group(fields) if entry["type"] == 2 else expected_offset(fields)
    assert records.encode_value(value) == bytes.fromhex(entry["value"])
