"""What the devices of a site say of themselves, put together from their topics as it comes.

Of it nothing is signed but the events, and nobody checks those here: it is for looking at, not for
acting.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from edgeface.base.errors import ContractError
from edgeface.base.messages import Message
from edgeface.contract import codec, event
from edgeface.contract.event import Recognition
from edgeface.contract.gallery_report import Reported
from edgeface.contract.report import Alert, Health, State, Status
from edgeface.contract.topics import PREFIX

MAX_DEVICES: Final = 1000
MAX_ALERTS: Final = 64
"""Of one device."""
MAX_EVENTS: Final = 100
"""The newest are kept."""
_RETAINED: Final = ("status", "state", "gallery/reported", "alert/+")
_LIVE: Final = ("health", "event/log", "event")


@dataclass(slots=True)
class DeviceView:
    """What one device has said last."""

    status: Status | None = None
    state: State | None = None
    health: Health | None = None
    reported: Reported | None = None
    alerts: dict[str, Alert] = field(default_factory=dict)
    last: Recognition | None = None
    """The newest decision that was seen."""
    faults: dict[str, str] = field(default_factory=dict)
    """Why what it said cannot be read, by the topic below the device's."""


class SiteView:
    """Used by one thread. Its size is bounded, whatever is sent."""

    def __init__(self, site: str, device: str | None = None) -> None:
        """All devices of the site, or one. The ids are those of `Topics`."""
        self.site = site
        self.devices: dict[str, DeviceView] = {}
        self.events: deque[Recognition] = deque(maxlen=MAX_EVENTS)
        """Decisions, the newest first."""
        self._base = f"{PREFIX}/{site}/"
        self._below = f"{self._base}{device or '+'}/"

    @property
    def retained_filters(self) -> list[str]:
        """The topics on which a broker has something at once."""
        return [self._below + name for name in _RETAINED]

    @property
    def filters(self) -> list[str]:
        """All topics that are of use."""
        return self.retained_filters + [self._below + name for name in _LIVE]

    def take(self, message: Message) -> None:
        """Note a message; one that cannot be read is noted as a fault of its device."""
        device, _, below = message.topic.removeprefix(self._base).partition("/")
        if not below or (device not in self.devices and len(self.devices) >= MAX_DEVICES):
            return
        view = self.devices.setdefault(device, DeviceView())
        known = len(view.faults) < MAX_ALERTS or below in view.faults
        view.faults.pop(below, None)
        try:
            self._note(view, below, message)
        except ContractError as error:
            if known:
                view.faults[below] = f"{error.reason}: {error}"

    def _note(self, view: DeviceView, below: str, message: Message) -> None:
        payload = message.payload
        match below.split("/"):
            case ["status"]:
                view.status = codec.from_json(Status, payload) if payload else None
            case ["state"]:
                view.state = codec.from_json(State, payload) if payload else None
            case ["health"]:
                view.health = codec.from_json(Health, payload)
            case ["gallery", "reported"]:
                view.reported = codec.from_json(Reported, payload) if payload else None
            case ["alert", name]:
                view.alerts.pop(name, None)
                if payload and len(view.alerts) < MAX_ALERTS:
                    view.alerts[name] = codec.from_json(Alert, payload)
            case ["event"] | ["event", "log"] if not message.retain:
                self._happened(view, event.parse(payload))

    def _happened(self, view: DeviceView, found: event.Event) -> None:
        if not isinstance(found, Recognition):
            return
        if any(known.event_id == found.event_id for known in self.events):
            return  # it comes on both topics
        self.events.appendleft(found)
        if view.last is None or view.last.decided_at <= found.decided_at:
            view.last = found

    def to_json(self) -> dict[str, Any]:
        """All of it, as the messages had it; None for what has not been said."""
        return {
            "site": self.site,
            "devices": {name: _mapping(self.devices[name]) for name in sorted(self.devices)},
            "events": [codec.to_mapping(found) for found in self.events],
        }


def _mapping(view: DeviceView) -> dict[str, Any]:
    said = {
        "status": view.status,
        "state": view.state,
        "health": view.health,
        "gallery_reported": view.reported,
    }
    return {
        **{name: None if item is None else codec.to_mapping(item) for name, item in said.items()},
        "alerts": [codec.to_mapping(view.alerts[name]) for name in sorted(view.alerts)],
        "faults": view.faults,
    }
