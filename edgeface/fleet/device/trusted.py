"""What a device trusts of its site's gallery, and every check before it does.

Loaded in one order: manifest, freshness, buckets, records. The numbers beside the checks are those
of docs/gallery-protocol.md, section "What a device does". A message is first verified (1): size,
form, site, topic, key, signature; only then is a record decrypted. What is refused raises
RefusedError and changes nothing. Nothing here asks, waits or writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edgeface.base.errors import StateError
from edgeface.fleet.device.tables import FleetTables
from edgeface.fleet.protocol.bucket import Entry, bucket_number, read_bucket
from edgeface.fleet.protocol.floor import FLOOR_FILE, DamagedFloorError, Floor
from edgeface.fleet.protocol.framing import digest_of
from edgeface.fleet.protocol.keyring import KeyRing
from edgeface.fleet.protocol.manifest import (
    MAX_LIFE_S,
    NOBODY,
    Manifest,
    check_not_ahead,
    check_not_expired,
    read_freshness,
    read_manifest,
)
from edgeface.fleet.protocol.payload import Payload
from edgeface.fleet.protocol.record import (
    OnPersonTopic,
    SignedRecord,
    TombstoneHeader,
    open_record,
    verify_person,
)
from edgeface.fleet.protocol.terms import NOTHING, RefusedError, Version


@dataclass(frozen=True, slots=True, eq=False)
class Provision:
    """What a device was set up with for its fleet, as the files are at one moment."""

    ring: KeyRing
    floor: Floor
    """The higher one of the folder's and the device's own; the lowest where there is no file."""
    own_floor: Path
    """Where the device keeps the newest manifest known: it outlives the gallery."""
    floor_trouble: str | None = None
    """Why the device's own floor is not known; the gallery's manifest stands for it then."""


def load_provision(folder: Path, own_floor: Path) -> Provision:
    """What `edgeface fleet device add` put into `folder`, and the floor that the device keeps.

    Raises StateError or GalleryError, as `KeyRing.load` does, and StateError for a floor that
    cannot be read: to go on without it would take any older gallery. A damaged one of the device's
    own is no reason to stand still: the gallery has the newest manifest as well.
    """
    ring, floors, trouble = KeyRing.load(folder), [Floor()], None
    given = folder / FLOOR_FILE
    try:
        floors += [Floor.load(given)] if given.exists() else []
    except DamagedFloorError as error:
        raise StateError(f"{error}; copy the bundle's state/fleet to {folder} again") from error
    try:
        floors += [Floor.load(own_floor)] if own_floor.exists() else []
    except DamagedFloorError as error:
        trouble = f"{error}; the manifest in the gallery stands for it until the fleet confirms one"
    return Provision(ring, max(floors, key=lambda floor: floor.version), own_floor, trouble)


_UNKNOWN: Final = b""


class Comparison:
    """The gallery held against the manifest, bucket by bucket: what differs. A bucket is *open*
    once its entries are known and until all of its records are held."""

    def __init__(self, held: Sequence[bytes]) -> None:
        """`held` are the digests that a manifest of exactly the people held would list."""
        self._held = list(held)
        self.wanted: tuple[bytes, ...] = (NOBODY,) * len(self._held)
        """What the manifest lists, by number of the bucket."""
        self._differing: set[int] = set()
        self._missing: dict[int, dict[str, Entry]] = {}
        self._opened: dict[int, bytes] = {}

    def begin(self, wanted: tuple[bytes, ...]) -> None:
        """There is a new manifest, with these digests."""
        self.wanted = wanted
        self._differing = {
            number for number, digest in enumerate(wanted) if self._held[number] != digest
        }
        for number in [n for n, digest in self._opened.items() if wanted[n] != digest]:
            del self._opened[number], self._missing[number]

    def unread(self) -> list[int]:
        """Buckets that differ and whose entries are not known."""
        return sorted(self._differing - self._opened.keys())

    def is_unread(self, number: int) -> bool:
        """Whether this bucket is one of them."""
        return number in self._differing and number not in self._opened

    def doubt(self, person_id: str) -> None:
        """What is held of this person cannot be used: the bucket has to be read again."""
        number = bucket_number(person_id)
        self._held[number] = _UNKNOWN
        self._opened.pop(number, None)
        self._missing.pop(number, None)
        if self.wanted[number] != NOBODY:
            self._differing.add(number)

    def open(self, number: int, missing: Mapping[str, Entry]) -> None:
        """The entries of a bucket are known; `missing` are those whose record is not held."""
        self._opened[number] = self.wanted[number]
        self._missing[number] = dict(missing)
        self._held[number] = _UNKNOWN

    def expected(self, person_id: str) -> Entry | None:
        """The missing record of a person, if one is."""
        return self._missing.get(bucket_number(person_id), {}).get(person_id)

    def settle(self, person_id: str) -> None:
        """The record is held now."""
        self._missing.get(bucket_number(person_id), {}).pop(person_id, None)

    def close(self) -> None:
        """Buckets that miss nothing are as the manifest lists them."""
        for number in [n for n, missing in self._missing.items() if not missing]:
            self._held[number] = self._opened.pop(number)
            del self._missing[number]
            self._differing.discard(number)

    @property
    def missing(self) -> int:
        """Records that are known to be missing, and one for each bucket that is not known."""
        unread = len(self._differing) - len(self._opened)
        return unread + sum(len(missing) for missing in self._missing.values())

    @property
    def all_read(self) -> bool:
        """Whether everybody who is to be erased is known."""
        return len(self._differing) == len(self._opened)

    def complete_with(self, people: Collection[str]) -> bool:
        """Whether, with the records of these people, what is held is what the manifest lists."""
        return self.all_read and all(
            person_id in people for missing in self._missing.values() for person_id in missing
        )


class Trusted:
    """The newest of everything; `tables` are what is held. Times are UTC epoch seconds, effective
    time.

    A gallery is fresh until its freshness message ends, then stale for the grace time, then
    expired. A promise made for an older manifest holds on for the one that replaced it until that
    has one of its own: the newer manifest is at least as fresh. None of them lives longer than the
    manifest itself.
    """

    def __init__(
        self, site: str, provision: Provision, grace_s: float, tables: FleetTables
    ) -> None:
        self.manifest: Manifest | None = None
        self.floor = provision.floor
        """The trusted version."""
        self.listed = Comparison(tables.bucket_digests(site))
        """Who is in the manifest's buckets, held against who is in the tables."""
        self.equivocation: str | None = None
        """A second manifest of the same number was seen."""
        self.new_manifest: bytes | None = None
        self.new_freshness: bytes | None = None
        """Wire bytes that are not in the tables yet."""
        self._site = site
        self._ring = provision.ring
        self._grace_s = grace_s
        self._tables = tables
        self._promised_s = 0.0

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Of the pinned administrators' keys and of the encryption keys."""
        return tuple(sorted(self._ring.administrators.keys() | self._ring.ciphers.keys()))

    def use(self, provision: Provision) -> bool:
        """Other keys are pinned, or a higher floor is set; False when neither is."""
        higher = provision.floor.version > self.floor.version
        changed = higher or not provision.ring.same_as(self._ring)
        self._ring = provision.ring
        if higher:
            self.floor = provision.floor
        return changed

    # Manifest and freshness: TUF's snapshot and timestamp.

    def load_manifest(
        self, wire: bytes, now_s: float | None, synced_s: float | None = None
    ) -> bool:
        """Take it for the current one; False when it is that already. Without `now_s` it is one
        remembered over a restart, whose time `good` tells. `synced_s` is the system clock while it
        is synchronized."""
        manifest = read_manifest(wire, self._ring, site=self._site)  # 1
        try:
            newer = self.floor.admit(manifest)  # 2: roll-back, equivocation, who begins an epoch
        except RefusedError as error:
            if error.reason == "equivocation" and now_s is not None:
                self.equivocation = str(error)
            raise
        if not newer and self.manifest is not None and self.manifest.digest == manifest.digest:
            return False
        if now_s is not None:
            # 2: a manifest past its end
            check_not_expired("manifest", manifest.version, manifest.header.expires, now_s)
            check_not_ahead("manifest", manifest.version, manifest.header.issued, synced_s)
            self.equivocation = None
            self.new_manifest = wire
        self.manifest = manifest
        self.floor = self.floor.after(manifest)
        self.listed.begin(manifest.buckets)
        if synced_s is not None:  # what a clock that was wrong has promised
            self._promised_s = min(self._promised_s, synced_s + MAX_LIFE_S)
        self._promised_s = max(self._promised_s, manifest.header.issued)
        return True

    def load_freshness(
        self, wire: bytes, now_s: float | None, synced_s: float | None = None
    ) -> bool:
        """Take its promise; False when it is of a manifest that has to come first. The times are
        those of `load_manifest`."""
        until_s = None if self.manifest is None else read_freshness(wire, self.manifest)  # 1, 6
        if until_s is None:
            return False
        if self.unpinned is not None:
            raise RefusedError("unknown_key", f"of a manifest by {self.unpinned}, not pinned now")
        check_not_ahead("freshness", self.version, until_s - MAX_LIFE_S, synced_s)  # 6
        more = until_s > self._promised_s
        self._promised_s = max(self._promised_s, until_s)
        if now_s is not None:
            if more:
                self.new_freshness = wire
            check_not_expired("freshness", self.version, until_s, now_s)  # 6
        return True

    @property
    def unpinned(self) -> str | None:
        """The key of the current manifest, when it is not pinned any more."""
        key = None if self.manifest is None else self.manifest.signing_key
        return None if key in self._ring.administrators else key

    @property
    def version(self) -> Version:
        """Of the current manifest."""
        return NOTHING if self.manifest is None else self.manifest.version

    @property
    def fresh_until_s(self) -> float | None:
        """None before the first manifest."""
        if self.manifest is None:
            return None
        return min(self._promised_s, self.manifest.header.expires)

    @property
    def good_until_s(self) -> float | None:
        """The end of the grace time: afterwards nobody is recognized (6)."""
        fresh_s = self.fresh_until_s
        return None if fresh_s is None else fresh_s + self._grace_s

    def fresh(self, now_s: float) -> bool:
        """Whether the gallery is promised to be current."""
        return self.fresh_until_s is not None and now_s < self.fresh_until_s

    def good(self, now_s: float) -> bool:
        """Whether it may be used at all."""
        return self.good_until_s is not None and now_s < self.good_until_s

    # Buckets: TUF's targets role.

    def load_bucket(self, number: int, wire: bytes) -> tuple[Entry, ...] | None:
        """Who is in it; None when the current manifest does not list it (3)."""
        entries = read_bucket(wire, digest_of(wire), site=self._site, number=number)  # 1
        return entries if self.lists(number, wire) else None

    def lists(self, number: int, wire: bytes) -> bool:
        """Whether the current manifest has this digest for a bucket."""
        return self.manifest is not None and digest_of(wire) == self.listed.wanted[number]

    # Records and tombstones: the targets themselves.

    def verify_person(self, person_id: str, wire: bytes) -> OnPersonTopic:
        """What lies on a person's topic (1)."""
        return verify_person(wire, self._ring, site=self._site, person_id=person_id)

    def load_record(self, found: SignedRecord) -> Literal["wanted", "early", "held"]:
        """What becomes of a verified record: a missing one that the manifest lists, one that waits
        for another manifest or for its bucket, or the one that is held (4)."""
        person_id = found.header.person_id
        expected = self.listed.expected(person_id)
        if expected is not None and expected.digest == found.digest:
            return "wanted"
        if found.version > self.version or self.listed.is_unread(bucket_number(person_id)):
            return "early"
        listed = expected or self._tables.entry(person_id)
        if listed is None or listed.digest != found.digest:
            raise _not_listed(listed, found)
        return "held"

    def load_tombstone(self, found: TombstoneHeader) -> None:
        """Absence from the manifest erases, not this; it may only not contradict (5)."""
        person_id, version = found.person_id, Version(found.epoch, found.revision)
        if self.manifest is None or version > self.manifest.version:
            return
        if self.listed.is_unread(bucket_number(person_id)):
            return
        if self.listed.expected(person_id) or self._tables.entry(person_id):
            raise RefusedError("rollback", f"tombstone {version} of somebody who is listed")

    def open_record(self, record: SignedRecord) -> Payload:
        """What is in a record that the current manifest lists (1, 4)."""
        assert self.manifest is not None
        if strange := set(record.header.spaces) - self.manifest.header.spaces.keys():
            raise RefusedError("foreign_space", f"templates of {', '.join(sorted(strange))}")
        return open_record(record, self._ring)


def _not_listed(listed: Entry | None, found: SignedRecord) -> RefusedError:
    revision = found.header.revision
    if listed is None:
        return RefusedError("wrong_digest", f"record {found.version} of somebody not listed")
    if revision < listed.revision:
        return RefusedError("rollback", f"record {found.version}, revision {listed.revision} holds")
    if revision == listed.revision:
        return RefusedError("equivocation", f"another record of revision {revision} than listed")
    return RefusedError("wrong_digest", f"record {found.version} is not the one listed")
