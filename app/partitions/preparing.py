"""Batches that cannot be stored as they came: another codec, or keys that must be there.

Owns    what `compression.type` and `cleanup.policy=compact` ask of a batch before it is admitted.
Never   changes a record: only the codec of the records section, and with it length and CRC.
Trusts  the decoders to refuse bombs and hostile bytes (`Malformed`).

This is the slow path of produce: it opens batches, so it runs on the `reader` lane.
"""

from functools import partial

from app import limits
from app.core import topic_policy
from app.core.topic_policy import PRODUCER_CODEC, TopicPolicy
from app.errors import InvalidRecord, MessageTooLarge, UnsupportedCompressionType
from app.world.ports import World
from streambus.errors import Malformed
from streambus.protocol import batch, compression, records

CODEC_MASK = 0x07
_CODECS = {
    "uncompressed": compression.NONE,
    "gzip": compression.GZIP,
    "snappy": compression.SNAPPY,
    "lz4": compression.LZ4,
    "zstd": compression.ZSTD,
}


class KeyMissing(InvalidRecord):
    """A compacted topic cannot store a record without a key. `positions`: which ones in the
    batch."""

    def __init__(self, positions: list[int]) -> None:
        super().__init__("a compacted topic cannot accept a record without a key")
        self.positions = positions


async def prepare(world: World, policy: TopicPolicy, view: memoryview, version: int) -> memoryview:
    """The bytes to append in place of `view`: the same view if nothing has to change."""
    header = batch.read_header(view, 0)
    if batch.batch_bytes(header) != len(view):
        raise Malformed("a produce must carry exactly one batch")
    attributes = header[batch.ATTRIBUTES]
    codec = attributes & CODEC_MASK
    if codec == compression.ZSTD and version < 7:
        raise UnsupportedCompressionType("zstd needs Produce v7 (KIP-110)")
    if attributes & batch.Attributes.CONTROL:
        return view  # refused at admission: clients write no control batches
    target = codec if policy.compression == PRODUCER_CODEC else _CODECS[policy.compression]
    if target == codec and not policy.cleanup_compact:
        return view
    if len(view) > policy.max_message_bytes:
        raise MessageTooLarge(f"{len(view)} bytes, the topic takes {policy.max_message_bytes}")
    job = partial(_prepare, view, header, target, _level(policy, target), policy.cleanup_compact)
    return await world.lane("reader").run(job)


def _level(policy: TopicPolicy, codec: int) -> int | None:
    """The codec's level where it is not its own default."""
    levels = {
        compression.GZIP: (policy.gzip_level, topic_policy.DEFAULT.gzip_level),
        compression.LZ4: (policy.lz4_level, topic_policy.DEFAULT.lz4_level),
        compression.ZSTD: (policy.zstd_level, topic_policy.DEFAULT.zstd_level),
    }
    level, default = levels.get(codec, (0, 0))
    return None if level == default else level


def _prepare(
    view: memoryview,
    header: batch.BatchHeader,
    target: int,
    level: int | None,
    needs_keys: bool,
) -> memoryview:
    batch.verify(view, 0, header)
    codec = header[batch.ATTRIBUTES] & CODEC_MASK
    section = records.read_section(view, header, 0, limits.DECOMPRESSED_BYTES_MAX)
    decoded = records.decode(section, header[batch.RECORDS_COUNT])
    if needs_keys:
        missing = [position for position, record in enumerate(decoded) if record[2] is None]
        if missing:
            raise KeyMissing(missing)
    if target == codec:
        return view
    return memoryview(_encode(header, bytes(section), target, level))


def _encode(header: batch.BatchHeader, section: bytes, target: int, level: int | None) -> bytes:
    """The same batch with its records section in another codec; length and CRC follow."""
    attributes = header[batch.ATTRIBUTES]
    return batch.assemble(
        section,
        header[batch.RECORDS_COUNT],
        header[batch.LAST_OFFSET_DELTA],
        header[batch.MAX_TIMESTAMP],
        codec=target,
        level=level,
        base_offset=header[batch.BASE_OFFSET],
        base_timestamp=header[batch.BASE_TIMESTAMP],
        producer_id=header[batch.PRODUCER_ID],
        producer_epoch=header[batch.PRODUCER_EPOCH],
        base_sequence=header[batch.BASE_SEQUENCE],
        log_append_time=bool(attributes & batch.Attributes.LOG_APPEND_TIME),
        transactional=bool(attributes & batch.Attributes.TRANSACTIONAL),
        delete_horizon=bool(attributes & batch.Attributes.DELETE_HORIZON),
    )
