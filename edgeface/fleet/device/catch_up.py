"""From what the manifest lists to what the device holds: reading, applying and erasing.

Verified messages come in; the file, the index and the list of what is to be asked for come out.
Used by the replica's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edgeface.fleet.device.comparison import Comparison
from edgeface.fleet.device.early import EarlyMessages
from edgeface.fleet.device.requests import Key, Requests
from edgeface.fleet.device.served_index import ServedIndex
from edgeface.fleet.device.tables import Applied, Batch, FleetTables
from edgeface.fleet.protocol.bucket import Entry, bucket_number, read_bucket
from edgeface.fleet.protocol.framing import digest_of
from edgeface.fleet.protocol.keyring import KeyRing
from edgeface.fleet.protocol.manifest import NOBODY, Manifest
from edgeface.fleet.protocol.record import SignedRecord, Tombstone, open_record
from edgeface.fleet.protocol.refusal import RefusedError
from edgeface.fleet.protocol.version import NOTHING
from edgeface.gallery.store import GalleryStore

BATCH: Final = 64
"""Records of one transaction."""
SCRUB_PAUSE_S: Final = 10.0
"""Between attempts to truncate a write-ahead log that another process reads."""


class CatchUp:
    """`refuse(key, error)` is told of what cannot be taken although it came from the right topic;
    `breathe` is called between two records. Raises StateError and GalleryCorruptError from the
    file."""

    def __init__(
        self,
        site: str,
        ring: KeyRing,
        store: GalleryStore,
        space: str,
        refuse: Callable[[Key, RefusedError], None],
        breathe: Callable[[], None] = lambda: None,
    ) -> None:
        self.tables: Final = FleetTables(store, breathe)
        self.requests: Final = Requests()
        self.served: Final = ServedIndex(store, space)
        self.manifest: Manifest | None = None
        """The current one."""
        self.applied = self.tables.applied()
        """What is wholly applied."""
        self.erased = self.tables.erased()
        """Everybody absent from this manifest is erased."""
        self._site = site
        self._ring = ring
        self._refuse = refuse
        self._breathe = breathe
        self._comparison = Comparison(self.tables.bucket_digests(site))
        self._early = EarlyMessages()
        self._arrived: dict[str, tuple[Entry, SignedRecord]] = {}
        self._erase: set[str] = set()
        self._put_out: set[str] = set()
        self._asked: dict[int, set[str]] = {}
        self._released: list[Key] = []
        self._manifest_wire: bytes | None = None
        self._freshness_wire: bytes | None = None
        self._receipts_open = self.tables.open_receipts()
        self._scrub_after_s = 0.0

    @property
    def missing(self) -> int:
        """Records of the manifest that have not arrived; an unread bucket counts as one."""
        return self._comparison.missing

    @property
    def ready(self) -> bool:
        """Whether a whole batch has arrived."""
        return len(self._arrived) >= BATCH

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._arrived and self.requests.outstanding == 0

    def release(self, key: Key) -> None:
        """What was asked for has come, or was given up."""
        self._released.append(key)

    def released(self) -> list[Key]:
        """What is not being asked for any longer; each once."""
        found = [key for key in self._released if not self.requests.is_outstanding(key)]
        self._released = []
        return found

    def use_keys(self, ring: KeyRing) -> None:
        """Other keys open records from now on; what they are missing for is tried at once."""
        self._ring = ring
        self.requests.hurry()

    # What comes.

    def remember(self, freshness_wire: bytes) -> None:
        """Keep the newest freshness over a restart."""
        self._freshness_wire = freshness_wire

    def begin(self, manifest: Manifest, wire: bytes | None = None) -> None:
        """`manifest` is the current one from here on; `wire` are its bytes when it is new."""
        self._manifest_wire = wire
        self._put_out.clear()
        if self.manifest is None:
            self._put_out |= self.tables.strangers()
        self.manifest = manifest
        self._comparison.begin(manifest.buckets)
        for _, record in self._arrived.values():
            self._early.put_record(record)
        self._arrived.clear()
        self.requests.hurry()
        unread = set(self._comparison.unread())
        for number in range(len(manifest.buckets)):
            if number not in unread:
                self._drop(number)
                self._reconsider(number)
        for number in self._early.bucket_numbers():
            wire = self._early.take_bucket(number)
            if wire is not None and number in unread and self._lists(number, wire):
                self._open(number, self._read(number, wire))
        for number in self._comparison.unread():
            if manifest.buckets[number] == NOBODY:
                self._open(number, ())
            else:
                self.requests.want(number)

    def bucket(self, number: int, wire: bytes, *, answers: bool) -> None:
        """Bytes on a bucket's topic; `answers` when they were asked for. Raises RefusedError."""
        entries = self._read(number, wire)
        if self.manifest is not None and self._lists(number, wire):
            if self._comparison.is_unread(number):
                self._open(number, entries)
            return
        self._early.put_bucket(number, wire)
        if answers and self.requests.attempts(number) > 1:
            raise RefusedError("wrong_digest", f"bucket {number:02x} is not the one listed")

    def record(self, person_id: str, found: SignedRecord) -> None:
        """A verified record. Raises RefusedError when it is not one that the manifest lists."""
        expected = self._comparison.expected(person_id)
        if expected is not None and expected.digest == found.digest:
            self._arrived[person_id] = (expected, found)
            return
        newer = found.version > (NOTHING if self.manifest is None else self.manifest.version)
        if newer or self._comparison.is_unread(bucket_number(person_id)):
            self._early.put_record(found)
            return
        listed = expected or self.tables.entry(person_id)
        if listed is None or listed.digest != found.digest:
            raise _not_listed(listed, found)

    def tombstone(self, person_id: str, found: Tombstone) -> None:
        """Absence from the manifest erases, not this. Raises RefusedError when it contradicts."""
        if self.manifest is None or found.version > self.manifest.version:
            return
        if self._comparison.is_unread(bucket_number(person_id)) or person_id in self._erase:
            return
        if self._comparison.expected(person_id) or self.tables.entry(person_id):
            raise RefusedError("rollback", f"tombstone {found.version} of somebody who is listed")

    def unavailable(self, person_id: str) -> None:
        """The listed record is not to be had: one that it replaced does not count any longer."""
        if self._comparison.expected(person_id) and self.tables.entry(person_id):
            self._put_out.add(person_id)

    # What comes of it.

    def flush(self) -> None:
        """Take over what has arrived, and erase, in one transaction."""
        batch = Batch(
            erase=set(self._erase),
            put_out=set(self._put_out),
            manifest=self._manifest_wire,
            freshness=self._freshness_wire,
        )
        for person_id, (entry, record) in list(self._arrived.items()):
            self._breathe()
            try:
                self._check_spaces(record)
                batch.put[person_id] = (entry, open_record(record, self._ring))
            except RefusedError as error:
                self._refuse(person_id, error)
                del self._arrived[person_id]
                self._want(person_id)
                if self.tables.entry(person_id):
                    batch.put_out.add(person_id)
        batch.put_out -= batch.put.keys()
        if not batch:
            return
        applied, erased = self.applied, None
        if self.manifest is not None and self._comparison.complete_with(batch.put):
            applied = Applied(self.manifest.version, self.manifest.digest)
            if not batch.erase and not self._receipts_open:
                erased = applied.version
        demanded = NOTHING if self.manifest is None else self.manifest.version
        self.tables.apply(batch, applied, demanded, erased)
        self._taken_over(batch)
        self.applied, self.erased = applied, erased or self.erased

    def _taken_over(self, batch: Batch) -> None:
        """The batch is in the file."""
        self._arrived.clear()
        self._erase.clear()
        self._put_out.clear()
        self._manifest_wire = self._freshness_wire = None
        self._receipts_open |= bool(batch.erase)
        for person_id in batch.erase | batch.put_out:
            self.served.remove(person_id)
        for person_id, (_, payload) in batch.put.items():
            templates = payload.templates.get(self.served.space, ())
            self.served.put(person_id, (payload.person(person_id), templates))
            self._comparison.settle(person_id)
            self._drop(person_id)
        self._comparison.close()

    def settle(self, now_s: float, effective_s: float) -> None:
        """Give receipts once nothing of those erased is left in the files. `now_s` is monotonic,
        `effective_s` UTC epoch seconds."""
        if self.manifest is None or now_s < self._scrub_after_s:
            return
        erased = self.manifest.version if self._comparison.all_read else self.erased
        if erased == self.erased and not self._receipts_open:
            return
        if self.tables.confirm(erased, effective_s):
            self.erased, self._receipts_open = erased, False
        else:
            self._scrub_after_s = now_s + SCRUB_PAUSE_S

    def refresh(self, now_s: float, *, usable: bool) -> None:
        """Bring the index up to date; `usable` says whether anybody may be recognised."""
        before = self.served.damaged
        self.served.refresh(self.applied.version, now_s, usable=usable, idle=self.idle)
        if self.served.damaged is before:
            return
        for person_id in self.served.damaged:  # rows that do not open: the broker has them
            self._put_out.add(person_id)
            self._comparison.doubt(person_id)
        for number in self._comparison.unread():
            self.requests.want(number)

    def _open(self, number: int, entries: tuple[Entry, ...]) -> None:
        """The people of a bucket are known: who is absent is erased, what differs is wanted."""
        held = self.tables.entries(number)
        listed = {entry.person_id: entry for entry in entries}
        self._erase -= listed.keys()
        self._erase |= held.keys() - listed.keys()
        missing = {
            person_id: entry
            for person_id, entry in listed.items()
            if person_id not in held
            or held[person_id].digest != entry.digest
            or person_id in self._put_out
        }
        self._comparison.open(number, missing)
        self._drop(number)
        self._reconsider(number)
        for person_id in missing.keys() - self._arrived.keys():
            self._want(person_id)

    def _reconsider(self, number: int) -> None:
        """The people of a bucket are known: what was asked for and what waits may be of no use."""
        for person_id in tuple(self._asked.get(number, ())):
            if self._comparison.expected(person_id) is None:
                self._drop(person_id)
        for person_id in self._early.of_bucket(number):
            record = self._early.take_record(person_id)
            if record is None:
                continue
            try:
                self.record(person_id, record)
            except RefusedError as error:
                self._refuse(person_id, error)

    def _want(self, person_id: str) -> None:
        self.requests.want(person_id)
        self._asked.setdefault(bucket_number(person_id), set()).add(person_id)

    def _drop(self, key: Key) -> None:
        if isinstance(key, str):
            self._asked.get(bucket_number(key), set()).discard(key)
        if self.requests.drop(key):
            self._released.append(key)

    def _lists(self, number: int, wire: bytes) -> bool:
        return digest_of(wire) == self._comparison.digest(number)

    def _read(self, number: int, wire: bytes) -> tuple[Entry, ...]:
        return read_bucket(wire, digest_of(wire), site=self._site, number=number)

    def _check_spaces(self, record: SignedRecord) -> None:
        assert self.manifest is not None
        if strange := set(record.header.spaces) - self.manifest.header.spaces.keys():
            raise RefusedError("foreign_space", f"templates of {', '.join(sorted(strange))}")


def _not_listed(listed: Entry | None, found: SignedRecord) -> RefusedError:
    revision = found.header.revision
    if listed is None:
        return RefusedError("wrong_digest", f"record {found.version} of somebody not listed")
    if revision < listed.revision:
        return RefusedError("rollback", f"record {found.version}, revision {listed.revision} holds")
    if revision == listed.revision:
        return RefusedError("equivocation", f"another record of revision {revision} than listed")
    return RefusedError("wrong_digest", f"record {found.version} is not the one listed")
