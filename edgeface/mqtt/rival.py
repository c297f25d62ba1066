"""Another daemon of the same name: they would take the broker's connection from each other."""

from __future__ import annotations

from typing import Final

from edgeface.base.backoff import Backoff
from edgeface.base.clock import NS, Clock
from edgeface.contract.report import Status

QUIET_S: Final = 180.0
"""There is no rival any more when none was seen for so long; it comes back within 120 s."""
_DETAIL: Final = (
    "another daemon has the name of this device and uses it at the same broker; give each its own "
    "`device` (and certificate), or stop one of them"
)


class Rival:
    """Known by its session in the device's own status, which nobody else writes. (Not every broker
    says why it closes a connection: mosquitto 2.0.11 does not.) Used by the publisher's thread."""

    def __init__(self, session: str, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._backoff = Backoff(floor_s=5.0, base_s=10.0, cap_s=60.0)
        self._births = 0
        self._heard_own = False
        self._seen_ns: int | None = None

    def born(self) -> None:
        """A connection has begun."""
        self._births += 1

    def saw(self, status: Status) -> None:
        """The device's status as the broker has it. One of another session is a left-over or a late
        will, until this session's own was there: then only that of a second daemon."""
        if status.session == self._session:
            self._heard_own |= status.status == "online"
        elif self._heard_own and (self._births > 1 or status.status == "online"):
            self._seen_ns = self._clock.monotonic_ns()

    @property
    def trouble(self) -> str | None:
        """What is to be done about it, while there is one."""
        seen_ns = self._seen_ns
        if seen_ns is None or self._clock.monotonic_ns() - seen_ns > QUIET_S * NS:
            return None
        return _DETAIL

    def pause_s(self) -> float:
        """How long to leave the broker to it once a connection has ended; 0 without one."""
        if self.trouble is None:
            self._backoff.reset()
            return 0.0
        return self._backoff.next_s()
