"""The floors of `make coverage` hold a folder to the lines of all files below it."""

import io

from tests.tidy import floors

SOLID = {
    "app/main.py": (90, 100),
    "app/core/epochs.py": (96, 100),
    "streambus/protocol/wire.py": (99, 100),
}


def low(**changed: tuple[int, int]) -> list[str]:
    named = {name.replace("__", "/") + ".py": lines for name, lines in changed.items()}
    return floors.report(SOLID | named, io.StringIO())


def test_folders_over_their_floors_pass() -> None:
    assert low() == []


def test_a_folder_at_its_floor_is_not_over_it() -> None:
    assert low(app__core__epochs=(95, 100)) == ["app/core/"]


def test_a_file_that_no_test_reaches_counts_in_every_folder_above() -> None:
    assert low(app__core__manifest__facts=(0, 100)) == ["app/", "app/core/"]


def test_each_package_has_its_row() -> None:
    out = io.StringIO()
    floors.report(SOLID, out)
    assert "app/core/                      96.0 % of   100 lines  floor 95\n" in out.getvalue()
