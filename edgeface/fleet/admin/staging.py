"""Make the next manifest with all that belongs to it, in one transaction of the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from edgeface.base.errors import EdgefaceError, GalleryError
from edgeface.fleet.admin.ledger import SendStage, keys_text
from edgeface.fleet.admin.master import Draft, Master, content_digest
from edgeface.fleet.admin.site import DAY_S, KeySet, key_file, load_encryption_key
from edgeface.fleet.protocol.bucket import BUCKETS, bucket_number, encode_bucket
from edgeface.fleet.protocol.framing import digest_of
from edgeface.fleet.protocol.manifest import NOBODY, encode_manifest
from edgeface.fleet.protocol.payload import Payload
from edgeface.fleet.protocol.record import encode_record, encode_tombstone
from edgeface.fleet.protocol.terms import Version
from edgeface.security.keys import SigningKey, VerifyingKey


class PublishingKeys(NamedTuple):
    """What is needed to make a manifest and its records."""

    signer: SigningKey
    """The administrator's."""
    freshness: VerifyingKey
    encryption: bytes


def load_publishing_keys(folder: Path, keys: KeySet, passphrase: bytes) -> PublishingKeys:
    """From the site's folder of keys. Raises StateError or GalleryError."""
    signer = SigningKey.load(key_file(folder, "administrator", keys.signing), passphrase)
    freshness = SigningKey.load(key_file(folder, "freshness", keys.freshness))
    return PublishingKeys(signer, freshness.public, load_encryption_key(folder, keys.encryption))


def stage(master: Master, draft: Draft, keys: PublishingKeys, now_s: int) -> None:
    """The next revision of the same epoch.

    Raises GalleryError for what cannot be encoded; nothing has changed then.
    """
    with _next_manifest(master, keys, now_s) as work:
        work.apply((change.person_id, change.payload) for change in draft.changes)
        looked_at = [change.person_id for change in draft.changes] + [*draft.unchanged]
        work.connection.executemany(
            "DELETE FROM touched WHERE person_id = ?", [(person_id,) for person_id in looked_at]
        )


def stage_rekey(master: Master, keys: PublishingKeys, next_keys: KeySet, now_s: int) -> None:
    """The next epoch: every record, tombstone and manifest anew, under other keys.

    Raises GalleryError for what cannot be encoded, and as `Master.check`; nothing has changed then.
    """
    master.check()
    with _next_manifest(master, keys, now_s, epochs=1) as work:
        work.apply(_everything(master))
        for row in master.ledger.tombstones():
            work.bury(row.person_id, row.removed_s)
        work.connection.execute("DELETE FROM touched")
        work.connection.execute(
            "UPDATE state SET old_keys = keys, keys = ?, next_keys = NULL", (keys_text(next_keys),)
        )


@contextmanager
def _next_manifest(
    master: Master, keys: PublishingKeys, now_s: int, *, epochs: int = 0
) -> Iterator[_Work]:
    """One transaction of the ledger: what belongs to the manifest is made in the block, buckets and
    manifest at its end."""
    state = master.ledger.state()
    version = Version(state.version.epoch + epochs, state.version.revision + 1)
    try:
        with master.ledger.change() as connection:
            work = _Work(master, connection, keys, version, now_s)
            yield work
            # One that was never sent is replaced: the broker's is still the one before it.
            unsent = bool(master.ledger.outgoing(SendStage.MANIFEST))
            work.finish(state.base if unsent else state.digest)
    except EdgefaceError:
        raise
    except ValueError as error:  # a codec's, which names the person
        raise GalleryError(str(error)) from error


class _Work:
    """One transaction that makes one manifest."""

    def __init__(
        self,
        master: Master,
        connection: sqlite3.Connection,
        keys: PublishingKeys,
        version: Version,
        now_s: int,
    ) -> None:
        self._master = master
        self._ledger = master.ledger
        self._site = master.folder.site
        self.connection = connection
        self._keys = keys
        self._version = version
        self._now_s = now_s
        self._buckets: set[int] = set()

    def apply(self, wanted: Iterable[tuple[str, Payload | None]]) -> None:
        """Make the records, and tombstones of those who have no payload."""
        for person_id, payload in wanted:
            self._buckets.add(bucket_number(person_id))
            if payload is None:
                self.connection.execute("DELETE FROM people WHERE person_id = ?", (person_id,))
                self.bury(person_id, self._now_s)
            else:
                self._put(person_id, payload)

    def bury(self, person_id: str, removed_s: int) -> None:
        """Make a tombstone."""
        wire = encode_tombstone(
            site=self._site, person_id=person_id, version=self._version, signer=self._keys.signer
        )
        # A new demand: what devices confirmed before does not count for it.
        self.connection.execute("DELETE FROM tombstones WHERE person_id = ?", (person_id,))
        self.connection.execute(
            "INSERT INTO tombstones VALUES (?, ?, ?, ?, ?)",
            (person_id, *self._version, removed_s, wire),
        )
        self._send("person", person_id, SendStage.RECORDS)

    def finish(self, base: bytes | None) -> None:
        """Make buckets and manifest; `base` is the digest of the manifest before."""
        for number in sorted(self._buckets):
            self._make_bucket(number)
        digests = self._ledger.bucket_digests()
        wire = encode_manifest(
            site=self._site,
            version=self._version,
            issued_s=self._now_s,
            expires_s=self._now_s + self._master.folder.settings.manifest_days * DAY_S,
            count=self._ledger.count(),
            spaces=self._ledger.spaces(),
            buckets=[digests.get(number, NOBODY) for number in range(BUCKETS)],
            freshness_key=self._keys.freshness,
            signer=self._keys.signer,
        )
        self.connection.execute(
            "UPDATE state SET epoch = ?, revision = ?, manifest = ?, base = ?",
            (*self._version, wire, base),
        )
        self._send("manifest", "", SendStage.MANIFEST)
        self._send("freshness", "", SendStage.FRESHNESS)

    def _put(self, person_id: str, payload: Payload) -> None:
        wire = encode_record(
            payload,
            site=self._site,
            person_id=person_id,
            version=self._version,
            encryption_key=self._keys.encryption,
            signer=self._keys.signer,
        )
        self.connection.execute("DELETE FROM tombstones WHERE person_id = ?", (person_id,))
        self.connection.execute(
            "INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                person_id,
                bucket_number(person_id),
                self._version.revision,
                digest_of(wire),
                content_digest(payload),
                ",".join(sorted(payload.templates)),
                wire,
            ),
        )
        self._send("person", person_id, SendStage.RECORDS)

    def _make_bucket(self, number: int) -> None:
        entries = self._ledger.entries(number)
        if not entries:
            self.connection.execute("DELETE FROM buckets WHERE number = ?", (number,))
            self._send("bucket", str(number), SendStage.CLEARING)
            return
        wire = encode_bucket(self._site, number, entries)
        self.connection.execute(
            "INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)", (number, digest_of(wire), wire)
        )
        self._send("bucket", str(number), SendStage.BUCKETS)

    def _send(self, kind: str, name: str, stage: SendStage) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO outgoing VALUES (?, ?, ?)", (kind, name, stage)
        )


def _everything(master: Master) -> Iterator[tuple[str, Payload | None]]:
    """Everybody as the master has them, and the removals that are not published yet."""
    for person_id in sorted({*master.store.ids(), *master.ledger.published()}):
        payload = master.payload(person_id)
        if payload is not None and payload.templates:
            yield person_id, payload
        elif master.ledger.content_of(person_id) is not None:
            yield person_id, None
