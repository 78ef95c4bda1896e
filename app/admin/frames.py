"""Frames of the sibling's socket: what the port of administration says, as bytes.

Owns    the kinds of frame both ways, their encoding, and the bound on each.
Never   reads a socket: `serving` and `remote` do.
Trusts  nothing that it decodes: every frame is of its declared type, or the socket is closed.

    length, 4 bytes, most significant first | msgpack: {"type": …, fields}

The first frame of the asking side is `Hello` with the token that the broker gave to its child.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union

import msgspec

from app import limits
from app.admin.commands import COMMANDS, cluster, configs, health, metrics, producers, topics
from app.admin.commands import records as records_
from app.admin.port import Command, Failed
from app.errors import InvalidRequest, MessageTooLarge
from app.model import Principal
from streambus.errors import Malformed

LENGTH_BYTES = 4
TOKEN_BYTES = 32

REPLIES: Mapping[type[Command], type[msgspec.Struct]] = {
    cluster.DescribeCluster: cluster.ClusterDescription,
    cluster.DescribeQuorum: cluster.QuorumDescription,
    cluster.DescribeLogDirectories: cluster.LogDirectories,
    configs.DescribeConfigs: configs.DescribedConfigs,
    configs.AlterConfigs: configs.AlteredConfigs,
    configs.ReplaceConfigs: configs.AlteredConfigs,
    configs.ListConfigResources: configs.ConfigResources,
    health.CheckHealth: health.Health,
    metrics.CollectMetrics: metrics.Metrics,
    producers.DescribeProducers: producers.DescribedProducers,
    records_.WriteRecords: records_.WrittenRecords,
    records_.ReadRecords: records_.RecordPage,
    records_.DeleteRecords: records_.DeletedRecords,
    topics.ListTopics: topics.TopicPage,
    topics.DescribeTopics: topics.Described,
    topics.CreateTopics: topics.Created,
    topics.DeleteTopics: topics.Deleted,
    topics.DeleteTopicsByPrefix: topics.Deleted,
    topics.AddPartitions: topics.Added,
}
"""What each command is answered with."""

if TYPE_CHECKING:
    AnyCommand = Command
    AnyReply = Any
else:
    AnyCommand = Union[COMMANDS]  # noqa: UP007 (made from a table)
    AnyReply = Union[tuple(dict.fromkeys(REPLIES.values()))]  # noqa: UP007


# From the sibling


class Hello(msgspec.Struct, frozen=True, tag=True):
    token: bytes


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Answered by one `Reply` or `Refused`. `id` is the asker's choice, free again after that;
    `request` is what events call the request that is worked on, if they call it anything."""

    id: int
    principal: Principal
    command: AnyCommand
    request: str = ""


class Watch(msgspec.Struct, frozen=True, tag=True):
    """Answered by `Reply` as often as it changes, and in the end by `Ended` or `Refused`."""

    id: int
    principal: Principal
    query: AnyCommand


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """Nobody waits for `id` any more. What it was to change may happen all the same."""

    id: int


# From the broker


class Reply(msgspec.Struct, frozen=True, tag=True):
    id: int
    reply: AnyReply


class Refused(msgspec.Struct, frozen=True, tag=True):
    id: int
    failed: Failed


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The watch is over, since the broker ends."""

    id: int


FromSibling = Hello | Ask | Watch | Cancel
FromBroker = Reply | Refused | Ended

_encoder = msgspec.msgpack.Encoder()
_from_sibling: msgspec.msgpack.Decoder[FromSibling] = msgspec.msgpack.Decoder(FromSibling)
_from_broker: msgspec.msgpack.Decoder[FromBroker] = msgspec.msgpack.Decoder(FromBroker)


def encode(frame: FromSibling | FromBroker) -> bytes:
    """The frame with its length. `InvalidRequest` if something in it is no value of its type,
    `MessageTooLarge` over ADMIN_MESSAGE_BYTES_MAX."""
    try:
        body = _encoder.encode(frame)
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise InvalidRequest(f"not a text or number that can be passed on: {error}") from error
    if len(body) > limits.ADMIN_MESSAGE_BYTES_MAX:
        raise MessageTooLarge(
            f"{len(body)} bytes at once, and {limits.ADMIN_MESSAGE_BYTES_MAX} are the most: "
            "ask for less, in pages or parts"
        )
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def length_of(prefix: bytes) -> int:
    """How long the frame after this prefix is; `Malformed` if that is not allowed."""
    length = int.from_bytes(prefix, "big")
    if not 0 < length <= limits.ADMIN_MESSAGE_BYTES_MAX:
        raise Malformed(
            f"a frame of {length} bytes: from 1 to {limits.ADMIN_MESSAGE_BYTES_MAX} are allowed"
        )
    return length


def decode_from_sibling(body: bytes) -> FromSibling:
    """`Malformed` if it is no frame of the asking side."""
    try:
        return _from_sibling.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"no frame of the sibling: {error}") from error


def decode_from_broker(body: bytes) -> FromBroker:
    """`Malformed` if it is no frame of the answering side."""
    try:
        return _from_broker.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"no frame of the broker: {error}") from error
