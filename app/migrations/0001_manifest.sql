-- 0001: the state of the manifest, folded from the facts in the journal.
--
-- Why    a broker loads what exists at once, instead of replaying every fact since the beginning.
-- Reads  app/raft/manifest_store.py alone. The tables are a fold: lost or damaged, they are rebuilt
--        from the journal, so nothing here is ever the only copy.
-- Rules  every entry of the log changes these tables in one transaction, `applied` included.

-- Where in the log this state stands. One row.
CREATE TABLE applied (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    journal_id BLOB    NOT NULL,  -- of the journal that this is folded from
    entry      INTEGER NOT NULL,  -- index of the newest entry applied
    term       INTEGER NOT NULL,  -- that entry's term
    at_ms      INTEGER NOT NULL   -- stamp of the newest fact taken
) STRICT;

-- Proposals taken lately, so that a repeated one changes nothing. Oldest go first.
CREATE TABLE proposals (
    entry    INTEGER PRIMARY KEY,
    proposal BLOB NOT NULL
) STRICT;

-- Parts of the one proposal that needs several entries and is not complete yet.
CREATE TABLE parts (
    number   INTEGER PRIMARY KEY,
    count    INTEGER NOT NULL,
    proposal BLOB    NOT NULL,
    bytes    BLOB    NOT NULL
) STRICT;

-- Numbers and texts of the whole cluster. One row.
CREATE TABLE cluster (
    one              INTEGER PRIMARY KEY CHECK (one = 1),
    cluster_id       TEXT    NOT NULL,
    level            INTEGER NOT NULL,  -- finalised feature level
    next_producer_id INTEGER NOT NULL   -- below it every producer id is given away
) STRICT;

CREATE TABLE brokers (
    broker_id   INTEGER PRIMARY KEY,
    incarnation INTEGER NOT NULL,
    rack        TEXT
) STRICT;

-- Where clients reach a broker, by the name of the listener that they came in by.
CREATE TABLE endpoints (
    broker_id INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    host      TEXT    NOT NULL,
    port      INTEGER NOT NULL,
    PRIMARY KEY (broker_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE topics (
    topic_id BLOB PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

CREATE TABLE topic_configs (
    topic_id BLOB NOT NULL,
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (topic_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE partitions (
    topic_id     BLOB    NOT NULL,
    partition    INTEGER NOT NULL,
    leader       INTEGER NOT NULL,
    leader_epoch INTEGER NOT NULL,
    replicas     TEXT    NOT NULL,  -- broker ids joined by commas, the preferred leader first
    isr          TEXT    NOT NULL,  -- the same, of those in sync
    PRIMARY KEY (topic_id, partition)
) STRICT, WITHOUT ROWID;

INSERT INTO applied VALUES (1, zeroblob(16), 0, 0, 0);
INSERT INTO cluster VALUES (1, '', 0, 0);
