"""Twin of streambus/protocol/messages/entities.py; property tests compare it with kio's reader."""

import pytest
from kio.schema.errors import ErrorCode

from streambus.errors import Malformed
from streambus.protocol import api
from streambus.protocol.messages import control


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


def test_a_tag_that_nobody_knows_yet_is_stepped_over():
    data = b"\x01" + b"\x01" + b"\x00" + b"\x01\x63\x03abc"
    assert decode(api.METADATA, 12, data).topics == ()
