"""Batches of other codecs read as the records they were made of, and ours read alike there."""

import json

import pytest

from streambus.protocol import batch, compression, records
from streambus.protocol.columns import RecordTuple
from tests.golden.record_batch_samples import BASE_TIMESTAMP, FILE, SAMPLES, Sample

GOLDEN = json.loads(FILE.read_text())


def named(entry: dict[str, str]) -> str:
    return f"{entry['maker']}-{entry['codec']}-{entry['sample'].replace(' ', '_')}"


def absolute(sample: Sample, base_offset: int = 0) -> list[RecordTuple]:
    return [
        (base_offset + offset, BASE_TIMESTAMP + timestamp, key, value, headers)
        for offset, timestamp, key, value, headers in sample.records
    ]


@pytest.mark.parametrize("entry", GOLDEN, ids=named)
def test_a_batch_of_another_codec_reads_as_its_records(entry: dict[str, str]) -> None:
    encoded, sample = bytes.fromhex(entry["hex"]), SAMPLES[entry["sample"]]
    header = batch.read_header(encoded)
    batch.verify(encoded, 0, header)
    # A builder may leave a batch uncompressed where its codec would make it larger.
    codec = header[batch.ATTRIBUTES] & batch.Attributes.CODEC
    assert compression.NAMES[codec] in (entry["codec"], "none")
    assert batch.batch_bytes(header) == len(encoded)
    assert header[batch.RECORDS_COUNT] == len(sample.records)
    assert header[batch.LAST_OFFSET_DELTA] == sample.records[-1][0]
    assert header[batch.BASE_TIMESTAMP] == BASE_TIMESTAMP
    assert header[batch.MAX_TIMESTAMP] == BASE_TIMESTAMP + max(r[1] for r in sample.records)
    assert header[batch.PRODUCER_ID : batch.RECORDS_COUNT] == (
        sample.producer_id,
        sample.producer_epoch,
        sample.base_sequence,
    )
    transactional = bool(header[batch.ATTRIBUTES] & batch.Attributes.TRANSACTIONAL)
    assert transactional == sample.transactional
    assert records.read_records(encoded) == absolute(sample)


@pytest.mark.parametrize("codec", compression.NAMES)
def test_every_codec_is_among_the_golden_batches(codec: str) -> None:
    found = {
        entry["sample"]
        for entry in GOLDEN
        if batch.read_header(bytes.fromhex(entry["hex"]))[batch.ATTRIBUTES] & 7
        == compression.NAMES.index(codec)
    }
    assert found


def ours(sample: Sample, codec: int) -> bytes:
    return batch.build(
        sample.records,
        codec=codec,
        base_timestamp=BASE_TIMESTAMP,
        producer_id=sample.producer_id,
        producer_epoch=sample.producer_epoch,
        base_sequence=sample.base_sequence,
        transactional=sample.transactional,
    )


@pytest.mark.parametrize(
    "entry", [entry for entry in GOLDEN if entry["codec"] == "none"], ids=named
)
def test_an_uncompressed_batch_of_ours_is_the_same_bytes(entry: dict[str, str]) -> None:
    encoded = bytearray.fromhex(entry["hex"])
    # The leader epoch is the broker's to set: builders leave 0 or -1 there.
    made = bytearray(ours(SAMPLES[entry["sample"]], compression.NONE))
    made[12:16] = encoded[12:16]
    assert made == encoded


READERS = [(reader, codec) for reader in ("kafka-python", "aiokafka") for codec in range(5)]
# It reads snappy with python-snappy, which is not among our development packages.
READERS.remove(("kafka-python", compression.SNAPPY))


@pytest.mark.parametrize(("reader", "codec"), READERS)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_batch_of_ours_reads_the_same_in_other_codecs(reader: str, codec: int, name: str) -> None:
    if reader == "kafka-python":
        from kafka.record.default_records import DefaultRecordBatch
    else:
        from aiokafka.record.default_records import DefaultRecordBatch
    sample = SAMPLES[name]
    read = DefaultRecordBatch(bytearray(ours(sample, codec)))
    assert read.validate_crc()
    assert [
        (r.offset, r.timestamp, r.key, r.value, tuple((k, v) for k, v in r.headers)) for r in read
    ] == absolute(sample)
