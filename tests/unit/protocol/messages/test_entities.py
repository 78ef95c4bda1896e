"""Twin of streambus/protocol/messages/entities.py; property tests compare it with kio's reader."""

from dataclasses import dataclass, field

import pytest
from kio.schema.errors import ErrorCode

from streambus.errors import Malformed
from streambus.protocol import api
from streambus.protocol.messages import control
from streambus.protocol.messages.entities import entity_reader
from streambus.protocol.wire import Reader


def decode(key: int, version: int, data: bytes):
    return control.decode(key, version, memoryview(data), 0, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff\x07",  # two billion topics: kio's own reader aborts the process here
        b"\xff\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\x0f" + bytes(100),
        b"\x02" + bytes(16) + b"\xff\xff\xff\xff\x07",
        b"\x02" + bytes(16) + b"\x03\xff\xff\x00\x00\x00\x00",
        b"",
    ],
)
def test_hostile_metadata_requests_are_malformed(data):
    with pytest.raises(Malformed, match="MetadataRequest v12"):
        decode(api.METADATA, 12, data)


def test_null_topics_mean_all_topics_where_null_is_allowed():
    assert decode(api.METADATA, 1, b"\xff\xff\xff\xff").topics is None
    with pytest.raises(Malformed):
        decode(api.METADATA, 0, b"\xff\xff\xff\xff")


def test_bytes_after_the_message_are_ignored_as_kafka_ignores_them():
    assert decode(api.METADATA, 1, b"\x00\x00\x00\x00 and more").topics == ()


def test_an_error_code_that_nobody_knows_yet_is_still_an_error():
    data = memoryview(b"\x00\x00\x00\x00" + b"\x03\xe7" + b"\xff" * 8 + b"\xff\xff")
    response = control.decode_response(api.INIT_PRODUCER_ID, 0, data)
    assert response.error_code is ErrorCode.unknown_server_error


@pytest.mark.parametrize(
    ("cursor", "found"),
    [(b"\xff", None), (b"\x80", None), (b"\x01\x03ab\x00\x00\x00\x07\x00", ("ab", 7))],
)
def test_a_byte_says_whether_a_structure_follows(cursor, found):
    data = b"\x01" + b"\x00\x00\x00\x09" + cursor + b"\x00"
    read = decode(api.DESCRIBE_TOPIC_PARTITIONS, 0, data).cursor
    assert (read and (read.topic_name, read.partition_index)) == found


@pytest.mark.parametrize("cursor", [b"", b"\x01", b"\x01\x03a", b"\x01\x00" + bytes(9)])
def test_a_structure_that_ends_early_is_malformed(cursor):
    with pytest.raises(Malformed, match="DescribeTopicPartitionsRequest v0"):
        decode(api.DESCRIBE_TOPIC_PARTITIONS, 0, b"\x01" + b"\x00\x00\x00\x09" + cursor)


def test_a_resource_without_a_name_is_malformed():
    resource = b"\x00\x00\x00\x01" + b"\x02" + b"\xff\xff" + b"\xff\xff\xff\xff"
    with pytest.raises(Malformed, match="null"):
        decode(api.DESCRIBE_CONFIGS, 1, resource + b"\x00")


def test_a_tag_that_nobody_knows_yet_is_stepped_over():
    data = b"\x01" + b"\x01" + b"\x00" + b"\x01\x63\x03abc"
    assert decode(api.METADATA, 12, data).topics == ()


@dataclass(frozen=True)
class Tagged:
    name: str | None = field(metadata={"kafka_type": "string", "tag": 0}, default=None)


def test_a_tagged_text_is_absent_where_it_is_null_and_never_null_itself():
    def read(data: bytes) -> Tagged:
        return entity_reader(Tagged)(Reader(memoryview(data), 0, len(data), flexible=True))

    assert read(b"\x00") == Tagged(None)
    assert read(b"\x01\x00\x03\x03ab") == Tagged("ab")
    with pytest.raises(Malformed):
        read(b"\x01\x00\x01\x00")
