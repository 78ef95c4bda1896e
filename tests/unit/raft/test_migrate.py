"""Migrations: each once, whole or not at all, and never edited afterwards."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import migrations
from app.core.manifest.facts import FEATURE_LEVEL
from app.errors import Corrupt, UpgradeNeeded
from app.raft import migrate as module
from app.raft.migrate import migrate, take_steps


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


def test_every_file_of_the_folder_is_listed_with_the_number_of_its_place() -> None:
    folder = Path(migrations.__file__).parent
    listed = [name for name, _ in migrations.NUMBERED]
    assert sorted(path.name for path in folder.glob("*.sql")) == listed
    for number, name in enumerate(listed, 1):
        assert name.startswith(f"{number:04}_")
        header = (folder / name).read_text().splitlines()[:6]
        assert any(line.startswith("-- Why") for line in header)
        assert any(line.startswith("-- Reads") for line in header)


def test_each_step_waits_for_a_level_of_its_own_that_this_code_reads() -> None:
    levels = [level for _, level in migrations.NUMBERED]
    assert levels[0] == 0 and levels == sorted(set(levels)) and levels[-1] <= FEATURE_LEVEL


def taken(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM migrations ORDER BY number")
    names = [row[0] for row in rows]
    assert connection.execute("PRAGMA user_version").fetchone() == (len(names),)
    return names


def test_all_steps_are_taken_once_each_when_its_level_is_raised(
    connection: sqlite3.Connection,
) -> None:
    for _ in range(2):
        migrate(connection, "x")
        assert taken(connection) == ["0001_manifest.sql"]
    for level in (0, 1):
        take_steps(connection, level)
    assert taken(connection) == ["0001_manifest.sql"]
    for _ in range(2):
        take_steps(connection, FEATURE_LEVEL)
        migrate(connection, "x")
        assert taken(connection) == [name for name, _ in migrations.NUMBERED]


@pytest.mark.parametrize("level", [0, 2])
def test_a_step_that_fails_leaves_no_trace(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    scripts = {"0001_a.sql": "CREATE TABLE a (x);", "0002_b.sql": "CREATE TABLE b (x); nonsense;"}
    monkeypatch.setattr(migrations, "NUMBERED", (("0001_a.sql", 0), ("0002_b.sql", level)))
    monkeypatch.setattr(module, "_read", scripts.__getitem__)

    def bring_up() -> None:
        migrate(connection, "x")
        connection.execute("BEGIN IMMEDIATE")
        try:
            take_steps(connection, level)
        except sqlite3.Error:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    with pytest.raises(sqlite3.Error):
        bring_up()
    assert tables(connection) == ({"a", "migrations"} if level else set())
    assert connection.execute("PRAGMA user_version").fetchone() == (1 if level else 0,)
    scripts["0002_b.sql"] = "-- two; of them\nCREATE TABLE b (x);\nCREATE TABLE c (y -- ;\n);"
    bring_up()
    assert tables(connection) == {"a", "b", "c", "migrations"}


def test_a_step_that_was_edited_after_it_was_taken_is_refused(
    connection: sqlite3.Connection,
) -> None:
    migrate(connection, "x")
    connection.execute("UPDATE migrations SET sha256 = 'other'")
    with pytest.raises(Corrupt, match="never edited"):
        migrate(connection, "x")
    connection.execute("DELETE FROM migrations")
    with pytest.raises(Corrupt, match="noted"):
        migrate(connection, "x")


def test_a_schema_from_the_future_says_upgrade(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA user_version=99")
    with pytest.raises(UpgradeNeeded, match="upgrade StreamBus"):
        migrate(connection, "x")
    assert tables(connection) == set()
