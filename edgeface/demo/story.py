"""What has been seen so far: events, their log copies, and what the door did about each.

Pure bookkeeping: it is told what arrived and when, and knows no network and no clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeface.base.errors import ContractError
from edgeface.base.messages import Message
from edgeface.contract import event
from edgeface.contract.event import Gap, Recognition
from edgeface.contract.topics import Topics
from edgeface.security.keys import VerifyingKey


@dataclass(slots=True)
class Happening:
    """One event of the device, from all sides. Times are seconds since the demo began."""

    event: Recognition
    """As it arrived first; see `historical` for the log copy."""
    first_s: float
    latency_ms: int
    """From capture to arrival here, by this machine's clock."""
    live_s: float | None = None
    """When it came on `~/event`, for acting."""
    logged_s: float | None = None
    """When it came on `~/event/log`, for knowing."""
    historical: bool = False
    """Its log copy says that it was sent late."""
    signed: bool = True
    """Every copy carries the device's signature."""
    door_s: float | None = None
    """When the door said what it did."""
    opened: bool = False
    reason: str | None = None
    """The door's, for opening or not."""

    @property
    def name(self) -> str | None:
        """Of whom it was recognized, or the id where there is none."""
        match = self.event.match
        return None if match is None else match.display_name or match.person_id


class Story:
    """Fed with what arrives, in any order."""

    def __init__(self, topics: Topics) -> None:
        self.happenings: dict[str, Happening] = {}
        """By event id, in order of their first arrival."""
        self.door_ready = 0
        """How often the door has subscribed: once, and again after the broker was away."""
        self.door_ready_s = 0.0
        self.door_connected = False
        self.door_odd: list[str] = []
        """The door's refusals that belong to no event: forged, retained, malformed."""
        self.lifecycle: str | None = None
        """The daemon's, from `~/state`."""
        self.reasons: tuple[str, ...] = ()
        self.status: str | None = None
        self.faults: list[str] = []
        """Messages of the device that break its contract."""
        self.gaps: list[Gap] = []
        self._topics = topics
        self._opened_early: dict[str, tuple[float, bool, str]] = {}

    def hear(
        self, message: Message, at_s: float, utc_s: float, key: VerifyingKey | None
    ) -> Happening | None:
        """A message from the broker; the event it is of. `key`: the device's, once it is known."""
        if message.topic == self._topics.state:
            self._hear_state(message.payload)
        elif message.topic == self._topics.status:
            self.status = json_object(message.payload).get("status")
        elif message.topic in (self._topics.event, self._topics.event_log):
            return self._hear_event(message, at_s, utc_s, key)
        return None

    def hear_door(self, line: Mapping[str, Any], at_s: float) -> Happening | None:
        """A line of the door; the event it is about, where that is known already."""
        what = str(line.get("door"))
        if what == "ready":
            self.door_ready += 1
            self.door_ready_s, self.door_connected = at_s, True
        elif what == "disconnected":
            self.door_connected = False
        elif what in ("open", "shut"):
            event_id, reason = line.get("event_id"), str(line.get("reason"))
            if not isinstance(event_id, str):
                self.door_odd.append(reason)
                return None
            verdict = (at_s, what == "open", reason)
            happening = self.happenings.get(event_id)
            if happening is None:
                self._opened_early[event_id] = verdict
            else:
                _judge(happening, verdict)
            return happening
        return None

    def _hear_event(
        self, message: Message, at_s: float, utc_s: float, key: VerifyingKey | None
    ) -> Happening | None:
        try:
            found = event.parse(message.payload)
        except ContractError as error:
            self.faults.append(f"{message.topic}: {error}")
            return None
        if isinstance(found, Gap):
            self.gaps.append(found)
            return None
        happening = self.happenings.get(found.event_id)
        if happening is None:
            latency_ms = round((utc_s - found.captured_at.timestamp()) * 1000)
            happening = Happening(found, at_s, latency_ms)
            self.happenings[found.event_id] = happening
            if found.event_id in self._opened_early:
                _judge(happening, self._opened_early.pop(found.event_id))
        happening.signed &= key is not None and key.reason_against(message) is None
        if message.topic == self._topics.event:
            happening.live_s = at_s
        else:
            happening.logged_s = at_s
            happening.historical = found.historical
        return happening

    def _hear_state(self, payload: bytes) -> None:
        state = json_object(payload)
        self.lifecycle, reasons = state.get("lifecycle"), state.get("reasons")
        self.reasons = tuple(map(str, reasons)) if isinstance(reasons, list) else ()


def _judge(happening: Happening, verdict: tuple[float, bool, str]) -> None:
    happening.door_s, opened, happening.reason = verdict
    happening.opened |= opened


def json_object(text: str | bytes) -> dict[str, Any]:
    """The object; an empty one for anything else, as for a cleared retained message."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
