"""docs/compatibility.md says what ran: with the versions that the lock files name."""

import re

from tests.clients.clients import CLIENTS, locked
from tests.clients.compatibility import PAGE, cell, page


def rows() -> dict[str, list[str]]:
    """The first table: a client's title to its other cells."""
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [each.strip() for each in line.strip("|").split("|")]
        if len(cells) == 6:
            found[cells[0]] = cells[1:]
    return found


def test_every_client_ran_with_the_version_that_is_locked() -> None:
    for client in CLIENTS:
        _, version, _, ran, _ = rows()[client.title]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", ran), f"{client.title} has not run"
        assert client.name == "kcat" or version == locked()[client.name], client.title


def test_the_page_shows_nothing_that_fails() -> None:
    assert "✗" not in re.sub(r"^✓ works.*\n.*$", "", PAGE.read_text(), flags=re.M)


def test_a_cell_tells_failing_lacking_and_not_run_apart() -> None:
    assert cell(["passed", "passed"]) == "✓"
    assert cell(["passed", "lacking"]) == "✓*"
    assert cell(["lacking"]) == "-"
    assert cell(["passed", "failed", "lacking"]) == "✗ (1 of 3)"
    assert cell(["skipped"]) == cell([]) == ""


def test_a_client_that_did_not_run_is_shown_so() -> None:
    text = page({"date": "2026-01-02", "versions": {}, "outcomes": []})
    assert text.count("| not run |") == len(CLIENTS)
