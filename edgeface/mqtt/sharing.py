"""The publisher's connection, for one other thread that subscribes to topics of its own.

A client certificate has one connection: the hardened broker takes the certificate's name for the
client id, so that a second one of the device would push the first one off.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from edgeface.base.errors import BrokerError
from edgeface.base.messages import (
    Acknowledged,
    Lost,
    Message,
    Publication,
    Signal,
    Subscribed,
    Subscription,
)
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.link import OnPuback

MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
"""What has arrived and waits for the thread, as `Message.memory_bytes`; then the shared connection
is over, and what was lost is for its user to ask for again."""
OPEN_S: Final = 1.0
"""`open` waits so long for the publisher's connection."""


class SharedConnection:
    """A `Connection` to its one user's thread, with the same methods; opened again and again.

    It gets the messages whose topic begins with `prefix`. See `Publisher.share`.
    """

    def __init__(
        self,
        prefix: str,
        publish: Callable[[Publication, OnPuback], None],
        borrow: Callable[[Callable[[Connection], None]], None],
    ) -> None:
        self._prefix = prefix
        self._publish = publish
        self._borrow = borrow
        self._changed = threading.Condition()
        self._signals: deque[Signal] = deque()
        self._waiting_bytes = 0
        self._up = False
        self._open = False
        self._number = 0
        self._asked: dict[int, int] = {}
        """The publisher's `mid` -> the number that `subscribe` has returned."""
        self._filters: set[str] = set()

    # The user's thread.

    def open(self) -> None:
        """Begin; a short wait for the publisher's connection. Raises BrokerError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._up, OPEN_S):
                raise BrokerError("the device has no connection to the broker")
            self._open = True

    @property
    def free(self) -> int:
        """How many publications it takes now."""
        return 1 if self._open else 0

    def subscribe(self, subscriptions: Iterable[Subscription]) -> int:
        """As `Connection.subscribe`."""
        wanted = list(subscriptions)
        self._number += 1
        number = self._number
        self._filters.update(item.topic_filter for item in wanted)

        def ask(connection: Connection) -> None:
            self._asked[connection.subscribe(wanted)] = number

        self._borrow(ask)
        return number

    def unsubscribe(self, topic_filters: list[str]) -> None:
        """Give topic filters back."""
        self._filters.difference_update(topic_filters)
        self._borrow(lambda connection: connection.unsubscribe(topic_filters))

    def publish(self, publication: Publication) -> int:
        """Hand a message to the publisher; the number that its `Acknowledged` names. When the
        publisher has no room for it this connection is over, and is to be begun anew."""
        self._number += 1
        number = self._number

        def done(reason: int | None) -> None:
            if reason is not None:
                self._note(Acknowledged(number, reason, f"reason 0x{reason:02x}"))
                return
            with self._changed:
                self._end("a message was not sent")

        self._publish(publication, done)
        return number

    def poll(self, timeout_s: float) -> list[Signal]:
        """What has happened; waits for it at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._signals, timeout_s)
            found = list(self._signals)
            self._signals.clear()
            self._waiting_bytes = 0
        return found

    def close(self) -> None:
        """End; the publisher's connection stays. Safe to call twice."""
        with self._changed:
            self._open = False
            self._signals.clear()
            self._waiting_bytes = 0
        left, self._filters = sorted(self._filters), set()
        if left:
            self._borrow(lambda connection: connection.unsubscribe(left))

    def abort(self) -> None:
        """As `close`: there is nothing to break off."""
        self.close()

    # The publisher's thread.

    def opened(self) -> None:
        """The connection is ready."""
        with self._changed:
            self._up = True
            self._changed.notify_all()

    def lost(self, text: str) -> None:
        """The connection is over."""
        self._asked.clear()
        with self._changed:
            self._up = False
            self._end(text)

    def took(self, message: Message) -> None:
        """A message has come."""
        if not message.topic.startswith(self._prefix):
            return
        with self._changed:
            self._waiting_bytes += message.memory_bytes
            if self._waiting_bytes > MAX_WAITING_BYTES:
                self._end("more has come than can be worked off")
        self._note(message)

    def answered(self, mid: int, reasons: tuple[int, ...]) -> None:
        """SUBACK of the subscriptions `mid`."""
        number = self._asked.pop(mid, None)
        if number is not None:
            self._note(Subscribed(number, reasons))

    def _note(self, signal: Signal) -> None:
        with self._changed:
            if self._open:
                self._signals.append(signal)
                self._changed.notify_all()

    def _end(self, text: str) -> None:
        if self._open:
            self._open = False
            self._signals.append(Lost(0, text))
            self._changed.notify_all()


AnyConnection: TypeAlias = Connection | SharedConnection
"""One of its own, or the shared one."""
