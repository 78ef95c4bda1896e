"""Twin of streambus/protocol/messages/list_offsets.py; golden and property tests say the rest."""

import pytest

from streambus.errors import Malformed
from streambus.protocol import frames, wire
from streambus.protocol.messages import list_offsets

REQUEST = list_offsets.Request([(b"orders", [(0, 4, -1), (1, -1, 17)])], -1, 1, 500)


@pytest.mark.parametrize("version", [1, 2, 4, 6, 10])
def test_a_request_cut_anywhere_is_malformed(version):
    frame = list_offsets.encode_request(1, None, version, REQUEST)
    start = frames.read_request_header(memoryview(frame), 4, len(frame)).body
    for end in range(start, len(frame)):
        with pytest.raises(Malformed):
            list_offsets.decode_request(memoryview(frame), start, end, version)


@pytest.mark.parametrize("count", [-1, 2**31 - 1, wire.ENTRIES_MAX + 1])
def test_an_impossible_count_of_topics_is_malformed(count):
    data = memoryview(bytes(4) + wire.INT32.pack(count) + bytes(200))
    with pytest.raises(Malformed):
        list_offsets.decode_request(data, 0, len(data), 1)
