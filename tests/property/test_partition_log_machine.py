"""A `PartitionLog` that leads, one that follows, one loaded at every step, the slow oracle:
after any history the four agree."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.core.partition_log import PartitionLog
from app.errors import Fenced
from tests.property.admission import header
from tests.property.oracle_admission import SEQUENCES, Oracle

PRODUCERS_MAX = 4
producer_ids = st.integers(0, 6)
counts = st.integers(1, 5)


class PartitionLogHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.log = PartitionLog(PRODUCERS_MAX)
        self.follower = PartitionLog(PRODUCERS_MAX)
        self.oracle = Oracle(PRODUCERS_MAX)
        self.now_ms = 0
        self.start_before = 0
        self.lead(0)

    def lead(self, epoch: int) -> None:
        self.log.lead(epoch)
        self.oracle.lead(epoch)
        self.follower.start_epoch(epoch, self.follower.end)

    def produce(self, producer_id: int, epoch: int, sequence: int, count: int) -> None:
        end = self.log.end
        batch = header(producer_id, epoch, sequence, count)
        decided = self.log.admit(batch, self.now_ms)
        assert decided == self.oracle.admit(producer_id, epoch, sequence, count, self.now_ms)
        if decided == end:
            self.follower.absorb(batch, decided, self.log.leader_epoch, self.now_ms)
        else:
            assert self.log.end == end

    @rule(count=counts)
    def produce_without_an_id(self, count: int) -> None:
        self.produce(-1, -1, -1, count)

    @rule(
        producer_id=producer_ids, epoch=st.integers(0, 3), count=counts, sequence=st.integers(0, 6)
    )
    def produce_anything(self, producer_id: int, epoch: int, sequence: int, count: int) -> None:
        self.produce(producer_id, epoch, sequence, count)

    @rule(producer_id=producer_ids, count=counts, back=st.integers(1, 9))
    def start_near_the_wrap(self, producer_id: int, count: int, back: int) -> None:
        self.produce(producer_id, 0, SEQUENCES - back, count)

    @rule(producer_id=producer_ids, count=counts)
    def produce_next(self, producer_id: int, count: int) -> None:
        known = self.oracle.producers.get(producer_id)
        if known:
            next_sequence = (known.batches[-1][1] + 1) % SEQUENCES
            self.produce(producer_id, known.epoch, next_sequence, count)

    @rule(producer_id=producer_ids, age=st.integers(1, 5))
    def repeat(self, producer_id: int, age: int) -> None:
        known = self.oracle.producers.get(producer_id)
        if known and age <= len(known.batches):
            sequence, _, offset, count, _ = known.batches[-age]
            batch = header(producer_id, known.epoch, sequence, count)
            assert self.log.admit(batch, self.now_ms) == offset
            assert self.log.producers.appended_ms(producer_id, offset) <= self.now_ms

    @rule(step=st.integers(0, 3))
    def lead_again(self, step: int) -> None:
        self.lead(self.log.leader_epoch + step)

    @precondition(lambda self: self.log.leader_epoch > 0)
    @rule()
    def an_older_leader_comes_back(self) -> None:
        before = self.log.save()
        with pytest.raises(Fenced):
            self.log.lead(self.log.leader_epoch - 1)
        assert self.log.save() == before

    @rule(draw=st.data())
    def truncate(self, draw: st.DataObject) -> None:
        end = draw.draw(st.sampled_from(self.oracle.edges()))
        epoch = self.log.leader_epoch
        lost = {log.truncate(end) for log in (self.log, self.follower)}
        assert lost == {self.oracle.truncate(end)}
        self.lead(epoch + 1)

    @rule(draw=st.data())
    def move_start(self, draw: st.DataObject) -> None:
        offset = draw.draw(st.integers(0, self.log.end))
        for log in (self.log, self.follower, self.oracle):
            log.move_start(offset)

    @rule(passed_ms=st.integers(0, 50))
    def time_passes(self, passed_ms: int) -> None:
        self.now_ms += passed_ms

    @rule(expiration_ms=st.integers(1, 100))
    def expire(self, expiration_ms: int) -> None:
        gone = {
            log.expire_producers(self.now_ms, expiration_ms) for log in (self.log, self.follower)
        }
        assert gone == {self.oracle.expire(self.now_ms, expiration_ms)}

    @rule()
    def restart(self) -> None:
        self.log = PartitionLog.load(self.log.save(), PRODUCERS_MAX)

    @invariant()
    def it_agrees_with_the_oracle(self) -> None:
        assert (self.log.start, self.log.end) == (self.oracle.start, self.oracle.end)
        assert self.log.epochs.entries() == self.oracle.epochs
        for epoch in range(-1, self.log.leader_epoch + 2):
            assert self.log.end_offset_for(epoch) == self.oracle.end_offset_for(epoch)
        pictures = self.oracle.pictures()
        assert {each: self.log.producers.state_of(each) for each in pictures} == pictures
        assert len(self.log.producers) == len(pictures) <= PRODUCERS_MAX

    @invariant()
    def leading_following_and_loading_leave_equal_machines(self) -> None:
        assert self.log == self.follower
        assert PartitionLog.load(self.log.save(), PRODUCERS_MAX) == self.log

    @invariant()
    def the_start_never_moves_back(self) -> None:
        assert self.start_before <= self.log.start <= self.log.end
        self.start_before = self.log.start


PartitionLogHistory.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestPartitionLogHistory = PartitionLogHistory.TestCase
