"""A real mosquitto for tests, and a client that waits for messages instead of sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgeface.base.messages import Message
from edgeface.mqtt.connection import message_of
from edgeface.mqtt.localbroker import LocalBroker

__all__ = ["Arrival", "LocalBroker", "Witness", "running_broker"]

TIMEOUT_S = 10.0


@contextmanager
def running_broker(folder: Path, **options: Any) -> Iterator[LocalBroker]:
    """A broker on a loopback port of its own, stopped at the end."""
    with LocalBroker(folder, **options) as broker:
        yield broker


@dataclass(frozen=True)
class Arrival:
    """A message and when it came."""

    message: Message
    utc_s: float
    expiry_s: int | None
    """What was left of its message expiry."""

    @property
    def topic(self) -> str:
        return self.message.topic


class Witness:
    """Subscribes to topic filters, keeps everything, reconnects by itself."""

    def __init__(self, port: int, *filters: str, host: str = "127.0.0.1") -> None:
        self._filters = filters or ("#",)
        self._arrivals: list[Arrival] = []
        self._changed = threading.Condition()
        self._subscriptions = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect_async(host, port, keepalive=10, clean_start=True)

    def __enter__(self) -> Self:
        self._client.loop_start()
        self.wait_subscribed(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def subscriptions(self) -> int:
        """How often it has (re)subscribed."""
        return self._subscriptions

    @property
    def arrivals(self) -> list[Arrival]:
        with self._changed:
            return list(self._arrivals)

    def on(self, topic: str) -> list[Arrival]:
        """What came on exactly this topic."""
        return [item for item in self.arrivals if item.topic == topic]

    def wait(
        self, enough: Callable[[list[Arrival]], bool], timeout_s: float = TIMEOUT_S
    ) -> list[Arrival]:
        """Until `enough(arrivals)`; fails the test with what came otherwise."""
        with self._changed:
            if not self._changed.wait_for(lambda: enough(self._arrivals), timeout_s):
                seen = [(a.topic, a.message.payload[:200]) for a in self._arrivals]
                raise AssertionError(f"not within {timeout_s} s; there came {seen}")
            return list(self._arrivals)

    def wait_on(self, topic: str, count: int, timeout_s: float = TIMEOUT_S) -> list[Arrival]:
        """Until `count` messages came on `topic`."""
        self.wait(lambda all_: sum(a.topic == topic for a in all_) >= count, timeout_s)
        return self.on(topic)

    def wait_subscribed(self, count: int, timeout_s: float = TIMEOUT_S) -> None:
        """Until it has subscribed `count` times."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._subscriptions >= count, timeout_s)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        user_properties: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Send, QoS 1, and wait for the PUBACK."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if user_properties:
            properties.UserProperty = list(user_properties)
        info = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        info.wait_for_publish(TIMEOUT_S)
        assert info.is_published()

    def _on_connect(self, *_: Any) -> None:
        options = SubscribeOptions(qos=1, retainAsPublished=True)
        self._client.subscribe([(item, options) for item in self._filters])

    def _on_subscribe(self, *_: Any) -> None:
        with self._changed:
            self._subscriptions += 1
            self._changed.notify_all()

    def _on_message(self, _client: Any, _data: Any, raw: mqtt.MQTTMessage) -> None:
        message = message_of(raw)
        assert message is not None
        expiry_s = getattr(raw.properties, "MessageExpiryInterval", None)
        with self._changed:
            self._arrivals.append(Arrival(message, time.time(), expiry_s))
            self._changed.notify_all()


def eventually(condition: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Poll something that offers no event to wait for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)
