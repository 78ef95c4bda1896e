"""Twin of streambus/protocol/messages/offset_commit.py; property tests compare it with kio."""

import pytest

from streambus.errors import Malformed
from streambus.protocol import wire
from streambus.protocol.messages import offset_commit
from streambus.protocol.messages.offset_commit import Request

ID = bytes(range(16))
COMMITTED = b"\x00\x00\x00\x02" + b"\x00" * 7 + b"\x09"
EPOCH = b"\x00\x00\x00\x04"
PLAIN_HEAD = b"\x00\x01g\x00\x00\x00\x05\x00\x01m"
PLAIN_TOPIC = b"\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01"
NOTE = b"\x00\x02hi"
REQUESTS = {
    2: PLAIN_HEAD + wire.INT64.pack(1_000) + PLAIN_TOPIC + COMMITTED + NOTE,
    5: PLAIN_HEAD + PLAIN_TOPIC + COMMITTED + NOTE,
    6: PLAIN_HEAD + PLAIN_TOPIC + COMMITTED + EPOCH + NOTE,
    7: PLAIN_HEAD + b"\x00\x01i" + PLAIN_TOPIC + COMMITTED + EPOCH + NOTE,
    9: b"\x02g\x00\x00\x00\x05\x02m\x02i\x02\x02t\x02" + COMMITTED + EPOCH + b"\x03hi\0\0\0",
    10: b"\x02g\x00\x00\x00\x05\x02m\x02i\x02" + ID + b"\x02" + COMMITTED + EPOCH + b"\x03hi\0\0\0",
}


@pytest.mark.parametrize("version", REQUESTS)
def test_a_request_is_read_where_it_stands(version):
    data = memoryview(b"before" + REQUESTS[version] + b"\x00\x05after")
    request = offset_commit.decode_request(data, 6, 6 + len(REQUESTS[version]), version)
    commits = [(2, 9, 4 if version >= 6 else -1, "hi")]
    topic = (None, ID, commits) if version >= 10 else (b"t", None, commits)
    instance_id = "i" if version >= 7 else None
    assert request == Request("g", 5, "m", instance_id, 1_000 if version <= 4 else -1, [topic])


@pytest.mark.parametrize("version", REQUESTS)
def test_a_request_cut_anywhere_is_malformed_though_the_next_one_follows(version):
    data = memoryview(REQUESTS[version] * 2)
    for end in range(len(REQUESTS[version])):
        with pytest.raises(Malformed):
            offset_commit.decode_request(data, 0, end, version)


@pytest.mark.parametrize("count", [-1, -2, wire.ENTRIES_MAX + 1, 2**31 - 1])
def test_an_impossible_count_is_malformed_before_room_is_made_for_it(count):
    head = PLAIN_HEAD + wire.INT32.pack(count)
    one = PLAIN_HEAD + b"\x00\x00\x00\x01\x00\x01t" + wire.INT32.pack(count)
    for body in (head, one):
        data = memoryview(body + bytes(200))
        with pytest.raises(Malformed, match=f"array of {count}"):
            offset_commit.decode_request(data, 0, len(data), 5)


@pytest.mark.parametrize("count", [0, wire.ENTRIES_MAX + 2, 2**32 - 1])
def test_an_impossible_compact_count_is_malformed_before_room_is_made_for_it(count):
    head = b"\x02g\x00\x00\x00\x05\x02m\x00"
    for body in (head + wire.uvarint(count), head + b"\x02\x02t" + wire.uvarint(count)):
        data = memoryview(body + bytes(200))
        with pytest.raises(Malformed, match=f"array of {count - 1}"):
            offset_commit.decode_request(data, 0, len(data), 8)


def test_all_arrays_of_a_request_together_are_bounded():
    empty = b"\x00\x00" + wire.INT32.pack(0)
    topics = wire.ENTRIES_MAX // 2
    last = b"\x00\x00" + wire.INT32.pack(topics + 1)
    body = PLAIN_HEAD + wire.INT32.pack(topics) + empty * (topics - 1) + last
    with pytest.raises(Malformed, match=f"array of {topics + 1}"):
        offset_commit.decode_request(memoryview(body), 0, len(body), 5)


@pytest.mark.parametrize(
    ("version", "body"),
    [
        (5, b"\xff\xff" + REQUESTS[5][3:]),
        (5, b"\x00\x01g\x00\x00\x00\x05\xff\xff" + PLAIN_TOPIC + COMMITTED + NOTE),
        (5, PLAIN_HEAD + b"\x00\x00\x00\x01\xff\xff\x00\x00\x00\x00"),
        (5, PLAIN_HEAD + PLAIN_TOPIC + COMMITTED + b"\x00\x02\xff\xff"),
        (9, b"\x00" + REQUESTS[9][2:]),
        (9, b"\x02g\x00\x00\x00\x05\x02m\x02i\x02\x00\x01\x00\x00"),
    ],
    ids=[
        "no group",
        "no member",
        "no topic",
        "not UTF-8",
        "no group, compact",
        "no topic, compact",
    ],
)
def test_what_may_not_be_is_malformed(version, body):
    with pytest.raises(Malformed):
        offset_commit.decode_request(memoryview(body), 0, len(body), version)


def test_metadata_may_be_null_and_long_and_tags_of_the_future_may_follow():
    partitions = (
        b"\x03"
        + (COMMITTED + EPOCH + b"\x00\x01\x07\x02hi")
        + (COMMITTED + EPOCH + b"\xad\x02" + b"m" * 300 + b"\x00")
    )
    body = b"\x02g\x00\x00\x00\x05\x02m\x00\x02\x02t" + partitions + b"\x01\x01\x00\x01\x00\x01z"
    request = offset_commit.decode_request(memoryview(body), 0, len(body), 8)
    assert request.topics == [(b"t", None, [(2, 9, 4, None), (2, 9, 4, "m" * 300)])]


def test_an_answer_by_id_needs_the_id():
    with pytest.raises(AssertionError, match="by id"):
        offset_commit.encode_response(1, 10, [(b"t", None, [(0, 0)])])


@pytest.mark.parametrize(
    ("version", "frame"),
    [
        (2, b"\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x02\x00\x1b"),
        (3, b"\0\0\0\3\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x02\x00\x1b"),
        (9, b"\x00\0\0\0\3\x02\x02t\x02\x00\x00\x00\x02\x00\x1b\x00\x00\x00"),
        (10, b"\x00\0\0\0\3\x02" + ID + b"\x02\x00\x00\x00\x02\x00\x1b\x00\x00\x00"),
    ],
)
def test_an_answer_has_what_its_version_has(version, frame):
    made = offset_commit.encode_response(7, version, [(b"t", ID, [(2, 27)])], 3)
    assert made == wire.INT32.pack(len(frame) + 4) + b"\0\0\0\7" + frame
