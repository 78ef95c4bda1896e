"""Counts: a bucket per power of two, and what a reader sees of them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.telemetry.counts import SECONDS, Durations, RequestCounts


@given(st.lists(st.integers(0, 2**62), max_size=50))
def test_what_is_shown_counts_every_duration_at_or_below_each_bound(durations: list[int]) -> None:
    counted = Durations()
    for ns in durations:
        counted.observe(ns)
    *reached, total, count = counted.shown()
    assert count == len(durations)
    assert total == sum(durations) / 1_000_000_000
    bounds = [round(seconds * 1_000_000_000) for seconds in SECONDS]
    assert reached == [sum(ns < bound for ns in durations) for bound in bounds]


def test_the_bounds_are_twice_the_one_before() -> None:
    assert [high / low for low, high in pairwise(SECONDS)] == [2] * 20
    assert SECONDS[0] < 0.000_1 and SECONDS[-1] > 60


def test_errors_are_counted_by_code() -> None:
    counts = RequestCounts("Fetch")
    for code in (3, 6, 3):
        counts.failed(code)
    assert counts.errors == {3: 2, 6: 1}
