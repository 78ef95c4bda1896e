"""What coordinators' machines speak."""

from app.core.coordinator import Decided, Now, Record, Ticket


def test_a_decided_of_its_own_for_every_command() -> None:
    first, second = Decided(Now(1, 2)), Decided(Now(1, 2))
    first.answer(Ticket(7), "yes")
    first.records.append(Record(b"key", None))
    assert first.replies == [(7, "yes")]
    assert second.replies == [] and second.records == []


def test_wall_time_and_monotonic_time_do_not_mix() -> None:
    now = Now(wall_ms=1_700_000_000_000, monotonic_ms=5)
    assert (now.wall_ms, now.monotonic_ms) == (1_700_000_000_000, 5)
