"""The short run of the fuzz of a live broker, and that its verdict can be a bad one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fuzz.hostile import BEHAVIOURS
from tests.fuzz.live import GREETING, errors_in, fuzz, verdict


@pytest.mark.fuzz
def test_honest_clients_notice_nothing_of_hostile_ones(tmp_path: Path) -> None:
    outcome = fuzz(tmp_path / "data", seconds=3, seed=1, crowd_size=1_000)
    assert set(outcome.attack.behaviours) == {each.__name__ for each in BEHAVIOURS} | {"crowd"}
    assert outcome.records > 100 and outcome.attack.crowd_peak > 100


def test_errors_and_what_is_no_event_are_found_in_a_log() -> None:
    fine = [
        f"{GREETING[0]} at a:1. In another terminal:\n\n  streambus produce\n\n{GREETING[1]}",
        '{"at_ms": 1, "level": "warning", "event": "connection.refused", "reason": "loop.error"}',
    ]
    bad = [
        '{"at_ms": 2, "level": "error", "event": "loop.error", "trace": ""}',
        "Traceback (most recent call last):",
    ]
    assert errors_in("\n".join(fine)) == []
    assert errors_in("\n".join([bad[1], *fine, bad[0]])) == [bad[1], bad[0]]


def read(written: dict[int, int], found: dict[int, int]) -> list[str]:
    writer: Any = SimpleNamespace(acknowledged={0: written})
    reader: Any = SimpleNamespace(read={0: found})
    return verdict(writer, reader)


def test_what_is_lost_doubled_or_moved_is_a_complaint() -> None:
    assert read({0: 7, 1: 8}, {0: 7, 1: 8}) == []
    assert "[(1, 8)] not read" in read({0: 7, 1: 8}, {0: 7})[0]
    assert "[(1, 7)] never written" in read({0: 7}, {0: 7, 1: 7})[0]
    assert "out of order" in read({0: 8, 1: 7}, {0: 8, 1: 7})[0]
