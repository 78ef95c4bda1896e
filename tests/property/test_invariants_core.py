"""Invariants 4, 5 and 6 of the design (section 9), as far as the cores alone can break them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.core.partition_log import PartitionLog
from app.core.replication import Replication
from app.core.retention import decide_start
from tests.property.admission import Run

BROKERS = (1, 2, 3, 4)
offsets = st.integers(0, 100)
reports = st.one_of(
    st.tuples(st.just("synced"), offsets),
    st.tuples(st.just("reported"), st.sampled_from(BROKERS[1:]), offsets),
    st.tuples(st.just("isr"), st.sets(st.sampled_from(BROKERS[1:]))),
)


@given(
    st.lists(reports, max_size=60),
    st.sets(st.sampled_from(BROKERS[1:])),
    offsets,
    st.integers(1, 3),
)
def test_invariant_5_the_high_watermark_never_moves_back_while_a_leader_epoch_lasts(
    history: list[tuple[Any, ...]], isr: set[int], high_watermark: int, min_isr: int
) -> None:
    replication = Replication((1, *sorted(isr)), 1, high_watermark, min_isr=min_isr)
    ends = {1: high_watermark}
    for now_ms, (verb, *given_) in enumerate(history):
        before = replication.high_watermark
        if verb == "synced":
            replication.synced(given_[0])
            ends[1] = max(ends[1], given_[0])
        elif verb == "reported":
            follower, end = given_
            replication.reported(follower, end, now_ms)
            ends[follower] = end
        else:
            replication.change_isr((1, *sorted(given_[0])))
        after = replication.high_watermark
        safe = min(ends.get(each, 0) for each in replication.isr)
        allowed = before if len(replication.isr) < min_isr else max(before, safe)
        assert after == allowed >= before
        assert after <= replication.synced_end == ends[1]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(-1, 50)), max_size=20),
    st.integers(0, 90),
    st.integers(0, 180),
    st.integers(-1, 60),
    st.integers(-1, 100),
)
def test_invariant_5_retention_moves_the_log_start_forward_to_a_committed_edge(
    runs: list[tuple[int, int, int]],
    start: int,
    high_watermark: int,
    retention_ms: int,
    retention_bytes: int,
) -> None:
    extents, end = [], 0
    for offsets_in_it, extent_bytes, max_timestamp in runs:
        extents.append((end, end + offsets_in_it, extent_bytes, max_timestamp))
        end += offsets_in_it
    decided = decide_start(extents, start, high_watermark, 60, retention_ms, retention_bytes)
    assert decided >= start
    if decided > start:
        assert decided in {extent[1] for extent in extents}
        assert decided <= high_watermark
        assert retention_ms >= 0 or retention_bytes >= 0
    # deciding again on what is left changes nothing
    again = decide_start(extents, decided, high_watermark, 60, retention_ms, retention_bytes)
    assert again == decided


@given(st.integers(0, 2**32), st.integers(0, 300))
def test_invariant_6_a_partition_log_is_loaded_as_it_was_saved_after_any_history(
    seed: int, steps: int
) -> None:
    run = Run(seed)
    for _ in range(steps):
        run.step()
    loaded = PartitionLog.load(run.log.save())
    assert loaded == run.log
    assert loaded.save() == run.log.save()
    run.compare()


@given(st.integers(0, 2**32), st.integers(0, 300))
def test_invariant_6_two_logs_that_took_the_same_batches_are_equal(seed: int, steps: int) -> None:
    one, other = Run(seed), Run(seed)
    for _ in range(steps):
        one.step()
        other.step()
    assert one.log == other.log
