"""Many devices of `bench fleet` in one process, and who collects what they tell."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import numpy as np

from edgeface.base.errors import EvaluationError
from edgeface.base.messages import (
    FAILURE,
    Acknowledged,
    Lost,
    Message,
    Publication,
    Signal,
    Subscribed,
    Subscription,
)
from edgeface.bench.device_hosts import ChildEnd
from edgeface.bench.events_bench import sample_sighting
from edgeface.bench.sync_device import SITE, DevicePlan, SyncDevice
from edgeface.contract import codec
from edgeface.contract.event import new_session, recognition
from edgeface.contract.topics import PREFIX, Topics
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.options import ConnectionOptions
from edgeface.recognition.frame import Frame
from edgeface.recognition.values import Image
from edgeface.security.keys import SigningKey

COLLECTORS: Final = f"$share/collectors/{PREFIX}/{SITE}/+/event/log"
"""Each event goes to one of the group (MQTT 5.0, section 4.8.2)."""
_POLL_S: Final = 0.25
_NO_IMAGE: Final[Image] = np.zeros((2, 2, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Rush:
    """A load of events from every device."""

    per_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Online:
    """A device has a connection again."""

    name: str
    at_s: float
    """CLOCK_MONOTONIC, which all processes of a machine share."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A device's events of a rush, all acknowledged."""

    name: str
    at_s: dict[str, float]
    """When each was made, by event id."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What one collector got."""

    name: str
    count: int
    """Also of those that came again."""
    at_s: dict[str, float]
    """When, by event id; empty unless all was asked for."""


class _Wire(Connection):
    """Tells its device that it is open, and what the broker has acknowledged."""

    def __init__(self, device: FleetDevice, options: ConnectionOptions) -> None:
        super().__init__(options)
        self._device = device

    def open(self) -> None:
        """See `Connection`."""
        super().open()
        self._device.opened(self)

    def poll(self, timeout_s: float) -> list[Signal]:
        """See `Connection`."""
        signals = super().poll(timeout_s)
        for signal in signals:
            if isinstance(signal, Acknowledged):
                self._device.acknowledged(signal)
        return signals


@dataclass(slots=True)
class _Load:
    """A rush, as far as one device has come with it."""

    rush: Rush
    next_s: float
    until_s: float
    sent: dict[str, float] = field(default_factory=dict)
    waiting: list[Publication] = field(default_factory=list)
    """To be handed to the network, again where the connection was lost meanwhile."""
    in_flight: dict[int, Publication] = field(default_factory=dict)
    """Not acknowledged, by `mid`."""


class FleetDevice(SyncDevice):
    """Follows the gallery and publishes events over the same connection, as a device does."""

    def __init__(self, plan: DevicePlan, tell: Any) -> None:
        super().__init__(plan, tell)
        self._name, self._tell_all = plan.name, tell
        self._topics = Topics(SITE, plan.name)
        self._signing = SigningKey.load(plan.bundle / "state" / "device.key")
        self._session, self._seq = new_session(), 0
        self._wire: Connection | None = None
        self._load: _Load | None = None

    def connection(self, options: ConnectionOptions) -> Connection:
        """See `SyncDevice`."""
        return _Wire(self, options)

    def opened(self, wire: Connection) -> None:
        """It is open; called by the replica's thread. What was in flight is sent again, as by the
        outbox of a device."""
        self._wire = wire
        if self._load is not None:
            self._load.waiting[:0] = self._load.in_flight.values()
            self._load.in_flight.clear()
        self._tell_all(Online(self._name, time.monotonic()))

    def rush(self, rush: Rush, after_s: float) -> None:
        """Publish from `after_s` seconds on."""
        now_s = time.monotonic()
        self._load = _Load(rush, now_s + after_s, now_s + rush.seconds)

    def look(self) -> None:
        """See `SyncDevice`."""
        super().look()
        load, wire = self._load, self._wire
        if load is None or wire is None:
            return
        now_s = time.monotonic()
        while load.next_s <= min(now_s, load.until_s):
            load.waiting.append(self._event(load))
            load.next_s += 1 / load.rush.per_s
        while load.waiting and wire.free > 0:
            load.in_flight[wire.publish(load.waiting[0])] = load.waiting[0]
            del load.waiting[0]
        if load.next_s > load.until_s and not load.waiting and not load.in_flight:
            self._load = None
            self._tell_all(Sent(self._name, load.sent))

    def acknowledged(self, signal: Acknowledged) -> None:
        """The broker has it, or refuses it; called by the replica's thread."""
        if self._load is None or signal.mid not in self._load.in_flight:
            return
        if signal.reason >= FAILURE:
            raise EvaluationError(f"the broker refuses an event: {signal.name}")
        del self._load.in_flight[signal.mid]

    def _event(self, load: _Load) -> Publication:
        self._seq += 1
        event_id, now_ns = str(uuid4()), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        frame = Frame(_NO_IMAGE, "bench", self._seq, datetime.now(UTC), now_ns)
        event = recognition(
            sample_sighting(frame, now_ns),
            {
                "event_id": event_id,
                "seq": self._seq,
                "session": self._session,
                "site": SITE,
                "device": self._name,
                "previous": None,
            },
        )
        payload = codec.to_json(event)
        topic = self._topics.event_log
        properties = self._signing.properties(topic, payload)
        load.sent[event_id] = time.monotonic()
        return Publication(topic, payload, user_properties=properties)


def allow_files() -> None:
    """As many open files as this process may have; a device has about ten."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run_host(plans: Sequence[DevicePlan], line: ChildEnd) -> None:
    """The process: `follow`, a `Rush` and `stop` come in; `Reached`, `Online` and `Sent` go out."""
    allow_files()
    devices = [FleetDevice(plan, line.tell) for plan in plans]
    while True:
        command = line.hear()
        if command == "follow":
            for device in devices:
                device.follow()
        elif command == "state":
            for device in devices:
                line.tell(device.state())
        elif isinstance(command, Rush):
            for number, device in enumerate(devices):
                device.rush(command, number / len(devices) / command.per_s)
        else:
            for device in devices:  # all at once
                device.halt()
            for device in devices:
                device.close()
            return


def run_collector(name: str, host: str, port: int, line: ChildEnd) -> None:
    """The process of one collector, until `stop`; at `count` and `all` it says `Collected`."""
    wire = Connection(ConnectionOptions(host, port, name))
    wire.open()
    wire.subscribe([Subscription(COLLECTORS)])
    at_s: dict[str, float] = {}
    count, subscribed = 0, False
    while True:
        for signal in wire.poll(_POLL_S):
            subscribed = subscribed or isinstance(signal, Subscribed)
            if isinstance(signal, Lost):
                raise EvaluationError(f"{name} lost the broker: {signal.text}")
            if isinstance(signal, Message):
                arrived_s = time.monotonic()
                event_id = str(codec.load(signal.payload)["event_id"])
                count += 1
                at_s.setdefault(event_id, arrived_s)
        if subscribed and line.waits():
            command = line.hear()
            if command == "stop":
                wire.close()
                return
            line.tell(Collected(name, count, at_s if command == "all" else {}))
