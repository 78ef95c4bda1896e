"""What clients write: codecs, headers, nulls, sizes, acknowledgements, partitions."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.broker import BrokerProcess
from streambus.protocol import batch
from streambus.protocol.messages import fetch
from tests.clients.clients import Client
from tests.clients.conftest import Ask
from tests.clients.conversation import Refused
from tests.clients.records import (
    CODECS,
    MIB,
    ODD_HEADERS,
    RECORDS,
    Sent,
    as_json,
    content,
    noise,
    stamped,
)
from tests.integration.wire import FETCH_VERSION, Wire, eventually, fetched

pytestmark = pytest.mark.clients

NewTopic = Callable[..., str]
MESSAGE_TOO_LARGE = 10


def produce(ask: Ask, topic: str, records: list[dict[str, Any]], **how: Any) -> Any:
    command = {"partition": 0, "codec": "none", "acks": "all", "idempotent": False} | how
    return ask("produce", topic=topic, records=records, **command)["written"]


def read(ask: Ask, topic: str, partitions: tuple[int, ...] = (0,)) -> list[dict[str, Any]]:
    command = {"partitions": partitions, "from": "earliest"}
    found: list[dict[str, Any]] = ask("read", topic=topic, **command)["records"]
    return found


def sendable(client: Client, *records: Sent) -> list[dict[str, Any]]:
    """With timestamps, where the client can set them."""
    return [as_json(each) for each in (stamped(records) if client.timestamps else records)]


def assert_same(client: Client, read: list[dict[str, Any]], sent: list[dict[str, Any]]) -> None:
    assert [each["offset"] for each in read] == list(range(len(sent)))
    stamps = client.timestamps
    assert [content(each, stamps) for each in read] == [content(each, stamps) for each in sent]


def codecs_stored(broker: BrokerProcess, topic: str) -> set[str]:
    """The codecs of the batches that the broker gives: a client may turn its own off unseen."""
    wire = Wire(broker)
    try:
        wire.send(fetched(topic))
        frame = memoryview(wire.answer())
    finally:
        wire.close()
    [(_, _, [told])] = fetch.decode_response(frame, 4, len(frame), FETCH_VERSION).topics
    assert told.records is not None
    headers = [header for _, header in batch.headers(told.records)]
    return {CODECS[header[batch.ATTRIBUTES] & batch.Attributes.CODEC] for header in headers}


@pytest.mark.step("every codec; null and empty keys and values")
@pytest.mark.parametrize("codec", CODECS)
def test_what_was_written_is_read(
    client: Client, ask: Ask, reread: Ask, new_topic: NewTopic, broker: BrokerProcess, codec: str
) -> None:
    topic, sent = new_topic(), sendable(client, *RECORDS)
    written = produce(ask, topic, sent, codec=codec)
    assert written in (None, [[0, offset] for offset in range(len(sent))])
    assert_same(client, read(reread, topic), sent)
    # What does not get smaller by it is sent as it is, record by record, by some clients.
    assert codecs_stored(broker, topic) in ({codec}, {codec, "none"})


@pytest.mark.step("repeated, unsorted, null and binary headers")
@pytest.mark.parametrize("odd", ODD_HEADERS, ids=lambda each: each.name)
def test_odd_headers_are_kept(
    client: Client, ask: Ask, reread: Ask, new_topic: NewTopic, odd: Sent
) -> None:
    topic, sent = new_topic(), sendable(client, odd)
    produce(ask, topic, sent)
    assert odd.name not in client.cannot_write, "clients.py says that it cannot"
    assert_same(client, read(reread, topic), sent)


@pytest.mark.step("records of 1 MiB; a larger one is refused")
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_record_of_1_mib_is_kept(
    client: Client, ask: Ask, reread: Ask, new_topic: NewTopic, codec: str
) -> None:
    if codec == "zstd" and f"no {codec} without a package of one's own" in client.lacks:
        codec = "gzip"
    topic = new_topic(max_message_bytes=str(2 * MIB))
    sent = sendable(client, Sent("large", b"large", noise(MIB)), Sent("small", None, b"after"))
    produce(ask, topic, sent, codec=codec)
    assert_same(client, read(reread, topic), sent)


@pytest.mark.step("records of 1 MiB; a larger one is refused")
def test_a_record_over_the_limit_is_refused_and_the_next_is_taken(
    client: Client, ask: Ask, reread: Ask, new_topic: NewTopic
) -> None:
    topic, small = new_topic(), sendable(client, Sent("small", b"k", b"after"))
    with pytest.raises(Refused) as refused:
        produce(ask, topic, sendable(client, Sent("large", b"k", noise(3 * MIB // 2))))
    assert refused.value.code == MESSAGE_TOO_LARGE
    produce(ask, topic, small)
    assert_same(client, read(reread, topic), small)


@pytest.mark.step("idempotence on and off")
@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "plain"])
def test_order_is_kept_and_nothing_is_written_twice(
    client: Client, ask: Ask, reread: Ask, new_topic: NewTopic, idempotent: bool
) -> None:
    count = 20 if client.name == "kcat" else 1_000  # a process for each record
    topic = new_topic()
    sent = sendable(client, *(Sent(str(at), None, b"%d" % at) for at in range(count)))
    produce(ask, topic, sent, idempotent=idempotent)
    assert_same(client, read(reread, topic), sent)


@pytest.mark.step("acks 0, 1 and all")
@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_acknowledgement_writes(
    client: Client, ask: Ask, reread: Ask, referee: Ask, new_topic: NewTopic, acks: str
) -> None:
    topic, sent = new_topic(), sendable(client, Sent("one", b"k", acks.encode()))
    written = produce(ask, topic, sent, acks=acks)
    assert acks == "0" or written in (None, [[0, 0]])
    # Nothing says when a record without an acknowledgement is there.
    eventually(lambda: referee("offset", topic=topic, partition=0, at="latest")["offset"] == 1)
    assert_same(client, read(reread, topic), sent)


@pytest.mark.step("partitions: named, and by key as Java's")
def test_a_named_partition_is_taken(
    client: Client, ask: Ask, reread: Ask, new_topic: NewTopic
) -> None:
    topic, sent = new_topic(4), sendable(client, Sent("one", b"key", b"value"))
    written = produce(ask, topic, sent, partition=2)
    assert written in (None, [[2, 0]])
    found = read(reread, topic, (0, 1, 2, 3))
    assert [each["partition"] for each in found] == [2]


@pytest.mark.step("partitions: named, and by key as Java's")
def test_a_key_goes_where_every_client_puts_it(
    client: Client, ask: Ask, reread: Ask, new_topic: NewTopic
) -> None:
    keys = [hashlib.sha256(b"%d" % at).hexdigest()[: 1 + at].encode() for at in range(12)]
    topic = new_topic(7)
    sent = sendable(client, *(Sent(key.decode(), key, key) for key in keys))
    written = produce(ask, topic, sent, partition=None)
    expected = {
        each["key"]: murmur2_partition(key, 7) for each, key in zip(sent, keys, strict=True)
    }
    found = read(reread, topic, tuple(range(7)))
    assert {each["key"]: each["partition"] for each in found} == expected
    assert written is None or [partition for partition, _ in written] == list(expected.values())


def murmur2_partition(key: bytes, partitions: int) -> int:
    """Where Java's default partitioner puts a key: murmur2, seed 0x9747b28c, 31 bits of it."""
    mask, mixer = 0xFFFFFFFF, 0x5BD1E995
    found = (0x9747B28C ^ len(key)) & mask
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        block = int.from_bytes(key[at : at + 4], "little") * mixer & mask
        block = (block ^ (block >> 24)) * mixer & mask
        found = (found * mixer & mask) ^ block
    if rest := key[whole:]:
        found = (found ^ int.from_bytes(rest, "little")) * mixer & mask
    found = (found ^ (found >> 13)) * mixer & mask
    found ^= found >> 15
    return (found & 0x7FFFFFFF) % partitions
