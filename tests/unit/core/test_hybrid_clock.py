"""HybridClock."""

from app.core.hybrid_clock import HybridClock


def test_time_stands_while_the_wall_clock_is_behind() -> None:
    clock = HybridClock()
    assert [clock.stamp(wall_ms) for wall_ms in (10, 12, 5, 11, 12, 13)] == [10, 12, 12, 12, 12, 13]


def test_nothing_is_stamped_earlier_than_what_a_peer_has_said() -> None:
    clock = HybridClock()
    clock.stamp(10)
    clock.observe(50)
    clock.observe(40)
    assert (clock.stamp(20), clock.stamp(51), clock.latest) == (50, 51, 51)


def test_a_restarted_clock_goes_on_from_what_recovery_found() -> None:
    assert HybridClock(latest=99).stamp(10) == 99
