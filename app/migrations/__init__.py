"""Migrations of the manifest's SQLite state, numbered, forward only, never edited once released.

Each file's header says why it exists and who reads its tables. `raft/migrate.py` runs them.
Inside a package, so that wheels carry them.
"""

NUMBERED = (("0001_manifest.sql", 0), ("0002_configs.sql", 2))
"""In order, with the feature level that each waits for; the first number is 1. Until the level is
raised, a StreamBus that does not know the step can still open the state."""
