"""Blocks: what is packed is what was appended, and only that is believed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import limits
from app.limits import INDEX_EVERY_BYTES, KIB
from app.tiers.nvme import block as blocks
from app.tiers.nvme.block import BATCHES, Block, BlockHeader, Frame, FrameKind
from app.tiers.nvme.file_header import WrittenByNewer, crc32c
from streambus.protocol import batch
from tests.unit.tiers.nvme.arrange import A, B, Loan, OpenBlock, key, records


def filled(
    *steps: tuple[int, bytes], capacity: int = 1 << 16, leases: list[Loan | None] | None = None
) -> tuple[Block, dict[int, bytes]]:
    """A block of batches for partitions by number, and what each should hold."""
    open_block = OpenBlock(7, capacity)
    ends: dict[int, int] = {}
    contents: dict[int, bytes] = {}
    for n, (number, content) in enumerate(steps):
        base = ends.get(number, 0)
        header = batch.read_header(content)
        end = ends[number] = base + header[batch.LAST_OFFSET_DELTA] + 1
        lease = leases[n] if leases is not None else None
        open_block.append(key(number), content, base, end, 4, 99, lease)
        stored = bytearray(content)
        batch.patch(stored, 0, base, 4)
        contents[number] = contents.get(number, b"") + bytes(stored)
    block = open_block.block
    return block, contents


def packed(block: Block, *, segment: int = 3, salt: int = 5, position: int = 4096) -> bytes:
    block.place(position)
    return b"".join(block.pack(segment, salt, 6))


def parse(raw: bytes, segment: int = 3) -> tuple[BlockHeader, list[Frame]] | None:
    claim = blocks.claimed(raw, 0, segment)
    if claim is None:
        return None
    header = blocks.parse_header(raw, 0, claim[1], "here")
    if header is None:
        return None
    return header, blocks.parse_table(raw, 0, header.frames, 4096)


def test_each_frame_is_one_range_of_its_partition_s_batches_in_order() -> None:
    steps = [(1 + n % 3, records(n, count=1 + n % 2)) for n in range(20)]
    block, contents = filled(*steps)
    raw = packed(block)
    parsed = parse(raw)
    assert parsed is not None
    header, frames = parsed
    assert header == BlockHeader(3, 7, 6, len(raw))
    assert len(raw) % 8 == 0
    for frame, number in zip(frames, (1, 2, 3), strict=True):
        at = frame.position - 4096
        content = raw[at : at + frame.length]
        assert content == contents[number]
        assert frame.crc == crc32c(content)
        assert (frame.key, frame.kind, frame.leader_epoch) == (key(number), BATCHES, 4)
        assert frame.append_ms == 99
        headers = [h for _, h in batch.headers(content)]
        assert frame.batches == len(headers)
        assert frame.base_offset == headers[0][batch.BASE_OFFSET]


def test_neighbours_in_memory_and_on_disk_are_written_as_one() -> None:
    block, _ = filled((1, records(8)), (2, records(8)), (3, records(8)))
    block.place(4096)
    assert len(block.pack(3, 5, 6)) <= 3  # head, all batches, padding


def test_a_frame_of_many_small_batches_is_made_of_few_runs() -> None:
    block, _ = filled(*((1 + n % 4, records(8)) for n in range(256)))
    block.place(4096)
    assert len(block.pack(3, 5, 6)) <= 2 + 4 * 7
    assert block.used <= 2 * sum(frame.length for frame in block.frames)


def test_no_call_gets_more_buffers_than_it_takes() -> None:
    block, contents = filled(*((1 + n % 7, records(n % 9)) for n in range(4_000)), capacity=1 << 20)
    block.place(4096)
    buffers = block.pack(3, 5, 6)
    assert len(buffers) <= blocks.BUFFERS_MAX
    raw = b"".join(buffers)
    parsed = parse(raw)
    assert parsed is not None
    for frame, number in zip(parsed[1], range(1, 8), strict=True):
        at = frame.position - 4096
        assert raw[at : at + frame.length] == contents[number]


def test_a_batch_larger_than_the_buffer_makes_a_larger_one_and_moves_nothing() -> None:
    block, contents = filled((1, records(10)), (2, records(90_000)), (1, records(20)))
    raw = packed(block)
    parsed = parse(raw)
    assert parsed is not None
    for frame, number in zip(parsed[1], (1, 2), strict=True):
        at = frame.position - 4096
        assert raw[at : at + frame.length] == contents[number]


def test_the_crc_of_a_frame_is_that_of_its_bytes_whatever_the_sizes_of_its_batches() -> None:
    sizes = [0, 20_000, 5, 9, 40_000, 30_000, 3, 16_384, 16_200]
    steps = [(1 + n % 2, records(size, fill=n)) for n, size in enumerate(sizes * 2)]
    for chosen in (steps, [(1, content) for _, content in steps]):
        block, contents = filled(*chosen, capacity=1 << 17)
        block.place(4096)
        block.pack(3, 5, 6)
        for frame, content in zip(block.frames, contents.values(), strict=True):
            assert frame.crc == crc32c(content)
            assert frame.length == len(content)


STEP = st.tuples(
    st.integers(1, 3),
    st.sampled_from([0, 10, 900, 16_384, 32 * KIB, 40_000, 70_000]),
    st.integers(0, 2),  # 0: no lease, else whose
)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEP, min_size=1, max_size=25), capacity=st.sampled_from([64, 1 << 20]))
def test_batches_that_stay_where_they_lie_are_packed_like_copied_ones(
    steps: list[tuple[int, int, int]], capacity: int
) -> None:
    """With `capacity` small the buffer grows between leased batches."""
    loans = [None, Loan(), Loan()]
    batches = [(number, records(size, fill=n + 1)) for n, (number, size, _) in enumerate(steps)]
    leases = [loans[whose] for _, _, whose in steps]
    mixed, contents = filled(*batches, capacity=capacity, leases=leases)
    copied, _ = filled(*batches, capacity=capacity)
    stays = [
        len(content)
        for (_, content), lease in zip(batches, leases, strict=True)
        if lease is not None and len(content) >= limits.LEASED_BATCH_BYTES_MIN
    ]
    assert len(mixed.leased) == len(stays)
    assert mixed.held_bytes == mixed.used + sum(stays)
    assert packed(mixed) == packed(copied)
    for frame, content in zip(mixed.frames, contents.values(), strict=True):
        assert (frame.crc, frame.length) == (crc32c(content), len(content))


def test_more_leased_batches_than_one_call_takes_are_joined_to_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "LEASED_BATCH_BYTES_MIN", 200)
    batches = [(1 + n % 5, records(20 if n % 3 else 300, fill=n % 251)) for n in range(2_400)]
    mixed, _ = filled(*batches, capacity=1 << 20, leases=[Loan()] * len(batches))
    assert len(mixed.leased) == 800
    mixed.place(4096)
    buffers = mixed.pack(3, 5, 6)
    assert len(buffers) <= blocks.BUFFERS_MAX
    copied, _ = filled(*batches, capacity=1 << 20)
    assert b"".join(buffers) == packed(copied)
    monkeypatch.setattr(blocks, "BUFFERS_MAX", 1 << 20)
    assert len(mixed.pack(3, 5, 6)) > 1_000, "nothing had to be joined"


def test_a_block_is_as_full_as_what_it_copied_and_what_it_leased() -> None:
    block, _ = filled((1, records(40_000)), (2, records(50)), leases=[Loan(), Loan()])
    assert block.full_at == (1 << 62) - len(records(40_000))


def test_a_block_lets_go_of_every_lease_as_often_as_it_held_it_and_once() -> None:
    one, other = Loan(), Loan()
    large = records(40_000)
    steps = [(1, large), (2, large), (1, large), (2, records(5)), (1, large)]
    block, _ = filled(*steps, leases=[one, one, other, other, one])
    assert (one.holders, other.holders) == (2, 1)
    block.release()
    assert (one.holders, other.holders) == (0, 0)
    block.release()
    assert (one.holders, other.holders) == (0, 0) and not block.leased


def test_a_control_frame_has_no_bytes() -> None:
    block = Block(7, bytearray(64))
    block.frames.append(Frame(A, FrameKind.TRUNCATED, 17, 2, 5))
    raw = packed(block)
    parsed = parse(raw)
    assert parsed is not None
    (frame,) = parsed[1]
    assert (frame.kind, frame.base_offset, frame.leader_epoch) == (FrameKind.TRUNCATED, 17, 2)
    assert frame.length == 0


def test_a_block_is_not_one_of_another_segment() -> None:
    block, _ = filled((1, records()))
    raw = bytearray(packed(block, segment=3))
    assert parse(bytes(raw), segment=4) is None
    raw[24:32] = (4).to_bytes(8, "little")  # as if it said so itself: its CRC was seeded with 3
    assert parse(bytes(raw), segment=4) is None


def test_no_bit_of_header_or_table_can_change_unseen() -> None:
    block, _ = filled((1, records()), (2, records()))
    raw = packed(block)
    head = blocks.HEADER_BYTES + 2 * blocks.ENTRY_BYTES
    for bit in range(8 * head):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        assert parse(bytes(damaged)) is None, f"bit {bit}"


def test_a_cut_block_is_none() -> None:
    block, _ = filled((1, records()))
    raw = packed(block)
    for length in range(blocks.HEADER_BYTES + blocks.ENTRY_BYTES):
        assert parse(raw[:length]) is None


def test_an_intact_block_of_a_newer_format_is_refused_not_skipped() -> None:
    block, _ = filled((1, records()))
    raw = bytearray(packed(block))
    raw[4:6] = (9).to_bytes(2, "little")
    head = blocks.HEADER_BYTES + blocks.ENTRY_BYTES
    crc = crc32c(bytes(raw[:60]), blocks.crc_seed(3))
    raw[60:64] = crc32c(bytes(raw[64:head]), crc).to_bytes(4, "little")
    with pytest.raises(WrittenByNewer, match="upgrade"):
        parse(bytes(raw))


def test_chunks_of_a_frame_begin_at_batches_and_know_their_newest_timestamp() -> None:
    stamps = [n * 37 % 101 for n in range(60)]
    block, contents = filled(*((1, records(900, timestamp=stamp)) for stamp in stamps))
    block.place(4096)
    frame = block.frames[0]
    assert frame.max_timestamp == max(stamps)
    bases, positions = frame.marks[0::3], frame.marks[1::3]
    starts = {position: h[batch.BASE_OFFSET] for position, h in batch.headers(contents[1])}
    assert bases[0] == positions[0] == 0
    for n, position in enumerate(positions):
        assert starts[position] == bases[n]
        last = bases[n + 1] if n + 1 < len(bases) else len(stamps)
        assert frame.marks[2::3][n] == max(stamps[bases[n] : last])
        if n + 1 < len(positions):
            assert positions[n + 1] - position >= INDEX_EVERY_BYTES


def test_a_short_frame_has_no_chunks() -> None:
    block, _ = filled((1, records(10, timestamp=5)), (1, records(10, timestamp=3)))
    block.place(4096)
    assert block.frames[0].marks == []
    assert block.frames[0].max_timestamp == 5


def test_counting_batches_one_by_one_gives_the_same_frame() -> None:
    block, _ = filled(*((1, records(n * 40, timestamp=n * 7 % 50)) for n in range(80)))
    block.place(4096)
    appended = block.frames[0]
    counted = Frame(A, BATCHES, 0, 4, 99)
    for n in range(80):
        content = records(n * 40, timestamp=n * 7 % 50)
        counted.add(n, n + 1, len(content), n * 7 % 50)
    counted.finish()
    assert counted.marks == appended.marks
    assert counted.max_timestamp == appended.max_timestamp
    assert (counted.length, counted.end_offset) == (appended.length, appended.end_offset)


def test_kinds_of_frames_have_the_numbers_that_are_on_disks() -> None:
    assert [(kind.name, kind.value) for kind in FrameKind] == [
        ("BATCHES", 0),
        ("EPOCH_STARTED", 1),
        ("TRUNCATED", 2),
        ("START_MOVED", 3),
        ("REPLICA_DROPPED", 4),
    ]
    assert B > A
