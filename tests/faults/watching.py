"""Who listens: one that writes down `~/event/log`, and doors that act on `~/event`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgeface.base.clock import Clock
from edgeface.base.messages import Message
from edgeface.contract.signatures import SIGNATURE
from edgeface.contract.topics import Topics
from edgeface.door.policy import DoorPolicy
from edgeface.mqtt.connection import message_of
from edgeface.security.keys import VerifyingKey
from tests.faults.accounts import Books, DoorBook, Logged

SESSION_S = 3600
READY_S = 10.0


class Subscriber:
    """Follows one topic at QoS 1 and reconnects by itself.

    `lasting`: the broker keeps its session, and what came meanwhile, while it is away.
    """

    def __init__(
        self, port: int, name: str, topic: str, on: Callable[[Message], None], *, lasting: bool
    ) -> None:
        self._topic = topic
        self._on = on
        self._lasting = lasting
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5
        )
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_S if lasting else 0
        self._client.connect_async(
            "127.0.0.1", port, keepalive=5, clean_start=not lasting, properties=properties
        )

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._subscribed.wait(READY_S), f"cannot subscribe to {self._topic}"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, _client: Any, _data: Any, flags: mqtt.ConnectFlags, _why: Any, _more: Any
    ) -> None:
        if not flags.session_present:
            options = SubscribeOptions(qos=1, retainAsPublished=True)
            self._client.subscribe(self._topic, options=options)

    def _on_message(self, _client: Any, _data: Any, raw: mqtt.MQTTMessage) -> None:
        message = message_of(raw)
        assert message is not None
        self._on(message)


class LogWitness:
    """Writes down everything on `~/event/log`, with its signature checked."""

    def __init__(self, books: Books, key: VerifyingKey) -> None:
        self._books = books
        self._key = key
        self.lock = threading.Lock()
        """Held while the books are written to."""

    def take(self, message: Message) -> None:
        """One message."""
        signature = message.user_property(SIGNATURE)
        with self.lock:
            if signature is None or self._key.reason_against(message) is not None:
                self._books.wrong_signature += 1
            try:
                item = Logged.read(message.payload)
            except (ValueError, KeyError, TypeError):
                self._books.malformed += 1
                return
            self._books.log.append(item)


class Door:
    """The reference door, with a book about what it does that does not rest on its policy."""

    def __init__(self, book: DoorBook, topics: Topics, key: VerifyingKey) -> None:
        self.book = book
        self._policy = DoorPolicy(topics, key, Clock(), same_clock=True)

    def take(self, message: Message) -> None:
        """One message: judged at the moment of its arrival."""
        moment = datetime.now(UTC)
        verdict = self._policy.judge(message)
        book = self.book
        book.verdicts[verdict.reason] += 1
        try:
            found = json.loads(message.payload)
            event_id: str = found["event_id"]
            past_s = (moment - datetime.fromisoformat(found["valid_until"])).total_seconds()
            book.contents[event_id] = Logged.read(message.payload).content
        except (ValueError, KeyError, TypeError):
            book.malformed += 1
            return
        book.arrived[event_id] += 1
        if past_s >= 0:
            book.late_s.append(past_s)
        if verdict.open:
            book.accepted[event_id] += 1
            book.accepted_late += past_s >= 0
