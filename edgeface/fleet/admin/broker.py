"""The administrator at the broker: read what is retained, publish and have it confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Self, TypeVar

from edgeface.base.errors import BrokerError
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
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.options import ConnectionOptions

QUIET_S: Final = 1.0
"""A broker that sends nothing for so long has no more retained messages for a subscription: MQTT
has no mark for their end."""
LONGEST_S: Final = 30.0
"""Nor is it waited for longer than this: a device that goes on publishing would keep the
administrator, and with that the next refresh, waiting for ever."""
_GROUP: Final = 200
"""Acknowledged messages are noted on disk in groups of so many."""
_ANSWER_S: Final = 10.0

_Key = TypeVar("_Key")


class Broker:
    """One connection of the administrator, for a few seconds."""

    def __init__(self, options: ConnectionOptions, *, quiet_s: float | None = None) -> None:
        """Connect. `quiet_s` takes the place of `QUIET_S`. Raises BrokerError."""
        self.latest: dict[str, Message] = {}
        """Topic -> the newest message that arrived."""
        self._quiet_s = QUIET_S if quiet_s is None else quiet_s
        self._connection = Connection(options)
        self._connection.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def retained(
        self,
        filters: Iterable[str],
        enough: Callable[[Mapping[str, Message]], bool] = lambda _: False,
    ) -> Mapping[str, Message]:
        """Subscribe and wait until `enough`, until nothing more comes, or for `LONGEST_S`.

        The subscription stays: later messages are found in `latest`. Raises BrokerError.
        """
        wanted = self._connection.subscribe([Subscription(topic) for topic in filters])
        began_s = time.monotonic()
        deadline = began_s + _ANSWER_S
        subscribed = wanted is None
        while True:
            left_s = deadline - time.monotonic()
            if subscribed and (left_s <= 0 or enough(self.latest)):
                return self.latest
            if left_s <= 0:
                raise BrokerError("the broker did not answer to SUBSCRIBE")
            for signal in self._poll(left_s):
                if isinstance(signal, Subscribed) and signal.mid == wanted:
                    subscribed = True
                    if any(reason >= FAILURE for reason in signal.reasons):
                        raise BrokerError("the broker does not let us subscribe to the gallery")
                    deadline = time.monotonic() + self._quiet_s
                elif isinstance(signal, Message) and subscribed:
                    deadline = min(time.monotonic() + self._quiet_s, began_s + LONGEST_S)

    def fetch(self, topic: str) -> bytes | None:
        """The retained payload of one topic; None when there is none."""
        message = self.retained([topic], lambda latest: topic in latest).get(topic)
        return message.payload if message is not None and message.payload else None

    def send(
        self,
        items: Iterable[tuple[_Key, Publication]],
        acknowledged: Callable[[list[_Key]], None],
    ) -> None:
        """Publish all of it, QoS 1; `acknowledged` is told what the broker has, in groups.

        Raises BrokerError when the broker refuses one, or is gone; what was not acknowledged may
        or may not have arrived.
        """
        flying: dict[int, tuple[_Key, str]] = {}
        source = iter(items)
        done: list[_Key] = []
        exhausted = False
        try:
            while flying or not exhausted:
                while not exhausted and self._connection.free > 0:
                    item = next(source, None)
                    if item is None:
                        exhausted = True
                        break
                    key, publication = item
                    mid = self._connection.publish(publication)
                    flying[mid] = (key, publication.topic)
                if not flying and not exhausted:
                    self._poll(_ANSWER_S)  # says why nothing can be sent, as a rule
                    raise BrokerError("the connection to the broker is over")
                for signal in self._poll(_ANSWER_S) if flying else ():
                    if not isinstance(signal, Acknowledged) or signal.mid not in flying:
                        continue
                    key, topic = flying.pop(signal.mid)
                    if signal.reason >= FAILURE:
                        raise BrokerError(f"{topic}: the broker refused: {signal.name}")
                    done.append(key)
                if len(done) >= _GROUP:
                    group, done = done, []
                    acknowledged(group)
        finally:
            if done:
                acknowledged(done)

    def _poll(self, timeout_s: float) -> list[Signal]:
        signals = self._connection.poll(min(timeout_s, 0.5))
        for signal in signals:
            if isinstance(signal, Lost):
                raise BrokerError(f"the connection to the broker broke: {signal.text}")
            if isinstance(signal, Message):
                self.latest[signal.topic] = signal
        return signals
