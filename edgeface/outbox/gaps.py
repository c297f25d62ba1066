"""What had to be dropped, as few ranges as it takes, until a `gap` event has announced it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

from edgeface.contract.event import DroppedRange, Loss

MAX_RANGES: Final = 64
"""Ranges in one gap event; more go into the next one."""


def merge(known: Iterable[DroppedRange], more: Iterable[DroppedRange]) -> list[DroppedRange]:
    """`known` with `more` added; a range that goes on where the last one of its session ends with
    the same reason becomes part of it."""
    merged = list(known)
    for new in more:
        last = merged[-1] if merged else None
        if last is not None and _continues(last, new):
            merged[-1] = dataclasses.replace(
                last, last_seq=new.last_seq, dropped=last.dropped + new.dropped
            )
        else:
            merged.append(new)
    return merged


def _continues(last: DroppedRange, new: DroppedRange) -> bool:
    return (last.session, last.reason) == (
        new.session,
        new.reason,
    ) and new.first_seq == last.last_seq + 1


def take(ranges: list[DroppedRange]) -> tuple[Loss, list[DroppedRange]]:
    """What the next gap event says, and what is left for another one."""
    now, later = ranges[:MAX_RANGES], ranges[MAX_RANGES:]
    return Loss(dropped=sum(item.dropped for item in now), ranges=tuple(now)), later
