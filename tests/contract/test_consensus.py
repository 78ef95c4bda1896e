"""What every consensus keeps: the log of one broker now, the replicated one when it comes.

A new implementation is one more row in `KINDS`.
"""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from app.core.manifest.entries import Applied, Entry, Verdict
from app.errors import Corrupt, RequestTimedOut, StorageFailed
from app.limits import FACT_BYTES_MAX
from app.raft.consensus import Consensus, Position, StateMachine
from app.raft.single_node import SingleNode
from app.world.ports import World
from tests.contract.places import Everywhere, Place, everywhere

__all__ = ["everywhere"]

Make = Callable[[World, str], Consensus]
KINDS: dict[str, Make] = {"single node": lambda world, path: SingleNode(world, f"{path}/log")}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Make:
    return KINDS[request.param]


class Recorder:
    """A state machine that keeps what it is given, and may forget or refuse as a disk does."""

    def __init__(self) -> None:
        self.position = Position(bytes(16), 0, 0)
        self.applied: list[Entry] = []
        self.published: list[int] = []
        self.refuse_times = 0

    def open(self) -> Position:
        self.published = []
        return self.position

    def bind(self, journal_id: bytes) -> None:
        self.position = Position(journal_id, 0, 0)

    def apply(self, entries: Sequence[Entry]) -> list[Applied]:
        if self.refuse_times:
            self.refuse_times -= 1
            raise OSError("no room for the state")
        for entry in entries:
            assert entry.index == self.position.index + 1, "an entry came twice, or was left out"
            self.applied.append(entry)
            self.position = Position(self.position.journal_id, entry.index, entry.term)
        return [Applied(entry.index, entry.term, 0, Verdict.TAKEN) for entry in entries]

    def publish(self, applied: Sequence[Applied]) -> None:
        self.published += [one.index for one in applied]

    def forget_after(self, index: int) -> None:
        """The state falls back to an older commit."""
        self.applied = self.applied[:index]
        term = self.applied[-1].term if self.applied else 0
        journal_id = self.position.journal_id if self.applied else bytes(16)
        self.position = Position(journal_id, index, term)

    @property
    def payloads(self) -> list[bytes]:
        return [entry.payload for entry in self.applied]


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


async def started(make: Make, place: Place, machine: StateMachine) -> Consensus:
    consensus = make(place.boot(), place.directory)
    await consensus.start(machine)
    return consensus


async def propose(consensus: Consensus, number: int) -> Applied:
    return await consensus.propose(name(number), b"payload %d" % number, 10_000)


def test_proposals_are_applied_once_in_one_order(make: Make, everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        machine = Recorder()
        consensus = await started(make, place, machine)
        answers = await asyncio.gather(*(propose(consensus, n) for n in range(200)))
        assert sorted(one.index for one in answers) == list(range(1, 201))
        assert sorted(machine.payloads) == sorted(b"payload %d" % n for n in range(200))
        for number, one in enumerate(answers):
            assert machine.applied[one.index - 1].proposal == name(number)
        assert machine.published == list(range(1, 201))
        await consensus.close()

    everywhere(scenario)


def test_a_proposer_hears_only_after_its_entry_was_published(
    make: Make, everywhere: Everywhere
) -> None:
    async def scenario(place: Place) -> None:
        machine = Recorder()
        consensus = await started(make, place, machine)

        async def check(number: int) -> None:
            answer = await propose(consensus, number)
            assert answer.index in machine.published

        await asyncio.gather(*(check(n) for n in range(50)))
        await consensus.close()

    everywhere(scenario)


def test_what_was_answered_survives_kill_9_and_comes_again_in_order(
    make: Make, everywhere: Everywhere
) -> None:
    async def scenario(place: Place) -> None:
        machine = Recorder()
        consensus = await started(make, place, machine)
        for number in range(20):
            await propose(consensus, number)
        before = list(machine.applied)
        await place.kill()
        for kept in (20, 7, 0):
            machine.forget_after(kept)
            consensus = await started(make, place, machine)
            assert machine.applied == before
            assert machine.published == list(range(kept + 1, 21))
            await place.kill()

    everywhere(scenario)


def test_a_proposal_that_nobody_waited_for_may_be_taken_and_never_tears_the_log(
    make: Make, everywhere: Everywhere
) -> None:
    async def scenario(place: Place) -> None:
        machine = Recorder()
        consensus = await started(make, place, machine)
        for number in range(10):
            await propose(consensus, number)
        pending = [asyncio.ensure_future(propose(consensus, n)) for n in range(10, 20)]
        await asyncio.sleep(0)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await place.kill()
        consensus = await started(make, place, machine)
        assert machine.payloads[:10] == [b"payload %d" % n for n in range(10)]
        assert len(machine.payloads) == len(set(machine.payloads))
        await propose(consensus, 20)
        assert machine.payloads[-1] == b"payload 20"
        await consensus.close()

    everywhere(scenario)


def test_the_term_grows_with_each_start_and_entries_carry_it(
    make: Make, everywhere: Everywhere
) -> None:
    async def scenario(place: Place) -> None:
        machine = Recorder()
        terms = []
        for number in range(3):
            consensus = await started(make, place, machine)
            assert consensus.is_leader
            terms.append(consensus.term)
            await propose(consensus, number)
            assert machine.applied[-1].term == consensus.term
            await place.kill()
        assert terms == sorted(set(terms)), terms

    everywhere(scenario)


def test_a_barrier_comes_after_all_that_was_asked_before_it(
    make: Make, everywhere: Everywhere
) -> None:
    async def scenario(place: Place) -> None:
        machine = Recorder()
        consensus = await started(make, place, machine)
        assert await consensus.barrier(1_000) == 0
        tasks = [asyncio.ensure_future(propose(consensus, n)) for n in range(100)]
        await asyncio.sleep(0)
        assert await consensus.barrier(10_000) == 100
        assert len(machine.published) == 100
        await asyncio.gather(*tasks)
        await consensus.close()

    everywhere(scenario)


def test_a_wait_ends_at_its_deadline_and_takes_nothing_back(
    make: Make, everywhere: Everywhere
) -> None:
    async def scenario(place: Place) -> None:
        machine = Recorder()
        consensus = await started(make, place, machine)
        with pytest.raises(RequestTimedOut):
            await consensus.propose(name(1), b"in no time", 0)
        await consensus.barrier(10_000)
        assert machine.payloads == [b"in no time"]
        await consensus.close()

    everywhere(scenario)


def test_an_entry_that_the_state_refused_is_applied_before_the_next(
    make: Make, everywhere: Everywhere
) -> None:
    async def scenario(place: Place) -> None:
        machine = Recorder()
        consensus = await started(make, place, machine)
        machine.refuse_times = 1
        with pytest.raises(Exception, match="no room") as caught:
            await propose(consensus, 1)
        assert not isinstance(caught.value, StorageFailed), "it is in the log: that is not known"
        await propose(consensus, 2)
        assert machine.payloads == [b"payload 1", b"payload 2"]
        assert machine.published == [1, 2]
        await consensus.close()

    everywhere(scenario)


def test_the_largest_entry_is_taken_and_a_larger_one_is_our_bug(
    make: Make, everywhere: Everywhere
) -> None:
    async def scenario(place: Place) -> None:
        machine = Recorder()
        consensus = await started(make, place, machine)
        await consensus.propose(name(1), bytes(FACT_BYTES_MAX), 10_000)
        with pytest.raises(AssertionError):
            await consensus.propose(name(2), bytes(FACT_BYTES_MAX + 1), 10_000)
        await consensus.close()

    everywhere(scenario)


def test_a_closed_log_takes_nothing(make: Make, everywhere: Everywhere) -> None:
    async def scenario(place: Place) -> None:
        machine = Recorder()
        consensus = await started(make, place, machine)
        await propose(consensus, 1)
        await consensus.close()
        with pytest.raises(StorageFailed):
            await propose(consensus, 2)
        assert machine.payloads == [b"payload 1"]

    everywhere(scenario)


def test_a_state_that_knows_more_than_the_log_stops_the_start(
    make: Make, everywhere: Everywhere
) -> None:
    async def scenario(place: Place) -> None:
        machine = Recorder()
        consensus = await started(make, place, machine)
        for number in range(3):
            await propose(consensus, number)
        await consensus.close()
        await place.kill()
        true = machine.position
        for wrong in (
            Position(true.journal_id, true.index + 1, true.term),
            Position(true.journal_id, true.index, true.term + 1),
            Position(bytes(16), true.index, true.term),
        ):
            machine.position = wrong
            with pytest.raises(Corrupt):
                await started(make, place, machine)
            await place.kill()
        machine.position = true
        await started(make, place, machine)

    everywhere(scenario)
