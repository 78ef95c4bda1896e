"""Idempotent producers: which sequences a partition takes, and what it says of the others."""

from typing import Any

from tests.diff.batches import batch
from tests.diff.script import Script

PRODUCER = 4_000
INT32_MAX = 2**31 - 1


def _sent(sequence: int, records: int = 1, epoch: int = 0, producer: int = PRODUCER) -> bytes:
    rows = [(None, b"%d" % n) for n in range(records)]
    return batch(rows, producer_id=producer, epoch=epoch, sequence=sequence)


def next_in_every_version(script: Script) -> None:
    script.create("t")
    for n, version in enumerate(script.versions("Produce")):
        script.produce("t", _sent(n), version=version)
        script.produce("t", _sent(n), version=version)
        script.produce("t", _sent(n + 5), version=version)
        script.produce("t", _sent(0, epoch=-1), version=version)
    script.offsets("t")


def duplicates_of_each_of_the_last_five(script: Script) -> None:
    script.create("t")
    for n in range(8):
        script.produce("t", _sent(n * 2, 2))
    for n in range(8):
        script.produce("t", _sent(n * 2, 2))
    script.offsets("t")


def a_duplicate_of_another_length(script: Script) -> None:
    script.create("t")
    for n in range(3):
        script.produce("t", _sent(n * 3, 3))
    for sequence, records in ((0, 2), (0, 4), (1, 2), (3, 6), (6, 2), (6, 4), (7, 2), (5, 4)):
        script.produce("t", _sent(sequence, records))
    script.offsets("t")


def gaps_and_steps_back(script: Script) -> None:
    script.create("t")
    script.produce("t", _sent(0, 4))
    for sequence in (5, 6, 3, 2, 1, INT32_MAX, 100):
        script.produce("t", _sent(sequence))
    script.produce("t", _sent(4))
    script.offsets("t")


def an_unknown_producer_may_start_anywhere(script: Script) -> None:
    script.create("t", 3)
    script.produce("t", _sent(7), partition=0)
    script.produce("t", _sent(8), partition=0)
    script.produce("t", _sent(7), partition=0)
    script.produce("t", _sent(6), partition=0)
    script.produce("t", _sent(INT32_MAX), partition=1)
    script.produce("t", _sent(0), partition=1)
    script.produce("t", _sent(1), partition=1)
    script.produce("t", _sent(0, producer=0), partition=2)
    script.produce("t", _sent(3, epoch=5, producer=1), partition=2)


def wraps_at_the_end_of_int32(script: Script) -> None:
    script.create("t", 4)
    script.produce("t", _sent(INT32_MAX - 1, 2))
    script.produce("t", _sent(0))
    script.produce("t", _sent(INT32_MAX - 1, 2))
    script.produce("t", _sent(INT32_MAX))
    script.produce("t", _sent(INT32_MAX - 1, 4), partition=1)
    script.produce("t", _sent(2), partition=1)
    script.produce("t", _sent(INT32_MAX - 1, 4), partition=1)
    script.produce("t", _sent(3), partition=1)
    script.produce("t", _sent(INT32_MAX), partition=2)
    script.produce("t", _sent(1), partition=2)
    script.produce("t", _sent(INT32_MAX - 3), partition=3)
    script.produce("t", _sent(INT32_MAX - 2, 5), partition=3)
    script.produce("t", _sent(INT32_MAX - 1), partition=3)
    script.produce("t", _sent(2), partition=3)
    script.fetch("t", 0, 0, 0, 0)


def epochs(script: Script) -> None:
    script.create("t")
    script.produce("t", _sent(0, epoch=3))
    script.produce("t", _sent(1, epoch=2))
    script.produce("t", _sent(0, epoch=2))
    script.produce("t", _sent(1, epoch=4))
    script.produce("t", _sent(5, epoch=4))
    script.produce("t", _sent(0, epoch=4))
    script.produce("t", _sent(1, epoch=3))
    script.produce("t", _sent(0, epoch=4))
    script.produce("t", _sent(1, epoch=4))
    script.produce("t", _sent(0, epoch=32_767))
    script.produce("t", _sent(1, epoch=32_767))
    script.produce("t", _sent(2, epoch=0))
    script.offsets("t")


def an_old_epoch_in_every_version(script: Script) -> None:
    script.create("t")
    script.produce("t", _sent(0, epoch=9))
    for version in script.versions("Produce"):
        script.produce("t", _sent(1, epoch=8), version=version)
        script.produce("t", _sent(1, epoch=10), version=version)


def a_new_epoch_forgets_the_duplicates(script: Script) -> None:
    script.create("t")
    for n in range(3):
        script.produce("t", _sent(n, epoch=0))
    script.produce("t", _sent(0, epoch=1))
    for n in range(3):
        script.produce("t", _sent(n, epoch=0))
        script.produce("t", _sent(n, epoch=1))
    script.offsets("t")


def several_producers_take_turns(script: Script) -> None:
    script.create("t", 2)
    for n in range(6):
        for producer in (10, 11, 12):
            script.produce("t", _sent(n, producer=producer), partition=producer % 2)
    for producer in (10, 11, 12):
        script.produce("t", _sent(0, producer=producer), partition=producer % 2)
        script.produce("t", _sent(2, producer=producer), partition=producer % 2)
        script.produce("t", _sent(7, producer=producer), partition=producer % 2)
    script.fetch("t", 0, 0)


def partitions_with_mixed_outcomes(script: Script) -> None:
    script.create("t", 4)
    script.produce("t", _sent(0), _sent(0), _sent(0), _sent(0))
    for version in script.versions("Produce"):
        script.produce("t", _sent(9), _sent(0), _sent(1, epoch=-1), version=version)
        script.produce("t", _sent(0), _sent(7), _sent(0), _sent(0), version=version)
    script.produce("t", _sent(0), _sent(1), _sent(3), _sent(1), _sent(0))
    script.offsets("t", 0, 1, 2, 3)


def ids_epochs_and_sequences_that_do_not_fit(script: Script) -> None:
    script.create("t", 8)
    shapes: list[dict[str, Any]] = [
        {"producer_id": PRODUCER, "epoch": 0, "sequence": -1},
        {"producer_id": PRODUCER, "epoch": -1, "sequence": 0},
        {"producer_id": -1, "epoch": 0, "sequence": 0},
        {"producer_id": -1, "epoch": -1, "sequence": 0},
        {"producer_id": -2, "epoch": 0, "sequence": 0},
        {"producer_id": PRODUCER, "epoch": 0, "sequence": -2},
        {"producer_id": PRODUCER, "epoch": -2, "sequence": 0},
        {"producer_id": 2**63 - 1, "epoch": 0, "sequence": 0},
    ]
    for n, shape in enumerate(shapes):
        script.produce("t", batch(**shape), partition=n)


def a_producer_that_also_writes_without_an_id(script: Script) -> None:
    script.create("t")
    script.produce("t", _sent(0))
    script.produce("t", batch())
    script.produce("t", _sent(1))
    script.produce("t", batch())
    script.produce("t", _sent(1))
    script.fetch("t", 0)


def duplicates_of_compressed_and_log_append_time(script: Script) -> None:
    script.create("t", 1, message_timestamp_type="LogAppendTime")
    for codec in (1, 2, 3, 4):
        sent = batch(
            [(None, b"x" * 90)] * 3,
            codec=codec,
            producer_id=PRODUCER,
            epoch=0,
            sequence=(codec - 1) * 3,
        )
        script.produce("t", sent)
        script.produce("t", sent)
    script.fetch("t", 0)
