"""The bytes of segment, sidecar and checkpoint, held still, and read by a reader written from
docs/wal.md."""

import json
import struct
from pathlib import Path

from app.tiers.nvme import checkpoint
from tests.golden import wal_samples
from tests.unit.tiers.nvme.arrange import DIRECTORY, A, B, C, MemoryFiles, recover, stored

GOLDEN = Path(__file__).with_name("wal_format.json")
SEGMENT, SIDECAR = "0000000000000001.segment", "0000000000000001.sidecar"
FULL, DELTA = "checkpoint-0000000000000001-full", "checkpoint-0000000000000002-delta"


def golden() -> dict[str, bytes]:
    return {name: bytes.fromhex(text) for name, text in json.loads(GOLDEN.read_text()).items()}


def crc32c(content: bytes, start: int = 0) -> int:
    """Bit by bit, as the polynomial says."""
    value = start ^ 0xFFFFFFFF
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def number(content: bytes, at: int, size: int, *, signed: bool = False) -> int:
    return int.from_bytes(content[at : at + size], "little", signed=signed)


def check_header(content: bytes, magic: bytes) -> dict[str, int]:
    assert content[:4] == magic
    assert number(content, 4, 2) == 1
    assert content[8:20] == bytes(12), "flags and key id"
    assert number(content, 60, 4) == crc32c(content[:60])
    names = {"kind": (6, 2), "entries": (20, 4), "sequence": (24, 8), "body_crc": (56, 4)}
    places = names | {"a": (32, 8), "b": (40, 8), "c": (48, 8)}
    return {name: number(content, at, size) for name, (at, size) in places.items()}


def test_what_is_written_today_is_what_is_on_disks() -> None:
    assert wal_samples.files() == golden()


def test_what_is_on_disks_is_read_today() -> None:
    files = MemoryFiles()
    files.names = {f"{DIRECTORY}/{name}": bytearray(raw) for name, raw in golden().items()}
    full = checkpoint.load(files, DIRECTORY, 1, checkpoint.FULL)
    assert full is not None
    assert full.entries[C].quarantined == "damaged"
    chain = checkpoint.load_chain(files, DIRECTORY, 2)
    assert chain is not None
    assert (set(chain.entries), chain.entries[A].saved) == ({A, C}, b"later")
    for name in (SIDECAR, FULL, DELTA):
        del files.names[f"{DIRECTORY}/{name}"]
    outcome, fold = recover(files)
    assert outcome.recovered.synced_through == 3
    assert len(stored(outcome.index, A)) == 142
    assert fold.position(B) == (0, 0, 5)


def test_a_segment_reads_as_the_document_says() -> None:
    content = golden()[SEGMENT]
    page = check_header(content, b"SBWS")
    assert (page["sequence"], page["a"]) == (1, 1)
    assert not any(content[64:4096])
    at, blocks = 4096, []
    while at < len(content):
        header = content[at : at + 64]
        assert header[:4] == b"SBLK"
        assert (number(header, 4, 2), number(header, 6, 2)) == (1, 104)
        frames, size = number(header, 20, 4), number(header, 56, 4)
        assert number(header, 24, 8) == 1
        assert number(header, 48, 8) == page["b"], "the salt"
        seed = crc32c(struct.pack("<Q", 1))
        table = content[at + 64 : at + 64 + 104 * frames]
        assert number(header, 60, 4) == crc32c(table, crc32c(header[:60], seed))
        blocks.append((number(header, 32, 8), number(header, 40, 8), read_frames(content, at)))
        assert size % 8 == 0
        at += size
    assert at == len(content)
    assert [(block, synced) for block, synced, _ in blocks] == [(1, 0), (2, 1), (3, 2)]
    batches = [(A, 0, 5, 0, 2, 142, 2), (B, 0, 5, 0, 1, 71, 1)]
    controls = [(B, 2, 6, 0, 0, 0, 0), (C, 3, 6, 7, 7, 0, 0)]
    assert [frames for _, _, frames in blocks] == [batches, controls, []]


def read_frames(content: bytes, at: int) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    keys = {each.topic_id: each for each in (A, B, C)}
    count = number(content, at + 20, 4)
    position = at + 64 + 104 * count
    for n in range(count):
        entry = content[at + 64 + 104 * n : at + 64 + 104 * (n + 1)]
        length = number(entry, 56, 4)
        assert number(entry, 60, 4) == crc32c(content[position : position + length])
        assert number(entry, 40, 8) > 1_000, "append_ms"
        assert number(entry, 48, 8, signed=True) == (1_000 if length else -1)
        assert entry[65:68] == bytes(3)
        assert entry[72:] == bytes(32)
        for start in range(position, position + length, 71):
            assert content[start + 16] == 2, "the magic of a record batch"
            assert content[start + 12 : start + 16] == (5).to_bytes(4, "big"), "leader epoch"
        found.append(
            (
                keys[entry[:16]],
                entry[64],
                number(entry, 20, 4),
                number(entry, 24, 8),
                number(entry, 32, 8),
                length,
                number(entry, 68, 4),
            )
        )
        position += length
    return found


def test_a_sidecar_reads_as_the_document_says() -> None:
    content = golden()[SIDECAR]
    header = check_header(content, b"SBSC")
    assert (header["entries"], header["sequence"], header["a"], header["c"]) == (1, 1, 3, 2)
    assert header["b"] == len(golden()[SEGMENT])
    directory = content[64 : 64 + 72 + 2 * 32]
    assert crc32c(directory) == header["body_crc"]
    extent, cuts = directory[:72], directory[72:]
    assert extent[:16] == A.topic_id
    assert (number(extent, 20, 4), number(extent, 24, 4)) == (1, 0)
    assert [number(extent, at, 8) for at in (32, 40, 48, 56)] == [0, 2, 142, 1_000]
    position = number(extent, 64, 8)
    rows = content[position:]
    assert number(extent, 28, 4) == crc32c(rows)
    frame = struct.unpack("<5q", rows)
    assert frame == (0, 2, 4096 + 64 + 2 * 104, 142, 1_000)
    assert (cuts[:16], number(cuts, 24, 8)) == (B.topic_id, 0)
    assert (cuts[32:48], number(cuts, 56, 8, signed=True)) == (C.topic_id, -1)


def test_checkpoints_read_as_the_document_says() -> None:
    full, delta = golden()[FULL], golden()[DELTA]
    header = check_header(full, b"SBCP")
    assert (header["kind"], header["entries"], header["sequence"]) == (0, 2, 1)
    assert (header["a"], header["b"], header["c"]) == (3, 0, 1_005)
    assert header["body_crc"] == crc32c(full[64:])
    assert read_entries(full) == [
        (A.topic_id, 0, b"state of A", "", 0),
        (C.topic_id, 1, b"", "damaged", 7),
    ]
    header = check_header(delta, b"SBCP")
    assert (header["kind"], header["sequence"], header["a"], header["b"]) == (1, 2, 9, 1)
    assert read_entries(delta) == [(A.topic_id, 0, b"later", "", 1), (B.topic_id, 2, b"", "", 0)]


def read_entries(content: bytes) -> list[tuple[bytes, int, bytes, str, int]]:
    at, entries = 64, []
    for _ in range(number(content, 20, 4)):
        flags = number(content, at + 20, 4)
        state, reason = number(content, at + 24, 4), number(content, at + 28, 4)
        body = at + 40
        entries.append(
            (
                content[at : at + 16],
                flags,
                content[body : body + state],
                content[body + state : body + state + reason].decode(),
                number(content, at + 32, 8),
            )
        )
        at = body + state + reason
    assert at == len(content)
    return entries
