"""The writer of the outbox, worked by hand in the test's own thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeface.base.clock import ManualClock
from edgeface.contract import event
from edgeface.contract.event import Gap, new_session
from edgeface.outbox.outbox_writer import Writer
from edgeface.outbox.rows import Row
from edgeface.settings.mqtt import OutboxSettings
from tests.support.messages import TOPICS, sighting


def writer(path: Path, clock: ManualClock, session: str | None = None, **limits: Any) -> Writer:
    found = Writer(
        path,
        TOPICS,
        session or new_session(),
        clock=clock,
        limits=OutboxSettings.model_construct(**limits),
    )
    found.open()
    return found


def take_one(writer: Writer, clock: ManualClock, **changes: Any) -> Row:
    row = writer.take(sighting(clock, **changes))
    assert row is not None
    writer.flush(last=False)
    return row


def waiting(writer: Writer) -> list[Row]:
    return writer.oldest(1_000_000, frozenset())


def numbers(writer: Writer) -> list[int]:
    return [row.seq for row in waiting(writer)]


def announced(writer: Writer) -> Gap:
    writer.announce()
    writer.flush(last=False)
    found = event.parse(waiting(writer)[-1].payload)
    assert isinstance(found, Gap)
    return found
