"""The device's side of the fleet's gallery, without a network: messages in, requests and index out.

What it does with each message is in docs/gallery-protocol.md, section "What a device does". The
order of arrival does not matter: what comes early waits, what is lost is asked for again. Used by
one thread; `subscriber` drives it over a real broker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from edgeface.base.errors import StateError
from edgeface.base.files import PRIVATE, write_file
from edgeface.base.messages import Message, Subscription
from edgeface.contract.gallery_report import MAX_REFUSALS, Reason, Refusal, Standing
from edgeface.fleet.device.catch_up import CatchUp
from edgeface.fleet.device.requests import Key
from edgeface.fleet.device.tables import FleetTables
from edgeface.fleet.device.trusted import Provision, Trusted
from edgeface.fleet.protocol.terms import GalleryTopics, RefusedError
from edgeface.gallery.store import GalleryStore
from edgeface.mqtt.sharing import AnyConnection
from edgeface.recognition.index import GalleryIndex

_MAX_TOPIC: Final = 256
_MAX_DETAIL: Final = 500
"""Characters, all ASCII: so many details of so many bytes fit into one report."""


class Refusals:
    """What a device refused, counted by topic and reason, for its report and the log: the latest
    `MAX_REFUSALS` kinds. Each reason is logged once for each kind of topic."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Reason], Refusal] = {}
        self._told: set[tuple[str, Reason]] = set()
        self.total = 0
        """Messages refused since the start."""

    @property
    def listed(self) -> tuple[Refusal, ...]:
        """Oldest first."""
        return tuple(self._found.values())

    def add(self, topic: str, error: RefusedError, now: datetime) -> None:
        """Count one message."""
        self.total += 1
        topic, reason = topic[:_MAX_TOPIC], cast("Reason", error.reason)
        key = (topic, reason)
        before = self._found.pop(key, None)
        self._found[key] = Refusal(
            topic=topic,
            reason=reason,
            detail=str(error).encode("ascii", "backslashreplace").decode()[:_MAX_DETAIL],
            count=1 if before is None else before.count + 1,
            last_at=now,
        )
        if len(self._found) > MAX_REFUSALS:
            del self._found[next(iter(self._found))]
        parts = topic.split("/")  # `person`, `bucket`, `manifest` or `freshness`
        place = parts[-2] if parts[-2:-1] in (["person"], ["bucket"]) else parts[-1]
        kind = (place, reason)
        if kind not in self._told:
            self._told.add(kind)
            _log.warning(
                "%s refused (%s): %s; more of this kind are only counted", topic, reason, error
            )


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


@dataclass(frozen=True, slots=True)
class ReplicaClock:
    """The times that a replica goes by."""

    now_s: Callable[[], float]
    """The effective time, UTC epoch seconds."""
    reached: Callable[[float], None] = lambda _: None
    """Is told when a verified manifest was issued: it is not earlier than that."""
    synced_s: Callable[[], float | None] = lambda: None
    """The system clock, likewise, while it is synchronized."""
    monotonic_s: Callable[[], float] = time.monotonic
    """For pauses."""
    breathe: Callable[[], None] = breathe
    """Called between two records."""


class Replica:
    """Keeps `store` as the site's newest manifest says; `space` is the embedder's, with how
    many numbers an embedding has.

    The constructor raises StateError; later ones become `trouble`. A damaged file raises
    GalleryCorruptError wherever it is noticed.
    """

    def __init__(
        self,
        site: str,
        store: GalleryStore,
        provision: Provision,
        *,
        space: tuple[str, int],
        grace_s: float,
        clock: ReplicaClock,
    ) -> None:
        self.topics: Final = GalleryTopics(site)
        self.refusals: Final = Refusals()
        tables = FleetTables(store, clock.breathe)
        self.trusted: Final = Trusted(site, provision, grace_s, tables)
        self.catch_up: Final = CatchUp(self.trusted, tables, space, self._refuse, clock.breathe)
        self.messages_received = 0
        self.bytes_received = 0
        self._own_floor = provision.own_floor
        self._floor_trouble = provision.floor_trouble
        self._saved_floor = provision.floor if provision.floor_trouble is None else None
        self._clock = clock
        self._wire: AnyConnection | None = None
        self._early_freshness: bytes | None = None
        self._store_trouble: str | None = None
        self._write_after_s = 0.0
        self._resume()
        if self._floor_trouble is not None:
            _log.error("%s; the floor is %s", self._floor_trouble, self.trusted.floor.version)
        self.catch_up.refresh(clock.monotonic_s(), usable=self.usable)

    # The connection.

    def connected(self, wire: AnyConnection) -> None:
        """There is a new connection: follow from here on, and read what is retained."""
        self._wire = wire
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
        self._clock.breathe()
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

    def use_provision(self, provision: Provision) -> bool:
        """Keys and floor were read again: what comes from now on is judged by them, and what was
        refused for want of a key is asked for again. False when nothing has changed.

        The gallery in use goes on, also when the key that signed it is not pinned any more; then
        nothing prolongs it.
        """
        if not self.trusted.use(provision):
            return False
        self.catch_up.requests.hurry()
        if self._wire is not None:
            self._wire.subscribe(
                [Subscription(self.topics.manifest), Subscription(self.topics.freshness)]
            )
        return True

    # What has come of it.

    @property
    def index(self) -> GalleryIndex:
        """What to recognize with; another object whenever it has changed."""
        return self.catch_up.served.index

    @property
    def usable(self) -> bool:
        """Whether anybody may be recognized."""
        return self.trusted.good(self._clock.now_s())

    @property
    def standing(self) -> Standing:
        """Where the device stands."""
        now_s = self._clock.now_s()
        manifest = self.trusted.manifest
        if manifest is None:
            return "waiting"
        if not self.trusted.good(now_s):
            return "expired"
        if not self.trusted.fresh(now_s):
            return "stale"
        applied = self.catch_up.applied.digest == manifest.digest
        return "current" if applied else "catching_up"

    @property
    def trouble(self) -> str | None:
        """What is wrong, for the alert `gallery_stale`; None when nothing is."""
        trusted, found = self.trusted, []
        match self.standing:
            case "waiting":
                found.append("no manifest of the fleet has come yet; nobody is recognized")
            case "stale":
                found.append(
                    f"not confirmed as current since {_text(trusted.fresh_until_s)}; "
                    f"nobody is recognized from {_text(trusted.good_until_s)}"
                )
            case "expired":
                found.append(
                    f"not confirmed as current since {_text(trusted.fresh_until_s)}; "
                    "the grace time is over, nobody is recognized"
                )
            case _:
                pass
        if trusted.unpinned is not None:
            found.append(
                f"the gallery is signed by the key {trusted.unpinned}, which is not pinned any "
                f"more; it is used until {_text(trusted.good_until_s)} at most"
            )
        if trusted.equivocation is not None:
            found.append(
                f"two galleries with the same number, the first is kept: {trusted.equivocation}"
            )
        if self._floor_trouble is not None:
            found.append(self._floor_trouble)
        if (text := self._store_trouble or self.catch_up.tables.store.read_only) is not None:
            found.append(text)
        return "; ".join(found) or None

    def without(self, space: str) -> int:
        """How many people in the newest manifest have no templates in `space`."""
        if self.trusted.manifest is None:
            return 0
        header = self.trusted.manifest.header
        return max(0, header.count - header.spaces.get(space, 0))

    def covered_by(self, space: str) -> bool:
        """Whether there are people in the newest manifest, and all have templates in `space`."""
        manifest = self.trusted.manifest
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
        if not self.trusted.load_manifest(wire, self._clock.now_s(), self._clock.synced_s()):
            return
        self._begin()
        if self._early_freshness is not None:
            self._take_freshness(self._early_freshness)

    def _take_freshness(self, wire: bytes) -> None:
        self._early_freshness = None
        if not self.trusted.load_freshness(wire, self._clock.now_s(), self._clock.synced_s()):
            self._early_freshness = wire
        else:
            self._floor_trouble = None

    def _take_person(self, person_id: str, wire: bytes, *, answers: bool) -> None:
        try:
            self.catch_up.person(person_id, self.trusted.verify_person(person_id, wire))
        except RefusedError:
            if answers:
                self.catch_up.unavailable(person_id)
            raise

    def _answers(self, key: Key) -> bool:
        """Whether what came had been asked for."""
        return self.catch_up.requests.arrived(key, self._clock.monotonic_s())

    # Over time.

    def _resume(self) -> None:
        """Go on from what was known before a restart, as far as it can be verified today."""
        manifest, freshness = self.catch_up.tables.messages()
        if manifest is None:
            return
        try:
            self.trusted.load_manifest(manifest, None)
        except RefusedError as error:
            _log.warning("the gallery from before is not used until a manifest comes: %s", error)
            return
        self._begin()
        if freshness is not None:
            with suppress(RefusedError):  # it is of the manifest before
                self.trusted.load_freshness(freshness, None)

    def _begin(self) -> None:
        assert self.trusted.manifest is not None
        self._clock.reached(float(self.trusted.manifest.header.issued))
        self.catch_up.begin()

    def _keep(self) -> None:
        """Write what has come to the file, and serve it."""
        now_s = self._clock.monotonic_s()
        writes = now_s >= self._write_after_s
        try:
            if writes:
                self.catch_up.flush()
            self.catch_up.refresh(now_s, usable=self.usable)
            if not writes:
                return
            self.catch_up.settle(now_s, self._clock.now_s())
            if self.trusted.floor != self._saved_floor:
                floor = self.trusted.floor
                write_file(self._own_floor, floor.to_json(), PRIVATE, replace=True)
                self._saved_floor = floor
        except StateError as error:
            if str(error) != self._store_trouble:
                _log.error("the fleet's gallery cannot be kept: %s", error)
            self._store_trouble = str(error)
            self._write_after_s = self._clock.monotonic_s() + STORE_PAUSE_S
        else:
            self._store_trouble = None

    def _ask(self, wire: AnyConnection) -> None:
        now_s = self._clock.monotonic_s()
        requests = self.catch_up.requests
        for key in requests.overdue(now_s):
            if isinstance(key, str):
                self.catch_up.unavailable(key)
        if gone := requests.released():
            wire.unsubscribe([self._topic(key) for key in gone])
        wanted = [Subscription(self._topic(key)) for key in requests.due(now_s)]
        if wanted:
            wire.subscribe(wanted)

    def _topic(self, key: Key) -> str:
        return self.topics.person(key) if isinstance(key, str) else self.topics.bucket(key)

    def _refuse(self, key: Key, error: RefusedError) -> None:
        self.refusals.add(self._topic(key), error, self._now())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_s(), UTC)


def _text(epoch_s: float | None) -> str:
    return "?" if epoch_s is None else f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M} UTC"
