"""The SQLite file: how it is made, opened, brought up to date, and what its errors mean.

WAL with `synchronous=FULL`: a committed change survives a power cut. `secure_delete=ON` overwrites
what is deleted; the WAL still holds it until a truncating checkpoint (`GalleryStore.scrub`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edgeface.base import files
from edgeface.base.errors import EdgefaceError, GalleryError, StateError
from edgeface.base.sqlite_file import (
    TEXT,
    UNUSABLE,
    Steps,
    fault_in,
    migrate,
    roll_back,
    version_of,
)

MIGRATIONS: Final[Steps] = (
    (
        """CREATE TABLE position (
            one        INTEGER PRIMARY KEY CHECK (one = 1),
            epoch      INTEGER NOT NULL,   -- of the fleet's manifest; 0 in a local gallery
            revision   INTEGER NOT NULL,   -- of the manifest; the number of changes when local
            changes    INTEGER NOT NULL,   -- counts every committed change, never goes back
            key_check  BLOB NOT NULL       -- sealed text that tells a wrong key from damage
        )""",
        """CREATE TABLE spaces (
            number     INTEGER PRIMARY KEY,
            space      TEXT NOT NULL UNIQUE
        )""",
        """CREATE TABLE people (
            person_id  TEXT PRIMARY KEY,
            body       BLOB NOT NULL       -- sealed: name, validity window, card, created
        ) WITHOUT ROWID""",
        """CREATE TABLE templates (
            person_id  TEXT NOT NULL REFERENCES people (person_id),
            space      INTEGER NOT NULL REFERENCES spaces (number),
            count      INTEGER NOT NULL,
            body       BLOB NOT NULL,      -- sealed: all templates of the person in the space
            PRIMARY KEY (person_id, space)
        ) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE fleet (
            one         INTEGER PRIMARY KEY CHECK (one = 1),
            manifest    BLOB,              -- wire bytes of the newest one known
            freshness   BLOB,              -- wire bytes of the newest one known
            digest      BLOB,              -- of the manifest that is wholly applied; its number is
                                           -- in the table position
            erased_epoch     INTEGER NOT NULL,   -- who is absent from this manifest is erased
            erased_revision  INTEGER NOT NULL
        )""",
        "INSERT INTO fleet VALUES (1, NULL, NULL, NULL, 0, 0)",
        """CREATE TABLE fleet_records (
            person_id  TEXT PRIMARY KEY REFERENCES people (person_id) ON DELETE CASCADE,
            bucket     INTEGER NOT NULL,
            revision   INTEGER NOT NULL,   -- of the record, as the bucket lists it
            digest     BLOB NOT NULL       -- SHA-256 of the record's wire bytes
        ) WITHOUT ROWID""",
        "CREATE INDEX fleet_records_by_bucket ON fleet_records (bucket, person_id)",
        """CREATE TABLE fleet_receipts (
            person_id  TEXT PRIMARY KEY,
            epoch      INTEGER NOT NULL,
            revision   INTEGER NOT NULL,
            erased_s   REAL                -- NULL until the WAL has been truncated
        ) WITHOUT ROWID""",
    ),
)
"""Entry n takes a file from `user_version` n to n + 1. Released entries are never edited."""

_DISK: Final = frozenset({"disk_full", "io_error", "cannot_open", "read_only"})


class GalleryCorruptError(GalleryError):
    """Raised when the gallery file is damaged; `set_aside` moves it out of the way."""


def connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Open or make the file with mode 0600 and bring its schema up to date.

    Raises GalleryCorruptError, GalleryError (made by a newer edgeface), StateError (not readable,
    locked, disk full).
    """
    try:
        if not path.exists():
            files.touch_private(path)
    except OSError as error:
        raise StateError(f"{path}: cannot make the gallery file: {error.strerror}") from error
    with explained(path):
        connection = sqlite3.connect(
            path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            connection.text_factory = TEXT
            _prepare(connection, path, busy_timeout_s)
        except BaseException:
            connection.close()
            raise
        return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open the file on a disk that takes nothing more, not even what SQLite shares between
    processes. What is in a write-ahead log is read only by a connection that shuts others out.

    Raises as `connect`.
    """
    log = path.with_name(f"{path.name}-wal")
    alone = log.exists() and log.stat().st_size > 0
    with explained(path):
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?" + ("mode=rw" if alone else "mode=ro&immutable=1"),
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.text_factory = TEXT
            connection.execute(f"PRAGMA locking_mode = {'EXCLUSIVE' if alone else 'NORMAL'}")
            connection.execute("PRAGMA query_only = ON")
            version = version_of(connection, MIGRATIONS)
            if version == 0 and not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
                connection.close()
                return _nobody()
            if version != len(MIGRATIONS):
                raise damaged(path, "its tables are not as edgeface makes them")
        except BaseException:
            connection.close()
            raise
        return connection


def _nobody() -> sqlite3.Connection:
    """In place of a file that there was no room to make."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(connection, MIGRATIONS, 0)
    return connection


def takes_nothing(error: StateError) -> bool:
    """Whether `connect` failed for the disk, which is full or cannot be written to."""
    cause = error.__cause__
    return isinstance(cause, UNUSABLE) and fault_in(cause) in _DISK


def set_aside(path: Path, now: datetime | None = None) -> Path:
    """Rename a damaged gallery and its WAL to `<name>.corrupt-<UTC time>`; nothing is deleted.

    Returns the new path. Raises StateError when it cannot be renamed.
    """
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    try:
        return files.set_aside(path, f"corrupt-{stamp}")
    except OSError as error:
        raise StateError(f"{path}: cannot set the damaged gallery aside: {error}") from error


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, with what to do."""
    try:
        yield
    except UNUSABLE as error:
        raise _explain(path, error) from error


def _explain(path: Path, error: Exception) -> EdgefaceError:
    match fault_in(error):
        case "corrupt":
            return damaged(path, str(error))
        case "locked":
            return StateError(
                f"{path}: another process is changing the gallery; try again ({error})"
            )
        case "disk_full":
            return StateError(
                f"{path}: no space left for the gallery; nothing was changed ({error})"
            )
        case "io_error":
            return StateError(
                f"{path}: cannot use the gallery file: {error}; the disk is full or failing"
            )
    return StateError(f"{path}: cannot use the gallery file: {error}")


def damaged(path: Path, why: str) -> GalleryCorruptError:
    """The error for a gallery that no other moment mends."""
    return GalleryCorruptError(f"{path}: the gallery file is damaged: {why}")


def _prepare(connection: sqlite3.Connection, path: Path, busy_timeout_s: float) -> None:
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise damaged(path, verdict)
    _migrate(connection, path)
    # What a process deleted before it was killed may still be in the WAL; not worth a wait.
    connection.execute("PRAGMA busy_timeout = 0")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {round(busy_timeout_s * 1000)}")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if version_of(connection, MIGRATIONS) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection, MIGRATIONS)
        if version is None:
            raise damaged(path, "its tables are not as edgeface makes them")
        if version > len(MIGRATIONS):
            raise GalleryError(
                f"{path}: made by a newer edgeface (gallery format {version}, this one knows "
                f"{len(MIGRATIONS)}); update edgeface"
            )
        if version == 0 and connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise GalleryError(f"{path}: an SQLite file, but no gallery of edgeface")
        migrate(connection, MIGRATIONS, version)
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise
