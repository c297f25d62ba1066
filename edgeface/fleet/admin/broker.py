"""The administrator at the broker: read what is retained, publish and have it confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from edgeface.base.errors import BrokerError
from edgeface.base.messages import Acknowledged, Message, Publication
from edgeface.mqtt.client import Client
from edgeface.mqtt.options import ConnectionOptions

QUIET_S: Final = 1.0
"""A broker that sends nothing for so long has no more retained messages for a subscription: MQTT
has no mark for their end."""
LONGEST_S: Final = 30.0
"""Nor is it waited for longer than this: a device that goes on publishing would keep the
administrator, and with that the next refresh, waiting for ever."""
MAX_RETAINED_BYTES: Final = 512 * 1024 * 1024
"""Of what is read, as `Message.memory_bytes`: far beyond the gallery of a site."""
_GROUP: Final = 200
"""Acknowledged messages are noted on disk in groups of so many."""
_ANSWER_S: Final = 10.0

_Key = TypeVar("_Key")


class Broker(Client):
    """One connection of the administrator, for a few seconds."""

    def __init__(self, options: ConnectionOptions, *, quiet_s: float | None = None) -> None:
        """`quiet_s` takes the place of `QUIET_S`."""
        super().__init__(options)
        self.latest: dict[str, Message] = {}
        """Topic -> the newest message that arrived."""
        self._latest_bytes = 0
        self._quiet_s = QUIET_S if quiet_s is None else quiet_s

    def retained(
        self,
        filters: Iterable[str],
        enough: Callable[[Mapping[str, Message]], bool] = lambda _: False,
    ) -> Mapping[str, Message]:
        """Subscribe and wait until `enough`, until nothing more comes, or for `LONGEST_S`.

        The subscription stays: later messages are found in `latest`. Raises BrokerError.
        """
        self.subscribe(*filters)
        until_s = time.monotonic() + LONGEST_S
        while not enough(self.latest):
            if self.hear(min(self._quiet_s, until_s - time.monotonic())) is None:
                break
        return self.latest

    def fetch(self, topic: str) -> bytes | None:
        """The retained payload of one topic; None when there is none."""
        self.retained([topic], lambda latest: topic in latest)
        return self.known(topic)

    def known(self, topic: str) -> bytes | None:
        """The payload that came last, without asking again; None when there is none."""
        while self.hear(0.0) is not None:  # it may have come together with an acknowledgement
            pass
        message = self.latest.get(topic)
        return None if message is None else message.payload or None

    def send_all(
        self, items: Iterable[tuple[_Key, Publication]], acknowledged: Callable[[list[_Key]], None]
    ) -> None:
        """Publish all of it, QoS 1; `acknowledged` is told what the broker has, in groups.

        Raises BrokerError when the broker refuses one, or is gone; what was not acknowledged may
        or may not have arrived.
        """
        flying: dict[int, _Key] = {}
        done: list[_Key] = []
        try:
            for key, publication in items:
                while self.free <= 0:
                    self._settle(flying, done)
                    if self.free <= 0 and not flying:
                        raise BrokerError("the broker takes no messages")
                flying[self.send(publication)] = key
                if len(done) >= _GROUP:
                    group, done = done, []
                    acknowledged(group)
            while flying:
                self._settle(flying, done)
        finally:
            if done:
                acknowledged(done)

    def _settle(self, flying: dict[int, _Key], done: list[_Key]) -> None:
        signal = self.hear(_ANSWER_S)
        if isinstance(signal, Acknowledged) and signal.mid in flying:
            done.append(flying.pop(signal.mid))

    def hear(self, timeout_s: float) -> Message | Acknowledged | None:
        """As a client's; what it brings is `latest`."""
        signal = super().hear(timeout_s)
        if isinstance(signal, Message):
            known = self.latest.get(signal.topic)
            self._latest_bytes += signal.memory_bytes - (known.memory_bytes if known else 0)
            self.latest[signal.topic] = signal
            if self._latest_bytes > MAX_RETAINED_BYTES:
                raise BrokerError("the broker sends more than a site's gallery can be")
        return signal
