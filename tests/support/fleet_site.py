"""A site to administer in tests: folder, keys, people, a broker, and stand-ins for trouble."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeface.base.errors import BrokerError
from edgeface.base.ids import ALPHABET
from edgeface.base.messages import Publication
from edgeface.contract import codec
from edgeface.contract.gallery_report import Receipt, Refusal, Reported
from edgeface.contract.topics import Topics
from edgeface.fleet.admin.administration import Fleet
from edgeface.fleet.admin.broker import Broker
from edgeface.fleet.admin.devices import Extras, add_device
from edgeface.fleet.admin.ledger import Ledger
from edgeface.fleet.admin.master import Master, make_site
from edgeface.fleet.admin.publishing import Published
from edgeface.fleet.admin.site import SiteFolder
from edgeface.fleet.protocol.bucket import read_bucket
from edgeface.fleet.protocol.keyring import KeyRing
from edgeface.fleet.protocol.manifest import (
    NOBODY,
    Manifest,
    check_not_expired,
    read_freshness,
    read_manifest,
)
from edgeface.fleet.protocol.payload import Payload
from edgeface.fleet.protocol.record import SignedRecord, open_record, verify_person
from edgeface.fleet.protocol.terms import NOTHING, GalleryTopics, Version
from edgeface.gallery.person import Person
from edgeface.mqtt.options import ConnectionOptions
from edgeface.security.keys import SigningKey
from tests.support.gallery import SPACE, direction, stored

PASSPHRASE = b"correct horse"
QUIET_S = 0.05


def quick_broker(options: ConnectionOptions) -> Broker:
    """Loopback answers at once: no need to wait a second for what does not come."""
    return Broker(options, quiet_s=QUIET_S)


def person_id(number: int) -> str:
    """An id of its own for each number."""
    text = ""
    for _ in range(10):
        number, digit = divmod(number, len(ALPHABET))
        text = ALPHABET[digit] + text
    return f"p_{text}"


@dataclass
class FleetSite:
    """One site; each method opens the folder anew, as each command does."""

    path: Path
    port: int
    now_s: float = field(default_factory=lambda: float(int(time.time())))
    connect: Any = quick_broker
    synced: bool = False

    @property
    def folder(self) -> SiteFolder:
        return SiteFolder.open(self.path)

    @property
    def topics(self) -> GalleryTopics:
        return GalleryTopics(self.folder.site)

    @contextmanager
    def fleet(self) -> Iterator[Fleet]:
        with Master(self.folder) as master:
            yield Fleet(
                master, now=lambda: self.now_s, synced=lambda: self.synced, connect=self.connect
            )

    def put(self, people: Mapping[int, Iterable[int]], space: str = SPACE) -> None:
        """Person number -> numbers of directions for templates."""
        with Master(self.folder) as master:
            ids = [person_id(number) for number in people]
            with master.touching(ids) as store, store.change() as change:
                for number, templates in people.items():
                    name = f"Person {number}"
                    change.put_person(Person(person_id(number), name, created_s=self.now_s))
                    change.put_templates(
                        person_id(number), space, [stored(direction(n)) for n in templates]
                    )

    def remove(self, *numbers: int) -> None:
        with Master(self.folder) as master:
            master.remove([person_id(number) for number in numbers])

    def publish(self, **options: Any) -> Published:
        with self.fleet() as fleet:
            return fleet.publish(lambda: PASSPHRASE, **options)

    def refresh(self) -> Published:
        with self.fleet() as fleet:
            return fleet.refresh()

    def add_device(self, device: str) -> Path:
        with Ledger(self.folder.ledger_file) as ledger:
            return add_device(self.folder, ledger.state(), device, Extras())

    def retained(self, *filters: str) -> dict[str, bytes]:
        """What the broker holds under the site's gallery."""
        wanted = filters or (f"edgeface/v1/{self.folder.site}/gallery/#",)
        with quick_broker(self.folder.connection()) as broker:
            found = broker.retained(wanted)
            return {topic: item.payload for topic, item in found.items() if item.payload}

    def report(
        self,
        device: str,
        version: Version,
        digest: str | None,
        erased: Version = NOTHING,
        receipts: tuple[Receipt, ...] = (),
        key: SigningKey | None = None,
        refusals: tuple[Refusal, ...] = (),
    ) -> Reported:
        """Leave a signed report on the broker, as a device would."""
        moment = datetime.fromtimestamp(self.now_s, UTC)
        reported = Reported(
            session="0" * 16,
            reported_at=moment,
            standing="current",
            epoch=version.epoch,
            revision=version.revision,
            digest=digest,
            people=0,
            templates=0,
            missing=0,
            space=SPACE,
            fresh_until=moment,
            good_until=moment,
            refusals=refusals,
            receipts=receipts,
            erased_epoch=erased.epoch,
            erased_revision=erased.revision,
        )
        topic = Topics(self.folder.site, device).gallery_reported
        payload = codec.to_json(reported)
        bundle = self.folder.bundles / device / "state" / "device.key"
        signer = key or SigningKey.load(bundle)
        properties = signer.properties(topic, payload)
        with quick_broker(self.folder.connection()) as broker:
            message = Publication(topic, payload, retain=True, user_properties=properties)
            broker.send_all([(0, message)], lambda _: None)
        return reported


def new_site(path: Path, port: int, site: str = "hq", **settings: Any) -> FleetSite:
    """Site, keys, empty gallery; nothing is published."""
    lines = [f"site: {site}", "mqtt:", "  host: 127.0.0.1", f"  port: {port}", "  tls: 'off'"]
    lines += [f"{name}: {value}" for name, value in settings.items()]
    make_site(path, "\n".join([*lines, ""]).encode(), PASSPHRASE)
    return FleetSite(path, port)


def clear(site: FleetSite) -> None:
    """Empty the broker."""
    with quick_broker(site.folder.connection()) as broker:
        topics = [t for t, m in broker.retained(["edgeface/#"]).items() if m.payload]
        broker.send_all([(0, Publication(t, b"", retain=True)) for t in topics], lambda _: None)


def ring_of(site: FleetSite) -> KeyRing:
    """As the device `door-1`, which is registered on the way."""
    bundle = site.folder.bundles / "door-1"
    if not bundle.exists():
        site.add_device("door-1")
    return KeyRing.load(bundle / "state" / "fleet")


def seen(site: FleetSite) -> tuple[Manifest, dict[str, Payload]]:
    """The gallery as a new device finds it on the broker, everything verified."""
    retained, ring, topics = site.retained(), ring_of(site), site.topics
    manifest = read_manifest(retained[topics.manifest], ring, site=topics.site)
    fresh = read_freshness(retained[topics.freshness], manifest)
    assert fresh is not None
    check_not_expired("freshness", manifest.version, fresh, site.now_s)
    people = {}
    listed = [number for number, digest in enumerate(manifest.buckets) if digest != NOBODY]
    for number in listed:
        wire = retained[topics.bucket(number)]
        for entry in read_bucket(wire, manifest.buckets[number], site=topics.site, number=number):
            wire = retained[topics.person(entry.person_id)]
            record = verify_person(wire, ring, site=topics.site, person_id=entry.person_id)
            assert isinstance(record, SignedRecord)
            assert (record.digest, record.version.revision) == (entry.digest, entry.revision)
            people[entry.person_id] = open_record(record, ring)
    assert len(people) == manifest.header.count
    buckets = {topic for topic in retained if topics.bucket_of(topic) is not None}
    assert buckets == {topics.bucket(number) for number in listed}
    return manifest, people


def counts(site: FleetSite) -> dict[str, list[int]]:
    """Person id -> number of templates in each space, as a new device finds them."""
    return {person: sorted(map(len, p.templates.values())) for person, p in seen(site)[1].items()}


class BreakingBroker(Broker):
    """Loses the connection when `after` messages have been sent; what it sent may arrive."""

    def __init__(self, options: ConnectionOptions, after: int, *, noted: bool) -> None:
        super().__init__(options, quiet_s=QUIET_S)
        self._after = after
        self._noted = noted

    def send_all(self, items: Any, acknowledged: Any) -> None:
        taken = []
        for item in items:
            if self._after == 0:
                # The crash comes before or after what was acknowledged is noted on disk.
                super().send_all(taken, acknowledged if self._noted else (lambda _: None))
                raise BrokerError("the power was cut")
            self._after -= 1
            taken.append(item)
        super().send_all(taken, acknowledged)
