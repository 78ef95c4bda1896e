"""Migrations: the manifest's SQLite schema, step by step, each in one transaction.

Owns    which steps a database has taken and may take, and the check that a step taken was never
        edited since.
Never   goes backward, and never touches a database of a newer StreamBus.
Trusts  that it runs on the lane that owns the connection.
"""

import hashlib
import pkgutil
import sqlite3
from collections.abc import Iterator

from app import migrations
from app.errors import Corrupt, UpgradeNeeded

_LEDGER = """
CREATE TABLE migrations (
    number INTEGER PRIMARY KEY,
    name   TEXT NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;
"""


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Check the steps that were taken, and take the first ones, which wait for no level."""
    (taken,) = connection.execute("PRAGMA user_version").fetchone()
    if taken > len(migrations.NUMBERED):
        raise UpgradeNeeded(
            f"{path}: its schema is at step {taken}, and this version of StreamBus knows "
            f"{len(migrations.NUMBERED)}: upgrade StreamBus"
        )
    if taken:
        _check(connection, path, [name for name, _ in migrations.NUMBERED[:taken]])
    connection.execute("BEGIN IMMEDIATE")
    try:
        take_steps(connection, 0)
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def take_steps(connection: sqlite3.Connection, level: int) -> None:
    """The steps not taken yet that the level allows, inside the transaction that is open: the
    schema changes with the fact that raised the level, or neither does."""
    (taken,) = connection.execute("PRAGMA user_version").fetchone()
    for number, (name, needed) in enumerate(migrations.NUMBERED[taken:], taken + 1):
        if needed > level:
            break
        _take(connection, number, name)


def _read(name: str) -> str:
    script = pkgutil.get_data("app.migrations", name)
    assert script is not None, name
    return script.decode()


def _digest(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()


def _check(connection: sqlite3.Connection, path: str, names: list[str]) -> None:
    rows = connection.execute("SELECT name, sha256 FROM migrations ORDER BY number").fetchall()
    expected = [(name, _digest(_read(name))) for name in names]
    for found, wanted in zip(rows, expected, strict=False):
        if found != wanted:
            raise Corrupt(
                f"{path}: migration {found[0]} was not what {wanted[0]} is now; a released "
                "migration is never edited. Move the file away: it is rebuilt from the journal"
            )
    if len(rows) != len(expected):
        raise Corrupt(f"{path}: {len(rows)} migrations are noted, and {len(expected)} were taken")


def _take(connection: sqlite3.Connection, number: int, name: str) -> None:
    script = _read(name)
    # `executescript` would commit what is under way, so the statements go one by one.
    for statement in _statements(script if number > 1 else _LEDGER + script):
        connection.execute(statement)
    connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, name, _digest(script)))
    connection.execute(f"PRAGMA user_version={number}")


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
