"""Every scenario of the WAL runs on threads with real files and on the simulated world."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.tiers.nvme.lab import Scenario, in_threads, simulated


@pytest.fixture(params=["threads", "simulated"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    if request.param == "threads":
        return lambda scenario: in_threads(scenario, tmp_path)
    return simulated
