"""Twin of streambus/protocol/frames.py."""

import pytest

from streambus.errors import Malformed
from streambus.protocol import api, frames


def read(frame: bytes, *, after: bytes = b"") -> frames.RequestHeader:
    return frames.read_request_header(memoryview(frame + after), 0, len(frame))


@pytest.mark.parametrize("client_id", [None, "", "client", "ünï"])
@pytest.mark.parametrize(
    ("key", "version"),
    [(api.PRODUCE, 8), (api.PRODUCE, 9), (api.API_VERSIONS, 2), (api.API_VERSIONS, 3), (77, 5)],
)
def test_a_header_comes_back_as_it_went(key, version, client_id):
    header = frames.request_header(key, version, 7, client_id)
    assert read(header, after=b"body") == (key, version, 7, client_id, len(header))


def test_tags_of_a_header_are_stepped_over():
    header = frames.request_header(api.METADATA, 9, 7, "c")[:-1] + b"\x01\x05\x02ab"
    assert read(header).body == len(header)


def test_an_api_versions_request_from_the_future_is_read_as_far_as_it_is_sure():
    header = frames.request_header(api.API_VERSIONS, 2, 7, "c")
    future = header[:2] + b"\x00\x63" + header[4:] + b"\xff\xff\xff garbage"
    assert read(future)[:4] == (api.API_VERSIONS, 99, 7, "c")


@pytest.mark.parametrize("end", range(len(frames.request_header(api.FETCH, 12, 7, "client"))))
def test_a_header_cut_anywhere_is_malformed_even_if_more_bytes_follow(end):
    header = frames.request_header(api.FETCH, 12, 7, "client")
    with pytest.raises(Malformed):
        read(header[:end])
    with pytest.raises(Malformed):
        read(header[:end], after=b"\x00" * 64)


@pytest.mark.parametrize("size", [b"\xff\xfe", b"\x80\x00", b"\x7f\xff"])
def test_a_client_id_of_an_impossible_size_is_malformed(size):
    with pytest.raises(Malformed):
        read(b"\x00\x03\x00\x01\x00\x00\x00\x07" + size + b"abc")


def test_a_client_id_that_is_not_utf8_is_malformed():
    with pytest.raises(Malformed):
        read(b"\x00\x03\x00\x01\x00\x00\x00\x07\x00\x01\xff")


def test_api_versions_is_answered_with_the_old_header_whatever_its_version():
    assert not frames.has_flexible_response_header(api.API_VERSIONS, 4)
    assert frames.has_flexible_response_header(api.METADATA, 9)
    assert not frames.has_flexible_response_header(api.METADATA, 8)


def test_a_frame_begins_with_its_length():
    assert frames.framed(b"ab", b"c") == b"\x00\x00\x00\x03abc"


def test_a_response_header_comes_back_as_it_went():
    for flexible in (False, True):
        header = frames.response_header(9, flexible)
        view = memoryview(header + b"body")
        read_back = frames.read_response_header(view, 0, len(view), flexible=flexible)
        assert read_back == (9, len(header))
