"""A short conversation with a broker: one connection, and everything that is said is waited for."""

from __future__ import annotations

import time
from collections import deque
from typing import Final, Self

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

MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""What may come before a subscription is answered, as `Message.memory_bytes`."""


class Client:
    """A context manager. Used by one thread. Every call raises BrokerError when the
    connection is over, naming why."""

    def __init__(self, options: ConnectionOptions) -> None:
        self._options = options
        self._connection: Connection | None = None
        self._signals: deque[Signal] = deque()
        self._sent: dict[int, str] = {}
        """Topics of what was sent and not acknowledged, by `mid`."""

    def __enter__(self) -> Self:
        self._connection = Connection(self._options)
        self._connection.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave; safe to call twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def free(self) -> int:
        """How many more messages the broker takes now."""
        return self._connected().free

    def subscribe(self, *topic_filters: str) -> None:
        """Listen. Raises BrokerError when the broker does not allow it, or does not answer."""
        mid = self._connected().subscribe([Subscription(topic) for topic in topic_filters])
        deadline = time.monotonic() + self._options.connect_timeout_s
        what, kept, kept_bytes = ", ".join(topic_filters), list(self._signals), 0
        self._signals.clear()
        while True:
            signal = self._next(deadline - time.monotonic())
            if signal is None:
                raise BrokerError(f"the broker does not answer a subscription to {what}")
            if isinstance(signal, Subscribed) and signal.mid == mid:
                if not signal.reasons or max(signal.reasons) >= FAILURE:
                    raise BrokerError(f"the broker does not let this user read {what}")
                break
            kept.append(signal)
            kept_bytes += signal.memory_bytes if isinstance(signal, Message) else 0
            if kept_bytes > MAX_WAITING_BYTES:
                raise BrokerError(f"the broker sends too much before it answers for {what}")
        self._signals.extendleft(reversed(kept))

    def send(self, publication: Publication) -> int:
        """Hand a message to the broker; its `mid`."""
        mid = self._connected().publish(publication)
        self._sent[mid] = publication.topic
        return mid

    def receive(self, timeout_s: float) -> Message | None:
        """The next message; None when none has come in time. Raises BrokerError when the broker
        refuses what was sent."""
        deadline = time.monotonic() + timeout_s
        while (signal := self.hear(deadline - time.monotonic())) is not None:
            if isinstance(signal, Message):
                return signal
        return None

    def hear(self, timeout_s: float) -> Message | Acknowledged | None:
        """The next message or acknowledgement; None when none has come in time. Raises BrokerError
        when the broker refuses what was sent."""
        deadline = time.monotonic() + timeout_s
        while (signal := self._next(deadline - time.monotonic())) is not None:
            if isinstance(signal, Acknowledged):
                topic = self._sent.pop(signal.mid, "a message")
                if signal.reason >= FAILURE:
                    raise BrokerError(
                        f"the broker does not take {topic} from this user: {signal.name}"
                    )
                return signal
            if isinstance(signal, Message):
                return signal
        return None

    def _next(self, timeout_s: float) -> Signal | None:
        deadline = time.monotonic() + timeout_s
        while not self._signals:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            self._signals.extend(self._connected().poll(left_s))
        signal = self._signals.popleft()
        if isinstance(signal, Lost):
            self.close()
            raise BrokerError(f"the connection to the broker broke: {signal.text}")
        return signal

    def _connected(self) -> Connection:
        if self._connection is None:
            raise BrokerError("the connection to the broker is not open")
        return self._connection
