"""One device of `bench sync`: a process of its own with a replica and a gallery file."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from edgeface.bench.device_hosts import ChildEnd
from edgeface.bench.memory import forget_peak, resident_now_mib, resident_peak_mib
from edgeface.contract.event import new_session
from edgeface.contract.topics import Topics
from edgeface.fleet.device.replica import Replica, ReplicaClock
from edgeface.fleet.device.subscriber import OwnReport, Subscriber
from edgeface.fleet.device.trusted import load_provision
from edgeface.fleet.protocol.terms import Version
from edgeface.gallery.store import GalleryStore
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.options import MAX_GALLERY_PACKET_BYTES, ConnectionOptions
from edgeface.recognition.templates import DIMENSIONS
from edgeface.security.keys import SigningKey

DAY_S: Final = 86_400.0
SITE: Final = "bench"
SPACE: Final = "b" * 64
_OFTEN: Final = 1000
"""Messages after which a device tells where it is: 100,000 people take it longer than patience."""

Command = Literal["follow", "pause", "state", "stop"]


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What a device is given."""

    name: str
    bundle: Path
    """As `edgeface fleet device add` wrote it."""
    state_dir: Path
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Reached:
    """A device serves another gallery, confirms an erasure, or has come further."""

    name: str
    at_s: float
    """CLOCK_MONOTONIC, which all processes of a machine share."""
    served: Version
    """Of the index."""
    applied: Version
    erased: Version


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a device holds and has cost."""

    name: str
    agrees: bool
    """Whether the digests of what is in its file are those of the manifest."""
    digest: str | None
    people: int
    templates: int
    messages: int
    payload_bytes: int
    resident_mib: float
    peak_mib: float
    """The most that was resident since the state before, or since the start."""
    disk_mib: float
    opened_s: float
    """From opening the gallery file to an index that serves."""


class SyncDevice:
    """A replica with its own thread; `tell` gets `Reached` from that thread."""

    def __init__(self, plan: DevicePlan, tell: Any) -> None:
        self._plan = plan
        self._tell = tell
        self._key = SigningKey.load(plan.bundle / "state" / "device.key")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._told: tuple[Version, Version, Version, int] | None = None
        shutil.copytree(
            plan.bundle / "state" / "fleet", plan.state_dir / "fleet", dirs_exist_ok=True
        )
        began_s = time.monotonic()
        self._store = GalleryStore(plan.state_dir / "gallery.sqlite", bytes(range(32)))
        self.replica: Final = Replica(
            SITE,
            self._store,
            load_provision(plan.state_dir / "fleet", plan.state_dir / "fleet-floor.json"),
            space=(SPACE, DIMENSIONS),
            grace_s=7 * DAY_S,
            clock=ReplicaClock(time.time),
        )
        self.opened_s = time.monotonic() - began_s

    def follow(self) -> None:
        """Begin, or go on after `pause`."""
        plan = self._plan
        options = ConnectionOptions(
            plan.host,
            plan.port,
            f"{plan.name}-gallery",
            max_packet_bytes=MAX_GALLERY_PACKET_BYTES,
        )
        topics = Topics(SITE, plan.name)
        report = OwnReport(self.replica, topics, self._key, new_session())
        self._stop.clear()
        subscriber = Subscriber(
            lambda: self.connection(options), self.replica, report, each=self.look
        )
        self._thread = threading.Thread(target=subscriber.run, args=(self._stop,), name=plan.name)
        self._thread.start()

    def connection(self, options: ConnectionOptions) -> Connection:
        """A new one, not open yet."""
        return Connection(options)

    def halt(self) -> None:
        """Follow no longer; not waited for."""
        self._stop.set()

    def pause(self) -> None:
        """As if the device were off."""
        if self._thread is not None:
            self.halt()
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """End."""
        self.pause()
        self._store.close()

    def state(self) -> DeviceState:
        """Of a device that is not being changed; `peak_mib` begins anew."""
        peak_mib = resident_peak_mib()
        catch_up = self.replica.catch_up
        manifest, index = self.replica.trusted.manifest, self.replica.index
        held = tuple(catch_up.tables.bucket_digests(SITE))
        files = [path for path in self._plan.state_dir.iterdir() if path.is_file()]
        found = DeviceState(
            name=self._plan.name,
            agrees=manifest is not None and held == manifest.buckets,
            digest=None if catch_up.applied.digest is None else catch_up.applied.digest.hex(),
            people=len(index.people),
            templates=len(index.matrix),
            messages=self.replica.messages_received,
            payload_bytes=self.replica.bytes_received,
            resident_mib=resident_now_mib(),
            peak_mib=peak_mib,
            disk_mib=sum(path.stat().st_size for path in files) / 2**20,
            opened_s=self.opened_s,
        )
        forget_peak()
        return found

    def look(self) -> None:
        """Tell what is served now; called by the replica's thread after every round."""
        catch_up, index = self.replica.catch_up, self.replica.index
        served = Version(index.epoch, index.revision)
        now = (served, catch_up.applied.version, catch_up.erased)
        heard = self.replica.messages_received // _OFTEN
        if (*now, heard) != self._told:
            self._told = (*now, heard)
            self._tell(Reached(self._plan.name, time.monotonic(), *now))


def run_device(plan: DevicePlan, line: ChildEnd) -> None:
    """The process: commands come in, `Reached` and `DeviceState` go out, until `stop`."""
    device = SyncDevice(plan, line.tell)
    while True:
        command: Command = line.hear()
        match command:
            case "follow":
                device.follow()
            case "pause":
                device.pause()
                line.tell(device.state())
            case "state":
                line.tell(device.state())
            case "stop":
                device.close()
                return
