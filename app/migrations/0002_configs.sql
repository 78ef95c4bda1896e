-- 0002: configs of prefixes of topic names and of brokers (feature level 2).
--
-- Why    configs can be set where several topics inherit them, and on brokers while they run.
-- Reads  app/raft/manifest_store.py alone, once the cluster is at level 2. A fold, as all tables.
-- Rules  a prefix or broker without configs has no rows.

-- By prefix, as in 'app.service.*': every topic whose name begins with what is before the star.
CREATE TABLE prefix_configs (
    prefix TEXT NOT NULL,
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (prefix, name)
) STRICT, WITHOUT ROWID;

-- By broker; -1 is all brokers.
CREATE TABLE broker_configs (
    broker_id INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    value     TEXT    NOT NULL,
    PRIMARY KEY (broker_id, name)
) STRICT, WITHOUT ROWID;
