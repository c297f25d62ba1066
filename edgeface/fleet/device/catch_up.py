"""From what is trusted to what the device holds: reading, applying and erasing.

Verified messages come in; the file, the index and the list of what is to be asked for come out.
Used by the replica's thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from edgeface.fleet.device.requests import Key, Requests
from edgeface.fleet.device.served_index import ServedIndex
from edgeface.fleet.device.tables import Applied, Batch, FleetTables
from edgeface.fleet.device.trusted import Trusted
from edgeface.fleet.protocol.bucket import Entry, bucket_number
from edgeface.fleet.protocol.manifest import NOBODY
from edgeface.fleet.protocol.record import OnPersonTopic, SignedRecord
from edgeface.fleet.protocol.terms import RefusedError
from edgeface.gallery.database import damaged

MAX_BUCKET_BYTES: Final = 8 * 1024 * 1024
MAX_RECORD_BYTES: Final = 8 * 1024 * 1024


class EarlyMessages:
    """Messages that came before the manifest that lists them, within a bound of memory: the newest
    bucket of each number and the newest record of each person.

    What is dropped here, oldest first, is asked for again when a manifest lists it.
    """

    def __init__(self) -> None:
        self.buckets: Final[OrderedDict[int, bytes]] = OrderedDict()
        self._records: OrderedDict[str, SignedRecord] = OrderedDict()
        self._people: dict[int, set[str]] = {}
        self._in_buckets = 0
        self._in_records = 0

    def put_bucket(self, number: int, wire: bytes) -> None:
        """Well-formed, but not listed by the current manifest."""
        self.take_bucket(number)
        self.buckets[number] = wire
        self._in_buckets += len(wire)
        while self._in_buckets > MAX_BUCKET_BYTES:
            self.take_bucket(next(iter(self.buckets)))

    def take_bucket(self, number: int) -> bytes | None:
        """Remove and return."""
        wire = self.buckets.pop(number, None)
        self._in_buckets -= 0 if wire is None else len(wire)
        return wire

    def put_record(self, record: SignedRecord) -> None:
        """Verified, and newer than the current manifest."""
        person_id = record.header.person_id
        self.take_record(person_id)
        self._records[person_id] = record
        self._people.setdefault(bucket_number(person_id), set()).add(person_id)
        self._in_records += _size(record)
        while self._in_records > MAX_RECORD_BYTES:
            self.take_record(next(iter(self._records)))

    def take_record(self, person_id: str) -> SignedRecord | None:
        """Remove and return."""
        record = self._records.pop(person_id, None)
        if record is not None:
            self._in_records -= _size(record)
            self._people[bucket_number(person_id)].discard(person_id)
        return record

    def of_bucket(self, number: int) -> tuple[str, ...]:
        """Ids of the people in a bucket whose records wait."""
        return tuple(self._people.get(number, ()))


def _size(record: SignedRecord) -> int:
    return len(record.message.start) + len(record.message.body) + len(record.message.signature)


BATCH: Final = 64
"""Records of one transaction."""
SCRUB_PAUSE_S: Final = 10.0
"""Between attempts to truncate a write-ahead log that another process reads."""


class CatchUp:
    """`space` is the embedder's, with how many numbers an embedding has. `refuse(key, error)` is
    told of what cannot be taken although it came from the right topic; `breathe` is called between
    two records. Raises StateError and GalleryCorruptError from the file."""

    def __init__(
        self,
        trusted: Trusted,
        tables: FleetTables,
        space: tuple[str, int],
        refuse: Callable[[Key, RefusedError], None],
        breathe: Callable[[], None],
    ) -> None:
        self.tables: Final = tables
        self.requests: Final = Requests()
        self.served: Final = ServedIndex(tables.store, *space)
        self.applied = tables.applied()
        """What is wholly applied."""
        self.erased = tables.erased()
        """Everybody absent from this manifest is erased."""
        self._trusted = trusted
        self._listed = trusted.listed
        self._refuse = refuse
        self._breathe = breathe
        self._early = EarlyMessages()
        self._arrived: dict[str, tuple[Entry, SignedRecord]] = {}
        self._begun = False
        self._erase: set[str] = set()
        self._put_out: set[str] = set()
        self._asked: dict[int, set[str]] = {}
        self._receipts_open = tables.open_receipts()
        self._scrub_after_s = 0.0
        self.batches = 0
        """How many were applied."""

    @property
    def ready(self) -> bool:
        """Whether a whole batch has arrived."""
        return len(self._arrived) >= BATCH

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._arrived and not self.requests.outstanding

    def gone(self, person_id: str) -> bool:
        """Whether the manifest is known not to list this person, and nothing is held of them."""
        listed, number = self._listed, bucket_number(person_id)
        return (
            self._trusted.manifest is not None
            and not listed.is_unread(number)
            and listed.expected(person_id) is None
            and self.tables.entry(person_id) is None
        )

    # What comes.

    def begin(self) -> None:
        """Another manifest is the current one from here on."""
        self._put_out.clear()
        if not self._begun:
            self._begun = True
            self._put_out |= self.tables.strangers()
        for _, record in self._arrived.values():
            self._early.put_record(record)
        self._arrived.clear()
        self.requests.hurry()
        unread = set(self._listed.unread())
        for number in range(len(self._listed.wanted)):
            if number not in unread:
                self._drop(number)
                self._reconsider(number)
        for number in tuple(self._early.buckets):
            wire = self._early.take_bucket(number)
            if wire is not None and number in unread and self._trusted.lists(number, wire):
                self.bucket(number, wire, answers=False)
        for number in self._listed.unread():
            if self._listed.wanted[number] == NOBODY:
                self._open(number, ())
            else:
                self.requests.want(number)

    def bucket(self, number: int, wire: bytes, *, answers: bool) -> None:
        """Bytes on a bucket's topic; `answers` when they were asked for. Raises RefusedError."""
        entries = self._trusted.load_bucket(number, wire)
        if entries is None:
            self._early.put_bucket(number, wire)
            if answers and self.requests.attempts(number) > 1:
                raise RefusedError("wrong_digest", f"bucket {number:02x} is not the one listed")
        elif self._listed.is_unread(number):
            self._open(number, entries)

    def person(self, person_id: str, found: OnPersonTopic) -> None:
        """A verified record or tombstone. Raises RefusedError when it is not one that the manifest
        lists, or contradicts it."""
        if not isinstance(found, SignedRecord):
            if person_id not in self._erase:
                self._trusted.load_tombstone(found)
            return
        match self._trusted.load_record(found):
            case "early":
                self._early.put_record(found)
            case "wanted":
                expected = self._listed.expected(person_id)
                assert expected is not None
                self._arrived[person_id] = (expected, found)
            case "held":
                pass

    def unavailable(self, person_id: str) -> None:
        """The listed record is not to be had: one that it replaced does not count any longer."""
        if self._listed.expected(person_id) and self.tables.entry(person_id):
            self._put_out.add(person_id)

    # What comes of it.

    def flush(self) -> None:
        """Take over what has arrived, and erase, in one transaction."""
        trusted = self._trusted
        batch = Batch(
            erase=set(self._erase),
            put_out=set(self._put_out),
            manifest=trusted.new_manifest,
            freshness=trusted.new_freshness,
        )
        for person_id, (entry, record) in list(self._arrived.items()):
            self._breathe()
            try:
                payload = trusted.open_record(record)
                self.served.check(payload.templates)
                batch.put[person_id] = (entry, payload)
            except RefusedError as error:
                self._refuse(person_id, error)
                del self._arrived[person_id]
                self._want(person_id)
                if self.tables.entry(person_id):
                    batch.put_out.add(person_id)
        batch.put_out -= batch.put.keys()
        applied, erased = self.applied, None
        complete = trusted.manifest is not None and self._listed.complete_with(batch.put)
        if trusted.manifest is not None and complete:
            applied = Applied(trusted.version, trusted.manifest.digest)
        if not batch and applied == self.applied:  # else the note of it is damaged
            return
        if complete and not batch.erase and not self._receipts_open:
            erased = applied.version
        self.tables.apply(batch, applied, trusted.version, erased)
        self._taken_over(batch)
        self.applied, self.erased = applied, erased or self.erased

    def _taken_over(self, batch: Batch) -> None:
        """The batch is in the file."""
        self.batches += 1
        self._arrived.clear()
        self._erase.clear()
        self._put_out.clear()
        self._trusted.new_manifest = self._trusted.new_freshness = None
        self._receipts_open |= bool(batch.erase)
        for person_id in batch.erase | batch.put_out:
            self.served.remove(person_id)
        for person_id, (_, payload) in batch.put.items():
            templates = payload.templates.get(self.served.space, ())
            self.served.put(person_id, (payload.person(person_id), templates))
            self._listed.settle(person_id)
            self._drop(person_id)
        self._listed.close()

    def settle(self, now_s: float, effective_s: float) -> None:
        """Give receipts once nothing of those erased is left in the files. `now_s` is monotonic,
        `effective_s` UTC epoch seconds."""
        if self._trusted.manifest is None or now_s < self._scrub_after_s:
            return
        erased = self._trusted.version if self._listed.all_read else self.erased
        if erased == self.erased and not self._receipts_open:
            return
        if self.tables.confirm(erased, effective_s):
            self.erased, self._receipts_open = erased, False
        else:
            self._scrub_after_s = now_s + SCRUB_PAUSE_S

    def refresh(self, now_s: float, *, usable: bool) -> None:
        """Bring the index up to date; `usable` says whether anybody may be recognized. Raises
        GalleryCorruptError when the file holds others than the manifest counts."""
        before, loads = self.served.damaged, self.served.loads
        self.served.refresh(self.applied.version, now_s, usable=usable, idle=self.idle)
        if self.served.loads != loads:
            self._count()
        if self.served.damaged is before:
            return
        for person_id in self.served.damaged:  # rows that do not open: the broker has them
            self._put_out.add(person_id)
            self._listed.doubt(person_id)
        for number in self._listed.unread():
            self.requests.want(number)

    def _count(self) -> None:
        """Damage may hide people where every row is in order, in the list of spaces for one."""
        manifest, index = self._trusted.manifest, self.served.index
        if manifest is None or self.applied.digest != manifest.digest or not self._listed.all_read:
            return
        found = len(index.people) + len(self.served.damaged)
        listed = manifest.header.spaces.get(index.space, 0)
        if found != listed and not self._put_out:
            raise damaged(self.tables.store.path, f"{found} people, the manifest counts {listed}")

    def _open(self, number: int, entries: tuple[Entry, ...]) -> None:
        """The people of a bucket are known: who is absent is erased (5), what differs is wanted."""
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
        self._listed.open(number, missing)
        self._drop(number)
        self._reconsider(number)
        for person_id in missing.keys() - self._arrived.keys():
            self._want(person_id)

    def _reconsider(self, number: int) -> None:
        """The people of a bucket are known: what was asked for and what waits may be of no use."""
        for person_id in tuple(self._asked.get(number, ())):
            if self._listed.expected(person_id) is None:
                self._drop(person_id)
        for person_id in self._early.of_bucket(number):
            record = self._early.take_record(person_id)
            if record is None:
                continue
            try:
                self.person(person_id, record)
            except RefusedError as error:
                self._refuse(person_id, error)

    def _want(self, person_id: str) -> None:
        self.requests.want(person_id)
        self._asked.setdefault(bucket_number(person_id), set()).add(person_id)

    def _drop(self, key: Key) -> None:
        if isinstance(key, str):
            self._asked.get(bucket_number(key), set()).discard(key)
        self.requests.drop(key)
