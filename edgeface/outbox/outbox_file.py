"""The outbox on disk: one SQLite file in WAL mode with `synchronous=FULL`, used by one thread.

A committed row survives kill -9 and power loss (https://www.sqlite.org/pragma.html#pragma_synchronous).
The file is locked exclusively: a second daemon on the same state folder is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from edgeface.base.errors import ContractError, StateError
from edgeface.base.files import touch_private
from edgeface.contract import codec
from edgeface.contract.event import DroppedRange, Previous
from edgeface.outbox.rows import Row

SCHEMA_VERSION: Final = 1
MAX_DEAD_LETTERS: Final = 1_000

LOCK_TIMEOUT_S: Final = 2.0
_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    created_boottime_ns INTEGER NOT NULL,
    created_utc_ns INTEGER NOT NULL,
    clock_synced INTEGER NOT NULL,
    expires_boottime_ns INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE TABLE gap (
    session TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    utc_ns INTEGER NOT NULL,
    reason TEXT NOT NULL,
    payload BLOB NOT NULL
);
"""
_FAULTS: Final = {
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_IOERR: "io_error",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_CANTOPEN: "cannot_open",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
}
_NAMES: Final = [field.name for field in dataclasses.fields(Row)]
_COLUMNS: Final = ", ".join(_NAMES)
_GAP: Final = [field.name for field in dataclasses.fields(DroppedRange)]


class BrokenFileError(StateError):
    """Raised when the file is no outbox of this version and has to be set aside."""


def fault_of(error: Exception) -> str:
    """A short name for what went wrong, of an sqlite3.Error from SQLite's primary result code
    (https://www.sqlite.org/rescode.html). A text that is no UTF-8 has none: Python finds it, in a
    file in which bits have flipped."""
    if isinstance(error, BrokenFileError):
        return "corrupt"
    if isinstance(error, StateError):
        return "locked"
    if isinstance(error, OSError):
        return "cannot_open"
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "corrupt" if str(error).startswith("Could not decode") else "sqlite_error"
    return _FAULTS.get(code & 0xFF, "sqlite_error")


class OutboxFile:
    """The tables. Every method may raise sqlite3.Error; nothing changes outside a transaction.

    `count`, `size` and `pending` are what is in the file, as known without looking: they are there
    also when it breaks.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file (mode 0600).

        Raises StateError when another process has it, and BrokenFileError, sqlite3.Error or
        OSError, which `fault_of` tells apart, when it, the folder or the disk cannot be used.
        """
        self.path = path
        self.count = 0
        """Waiting events."""
        self.size = 0
        """Bytes of their payloads."""
        self.pending: dict[str, tuple[int, int]] = {}
        """First and last waiting event of each session, in order; some between them, or at either
        end, may have been removed."""
        touch_private(path)
        self._db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None)
        try:
            self._prepare()
        except (sqlite3.Error, BrokenFileError) as error:
            self._db.close()
            if fault_of(error) == "locked":
                raise StateError(
                    f"{path}: in use by another process; is edgeface running already?"
                ) from error
            raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";")[:-1]:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise BrokenFileError(f"{self.path}: version {version}, not {SCHEMA_VERSION}")
        verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise BrokenFileError(f"{self.path}: {verdict}")
        self.count, self.size = self._db.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0) FROM event"
        ).fetchone()
        found = self._db.execute(
            "SELECT session, min(seq), max(seq) FROM event GROUP BY session ORDER BY min(id)"
        )
        self.pending = {session: (first, last) for session, first, last in found}
        # The tables' own pages have to be in the file for `shrink_log` to work on a full disk.
        with contextlib.suppress(sqlite3.Error):
            self.shrink_log()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it ends."""
        self._db.execute("BEGIN IMMEDIATE")
        before = self.count, self.size, dict(self.pending)
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self.count, self.size, self.pending = before
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        if self.count == 0:
            self.pending.clear()

    def last_session(self) -> tuple[str, int] | None:
        """The session that wrote last and its last sequence number; None as well when what is
        there cannot be one: SQLite does not notice a bit that has flipped inside a value."""
        found = self._db.execute("SELECT CAST(key AS BLOB), CAST(value AS BLOB) FROM meta")
        meta: dict[bytes, bytes] = dict(found)
        try:
            session, last_seq = meta[b"session"].decode("ascii"), int(meta[b"last_seq"])
            codec.from_mapping(Previous, {"session": session, "last_seq": last_seq})
        except (KeyError, ValueError):
            return None
        return session, last_seq

    def set_last_session(self, session: str, last_seq: int) -> None:
        """Remember who writes and how far it has counted."""
        self._db.executemany(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            [("session", session), ("last_seq", str(last_seq))],
        )

    def add(self, rows: Sequence[Row]) -> None:
        """Store events, in order."""
        self._db.executemany(
            f"INSERT INTO event ({_COLUMNS}) VALUES ({_marks(_NAMES)})",  # noqa: S608
            map(attrgetter(*_NAMES), rows),
        )
        for row in rows:
            self.count, self.size = self.count + 1, self.size + len(row.payload)
            first, _ = self.pending.get(row.session, (row.seq, row.seq))
            self.pending[row.session] = (first, row.seq)

    def remove(self, event_ids: Iterable[str]) -> None:
        """Delete events that have been delivered or given up."""
        for event_id in event_ids:
            found = self._db.execute(
                "DELETE FROM event WHERE event_id = ? RETURNING length(payload)", (event_id,)
            ).fetchone()
            if found is not None:
                self.count, self.size = self.count - 1, self.size - found[0]

    def oldest(self, limit: int) -> list[Row]:
        """The events that have waited longest, in (session, seq) order: sessions follow one
        another, and within one the rows were added by sequence number."""
        return self._first("", limit)

    def aged(
        self, boot_id: str, created_before_ns: int, utc_before_ns: int | None, limit: int
    ) -> list[Row]:
        """Events of this boot created before a boot time, and, where `utc_before_ns` is given,
        events of other boots with a trusted time before it."""
        where = (
            "WHERE (boot_id = ? AND created_boottime_ns < ?) "
            "OR (boot_id <> ? AND clock_synced AND created_utc_ns < ?)"
        )
        return self._first(where, boot_id, created_before_ns, boot_id, utc_before_ns, limit)

    def _first(self, where: str, *values: object) -> list[Row]:
        query = f"SELECT {_COLUMNS} FROM event {where} ORDER BY id LIMIT ?"  # noqa: S608
        return [_row(item) for item in self._db.execute(query, values)]

    def gaps(self) -> list[DroppedRange]:
        """Dropped ranges that no gap event has announced, without any that cannot be one."""
        ranges = []
        for item in self._db.execute(f"SELECT {', '.join(_GAP)} FROM gap"):  # noqa: S608
            with contextlib.suppress(ContractError):
                ranges.append(codec.from_mapping(DroppedRange, dict(zip(_GAP, item, strict=True))))
        return ranges

    def set_gaps(self, ranges: Iterable[DroppedRange]) -> None:
        """Replace them."""
        self._db.execute("DELETE FROM gap")
        self._db.executemany(
            f"INSERT INTO gap VALUES ({_marks(_GAP)})",  # noqa: S608
            map(attrgetter(*_GAP), ranges),
        )

    def bury(self, letters: Iterable[tuple[int, str, bytes]]) -> None:
        """Keep undeliverable events for a look, the newest 1,000: of each the time in ns
        (UTC), why, and its payload."""
        self._db.executemany(
            "INSERT INTO dead_letter (utc_ns, reason, payload) VALUES (?, ?, ?)", letters
        )
        self._db.execute(
            "DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?",
            (MAX_DEAD_LETTERS,),
        )

    def shrink_log(self) -> bool:
        """Move the WAL into the file and cut it to nothing; whether that freed anything. SQLite
        does it by itself only once the WAL has 1,000 pages."""
        log = self.path.with_name(self.path.name + "-wal")
        before = log.stat().st_size if log.exists() else 0
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return before > 0 and log.stat().st_size < before

    def close(self) -> None:
        """Close; SQLite moves the WAL into the file where it can."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()


def _marks(names: list[str]) -> str:
    return ", ".join("?" * len(names))


def _row(item: tuple[Any, ...]) -> Row:
    fields = dict(zip(_NAMES, item, strict=True))
    fields["kind"] = "gap" if fields["kind"] == "gap" else "event"
    fields["clock_synced"] = bool(fields["clock_synced"])
    fields["payload"] = bytes(fields["payload"])
    return Row(**fields)
