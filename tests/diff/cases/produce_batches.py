"""Batches that are wrong, or on the edge of it: what Produce says to each."""

import struct
import zlib

from tests.diff.batches import (
    CONTROL,
    DELETE_HORIZON,
    GZIP,
    LOG_APPEND_TIME,
    LZ4,
    NONE,
    SNAPPY,
    TIME,
    TRANSACTIONAL,
    ZSTD,
    batch,
    old_message,
    record,
    varint,
)
from tests.diff.script import Script

DAY_MS = 86_400_000


def _each(script: Script, name: str, sent: list[bytes], version: int = 9, **configs: str) -> None:
    """Each to a partition of its own, so that what one leaves behind says nothing of the next."""
    script.create(name, len(sent), **configs)
    for partition, each in enumerate(sent):
        script.produce(name, each, partition=partition, version=version)
        script.offsets(name, partition)


def wrong_headers_in_every_version(script: Script) -> None:
    wrong = [
        batch(crc=1),
        batch(base_offset=5),
        batch(base_offset=-1),
        batch(leader_epoch=9),
        batch(count=2),
        batch(count=0),
        batch(last_offset_delta=3),
        batch(magic=3),
        old_message(0),
        old_message(1),
        b"",
    ]
    for version in script.versions("Produce"):
        _each(script, f"t{version}", wrong, version)


def counts_and_deltas(script: Script) -> None:
    two = [(None, b"a"), (None, b"b")]
    sent = [
        batch(two, count=1),
        batch(two, count=3),
        batch(two, count=-1),
        batch(two, last_offset_delta=0),
        batch(two, last_offset_delta=-1),
        batch(two, last_offset_delta=5, count=2),
        batch(two, last_offset_delta=0, count=1),
        batch(two, last_offset_delta=2, count=3),
        batch([], last_offset_delta=0, count=0),
        batch([], last_offset_delta=-1, count=0),
        batch([], last_offset_delta=0, count=1),
        batch(two, codec=GZIP, count=1),
        batch(two, codec=GZIP, count=3, last_offset_delta=2),
        batch(two),
    ]
    _each(script, "t", sent)


def counts_that_are_opened(script: Script) -> None:
    """A compacted topic's batches are opened, so what is inside counts."""
    two = [(b"k", b"a"), (b"l", b"b")]
    for codec in (NONE, GZIP):
        sent = [
            batch(two, codec=codec, count=1, last_offset_delta=0),
            batch(two, codec=codec, count=3, last_offset_delta=2),
            batch(two, codec=codec),
        ]
        _each(script, f"t{codec}", sent, cleanup_policy="compact")


def lengths(script: Script) -> None:
    whole = batch()
    sent = [
        batch(length=0),
        batch(length=10),
        batch(length=48),
        batch(length=49),
        batch(length=-1),
        batch(length=2**31 - 1),
        whole[:-1],
        whole[:60],
        whole[:20],
        whole[:5],
        whole + b"x",
        whole + whole[:30],
        whole + whole,
        whole + batch(base_offset=1),
    ]
    _each(script, "t", sent)


def null_records_are_never_answered(script: Script) -> None:
    script.create("t")
    script.produce("t", None, reads="silence")
    script.produce("t", None, version=3, reads="silence")


def codecs_in_every_version(script: Script) -> None:
    script.create("t")
    rows = [(b"k", b"value" * 20), (None, None), (b"", b"")]
    for version in script.versions("Produce"):
        for codec in (NONE, GZIP, SNAPPY, LZ4, ZSTD):
            script.produce("t", batch(rows, codec=codec), version=version)
    script.fetch("t", 0)


def codecs_that_lie(script: Script) -> None:
    rows = [(b"k", b"value" * 20)]
    for codec in (GZIP, SNAPPY, LZ4, ZSTD):
        half = batch(rows, codec=codec)
        sent = [
            batch(payload=b"not compressed at all", codec_bits=codec),
            batch(payload=b"", codec_bits=codec),
            batch(payload=half[61:-6], codec_bits=codec),
        ]
        _each(script, f"plain{codec}", sent)
        _each(script, f"opened{codec}", sent, cleanup_policy="compact")
    _each(script, "unknown", [batch(codec_bits=codec) for codec in (5, 6, 7)])


def recompressed(script: Script) -> None:
    """`compression.type` of the topic decides, whatever the producer used."""
    rows = [(b"k%d" % n, b"value" * 20) for n in range(3)]
    for kind in ("uncompressed", "gzip", "snappy", "lz4", "zstd"):
        script.create(kind, compression_type=kind)
        for codec in (NONE, GZIP, SNAPPY, LZ4, ZSTD):
            script.produce(kind, batch(rows, codec=codec))
        script.fetch(kind, 0)


def attributes(script: Script) -> None:
    known_bits = (LOG_APPEND_TIME, TRANSACTIONAL, CONTROL, CONTROL | TRANSACTIONAL, DELETE_HORIZON)
    bits = (*known_bits, 1 << 7, -(1 << 15))
    for version in (3, 9, 13):
        anonymous = [batch(attributes=each) for each in bits]
        known = [batch(attributes=each, producer_id=70, epoch=0, sequence=0) for each in bits]
        _each(script, f"anonymous{version}", anonymous, version)
        _each(script, f"known{version}", known, version)
        script.fetch(f"known{version}", *[0] * len(bits))


def sizes(script: Script) -> None:
    script.create("t", max_message_bytes=1000)
    script.create("zip", max_message_bytes=1000, compression_type="gzip")
    exact = 1000 - len(batch([(None, b"x" * 500)])) + 500
    for version in script.versions("Produce"):
        script.produce("t", batch([(None, b"x" * exact)]), version=version)
        script.produce("t", batch([(None, b"x" * (exact + 1))]), version=version)
    script.produce("t", batch([(None, b"x" * 5000)], codec=GZIP))
    script.produce("zip", batch([(None, b"x" * 5000)]))
    script.produce("zip", batch([(None, b"x" * 5000)], codec=GZIP))
    script.offsets("t")
    script.offsets("zip")


def sizes_of_the_default(script: Script) -> None:
    script.create("t")
    script.produce("t", batch([(None, bytes(1_048_576 - 61))]))
    script.produce("t", batch([(None, bytes(1_048_588 - 61 - 9))]))
    script.produce("t", batch([(None, bytes(1_048_588 - 61 - 10))]))
    script.produce("t", batch([(None, bytes(1_048_588 - 61 - 11))]))
    script.produce("t", batch([(None, bytes(1_048_588))]))
    script.offsets("t")


def timestamps_out_of_bounds(script: Script) -> None:
    script.create("before", message_timestamp_before_max_ms=DAY_MS)
    script.create("after", message_timestamp_after_max_ms=DAY_MS)
    script.create(
        "append", message_timestamp_before_max_ms=1, message_timestamp_type="LogAppendTime"
    )
    future = 4_000_000_000_000
    rows = [(None, b"a"), (None, b"b"), (None, b"c")]
    for version in script.versions("Produce"):
        script.produce("before", batch(), version=version)
        script.produce("after", batch(times=[future]), version=version)
    for times in ([TIME] * 3, [future, TIME, TIME], [TIME, future, TIME], [TIME, TIME, future]):
        for name in ("before", "after", "append"):
            script.produce(name, batch(rows, times=times))
            script.produce(name, batch(rows, times=times, codec=GZIP))
    for name in ("before", "after", "append"):
        script.offsets(name)


def timestamps_that_are_odd(script: Script) -> None:
    rows = [(None, b"a"), (None, b"b")]
    sent = [
        batch(rows, times=[-1, -1]),
        batch(rows, times=[0, 0]),
        batch(rows, times=[-5, TIME]),
        batch(rows, times=[TIME, TIME - 1000]),
        batch(rows, max_timestamp=TIME - 1),
        batch(rows, max_timestamp=TIME + 1),
        batch(rows, max_timestamp=-1),
        batch(rows, times=[2**62, 2**62]),
    ]
    _each(script, "t", sent)
    for partition in range(len(sent)):
        for timestamp in (-3, 0, TIME - 1000, TIME, TIME + 1):
            script.list_offsets("t", timestamp, partition=partition)


def log_append_time(script: Script) -> None:
    script.create("t", message_timestamp_type="LogAppendTime")
    rows = [(b"k", b"a"), (b"k", b"b")]
    for version in script.versions("Produce"):
        script.produce("t", batch(rows, times=[TIME, TIME + 5]), version=version)
    for codec in (GZIP, SNAPPY, LZ4, ZSTD):
        script.produce("t", batch(rows, codec=codec, attributes=LOG_APPEND_TIME))
    script.fetch("t", 0)
    script.offsets("t")


def keys_of_a_compacted_topic(script: Script) -> None:
    script.create("t", cleanup_policy="compact")
    script.create("both", cleanup_policy="compact,delete")
    keyed, bare = (b"k", b"v"), (None, b"v")
    for version in script.versions("Produce"):
        script.produce("t", batch([keyed, bare, keyed, bare]), version=version)
    for rows in ([bare], [keyed], [(b"", b"v")], [(b"k", None)], [bare] * 7, [keyed, bare]):
        for codec in (NONE, GZIP):
            script.produce("t", batch(rows, codec=codec))
            script.produce("both", batch(rows, codec=codec))
    script.produce("t", batch([bare], producer_id=9, epoch=0, sequence=0))
    script.produce("t", batch([keyed], producer_id=9, epoch=0, sequence=0))
    script.fetch("t", 0)


def records_inside_are_wrong(script: Script) -> None:
    """Whole by their header; only a topic that opens batches can see it."""
    good = record(b"k", b"v", offset_delta=0)
    payloads = [
        record(b"k", b"v", offset_delta=1),
        record(b"k", b"v", offset_delta=-1),
        good + b"\x00",
        good[:-1],
        b"\x02" + good[1:],
        varint(1 << 20) + good[1:],
        varint(-5) + good[1:],
        varint(7) + b"\x00\x00\x00" + varint(50) + b"kv\x00\x00",
        record(b"k", b"v", offset_delta=0, attributes=1),
        record(b"k", b"v", offset_delta=0, time_delta=-(10**13)),
        record(b"k", b"v", offset_delta=0, headers=[(b"h", b"x"), (b"h", None), (b"", b"")]),
    ]
    for codec in (NONE, GZIP):
        sent = [batch(payload=payload, codec=codec) for payload in payloads]
        _each(script, f"plain{codec}", sent)
        _each(script, f"opened{codec}", sent, cleanup_policy="compact")


def several_batches_at_once(script: Script) -> None:
    one, two = batch([(None, b"a")]), batch([(None, b"b"), (None, b"c")])
    sent = [one + two, one + batch(crc=7), batch(crc=7) + one, one + old_message(1)]
    for version in (3, 9):
        _each(script, f"t{version}", sent, version)


def old_formats(script: Script) -> None:
    sent = []
    for magic in (0, 1):
        whole = old_message(magic)
        broken = whole[:12] + struct.pack(">I", zlib.crc32(b"?")) + whole[16:]
        sent += [whole, whole + whole, broken, whole + batch()]
    for version in (3, 8, 9):
        _each(script, f"t{version}", sent, version)
