"""Recovery's fold: frames make the log that a leader had, and what does not continue is Corrupt."""

import pytest

from app.core.partition_log import PartitionLog
from app.errors import Corrupt
from app.model import PartitionKey, TopicId
from app.partitions.fold import LogFold, pack_state, unpack_state
from app.tiers.nvme.block import FrameKind
from streambus.protocol import batch
from tests.unit.partitions.arrange import KEY, records

OTHER = PartitionKey(TopicId(bytes(15) + b"\x02"), 3)


def header(base_offset: int, epoch: int, count: int = 1, **fields: object) -> batch.BatchHeader:
    stored = bytearray(records(count, **fields))
    batch.patch(stored, 0, base_offset, epoch)
    return batch.read_header(stored)


def test_frames_fold_to_the_log_that_the_leader_had() -> None:
    led = PartitionLog()
    fold = LogFold()
    led.lead(4)
    fold.control(KEY, FrameKind.EPOCH_STARTED, 0, 4)
    for sequence in (0, 2, 4):
        sent = records(2, producer=(9, 1, sequence))
        assert led.admit(batch.read_header(sent), 77) == sequence
        fold.batch(KEY, header(sequence, 4, 2, producer=(9, 1, sequence)), 77)
    led.move_start(3)
    fold.control(KEY, FrameKind.START_MOVED, 3, 4)
    led.lead(6)
    fold.control(KEY, FrameKind.EPOCH_STARTED, 6, 6)
    assert fold.partitions[KEY].log == led
    assert fold.position(KEY) == (3, 6, 6)


def test_a_saved_partition_is_restored_equal() -> None:
    fold, again = LogFold(), LogFold()
    fold.batch(KEY, header(0, 2, 5, producer=(9, 0, 0)), 5)
    saved = fold.save(KEY)
    assert saved is not None
    again.restore(KEY, saved)
    assert again.partitions[KEY].log == fold.partitions[KEY].log
    assert again.save(KEY) == saved


def test_the_high_watermark_survives_a_checkpoint_and_stays_within_the_log() -> None:
    log = PartitionLog()
    log.lead(1)
    log.admit(header(0, 1, 9), 0)
    restored, watermark = unpack_state(pack_state(log, 7))
    assert (restored, watermark) == (log, 7)
    fold = LogFold()
    fold.restore(KEY, pack_state(log, 7))
    fold.control(KEY, FrameKind.TRUNCATED, 4, 1)
    assert fold.partitions[KEY].high_watermark == 4


def test_a_truncated_log_continues_where_it_was_cut() -> None:
    fold = LogFold()
    fold.batch(KEY, header(0, 1, 5), 0)
    fold.control(KEY, FrameKind.TRUNCATED, 3, 1)
    with pytest.raises(Corrupt):
        fold.batch(KEY, header(5, 1), 0)
    fold.batch(KEY, header(3, 2), 0)
    assert fold.position(KEY) == (0, 4, 2)


def test_a_dropped_replica_leaves_nothing_and_touches_no_other() -> None:
    fold = LogFold()
    fold.batch(KEY, header(0, 1), 0)
    fold.batch(OTHER, header(0, 1), 0)
    fold.control(KEY, FrameKind.REPLICA_DROPPED, 0, -1)
    assert fold.position(KEY) is None
    assert fold.save(KEY) is None
    assert fold.position(OTHER) == (0, 1, 1)
    fold.reset()
    assert fold.partitions == {}


@pytest.mark.parametrize(
    ("kind", "offset", "epoch"),
    [
        (FrameKind.EPOCH_STARTED, 2, 0),
        (FrameKind.EPOCH_STARTED, 9, 5),
        (FrameKind.TRUNCATED, 9, 1),
        (FrameKind.START_MOVED, 9, 1),
        (99, 0, 1),
    ],
)
def test_a_control_frame_that_does_not_fit_is_corrupt(kind: int, offset: int, epoch: int) -> None:
    fold = LogFold()
    fold.batch(KEY, header(0, 1, 2), 0)
    with pytest.raises(Corrupt):
        fold.control(KEY, kind, offset, epoch)


@pytest.mark.parametrize("cut", [0, 5, 10, 30])
def test_a_state_that_is_cut_short_is_corrupt(cut: int) -> None:
    log = PartitionLog()
    log.lead(3)
    state = pack_state(log, 0)
    with pytest.raises(Corrupt):
        unpack_state(state[:cut])


def test_a_state_of_another_version_is_corrupt_and_says_which() -> None:
    state = bytearray(pack_state(PartitionLog(), 0))
    state[1] = 9
    with pytest.raises(Corrupt, match="version 9"):
        unpack_state(bytes(state))
