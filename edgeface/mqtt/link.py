"""The device's link to its broker: who speaks, the state of the connection, and the callbacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from edgeface.base.clock import Clock
from edgeface.base.messages import Message
from edgeface.contract.topics import Topics
from edgeface.security.keys import SigningKey

OnPuback: TypeAlias = Callable[[int | None], None]
"""Called in the publisher's thread with the PUBACK's reason code (0 for QoS 0), or None when the
publication was not sent or its connection broke."""
Handler: TypeAlias = Callable[[Message], None]
"""Called in the publisher's thread; must only enqueue."""


@dataclass(frozen=True, slots=True)
class DeviceSession:
    """What everything that the device says is addressed, numbered, signed and dated with."""

    topics: Topics
    session: str
    """Its random id."""
    key: SigningKey
    clock: Clock


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """A snapshot of the connection to the broker."""

    connected: bool = False
    """Whether events are being sent now."""
    connections: int = 0
    """Connections made since the start."""
    error: str | None = None
    """Why there is no connection, in words."""
    live_sent: int = 0
    live_missed: dict[str, int] = field(default_factory=dict)
    """Live events that were not handed over, by reason."""
    log_delivered: int = 0
    log_refused: int = 0
