"""Migrations: the manifest's SQLite schema, step by step, each in one transaction.

Owns    which steps a database has taken, and the check that a step taken was never edited since.
Never   goes backward, and never touches a database of a newer StreamBus.
Trusts  that it runs on the lane that owns the connection.
"""

import hashlib
import pkgutil
import sqlite3

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
    """Bring the schema up to the newest step that this code knows."""
    (taken,) = connection.execute("PRAGMA user_version").fetchone()
    if taken > len(migrations.NUMBERED):
        raise UpgradeNeeded(
            f"{path}: its schema is at step {taken}, and this version of StreamBus knows "
            f"{len(migrations.NUMBERED)}: upgrade StreamBus"
        )
    steps = [(name, _read(name)) for name in migrations.NUMBERED]
    if taken:
        _check(connection, path, steps[:taken])
    for number, (name, script) in enumerate(steps[taken:], taken + 1):
        _take(connection, number, name, script)


def _read(name: str) -> str:
    script = pkgutil.get_data("app.migrations", name)
    assert script is not None, name
    return script.decode()


def _digest(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()


def _check(connection: sqlite3.Connection, path: str, steps: list[tuple[str, str]]) -> None:
    rows = connection.execute("SELECT name, sha256 FROM migrations ORDER BY number").fetchall()
    expected = [(name, _digest(script)) for name, script in steps]
    for found, wanted in zip(rows, expected, strict=False):
        if found != wanted:
            raise Corrupt(
                f"{path}: migration {found[0]} was not what {wanted[0]} is now; a released "
                "migration is never edited. Move the file away: it is rebuilt from the journal"
            )
    if len(rows) != len(expected):
        raise Corrupt(f"{path}: {len(rows)} migrations are noted, and {len(expected)} were taken")


def _take(connection: sqlite3.Connection, number: int, name: str, script: str) -> None:
    ledger = _LEDGER if number == 1 else ""
    note = f"INSERT INTO migrations VALUES ({number}, '{name}', '{_digest(script)}');"
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;{ledger}{script}\n;{note}PRAGMA user_version={number};COMMIT;"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
