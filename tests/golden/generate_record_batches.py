"""Writes record_batches.json: batches made by codecs that are not ours.

`python -m tests.golden.generate_record_batches` writes it anew with the installed kafka-python and
aiokafka. It is checked in: reading it needs neither, and a change of it is a change of format.
"""

import json
from pathlib import Path
from typing import Any

from tests.golden.record_batch_samples import BASE_TIMESTAMP, FILE, SAMPLES, Sample

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def by_kafka_python(sample: Sample, codec: int) -> bytes:
    from kafka.record.default_records import DefaultRecordBatchBuilder

    return bytes(_built(DefaultRecordBatchBuilder, sample, codec))


def by_aiokafka(sample: Sample, codec: int) -> bytes:
    from aiokafka.record.default_records import DefaultRecordBatchBuilder

    return bytes(_built(DefaultRecordBatchBuilder, sample, codec))


def _built(builder_class: Any, sample: Sample, codec: int) -> bytes:
    builder = builder_class(
        magic=2,
        compression_type=codec,
        is_transactional=sample.transactional,
        producer_id=sample.producer_id,
        producer_epoch=sample.producer_epoch,
        base_sequence=sample.base_sequence,
        batch_size=1 << 20,
    )
    for offset, timestamp, key, value, headers in sample.records:
        appended = builder.append(offset, BASE_TIMESTAMP + timestamp, key, value, list(headers))
        assert appended is not None, "the builder is full"
    return bytes(builder.build())


def main() -> None:
    made = []
    for maker, build in (("kafka-python", by_kafka_python), ("aiokafka", by_aiokafka)):
        for name, sample in SAMPLES.items():
            for codec, codec_name in enumerate(CODECS):
                if maker == "kafka-python" and codec_name == "snappy":
                    continue  # needs python-snappy, which is not among our development packages
                made.append(
                    {
                        "maker": maker,
                        "sample": name,
                        "codec": codec_name,
                        "hex": build(sample, codec).hex(),
                    }
                )
    Path(FILE).write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
