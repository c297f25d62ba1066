"""The bounds of the outbox: how much waits, and what has to go when it is too much."""

from __future__ import annotations

from typing import Final

from edgeface.base.clock import NS, Clock
from edgeface.base.errors import ContractError
from edgeface.contract import event
from edgeface.contract.event import DroppedRange, DropReason
from edgeface.outbox.gaps import merge
from edgeface.outbox.outbox_file import OutboxFile
from edgeface.outbox.rows import OutboxLimits, Row

AGE_CHECK_S: Final = 60.0
_CHUNK: Final = 256


def lost_with(rows: list[Row], reason: DropReason) -> list[DroppedRange]:
    """The ranges that are lost with `rows`. A gap event takes what it was to announce with it, so
    those ranges come back."""
    ranges: list[DroppedRange] = []
    for row in rows:
        if row.kind == "gap":
            ranges = merge(ranges, _announced(row.payload))
        ranges = merge(ranges, [DroppedRange(row.session, row.seq, row.seq, 1, reason)])
    return ranges


def _announced(payload: bytes) -> tuple[DroppedRange, ...]:
    try:
        found = event.parse(payload)
    except ContractError:
        return ()
    return found.lost.ranges if isinstance(found, event.Gap) else ()


class Enforcer:
    """Counts what is in the file and drops the oldest beyond the bounds.

    `enforce` runs inside a transaction; its counts become valid with `commit()`.
    """

    def __init__(self, limits: OutboxLimits, clock: Clock) -> None:
        self.count = 0
        """Events in the file."""
        self.size = 0
        """Bytes of their payloads."""
        self._limits = limits
        self._clock = clock
        self._next = (0, 0)
        self._age_checked_ns: int | None = None
        self._pending: dict[str, tuple[int, int]] = {}

    def begin(self, file: OutboxFile) -> None:
        """Count a file that was just opened."""
        self.count, self.size = file.totals()
        self._pending = file.pending()
        self._age_checked_ns = None

    def age_due(self) -> bool:
        """Whether it is time to look for events that are too old."""
        checked_ns = self._age_checked_ns
        return self.count > 0 and (
            checked_ns is None or self._clock.monotonic_ns() - checked_ns >= AGE_CHECK_S * NS
        )

    def enforce(
        self, file: OutboxFile, removed: tuple[int, int], added: list[Row]
    ) -> list[tuple[list[Row], DropReason]]:
        """Drop from `file` what is too old or too much after `removed` (number, bytes) and `added`;
        what was dropped, and why."""
        count = self.count - removed[0] + len(added)
        size = self.size - removed[1] + sum(len(row.payload) for row in added)
        dropped: list[tuple[list[Row], DropReason]] = []
        while self.age_due() and (aged := self._aged(file)):
            dropped.append((aged, "age"))
            gone = file.remove(row.event_id for row in aged)
            count, size = count - gone[0], size - gone[1]
            if len(aged) < _CHUNK:
                break
        # A gap event may exceed the bound, or announcing a loss would cause the next one.
        spare = sum(row.kind == "gap" for row in added)
        while count > self._limits.max_events + spare or size > self._limits.max_bytes:
            reason: DropReason = "count" if count > self._limits.max_events + spare else "bytes"
            excess = count - self._limits.max_events - spare
            oldest = file.oldest(min(max(excess, 1), _CHUNK))
            if not oldest:
                break
            dropped.append((oldest, reason))
            gone = file.remove(row.event_id for row in oldest)
            count, size = count - gone[0], size - gone[1]
        self._next = (count, size)
        for row in added:
            first, _ = self._pending.get(row.session, (row.seq, row.seq))
            self._pending[row.session] = (first, row.seq)
        return dropped

    def commit(self) -> None:
        """The transaction of `enforce` is on disk."""
        self.count, self.size = self._next
        if self.age_due():
            self._age_checked_ns = self._clock.monotonic_ns()
        if self.count == 0:
            self._pending.clear()

    def forget(self, removed: tuple[int, int]) -> None:
        """Events (number, bytes) were deleted outside `enforce`."""
        self.count, self.size = self.count - removed[0], self.size - removed[1]

    def pending_ranges(self) -> list[DroppedRange]:
        """What is lost when the file breaks: for each session with waiting events the range they
        lie in. Some of a range may have been delivered already. Empty for a file that could
        never be read."""
        return [
            DroppedRange(session, first, last, last - first + 1, "corrupt")
            for session, (first, last) in self._pending.items()
        ]

    def _aged(self, file: OutboxFile) -> list[Row]:
        age_ns = round(self._limits.max_age_s * NS)
        utc_before_ns = self._clock.utc_ns() - age_ns if self._clock.synced() else None
        before_ns = self._clock.boottime_ns() - age_ns
        return file.aged(self._clock.boot_id(), before_ns, utc_before_ns, _CHUNK)
