"""What goes to and comes from an MQTT connection, free of paho's types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

FAILURE: Final = 0x80
"""Reason codes from here on are refusals (MQTT 5.0, section 2.4)."""

UserProperties: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Publication:
    """One message to send."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    """Message expiry in whole seconds, at least 1: to mosquitto 0 means for ever."""
    user_properties: UserProperties = ()
    correlation_data: bytes | None = None
    response_topic: str | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic filter to receive."""

    topic_filter: str
    retain_handling: int = 0
    """0: retained messages are sent on subscribing, 1: only if new, 2: never."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message that arrived."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    user_properties: UserProperties = ()
    response_topic: str | None = None
    correlation_data: bytes | None = None

    @property
    def memory_bytes(self) -> int:
        """About what it takes in memory; an empty one as well."""
        return len(self.payload) + len(self.topic) + 500 + 250 * len(self.user_properties)

    def user_property(self, name: str) -> str | None:
        """The value of a user property; None when it is absent or there more than once."""
        values = [value for key, value in self.user_properties if key == name]
        return values[0] if len(values) == 1 else None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """PUBACK of the publication `mid`."""

    mid: int
    reason: int
    name: str
    """The reason in words."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """SUBACK of the subscriptions `mid`, one reason for each filter."""

    mid: int
    reasons: tuple[int, ...]
    name: str = "no reason given"
    """The first refusal among them in words, or the first."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is over. `reason` is 0 unless the broker gave one."""

    reason: int
    text: str


Signal: TypeAlias = Acknowledged | Subscribed | Message | Lost
