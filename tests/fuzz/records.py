"""Hostile records sections, through the compiled kernel and its plain twin: both must say the same.

`python -m tests.fuzz.records INPUTS SEED` runs that many inputs; the same seed gives the same ones.
An input fails if either codec raises anything but Malformed, or if they differ in result or words.
"""

import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from streambus.errors import Malformed
from streambus.protocol import _records_python as plain
from streambus.protocol import batch, compression, records
from streambus.protocol.columns import RecordColumns, RecordTuple

try:
    from streambus.protocol import _kernel_decode, _kernel_encode
except ImportError:
    KERNEL_MISSING = "the kernel is not compiled here: python setup.py build_ext --inplace"
else:
    KERNEL_MISSING = ""

# Ends of the ranges of varints, one byte too many, and what merely looks odd.
EDGES = (
    b"\x00",
    b"\x01",
    b"\x03",
    b"\x7f",
    b"\x80\x00",
    b"\x81\x00",
    b"\x80\x80\x80\x80\x00",
    b"\x80\x80\x80\x80\x80\x00",
    b"\xfe\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\x1f",
    b"\xff\xff\xff\xff\x7f",
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
)
POOL = 64  # sections that are mutated before new ones are made


def some_bytes(rng: random.Random, longest: int) -> bytes | None:
    if rng.random() < 0.2:
        return None
    return rng.randbytes(rng.choice((0, 1, 7, rng.randrange(longest + 1))))


def some_records(rng: random.Random) -> list[RecordTuple]:
    made: list[RecordTuple] = []
    for offset in range(rng.choice((0, 1, 2, 5, 9))):
        headers = tuple(
            (rng.choice(("", "h", "ключ", "a" * 70, "\udcff")), some_bytes(rng, 9))
            for _ in range(rng.choice((0, 0, 0, 1, 3)))
        )
        timestamp = rng.choice((0, 1, -1, rng.randrange(-(2**63), 2**63)))
        delta = rng.choice((offset, offset, offset, rng.randrange(2**31)))
        made.append((delta, timestamp, some_bytes(rng, 20), some_bytes(rng, 200), headers))
    return made


def mutated(rng: random.Random, section: bytes) -> bytes:
    changed = bytearray(section)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            del changed[at:]
        elif kind == 1:
            del changed[at : at + rng.randrange(1, 6)]
        elif kind == 2:
            changed[at:at] = rng.choice(EDGES)
        elif kind == 3:
            edge = rng.choice(EDGES)
            changed[at : at + len(edge)] = edge
        elif kind == 4 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif at < len(changed):
            changed[at] = rng.randrange(256)
    return bytes(changed)


def outcome(call: Callable[..., Any], *arguments: Any) -> tuple[str, Any]:
    """What came of it: the result, or the words of a Malformed. Anything else is a bug."""
    try:
        return "result", call(*arguments)
    except Malformed as malformed:
        return "malformed", str(malformed)


def same(name: str, compiled: Any, simple: Any, *arguments: Any) -> tuple[str, Any]:
    left, right = outcome(compiled, *arguments), outcome(simple, *arguments)
    assert left == right, f"{name} differs\n{arguments!r}\ncompiled {left!r}\nplain    {right!r}"
    return left


def check_section(rng: random.Random, section: bytes, count: int) -> str:
    verdict, decoded = same("decode", _kernel_decode.decode, plain.decode, section, count)
    _, columns = same(
        "decode_columns", _kernel_decode.decode_columns, plain.decode_columns, section, count
    )
    delta, offset = rng.choice((0, 5, -(2**63), 2**63 - 1)), rng.choice((0, 2))
    same(
        "find_timestamp",
        _kernel_decode.find_timestamp,
        plain.find_timestamp,
        section,
        count,
        delta,
        offset,
    )
    if verdict == "malformed":
        return re.sub(r"-?\d+", "N", str(decoded))
    bases = rng.choice((0, 2**62, 2**63 - 1)), rng.choice((0, -(2**63), 2**63 - 1))
    same("decode", _kernel_decode.decode, plain.decode, section, count, *bases)
    # Varints may be written longer than need be, so the bytes need not be those that were read.
    again = same("encode", _kernel_encode.encode, plain.encode, decoded)[1]
    assert plain.decode(again, count) == decoded
    assert _kernel_encode.encode_columns(columns) == again
    check_columns(rng, columns)
    return "result"


def check_columns(rng: random.Random, columns: RecordColumns) -> None:
    """Columns with one buffer damaged."""
    name = rng.choice([slot for slot in RecordColumns.__slots__ if slot != "count"])
    buffer = getattr(columns, name)
    if buffer is None:
        return
    damaged = bytearray(buffer)
    if rng.random() < 0.3:
        del damaged[rng.randrange(len(damaged) + 1) :]
    elif damaged:
        damaged[rng.randrange(len(damaged))] = rng.choice((0, 1, 5, 127, 128, 255))
    setattr(columns, name, damaged)
    same("encode_columns", _kernel_encode.encode_columns, plain.encode_columns, columns)


def check_batch(rng: random.Random, made: list[RecordTuple]) -> str:
    """A whole batch, its codec included: only Malformed, and never more than the bound."""
    codec = rng.randrange(5)
    safe = [(*record[:1], rng.randrange(1000), *record[2:]) for record in made]
    whole = bytearray(batch.build(safe, codec=codec, base_timestamp=1_700_000_000_000))
    section = mutated(rng, bytes(whole[batch.HEADER_BYTES :]))
    whole[batch.HEADER_BYTES :] = section
    whole[8:12] = (len(whole) - batch.LENGTH_PREFIX).to_bytes(4, "big")
    batch.seal(whole)
    if rng.random() < 0.2:
        whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    verdict, _ = outcome(records.read_records, whole, 0, 4096)
    return f"{compression.NAMES[codec]} {verdict}"


def run(inputs: int, seed: int) -> Counter[str]:
    """Check so many inputs; what came of them, counted."""
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    pool: list[tuple[list[RecordTuple], bytes]] = []
    for number in range(inputs):
        if number % 1000 == 0:
            pool = [(made, plain.encode(made)) for made in (some_records(rng) for _ in range(POOL))]
        made, section = rng.choice(pool)
        if number % 8 == 0:
            seen[check_batch(rng, made)] += 1
            continue
        count = len(made) if rng.random() < 0.9 else rng.choice((0, -1, 1, 2**31 - 1))
        seen[check_section(rng, mutated(rng, section), count)] += 1
    return seen


def main() -> None:
    if KERNEL_MISSING:
        sys.exit(KERNEL_MISSING)
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for what, times in run(inputs, seed).most_common():
        sys.stdout.write(f"{times:9} {what}\n")


if __name__ == "__main__":
    main()
