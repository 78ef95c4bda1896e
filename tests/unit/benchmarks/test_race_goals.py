"""What the sink says of goals that are missed (benchmarks/race/goals.py and pages.py)."""

from typing import Any

import pytest

from benchmarks.race import pages
from benchmarks.race.contenders import FSYNC, KAFKA, NEITHER, SINK, STREAMBUS, UNKEPT
from benchmarks.race.goals import BOTH_NEITHER, CROSSED, Goal, Pairing, Verdict, verdict
from benchmarks.race.keeping import Results
from benchmarks.race.rows import ROWS, SINK_ROUNDS_MAX

OUT_OF_REACH = "out of reach: the client alone manages"


def measured(
    row: str, figure: str, ours: float, kafka: float, *sink: float, **said: Any
) -> Results:
    cells = {
        f"{NEITHER} {STREAMBUS}": {figure: [ours]},
        f"{FSYNC} {STREAMBUS}": {figure: [ours]},
        f"{NEITHER} {KAFKA}": {figure: [kafka]},
    }
    if sink:
        cells[f"{UNKEPT} {SINK}"] = {figure: list(sink)}
    return Results({row: cells}, {"machine": {}, "differences": {}} | said)


def judged(results: Results, row: str, figure: str, pairing: Pairing, bound: float) -> Verdict:
    found = verdict(results, Goal(row, figure, pairing, bound))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("figure", "bound", "ours", "sink", "is_out_of_reach"),
    [
        ("records/s", 1.2, 101, 110, True),
        ("records/s", 1.2, 101, 130, False),
        ("records/s", 1.2, 101, 120, False),
        ("records/s", 1.2, 125, 110, False),
        ("p50 us", 0.7, 109, 80, True),
        ("p50 us", 0.7, 109, 30, False),
        ("p50 us", 0.7, 60, 80, False),
        ("CPU s/M records", 0.45, 60, 50, False),
    ],
)
def test_a_missed_goal_is_out_of_reach_if_the_sink_misses_it_too(
    figure: str, bound: float, ours: float, sink: float, is_out_of_reach: bool
) -> None:
    results = measured("100b-1", figure, ours, 100, sink)
    found = judged(results, "100b-1", figure, BOTH_NEITHER, bound)
    assert found.is_out_of_reach == is_out_of_reach


def test_the_best_round_of_the_sink_counts_also_against_kafka_of_another_column() -> None:
    results = measured("100b-1", "records/s", 101, 100, 90, 110, 119)
    found = judged(results, "100b-1", "records/s", CROSSED, 1.2)
    assert found.is_out_of_reach
    assert found.client_alone == 119
    results = measured("100b-1", "records/s", 101, 100, 90, 110, 121)
    assert not judged(results, "100b-1", "records/s", CROSSED, 1.2).is_out_of_reach
    results = measured("open-1", "p50 us", 109, 100, 300, 80, 90)
    assert judged(results, "open-1", "p50 us", BOTH_NEITHER, 0.7).client_alone == 80


def test_what_streambus_reached_in_one_round_is_not_out_of_reach() -> None:
    results = measured("100b-1", "records/s", 0, 100, 110)
    results.rows["100b-1"][f"{NEITHER} {STREAMBUS}"]["records/s"] = [100, 101, 125]
    found = judged(results, "100b-1", "records/s", BOTH_NEITHER, 1.2)
    assert not found.met
    assert not found.is_out_of_reach


def test_without_the_sink_nothing_is_out_of_reach() -> None:
    results = measured("100b-1", "records/s", 101, 100)
    found = judged(results, "100b-1", "records/s", BOTH_NEITHER, 1.2)
    assert found.client_alone is None
    assert not found.met
    assert not found.is_out_of_reach


def test_the_page_says_what_the_client_alone_manages() -> None:
    page = "\n\n".join(pages.sections(measured("100b-1", "records/s", 2e6, 2.1e6, 2.2e6)))
    assert f"**missed by 21 %**, {OUT_OF_REACH} 2,200,000, ratio 1.05" in page
    cells = "2,200,000 | 2,000,000 | 2,100,000 | 1.05"
    assert f"| produce 100 B x 1 partition | records/s | {cells} |" in page
    assert OUT_OF_REACH in "\n".join(pages.summary(measured("100b-1", "records/s", 2e6, 2e6, 2e6)))


def test_a_page_without_the_sink_and_without_profiles_has_neither_section() -> None:
    page = "\n\n".join(pages.sections(measured("100b-1", "records/s", 2e6, 2.1e6)))
    assert "### Goals" in page
    assert OUT_OF_REACH not in page
    assert "What the load generators can do" not in page
    assert "Where the time goes" not in page


def test_a_page_with_profiles_has_their_shares_and_links() -> None:
    profile = {
        "broker": {"samples": 10, "shares": {"interpreter": 0.75, "uvloop": 0.25, "rare": 0.001}},
        "load generator": {"samples": 10, "shares": {"librdkafka": 1.0}},
    }
    results = measured("100b-1", "records/s", 2, 2, profiles={"100b-1-neither": profile})
    page = "\n\n".join(pages.sections(results))
    assert "### Where the time goes" in page
    assert "[broker](flames/100b-1-neither.svg)" in page
    assert "[load generator](flames/100b-1-neither-client.svg)" in page
    assert "| interpreter | 75.0% |" in page
    assert "| librdkafka | 100.0% |" in page
    assert "rare" not in page


def test_the_sink_runs_after_the_brokers_in_the_first_rounds_of_its_rows() -> None:
    row = next(row for row in ROWS if row.key == "100b-1")
    brokers = [(FSYNC, STREAMBUS), (FSYNC, KAFKA), (NEITHER, STREAMBUS), (NEITHER, KAFKA)]
    assert list(row.cells(1)) == [*brokers, (UNKEPT, SINK)]
    assert list(row.cells(2))[:2] == [(FSYNC, KAFKA), (FSYNC, STREAMBUS)]
    assert (UNKEPT, SINK) in row.cells(SINK_ROUNDS_MAX)
    assert (UNKEPT, SINK) not in row.cells(SINK_ROUNDS_MAX + 1)
    relay = next(row for row in ROWS if row.key == "relay")
    assert (UNKEPT, SINK) not in relay.cells(1)
