"""`bench sync`: one real broker, one administrator, many devices; how long until all agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Self

import numpy as np

from edgeface.bench.device_hosts import DeviceHosts
from edgeface.bench.sync_device import Command, DeviceState, Reached, run_device
from edgeface.bench.sync_site import SyncSite
from edgeface.fleet.protocol.terms import Version
from edgeface.mqtt.localbroker import LocalBroker

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Spread:
    """Over the devices."""

    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value."""
        p50, p99 = np.percentile(values, [50, 99])
        return cls(float(p50), float(p99), float(max(values)))


@dataclass
class SyncBench:
    """What was measured; times in seconds."""

    devices: int
    people: int
    templates_per_person: int
    publish_s: float = 0.0
    """Of everybody, by the administrator."""
    full_sync_s: Spread | None = None
    """From the devices' start; all at once."""
    full_messages: float = 0.0
    """Per device."""
    full_bytes: float = 0.0
    """Payload per device."""
    enrollment_s: Spread | None = None
    """From the begin of `publish` to an index with the person."""
    erasure_s: Spread | None = None
    """... to an index without the person."""
    receipt_s: Spread | None = None
    """... to files without the person."""
    changes: int = 0
    catch_up_s: Spread | None = None
    """From the start of devices that missed `changes` changes."""
    catch_up_messages: float = 0.0
    catch_up_bytes: float = 0.0
    opened_s: Spread | None = None
    """From opening the gallery file, after a restart, to an index that serves."""
    resident_mib: Spread | None = None
    """Of a device's whole process that has just started again."""
    opening_peak_mib: Spread | None = None
    """The most of it meanwhile."""
    swap_peak_mib: Spread | None = None
    """The most of it while one enrollment comes: two indexes are alive for a moment."""
    resident_syncing_mib: Spread | None = None
    """After the full sync."""
    syncing_peak_mib: Spread | None = None
    """The most during the full sync."""
    disk_mib: float = 0.0
    """Per device."""
    wrong: list[str] = field(default_factory=list)
    """Devices whose digest is not the administrator's."""


def bench_sync(
    folder: Path, *, devices: int, people: int, templates: int, changes: int, say: Say
) -> SyncBench:
    """Measure with everything in `folder`. Raises BrokerError (no mosquitto), EvaluationError."""
    result = SyncBench(devices, people, templates, changes=changes)
    with ExitStack() as stack:
        broker = stack.enter_context(LocalBroker(folder / "broker"))
        site = SyncSite(folder / "site", broker.host, broker.port, templates)
        say(f"publishing {people} people")
        site.add(people)
        began_s = time.monotonic()
        site.publish()
        result.publish_s = time.monotonic() - began_s
        names = [f"device-{number}" for number in range(devices)]
        plans = site.add_devices(names, folder / "devices")
        say(f"starting {devices} devices")
        hosts = [(plan,) for plan in plans]
        fleet = stack.enter_context(DeviceHosts(run_device, hosts, names, broker.check))
        _states(fleet, "state")
        _measure(result, site, fleet, say)
    return result


def _measure(result: SyncBench, site: SyncSite, fleet: DeviceHosts, say: Say) -> None:
    say("full sync")
    _full_sync(result, fleet)
    say("one enrollment")
    (person_id,) = site.add(1)
    began_s = time.monotonic()
    version = site.publish().version
    reached = fleet.collect(Reached, lambda item: item.served >= version)
    result.enrollment_s = _since(began_s, reached)
    say("one erasure")
    _erasure(result, site, fleet, person_id)
    if result.changes:
        say(f"{result.changes} changes while the devices are off")
        _catch_up(result, site, fleet)
    say("restart")
    fleet.respawn()
    states = _states(fleet, "state")
    result.opened_s = Spread.of([state.opened_s for state in states.values()])
    result.resident_mib = Spread.of([state.resident_mib for state in states.values()])
    result.opening_peak_mib = Spread.of([state.peak_mib for state in states.values()])
    say("one enrollment after it")
    _last_enrollment(result, site, fleet)


def _full_sync(result: SyncBench, fleet: DeviceHosts) -> None:
    began_s = time.monotonic()
    fleet.tell("follow")
    reached = fleet.collect(Reached, lambda item: item.applied == Version(1, 1))
    result.full_sync_s = _since(began_s, reached)
    states = _states(fleet, "state")
    result.full_messages = fmean(state.messages for state in states.values())
    result.full_bytes = fmean(state.payload_bytes for state in states.values())
    result.resident_syncing_mib = Spread.of([state.resident_mib for state in states.values()])
    result.syncing_peak_mib = Spread.of([state.peak_mib for state in states.values()])


def _erasure(result: SyncBench, site: SyncSite, fleet: DeviceHosts, person_id: str) -> None:
    site.remove(person_id)
    began_s = time.monotonic()
    version = site.publish().version
    served: dict[str, Reached] = {}

    def erased(item: Reached) -> bool:
        if item.served >= version:
            served.setdefault(item.name, item)
        return item.erased >= version

    reached = fleet.collect(Reached, erased)
    result.erasure_s = _since(began_s, served)
    result.receipt_s = _since(began_s, reached)


def _catch_up(result: SyncBench, site: SyncSite, fleet: DeviceHosts) -> None:
    before = _states(fleet, "pause")
    site.enroll(site.people[: result.changes])
    version = site.publish().version
    began_s = time.monotonic()
    fleet.tell("follow")
    reached = fleet.collect(Reached, lambda item: item.applied >= version)
    result.catch_up_s = _since(began_s, reached)
    states = _states(fleet, "state")
    result.catch_up_messages = fmean(
        states[name].messages - before[name].messages for name in states
    )
    result.catch_up_bytes = fmean(
        states[name].payload_bytes - before[name].payload_bytes for name in states
    )


def _last_enrollment(result: SyncBench, site: SyncSite, fleet: DeviceHosts) -> None:
    site.add(1)
    version = site.publish().version
    fleet.tell("follow")
    fleet.collect(Reached, lambda item: item.served >= version)
    states = _states(fleet, "pause")
    result.swap_peak_mib = Spread.of([state.peak_mib for state in states.values()])
    result.disk_mib = fmean(state.disk_mib for state in states.values())
    right, count = site.digest(), len(site.people)
    result.wrong = sorted(
        name
        for name, state in states.items()
        if not state.agrees or state.digest != right or state.people != count
    )


def _states(fleet: DeviceHosts, command: Command) -> dict[str, DeviceState]:
    """Their answers to `state` or `pause`."""
    fleet.tell(command)
    return fleet.collect(DeviceState)


def _since(began_s: float, reached: dict[str, Reached]) -> Spread:
    return Spread.of([item.at_s - began_s for item in reached.values()])
