"""Heartbeat, versions 0 to 4: what a member of a classic group sends every few seconds.

Owns    the layout of HeartbeatRequest and HeartbeatResponse.
Never   knows who is a member of what.
Trusts  nothing in a decode; callers of an encode to pass what fits its field.

Versions: 1 throttle time; 3 instance id (KIP-345); 4 flexible. 2 changed what throttling means.
"""

from struct import Struct
from typing import NamedTuple

from streambus.protocol import wire
from streambus.protocol.wire import INT32, Malformed, StructError

FLEXIBLE_FROM = 4
INSTANCE_ID_FROM = 3

# The whole frame: its length, the correlation id, throttle time and error.
_ANSWER_0 = Struct(">iih")
_ANSWER_1 = Struct(">iiih")
_ANSWER_4 = Struct(">iixihx")


class Request(NamedTuple):
    """A HeartbeatRequest."""

    group: str
    generation: int
    member_id: str
    instance_id: str | None = None


def decode_request(view: memoryview, position: int, end: int, version: int) -> Request:
    # Everything past `end` belongs to the next request: in a view that ends there struct itself
    # checks every bound.
    view = view[:end]
    read = wire.read_compact_string if version >= FLEXIBLE_FROM else wire.read_string
    try:
        group, position = read(view, position)
        (generation,) = INT32.unpack_from(view, position)
        member_id, position = read(view, position + 4)
        instance_id = None
        if version >= INSTANCE_ID_FROM:
            instance_id, position = read(view, position)
        if version >= FLEXIBLE_FROM:
            position = wire.skip_tags(view, position, end)
    except (StructError, IndexError, UnicodeDecodeError) as error:
        raise Malformed(f"Heartbeat v{version} request: {error}") from None
    if position > end:
        raise Malformed(f"Heartbeat v{version} request ends inside a string")
    if group is None or member_id is None:
        raise Malformed(f"Heartbeat v{version} request without a group or member id")
    return Request(group, generation, member_id, instance_id)


def encode_response(correlation_id: int, version: int, error: int, throttle_ms: int = 0) -> bytes:
    """The whole frame, its length included."""
    if version >= FLEXIBLE_FROM:
        return _ANSWER_4.pack(_ANSWER_4.size - 4, correlation_id, throttle_ms, error)
    if version >= 1:
        return _ANSWER_1.pack(_ANSWER_1.size - 4, correlation_id, throttle_ms, error)
    return _ANSWER_0.pack(_ANSWER_0.size - 4, correlation_id, error)
