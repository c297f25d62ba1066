"""The SQLite file of the ledger: schema and how it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edgeface.base.errors import StateError
from edgeface.base.files import PRIVATE, write_file
from edgeface.base.sqlite_file import UNUSABLE, fault_in

FORMAT: Final = 1

_SCHEMA: Final = (
    """CREATE TABLE state (
        one        INTEGER PRIMARY KEY CHECK (one = 1),
        epoch      INTEGER NOT NULL,
        revision   INTEGER NOT NULL,   -- of `manifest`
        manifest   BLOB,               -- the newest one made, sent or not; null: none yet
        base       BLOB,               -- digest of the one that it grew from; null: none
        floor      TEXT NOT NULL,      -- JSON: where the broker stands, for new devices
        keys       TEXT NOT NULL,      -- JSON: ids of the keys that publish
        next_keys  TEXT,               -- JSON: ids of the keys that the next rekey begins to use
        old_keys   TEXT                -- JSON: ids of the keys before the last rekey
    )""",
    """CREATE TABLE people (           -- everybody in `manifest`
        person_id  TEXT PRIMARY KEY,
        bucket     INTEGER NOT NULL,
        revision   INTEGER NOT NULL,
        digest     BLOB NOT NULL,
        content    BLOB NOT NULL,      -- digest of the plaintext, to tell what has changed
        spaces     TEXT NOT NULL,      -- space ids, with commas
        wire       BLOB NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX by_bucket ON people (bucket, person_id, revision, digest)",
    """CREATE TABLE tombstones (
        person_id  TEXT PRIMARY KEY,
        epoch      INTEGER NOT NULL,
        revision   INTEGER NOT NULL,
        removed_s  INTEGER NOT NULL,
        wire       BLOB NOT NULL
    )""",
    """CREATE TABLE confirmed (
        person_id  TEXT NOT NULL REFERENCES tombstones (person_id) ON DELETE CASCADE,
        device     TEXT NOT NULL,
        PRIMARY KEY (person_id, device)
    )""",
    """CREATE TABLE buckets (
        number     INTEGER PRIMARY KEY,
        digest     BLOB NOT NULL,
        wire       BLOB NOT NULL
    )""",
    """CREATE TABLE touched (          -- may differ between the gallery and `people`
        person_id  TEXT PRIMARY KEY
    )""",
    """CREATE TABLE outgoing (         -- what the broker has not acknowledged, in order of stage
        kind       TEXT NOT NULL,
        name       TEXT NOT NULL,
        stage      INTEGER NOT NULL,
        PRIMARY KEY (kind, name)
    )""",
    "CREATE INDEX by_stage ON outgoing (stage)",
    """CREATE TABLE freshness (        -- the last moment at which each manifest counts as fresh
        epoch      INTEGER NOT NULL,
        revision   INTEGER NOT NULL,
        digest     BLOB NOT NULL,
        expires_s  INTEGER NOT NULL,
        PRIMARY KEY (epoch, revision)
    )""",
)


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open, or make with mode 0600. Raises StateError."""
    if create:
        write_file(path, b"", PRIVATE)
    elif not path.is_file():
        raise StateError(f"{path}: missing; without it nobody knows what has been published")
    with explained(path):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
            # Not WAL: the journal is gone after each change, and with it what was erased.
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = FULL")
            if create:
                connection.execute("BEGIN")
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {FORMAT}")
                connection.execute("COMMIT")
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found != FORMAT:
                raise StateError(
                    f"{path}: ledger format {found}, this edgeface knows {FORMAT}; update edgeface"
                )
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, with what to do."""
    try:
        yield
    except UNUSABLE as error:
        way_out = "; bring back the copy of the site's folder" * (fault_in(error) == "corrupt")
        raise StateError(f"{path}: cannot use the ledger: {error}{way_out}") from error
