"""The device's side of the fleet's gallery, without a network: messages in, requests and index out.

What it does with each message is in docs/gallery-protocol.md, section "What a device does". The
order of arrival does not matter: what comes early waits, what is lost is asked for again. Used by
one thread; `connection` drives it over a real broker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final, Protocol

from edgeface.base.errors import StateError
from edgeface.base.messages import Message, Subscription
from edgeface.contract.gallery_report import Standing
from edgeface.fleet.device.catch_up import CatchUp
from edgeface.fleet.device.floor_file import FloorFile
from edgeface.fleet.device.lifetime import Lifetime
from edgeface.fleet.device.provision import Provision
from edgeface.fleet.device.refusals import Refusals
from edgeface.fleet.device.requests import Key
from edgeface.fleet.protocol.freshness import read_freshness
from edgeface.fleet.protocol.gallery_topics import GalleryTopics
from edgeface.fleet.protocol.keyring import KeyRing
from edgeface.fleet.protocol.manifest import Manifest, read_manifest
from edgeface.fleet.protocol.record import SignedRecord, verify_person
from edgeface.fleet.protocol.refusal import RefusedError
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.index import GalleryIndex

_log = logging.getLogger(__name__)

STORE_PAUSE_S: Final = 1.0
"""After the gallery file could not be written."""


BREATH_S: Final = 0.0002


def breathe() -> None:
    """Give the interpreter's lock away, so that no other thread waits longer than one record takes.

    A thread that only computes is asked for the lock after 5 ms, each time the recognizer needs it,
    which is several times a frame.
    """
    time.sleep(BREATH_S)


class Wire(Protocol):
    """What asks the broker; `messaging.session.Connection` is one."""

    def subscribe(self, subscriptions: Iterable[Subscription]) -> int | None: ...
    def unsubscribe(self, topic_filters: list[str]) -> None: ...


class Replica:
    """Keeps `store` as the site's newest manifest says.

    `now_s` is the effective time (UTC epoch seconds), `monotonic_s` a clock for pauses; `on_issued`
    is told when a verified manifest was issued; `breathe` is called between two records. The
    constructor raises StateError; later ones become `trouble`. A damaged file raises
    GalleryCorruptError wherever it is noticed.
    """

    def __init__(
        self,
        site: str,
        ring: KeyRing,
        store: GalleryStore,
        floor: FloorFile,
        *,
        space: str,
        grace_s: float,
        now_s: Callable[[], float],
        monotonic_s: Callable[[], float],
        on_issued: Callable[[float], None] = lambda _: None,
        breathe: Callable[[], None] = breathe,
    ) -> None:
        self.topics: Final = GalleryTopics(site)
        self.refusals: Final = Refusals()
        self.lifetime: Final = Lifetime(grace_s)
        self.catch_up: Final = CatchUp(site, ring, store, space, self._refuse, breathe)
        self.messages_received = 0
        self.bytes_received = 0
        self._site = site
        self._ring = ring
        self._floor_file = floor
        self._floor = self._saved_floor = floor.load()
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._on_issued = on_issued
        self._breathe = breathe
        self._wire: Wire | None = None
        self._early_freshness: bytes | None = None
        self._equivocation: str | None = None
        self._store_trouble: str | None = None
        self._write_after_s = 0.0
        self._resume()
        self.catch_up.refresh(monotonic_s(), usable=self.usable)

    # The connection.

    def connected(self, wire: Wire) -> None:
        """There is a new connection: follow from here on, and read what is retained."""
        self._wire = wire
        self.catch_up.released()
        self.catch_up.requests.restart()
        wire.subscribe(
            [
                Subscription(self.topics.everyone, retain_handling=2),
                Subscription(self.topics.buckets, retain_handling=2),
                Subscription(self.topics.manifest),
                Subscription(self.topics.freshness),
            ]
        )

    def lost(self) -> None:
        """The connection is over."""
        self._wire = None

    def receive(self, message: Message) -> None:
        """Take a message of the gallery; any other, and an empty one, changes nothing. Raises
        StateError when the gallery file cannot be read."""
        if not message.payload:
            return
        self._breathe()
        self.messages_received += 1
        self.bytes_received += len(message.payload)
        try:
            self._take(message.topic, message.payload)
        except RefusedError as error:
            self.refusals.add(message.topic, error, self._now())
        if self.catch_up.ready:
            self._keep()

    def work(self) -> None:
        """Apply what has come, ask for what is missing, keep the time. Call it often."""
        self._keep()
        if self._wire is not None:
            self._ask(self._wire)

    def use_space(self, space: str) -> None:
        """Another embedder is in use; the index follows with the next `work`."""
        self.catch_up.served.use_space(space)

    def use_provision(self, provision: Provision) -> bool:
        """Keys and floor were read again: what comes from now on is judged by them, and what was
        refused for want of a key is asked for again. False when nothing has changed.

        The gallery in use goes on, also when the key that signed it is not pinned any more; then
        nothing prolongs it.
        """
        ring, floor = provision.ring, provision.floor
        higher = floor.version > self._floor.version
        if ring.same_as(self._ring) and not higher:
            return False
        self._ring = ring
        self.catch_up.use_keys(ring)
        if higher:
            self._floor = floor
        if self._wire is not None:
            self._wire.subscribe(
                [Subscription(self.topics.manifest), Subscription(self.topics.freshness)]
            )
        return True

    # What has come of it.

    @property
    def index(self) -> GalleryIndex:
        """What to recognise with; another object whenever it has changed."""
        return self.catch_up.served.index

    @property
    def manifest(self) -> Manifest | None:
        """The newest one known."""
        return self.catch_up.manifest

    @property
    def usable(self) -> bool:
        """Whether anybody may be recognised."""
        return self.lifetime.good(self._now_s())

    @property
    def standing(self) -> Standing:
        """Where the device stands."""
        now_s = self._now_s()
        if self.manifest is None:
            return "waiting"
        if not self.lifetime.good(now_s):
            return "expired"
        if not self.lifetime.fresh(now_s):
            return "stale"
        applied = self.catch_up.applied.digest == self.manifest.digest
        return "current" if applied else "catching_up"

    @property
    def trouble(self) -> str | None:
        """What is wrong, for the alert `gallery_stale`; None when nothing is."""
        found = []
        match self.standing:
            case "waiting":
                found.append("no manifest of the fleet has come yet; nobody is recognised")
            case "stale":
                found.append(
                    f"not confirmed as current since {_text(self.lifetime.fresh_until_s)}; "
                    f"nobody is recognised from {_text(self.lifetime.good_until_s)}"
                )
            case "expired":
                found.append(
                    f"not confirmed as current since {_text(self.lifetime.fresh_until_s)}; "
                    "the grace time is over, nobody is recognised"
                )
            case _:
                pass
        if self._unpinned is not None:
            found.append(
                f"the gallery is signed by the key {self._unpinned}, which is not pinned any more; "
                f"it is used until {_text(self.lifetime.good_until_s)} at most"
            )
        if self._equivocation is not None:
            found.append(
                f"two galleries with the same number, the first is kept: {self._equivocation}"
            )
        if self._store_trouble is not None:
            found.append(self._store_trouble)
        return "; ".join(found) or None

    def without(self, space: str) -> int:
        """How many people in the newest manifest have no templates in `space`."""
        if self.manifest is None:
            return 0
        header = self.manifest.header
        return max(0, header.count - header.spaces.get(space, 0))

    def covered_by(self, space: str) -> bool:
        """Whether there are people in the newest manifest, and all have templates in `space`."""
        manifest = self.manifest
        return manifest is not None and manifest.header.count > 0 and self.without(space) == 0

    # Messages.

    def _take(self, topic: str, wire: bytes) -> None:
        if topic == self.topics.manifest:
            self._take_manifest(wire)
        elif topic == self.topics.freshness:
            self._take_freshness(wire)
        elif (number := self.topics.bucket_of(topic)) is not None:
            self.catch_up.bucket(number, wire, answers=self._answers(number))
        elif (person_id := self.topics.person_of(topic)) is not None:
            self._take_person(person_id, wire, answers=self._answers(person_id))

    def _take_manifest(self, wire: bytes) -> None:
        manifest = read_manifest(wire, self._ring, site=self._site)
        try:
            newer = self._floor.admit(manifest)
        except RefusedError as error:
            if error.reason == "equivocation":
                self._equivocation = str(error)
            raise
        if not newer and self.manifest is not None and self.manifest.digest == manifest.digest:
            return
        manifest.check_time(self._now_s())
        self._equivocation = None
        self._begin(manifest, wire)
        if self._early_freshness is not None:
            self._take_freshness(self._early_freshness)

    def _take_freshness(self, wire: bytes) -> None:
        self._early_freshness = None
        freshness = None if self.manifest is None else read_freshness(wire, self.manifest)
        if freshness is None:
            self._early_freshness = wire
            return
        if self._unpinned is not None:
            raise RefusedError("unknown_key", f"of a manifest by {self._unpinned}, not pinned now")
        if self.lifetime.promise(freshness):
            self.catch_up.remember(wire)
        freshness.check_time(self._now_s())

    def _take_person(self, person_id: str, wire: bytes, *, answers: bool) -> None:
        try:
            found = verify_person(wire, self._ring, site=self._site, person_id=person_id)
            if isinstance(found, SignedRecord):
                self.catch_up.record(person_id, found)
            else:
                self.catch_up.tombstone(person_id, found)
        except RefusedError:
            if answers:
                self.catch_up.unavailable(person_id)
            raise

    def _answers(self, key: Key) -> bool:
        """Whether what came had been asked for."""
        if not self.catch_up.requests.arrived(key, self._monotonic_s()):
            return False
        if self._wire is not None:
            self.catch_up.release(key)
        return True

    @property
    def _unpinned(self) -> str | None:
        """The key of the current manifest, when it is not trusted any more."""
        key = None if self.manifest is None else self.manifest.signing_key
        return None if key in self._ring.administrators else key

    # Over time.

    def _resume(self) -> None:
        """Go on from what was known before a restart, as far as it can be verified today."""
        manifest_wire, freshness_wire = self.catch_up.tables.messages()
        if manifest_wire is None:
            return
        try:
            manifest = read_manifest(manifest_wire, self._ring, site=self._site)
            self._floor.admit(manifest)
        except RefusedError as error:
            _log.warning("the gallery from before is not used until a manifest comes: %s", error)
            return
        self._begin(manifest)
        try:
            freshness = freshness_wire and read_freshness(freshness_wire, manifest)
        except RefusedError:
            return  # it is of the manifest before
        if freshness:
            self.lifetime.promise(freshness)

    def _begin(self, manifest: Manifest, wire: bytes | None = None) -> None:
        self._floor = self._floor.after(manifest)
        self.lifetime.begin(manifest)
        self._on_issued(float(manifest.header.issued))
        self.catch_up.begin(manifest, wire)

    def _keep(self) -> None:
        """Write what has come to the file, and serve it."""
        now_s = self._monotonic_s()
        writes = now_s >= self._write_after_s
        try:
            if writes:
                self.catch_up.flush()
            self.catch_up.refresh(now_s, usable=self.usable)
            if not writes:
                return
            self.catch_up.settle(now_s, self._now_s())
            if self._floor != self._saved_floor:
                self._floor_file.save(self._floor)
                self._saved_floor = self._floor
        except StateError as error:
            self._cannot_write(error)
            return
        self._store_trouble = None

    def _ask(self, wire: Wire) -> None:
        now_s = self._monotonic_s()
        requests = self.catch_up.requests
        for key in requests.overdue(now_s):
            self.catch_up.release(key)
            if isinstance(key, str):
                self.catch_up.unavailable(key)
        if gone := self.catch_up.released():
            wire.unsubscribe([self._topic(key) for key in gone])
        wanted = [Subscription(self._topic(key)) for key in requests.due(now_s)]
        if wanted:
            wire.subscribe(wanted)

    def _topic(self, key: Key) -> str:
        return self.topics.person(key) if isinstance(key, str) else self.topics.bucket(key)

    def _refuse(self, key: Key, error: RefusedError) -> None:
        self.refusals.add(self._topic(key), error, self._now())

    def _cannot_write(self, error: StateError) -> None:
        if str(error) != self._store_trouble:
            _log.error("the fleet's gallery cannot be kept: %s", error)
        self._store_trouble = str(error)
        self._write_after_s = self._monotonic_s() + STORE_PAUSE_S

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._now_s(), UTC)


def _text(epoch_s: float | None) -> str:
    return "?" if epoch_s is None else f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M} UTC"
