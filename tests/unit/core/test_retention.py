"""decide_start."""

from app.core.retention import Extent, decide_start

DAY = 86_400_000
HOUR = 3_600_000
NOW = 1_700_000_000_000
FOUR: list[Extent] = [
    (0, 10, 100, NOW - 4 * DAY),
    (10, 20, 100, NOW - 3 * DAY),
    (20, 30, 100, NOW - 2 * DAY),
    (30, 40, 100, NOW - 1 * DAY),
]


def decide(
    extents: list[Extent] = FOUR,
    start: int = 0,
    high_watermark: int = 40,
    retention_ms: int = -1,
    retention_bytes: int = -1,
) -> int:
    return decide_start(extents, start, high_watermark, NOW, retention_ms, retention_bytes)


def test_nothing_goes_without_a_limit() -> None:
    assert decide() == 0


def test_extents_older_than_the_limit_go() -> None:
    assert decide(retention_ms=2 * DAY + HOUR) == 20


def test_an_extent_exactly_as_old_as_the_limit_stays() -> None:
    assert decide(retention_ms=3 * DAY) == 10


def test_everything_may_go_when_all_of_it_is_old() -> None:
    assert decide(retention_ms=HOUR) == 40


def test_an_old_extent_behind_a_young_one_stays() -> None:
    assert decide([(0, 10, 100, NOW), (10, 20, 100, NOW - 9 * DAY)], retention_ms=DAY) == 0


def test_size_takes_whole_extents_while_enough_remains() -> None:
    assert decide(retention_bytes=300) == 10
    assert decide(retention_bytes=299) == 10
    assert decide(retention_bytes=301) == 0
    assert decide(retention_bytes=0) == 40


def test_what_is_below_the_start_counts_no_more() -> None:
    assert decide(start=10, retention_bytes=300) == 10
    assert decide(start=15, retention_bytes=200) == 20


def test_time_and_size_both_take() -> None:
    assert decide(retention_ms=3 * DAY + HOUR, retention_bytes=200) == 20


def test_nothing_that_is_not_committed_goes() -> None:
    assert decide(high_watermark=29, retention_ms=HOUR, retention_bytes=0) == 20


def test_an_extent_without_timestamps_is_never_too_old() -> None:
    unstamped: list[Extent] = [(0, 10, 100, -1), (10, 20, 100, -1)]
    assert decide(unstamped, retention_ms=HOUR) == 0
    assert decide(unstamped, retention_ms=HOUR, retention_bytes=100) == 10


def test_a_log_without_extents_keeps_its_start() -> None:
    assert decide([], start=7, retention_ms=0, retention_bytes=0) == 7
