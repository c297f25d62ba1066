"""The frames that the daemon recorded, read back, and whom they showed."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from edgeface.capture.simulated import Visits
from edgeface.demo.photographs import NAMES, held_name
from edgeface.recognition.values import Box, Image
from edgeface.settings.camera import SimulatedCamera

NOBODY: Final = "nobody"
NEAR_S: Final = 0.5
"""A recorded frame so near to a moment settles what was in view then."""


@dataclass(frozen=True, slots=True)
class RecordedFace:
    """One face of a recorded frame."""

    track_id: int
    box: Box
    face_px: float | None
    gate: str | None
    """What refused it; None for a good crop."""


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One recorded frame; see `service.recorder.description`."""

    path: Path
    """The picture."""
    captured_at: datetime
    sequence: int
    size: tuple[int, int]
    """Width and height of the frame; the picture has a caption below it."""
    faces: tuple[RecordedFace, ...]

    def image(self) -> Image | None:
        """BGR uint8 without the caption; None when it has been removed meanwhile."""
        picture = cv2.imread(str(self.path))
        return None if picture is None else np.asarray(picture[: self.size[1]], np.uint8)


class Recordings:
    """The folder of `edgeface run --record`, read as it grows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, RecordedFrame] = {}

    def frames(self) -> list[RecordedFrame]:
        """Everything recorded so far, in order of capture."""
        for path in sorted(self._folder.glob("*.json")):
            if path.name not in self._known:
                # One that the recorder has just removed again, as the oldest, is none.
                with suppress(FileNotFoundError):
                    self._known[path.name] = _read(path)
        return list(self._known.values())


class Timeline:
    """Whom the simulated camera showed when: the truth that the demo is judged by."""

    def __init__(self, camera: SimulatedCamera, recordings: Recordings) -> None:
        self._visits = Visits(camera)
        self._fps = camera.fps
        self._recordings = recordings
        self._known: dict[datetime, str] = {}

    def in_view(self, captured_at: datetime) -> str:
        """The name of who was in view at a moment; `NOBODY` also when no frame tells."""
        if captured_at in self._known:
            return self._known[captured_at]
        frames = self._recordings.frames()
        if not frames:
            return NOBODY
        nearest = min(frames, key=lambda f: abs((f.captured_at - captured_at).total_seconds()))
        ahead_s = (captured_at - nearest.captured_at).total_seconds()
        visit = self._visits.at(max(0, nearest.sequence + round(ahead_s * self._fps)))
        name = NOBODY if visit is None else self._name_of(visit)
        if abs(ahead_s) < NEAR_S:
            self._known[captured_at] = name
        return name

    def _name_of(self, visit: int) -> str:
        name = NAMES[self._visits.photograph_of(visit)]
        return held_name(name) if self._visits.presentation_of(visit) == "print" else name


def _read(path: Path) -> RecordedFrame:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return RecordedFrame(
        path=path.with_suffix(".jpg"),
        captured_at=datetime.fromisoformat(found["captured_at"]),
        sequence=found["sequence"],
        size=(found["size"][0], found["size"][1]),
        faces=tuple(
            RecordedFace(
                track_id=face["track"],
                box=Box(*face["box"]),
                face_px=None if face["quality"] is None else face["quality"]["face_px"],
                gate=face["gate"],
            )
            for face in found["faces"]
        ),
    )
