"""Who speaks: this device, from one start of the daemon to its end."""

from __future__ import annotations

from dataclasses import dataclass

from edgeface.base.clock import Clock
from edgeface.contract.topics import Topics
from edgeface.security.keys import SigningKey


@dataclass(frozen=True, slots=True)
class DeviceSession:
    """What everything that the device says is addressed, numbered, signed and dated with."""

    topics: Topics
    session: str
    """Its random id."""
    key: SigningKey
    clock: Clock
