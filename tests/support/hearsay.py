"""Events as the demo hears them, signed by a device of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgeface.base.clock import NS, ManualClock
from edgeface.base.ids import uuid7
from edgeface.base.messages import Message
from edgeface.contract import codec, event
from edgeface.contract.event import Identity, Recognition
from edgeface.contract.topics import Topics
from edgeface.demo.plan import DEVICE, SITE
from edgeface.demo.story import Story
from edgeface.security.keys import SigningKey
from tests.support.messages import sighting

SESSION = "aaaaaaaa"


class Hearsay:
    """A story, and a device that is heard of in it."""

    def __init__(self) -> None:
        self.topics = Topics(SITE, DEVICE)
        self.key = SigningKey.generate()
        self.clock = ManualClock()
        self.story = Story(self.topics)
        self.seq = 0

    @property
    def utc_s(self) -> float:
        return self.clock.utc_ns() / NS

    def event(self, **changes: Any) -> Recognition:
        """The next event of the device."""
        self.seq += 1
        identity = Identity(
            event_id=uuid7(self.clock.utc_ns()),
            seq=self.seq,
            session=SESSION,
            site=SITE,
            device=DEVICE,
            previous=None,
        )
        return event.recognition(sighting(self.clock, **changes), identity)

    def message(self, found: Recognition, *, log: bool = False, late: bool = False) -> Message:
        payload = codec.to_json(dataclasses.replace(found, historical=late))
        topic = self.topics.event_log if log else self.topics.event
        return Message(topic, payload, 1, False, self.key.properties(topic, payload))

    def hear(self, message: Message, at_s: float = 1.0) -> None:
        self.story.hear(message, at_s, self.utc_s, self.key.public)

    def live(self, at_s: float = 1.0, **changes: Any) -> Recognition:
        """An event on both topics."""
        found = self.event(**changes)
        self.hear(self.message(found), at_s)
        self.hear(self.message(found, log=True), at_s)
        return found

    def late(self, at_s: float = 9.0, **changes: Any) -> Recognition:
        """An event on the log topic alone, too late to act on."""
        found = self.event(**changes)
        self.hear(self.message(found, log=True, late=True), at_s)
        return found

    def door(self, found: Recognition, *, opens: bool, at_s: float = 1.1) -> None:
        line = {"door": "open" if opens else "shut", "reason": "ok" if opens else "not_recognized"}
        self.story.hear_door(line | {"event_id": found.event_id}, at_s)
