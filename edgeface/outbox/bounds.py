"""The bounds of the outbox: how much waits, what has to go when it is too much, and what went, as
few ranges as it takes, until a `gap` event has announced it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

from edgeface.base.backoff import Backoff
from edgeface.base.clock import NS, Clock
from edgeface.base.errors import ContractError
from edgeface.contract import event
from edgeface.contract.event import DroppedRange, DropReason, Loss
from edgeface.outbox.outbox_file import BrokenFileError, OutboxFile
from edgeface.outbox.rows import Row
from edgeface.settings.mqtt import OutboxSettings

AGE_CHECK_S: Final = 60.0
GAP_PAUSE_MAX_S: Final = 600.0
_CHUNK: Final = 256
MAX_RANGES: Final = 64
"""Ranges in one gap event; more go into the next one."""


def merge(known: Iterable[DroppedRange], more: Iterable[DroppedRange]) -> list[DroppedRange]:
    """`known` with `more` added; a range that goes on where the last one of its session ends with
    the same reason becomes part of it."""
    merged = list(known)
    for new in more:
        last = merged[-1] if merged else None
        ends_before = None if last is None else (last.session, last.reason, last.last_seq + 1)
        if last is not None and ends_before == (new.session, new.reason, new.first_seq):
            merged[-1] = dataclasses.replace(
                last, last_seq=new.last_seq, dropped=last.dropped + new.dropped
            )
        else:
            merged.append(new)
    return merged


def take(ranges: list[DroppedRange]) -> tuple[Loss, list[DroppedRange]]:
    """What the next gap event says, and what is left for another one."""
    now, later = ranges[:MAX_RANGES], ranges[MAX_RANGES:]
    return Loss(dropped=sum(item.dropped for item in now), ranges=tuple(now)), later


def lost_with(rows: list[Row], reason: DropReason) -> list[DroppedRange]:
    """The ranges that are lost with `rows`. A gap event takes what it was to announce with it, so
    those ranges come back."""
    ranges: list[DroppedRange] = []
    for row in rows:
        if row.kind == "gap":
            announced = _announced(row.payload)
            ranges = merge(ranges, () if announced is None else announced.ranges)
        ranges = merge(ranges, [DroppedRange(row.session, row.seq, row.seq, 1, reason)])
    return ranges


def says_unknown(rows: Iterable[Row]) -> bool:
    """Whether a gap event among them says that nobody knows how many are lost."""
    found = (_announced(row.payload) for row in rows if row.kind == "gap")
    return any(loss is not None and loss.dropped is None for loss in found)


def _announced(payload: bytes) -> Loss | None:
    try:
        found = event.parse(payload)
    except ContractError:
        return None
    return found.lost if isinstance(found, event.Gap) else None


class GapPause:
    """How long no gap event is made after one that the broker has refused."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._backoff = Backoff(floor_s=30.0, base_s=60.0, cap_s=GAP_PAUSE_MAX_S)
        self._until_ns = 0

    @property
    def over(self) -> bool:
        """Whether one may be made now."""
        return self._clock.monotonic_ns() >= self._until_ns

    def begin(self) -> None:
        """One was refused."""
        self._until_ns = self._clock.monotonic_ns() + round(self._backoff.next_s() * NS)

    def reset(self) -> None:
        """One was delivered."""
        self._backoff.reset()


class Enforcer:
    """Drops the oldest events of one file beyond the bounds."""

    def __init__(self, limits: OutboxSettings, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._age_checked_ns = clock.monotonic_ns() - round(AGE_CHECK_S * NS)

    def age_due(self, file: OutboxFile) -> bool:
        """Whether it is time to look for events that are too old."""
        since_ns = self._clock.monotonic_ns() - self._age_checked_ns
        return file.count > 0 and since_ns >= AGE_CHECK_S * NS

    def enforce(
        self, file: OutboxFile, added: list[Row]
    ) -> tuple[list[tuple[list[Row], DropReason]], list[DroppedRange | None]]:
        """Drop from `file`, within a transaction, what is spoiled, and what is too old or too much
        now that `added` are in it; what was dropped, and why, and the spoiled ones. Raises
        BrokenFileError when it cannot be made less."""
        dropped: list[tuple[list[Row], DropReason]] = []
        spoiled = file.purge()

        def drop(rows: list[Row], reason: DropReason) -> bool:
            before = file.count
            dropped.append((rows, reason))
            file.remove(row.event_id for row in rows)
            return file.count < before  # where a bit of an id has flipped, its index finds nothing

        if self.age_due(file):
            self._age_checked_ns = self._clock.monotonic_ns()
            while drop(self._aged(file), "age"):
                pass
        # A gap event may exceed the bound, or announcing a loss would cause the next one.
        most = self._limits.max_events + sum(row.kind == "gap" for row in added)
        while file.count > most or file.size > self._limits.max_bytes:
            excess = file.count - most
            oldest = file.oldest(min(max(excess, 1), _CHUNK))
            if file.spoiled:  # of which nobody knew until now
                spoiled += file.purge()
            elif not drop(oldest, "count" if excess > 0 else "bytes"):
                raise BrokenFileError(f"{file.path}: its oldest events cannot be deleted")
        return dropped, spoiled

    def _aged(self, file: OutboxFile) -> list[Row]:
        age_ns = round(self._limits.max_age_s * NS)
        utc_before_ns = self._clock.utc_ns() - age_ns if self._clock.synced() else None
        before_ns = self._clock.boottime_ns() - age_ns
        return file.aged(self._clock.boot_id(), before_ns, utc_before_ns, _CHUNK)
