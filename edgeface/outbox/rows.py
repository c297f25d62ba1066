"""The values of the outbox: a waiting event, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from edgeface.base.clock import NS, Clock


@dataclass(frozen=True, slots=True)
class Row:
    """One event that waits for the PUBACK of its log copy."""

    event_id: str
    session: str
    seq: int
    kind: Literal["event", "gap"]
    boot_id: str
    """The boot on which the boot times below were read."""
    created_boottime_ns: int
    created_utc_ns: int
    clock_synced: bool
    """Whether `created_utc_ns` can be trusted."""
    expires_boottime_ns: int
    """End of the validity on CLOCK_BOOTTIME; 0 for an event that is never for acting."""
    payload: bytes
    """Canonical JSON with `historical` false."""

    def remaining_s(self, clock: Clock, session: str) -> float:
        """Validity left, in seconds; never positive for a row of another boot or session."""
        if self.boot_id != clock.boot_id() or self.session != session:
            return 0.0
        return (self.expires_boottime_ns - clock.boottime_ns()) / NS

    def late(self, clock: Clock, session: str) -> bool:
        """Whether the log copy has to say `historical`."""
        if self.kind == "gap":
            return self.session != session
        return self.remaining_s(clock, session) <= 0

    def waits_since(self, clock: Clock) -> datetime:
        """When it was made, by today's idea of the time: its own was wrong where the clock was not
        synchronized. What nobody knows any more is at least as old as this boot."""
        if self.clock_synced:
            return datetime.fromtimestamp(self.created_utc_ns / NS, UTC)
        made_ns = self.created_boottime_ns if self.boot_id == clock.boot_id() else 0
        since_ns = clock.utc_ns() - (clock.boottime_ns() - made_ns)
        return datetime.fromtimestamp(since_ns / NS, UTC)


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """A snapshot for `~/state`, `~/health` and alerts."""

    depth: int = 0
    """Events waiting, those in memory included."""
    bytes: int = 0
    unsaved: int = 0
    """Of these, events that are in memory only."""
    dropped: int = 0
    """Events dropped since the start."""
    dead_letters: int = 0
    """Events since the start that the broker or the contract refused for what is in them."""
    last_seq: int = 0
    """Of this session; 0 before its first event."""
    unannounced: int = 0
    """Dropped events that no gap event has named yet; an unknown number counts as one."""
    gap_due: bool = False
    """Whether a gap event is to be made of them now; not for a while after one was refused."""
    degraded: str | None = None
    """Why nothing can be stored now: `disk_full`, `io_error`, `read_only`, `cannot_open`..."""
    set_aside: Path | None = None
    """Where a broken file was moved to."""

    @property
    def trouble(self) -> str | None:
        """Why events are being lost, or were; None when none is."""
        if self.degraded is not None:
            return f"events cannot be stored: {self.degraded}"
        return "events were dropped" if self.unannounced else None
