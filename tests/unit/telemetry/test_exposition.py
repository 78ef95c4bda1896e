"""The text format, read back by prometheus-client's parser, which shares nothing with ours."""

from math import inf, isnan, nan

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app.limits import METRIC_LINES_AT_ONCE
from app.telemetry.counts import SECONDS, Durations
from app.telemetry.exposition import render
from app.telemetry.metrics import Family, Metric

Sample = tuple[str, tuple[tuple[str, str], ...], float]

# The parser strips what is at the ends of help, and splits lines where only it sees one.
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")) | st.just("\n"))
NUMBERS = st.floats() | st.integers(-(2**63), 2**63)


def text_of(*families: Family) -> str:
    return b"".join(render(families)).decode()


def read_back(text: str) -> list[Sample]:
    return [
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


@given(st.lists(st.tuples(TEXTS, TEXTS, NUMBERS), max_size=8))
def test_any_label_and_number_is_read_back_as_it_was(
    rows: list[tuple[str, str, float]],
) -> None:
    metric = Metric("streambus_things", "gauge", "Things.", ("one", "two"))
    family = metric.of([((one, two), [number]) for one, two, number in rows])
    read = read_back(text_of(family))
    expected = [
        ("streambus_things", (("one", one), ("two", two)), number) for one, two, number in rows
    ]
    assert [sample[:2] for sample in read] == [sample[:2] for sample in expected]
    for (_, _, got), (_, _, wanted) in zip(read, expected, strict=True):
        assert got == wanted or (isnan(got) and isnan(wanted))


def test_what_is_no_finite_number_is_written_as_prometheus_writes_it() -> None:
    metric = Metric("streambus_odd", "gauge", "Odd.", ("which",))
    text = text_of(metric.by([("a", nan), ("b", inf), ("c", -inf), ("d", 2**53 + 1), ("e", 0.1)]))
    assert [line.split()[-1] for line in text.splitlines()[2:]] == [
        "NaN",
        "+Inf",
        "-Inf",
        "9007199254740993",
        "0.1",
    ]


def test_help_and_labels_are_escaped() -> None:
    metric = Metric("streambus_quoted", "counter", 'back\\slash\nand "quotes"', ("label",))
    text = text_of(metric.by([('a"b\\c\nd', 1)]))
    assert text.splitlines() == [
        r'# HELP streambus_quoted back\\slash\nand "quotes"',
        "# TYPE streambus_quoted counter",
        r'streambus_quoted{label="a\"b\\c\nd"} 1',
    ]


@given(st.lists(st.integers(0, 2**40), max_size=20))
def test_a_histogram_is_cumulative_and_ends_at_infinity(durations: list[int]) -> None:
    took = Durations()
    for ns in durations:
        took.observe(ns)
    metric = Metric("streambus_took_seconds", "histogram", "It took.", ("api",), bounds=SECONDS)
    samples = read_back(text_of(metric.of([(("Fetch",), took.shown())])))
    buckets = [(dict(pairs)["le"], value) for name, pairs, value in samples if "_bucket" in name]
    assert [float(bound) for bound, _ in buckets] == [*SECONDS, inf]
    counts = [value for _, value in buckets]
    assert counts == sorted(counts) and counts[-1] == len(durations)
    assert ("streambus_took_seconds_count", (("api", "Fetch"),), len(durations)) in samples


def test_a_long_family_comes_in_pieces_that_are_the_same_text() -> None:
    metric = Metric("streambus_many", "gauge", "Many.", ("number",))
    family = metric.by([(str(number), number) for number in range(3 * METRIC_LINES_AT_ONCE)])
    pieces = list(render([family]))
    assert len(pieces) == 4
    assert max(piece.count(b"\n") for piece in pieces) <= METRIC_LINES_AT_ONCE + 2
    assert len(read_back(b"".join(pieces).decode())) == 3 * METRIC_LINES_AT_ONCE
