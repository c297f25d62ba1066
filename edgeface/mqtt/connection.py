"""One MQTT 5 connection: a new paho client for each, clean start, nothing carried over.

paho re-sends what was in flight when it reconnects by itself, and the broker then grants each
message its full expiry anew. So a client here lives for one connection: it never reconnects, and
what it had in flight is forgotten with it. The network is worked by the owner's thread through
paho's external loop calls, so that no callback runs anywhere else, and none does more than note a
signal.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

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
from edgeface.mqtt.options import PROTOCOL_MAX_INFLIGHT, ConnectionOptions, new_client
from edgeface.security.tls import explain_closing, explain_failure, explain_refusal

_TAKEN_OVER: Final = 0x8E
"""The broker ended the connection for a newer one of the same client id (MQTT 5.0, 3.14.2.1)."""
_PACKET_OVERHEAD_BYTES: Final = 24
"""Of a PUBLISH: its header, packet identifier, and what has a fixed length in its properties."""
_PROTOCOL_ERROR: Final = 0x82


class ConnectError(BrokerError):
    """Raised when there is no connection to the broker; `reason` is without the broker's name."""

    def __init__(
        self,
        options: ConnectionOptions,
        kind: Literal["unreachable", "refused", "disconnected"],
        reason: str,
    ) -> None:
        where = f"broker {options.host}:{options.port}"
        super().__init__(f"{where}{'' if kind == 'unreachable' else ' refused'}: {reason}")
        self.kind: Final = kind
        self.reason: Final = reason


class Connection:
    """One connection, from CONNECT to its end. Everything is called from one thread, but for
    `wake()`."""

    def __init__(self, options: ConnectionOptions, will: Publication | None = None) -> None:
        self.receive_maximum = PROTOCOL_MAX_INFLIGHT
        """How many publications the broker takes unacknowledged."""
        self.maximum_packet_bytes: int | None = None
        """The largest packet the broker takes; None: no bound."""
        self._options = options
        self._signals: list[Signal] = []
        self._in_flight: dict[int, float] = {}
        self._connack: ReasonCode | None = None
        self._over = False
        self._client = new_client(options)
        self._mishap: str | None = None
        """paho's words for the last failure of the socket, which it only logs."""
        self._client.on_log = self._on_log
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        # Its presence makes paho leave writing to the loop below.
        self._client.on_socket_register_write = lambda *_: None
        if will is not None:
            self._client.will_set(will.topic, will.payload, will.qos, will.retain)
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._socket: Any = None

    def open(self) -> None:
        """Connect and wait for the CONNACK. Raises ConnectError."""
        options = self._options
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = options.max_packet_bytes
        if options.session_expiry_s:
            properties.SessionExpiryInterval = options.session_expiry_s
        try:
            self._client.connect(
                options.host,
                options.port,
                keepalive=options.keepalive_s,
                clean_start=not options.session_expiry_s,
                properties=properties,
            )
        except (OSError, ValueError) as error:
            self.abort()
            reason = explain_failure(
                error, host=options.host, tls=options.tls, ca_file=options.ca_file
            )
            raise ConnectError(options, "unreachable", reason) from error
        self._socket = self._client.socket()
        self._selector.register(self._socket, selectors.EVENT_READ)
        deadline = time.monotonic() + options.connect_timeout_s
        while self._connack is None and not self._over:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                self.abort()
                raise ConnectError(options, "unreachable", "no answer to CONNECT")
            self._work(left_s)
        connack = self._connack
        if connack is None or connack.value >= FAILURE:
            self.abort()
            certificate = options.cert_file is not None
            if connack is None:
                reason = explain_closing(self._mishap, tls=options.tls, certificate=certificate)
                raise ConnectError(options, "disconnected", reason)
            reason = explain_refusal(
                connack.value, str(connack), username=options.username, certificate=certificate
            )
            raise ConnectError(options, "refused", reason)

    @property
    def in_flight(self) -> int:
        """Publications without a PUBACK."""
        return len(self._in_flight)

    @property
    def free(self) -> int:
        """How many more publications the broker takes now."""
        return 0 if self._over else max(0, self.receive_maximum - len(self._in_flight))

    def takes(self, publication: Publication) -> bool:
        """Whether it is within the broker's Maximum Packet Size, which must be kept (MQTT 5.0,
        section 3.2.2.3.6); as the length of the packet is reckoned a few bytes too high."""
        if self.maximum_packet_bytes is None:
            return True
        texts = [publication.topic, publication.response_topic or ""]
        texts += [text for pair in publication.user_properties for text in pair]
        size = sum(len(text.encode()) + 3 for text in texts) + _PACKET_OVERHEAD_BYTES
        size += len(publication.payload) + len(publication.correlation_data or b"")
        return size <= self.maximum_packet_bytes

    def publish(self, publication: Publication) -> int:
        """Hand a message to the network; its `mid`, which the PUBACK (QoS 1) will name.

        The caller keeps below `free`. Raises BrokerError when the connection is over.
        """
        if self._over:
            raise BrokerError("the connection to the broker is over")
        if publication.expiry_s is not None and publication.expiry_s < 1:
            raise ValueError("an expiry below one second would mean for ever")
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if publication.expiry_s is not None:
            properties.MessageExpiryInterval = publication.expiry_s
        if publication.user_properties:
            properties.UserProperty = list(publication.user_properties)
        if publication.correlation_data is not None:
            properties.CorrelationData = publication.correlation_data
        if publication.response_topic is not None:
            properties.ResponseTopic = publication.response_topic
        sent = self._client.publish(
            publication.topic, publication.payload, publication.qos, publication.retain, properties
        )
        if sent.rc != mqtt.MQTT_ERR_SUCCESS:
            raise BrokerError(f"cannot publish: {mqtt.error_string(sent.rc)}")
        if publication.qos > 0:
            self._in_flight[sent.mid] = time.monotonic()
        return sent.mid

    def subscribe(self, subscriptions: Iterable[Subscription]) -> int:
        """Ask for topic filters, at least one; the `mid` that the SUBACK will name."""
        wanted = [
            (
                item.topic_filter,
                # A message that was published as retained can be told from others.
                SubscribeOptions(
                    qos=1, retainAsPublished=True, retainHandling=item.retain_handling
                ),
            )
            for item in subscriptions
        ]
        code, mid = self._client.subscribe(wanted)
        if code != mqtt.MQTT_ERR_SUCCESS or mid is None:
            raise BrokerError(f"cannot subscribe: {mqtt.error_string(code)}")
        return mid

    def unsubscribe(self, topic_filters: list[str]) -> None:
        """Give topic filters back."""
        if topic_filters and not self._over:
            self._client.unsubscribe(topic_filters)

    def poll(self, timeout_s: float) -> list[Signal]:
        """Work the network until something happened, `wake()` was called, or the time is over."""
        if not self._over and not self._signals:
            self._work(timeout_s)
        # A broker that keeps the connection but acknowledges nothing is as good as gone.
        limit_s = 2.0 * self._options.keepalive_s
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is not None and time.monotonic() - oldest > limit_s:
            self._end(0, f"no PUBACK within {limit_s:.0f} s")
        signals, self._signals = self._signals, []
        return signals

    def wake(self) -> None:
        """Make `poll` return; from any thread."""
        with suppress(OSError):
            self._wake_out.send(b"\0")

    def close(self, timeout_s: float = 1.0) -> None:
        """Send DISCONNECT, which makes the broker discard the will, then end."""
        if not self._over:
            self._client.disconnect()
            deadline = time.monotonic() + timeout_s
            while not self._over and (left_s := deadline - time.monotonic()) > 0:
                self._work(left_s)
        self.abort()

    def abort(self) -> None:
        """End at once, without DISCONNECT: the broker publishes the will. Safe to call twice."""
        self._over = True
        sock = self._client.socket()
        if sock is not None:
            with suppress(OSError):
                sock.close()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _work(self, timeout_s: float) -> None:
        """One round of the network: wait, read, write, keep alive."""
        client = self._client
        current: Any = client.socket()
        sock: Any = self._socket
        if current is None or current is not sock or sock.fileno() < 0:
            self._end(0, "the connection was closed")
            return
        interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.want_write() else 0)
        self._selector.modify(sock, interest)
        buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        ready = self._selector.select(0 if buffered else min(max(0.0, timeout_s), 1.0))
        try:
            for key, events in ready:
                if key.fileobj is self._wake_in:
                    with suppress(BlockingIOError):
                        self._wake_in.recv(4096)
                    continue
                if events & selectors.EVENT_READ:
                    buffered = True
                if events & selectors.EVENT_WRITE and not self._over:
                    client.loop_write()
            if buffered and not self._over:
                client.loop_read()
            if not self._over and client.want_write():
                client.loop_write()
            if not self._over:
                client.loop_misc()
        except Exception as error:  # noqa: BLE001 - paho raises anything on a malformed packet
            self._end(0, f"malformed packet from the broker: {error!r}")

    def _end(self, reason: int, text: str) -> None:
        if not self._over:
            self._over = True
            self._signals.append(Lost(reason, text))

    # paho's callbacks; they run inside `_work` and only take notes.

    def _on_log(self, _client: mqtt.Client, _data: Any, level: int, text: str) -> None:
        if level == mqtt.MQTT_LOG_ERR:
            self._mishap = text

    def _on_connect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, answer: Any
    ) -> None:
        self._connack = reason
        self.receive_maximum = getattr(answer, "ReceiveMaximum", PROTOCOL_MAX_INFLIGHT)
        self.maximum_packet_bytes = getattr(answer, "MaximumPacketSize", None)

    def _on_disconnect(
        self, _client: mqtt.Client, _data: Any, flags: Any, reason: ReasonCode, _answer: Any
    ) -> None:
        # A PUBACK with a reason that is none of a PUBACK's (mosquitto: 0x95) ends here as well.
        telling = flags.is_disconnect_packet_from_server or reason.value == _PROTOCOL_ERROR
        text = str(reason) if telling else self._mishap or str(reason)
        if reason.value == _TAKEN_OVER:
            text = "another client uses this name"
        self._end(reason.value if telling else 0, text)

    def _on_publish(
        self, _client: mqtt.Client, _data: Any, mid: int, reason: ReasonCode, _answer: Any
    ) -> None:
        if self._in_flight.pop(mid, None) is not None:
            self._signals.append(Acknowledged(mid, reason.value, str(reason)))

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, mid: int, reasons: list[ReasonCode], _answer: Any
    ) -> None:
        worst = max(reasons, key=lambda reason: reason.value >= FAILURE, default=None)
        codes = tuple(reason.value for reason in reasons)
        self._signals.append(
            Subscribed(mid, codes) if worst is None else Subscribed(mid, codes, str(worst))
        )

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        properties = self._client.properties
        if properties is None:
            return
        message.properties = properties
        found = message_of(message)
        if found is not None:
            self._signals.append(found)


def message_of(message: mqtt.MQTTMessage) -> Message | None:
    """paho's message as ours; None when its topic is no UTF-8."""
    try:
        topic = message.topic
    except UnicodeDecodeError:
        return None
    properties = message.properties
    return Message(
        topic=topic,
        payload=bytes(message.payload),
        qos=message.qos,
        retain=message.retain,
        user_properties=tuple(getattr(properties, "UserProperty", ())),
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation_data=getattr(properties, "CorrelationData", None),
    )
