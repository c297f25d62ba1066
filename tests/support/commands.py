"""Requests by hand, somebody to stand at the door, and a caller that waits."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeface.base.messages import Message, Publication
from edgeface.contract.codec import format_time
from edgeface.contract.command_requests import new_transaction
from tests.support.messages import TOPICS

SESSION = "0123456789abcdef"
CLIENT = "door.hq.front"


def fields(session: str = SESSION, **changes: Any) -> dict[str, Any]:
    """A good request; a change to `...` leaves the field out."""
    expires_at = format_time(datetime.now(UTC) + timedelta(seconds=20))
    values = {"transaction": new_transaction(), "session": session, "expires_at": expires_at}
    return {name: value for name, value in (values | changes).items() if value is not ...}


def message(verb: str, payload: dict[str, Any] | bytes, **changes: Any) -> Message:
    """A command as it arrives."""
    values: dict[str, Any] = {
        "topic": TOPICS.command(verb),
        "payload": payload if isinstance(payload, bytes) else json.dumps(payload).encode(),
        "qos": 1,
        "retain": False,
        "response_topic": TOPICS.response(verb, CLIENT),
        "correlation_data": b"42",
    }
    return Message(**(values | changes))


def publication(verb: str, payload: dict[str, Any] | bytes, **changes: Any) -> Publication:
    """The same, to be sent."""
    found = message(verb, payload)
    values: dict[str, Any] = {
        "topic": found.topic,
        "payload": found.payload,
        "response_topic": found.response_topic,
        "correlation_data": found.correlation_data,
    }
    return Publication(**(values | changes))


def write_person(folder: Path, photograph: Path, frames: int = 42, gap: int = 6) -> Path:
    """A folder of pictures of somebody who moves about, and of nobody for a moment."""
    folder.mkdir()
    picture = cv2.imread(str(photograph))
    assert picture is not None
    height, width = picture.shape[:2]
    for step in range(frames + gap):
        image = np.full((480, 640, 3), 90, np.uint8)
        if step < frames:
            size = 460 / height * (1 + 0.1 * np.sin(step / 7))
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), 8 * np.sin(step / 5), size)
            turn[:, 2] += (320 - width / 2 + 20 * np.sin(step / 9), 250 - height / 2)
            image = np.asarray(
                cv2.warpAffine(picture, turn, (640, 480), borderValue=(90, 90, 90)), np.uint8
            )
        cv2.imwrite(str(folder / f"{step:04d}.png"), image)
    return folder
