"""The ledger: what has been published, byte for byte, and what the broker has not acknowledged.

A new manifest with all that belongs to it is staged in one transaction; sending then works off the
table `outgoing`, so that a publish that was interrupted anywhere is finished by the next one.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

from edgeface.base.sqlite_file import roll_back
from edgeface.contract import codec
from edgeface.fleet.admin.ledger_file import connect, explained
from edgeface.fleet.admin.site import KeySet
from edgeface.fleet.protocol.bucket import Entry
from edgeface.fleet.protocol.floor import Floor
from edgeface.fleet.protocol.framing import digest_of
from edgeface.fleet.protocol.terms import Version


class SendStage(IntEnum):
    """The order of sending; each is acknowledged before the next one begins."""

    RECORDS = 0
    BUCKETS = 1
    MANIFEST = 2
    FRESHNESS = 3
    CLEARING = 4
    """Empty retained messages on topics that nobody needs any more."""


class Outgoing(NamedTuple):
    """A message to be sent."""

    kind: str
    """`person`, `bucket`, `manifest` or `freshness`."""
    name: str
    """Person id, number of the bucket, or empty."""
    stage: SendStage


class TombstoneRow(NamedTuple):
    """Somebody who was removed and whose topic has not been cleared."""

    person_id: str
    version: Version
    removed_s: int
    """UTC epoch seconds."""
    confirmed: frozenset[str]
    """Devices that said that they have erased the person."""


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The one row."""

    version: Version
    """Of the newest manifest made."""
    manifest: bytes | None
    """Its wire bytes."""
    base: bytes | None
    """Digest of the manifest it grew from."""
    floor: Floor
    """The newest manifest that the broker has acknowledged."""
    keys: KeySet
    next_keys: KeySet | None
    old_keys: KeySet | None

    @property
    def all_keys(self) -> tuple[KeySet, ...]:
        """What devices are to accept now: the old, the present and the next keys."""
        sets = (self.old_keys, self.keys, self.next_keys)
        return tuple(keys for keys in sets if keys is not None)

    @property
    def digest(self) -> bytes | None:
        """Of the newest manifest made."""
        return None if self.manifest is None else digest_of(self.manifest)


class Ledger:
    """The file of one site. Used by one thread."""

    def __init__(self, path: Path) -> None:
        """Open an existing ledger. Raises StateError."""
        self.path = path
        self._connection = connect(path, create=False)

    @classmethod
    def create(cls, path: Path, keys: KeySet) -> Self:
        """A new one, before the first publish. Raises StateError."""
        connection = connect(path, create=True)
        with explained(path):
            connection.execute(
                "INSERT INTO state VALUES (1, 1, 0, NULL, NULL, ?, ?, NULL, NULL)",
                (codec.to_json(Floor()).decode(), keys_text(keys)),
            )
        connection.close()
        return cls(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; safe to call twice."""
        self._connection.close()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                roll_back(self._connection)
                raise

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with explained(self.path):
            return self._connection.execute(query, parameters).fetchall()

    def state(self) -> LedgerState:
        """Where the gallery stands."""
        query = (
            "SELECT epoch, revision, manifest, base, floor, keys, next_keys, old_keys FROM state"
        )
        ((epoch, revision, manifest, base, floor, *texts),) = self.rows(query)
        keys, next_keys, old_keys = map(_keys, texts)
        assert keys is not None
        known = codec.from_json(Floor, floor.encode())
        return LedgerState(
            Version(epoch, revision), manifest, base, known, keys, next_keys, old_keys
        )

    def set_next_keys(self, keys: KeySet | None) -> None:
        """Remember the keys that the next rekey begins to use."""
        with self.change() as connection:
            connection.execute("UPDATE state SET next_keys = ?", (keys_text(keys),))

    def forget_old_keys(self) -> None:
        """The keys before the last rekey are gone."""
        with self.change() as connection:
            connection.execute("UPDATE state SET old_keys = NULL")

    def touch(self, people: Iterable[str]) -> None:
        """Note, before the gallery is changed, who may have to be published."""
        with self.change() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO touched VALUES (?)", [(person_id,) for person_id in people]
            )

    def touched(self) -> tuple[str, ...]:
        """Who may have to be published, sorted."""
        rows = self.rows("SELECT person_id FROM touched ORDER BY person_id")
        return tuple(str(row[0]) for row in rows)

    def published(self) -> tuple[str, ...]:
        """Ids of everybody in the newest manifest made, sorted."""
        rows = self.rows("SELECT person_id FROM people ORDER BY person_id")
        return tuple(str(row[0]) for row in rows)

    def content_of(self, person_id: str) -> bytes | None:
        """Digest of what was published of somebody; None when it is nothing."""
        rows = self.rows("SELECT content FROM people WHERE person_id = ?", person_id)
        return bytes(rows[0][0]) if rows else None

    def entries(self, bucket: int) -> list[Entry]:
        """Who is in a bucket."""
        query = "SELECT person_id, revision, digest FROM people WHERE bucket = ? ORDER BY person_id"
        return [Entry(*row) for row in self.rows(query, bucket)]

    def bucket_digests(self) -> dict[int, bytes]:
        """Of the buckets that somebody is in."""
        return dict(self.rows("SELECT number, digest FROM buckets"))

    def spaces(self) -> dict[str, int]:
        """Space id -> how many people have published templates in it."""
        found: Counter[str] = Counter()
        for text, count in self.rows("SELECT spaces, count(*) FROM people GROUP BY spaces"):
            found.update(dict.fromkeys(text.split(","), count))
        return found

    def count(self) -> int:
        """People in the newest manifest made."""
        return int(self.rows("SELECT count(*) FROM people")[0][0])

    def outgoing(self, stage: SendStage | None = None) -> list[Outgoing]:
        """What the broker has not acknowledged, in the order of sending."""
        query = (
            "SELECT kind, name, stage FROM outgoing WHERE ?1 IS NULL OR stage = ?1"
            " ORDER BY stage, kind, name"
        )
        rows = self.rows(query, stage)
        return [Outgoing(kind, name, SendStage(number)) for kind, name, number in rows]

    def send_again(self) -> None:
        """Stage every record, tombstone and bucket, and the manifest, for a broker that lost
        them."""
        with self.change() as connection:
            for statement in (
                "INSERT OR REPLACE INTO outgoing SELECT 'person', person_id, 0 FROM people",
                "INSERT OR REPLACE INTO outgoing SELECT 'person', person_id, 0 FROM tombstones",
                "INSERT OR REPLACE INTO outgoing SELECT 'bucket', number, 1 FROM buckets",
                "INSERT OR REPLACE INTO outgoing VALUES ('manifest', '', 2), ('freshness', '', 3)",
            ):
                connection.execute(statement)

    def stage_freshness(self) -> None:
        """Have a freshness message sent."""
        with self.change() as connection:
            connection.execute("INSERT OR REPLACE INTO outgoing VALUES ('freshness', '', 3)")

    def payload(self, item: Outgoing) -> bytes:
        """The wire bytes of a record, tombstone, bucket or the manifest; empty for clearing."""
        if item.stage is SendStage.CLEARING:
            return b""
        queries = {
            "person": "SELECT wire FROM people WHERE person_id = ?1"
            " UNION ALL SELECT wire FROM tombstones WHERE person_id = ?1",
            "bucket": "SELECT wire FROM buckets WHERE number = ?1",
            "manifest": "SELECT manifest FROM state WHERE ?1 = ''",
        }
        return bytes(self.rows(queries[item.kind], item.name)[0][0])

    def acknowledged(self, items: Iterable[Outgoing], floor: Floor | None = None) -> None:
        """The broker has these; `floor` when the manifest is one of them."""
        with self.change() as connection:
            for item in items:
                connection.execute(
                    "DELETE FROM outgoing WHERE kind = ? AND name = ? AND stage = ?", item
                )
                if item.stage is SendStage.CLEARING and item.kind == "person":
                    connection.execute("DELETE FROM tombstones WHERE person_id = ?", (item.name,))
            if floor is not None:
                connection.execute("UPDATE state SET floor = ?", (codec.to_json(floor).decode(),))

    def tombstones(self) -> tuple[TombstoneRow, ...]:
        """Those whose topics have not been cleared, by person id."""
        confirmed: defaultdict[str, set[str]] = defaultdict(set)
        for person_id, device in self.rows("SELECT person_id, device FROM confirmed"):
            confirmed[person_id].add(device)
        query = "SELECT person_id, epoch, revision, removed_s FROM tombstones ORDER BY person_id"
        return tuple(
            TombstoneRow(person_id, Version(*number), removed_s, frozenset(confirmed[person_id]))
            for person_id, *number, removed_s in self.rows(query)
        )

    def confirm(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Note (person, device): the device has said that the person is erased."""
        with self.change() as connection:
            connection.executemany("INSERT OR IGNORE INTO confirmed VALUES (?, ?)", list(pairs))

    def clear_tombstones(self, people: Iterable[str]) -> None:
        """Have the topics of these removed people cleared."""
        with self.change() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO outgoing VALUES ('person', ?, ?)",
                [(person_id, SendStage.CLEARING) for person_id in people],
            )

    def note_freshness(self, version: Version, digest: bytes, expires_s: int) -> None:
        """A freshness message for this manifest is about to be sent."""
        with self.change() as connection:
            connection.execute(
                "INSERT INTO freshness VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET expires_s = max(expires_s, excluded.expires_s)",
                (*version, digest, expires_s),
            )

    def version_of(self, digest: bytes) -> Version | None:
        """Which of the manifests published so far has this digest."""
        rows = self.rows("SELECT epoch, revision FROM freshness WHERE digest = ?", digest)
        return Version(*rows[0]) if rows else None

    def fresh_until(self, version: Version) -> int | None:
        """UTC epoch seconds at which the last freshness made for a manifest expires."""
        query = "SELECT expires_s FROM freshness WHERE epoch = ? AND revision = ?"
        rows = self.rows(query, *version)
        return int(rows[0][0]) if rows else None

    def fresh_before(self, version: Version) -> int | None:
        """UTC epoch seconds at which the last freshness of any earlier manifest expires."""
        rows = self.rows(
            "SELECT max(expires_s) FROM freshness WHERE (epoch, revision) < (?, ?)", *version
        )
        return None if rows[0][0] is None else int(rows[0][0])


def keys_text(keys: KeySet | None) -> str | None:
    """As kept in the row."""
    return None if keys is None else json.dumps(dataclasses.asdict(keys))


def _keys(text: str | None) -> KeySet | None:
    return None if text is None else KeySet(**json.loads(text))
