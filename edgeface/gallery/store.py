"""The people a device knows, in one encrypted SQLite file.

Any number of processes may read; one writes at a time (`BEGIN IMMEDIATE`, the others wait for
`busy_timeout_s`). A change is one transaction: all of it or nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edgeface.base.errors import ClosedError, GalleryError, StateError
from edgeface.base.sqlite_file import roll_back
from edgeface.gallery.change import Change
from edgeface.gallery.cipher import DamagedRowError, RowCipher
from edgeface.gallery.database import connect, connect_read_only, damaged, explained, takes_nothing
from edgeface.gallery.index_rows import IndexRows
from edgeface.gallery.person import (
    Person,
    StoredTemplate,
    decode_person,
    decode_templates,
    packed_templates,
)
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.templates import DIMENSIONS

_KEY_CHECK = b"edgeface"


@dataclass(frozen=True, slots=True)
class Position:
    """Where the gallery stands."""

    epoch: int
    revision: int
    changes: int
    """Committed changes since the file was made; also counts those that share a revision."""


class GalleryStore:
    """The gallery file at `path`, opened (and made where absent) with `key`.

    `key` is 32 bytes, or None for a gallery that is not encrypted. May be handed from thread to
    thread; calls are serialized. With `bear` a disk that takes nothing more is borne: what is there
    is read (`read_only` says why) until it can be written to again. Raises GalleryCorruptError for
    a damaged file (see `database.set_aside`), GalleryError for a wrong key or a foreign file,
    StateError when the file cannot be used.
    """

    def __init__(
        self, path: Path, key: bytes | None, *, busy_timeout_s: float = 5.0, bear: bool = False
    ) -> None:
        self.path = path
        self._cipher = RowCipher(key)
        self._busy_timeout_s = busy_timeout_s
        self._bear = bear
        self.read_only: str | None = None
        """Why nothing can be changed; None as a rule."""
        self._lock = threading.RLock()
        self._open: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._written = 0
        self._rehearses = False
        self.erasure_pending = False
        """Whether something deleted through this object may still be in the WAL file."""
        self._connect()

    def __repr__(self) -> str:
        return f"<GalleryStore {self.path}{' closed' if self._open is None else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; safe to call twice."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def position(self) -> Position:
        """Epoch, revision and count of changes."""
        with self.reading() as connection:
            return self._position(connection)

    def stamp(self) -> tuple[int, ...]:
        """A cheap value that differs after any process has changed the gallery (also by replacing
        the file). Equal stamps mean nothing changed; unequal ones that it is worth reading
        `position()`. A file that is gone for the moment counts as unchanged."""
        with self._lock, explained(self.path):
            connection = self._connection()
            if self._replaced() or self.read_only is not None:
                connection = self._reconnect()
            seen = int(connection.execute("PRAGMA data_version").fetchone()[0])
            return (*self._file, seen, self._written)

    def count(self) -> int:
        """Number of people."""
        with self.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM people").fetchone()[0])

    def __contains__(self, person_id: object) -> bool:
        with self.reading() as connection:
            query = "SELECT 1 FROM people WHERE person_id = ?"
            return connection.execute(query, (person_id,)).fetchone() is not None

    def ids(self) -> tuple[str, ...]:
        """All person ids, sorted."""
        with self.reading() as connection:
            query = "SELECT person_id FROM people ORDER BY person_id"
            return tuple(row[0] for row in connection.execute(query))

    def person(self, person_id: str) -> Person | None:
        """The person, or None; raises DamagedRowError when the row does not open."""
        with self.reading() as connection:
            query = "SELECT body FROM people WHERE person_id = ?"
            row = connection.execute(query, (person_id,)).fetchone()
        if row is None:
            return None
        return decode_person(person_id, self._cipher.open(row[0], "people", person_id))

    def templates(self, person_id: str, space: str) -> tuple[StoredTemplate, ...]:
        """The person's templates in `space`, oldest first; raises DamagedRowError."""
        with self.reading() as connection:
            query = (
                "SELECT body FROM templates JOIN spaces ON templates.space = spaces.number"
                " WHERE person_id = ? AND spaces.space = ?"
            )
            row = connection.execute(query, (person_id, space)).fetchone()
        if row is None:
            return ()
        return decode_templates(self._cipher.open(row[0], "templates", person_id, space))

    def spaces(self, person_id: str | None = None) -> dict[str, int]:
        """Space id -> number of templates, of one person or of all."""
        with self.reading() as connection:
            query = (
                "SELECT spaces.space, sum(count) FROM templates"
                " JOIN spaces ON templates.space = spaces.number{which}"
                " GROUP BY spaces.space ORDER BY spaces.space"
            )
            # Two queries: one with `?1 IS NULL OR person_id = ?1` reads the whole table each time.
            which, wanted = (
                ("", ()) if person_id is None else (" WHERE person_id = ?", (person_id,))
            )
            rows = connection.execute(query.format(which=which), wanted)
            return {space: int(count) for space, count in rows}

    def load(
        self, space: str, dimensions: int | None = None
    ) -> tuple[GalleryIndex, tuple[str, ...]]:
        """The index of all people with templates in `space`, read in one transaction, and the ids
        of those who are left out: a row of theirs does not open, or their templates have not the
        `dimensions` of the space's embedder (None: those that most people's have)."""
        rows: dict[int, IndexRows] = {}
        unreadable: list[str] = []
        with self.reading() as connection:
            position = self._position(connection)
            query = (
                "SELECT person_id, people.body, templates.body FROM templates"
                " JOIN people USING (person_id)"
                " WHERE templates.space = (SELECT number FROM spaces WHERE space = ?)"
                " ORDER BY person_id"
            )
            for person_id, body, sealed in connection.execute(query, (space,)):
                try:
                    person = decode_person(person_id, self._cipher.open(body, "people", person_id))
                    content = self._cipher.open(sealed, "templates", person_id, space)
                    packed = packed_templates(content)
                except GalleryError:
                    unreadable.append(person_id)
                    continue
                width = packed["codes"].shape[1]
                rows.setdefault(width, IndexRows(width)).add(person, packed)
        if dimensions is None:
            dimensions = max(rows, key=lambda width: len(rows[width].ids), default=DIMENSIONS)
        found = rows.pop(dimensions, None) or IndexRows(dimensions)
        unreadable += [person_id for others in rows.values() for person_id in others.ids]
        index = found.index(space, position.epoch, position.revision)
        return index, tuple(sorted(unreadable))

    @contextmanager
    def change(self) -> Iterator[Change]:
        """One transaction. Committed, counted and (where it deleted or overwrote anything) scrubbed
        when the block ends, rolled back when it raises. Blocks other writers meanwhile."""
        with self._lock, explained(self.path):
            connection = self._connection() if self.read_only is None else self._reconnect()
            if self.read_only is not None:
                raise StateError(self.read_only)
            if self._rehearses:
                with self._rehearsed_change(connection) as change:
                    yield change
                return
            connection.execute("BEGIN IMMEDIATE")
            change = Change(connection, self._cipher)
            try:
                yield change
                change.finish()
                connection.execute("COMMIT")
            except BaseException:
                roll_back(connection)
                raise
            self._written += 1
            if change.erased:
                self.scrub()

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Changes made within are seen within, and taken back when the block ends. Blocks other
        writers meanwhile."""
        with self._lock, explained(self.path):
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            self._rehearses = True
            try:
                yield
            finally:
                self._rehearses = False
                roll_back(connection)

    @contextmanager
    def _rehearsed_change(self, connection: sqlite3.Connection) -> Iterator[Change]:
        connection.execute("SAVEPOINT rehearsed")
        change = Change(connection, self._cipher)
        try:
            yield change
            change.finish()
        except BaseException:
            connection.execute("ROLLBACK TO rehearsed")
            raise
        finally:
            connection.execute("RELEASE rehearsed")

    def scrub(self) -> bool:
        """Move the WAL into the database and truncate it, so that nothing deleted is left in it.

        Returns False when a reader of another process kept it from being finished in time; the next
        scrub of any process finishes it.
        """
        with self._lock, explained(self.path):
            try:
                busy = self._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (
                    sqlite3.SQLITE_BUSY,
                    sqlite3.SQLITE_LOCKED,
                ):
                    raise
                busy = 1
            self.erasure_pending = bool(busy)
            return not busy

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view for several queries."""
        with self._lock, explained(self.path):
            connection = self._connection()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                roll_back(connection)

    def _position(self, connection: sqlite3.Connection) -> Position:
        row = connection.execute("SELECT epoch, revision, changes FROM position").fetchone()
        if row is None or not all(isinstance(value, int) for value in row):
            raise damaged(self.path, "the table position")
        return Position(*row)

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            raise ClosedError(f"{self.path}: the gallery is closed")
        return self._open

    def _replaced(self) -> bool:
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False
        return (now.st_dev, now.st_ino) != self._file

    def _reconnect(self) -> sqlite3.Connection:
        before = self._connection()
        if self.read_only is not None:
            before.close()  # it may shut out what comes next
        try:
            self._connect()
        except BaseException:
            if self.read_only is not None:
                self._open = connect_read_only(self.path)
            raise
        before.close()
        return self._connection()

    def _connect(self) -> None:
        try:
            connection, self.read_only = connect(self.path, self._busy_timeout_s), None
        except StateError as error:
            if not self._bear or not takes_nothing(error):
                raise
            connection = connect_read_only(self.path)
            self.read_only = f"{error}; it can only be read until there is room on the disk"
        try:
            with explained(self.path):
                self._check_key(connection)
                if self.read_only is not None:
                    connection.execute("PRAGMA query_only = ON")
            status = self.path.stat()
        except OSError as error:
            connection.close()
            if isinstance(error, StateError):
                raise
            raise StateError(f"{self.path}: cannot use the gallery file: {error}") from error
        except BaseException:
            connection.close()
            raise
        self._open, self._file = connection, (status.st_dev, status.st_ino)

    def _check_key(self, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT key_check FROM position").fetchone()
        if row is None:
            sealed = self._cipher.seal(_KEY_CHECK, "position")
            connection.execute("INSERT OR IGNORE INTO position VALUES (1, 0, 0, 0, ?)", (sealed,))
            row = connection.execute("SELECT key_check FROM position").fetchone()
        try:
            self._cipher.open(row[0], "position")
        except DamagedRowError:
            if self._opens_somebody(connection):  # the key fits; what tells so is damaged itself
                sealed = self._cipher.seal(_KEY_CHECK, "position")
                connection.execute("UPDATE position SET key_check = ?", (sealed,))
                return
            if not self._cipher.encrypts:
                what = "the gallery is encrypted, but no key is used (gallery.encrypt: false)"
            elif _is_plain(row[0]):
                what = "the gallery is not encrypted, but a key is used (gallery.encrypt: true)"
            else:
                what = "the key does not fit this gallery (gallery.key_file)"
            raise GalleryError(
                f"{self.path}: {what}; nothing was changed. Use the setting and key it was made "
                "with, or move the gallery away and enroll again"
            ) from None

    def _opens_somebody(self, connection: sqlite3.Connection) -> bool:
        for person_id, body in connection.execute("SELECT person_id, body FROM people LIMIT 9"):
            with contextlib.suppress(DamagedRowError):
                self._cipher.open(body, "people", person_id)
                return True
        return False


def _is_plain(sealed: bytes) -> bool:
    try:
        RowCipher(None).open(sealed, "position")
    except DamagedRowError:
        return False
    return True
