"""A short seeded run of the fuzz of damaged segments, and every input that ever broke a rule."""

import pytest

from tests.fuzz import wal
from tests.property.test_wal_recovery import check, history

pytestmark = pytest.mark.fuzz


def test_damaged_logs_are_never_served_wrong_and_never_lost_in_silence() -> None:
    assert 0 < wal.run(2_000, seed=7) < 2_000


@pytest.mark.parametrize("seed", [70, 294, 299, 2_010, 7_325, 35, 455_722])
def test_logs_that_once_broke_a_rule(seed: int) -> None:
    scribe = history(seed)
    check(scribe, scribe.files.copy())
