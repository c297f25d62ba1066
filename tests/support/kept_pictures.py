"""Sealed pictures of decisions, put into a device's folder as the daemon puts them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from edgeface.base.ids import uuid7
from edgeface.contract.answers import SnapshotData
from edgeface.contract.event import Outcome
from edgeface.security.sealing import AdministratorSecret, picture_context
from edgeface.service.snapshot_folder import SnapshotFolder

SECRET = AdministratorSecret.generate()
PICTURE = b"a JPEG"


def kept_picture(
    folder: Path | SnapshotFolder,
    *people: str,
    age_s: float = 0.0,
    boottime_s: float = 0.0,
    picture: bytes = PICTURE,
    outcome: Outcome = "unknown",
) -> str:
    """Put one there; the id of its event."""
    event_id = uuid7(time.time_ns() - round(age_s * 1e9))
    data = SnapshotData(
        captured_at=datetime.now(UTC),
        width=80,
        height=90,
        faces=1,
        sealed=SECRET.public.seal(picture, picture_context("hq", "door-1", event_id)),
        event_id=event_id,
    )
    found = folder if isinstance(folder, SnapshotFolder) else SnapshotFolder(folder)
    found.put(data, outcome, people, boottime_s)
    return event_id
