"""What is bounded of a packet before paho parses it.

paho reads a packet of any length into memory, keeps each QoS 2 message until its PUBREL, and takes
properties apart in quadratic time: one legal message of 1 MiB stops it for minutes. Whoever may
publish on a topic can send that, so it is refused here, by the packet's raw bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

MAX_PROPERTY_BYTES: Final = 4096
"""Of one packet. What the contract needs of them are some 600."""

_MAX_LENGTH_BYTES: Final = 4
"""Of a variable byte integer (MQTT 5.0, section 1.5.5)."""
_PROPERTIES_AT: Final = {
    PacketTypes.CONNACK: 2,
    PacketTypes.PUBACK: 3,
    PacketTypes.PUBREC: 3,
    PacketTypes.PUBREL: 3,
    PacketTypes.PUBCOMP: 3,
    PacketTypes.SUBACK: 2,
    PacketTypes.UNSUBACK: 2,
    PacketTypes.DISCONNECT: 1,
    PacketTypes.AUTH: 1,
}
"""Where the length of the properties is in the packets that have it at a fixed place (MQTT 5.0,
chapter 3)."""

_log = logging.getLogger(__name__)


class BoundedClient(mqtt.Client):
    """A paho client that ends the connection at a packet of more than `max_packet_bytes`, at a QoS
    2 message, which nobody here subscribes to, and at a malformed one.

    A message with more than `MAX_PROPERTY_BYTES` of properties is acknowledged and dropped: ending
    the connection would let its sender keep everybody off. It overrides two of paho's own methods,
    `_sock_recv` and `_packet_handle`, which 2.1 and 2.2 have.
    """

    def __init__(self, *arguments: Any, max_packet_bytes: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.properties: Properties | None = None
        """Of the message that `on_message` is called with; None where it is to be dropped."""
        self._max_packet_bytes = max_packet_bytes
        self._warned = False

    def _sock_recv(self, bufsize: int) -> bytes:
        """paho asks for all that is left of a packet at once, and takes an OSError for the end."""
        if bufsize > self._max_packet_bytes:
            raise OSError(f"a packet of {bufsize} bytes, {self._max_packet_bytes} at most")
        return super()._sock_recv(bufsize)

    def _packet_handle(self) -> MQTTErrorCode:
        command, packet = self._in_packet["command"], self._in_packet["packet"]
        kind = command >> 4
        if kind == PacketTypes.PUBLISH:
            self._screen(packet, qos=command >> 1 & 3)
            self._in_packet["remaining_length"] = len(packet)
        elif (at := _PROPERTIES_AT.get(kind)) is not None and len(packet) > at:
            length, _ = read_length(packet, at)
            if length > MAX_PROPERTY_BYTES:
                raise ValueError(f"{length} bytes of properties, at most {MAX_PROPERTY_BYTES}")
        return super()._packet_handle()

    def _screen(self, packet: bytearray, qos: int) -> None:
        """Take the properties out of a PUBLISH. Raises ValueError where there can be none such."""
        if qos > 1:
            raise ValueError("a message of QoS 2, which was not asked for")
        topic_end = 2 + int.from_bytes(packet[:2], "big")
        at = topic_end + (2 if qos else 0)
        length, begin = read_length(packet, at)
        end = begin + length
        if end > len(packet):
            raise ValueError("the properties are longer than their packet")
        if length > MAX_PROPERTY_BYTES:
            self.properties = None
            self._warn(bytes(packet[2 : min(topic_end, 200)]))
            del packet[end:]
        else:
            self.properties = publish_properties(bytes(packet[begin:end]))
        packet[at:end] = b"\0"

    def _warn(self, topic: bytes) -> None:
        """Once for each connection: whoever sends one such message sends more."""
        if not self._warned:
            self._warned = True
            _log.warning(
                "messages with more than %d bytes of properties are dropped; the first was on %s",
                MAX_PROPERTY_BYTES,
                topic.decode(errors="replace"),
            )


def read_length(packet: bytes | bytearray, at: int) -> tuple[int, int]:
    """The variable byte integer at `at`, and where it ends. Raises ValueError."""
    value = 0
    for index, byte in enumerate(packet[at : at + _MAX_LENGTH_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError("a variable byte integer without an end")


def publish_properties(data: bytes) -> Properties:
    """The properties of a PUBLISH that matter here, in time linear to their length: user
    properties, response topic and correlation data (MQTT 5.0, section 3.3.2.3).

    Raises ValueError for what is malformed and for topic aliases, which no client of ours allows.
    """
    pairs: list[tuple[str, str]] = []
    found: dict[str, object] = {}
    at = 0
    while at < len(data):
        kind, at = data[at], at + 1
        if kind == _USER_PROPERTY:
            name, at = _text(data, at)
            value, at = _text(data, at)
            pairs.append((name, value))
        elif kind in _READERS:
            label, read = _READERS[kind]
            item, at = read(data, at)
            if label in found:
                raise ValueError(f"the property {label} is there twice")
            if kind != _SUBSCRIPTION_IDENTIFIER:
                found[label] = item
        else:
            raise ValueError(f"a message has no property {kind}")
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for label in ("ResponseTopic", "CorrelationData"):
        if label in found:
            setattr(properties, label, found[label])
    if pairs:
        properties.UserProperty = pairs
    return properties


def _binary(data: bytes, at: int) -> tuple[bytes, int]:
    begin = at + 2
    end = begin + int.from_bytes(data[at:begin], "big")
    if begin > len(data) or end > len(data):
        raise ValueError("a property is longer than its packet")
    return data[begin:end], end


def _text(data: bytes, at: int) -> tuple[str, int]:
    value, end = _binary(data, at)
    return value.decode("utf-8"), end


def _integer(size: int) -> Callable[[bytes, int], tuple[int, int]]:
    def read(data: bytes, at: int) -> tuple[int, int]:
        if at + size > len(data):
            raise ValueError("a property is longer than its packet")
        return int.from_bytes(data[at : at + size], "big"), at + size

    return read


_USER_PROPERTY: Final = 38
_SUBSCRIPTION_IDENTIFIER: Final = 11
_READERS: Final[dict[int, tuple[str, Callable[[bytes, int], tuple[object, int]]]]] = {
    1: ("PayloadFormatIndicator", _integer(1)),
    2: ("MessageExpiryInterval", _integer(4)),
    3: ("ContentType", _text),
    8: ("ResponseTopic", _text),
    9: ("CorrelationData", _binary),
    _SUBSCRIPTION_IDENTIFIER: ("SubscriptionIdentifier", read_length),
}
