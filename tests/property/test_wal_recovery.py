"""Whatever is cut off, flipped, zeroed or overwritten in a real segment: no wrong record is served,
what had been synced is there or named, and what had not is a torn tail."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model import PartitionKey
from app.tiers.nvme.block import FrameKind
from app.tiers.nvme.recovery import UNKNOWN, Outcome
from app.tiers.nvme.segment import PAGE_BYTES, segment_path
from tests.unit.tiers.nvme.arrange import (
    DIRECTORY,
    A,
    B,
    C,
    ListFold,
    MemoryFiles,
    Scribe,
    Written,
    joined,
    records,
    recover,
    stored,
)

KEYS = (A, B, C)


def history(seed: int, blocks: int = 8, *, controls: bool = True) -> Scribe:
    """A log of a few segments over files that held another log before."""
    random = Random(seed)
    former = Scribe(segment_bytes=6_000, segment=90, sequence=1).begin()
    for _ in range(6):
        former.write((random.choice(KEYS), records(random.randrange(300), fill=255)))
    under = bytes(former.files.names[former.path])
    scribe = Scribe(segment_bytes=8_000).begin(under=under)
    for n in range(blocks):
        if n and random.random() < 0.2:
            scribe.begin(under=under)
        steps: list[tuple[PartitionKey, bytes | tuple[FrameKind, int]]] = []
        for _ in range(random.randrange(1, 5)):
            key = random.choice(KEYS)
            if controls and random.random() < 0.1:
                at = random.randrange(scribe.end(key) + 1)
                steps.append((key, (FrameKind.TRUNCATED, at if at < 1 else scribe.end(key))))
                break
            count = random.randrange(1, 4)
            size, fill = random.randrange(400), random.randrange(1, 250)
            steps.append((key, records(size, count=count, fill=fill)))
        scribe.write(*steps)
    return scribe


def ends_through(scribe: Scribe, sequence: int) -> dict[PartitionKey, int]:
    """Where each partition ended after block `sequence`."""
    ends: dict[PartitionKey, int] = {}
    for block in scribe.blocks:
        if block.sequence <= sequence:
            for frame in block.frames:
                if frame.kind == FrameKind.BATCHES:
                    ends[frame.key] = frame.end_offset
                elif frame.kind == FrameKind.TRUNCATED:
                    ends[frame.key] = frame.base_offset
    return ends


def is_intact(files: MemoryFiles, whole: MemoryFiles, block: Written, length: int) -> bool:
    """Whether these bytes of the block are still somewhere in its segment."""
    path = segment_path(DIRECTORY, block.segment)
    written = whole.names[path][block.position : block.position + length]
    content = files.names.get(path, bytearray())
    at = content.find(written)
    while at >= 0 and at % 8:
        at = content.find(written, at + 1)
    return at >= 0


def check(scribe: Scribe, damaged: MemoryFiles, *, in_place: bool = True) -> Outcome:
    """Recover `damaged`, and compare with what the scribe wrote. `in_place`: no block was moved, so
    it is known what had been synced and what is lost."""
    before = damaged.copy()
    outcome, fold = recover(damaged)
    recovered = outcome.recovered
    served = {key: stored(outcome.index, key) for key in KEYS}
    batches = {
        key: [content for block in scribe.blocks for content in contents_of(scribe, block, key)]
        for key in KEYS
    }
    for key, content in served.items():
        assert is_made_of(content, batches[key]), f"a record of {key} that was never written"

    if in_place:
        check_loss(scribe, before, outcome, fold)

    # And it is the same log ever after.
    again, fold_again = recover(damaged, ListFold())
    assert not again.recovered.torn
    assert set(again.recovered.quarantined) == set(recovered.quarantined)
    for key in KEYS:
        if key not in recovered.quarantined:
            assert stored(again.index, key) == served[key]
            assert fold_again.position(key) == fold.position(key)
    return outcome


def check_loss(scribe: Scribe, before: MemoryFiles, outcome: Outcome, fold: ListFold) -> None:
    """What had been synced is there or named; what had not is a torn tail."""
    whole, recovered = scribe.files, outcome.recovered
    # What survives says how far everything had been synced.
    heads = [block for block in scribe.blocks if is_intact(before, whole, block, block.head)]
    proven = max((block.synced_through for block in heads), default=0)
    for segment in {block.segment for block in scribe.blocks}:
        path = segment_path(DIRECTORY, segment)
        first = min(b.sequence for b in scribe.blocks if b.segment == segment)
        if before.names.get(path, b"")[:64] == whole.names[path][:64]:
            proven = max(proven, first - 1)
    bad = [b for b in scribe.blocks if not is_intact(before, whole, b, unpadded(b))]
    lost = [block for block in bad if block.sequence <= proven]
    assert recovered.corrupt or not lost, (lost, recovered)
    if not lost:
        assert not recovered.corrupt
        assert not recovered.quarantined
        assert recovered.synced_through == (bad[0].sequence - 1 if bad else len(scribe.blocks))
    assert recovered.synced_through >= proven or UNKNOWN in recovered.quarantined
    for key, end in ends_through(scribe, recovered.synced_through).items():
        if key not in recovered.quarantined:
            position = fold.position(key)
            if position is None:
                assert UNKNOWN in recovered.quarantined, f"{key} is gone and nobody says so"
                continue
            assert position[1] == end, f"{key} ends at {position[1]}, {end} was synced"
            assert outcome.index.hole(key, 0, end) is None


def unpadded(block: Written) -> int:
    """Padding at the end of a block is in no checksum, and in no frame."""
    return block.head + sum(frame.length for frame in block.frames)


def contents_of(scribe: Scribe, block: Written, key: PartitionKey) -> list[bytes]:
    from streambus.protocol import batch

    path = segment_path(DIRECTORY, block.segment)
    contents = []
    for frame in block.frames:
        if frame.key == key and frame.kind == FrameKind.BATCHES:
            raw = bytes(scribe.files.names[path][frame.position : frame.position + frame.length])
            contents += [
                raw[at : at + batch.batch_bytes(header)] for at, header in batch.headers(raw)
            ]
    return contents


def is_made_of(content: bytes, batches: list[bytes]) -> bool:
    """Whether the bytes are whole batches of the list, in its order."""
    at = 0
    for one in batches:
        if content.startswith(one, at):
            at += len(one)
    return at == len(content)


@pytest.mark.parametrize("seed", [0])
def test_a_log_cut_at_any_byte_of_its_last_blocks_ends_at_the_last_whole_one(seed: int) -> None:
    scribe = history(seed, controls=False)
    last = scribe.blocks[-2:]
    for block in (b for b in last if b.segment == scribe.segment):
        for cut in range(block.position, block.position + block.length):
            damaged = scribe.files.copy()
            del damaged.names[scribe.path][cut:]
            outcome = check(scribe, damaged)
            assert not outcome.recovered.corrupt


@pytest.mark.parametrize("seed", [1])
def test_any_bit_of_the_last_blocks_may_flip(seed: int) -> None:
    scribe = history(seed)
    for block in scribe.blocks[-2:]:
        path = segment_path(DIRECTORY, block.segment)
        for position in range(block.position, block.position + block.length):
            damaged = scribe.files.copy()
            damaged.names[path][position] ^= 1 << (position % 8)
            check(scribe, damaged)


def damage(random: Random, files: MemoryFiles, scribe: Scribe, *, in_place: bool) -> None:
    block = random.choice(scribe.blocks)
    content = files.names[segment_path(DIRECTORY, block.segment)]
    at = random.randrange(len(content))
    match random.randrange(4) if in_place else 4:
        case 0:
            content[at] ^= 1 << random.randrange(8)
        case 1:
            length = random.choice((1, 8, 64, 512))
            content[at : at + length] = bytes(len(content[at : at + length]))
        case 2:
            sector = at // 512 * 512
            content[sector : sector + 512] = random.randbytes(len(content[sector : sector + 512]))
        case 4:  # a misdirected write: another block of the same log stands here
            other = random.choice(scribe.blocks)
            source = scribe.files.names[segment_path(DIRECTORY, other.segment)]
            moved = source[other.position : other.position + other.length]
            target = random.choice(scribe.blocks).position
            content[target : target + len(moved)] = moved[: max(0, len(content) - target)]
        case 3:
            content[block.position] ^= 0xFF


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 4), st.booleans())
def test_random_damage_anywhere_is_never_served_and_never_silent(
    seed: int, hurts: int, in_place: bool
) -> None:
    random = Random(seed)
    scribe = history(seed, blocks=random.randrange(1, 10))
    damaged = scribe.files.copy()
    for _ in range(hurts):
        damage(random, damaged, scribe, in_place=in_place)
    check(scribe, damaged, in_place=in_place)


def test_an_undamaged_log_is_whole(seeds: range = range(50)) -> None:
    for seed in seeds:
        scribe = history(seed)
        outcome = check(scribe, scribe.files.copy())
        assert not outcome.recovered.torn
        for key in KEYS:
            assert stored(outcome.index, key) == joined(scribe.contents.get(key, []))


def test_the_history_is_worth_its_name() -> None:
    assert {history(seed).segment for seed in range(20)} >= {1, 2, 3}
    assert any(
        len(history(seed).files.names[segment_path(DIRECTORY, 1)]) > PAGE_BYTES for seed in range(3)
    )
