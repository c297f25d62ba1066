"""What a device says of itself while faults are injected, and when."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from edgeface.base.messages import Message
from edgeface.contract.topics import Topics
from tests.faults.accounts import Logged


class Said(NamedTuple):
    """What stands from one message on."""

    at_s: float
    lifecycle: str
    session: str
    lines: tuple[str, ...]
    """The reasons of the state, and the alerts with their details."""

    def names(self, words: str) -> bool:
        """Whether something of it names a fault."""
        return any(re.search(words, line) for line in self.lines)


class Hearing:
    """`take` everything below the device's topic; the rest waits for what came."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._alert = topics.alert("camera_frozen").removesuffix("camera_frozen")
        self._changed = threading.Condition()
        self._said = [Said(time.monotonic(), "", "", ())]
        self._reasons: tuple[str, ...] = ()
        self._lifecycle = self._session = ""
        self._alerts: dict[str, str] = {}
        self._events: list[float] = []
        self._logged: dict[str, set[int]] = {}

    def take(self, message: Message) -> None:
        """One message."""
        now_s, topic = time.monotonic(), message.topic
        with self._changed:
            if topic == self._topics.state:
                state = json.loads(message.payload)
                self._reasons = tuple(state["reasons"])
                self._lifecycle, self._session = state["lifecycle"], state["session"]
            elif topic.startswith(self._alert):
                self._alerts.pop(name := topic.removeprefix(self._alert), None)
                if message.payload:
                    self._alerts[name] = f"{name}: {json.loads(message.payload)['detail']}"
            elif topic == self._topics.event:
                self._events.append(now_s)
            elif topic == self._topics.event_log:
                item = Logged.read(message.payload)
                for session, first, last in ((item.session, item.seq, item.seq), *item.gaps):
                    self._logged.setdefault(session, set()).update(range(first, last + 1))
            lines = (*self._reasons, *self._alerts.values())
            self._said.append(Said(now_s, self._lifecycle, self._session, lines))
            self._changed.notify_all()

    @property
    def now(self) -> Said:
        """What stands."""
        return self._said[-1]

    def wait(self, good: Callable[[Said], bool], since_s: float, timeout_s: float) -> float | None:
        """Until something that was said, or stood, after `since_s` is `good`: when; None when it
        is not within `timeout_s` from then on."""
        return self._wait(lambda: self._first(good, since_s), since_s + timeout_s)

    def wait_event(self, since_s: float, timeout_s: float) -> float | None:
        """Until the next live event."""
        return self._wait(
            lambda: next((at_s for at_s in self._events if at_s >= since_s), None),
            since_s + timeout_s,
        )

    def wait_whole(self, timeout_s: float) -> bool:
        """Until no number is missing on the log of any session; else False."""
        found = self._wait(
            lambda: 0.0 if not self.missing() else None, time.monotonic() + timeout_s
        )
        return found is not None

    def missing(self) -> int:
        """Numbers of events that are not on the log, and lower than one that is."""
        return sum(max(numbers) - len(numbers) for numbers in self._logged.values())

    def _first(self, good: Callable[[Said], bool], since_s: float) -> float | None:
        if good(self._said[-1]) and self._said[-1].at_s < since_s:
            return since_s
        return next((s.at_s for s in self._said if s.at_s >= since_s and good(s)), None)

    def _wait(self, look: Callable[[], float | None], end_s: float) -> float | None:
        with self._changed:
            while (found := look()) is None and (left_s := end_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
            return found
