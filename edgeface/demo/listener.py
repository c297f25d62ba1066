"""A subscriber of the demo's broker that comes back by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgeface.base.messages import Message
from edgeface.mqtt.connection import message_of
from edgeface.mqtt.options import ConnectionOptions, new_client

SESSION_EXPIRY_S: Final = 600
RETRY_S: Final = 1


class Listener:
    """Hands every message of some topics to `on_message`, from paho's thread.

    A `lasting` one has a session that the broker keeps while it is away, as a reader of
    `~/event/log` has to have: the device forgets an event once the broker has taken it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        topics: Sequence[str],
        on_message: Callable[[Message], None],
        on_ready: Callable[[], None],
        *,
        client_id: str,
        lasting: bool = False,
    ) -> None:
        self._topics = tuple(topics)
        self._on_message = on_message
        self._on_ready = on_ready
        self._client = new_client(
            ConnectionOptions(host=host, port=port, client_id=client_id), reconnect=True
        )
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._arrived
        self._client.reconnect_delay_set(min_delay=RETRY_S, max_delay=RETRY_S)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if lasting:
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
        self._client.connect_async(
            host, port, keepalive=10, clean_start=not lasting, properties=properties
        )
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(
        self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _more: Any
    ) -> None:
        if reason.is_failure:
            return
        options = SubscribeOptions(qos=1, retainAsPublished=True)
        self._client.subscribe([(topic, options) for topic in self._topics])

    def _subscribed(
        self, _client: mqtt.Client, _data: Any, _mid: int, codes: Any, _more: Any
    ) -> None:
        if not any(code.is_failure for code in codes):
            self._on_ready()

    def _arrived(self, _client: mqtt.Client, _data: Any, raw: mqtt.MQTTMessage) -> None:
        message = message_of(raw)
        if message is not None:
            self._on_message(message)
