"""What a device holds of the fleet's gallery: tables of its own in the gallery file.

The rows of `people` and `templates` are the gallery's. For each person there is here the digest of
the record's wire bytes, so that the bucket in the manifest can be compared with what is held
without keeping the record itself: nothing of it is left to be erased elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from edgeface.base.errors import StateError
from edgeface.base.files import sync_folder
from edgeface.base.ids import is_person_id
from edgeface.contract.codec import MAX_INT
from edgeface.contract.gallery_report import MAX_RECEIPTS, Receipt
from edgeface.fleet.protocol.bucket import BUCKETS, Entry, bucket_number, encode_bucket
from edgeface.fleet.protocol.framing import digest_of
from edgeface.fleet.protocol.manifest import DIGEST_BYTES, NOBODY
from edgeface.fleet.protocol.payload import Payload
from edgeface.fleet.protocol.terms import NOTHING, Version
from edgeface.gallery.change import Change
from edgeface.gallery.store import GalleryStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """The manifest that is wholly applied."""

    version: Version = NOTHING
    digest: bytes | None = None


@dataclass(slots=True)
class Batch:
    """What one transaction changes."""

    put: dict[str, tuple[Entry, Payload]] = field(default_factory=dict)
    """Person id -> what takes effect."""
    erase: set[str] = field(default_factory=set)
    """Who is to be forgotten, with a receipt."""
    put_out: set[str] = field(default_factory=set)
    """Whose record was replaced by one that is not to be had; no receipt."""
    manifest: bytes | None = None
    """Wire bytes of the newest one, when it is to be remembered."""
    freshness: bytes | None = None
    """Wire bytes, likewise."""

    def __bool__(self) -> bool:
        return bool(self.put or self.erase or self.put_out or self.manifest or self.freshness)


class FleetTables:
    """The fleet's tables of `store`. Raises what the store raises.

    `breathe` is called between two people, so that other threads get their turn.
    """

    def __init__(self, store: GalleryStore, breathe: Callable[[], None] = lambda: None) -> None:
        self.store: Final = store
        self._breathe = breathe

    def messages(self) -> tuple[bytes | None, bytes | None]:
        """Wire bytes of the newest manifest and the newest freshness."""
        ((manifest, freshness),) = self._rows("SELECT manifest, freshness FROM fleet")
        return manifest, freshness

    def applied(self) -> Applied:
        """What is wholly applied."""
        ((epoch, revision, digest),) = self._rows(
            "SELECT epoch, revision, digest FROM position, fleet"
        )
        return Applied() if digest is None else Applied(Version(epoch, revision), bytes(digest))

    def erased(self) -> Version:
        """Who is absent from this manifest is gone."""
        return Version(*self._rows("SELECT erased_epoch, erased_revision FROM fleet")[0])

    def entries(self, bucket: int) -> dict[str, Entry]:
        """Who is held of a bucket, by id."""
        query = "SELECT person_id, revision, digest FROM fleet_records WHERE bucket = ?"
        return {row[0]: Entry(*row) for row in self._rows(query, bucket)}

    def entry(self, person_id: str) -> Entry | None:
        """One person's record, when it is held."""
        query = "SELECT person_id, revision, digest FROM fleet_records WHERE person_id = ?"
        rows = self._rows(query, person_id)
        return Entry(*rows[0]) if rows else None

    def bucket_digests(self, site: str) -> list[bytes]:
        """What a manifest of exactly the people held would list: 256 digests.

        SQLite does not notice a bit that has flipped inside a value: a row that cannot be, or whose
        person is not there, is dropped, and with it what is held counts for a stranger's.
        """
        buckets: dict[int, list[Entry]] = {}
        wrong: list[str] = []
        query = (
            "SELECT bucket, person_id, revision, digest,"
            " person_id IN (SELECT person_id FROM people)"
            " AND person_id IN (SELECT person_id FROM templates"
            " JOIN spaces ON templates.space = spaces.number) FROM fleet_records"
        )
        for bucket, *values, there in self._rows(query):
            entry = Entry(*values)
            if there and _can_be(bucket, entry):
                buckets.setdefault(bucket, []).append(entry)
            else:
                wrong.append(entry.person_id)
        if wrong:
            _log.error("%d damaged notes of the fleet's records are dropped", len(wrong))
            with self.store.change() as change:
                for person_id in wrong:
                    change.execute("DELETE FROM fleet_records WHERE person_id = ?", (person_id,))
        return [
            digest_of(encode_bucket(site, number, buckets[number])) if number in buckets else NOBODY
            for number in range(BUCKETS)
        ]

    def strangers(self) -> set[str]:
        """People who are in the gallery but came from no record: enrolled here before."""
        query = (
            "SELECT person_id FROM people"
            " WHERE person_id NOT IN (SELECT person_id FROM fleet_records)"
        )
        return {row[0] for row in self._rows(query)}

    def apply(
        self, batch: Batch, applied: Applied, demanded: Version, erased: Version | None
    ) -> None:
        """One transaction. `applied` is wholly applied with it; `demanded` is the manifest that the
        erasures follow from, whose receipts are open until `confirm`; `erased` is what `confirm`
        would note, when there is nothing to confirm."""
        with self.store.change() as change:
            change.set_position(*applied.version)
            change.execute("UPDATE fleet SET digest = ?", (applied.digest,))
            if batch.manifest is not None:
                change.execute("UPDATE fleet SET manifest = ?", (batch.manifest,))
            if batch.freshness is not None:
                change.execute("UPDATE fleet SET freshness = ?", (batch.freshness,))
            if erased is not None:
                change.execute("UPDATE fleet SET erased_epoch = ?, erased_revision = ?", erased)
            for person_id in batch.erase:
                if change.remove(person_id):
                    change.execute(
                        "INSERT OR REPLACE INTO fleet_receipts VALUES (?, ?, ?, NULL)",
                        (person_id, *demanded),
                    )
            for person_id in batch.put_out:
                change.remove(person_id)
            for person_id, (entry, payload) in batch.put.items():
                _put(change, person_id, entry, payload)
                self._breathe()

    def confirm(self, erased: Version, now_s: float) -> bool:
        """Everybody absent from manifest `erased` has been removed: see that nothing of them is
        left in the files, and fill in the receipts. False when a reader of another process still
        holds the write-ahead log; call again."""
        if not self.store.scrub():
            return False
        drop_backups(self.store)
        with self.store.change() as change:
            change.execute(
                "UPDATE fleet_receipts SET erased_s = ? WHERE erased_s IS NULL", (now_s,)
            )
            change.execute("UPDATE fleet SET erased_epoch = ?, erased_revision = ?", erased)
            change.execute(
                "DELETE FROM fleet_receipts WHERE person_id NOT IN (SELECT person_id FROM"
                " fleet_receipts ORDER BY erased_s DESC, person_id LIMIT ?)",
                (MAX_RECEIPTS,),
            )
        return True

    def receipts(self) -> tuple[Receipt, ...]:
        """The newest confirmed erasures."""
        query = (
            "SELECT person_id, epoch, revision, erased_s FROM fleet_receipts"
            " WHERE erased_s IS NOT NULL ORDER BY erased_s DESC, person_id LIMIT ?"
        )
        return tuple(
            Receipt(
                person_id=person_id,
                epoch=epoch,
                revision=revision,
                erased_at=datetime.fromtimestamp(erased_s, UTC),
            )
            for person_id, epoch, revision, erased_s in self._rows(query, MAX_RECEIPTS)
        )

    def open_receipts(self) -> bool:
        """Whether an erasure has not been confirmed."""
        return bool(self._rows("SELECT 1 FROM fleet_receipts WHERE erased_s IS NULL LIMIT 1"))

    def _rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self.store.reading() as connection:
            return connection.execute(query, parameters).fetchall()


def drop_backups(store: GalleryStore) -> None:
    """Delete the damaged galleries that were set aside: the broker has what was in them, and
    people erased since may be in them too. Raises StateError."""
    try:
        found = list(store.path.parent.glob(f"{store.path.name}.corrupt-*"))
        for path in found:
            path.unlink(missing_ok=True)
        if found:
            sync_folder(store.path.parent)
    except OSError as error:
        raise StateError(f"{store.path.parent}: cannot delete old galleries: {error}") from error


def _can_be(bucket: object, entry: Entry) -> bool:
    """Whether a row, of whatever types, may have been written by `_put`."""
    return (
        is_person_id(str(entry.person_id))
        and bucket == bucket_number(entry.person_id)
        and isinstance(entry.revision, int)
        and 1 <= entry.revision <= MAX_INT
        and isinstance(entry.digest, bytes)
        and len(entry.digest) == DIGEST_BYTES
    )


def _put(change: Change, person_id: str, entry: Entry, payload: Payload) -> None:
    change.remove(person_id)
    change.put_person(payload.person(person_id))
    for space, templates in payload.templates.items():
        change.put_templates(person_id, space, templates)
    change.execute(
        "INSERT INTO fleet_records VALUES (?, ?, ?, ?)",
        (person_id, bucket_number(person_id), entry.revision, entry.digest),
    )
    change.execute("DELETE FROM fleet_receipts WHERE person_id = ?", (person_id,))
