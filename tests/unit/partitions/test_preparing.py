"""Batches that are opened before they are admitted: another codec, and keys that must be there."""

import pytest

from app.core.topic_policy import TopicPolicy
from app.errors import UnsupportedCompressionType
from app.partitions.preparing import KeyMissing, prepare
from streambus.errors import Malformed
from streambus.protocol import batch, compression
from streambus.protocol import records as protocol
from tests.unit.partitions.arrange import Bench, ManualWorld, records

CODECS = {"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


async def prepared(sent: bytes, version: int = 9, **policy: object) -> memoryview:
    return await prepare(ManualWorld(), TopicPolicy(**policy), memoryview(sent), version)


@pytest.mark.parametrize("target", CODECS)
@pytest.mark.parametrize("codec", CODECS.values())
async def test_every_codec_becomes_every_other_with_the_same_records_and_producer(
    codec: int, target: str
) -> None:
    sent = records(50, codec=codec, producer=(7, 3, 11))
    stored = await prepared(sent, compression=target)
    header, original = batch.read_header(stored), batch.read_header(sent)
    batch.verify(stored, 0, header)
    assert header[batch.ATTRIBUTES] == CODECS[target]
    assert header[batch.LAST_OFFSET_DELTA :] == original[batch.LAST_OFFSET_DELTA :]
    assert protocol.read_records(stored) == protocol.read_records(sent)


async def test_a_batch_that_is_already_as_wanted_is_the_same_view() -> None:
    sent = memoryview(records(3, codec=compression.LZ4))
    policy = TopicPolicy(compression="lz4")
    assert await prepare(ManualWorld(), policy, sent, 9) is sent


async def test_a_record_without_a_key_is_refused_on_a_compacted_topic_and_named() -> None:
    sent = batch.build([(n, 0, None if n in (1, 3) else b"k", b"v", ()) for n in range(5)])
    with pytest.raises(KeyMissing) as refused:
        await prepared(sent, cleanup_compact=True)
    assert refused.value.positions == [1, 3]
    assert refused.value.code == 87


async def test_a_compacted_topic_stores_a_good_batch_verbatim() -> None:
    sent = records(3, codec=compression.GZIP)
    assert bytes(await prepared(sent, cleanup_compact=True)) == sent


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"short", Malformed),
        (records(1) + records(1), Malformed),
        (records(2)[:-1] + b"\x7f", batch.BadChecksum),
        (records(50, codec=compression.ZSTD), UnsupportedCompressionType),
    ],
)
async def test_what_admission_would_refuse_is_refused_before_it_is_opened(
    sent: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await prepared(sent, version=6, compression="lz4")


async def test_a_bomb_is_refused() -> None:
    bomb = batch.assemble(bytes(200 << 20), 1, 0, 0, codec=compression.ZSTD)
    with pytest.raises(Malformed):
        await prepared(bomb, compression="lz4")


async def test_a_prepared_batch_is_admitted_like_any_other() -> None:
    bench = Bench(compression="zstd")
    stored = await bench.replica.prepare(memoryview(records(50)), 9)
    pending = bench.append(bytes(stored))
    bench.sync()
    assert pending.answer == (0, 0)


@pytest.mark.parametrize(
    ("codec", "low", "high"),
    [("gzip", 1, 9), ("lz4", 1, 17), ("zstd", -131_072, 22)],
)
async def test_the_broker_compresses_at_the_level_of_the_topic(
    codec: str, low: int, high: int
) -> None:
    text = b"".join(b"%d squared is %d; " % (n, n * n) for n in range(4_000))
    sent = batch.build([(0, 0, b"k", text, ())])
    sizes = []
    for level in (low, high):
        levels = {f"{codec}_level": level}
        stored = await prepared(sent, compression=codec, **levels)
        assert protocol.read_records(stored) == protocol.read_records(sent)
        sizes.append(len(stored))
    assert sizes[1] < sizes[0]
