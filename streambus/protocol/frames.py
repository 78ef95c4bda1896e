"""Frames and their headers: what stands before every request and response on a Kafka connection.

Owns    request header v1 and v2, response header v0 and v1, the length before a frame.
Never   decodes a body.
Trusts  that the caller has a whole frame, without its length, at `view[start:end]`.
"""

from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from streambus.errors import Malformed
from streambus.protocol import wire
from streambus.protocol.api import API_VERSIONS, BY_KEY, FLEXIBLE_FROM

_REQUEST = Struct(">hhih")
_REQUEST_FIXED = Struct(">hhi")
_LENGTH = wire.INT32
_RESPONSE = wire.INT32
_NEVER = 1 << 16  # no version is as high: an API that we do not know has no flexible header

LENGTH_BYTES = 4


class RequestHeader(NamedTuple):
    """Header of one request; `body` is where the message itself begins in the view."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None
    body: int


def read_request_header(view: memoryview, start: int, end: int) -> RequestHeader:
    """Reads any header. Of an API or an ApiVersions version unknown here, leave the body alone."""
    try:
        key, version, correlation_id, size = _REQUEST.unpack_from(view, start)
        body = start + 10
        client_id = None
        if size >= 0:
            # Even the flexible header keeps the old encoding of the client id, so that a
            # broker can read it before it knows the version (KIP-511).
            client_id = str(view[body : body + size], "utf-8")
            body += size
        elif size != -1:
            raise Malformed(f"client id of {size} bytes")
        # Of an ApiVersions request from the future only the header up to here is sure.
        if version >= FLEXIBLE_FROM.get(key, _NEVER) and not (
            key == API_VERSIONS and version > BY_KEY[key].newest
        ):
            if body >= end:
                raise Malformed("the frame ends before the header's tagged fields")
            body = body + 1 if view[body] == 0 else wire.skip_tags(view[:end], body, end)
    except (StructError, IndexError, UnicodeDecodeError) as error:
        raise Malformed(f"request header: {error}") from None
    if body > end:
        raise Malformed("the frame ends inside the request header")
    return RequestHeader(key, version, correlation_id, client_id, body)


def request_header(api_key: int, version: int, correlation_id: int, client_id: str | None) -> bytes:
    """A request's header, without the frame's length."""
    head = _REQUEST_FIXED.pack(api_key, version, correlation_id) + wire.encode_string(
        client_id, flexible=False
    )
    return head + b"\x00" if version >= FLEXIBLE_FROM.get(api_key, _NEVER) else head


def response_header(correlation_id: int, flexible: bool) -> bytes:
    """A response's header, without the length. ApiVersions is never flexible here (KIP-511)."""
    return _RESPONSE.pack(correlation_id) + b"\x00" if flexible else _RESPONSE.pack(correlation_id)


def has_flexible_response_header(api_key: int, version: int) -> bool:
    return api_key != API_VERSIONS and version >= FLEXIBLE_FROM.get(api_key, _NEVER)


def read_response_header(
    view: memoryview, start: int, end: int, *, flexible: bool
) -> tuple[int, int]:
    """(correlation id, position of the body)."""
    reader = wire.Reader(view, start, end, flexible=flexible)
    correlation_id = reader.int32()
    reader.skip_tagged()
    return correlation_id, reader.position


def framed(*parts: bytes) -> bytes:
    """The parts as one frame, the length first."""
    return b"".join((_LENGTH.pack(sum(map(len, parts))), *parts))
