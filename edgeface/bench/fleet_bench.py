"""`bench fleet`: one real broker and a site of a thousand devices; what it bears."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Final

from edgeface.base.errors import EvaluationError
from edgeface.bench.daemon_run import Resources, resources_of
from edgeface.bench.device_hosts import DeviceHosts
from edgeface.bench.fleet_host import (
    Collected,
    Online,
    Rush,
    Sent,
    allow_files,
    run_collector,
    run_host,
)
from edgeface.bench.sync_bench import Spread
from edgeface.bench.sync_device import DevicePlan, DeviceState, Reached
from edgeface.bench.sync_site import SyncSite
from edgeface.fleet.protocol.terms import Version
from edgeface.mqtt.localbroker import LocalBroker

PER_PROCESS: Final = 125
"""Devices that share a process."""
COLLECTORS: Final = 2
QUEUE: Final = ("max_queued_messages 100000", "max_inflight_messages 200")
"""As in config/mosquitto: by default what goes beyond a thousand is dropped in silence."""
_POLL_S: Final = 0.5
_SILENCE_S: Final = 10.0
"""What has not arrived when nothing has for so long is lost."""


@dataclass
class FleetBench:
    """What was measured; times in seconds."""

    devices: int
    people: int
    cores: int
    """Of the machine, for the broker, all devices and the collectors together."""
    load_before: float
    """Of the machine, the last minute's, when it began."""
    connected_s: Spread | None = None
    """From the start of all devices at once to a connection."""
    enrollment_s: Spread | None = None
    """From the begin of `publish` to an index with the person."""
    erasure_s: Spread | None = None
    """... to an index without the person."""
    receipt_s: Spread | None = None
    """... to files without the person."""
    again_s: Spread | None = None
    """From the broker's restart to a connection."""
    events: int = 0
    """Sent in the rush, by all devices."""
    events_per_s: float = 0.0
    event_s: Spread | None = None
    """From its making to a collector."""
    lost: int = 0
    twice: int = 0
    """Events that came more than once, after a connection was lost."""
    broker_cpu: float = 0.0
    """Of one core, in the rush."""
    broker_mib: float = 0.0
    """Resident, after it."""
    device_mib: float = 0.0
    """Resident, of each; its share of what the devices of one process have in common with it."""
    device_disk_mib: float = 0.0
    """Of each device's files."""
    wrong: list[str] = field(default_factory=list)
    """Devices whose digest is not the administrator's at the end."""


def bench_fleet(
    folder: Path, *, devices: int, people: int, rush: Rush, say: Callable[[str], None]
) -> FleetBench:
    """Measure with everything in `folder`. Raises BrokerError (no mosquitto), EvaluationError."""
    allow_files()
    result = FleetBench(devices, people, os.cpu_count() or 1, os.getloadavg()[0])
    with ExitStack() as stack:
        broker = stack.enter_context(LocalBroker(folder / "broker", persistence=True, extra=QUEUE))
        site = SyncSite(folder / "site", broker.host, broker.port, templates=1)
        say(f"publishing {people} people")
        site.add(people)
        site.publish()
        names = [f"device-{number}" for number in range(devices)]
        say(f"adding {devices} devices")
        plans = site.add_devices(names, folder / "devices")
        say("one device follows, the others begin with what it has")
        _seed(plans, broker)
        hosts = [(plans[start : start + PER_PROCESS],) for start in range(0, devices, PER_PROCESS)]
        fleet = stack.enter_context(DeviceHosts(run_host, hosts, names, broker.check))
        _states(fleet)
        say("connecting")
        began_s = time.monotonic()
        fleet.tell("follow")
        result.connected_s = _online(fleet, began_s)
        _changes(result, site, fleet, say)
        say("restart of the broker")
        broker.stop()
        began_s = time.monotonic()
        broker.start()
        result.again_s = _online(fleet, began_s)
        say(f"{rush.per_s:g} events a second of each for {rush.seconds:g} s")
        _rush(result, fleet, broker, rush)
        _holdings(result, fleet, site)
    return result


def _seed(plans: list[DevicePlan], broker: LocalBroker) -> None:
    """Let the first device follow to the end, and give its files to the others."""
    first = plans[0]
    with DeviceHosts(run_host, [([first],)], [first.name], broker.check) as alone:
        alone.tell("follow")
        alone.collect(Reached, lambda item: item.applied >= Version(1, 1))
    ignored = shutil.ignore_patterns("fleet", "*.lock")
    for plan in plans[1:]:
        try:
            shutil.copytree(first.state_dir, plan.state_dir, ignore=ignored)
        except OSError as error:
            raise EvaluationError(f"{plan.state_dir}: cannot be written: {error}") from error


def _states(fleet: DeviceHosts) -> dict[str, DeviceState]:
    """Of all devices, which have opened their files."""
    fleet.tell("state")
    return fleet.collect(DeviceState)


def _holdings(result: FleetBench, fleet: DeviceHosts, site: SyncSite) -> None:
    """What the devices have at the end, and what it takes."""
    states, right = _states(fleet), site.digest()
    sharing = min(PER_PROCESS, result.devices)
    result.device_mib = fmean(state.resident_mib for state in states.values()) / sharing
    result.device_disk_mib = fmean(state.disk_mib for state in states.values())
    result.wrong = sorted(name for name, state in states.items() if state.digest != right)


def _online(fleet: DeviceHosts, began_s: float) -> Spread:
    found = fleet.collect(Online, lambda item: item.at_s > began_s)
    return Spread.of([item.at_s - began_s for item in found.values()])


def _changes(
    result: FleetBench, site: SyncSite, fleet: DeviceHosts, say: Callable[[str], None]
) -> None:
    say("one enrollment")
    (person_id,) = site.add(1)
    began_s = time.monotonic()
    version = site.publish().version
    reached = fleet.collect(Reached, lambda item: item.served >= version)
    result.enrollment_s = Spread.of([item.at_s - began_s for item in reached.values()])
    say("one erasure")
    site.remove(person_id)
    began_s = time.monotonic()
    gone = site.publish().version
    served: dict[str, float] = {}

    def erased(item: Reached) -> bool:
        if item.served >= gone:
            served.setdefault(item.name, item.at_s - began_s)
        return item.erased >= gone

    reached = fleet.collect(Reached, erased)
    result.erasure_s = Spread.of(list(served.values()))
    result.receipt_s = Spread.of([item.at_s - began_s for item in reached.values()])


def _rush(result: FleetBench, fleet: DeviceHosts, broker: LocalBroker, rush: Rush) -> None:
    names = [f"collector-{number}" for number in range(COLLECTORS)]
    plans = [(name, broker.host, broker.port) for name in names]
    with DeviceHosts(run_collector, plans, names, broker.check) as collectors:
        _collected(collectors, "count")
        before, began_s = _broker(broker), time.monotonic()
        fleet.tell(rush)
        sent = {
            key: at_s for item in fleet.collect(Sent).values() for key, at_s in item.at_s.items()
        }
        after, ended_s = _broker(broker), time.monotonic()
        arrived = arrivals(collectors, sent.keys())
    result.events = len(sent)
    result.events_per_s = len(sent) / (ended_s - began_s)
    result.broker_cpu = (after.cpu_s - before.cpu_s) / (ended_s - began_s)
    result.broker_mib = after.resident_mib
    first = [
        min(item.at_s[key] for item in arrived if key in item.at_s) - at_s
        for key, at_s in sent.items()
        if any(key in item.at_s for item in arrived)
    ]
    if not first:
        raise EvaluationError("no event arrived: too few to measure")
    result.event_s = Spread.of(first)
    result.lost = len(sent) - len(first)
    result.twice = sum(item.count for item in arrived) - len(first)


def arrivals(collectors: DeviceHosts, sent: Collection[str]) -> list[Collected]:
    """What they have when each of the events has come, or nothing more comes."""
    most, since_s = -1, time.monotonic()
    while True:
        got = sum(item.count for item in _collected(collectors, "count"))
        if got > most:
            most, since_s = got, time.monotonic()
        silent = time.monotonic() - since_s > _SILENCE_S
        if got >= len(sent) or silent:  # some may have come twice, and others not yet
            found = _collected(collectors, "all")
            if silent or {*sent} <= {key for item in found for key in item.at_s}:
                return found
        time.sleep(_POLL_S)


def _collected(collectors: DeviceHosts, command: str) -> list[Collected]:
    collectors.tell(command)
    return list(collectors.collect(Collected).values())


def _broker(broker: LocalBroker) -> Resources:
    assert broker.pid is not None
    return resources_of(broker.pid)
