"""The outbox on disk: one SQLite file in WAL mode with `synchronous=FULL`, used by one thread.

A committed row survives kill -9 and power loss (https://www.sqlite.org/pragma.html#pragma_synchronous).
The file is locked exclusively: a second daemon on the same state folder is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from edgeface.base import sqlite_file
from edgeface.base.errors import ContractError, StateError
from edgeface.base.files import touch_private
from edgeface.contract import codec
from edgeface.contract.event import DroppedRange
from edgeface.outbox.counted import NOBODY, Counted, digest_of
from edgeface.outbox.rows import Row

MAX_DEAD_LETTERS: Final = 1_000

LOCK_TIMEOUT_S: Final = 2.0
_EVENT: Final = """CREATE TABLE event (
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
    payload BLOB NOT NULL{more}
)"""
_GAPS: Final = """CREATE TABLE gap (
    session TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    reason TEXT NOT NULL{more}
)"""
STEPS: Final[sqlite_file.Steps] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        _EVENT.format(more=""),
        _GAPS.format(more=""),
        """CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    utc_ns INTEGER NOT NULL,
    reason TEXT NOT NULL,
    payload BLOB NOT NULL
)""",
    ),
    (
        "DROP TABLE event",
        "DROP TABLE gap",
        # Of the row as it was committed: of its name alone, then of all of it.
        _EVENT.format(more=",\n    name_digest BLOB NOT NULL,\n    digest BLOB NOT NULL"),
        _GAPS.format(more=",\n    digest BLOB NOT NULL"),
    ),
)
"""Released entries are never edited; `_upgrade` carries the rows of the first format over."""
_NAMES: Final = [field.name for field in dataclasses.fields(Row)]
_COLUMNS: Final = ", ".join(_NAMES)
_CHECKED: Final = f"id, {_COLUMNS}, name_digest, digest"
_GAP: Final = [field.name for field in dataclasses.fields(DroppedRange)]


class BrokenFileError(StateError):
    """Raised when the file is no outbox of this version and has to be set aside."""


def fault_of(error: Exception) -> str:
    """A short name for what went wrong."""
    if isinstance(error, BrokenFileError):
        return "corrupt"
    if isinstance(error, StateError):
        return "locked"
    return sqlite_file.fault_in(error) if isinstance(error, sqlite_file.UNUSABLE) else "cannot_open"


class OutboxFile:
    """The tables. Every method may raise one of `UNUSABLE`; nothing changes outside a transaction.

    `count`, `size` and `pending` are what is in the file, as known without looking: they are there
    also when it breaks.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file (mode 0600).

        Raises StateError when another process has it, and BrokenFileError, one of `UNUSABLE` or
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
        self.spoiled: dict[int, tuple[DroppedRange | None, ...]] = {}
        """Rows that are not as they were committed, by their ids, until `purge`: what is lost with
        them; None stands for what nobody knows."""
        self.new = False
        """Whether there was no file before."""
        self.short = False
        """Whether fewer events wait than were committed."""
        self.unknown = False
        """Whether more was lost than any range says, until a gap event tells it; kept with the next
        transaction."""
        self.counted: Counted | None = None
        """Who wrote last and how far it has counted, `NOBODY` where nobody has; None in a file that
        was not there, and when it is damaged. Kept with the transaction in which it is set."""
        touch_private(path)
        self._db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None)
        self._db.text_factory = sqlite_file.TEXT
        try:
            self._prepare()
        except (*sqlite_file.UNUSABLE, BrokenFileError) as error:
            self._db.close()
            match fault_of(error):
                case "locked":
                    raise StateError(
                        f"{path}: in use by another process; is edgeface running already?"
                    ) from error
                case "read_only" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
                    # It is the file's own head that says so.
                    raise BrokenFileError(f"{path}: {error}") from error
            raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN IMMEDIATE")
        version = sqlite_file.version_of(self._db, STEPS)
        if version is None or version > len(STEPS):
            raise BrokenFileError(f"{self.path}: no outbox of this version of edgeface")
        if version < len(STEPS):
            self._upgrade(version)
            self._db.execute("COMMIT")
        else:  # a file whose head says that it is read-only says so at the first write alone
            self._db.execute(f"PRAGMA user_version = {version}")
            self._db.execute("ROLLBACK")
        if self._verdict("integrity_check") != "ok":
            if (verdict := self._verdict("quick_check")) != "ok":
                raise BrokenFileError(f"{self.path}: {verdict}")
            self._db.execute("REINDEX event")  # no row is damaged for it, but one cannot be deleted
        self.count, self.size = self._db.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0) FROM event"
        ).fetchone()
        found = self._db.execute(
            "SELECT session, min(seq), max(seq) FROM event GROUP BY session ORDER BY min(id)"
        )
        self.pending = {session: (first, last) for session, first, last in found}
        self._read_meta()
        # The tables' own pages have to be in the file for `shrink_log` to work on a full disk.
        with contextlib.suppress(sqlite3.Error):
            self.shrink_log()

    def _verdict(self, check: str) -> str:
        return str(self._db.execute(f"PRAGMA {check}(1)").fetchone()[0])

    def _upgrade(self, version: int) -> None:
        self.new = version == 0
        rows: list[Row] = []
        ranges: list[DroppedRange] = []
        if version == 1:
            query = f"SELECT {_COLUMNS} FROM event ORDER BY id"  # noqa: S608
            rows = [_row(item) for item in self._db.execute(query) if isinstance(item[-1], bytes)]
            for item in self._db.execute(f"SELECT {', '.join(_GAP)} FROM gap"):  # noqa: S608
                with contextlib.suppress(ContractError):
                    ranges.append(_range(item))
        sqlite_file.migrate(self._db, STEPS, version)
        if version == 1:
            self.add(rows)
            self.set_gaps(ranges)
            meta = dict(self._db.execute("SELECT key, value FROM meta"))
            with contextlib.suppress(KeyError, ValueError, TypeError):
                self.counted = Counted(meta["session"], int(meta["last_seq"]))
                self._write_meta(len(rows))

    def _read_meta(self) -> None:
        """What can no longer be what was written counts as not there: SQLite does not notice a bit
        that has flipped inside a value."""
        meta = dict(self._db.execute("SELECT key, value FROM meta"))
        self.counted = None if meta or self.new else NOBODY
        with contextlib.suppress(KeyError, ValueError, TypeError):  # ContractError is a ValueError
            found = Counted(meta["session"], int(meta["last_seq"]), int(meta["life"]))
            waiting, unknown = int(meta["waiting"]), int(meta["unknown"])
            if _meta_digest(found, waiting, unknown) == meta["digest"] and found.previous:
                self.counted, self.short = found, self.count < waiting
                self.unknown = bool(unknown)

    def _write_meta(self, waiting: int) -> None:
        if (found := self.counted) in (None, NOBODY):
            return
        self._db.execute("DELETE FROM meta")  # with what the table no longer finds by its key
        self._db.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [
                ("session", found.session),
                ("last_seq", str(found.last_seq)),
                ("life", str(found.life)),
                ("waiting", str(waiting)),
                ("unknown", str(int(self.unknown))),
                ("digest", _meta_digest(found, waiting, self.unknown)),
            ],
        )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it ends."""
        self._db.execute("BEGIN IMMEDIATE")
        before = self.count, self.size, dict(self.pending), self.counted, dict(self.spoiled)
        try:
            yield
            self._write_meta(self.count)
            self._db.execute("COMMIT")
        except BaseException:
            self.count, self.size, self.pending, self.counted, self.spoiled = before
            sqlite_file.roll_back(self._db)
            raise
        if self.count == 0:
            self.pending.clear()

    def add(self, rows: Sequence[Row]) -> None:
        """Store events, in order."""
        self._db.executemany(
            f"INSERT INTO event ({_COLUMNS}, name_digest, digest)"  # noqa: S608
            f" VALUES ({_marks(_NAMES)}, ?, ?)",
            (_sealed(row) for row in rows),
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

    def _first(self, where: str, *values: Any) -> list[Row]:
        """Without any that is not as it was committed, which are noted."""
        *found, limit = values
        query = f"SELECT {_CHECKED} FROM event {where} ORDER BY id LIMIT ?"  # noqa: S608
        while True:
            known, rows = len(self.spoiled), []
            for number, *item in self._db.execute(query, (*found, limit + known)):
                if number in self.spoiled:
                    continue
                row = _opened(item)
                if row is None:
                    self.spoiled[number] = _lost_with(item)
                else:
                    rows.append(row)
            if len(self.spoiled) == known:
                return rows[:limit]

    def pending_ranges(self) -> list[DroppedRange]:
        """What is lost with the file, as far as it can be what a session was."""
        ranges = []
        for session, (first, last) in self.pending.items():
            with contextlib.suppress(ContractError, TypeError):
                ranges.append(_range((session, first, last, last - first + 1, "corrupt")))
        return ranges

    def purge(self) -> list[DroppedRange | None]:
        """Delete what is not as it was committed, within a transaction; what is lost with it."""
        lost = [item for items in self.spoiled.values() for item in items]
        for number in self.spoiled:
            found = self._db.execute(
                "DELETE FROM event WHERE id = ? RETURNING length(payload)", (number,)
            ).fetchone()
            if found is not None:
                self.count, self.size = self.count - 1, self.size - found[0]
        self.spoiled = {}
        return lost

    def gaps(self) -> tuple[list[DroppedRange], bool]:
        """Dropped ranges that no gap event has announced, and whether all of them are as they were
        committed."""
        found: list[DroppedRange | None] = []
        for *item, digest in self._db.execute(
            f"SELECT {', '.join(_GAP)}, digest FROM gap"  # noqa: S608
        ):
            found.append(_range(item) if digest_of(*item) == digest else None)
        return [item for item in found if item is not None], None not in found

    def set_gaps(self, ranges: Iterable[DroppedRange]) -> None:
        """Replace them."""
        self._db.execute("DELETE FROM gap")
        self._db.executemany(
            f"INSERT INTO gap VALUES ({_marks(_GAP)}, ?)",  # noqa: S608
            ((*item, digest_of(*item)) for item in map(attrgetter(*_GAP), ranges)),
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


def _row(item: Iterable[Any]) -> Row:
    fields = dict(zip(_NAMES, item, strict=True))
    fields["kind"] = "gap" if fields["kind"] == "gap" else "event"
    fields["clock_synced"] = bool(fields["clock_synced"])
    fields["payload"] = bytes(fields["payload"])
    return Row(**fields)


def _sealed(row: Row) -> tuple[object, ...]:
    """All columns; what is read from them is what was digested."""
    values = [
        int(value) if isinstance(value, bool) else value for value in attrgetter(*_NAMES)(row)
    ]
    return (*values, digest_of(row.session, row.seq), digest_of(*values))


def _opened(item: Sequence[Any]) -> Row | None:
    """The row, when it is as it was committed."""
    *values, _, digest = item
    return _row(values) if digest_of(*values) == digest else None


def _lost_with(item: Sequence[Any]) -> tuple[DroppedRange | None, ...]:
    """Which event a damaged row was, by its columns, or else by what lies in the payload; with a
    gap event, also what it was to announce."""
    fields = dict(zip([*_NAMES, "name_digest", "digest"], item, strict=True))
    session, seq = fields["session"], fields["seq"]
    more = () if fields["kind"] == "event" else (None,)
    with contextlib.suppress(ContractError, TypeError):
        if digest_of(session, seq) != fields["name_digest"]:
            found = codec.load(fields["payload"])
            session, seq = found.get("session"), found.get("seq")
        return (_range((session, seq, seq, 1, "corrupt")), *more)
    return (None,)


def _range(item: Iterable[Any]) -> DroppedRange:
    """Raises ContractError for one that cannot be."""
    return codec.from_mapping(DroppedRange, dict(zip(_GAP, item, strict=True)))


def _meta_digest(counted: Counted, waiting: int, unknown: int) -> str:
    return digest_of(counted.session, counted.last_seq, counted.life, waiting, int(unknown)).hex()
