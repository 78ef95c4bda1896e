"""What Apache Kafka answered, once, is what this broker answers now: every recorded case again.

`python -m tests.diff.run --record` makes the recordings. A difference is a finding; one that a
person accepted is a line of reviewed.jsonl.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.broker import BrokerProcess
from tests.diff.catalogue import RECORDED, cases
from tests.diff.normal import Difference, differences
from tests.diff.reviewed import REASONS, Review, in_spans, load, spans
from tests.diff.run import rows
from tests.diff.script import Side, recorded, replay

ALL = sorted(RECORDED.glob("*.jsonl.gz"))


def name_of(path: Path) -> str:
    return path.name.removesuffix(".jsonl.gz")


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    broker = BrokerProcess(tmp_path_factory.mktemp("recorded") / "data")
    broker.start()
    yield Side("streambus", broker.port)
    assert broker.stop() == 0, broker.log()


@pytest.fixture(scope="module")
def review() -> Review:
    return Review(load())


@pytest.fixture(scope="module")
def played() -> set[str]:
    """The cases that this run has played so far."""
    return set()


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_the_broker_answers_as_kafka_did(
    path: Path, side: Side, review: Review, played: set[str]
) -> None:
    steps = recorded(path)
    played.add(name_of(path))
    found = [each for each in replay(name_of(path), steps, side) if not review.allows(each)]
    assert not found, "\n".join(rows(found))


def test_what_was_reviewed_still_differs(review: Review, played: set[str]) -> None:
    if played != {name_of(path) for path in ALL}:
        pytest.skip("only some cases were chosen: what the others need is not looked for")
    assert not review.unmatched()


def test_every_case_is_recorded_and_every_recording_is_a_case() -> None:
    assert {name for name, _ in cases()} == {name_of(path) for path in ALL}


def test_every_reviewed_line_has_a_reason_and_an_error_code_names_its_case() -> None:
    reasons = json.loads(REASONS.read_text())
    entries = load()
    assert {entry.reason for entry in entries} == reasons.keys()
    assert not [entry for entry in entries if "ErrorCode" in entry.field and not entry.case]
    assert all(spans(set(in_spans(entry.versions))) == entry.versions for entry in entries)
    assert {entry.case for entry in entries if entry.case} <= {name for name, _ in cases()}


def test_a_difference_that_nobody_reviewed_is_found() -> None:
    _, kafka = recorded(RECORDED / "produce_sequences.gaps_and_steps_back.jsonl.gz")[1]
    ours = json.loads(json.dumps(kafka))
    ours["Responses"][0]["PartitionResponses"][0]["BaseOffset"] += 1
    (found,) = differences(kafka, ours)
    assert found == ("Responses.PartitionResponses.BaseOffset", 0, 1)
    case = "produce_sequences.gaps_and_steps_back"
    assert not Review(load()).allows(Difference(case, "Produce", 9, *found, 1))
