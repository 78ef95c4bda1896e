"""Migrations: each once, whole or not at all, and never edited afterwards."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import migrations
from app.errors import Corrupt, UpgradeNeeded
from app.raft import migrate as module
from app.raft.migrate import migrate


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


def test_every_file_of_the_folder_is_listed_with_the_number_of_its_place() -> None:
    folder = Path(migrations.__file__).parent
    assert sorted(path.name for path in folder.glob("*.sql")) == list(migrations.NUMBERED)
    for number, name in enumerate(migrations.NUMBERED, 1):
        assert name.startswith(f"{number:04}_")
        header = (folder / name).read_text().splitlines()[:6]
        assert any(line.startswith("-- Why") for line in header)
        assert any(line.startswith("-- Reads") for line in header)


def test_all_steps_are_taken_once(connection: sqlite3.Connection) -> None:
    migrate(connection, "x")
    migrate(connection, "x")
    assert connection.execute("PRAGMA user_version").fetchone() == (len(migrations.NUMBERED),)
    names = [row[0] for row in connection.execute("SELECT name FROM migrations ORDER BY number")]
    assert names == list(migrations.NUMBERED)


def test_a_step_that_fails_leaves_no_trace(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = {"0001_a.sql": "CREATE TABLE a (x);", "0002_b.sql": "CREATE TABLE b (x); nonsense;"}
    monkeypatch.setattr(migrations, "NUMBERED", tuple(scripts))
    monkeypatch.setattr(module, "_read", scripts.__getitem__)
    with pytest.raises(sqlite3.Error):
        migrate(connection, "x")
    assert tables(connection) == {"a", "migrations"}
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    scripts["0002_b.sql"] = "CREATE TABLE b (x);"
    migrate(connection, "x")
    assert tables(connection) == {"a", "b", "migrations"}


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
