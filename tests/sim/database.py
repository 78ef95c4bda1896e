"""SQLite of the simulated world: in memory, with a copy kept of every committed state.

`journal_mode=WAL, synchronous=NORMAL` commits without a sync: after a power failure the database
is back at any state committed since the last checkpoint (`PRAGMA wal_checkpoint`), whole, never
torn. When only the process dies nothing committed is lost. With `synchronous=FULL` a commit is a
sync.
"""

import sqlite3
from random import Random
from typing import TYPE_CHECKING, Any

from tests.sim.trace import digest

if TYPE_CHECKING:
    from tests.sim.world import SimWorld

STATES_MAX = 256
_READS = ("SELECT", "BEGIN", "EXPLAIN", "SAVEPOINT", "WITH")


class StoredDatabase:
    """What the disk has of one database: states[0] is durable, readers see the last one."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.states: list[bytes] = [b""]
        self.is_open = False

    def commit(self, state: bytes, *, durable: bool) -> None:
        self.states = [state] if durable else [*self.states, state]
        if len(self.states) > STATES_MAX:
            del self.states[1]

    def sync(self) -> None:
        self.states = self.states[-1:]

    def crash(self, random: Random, *, lose: bool) -> None:
        self.is_open = False
        if lose:
            self.states = [random.choice(self.states)]


class SimCursor(sqlite3.Cursor):
    def execute(self, sql: str, *parameters: Any) -> "SimCursor":
        self._store().before(sql)
        super().execute(sql, *parameters)
        self._store().after(sql)
        return self

    def executemany(self, sql: str, *parameters: Any) -> "SimCursor":
        self._store().before(sql)
        super().executemany(sql, *parameters)
        self._store().after(sql)
        return self

    def executescript(self, script: str) -> "SimCursor":
        self._store().before(script)
        super().executescript(script)
        self._store().after("script")
        return self

    def _store(self) -> "SimConnection":
        connection = self.connection
        assert isinstance(connection, SimConnection)
        return connection


class SimConnection(sqlite3.Connection):
    """Every statement is checked to run on the connection's lane; every commit is kept."""

    stored: StoredDatabase
    world: "SimWorld"
    lane: str

    def cursor(self, factory: Any = SimCursor) -> Any:
        return super().cursor(factory)

    def execute(self, sql: str, *parameters: Any) -> SimCursor:
        cursor: SimCursor = self.cursor().execute(sql, *parameters)
        return cursor

    def executemany(self, sql: str, *parameters: Any) -> SimCursor:
        cursor: SimCursor = self.cursor().executemany(sql, *parameters)
        return cursor

    def executescript(self, script: str) -> SimCursor:
        cursor: SimCursor = self.cursor().executescript(script)
        return cursor

    def commit(self) -> None:
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        if self.in_transaction:
            self.execute("ROLLBACK")

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        if kind is None:
            self.commit()
        else:
            self.rollback()
        return False

    def close(self) -> None:
        self.world.check_lane("close a database", self.lane)
        self.stored.is_open = False
        self.stored.sync()  # the last connection that closes makes a checkpoint
        super().close()

    def before(self, sql: str) -> None:
        self.world.check_lane(f"execute {sql[:40]!r}", self.lane)
        self.world.check_alive()
        word = _first_word(sql)
        if word in ("COMMIT", "END") or not (self.in_transaction or word in (*_READS, "PRAGMA")):
            try:
                self.world.machine.disk.step("commit", self.stored.path)
            except OSError as error:
                raise sqlite3.OperationalError(f"disk I/O error: {error}") from error

    def after(self, sql: str) -> None:
        word = _first_word(sql)
        if self.in_transaction or word in _READS:
            return
        if word == "PRAGMA" and "wal_checkpoint" in sql.lower():
            self.stored.sync()
        (pages,) = super().execute("PRAGMA page_count").fetchone()
        state = self.serialize() if pages else b""  # an empty database cannot be serialized
        if state != self.stored.states[-1]:
            (synchronous,) = super().execute("PRAGMA synchronous").fetchone()
            self.world.trace("commit", self.stored.path, len(state), digest(state))
            self.stored.commit(state, durable=synchronous >= 2)


def _first_word(sql: str) -> str:
    return sql.lstrip(" \n\t;(").split(None, 1)[0].upper().rstrip(";") if sql.strip() else ""


def connect(stored: StoredDatabase, world: "SimWorld") -> SimConnection:
    assert not stored.is_open, f"{stored.path} is open: one connection at a time is simulated"
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=SimConnection)
    connection.stored, connection.world = stored, world
    connection.lane = world.check_lane("open a database")
    if stored.states[-1]:
        connection.deserialize(stored.states[-1])
    connection.execute("PRAGMA synchronous=NORMAL")
    stored.is_open = True
    return connection
