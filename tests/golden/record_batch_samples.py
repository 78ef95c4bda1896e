"""The records of the golden batches, and where their bytes are kept."""

from dataclasses import dataclass
from pathlib import Path

from streambus.protocol.columns import RecordTuple

FILE = Path(__file__).parent / "record_batches.json"
BASE_TIMESTAMP = 1_700_000_000_000


@dataclass(frozen=True)
class Sample:
    """Records with deltas, and what the batch says beside them."""

    records: tuple[RecordTuple, ...]
    transactional: bool = False
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1


SAMPLES = {
    "one value": Sample(((0, 0, None, b"value", ()),)),
    "null key and null value": Sample(
        ((0, 0, None, None, ()), (1, 1, b"key", None, ()), (2, 2, None, b"value", ()))
    ),
    "empty key and empty value": Sample(((0, 0, b"", b"", ()), (1, 0, b"", b"x", ()))),
    "headers": Sample(
        (
            (0, 0, b"k", b"v", (("a", b"1"), ("a", b"2"), ("null", None), ("empty", b""))),
            (1, 5, b"k", b"v", (("", b"no name"), ("ключ", "значение".encode()))),
            (2, 6, b"k", b"v", ()),
        )
    ),
    "timestamps that fall": Sample(
        ((0, 0, None, b"a", ()), (1, -86_400_000, None, b"b", ()), (2, 1 << 33, None, b"c", ()))
    ),
    "long varints": Sample(
        tuple((offset, offset, b"k" * offset, b"v" * 3 * offset, ()) for offset in range(0, 200, 9))
    ),
    "many records": Sample(
        tuple((offset, offset // 7, None, b"value-%d" % offset, ()) for offset in range(300))
    ),
    "idempotent": Sample(
        ((0, 0, b"k", b"v", ()), (1, 1, b"k", b"w", ())),
        producer_id=4_242_424_242,
        producer_epoch=7,
        base_sequence=2_147_483_600,
    ),
    "transactional": Sample(
        ((0, 0, b"k", b"v", ()),),
        transactional=True,
        producer_id=1,
        producer_epoch=0,
        base_sequence=0,
    ),
}
