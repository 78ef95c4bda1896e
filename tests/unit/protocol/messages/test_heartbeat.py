"""Twin of streambus/protocol/messages/heartbeat.py; property tests compare it with kio."""

import pytest

from streambus.errors import Malformed
from streambus.protocol.messages import heartbeat

REQUESTS = {
    0: b"\x00\x01g\x00\x00\x00\x05\x00\x01m",
    1: b"\x00\x01g\x00\x00\x00\x05\x00\x01m",
    2: b"\x00\x01g\x00\x00\x00\x05\x00\x01m",
    3: b"\x00\x01g\x00\x00\x00\x05\x00\x01m\x00\x01i",
    4: b"\x02g\x00\x00\x00\x05\x02m\x02i\x00",
}


@pytest.mark.parametrize("version", REQUESTS)
def test_a_request_is_read_where_it_stands(version):
    data = memoryview(b"before" + REQUESTS[version] + b"\x00\x05after")
    end = 6 + len(REQUESTS[version])
    request = heartbeat.decode_request(data, 6, end, version)
    instance_id = "i" if version >= 3 else None
    assert request == heartbeat.Request("g", 5, "m", instance_id)


@pytest.mark.parametrize("version", REQUESTS)
def test_a_request_cut_anywhere_is_malformed_though_the_next_one_follows(version):
    data = memoryview(REQUESTS[version] * 2)
    for end in range(len(REQUESTS[version])):
        with pytest.raises(Malformed):
            heartbeat.decode_request(data, 0, end, version)


@pytest.mark.parametrize(
    ("version", "body"),
    [
        (0, b"\xff\xff\x00\x00\x00\x05\x00\x01m"),
        (0, b"\x00\x01g\x00\x00\x00\x05\xff\xff"),
        (0, b"\xff\xfe\x00\x00\x00\x05\x00\x01m"),
        (4, b"\x00\x00\x00\x00\x05\x02m\x02i\x00"),
        (4, b"\x02g\x00\x00\x00\x05\x00\x02i\x00"),
        (0, b"\x00\x01\xff\x00\x00\x00\x05\x00\x01m"),
        (4, b"\x02g\x00\x00\x00\x05\x02\xff\x02i\x00"),
        (4, b"\x02g\x00\x00\x00\x05\x02m\x02i\x21" + b"\x01\x00" * 33),
    ],
    ids=[
        "no group",
        "no member",
        "a negative size",
        "no group, compact",
        "no member, compact",
        "a group that is not UTF-8",
        "a member that is not UTF-8",
        "too many tags",
    ],
)
def test_what_may_not_be_is_malformed(version, body):
    with pytest.raises(Malformed):
        heartbeat.decode_request(memoryview(body), 0, len(body), version)


def test_long_names_and_tags_of_the_future_are_read():
    long = b"\xc9\x01" + b"g" * 200
    body = long + b"\x00\x00\x00\x05" + long + b"\x00\x01\x07\x02hi"
    request = heartbeat.decode_request(memoryview(body), 0, len(body), 4)
    assert request == heartbeat.Request("g" * 200, 5, "g" * 200, None)


@pytest.mark.parametrize(
    ("version", "frame"),
    [
        (0, b"\x00\x00\x00\x06\x00\x00\x00\x07\x00\x1b"),
        (1, b"\x00\x00\x00\x0a\x00\x00\x00\x07\x00\x00\x00\x03\x00\x1b"),
        (3, b"\x00\x00\x00\x0a\x00\x00\x00\x07\x00\x00\x00\x03\x00\x1b"),
        (4, b"\x00\x00\x00\x0c\x00\x00\x00\x07\x00\x00\x00\x00\x03\x00\x1b\x00"),
    ],
)
def test_an_answer_has_what_its_version_has(version, frame):
    assert heartbeat.encode_response(7, version, 27, 3) == frame
