"""Twin of streambus/protocol/messages/produce.py; golden and property tests say the rest."""

import pytest

from streambus.errors import Malformed
from streambus.protocol import frames, wire
from streambus.protocol.messages import produce

RECORDS = b"r" * 100


def body(version: int, topics=None, transactional_id: str | None = "tx") -> bytes:
    if topics is None:
        topics = [(b"orders", b"i" * 16, [(0, RECORDS), (1, None)])]
    frame = b"".join(produce.encode_request(1, None, version, -1, 5, topics, transactional_id))
    return frame[frames.read_request_header(memoryview(frame), 4, len(frame)).body :]


def decode(data: bytes, version: int) -> produce.Request:
    return produce.decode_request(memoryview(data), 0, len(data), version)


@pytest.mark.parametrize("version", [3, 8, 9, 12, 13])
def test_a_request_cut_anywhere_is_malformed_even_if_the_next_one_follows(version):
    data = body(version)
    for end in range(len(data)):
        with pytest.raises(Malformed):
            decode(data[:end], version)
        with pytest.raises(Malformed):
            produce.decode_request(memoryview(data[:end] + data), 0, end, version)


@pytest.mark.parametrize("version", [3, 9])
def test_records_are_not_copied(version):
    data = bytearray(body(version))
    _, _, _, ((_, _, ((_, start, end), _)),) = produce.decode_request(
        memoryview(data), 0, len(data), version
    )
    assert bytes(data[start:end]) == RECORDS


@pytest.mark.parametrize("version", [3, 9])
def test_nothing_keeps_the_buffer_from_growing_afterwards(version):
    data = bytearray(body(version))
    decode_view = memoryview(data)
    produce.decode_request(decode_view, 0, len(data), version)
    decode_view.release()
    data += b"more"


def test_a_null_topic_name_is_malformed():
    with pytest.raises(Malformed):
        decode(
            b"\xff\xff" + b"\xff\xff" + bytes(4) + b"\x00\x00\x00\x01" + b"\xff\xff" + bytes(4), 3
        )
    with pytest.raises(Malformed):
        decode(b"\x00" + b"\xff\xff" + bytes(4) + b"\x02" + b"\x00" + b"\x01\x00\x00", 9)


@pytest.mark.parametrize("count", [-1, -2, 2**31 - 1, wire.ENTRIES_MAX + 1])
def test_an_impossible_count_of_topics_or_partitions_is_malformed(count):
    raw = wire.INT32.pack(count)
    head = b"\xff\xff" + b"\xff\xff" + bytes(4)
    with pytest.raises(Malformed):
        decode(head + raw + bytes(64), 3)
    with pytest.raises(Malformed):
        decode(head + b"\x00\x00\x00\x01" + b"\x00\x01t" + raw + bytes(64), 3)


def test_the_partitions_of_all_topics_together_are_bounded():
    many = [(partition, None) for partition in range(wire.ENTRIES_MAX // 2 + 1)]
    for version in (3, 9):
        with pytest.raises(Malformed, match="partitions"):
            decode(body(version, [(b"a", None, many), (b"b", None, many)]), version)


def test_a_negative_size_of_records_other_than_null_is_malformed():
    data = bytearray(body(3, [(b"t", None, [(0, None)])], None))
    assert data[-4:] == b"\xff\xff\xff\xff"
    data[-1] = 0xFE
    with pytest.raises(Malformed, match="-2"):
        decode(bytes(data), 3)


def test_tags_that_nobody_knows_yet_are_stepped_over():
    plain = body(9, [(b"t", None, [(4, b"abc")])], None)
    assert plain.endswith(b"\x04abc\x00\x00\x00")
    tagged = plain[:-3] + b"\x01\x09\x02xy" + b"\x01\x00\x00" + b"\x02\x01\x01z\x05\x00"
    assert [
        (name, [(at, tagged[a:b]) for at, a, b in partitions])
        for name, _, partitions in decode(tagged, 9)[3]
    ] == [(b"t", [(4, b"abc")])]


@pytest.mark.parametrize("size", [126, 127, 128, 16_382, 16_383, 16_384, 2_097_152])
def test_records_of_every_length_of_varint_are_found(size):
    data = body(9, [(b"t", None, [(0, b"x" * size), (1, b"y")])])
    ((_, _, ((_, start, end), (_, start_y, end_y))),) = decode(data, 9)[3]
    assert end - start == size and data[start_y:end_y] == b"y"


def test_a_name_too_long_for_a_topic_is_still_answered():
    for version in (9, 12):
        name = b"n" * 20_000
        frame = produce.encode_single(1, version, name, None, 0, 17, -1, -1, -1)
        answer = produce.decode_response(memoryview(frame), 9, len(frame), version)
        assert answer.topics[0][0] == name
