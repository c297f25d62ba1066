"""A device that follows a site on a broker in memory, with clocks that the test moves."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeface.contract.gallery_report import Reported
from edgeface.contract.topics import Topics
from edgeface.fleet.admin.ledger import Ledger
from edgeface.fleet.admin.standing import applied_version
from edgeface.fleet.device.replica import Replica, ReplicaClock
from edgeface.fleet.device.subscriber import OwnReport
from edgeface.fleet.device.trusted import load_provision
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.templates import DIMENSIONS
from edgeface.security.keys import SigningKey
from tests.support.fleet_site import FleetSite, new_site, person_id
from tests.support.gallery import KEY, SPACE
from tests.support.memory_broker import MemoryBroker, MemoryClient

DAY_S = 86_400
GRACE_S = 7 * DAY_S
SESSION = "00000000deadbeef"
PEOPLE = (1, 2, 3)


@dataclass
class Times:
    """Both clocks of a device."""

    utc_s: float
    monotonic_s: float = 1000.0
    synced: bool = False
    floor_s: float = 0.0
    """Times known to be reached: what the daemon's `TimeFloor` keeps."""

    def effective_s(self) -> float:
        return max(self.utc_s, self.floor_s)

    def reached(self, utc_s: float) -> None:
        self.floor_s = max(self.floor_s, utc_s)

    def pass_s(self, seconds: float) -> None:
        self.utc_s += seconds
        self.monotonic_s += seconds


@dataclass
class FleetDevice:
    """State folder, keys, and a replica that can be started, cut off and killed."""

    path: Path
    site: FleetSite
    broker: MemoryBroker
    times: Times
    name: str = "door-1"
    space: str = SPACE
    dimensions: int = DIMENSIONS
    key: bytes | None = KEY
    replica: Replica = field(init=False)
    client: MemoryClient | None = None

    def __post_init__(self) -> None:
        self.provision()
        self.start()

    @property
    def gallery_file(self) -> Path:
        return self.path / "gallery.sqlite"

    def provision(self) -> None:
        """Copy what `fleet device add` wrote, or what a rotation of keys changed."""
        bundle = self.site.folder.bundles / self.name
        if not bundle.exists():
            self.site.add_device(self.name)
        shutil.rmtree(self.path / "fleet", ignore_errors=True)
        shutil.copytree(bundle / "state" / "fleet", self.path / "fleet")
        shutil.copy(bundle / "state" / "device.key", self.path / "device.key")

    def start(self) -> None:
        """As the daemon does, also after a crash."""
        self.store = GalleryStore(self.gallery_file, self.key)
        self.replica = Replica(
            self.site.folder.site,
            self.store,
            load_provision(self.path / "fleet", self.path / "floor.json"),
            space=(self.space, self.dimensions),
            grace_s=GRACE_S,
            clock=ReplicaClock(
                self.times.effective_s,
                self.times.reached,
                lambda: self.times.utc_s if self.times.synced else None,
                lambda: self.times.monotonic_s,
                lambda: None,
            ),
        )
        topics = Topics(self.site.folder.site, self.name)
        self.device_key = SigningKey.load(self.path / "device.key")
        self.report = OwnReport(self.replica, topics, self.device_key, SESSION)

    def crash(self) -> None:
        """The power is cut, and comes back."""
        self.disconnect()
        self.store.close()
        self.start()

    def connect(self) -> MemoryClient:
        self.disconnect()
        self.client = self.broker.connect()
        self.replica.connected(self.client)
        self.report.repeat()
        return self.client

    def disconnect(self) -> None:
        if self.client is not None:
            self.client.close()
            self.replica.lost()
        self.client = None

    def deliver(self) -> int:
        """Everything that is on its way."""
        count = 0
        while self.client is not None and self.client.queue:
            self.replica.receive(self.client.queue.popleft())
            count += 1
        return count

    def work(self) -> None:
        """One round, with the report that is due."""
        self.replica.work()
        publication = self.report.due(self.times.monotonic_s, self.times.utc_s)
        if publication is not None and self.client is not None:
            self.broker.publish(publication)

    def settle(self, rounds: int = 60) -> None:
        """Until nothing moves; pauses pass at once."""
        quiet = 0
        for _ in range(rounds):
            moved = self.deliver()
            self.work()
            self.times.pass_s(1.0)
            quiet = 0 if moved or not self.replica.catch_up.idle else quiet + 1
            if quiet > 2 and not self.replica.trusted.listed.missing:
                return

    def people(self) -> tuple[str, ...]:
        """Who can be recognized."""
        return tuple(sorted(self.replica.index.people))

    def reported(self) -> Reported:
        return self.report.make(self.times.utc_s)

    def refusals(self) -> dict[str, str]:
        """Last part of the topic -> reason."""
        return {item.topic.rpartition("/")[2]: item.reason for item in self.replica.refusals.listed}

    def equals_master(self) -> bool:
        """Whether it has applied what the administrator published last, and says so."""
        with Ledger(self.site.folder.ledger_file) as ledger:
            state, published = ledger.state(), ledger.published()
        reported = self.reported()
        assert state.digest is not None
        return (
            reported.digest == state.digest.hex()
            and applied_version(reported) == state.version
            and self.store.ids() == published
            and self.people() == published
        )

    def files(self) -> bytes:
        """Everything in the state folder, but for the keys it was set up with."""
        places = [p for p in sorted(self.path.rglob("*")) if p.is_file()]
        return b"".join(p.read_bytes() for p in places if p.parent.name != "fleet")


def memory_site(path: Path, broker: MemoryBroker, **settings: Any) -> FleetSite:
    """A site whose administrator publishes on the broker in memory."""
    site = new_site(path, 1883, **settings)
    site.connect = broker.administrator
    return site


def published(path: Path, broker: MemoryBroker) -> FleetSite:
    """A site whose gallery of `PEOPLE` is on the broker."""
    site = memory_site(path, broker)
    site.put({number: [number] for number in PEOPLE})
    site.publish()
    return site


def follow(path: Path, site: FleetSite, broker: MemoryBroker, **more: Any) -> FleetDevice:
    """A device that is connected and has everybody."""
    found = FleetDevice(path, site, broker, Times(site.now_s), **more)
    found.connect()
    found.settle()
    assert found.equals_master()
    return found


def ids(*numbers: int) -> tuple[str, ...]:
    return tuple(sorted(map(person_id, numbers)))
