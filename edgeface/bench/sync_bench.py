"""`bench sync`: one real broker, one administrator, many devices; how long until all agree."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from statistics import fmean
from typing import Final, Self, TypeVar

import numpy as np

from edgeface.base.errors import EvaluationError
from edgeface.bench.sync_device import Command, DevicePlan, DeviceState, Reached, run_device
from edgeface.bench.sync_site import SyncSite
from edgeface.fleet.protocol.terms import Version
from edgeface.mqtt.localbroker import LocalBroker

PATIENCE_S: Final = 600.0
"""For any one phase."""
_END_S: Final = 30.0

Say = Callable[[str], None]
_Item = TypeVar("_Item", DeviceState, Reached)


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


class _Devices:
    """The processes."""

    def __init__(self, plans: Sequence[DevicePlan]) -> None:
        self._plans = plans
        self.pipes: dict[str, Pipe] = {}
        self._processes: list[SpawnProcess] = []
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def respawn(self) -> None:
        """End all of them and start them again, as after a power cut."""
        self._stop()
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        for plan in self._plans:
            ours, theirs = context.Pipe()
            process = context.Process(target=run_device, args=(plan, theirs), name=plan.name)
            process.start()
            theirs.close()
            self.pipes[plan.name] = ours
            self._processes.append(process)

    def _stop(self) -> None:
        for pipe in self.pipes.values():
            with suppress(OSError):
                pipe.send("stop")
        for process in self._processes:
            process.join(_END_S)
            if process.is_alive():
                process.kill()
        self._processes.clear()

    def tell(self, command: Command) -> None:
        """All of them."""
        for pipe in self.pipes.values():
            pipe.send(command)

    def states(self, command: Command) -> dict[str, DeviceState]:
        """Their answers to `state` or `pause`."""
        self.tell(command)
        return self._collect(DeviceState, lambda _: True)

    def until(self, enough: Callable[[Reached], bool]) -> dict[str, Reached]:
        """The first report of each device that is enough."""
        return self._collect(Reached, enough)

    def _collect(self, kind: type[_Item], enough: Callable[[_Item], bool]) -> dict[str, _Item]:
        found: dict[str, _Item] = {}
        deadline = time.monotonic() + PATIENCE_S
        while len(found) < len(self.pipes):
            left_s = deadline - time.monotonic()
            ready = wait(list(self.pipes.values()), timeout=max(0.0, left_s))
            if not ready:
                late = sorted(self.pipes.keys() - found.keys())
                raise EvaluationError(f"not within {PATIENCE_S:.0f} s: {', '.join(late[:5])} ...")
            for pipe in ready:
                assert isinstance(pipe, Pipe)
                try:
                    item = pipe.recv()
                except EOFError as error:
                    raise EvaluationError("a device's process has ended") from error
                if isinstance(item, kind) and enough(item):
                    found.setdefault(item.name, item)
        return found


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
        plans = [site.add_device(name, folder / "devices" / name) for name in names]
        say(f"starting {devices} devices")
        fleet = stack.enter_context(_Devices(plans))
        fleet.states("state")
        _measure(result, site, fleet, say)
    return result


def _measure(result: SyncBench, site: SyncSite, fleet: _Devices, say: Say) -> None:
    say("full sync")
    _full_sync(result, fleet)
    say("one enrollment")
    (person_id,) = site.add(1)
    began_s = time.monotonic()
    version = site.publish().version
    reached = fleet.until(lambda item: item.served >= version)
    result.enrollment_s = _since(began_s, reached)
    say("one erasure")
    _erasure(result, site, fleet, person_id)
    if result.changes:
        say(f"{result.changes} changes while the devices are off")
        _catch_up(result, site, fleet)
    say("restart")
    fleet.respawn()
    states = fleet.states("state")
    result.opened_s = Spread.of([state.opened_s for state in states.values()])
    result.resident_mib = Spread.of([state.resident_mib for state in states.values()])
    result.opening_peak_mib = Spread.of([state.peak_mib for state in states.values()])
    say("one enrollment after it")
    _last_enrollment(result, site, fleet)


def _full_sync(result: SyncBench, fleet: _Devices) -> None:
    began_s = time.monotonic()
    fleet.tell("follow")
    reached = fleet.until(lambda item: item.applied == Version(1, 1))
    result.full_sync_s = _since(began_s, reached)
    states = fleet.states("state")
    result.full_messages = fmean(state.messages for state in states.values())
    result.full_bytes = fmean(state.payload_bytes for state in states.values())
    result.resident_syncing_mib = Spread.of([state.resident_mib for state in states.values()])
    result.syncing_peak_mib = Spread.of([state.peak_mib for state in states.values()])


def _erasure(result: SyncBench, site: SyncSite, fleet: _Devices, person_id: str) -> None:
    site.remove(person_id)
    began_s = time.monotonic()
    version = site.publish().version
    served: dict[str, Reached] = {}

    def erased(item: Reached) -> bool:
        if item.served >= version:
            served.setdefault(item.name, item)
        return item.erased >= version

    reached = fleet.until(erased)
    result.erasure_s = _since(began_s, served)
    result.receipt_s = _since(began_s, reached)


def _catch_up(result: SyncBench, site: SyncSite, fleet: _Devices) -> None:
    before = fleet.states("pause")
    site.enroll(site.people[: result.changes])
    version = site.publish().version
    began_s = time.monotonic()
    fleet.tell("follow")
    reached = fleet.until(lambda item: item.applied >= version)
    result.catch_up_s = _since(began_s, reached)
    states = fleet.states("state")
    result.catch_up_messages = fmean(
        states[name].messages - before[name].messages for name in states
    )
    result.catch_up_bytes = fmean(
        states[name].payload_bytes - before[name].payload_bytes for name in states
    )


def _last_enrollment(result: SyncBench, site: SyncSite, fleet: _Devices) -> None:
    site.add(1)
    version = site.publish().version
    fleet.tell("follow")
    fleet.until(lambda item: item.served >= version)
    states = fleet.states("pause")
    result.swap_peak_mib = Spread.of([state.peak_mib for state in states.values()])
    result.disk_mib = fmean(state.disk_mib for state in states.values())
    right, count = site.digest(), len(site.people)
    result.wrong = sorted(
        name
        for name, state in states.items()
        if not state.agrees or state.digest != right or state.people != count
    )


def _since(began_s: float, reached: dict[str, Reached]) -> Spread:
    return Spread.of([item.at_s - began_s for item in reached.values()])
