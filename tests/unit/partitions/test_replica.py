"""A replica: what it admits, when it answers, and what nobody may see yet."""

import struct

import pytest

from app.core.topic_policy import LOG_APPEND_TIME
from app.errors import StorageFailed
from app.partitions import replica as roles
from app.tiers.nvme.block import FrameKind
from streambus.protocol import batch, compression
from tests.unit.partitions.arrange import Bench, Pending, records


def test_acks_all_is_answered_when_committed_and_acks_1_when_synced() -> None:
    bench = Bench(isr=(1, 2))
    everyone, leader = bench.append(records(3)), bench.append(records(2), acks=1)
    assert everyone.answer is leader.answer is None
    bench.sync()
    assert everyone.answer is None
    assert leader.answer == (0, 3)
    bench.replica.reported(2, 2, 0)
    assert everyone.answer is None
    bench.replica.reported(2, 3, 0)
    assert everyone.answer == (0, 0)


def test_acks_0_is_answered_at_once() -> None:
    bench = Bench()
    assert bench.append(records(3), acks=0).answer == (0, 0)
    assert bench.append(records(1), acks=0).answer == (0, 3)


def test_the_stored_batch_is_the_clients_but_for_offset_and_epoch() -> None:
    bench = Bench()
    sent = records(3)
    bench.append(records(4))
    bench.append(sent)
    stored = bench.wal.batches()[1]
    assert batch.read_header(stored)[:3] == (4, len(sent) - 12, 5)
    assert stored[16:] == sent[16:]


def test_nothing_above_the_committed_end_counts_as_the_high_watermark() -> None:
    bench = Bench(isr=(1, 2))
    for _ in range(3):
        bench.append(records(2))
    assert (bench.replica.high_watermark, bench.replica.synced_end) == (0, 0)
    bench.sync()
    assert (bench.replica.high_watermark, bench.replica.synced_end) == (0, 6)
    bench.replica.reported(2, 4, 0)
    assert bench.replica.high_watermark == 4
    bench.replica.reported(2, 1, 0)
    assert bench.replica.high_watermark == 4


def test_a_duplicate_is_answered_with_its_original_offset_once_that_is_committed() -> None:
    bench = Bench()
    bench.append(records(1))
    original = bench.append(records(2, producer=(7, 0, 0)))
    bench.append(records(2, producer=(7, 0, 2)))
    duplicate = bench.append(records(2, producer=(7, 0, 0)))
    assert duplicate.answer is None
    bench.replica.synced(2)
    assert original.answer is duplicate.answer is None
    bench.replica.synced(3)
    assert original.answer == duplicate.answer == (0, 1)
    assert len(bench.wal.batches()) == 3
    assert bench.append(records(2, producer=(7, 0, 0))).answer == (0, 1)


@pytest.mark.parametrize(("producer", "code"), [((7, 3, 9), 45), ((7, 2, 0), 47)])
def test_a_rejection_that_shows_producer_state_waits_until_that_state_is_synced(
    producer: tuple[int, int, int], code: int
) -> None:
    bench = Bench()
    bench.append(records(2, producer=(7, 3, 0)))
    rejected = bench.append(records(1, producer=producer))
    assert rejected.answer is None
    bench.sync()
    assert rejected.answer == (code, -1)
    assert bench.append(records(1, producer=producer)).answer == (code, -1)


def test_a_rejection_is_revealed_with_acks_1_as_well() -> None:
    bench = Bench(isr=(1, 2))
    bench.append(records(2, producer=(7, 3, 0)))
    rejected = bench.append(records(1, producer=(7, 3, 9)), acks=1)
    bench.sync()
    assert rejected.answer == (45, -1)


def resummed(sent: bytes, position: int, form: str, value: int) -> bytes:
    """`sent` with a field changed and the CRC made right again."""
    changed = bytearray(sent)
    struct.pack_into(form, changed, position, value)
    header = batch.read_header(sent)
    whole = batch.assemble(b"", 0, 0, 0)
    assert len(whole) == batch.HEADER_BYTES
    from crc32c import crc32c

    struct.pack_into(">I", changed, 17, crc32c(bytes(changed[21 : 12 + header[1]])))
    return bytes(changed)


SHORT = struct.pack(">qi", 0, 49) + records(1)[12:]
"""It says that it is a header and no more; its bytes are not those that it summed."""


@pytest.mark.parametrize(
    ("sent", "version", "code"),
    [
        (b"", 9, 87),
        (records(1)[:-1], 9, 87),
        (records(1) + records(1), 9, 87),
        (records(1)[:30], 9, 87),
        (records(1)[:-1] + b"\x7f", 9, 2),
        (records(1)[:16] + b"\x03" + records(1)[17:], 9, 2),
        (records(1, transactional=True, producer=(1, 0, 0)), 9, 48),
        (records(1, control=True), 9, 87),
        (records(200, codec=compression.ZSTD), 6, 76),
        (resummed(records(3), 57, ">i", 2), 9, 87),
        (SHORT, 9, 2),
        (resummed(SHORT, 57, ">i", 9), 9, 87),
        (records(1) + b"\0", 9, 87),
        (SHORT + bytes(60), 9, 87),
        (records(1, producer=(1, -1, 0)), 9, 47),
    ],
    ids=[
        "null", "cut", "two batches", "no header", "bad crc", "no magic",
        "transactional", "control", "zstd before v7", "wrong count",
        "only a header, bad crc", "only a header", "a byte behind", "bad crc, a batch behind",
        "no epoch",
    ],
)  # fmt: skip
def test_a_bad_batch_is_refused_at_once_and_leaves_no_trace(
    sent: bytes, version: int, code: int
) -> None:
    bench = Bench()
    pending = Pending()
    start = -1 if not sent else 0
    view = memoryview(bytearray(sent))
    now_ms = bench.world.clock.now_ms()
    bench.replica.append(view, start, len(sent) or -1, -1, version, pending, 3, now_ms)
    assert pending.answers == [(3, code, -1, -1)]
    assert bench.wal.batches() == []
    assert bench.replica.log.end == 0


@pytest.mark.parametrize("size", [0, 5, 20, 60])
def test_what_is_too_short_for_a_batch_is_invalid_whatever_lies_behind_it(size: int) -> None:
    bench = Bench()
    pending = Pending()
    view = memoryview(bytearray(records(1)[:size] + b"\x03" * 100))
    bench.replica.append(view, 0, size, -1, 9, pending, 0, bench.world.clock.now_ms())
    assert pending.answer == (87, -1)


def test_zstd_is_taken_from_produce_version_7_on() -> None:
    bench = Bench()
    assert bench.append(records(200, codec=compression.ZSTD), version=7).answer is None


def test_a_batch_above_max_message_bytes_is_refused() -> None:
    assert Bench(max_message_bytes=100).append(records(9)).answer == (10, -1)


def test_with_too_few_in_sync_acks_all_is_refused_before_it_is_appended() -> None:
    bench = Bench(isr=(1,), min_insync_replicas=2)
    assert bench.append(records(1)).answer == (19, -1)
    assert bench.replica.log.end == 0
    leader = bench.append(records(1), acks=1)
    bench.sync()
    assert leader.answer == (0, 0)


def test_log_append_time_is_stamped_in_the_stored_batch_and_told_in_the_reply() -> None:
    bench = Bench(timestamp_type=LOG_APPEND_TIME)
    now_ms = bench.world.clock.now_ms()
    pending = bench.append(records(2, timestamp=5))
    bench.sync()
    assert pending.answers == [(0, 0, 0, now_ms)]
    (stored,) = bench.wal.batches()
    header = batch.read_header(stored)
    batch.verify(memoryview(stored), 0, header)
    assert header[batch.MAX_TIMESTAMP] == now_ms
    assert header[batch.ATTRIBUTES] & batch.Attributes.LOG_APPEND_TIME


def test_a_duplicate_is_told_when_its_original_was_appended() -> None:
    bench = Bench(timestamp_type=LOG_APPEND_TIME)
    then_ms = bench.world.clock.now_ms()
    bench.append(records(2, producer=(7, 0, 0)))
    bench.sync()
    bench.world.advance(5_000)
    duplicate = bench.append(records(2, producer=(7, 0, 0)))
    assert bench.world.clock.now_ms() > then_ms
    assert duplicate.answers == [(0, 0, 0, then_ms)]


def test_a_reply_beyond_the_requests_timeout_is_request_timed_out_once() -> None:
    bench = Bench(isr=(1, 2))
    pending = bench.append(records(1), timeout_ms=1_000)
    bench.sync()
    bench.world.advance(2_000)
    assert pending.answer == (7, -1)
    bench.replica.reported(2, 1, 0)
    assert pending.answer == (7, -1)


@pytest.mark.parametrize(
    ("role", "produce", "fetch"),
    [
        (roles.FAILED, 56, 0),
        (roles.QUARANTINED, 56, 56),
        (roles.FENCED, 6, 6),
        (roles.FOLLOWING, 6, 6),
        (roles.LOADING, 6, 6),
        (roles.DROPPED, 3, 3),
    ],
)
def test_a_role_that_ends_answers_everyone_who_waits_and_refuses_the_next(
    role: str, produce: int, fetch: int
) -> None:
    bench = Bench(isr=(1, 2))
    waiting = [bench.append(records(1), acks=acks) for acks in (-1, 1)]
    bench.replica.become(role)
    assert [pending.answer for pending in waiting] == [(produce, -1)] * 2
    assert bench.append(records(1)).answer == (produce, -1)
    assert bench.replica.read_error == fetch
    bench.replica.synced(2)
    assert [len(pending.answers) for pending in waiting] == [1, 1]


def test_an_append_that_the_wal_cannot_take_is_refused_and_reported() -> None:
    bench = Bench()
    bench.wal.failure = StorageFailed("no space left")
    assert bench.append(records(1)).answer == (56, -1)
    assert bench.failures == [bench.wal.failure]


def test_leading_notes_the_epoch_in_the_wal_and_in_the_history() -> None:
    bench = Bench()
    bench.append(records(3))
    bench.sync()
    bench.replica.lead(9, bench.replica.replication)
    assert [frame[1:3] for frame in bench.wal.frames] == [
        (FrameKind.EPOCH_STARTED, 0),
        (FrameKind.BATCHES, 0),
        (FrameKind.EPOCH_STARTED, 3),
    ]
    assert bench.replica.log.epochs.entries() == [(5, 0), (9, 3)]
    bench.append(records(1))
    assert batch.read_header(bench.wal.batches()[1])[batch.LEADER_EPOCH] == 9


def test_a_new_log_start_is_seen_only_once_its_frame_is_durable() -> None:
    bench = Bench()
    bench.append(records(5))
    bench.sync()
    bench.replica.move_start(3)
    assert bench.wal.frames[-1][1:3] == (FrameKind.START_MOVED, 3)
    assert bench.replica.log_start == 0
    bench.replica.start_moved(3)
    assert bench.replica.log_start == 3
    bench.replica.move_start(2)
    assert len(bench.wal.frames) == 3


def test_a_commit_wakes_parked_fetches_after_it_answered_produce() -> None:
    bench = Bench(isr=(1, 2))
    pending = bench.append(records(1))
    order: list[object] = []
    bench.parked.park([(bench.replica, 0, 0)], 1, 500, lambda: order.append(pending.answer))
    bench.sync()
    assert order == []
    bench.replica.reported(2, 1, 0)
    assert order == [(0, 0)]


def test_visible_bytes_never_run_ahead_of_what_is_committed() -> None:
    bench = Bench()
    replica = bench.replica
    size = len(records(1))
    for _ in range(3):
        bench.append(records(1))
    replica.synced(1)
    assert replica.bytes_visible == 0
    bench.append(records(1))
    replica.synced(3)
    assert replica.bytes_visible == 3 * size
    replica.synced(4)
    assert replica.bytes_visible == 4 * size


def test_another_policy_changes_what_is_prepared() -> None:
    assert not Bench().replica.prepares
    assert Bench(compression="lz4").replica.prepares
    assert Bench(cleanup_compact=True).replica.prepares


# Waiting for more than appends


def test_who_waits_for_a_start_is_answered_once_its_frame_is_durable() -> None:
    bench = Bench()
    bench.append(records(5))
    bench.sync()
    first, second, none = Pending(), Pending(), Pending()
    bench.replica.move_start(3)
    bench.replica.when_started(3, first, 0)
    bench.replica.move_start(4)
    bench.replica.when_started(4, second, 0)
    bench.replica.when_started(0, none, 0)
    assert none.answer == (0, 0)
    bench.replica.start_moved(3)
    assert (first.answer, second.answer) == ((0, 3), None)
    assert bench.replica.starting is not None
    bench.replica.start_moved(4)
    assert second.answer == (0, 4)
    assert bench.replica.starting is None


def test_who_waits_for_a_start_hears_of_a_failure_and_of_time() -> None:
    bench = Bench()
    bench.append(records(5))
    bench.sync()
    late, failed, refused = Pending(timeout_ms=500), Pending(), Pending()
    bench.replica.move_start(3)
    bench.replica.when_started(3, late, 0)
    bench.replica.when_started(3, failed, 0)
    bench.world.advance(2_000)
    assert (late.answer, failed.answer) == ((7, -1), None)
    bench.replica.become(roles.FAILED)
    assert failed.answer == (56, -1)
    bench.replica.when_started(3, refused, 0)
    assert refused.answer == (56, -1)


def test_what_was_written_is_shown_once_it_is_durable() -> None:
    bench = Bench(isr=(1, 2))
    at_once, waits, refused = Pending(), Pending(), Pending()
    bench.replica.when_synced(at_once, 0)
    assert at_once.answer == (0, 0)
    bench.append(records(2))
    bench.replica.when_synced(waits, 0)
    assert waits.answer is None
    bench.sync()
    assert waits.answer == (0, 2)
    bench.replica.become(roles.FENCED)
    bench.replica.when_synced(refused, 0)
    assert refused.answer == (6, -1)
