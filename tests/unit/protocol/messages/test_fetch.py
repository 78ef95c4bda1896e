"""Twin of streambus/protocol/messages/fetch.py; golden and property tests say the rest."""

import pytest

from streambus.errors import Malformed
from streambus.protocol import frames, wire
from streambus.protocol.messages import fetch

ID = b"i" * 16


def request(**changes) -> fetch.FetchRequest:
    values = {
        "max_wait_ms": 500,
        "min_bytes": 1,
        "partitions": [(b"orders", ID, 0, 4, 100, 3, 7, 1 << 20), (b"b", ID, 1, 4, 5, 3, 7, 9)],
        "forgotten": [(b"gone", ID, 2)],
        "rack": "lab",
    }
    return fetch.FetchRequest(**(values | changes))


def body(version: int, wanted: fetch.FetchRequest) -> bytes:
    frame = fetch.encode_request(1, None, version, wanted)
    return frame[frames.read_request_header(memoryview(frame), 4, len(frame)).body :]


def decode(data: bytes, version: int) -> fetch.FetchRequest:
    return fetch.decode_request(memoryview(data), 0, len(data), version)


@pytest.mark.parametrize("version", [4, 5, 7, 9, 11, 12, 13, 18])
def test_a_request_cut_anywhere_is_malformed_even_if_the_next_one_follows(version):
    data = body(version, request())
    for end in range(len(data)):
        with pytest.raises(Malformed):
            decode(data[:end], version)
        with pytest.raises(Malformed):
            fetch.decode_request(memoryview(data[:end] + data), 0, end, version)


@pytest.mark.parametrize("version", [7, 11, 12, 18])
def test_the_usual_tail_and_the_long_way_read_the_same(version):
    plain = body(version, request(forgotten=[], rack=""))
    assert decode(plain, version).forgotten == []
    assert decode(plain + b"trailing", version).partitions == decode(plain, version).partitions


@pytest.mark.parametrize("count", [-1, 2**31 - 1, wire.ENTRIES_MAX + 1])
def test_an_impossible_count_of_topics_is_malformed(count):
    with pytest.raises(Malformed):
        decode(bytes(17) + wire.INT32.pack(count) + bytes(200), 4)


def test_what_is_not_bytes_stands_in_the_list_as_it_was_given():
    ranges = [object(), object()]
    pieces = fetch.encode_response(
        7,
        12,
        0,
        0,
        0,
        [
            (b"a", None, [(0, 0, 9, 9, 0, None, -1, None, None, 3_000, [ranges[0]])]),
            (b"b", None, [(0, 0, 9, 9, 0, None, -1, None, None, 5, [b"12", ranges[1], b"3"])]),
        ],
    )
    assert [piece for piece in pieces if not isinstance(piece, bytes)] == ranges
    rest = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert isinstance(pieces[0], bytes)
    assert int.from_bytes(pieces[0][:4]) == len(rest) - 4 + 3_000 + 2


def test_large_bytes_are_not_copied_and_small_ones_are_joined():
    large, small = b"l" * (fetch.JOIN_BYTES_MAX + 1), b"s" * 10

    def encode(payload: bytes) -> list[bytes]:
        part = (0, 0, 9, 9, 0, None, -1, None, None, len(payload), [payload])
        return fetch.encode_response(7, 4, 0, 0, 0, [(b"a", None, [part])])

    assert len(encode(small)) == 1
    assert encode(large)[1] is large
    assert len(b"".join(encode(large))) == int.from_bytes(encode(large)[0][:4]) + 4


def test_adjoining_pieces_have_nothing_between_them():
    first, second = object(), object()
    part = (0, 0, 9, 9, 0, None, -1, None, None, 20, [first, second])
    pieces = fetch.encode_response(7, 4, 0, 0, 0, [(b"a", None, [part])])
    assert pieces[1:] == [first, second]


def test_replica_tags_are_kept_by_partition():
    wanted = request()
    wanted.replica_tags = {1: (b"d" * 16, 55)}
    assert decode(body(18, wanted), 18).replica_tags == {1: (b"d" * 16, 55)}
    assert decode(body(16, wanted), 16).replica_tags == {}


def test_endpoints_are_written_and_read_from_version_16_on():
    endpoints = [(7, "there", 9092, None)]

    def frame(version: int, given: list[wire.NodeEndpoint]) -> memoryview:
        pieces = fetch.encode_response(7, version, 0, 0, 0, [], given)
        return memoryview(b"".join(pieces))

    def read(data: memoryview, version: int) -> list[wire.NodeEndpoint]:
        # After length, correlation id and the header's tags.
        return fetch.decode_response(data, 9, len(data), version).node_endpoints

    assert read(frame(16, endpoints), 16) == endpoints
    assert frame(15, endpoints) == frame(15, [])
    assert read(frame(16, endpoints), 15) == []  # a tag that version 15 does not know
