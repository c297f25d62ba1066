"""What a device trusts of its site's gallery, and every check before it does.

Loaded in one order: manifest, freshness, buckets, records. The numbers beside the checks are those
of docs/gallery-protocol.md, section "What a device does". A message is first verified (1): size,
form, site, topic, key, signature; only then is a record decrypted. What is refused raises
RefusedError and changes nothing. Nothing here asks, waits or writes.
"""

from __future__ import annotations

from typing import Literal

from edgeface.fleet.device.comparison import Comparison
from edgeface.fleet.device.provision import Provision
from edgeface.fleet.device.tables import FleetTables
from edgeface.fleet.protocol.bucket import Entry, bucket_number, read_bucket
from edgeface.fleet.protocol.framing import digest_of
from edgeface.fleet.protocol.freshness import read_freshness
from edgeface.fleet.protocol.manifest import Manifest, check_not_expired, read_manifest
from edgeface.fleet.protocol.payload import Payload
from edgeface.fleet.protocol.record import (
    OnPersonTopic,
    SignedRecord,
    Tombstone,
    open_record,
    verify_person,
)
from edgeface.fleet.protocol.terms import NOTHING, RefusedError, Version


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

    def use(self, provision: Provision) -> bool:
        """Other keys are pinned, or a higher floor is set; False when neither is."""
        higher = provision.floor.version > self.floor.version
        changed = higher or not provision.ring.same_as(self._ring)
        self._ring = provision.ring
        if higher:
            self.floor = provision.floor
        return changed

    # Manifest and freshness: TUF's snapshot and timestamp.

    def load_manifest(self, wire: bytes, now_s: float | None) -> bool:
        """Take it for the current one; False when it is that already. Without `now_s` it is one
        remembered over a restart, whose time `good` tells."""
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
            manifest.check_time(now_s)  # 2: a manifest past its end
            self.equivocation = None
            self.new_manifest = wire
        self.manifest = manifest
        self.floor = self.floor.after(manifest)
        self.listed.begin(manifest.buckets)
        self._promised_s = max(self._promised_s, manifest.header.issued)
        return True

    def load_freshness(self, wire: bytes, now_s: float | None) -> bool:
        """Take its promise; False when it is of a manifest that has to come first. `now_s` as for
        `load_manifest`."""
        until_s = None if self.manifest is None else read_freshness(wire, self.manifest)  # 1, 6
        if until_s is None:
            return False
        if self.unpinned is not None:
            raise RefusedError("unknown_key", f"of a manifest by {self.unpinned}, not pinned now")
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
        """The end of the grace time: afterwards nobody is recognised (6)."""
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
        return self.manifest is not None and digest_of(wire) == self.listed.digest(number)

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

    def load_tombstone(self, found: Tombstone) -> None:
        """Absence from the manifest erases, not this; it may only not contradict (5)."""
        person_id = found.header.person_id
        if self.manifest is None or found.version > self.manifest.version:
            return
        if self.listed.is_unread(bucket_number(person_id)):
            return
        if self.listed.expected(person_id) or self._tables.entry(person_id):
            raise RefusedError("rollback", f"tombstone {found.version} of somebody who is listed")

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
