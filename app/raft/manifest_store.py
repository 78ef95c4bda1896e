"""The manifest's state in SQLite: folded entry by entry, each in one transaction with its index.

Owns    the connection, the tables of app/migrations, and the gate that says what counts.
Never   is called from the loop: every method is for the `raft` lane.
Trusts  the journal for durability: this file may fall back to any commit, or be lost, and is then
        brought up again from there.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from app.core.manifest.entries import Applied, Entry, Gate, Parts, Verdict, part_number
from app.core.manifest.facts import (
    LEVEL_OF,
    BrokerConfigsSet,
    BrokerRegistered,
    ClusterFormed,
    Fact,
    FeatureRaised,
    PartitionsAdded,
    PrefixConfigsSet,
    ProducerIdsReserved,
    TopicConfigsSet,
    TopicCreated,
    TopicDeleted,
)
from app.core.manifest.manifest import Manifest, Saved, join_ids
from app.core.manifest.policies import Policies
from app.errors import StorageFailed, Unavailable
from app.limits import PROPOSALS_KEPT
from app.model import BrokerId, ControllerTerm
from app.raft.consensus import Position
from app.raft.migrate import migrate, take_steps
from app.telemetry import events
from app.world.ports import Files

_CONFIGS_LEVEL = LEVEL_OF[PrefixConfigsSet]
"""Below it there are no tables of prefixes' and brokers' configs."""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is wrong, rather than the disk full or away."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


class ManifestStore:
    def __init__(self, files: Files, directory: str, policies: Policies | None = None) -> None:
        self._files = files
        self._directory = directory
        self._policies = policies
        self.path = f"{directory}/state.sqlite"
        self._connection: sqlite3.Connection | None = None
        self._gate: Gate | None = None  # None: what is committed has to be read again
        self._journal_id = bytes(16)

    # Opening

    def open(self) -> tuple[Position, int, Manifest]:
        """The state as committed, with its at_ms; an unreadable one is put aside and begun anew."""
        self._files.make_directory(self._directory)
        try:
            return self._open()
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise StorageFailed(f"{self.path}: {error}") from error
            reason = str(error)
        except ValueError as error:
            reason = str(error)
        self._put_aside(reason)
        return self._open()

    def _open(self) -> tuple[Position, int, Manifest]:
        connection = self._connection = self._files.database(self.path)
        migrate(connection, self.path)
        for (finding,) in self._all("PRAGMA quick_check(1)"):
            if finding != "ok":
                raise ValueError(finding)
        # Names and rows are few and read once; what the loop needs later is in the image.
        manifest = Manifest.load(self.read(), self._policies)
        gate = self._gate = self._read_gate()
        (self._journal_id,) = self._one("SELECT journal_id FROM applied")
        return Position(self._journal_id, gate.index, gate.term), gate.at_ms, manifest

    def _put_aside(self, reason: str) -> None:
        events.emit("manifest.damaged", events.ERROR, path=self.path, reason=reason)
        self.close()
        names = set(self._files.list(self._directory))
        for suffix in ("-wal", "-shm"):
            if f"state.sqlite{suffix}" in names:
                self._files.unlink(self.path + suffix)
        if "state.sqlite" in names:
            self._files.rename(self.path, f"{self.path}.damaged")
        self._files.sync_directory(self._directory)

    def bind(self, journal_id: bytes) -> None:
        assert self._connection is not None
        self._connection.execute("UPDATE applied SET journal_id = ?", (journal_id,))
        self._journal_id = journal_id

    # Applying

    def apply(self, entries: Sequence[Entry]) -> list[Applied]:
        """All of them in one transaction, or none if anything goes wrong (Unavailable)."""
        if self._connection is None:
            raise Unavailable(f"{self.path} was damaged: a restart of the broker rebuilds it")
        try:
            return self._apply_all(self._connection, entries)
        except sqlite3.Error as error:
            if _is_damage(error):
                self._put_aside(str(error))
            raise Unavailable(f"{self.path}: {error}") from error

    def _apply_all(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> list[Applied]:
        gate = self._gate if self._gate is not None else self._read_gate()
        self._gate = None  # until the commit, what memory says may not be what is on disk
        connection.execute("BEGIN IMMEDIATE")
        try:
            applied = [self._apply(connection, gate, entry) for entry in entries]
            connection.execute(
                "UPDATE applied SET entry = ?, term = ?, at_ms = ?",
                (gate.index, gate.term, gate.at_ms),
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._gate = gate
        return applied

    def _apply(self, connection: sqlite3.Connection, gate: Gate, entry: Entry) -> Applied:
        had = gate.parts.proposal if gate.parts is not None else None
        applied = gate.take(entry)
        for fact in applied.facts:
            self._write(connection, fact)
        if applied.verdict is Verdict.TAKEN:
            newest = next(reversed(gate.recent))
            connection.execute("INSERT INTO proposals VALUES (?, ?)", (entry.index, newest))
            connection.execute(
                "DELETE FROM proposals WHERE entry IN "
                "(SELECT entry FROM proposals ORDER BY entry DESC LIMIT -1 OFFSET ?)",
                (PROPOSALS_KEPT,),
            )
        parts = gate.parts
        if had is not None and (parts is None or parts.proposal != had):
            connection.execute("DELETE FROM parts")
        if parts is not None and applied.verdict is Verdict.HELD:
            number = part_number(entry)
            row = (number, parts.count, parts.proposal, parts.pieces[number])
            connection.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", row)
        return applied

    def _write(self, connection: sqlite3.Connection, fact: Fact) -> None:
        """What manifest.py does in memory, in tables; a property test holds the two together."""
        match fact:
            case ClusterFormed(cluster_id):
                connection.execute("UPDATE cluster SET cluster_id = ?", (cluster_id,))
            case FeatureRaised(level):
                connection.execute("UPDATE cluster SET level = ?", (level,))
                take_steps(connection, level)
            case BrokerRegistered():
                self._write_broker(connection, fact)
            case TopicCreated():
                self._write_topic(connection, fact)
            case TopicDeleted(topic_id):
                for table in ("topics", "topic_configs", "partitions"):
                    connection.execute(f"DELETE FROM {table} WHERE topic_id = ?", (topic_id,))
            case ProducerIdsReserved(_, end):
                connection.execute("UPDATE cluster SET next_producer_id = ?", (end,))
            case PartitionsAdded(topic_id, start, replicas):
                _insert_partitions(connection, topic_id, start, replicas)
            case TopicConfigsSet(topic_id, configs):
                _replace_configs(connection, "topic_configs", "topic_id", topic_id, configs)
            case PrefixConfigsSet(prefix, configs):
                _replace_configs(connection, "prefix_configs", "prefix", prefix, configs)
            case BrokerConfigsSet(broker_id, configs):
                _replace_configs(connection, "broker_configs", "broker_id", broker_id, configs)

    def _write_broker(self, connection: sqlite3.Connection, fact: BrokerRegistered) -> None:
        which = (fact.broker_id,)
        if connection.execute("SELECT 1 FROM brokers WHERE broker_id = ?", which).fetchone():
            connection.execute(
                "UPDATE partitions SET leader_epoch = leader_epoch + 1 WHERE leader = ?", which
            )
        row = (fact.broker_id, fact.incarnation, fact.rack)
        connection.execute("INSERT OR REPLACE INTO brokers VALUES (?, ?, ?)", row)
        connection.execute("DELETE FROM endpoints WHERE broker_id = ?", which)
        connection.executemany(
            "INSERT INTO endpoints VALUES (?, ?, ?, ?)",
            [(fact.broker_id, each.name, each.host, each.port) for each in fact.endpoints],
        )

    def _write_topic(self, connection: sqlite3.Connection, fact: TopicCreated) -> None:
        connection.execute("INSERT INTO topics VALUES (?, ?)", (fact.topic_id, fact.name))
        connection.executemany(
            "INSERT INTO topic_configs VALUES (?, ?, ?)",
            [(fact.topic_id, name, value) for name, value in fact.configs],
        )
        _insert_partitions(connection, fact.topic_id, 0, fact.replicas)

    # Reading

    def read(self) -> Saved:
        """Every row, in the order of `Manifest.save`."""
        cluster_id, level, next_producer_id = self._one(
            "SELECT cluster_id, level, next_producer_id FROM cluster"
        )
        return Saved(
            cluster_id,
            level,
            next_producer_id,
            self._all("SELECT broker_id, incarnation, rack FROM brokers ORDER BY 1"),
            self._all("SELECT broker_id, name, host, port FROM endpoints ORDER BY 1, 2"),
            self._all("SELECT topic_id, name FROM topics ORDER BY 1"),
            self._all("SELECT topic_id, name, value FROM topic_configs ORDER BY 1, 2"),
            self._all(
                "SELECT topic_id, partition, leader, leader_epoch, replicas, isr FROM partitions "
                "ORDER BY 1, 2"
            ),
            *(self._read_configs() if level >= _CONFIGS_LEVEL else ()),
        )

    def _read_configs(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        return (
            self._all("SELECT prefix, name, value FROM prefix_configs ORDER BY 1, 2"),
            self._all("SELECT broker_id, name, value FROM broker_configs ORDER BY 1, 2"),
        )

    def _read_gate(self) -> Gate:
        index, term, at_ms = self._one("SELECT entry, term, at_ms FROM applied")
        parts: Parts | None = None
        for number, count, proposal, piece in self._all(
            "SELECT number, count, proposal, bytes FROM parts ORDER BY number"
        ):
            parts = parts or Parts(proposal, count)
            parts.pieces[number] = piece
        recent = self._all("SELECT entry, proposal FROM proposals ORDER BY entry")
        return Gate(index, ControllerTerm(term), at_ms, recent, parts)

    def _one(self, query: str) -> tuple[Any, ...]:
        rows = self._all(query)
        if len(rows) != 1:
            raise ValueError(f"{query}: {len(rows)} rows instead of one")
        return rows[0]

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        assert self._connection is not None
        return self._connection.execute(query).fetchall()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _insert_partitions(
    connection: sqlite3.Connection,
    topic_id: bytes,
    start: int,
    replicas: Sequence[tuple[BrokerId, ...]],
) -> None:
    connection.executemany(
        "INSERT INTO partitions VALUES (?, ?, ?, 0, ?, ?)",
        [
            (topic_id, number, row[0], join_ids(row), join_ids(row))
            for number, row in enumerate(replicas, start)
        ],
    )


def _replace_configs(
    connection: sqlite3.Connection,
    table: str,
    column: str,
    which: bytes | str | int,
    configs: Sequence[tuple[str, str]],
) -> None:
    connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (which,))
    connection.executemany(
        f"INSERT INTO {table} VALUES (?, ?, ?)", [(which, name, value) for name, value in configs]
    )
