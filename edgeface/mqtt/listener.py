"""Who only listens: a connection that comes back by itself, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

from edgeface.base.backoff import Backoff
from edgeface.base.errors import BrokerError
from edgeface.base.messages import FAILURE, Lost, Message, Subscribed, Subscription
from edgeface.mqtt.connection import ConnectError, Connection
from edgeface.mqtt.options import ConnectionOptions

STOP_S: Final = 1.0
"""How long the connection may take to end."""


@dataclass(frozen=True, slots=True)
class LinkNews:
    """What became of the connection."""

    kind: Literal["ready", "refused", "unreachable", "disconnected"]
    reason: str = ""


class Listener:
    """Keeps topics subscribed while it is entered. A connection that is lost is followed by a new
    one: who sends nothing has nothing in flight that could come late."""

    def __init__(
        self,
        options: ConnectionOptions,
        wanted: Sequence[Subscription],
        hear: Callable[[Message | LinkNews], None],
        *,
        backoff: Backoff | None = None,
    ) -> None:
        """The first of `wanted` is what it is there for: it is `ready` also when the broker refuses
        the others. `hear` is called from the listener's thread, with every message and what becomes
        of the connection; it must not raise. Raises BrokerFileError when a file that the options
        name cannot be used."""
        self._options = options
        self._wanted = tuple(wanted)
        self._hear = hear
        self._backoff = backoff or Backoff(base_s=1.0, cap_s=4.0)
        self._stop = threading.Event()
        self._connection = Connection(options)
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """End the connection. It may be waiting for a broker that does not answer: it is not waited
        for in turn. Safe to call twice."""
        self._stop.set()
        self._connection.wake()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        while True:
            try:
                self._connection.open()
                self._connection.subscribe(self._wanted)
            except ConnectError as error:
                self._hear(LinkNews(error.kind, error.reason))
            except BrokerError as error:
                self._hear(LinkNews("disconnected", str(error)))
            else:
                self._listen()
            self._connection.close(STOP_S)
            while True:
                if self._stop.wait(self._backoff.next_s()):
                    return
                try:
                    self._connection = Connection(self._options)
                    break
                except OSError as error:  # a BrokerError, or too many open files
                    self._hear(LinkNews("unreachable", str(error)))

    def _listen(self) -> None:
        while not self._stop.is_set():
            for signal in self._connection.poll(1.0):
                if isinstance(signal, Message):
                    self._hear(signal)
                elif isinstance(signal, Subscribed):
                    if signal.reasons and signal.reasons[0] < FAILURE:
                        self._backoff.reset()
                        self._hear(LinkNews("ready"))
                    else:
                        self._hear(LinkNews("refused", signal.name))
                elif isinstance(signal, Lost):
                    self._hear(LinkNews("disconnected", signal.text))
                    return
