"""Migrations of the manifest's SQLite state, numbered, forward only, never edited once released.

Each file's header says why it exists and who reads its tables. `raft/migrate.py` runs them.
Inside a package, so that wheels carry them.
"""

NUMBERED = ("0001_manifest.sql",)
"""In order; the first number is 1. A migration beyond the finalised feature level waits for it."""
