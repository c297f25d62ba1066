"""What SQLite and Python say of a database file, told apart: a bad moment, or a damaged file.

A bit that flips in the text of a schema is noticed late and in many ways: as a file that is no
database, as SQL that cannot be run, as a text that Python cannot decode.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from typing import Final, TypeAlias

UNUSABLE: Final = (sqlite3.Error, UnicodeDecodeError)
"""What the module sqlite3 raises; the second, for an error's own text, is no `sqlite3.Error`."""

Steps: TypeAlias = tuple[tuple[str, ...], ...]
"""Entry n are the statements that take a file from `user_version` n to n + 1."""

TEXT: Final = functools.partial(str, encoding="utf-8", errors="replace")
"""As `text_factory`: a text in which a bit has flipped spoils its own row alone."""

_FAULTS: Final = {
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
    # Our statements are constant and keep what the schema demands: what makes one wrong, or breaks
    # a constraint, is another file than the one they are for.
    sqlite3.SQLITE_ERROR: "corrupt",
    sqlite3.SQLITE_CONSTRAINT: "corrupt",
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_IOERR: "io_error",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_CANTOPEN: "cannot_open",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    # Another process recovers the log, and has not ended for ten seconds.
    sqlite3.SQLITE_PROTOCOL: "locked",
}


def fault_in(error: Exception) -> str:
    """A short name for one of `UNUSABLE`, by SQLite's primary result code
    (https://www.sqlite.org/rescode.html); `corrupt` is what no other moment mends."""
    if isinstance(error, UnicodeDecodeError):
        return "corrupt"
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "corrupt" if str(error).startswith("Could not decode") else "sqlite_error"
    return _FAULTS.get(code & 0xFF, "sqlite_error")


def roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction. After some errors SQLite has done so itself, and what it says of another
    attempt would stand in the place of the error that counts."""
    if connection.in_transaction:
        with contextlib.suppress(*UNUSABLE):
            connection.execute("ROLLBACK")


def version_of(connection: sqlite3.Connection, steps: Steps) -> int | None:
    """The file's `user_version`: 0 for an empty or foreign file, beyond `steps` for one of a newer
    program. None when its tables and its number do not go together: one of them is damaged."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    schema = _schema(connection)
    known = [number for number in range(1, len(steps) + 1) if schema == _expected(steps[:number])]
    if known:
        return version if version in known else None
    return None if 0 < version <= len(steps) else version


def _schema(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str, str]]:
    """SQLite's own tables are as it likes."""
    return frozenset(
        connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema"
            " WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~'"
        )
    )


@functools.cache
def _expected(steps: Steps) -> frozenset[tuple[str, str, str, str]]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for statement in (text for step in steps for text in step):
            connection.execute(statement)
        return _schema(connection)
    finally:
        connection.close()


def migrate(connection: sqlite3.Connection, steps: Steps, version: int) -> None:
    """From `version` to the newest, within the caller's transaction."""
    for statement in (text for step in steps[version:] for text in step):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(steps)}")
