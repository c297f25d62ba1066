"""The two alerts that messaging raises itself: the broker refuses, the outbox cannot keep."""

from __future__ import annotations

from edgeface.mqtt.presence import Presence
from edgeface.outbox.rows import OutboxStatus


class Watch:
    """Turns refusals and the outbox's status into alerts."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._refusal: str | None = None

    def refused(self, topic: str, reason: int) -> None:
        """The broker refused a publication with a reason code of 0x80 or more."""
        what = f"{topic}: the broker refuses with reason 0x{reason:02x}"
        if what != self._refusal:
            self._refusal = what
            self._presence.raise_alert("broker_refused", what)

    def accepted(self) -> None:
        """The broker took an event."""
        if self._refusal is not None:
            self._refusal = None
            self._presence.clear_alert("broker_refused")

    def outbox(self, status: OutboxStatus) -> None:
        """The newest snapshot of the outbox."""
        if status.degraded is not None:
            detail = f"events cannot be stored: {status.degraded}"
            self._presence.raise_alert("outbox_dropping", detail)
        elif status.unannounced:
            self._presence.raise_alert("outbox_dropping", "events were dropped")
        else:
            self._presence.clear_alert("outbox_dropping")
