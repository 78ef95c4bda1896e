"""The gate: each proposal counts once, under the term in which it was decided."""

import pytest

from app.core.manifest.entries import Applied, Entry, Gate, Parts, Verdict, split
from app.core.manifest.facts import Fact, FeatureRaised, Stamp, TopicCreated
from app.errors import Corrupt, PolicyViolation, UpgradeNeeded
from app.limits import FACT_BYTES_MAX, PROPOSALS_KEPT
from app.model import BrokerId, ControllerTerm, TopicId


def stamp(number: int, at_ms: int, term: int = 1) -> Stamp:
    return Stamp(ControllerTerm(term), number.to_bytes(12, "big") + bytes(4), at_ms)


def entries_of(facts: list[Fact], stamped: Stamp) -> list[tuple[bytes, bytes]]:
    return split(facts, stamped)


class Log:
    """Appends to a gate, as consensus would."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.term = 1

    def append(self, proposed: tuple[bytes, bytes]) -> Applied:
        entry = Entry(self.gate.index + 1, ControllerTerm(self.term), *proposed)
        return self.gate.take(entry)


def small(number: int, at_ms: int, term: int = 1) -> tuple[bytes, bytes]:
    (only,) = split([FeatureRaised(number)], stamp(number, at_ms, term))
    return only


def large(number: int, at_ms: int, term: int = 1) -> tuple[list[tuple[bytes, bytes]], Fact]:
    rows = tuple((BrokerId(n), BrokerId(n + 1)) for n in range(10_000))
    fact = TopicCreated(TopicId(bytes(15) + b"\7"), "large", rows, ())
    return split([fact], stamp(number, at_ms, term)), fact


def test_a_proposal_is_taken_with_its_facts() -> None:
    log = Log()
    applied = log.append(small(1, at_ms=10))
    assert applied == Applied(1, ControllerTerm(1), 10, Verdict.TAKEN, (FeatureRaised(1),))
    assert (log.gate.index, log.gate.at_ms) == (1, 10)


def test_the_same_proposal_again_changes_nothing_but_the_index() -> None:
    log = Log()
    log.append(small(1, at_ms=10))
    log.append(small(2, at_ms=20))
    for again in (small(1, at_ms=10), small(2, at_ms=20)):
        applied = log.append(again)
        assert (applied.verdict, applied.facts, applied.at_ms) == (Verdict.REPEATED, (), 20)
    assert log.gate.index == 4


def test_a_fact_decided_under_an_older_term_is_stale() -> None:
    log = Log()
    log.term = 2
    applied = log.append(small(1, at_ms=10, term=1))
    assert (applied.verdict, applied.facts) == (Verdict.STALE, ())
    assert log.append(small(1, at_ms=10, term=2)).verdict is Verdict.TAKEN


def test_a_proposal_taken_before_the_term_changed_is_repeated_not_stale() -> None:
    log = Log()
    log.append(small(1, at_ms=10))
    log.term = 2
    assert log.append(small(1, at_ms=10)).verdict is Verdict.REPEATED


def test_a_copy_older_than_what_was_taken_since_is_stale() -> None:
    log = Log()
    log.append(small(2, at_ms=20))
    assert log.append(small(1, at_ms=19)).verdict is Verdict.STALE
    assert log.append(small(3, at_ms=20)).verdict is Verdict.STALE
    assert log.append(small(4, at_ms=21)).verdict is Verdict.TAKEN


def test_a_proposal_forgotten_by_the_bounded_memory_is_still_not_taken_again() -> None:
    log = Log()
    for number in range(1, PROPOSALS_KEPT + 10):
        log.append(small(number, at_ms=number))
    assert len(log.gate.recent) == PROPOSALS_KEPT
    assert log.append(small(1, at_ms=1)).verdict is Verdict.STALE
    assert log.append(small(100, at_ms=100)).verdict is Verdict.REPEATED


def test_a_large_proposal_travels_in_parts_and_takes_effect_with_the_last() -> None:
    log = Log()
    parts, fact = large(5, at_ms=10)
    assert len(parts) > 2
    assert all(len(payload) <= FACT_BYTES_MAX for _, payload in parts)
    verdicts = [log.append(part).verdict for part in parts[:-1]]
    assert set(verdicts) == {Verdict.HELD}
    assert log.append(parts[-1]).facts == (fact,)
    assert log.gate.parts is None
    assert log.append(parts[-1]).verdict is Verdict.REPEATED


def test_parts_may_come_twice_and_out_of_order() -> None:
    log = Log()
    parts, fact = large(5, at_ms=10)
    assert len(parts) >= 3
    for part in (parts[-1], parts[0], parts[0], *parts[2:-1]):
        assert log.append(part).verdict is Verdict.HELD
    assert log.append(parts[1]).facts == (fact,)


def test_a_part_of_another_proposal_makes_the_first_start_again() -> None:
    log = Log()
    (one, fact), (other, _) = large(5, at_ms=10), large(6, at_ms=9)
    for part in (*one[:-1], other[0], one[-1]):
        assert log.append(part).verdict is Verdict.HELD
    applied = [log.append(part) for part in one[:-1]]
    assert applied[-1].facts == (fact,)


def test_a_new_term_forgets_parts() -> None:
    log = Log()
    parts, _ = large(5, at_ms=10)
    log.append(parts[0])
    log.term = 2
    for part in parts[1:]:
        log.append(part)
    assert log.append(parts[0]).verdict is Verdict.STALE


def test_a_change_too_large_even_for_parts_is_refused_before_it_is_proposed() -> None:
    configs = (("huge", "x" * 13 * 1024 * 1024),)
    fact = TopicCreated(TopicId(bytes(16)), "t", ((BrokerId(1),),), configs)
    with pytest.raises(PolicyViolation):
        split([fact], stamp(1, 1))


def test_a_form_from_the_future_says_upgrade() -> None:
    for payload in (b"", b"\x07rest"):
        with pytest.raises(UpgradeNeeded, match="upgrade StreamBus"):
            Log().append((bytes(16), payload))


def test_an_envelope_that_names_another_proposal_is_corrupt() -> None:
    _, payload = small(1, at_ms=10)
    with pytest.raises(Corrupt):
        Log().append((b"another one!" + bytes(4), payload))


def test_an_index_that_does_not_follow_is_our_bug() -> None:
    proposal, payload = small(1, at_ms=1)
    with pytest.raises(AssertionError):
        Gate().take(Entry(2, ControllerTerm(1), proposal, payload))


def test_gates_are_equal_when_they_would_judge_alike() -> None:
    assert Gate() == Gate()
    assert Gate(parts=Parts(bytes(16), 2)) != Gate()
    assert Gate(recent=[(1, b"a"), (2, b"b")]) != Gate(recent=[(2, b"b"), (1, b"a")])
    assert Gate() != "a gate"
