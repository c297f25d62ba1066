"""A video file as the demo needs it: somebody who comes, and is away for a while, over and over."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgeface.base.errors import CameraError
from edgeface.capture.stream import USUAL_FPS

SHOWN_S: Final = 8.0
"""So much of the file is played."""
AWAY_S: Final = 4.0
"""And then nobody is there for so long."""
NEEDED: Final = (
    f"its first {SHOWN_S:g} s are played over and over, with {AWAY_S:g} s of an empty picture in "
    "between; they have to show one person alone, near and facing the camera, who is enrolled first"
)
_WIDEST_PX: Final = 1280
_EMPTY: Final = 96


def with_pauses(film: Path, folder: Path) -> Path:
    """The beginning of a video file and an empty picture for a while, written to `folder`.

    Raises CameraError when it is no video that can be decoded.
    """
    capture = cv2.VideoCapture(str(film))
    try:
        fps = capture.get(cv2.CAP_PROP_FPS)
        fps = fps if 1 <= fps <= 120 else USUAL_FPS
        done, image = capture.read()
        if not done:
            raise CameraError(f"{film} is not a video that OpenCV can decode")
        scale = min(1.0, _WIDEST_PX / image.shape[1])
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        path = folder / "film.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
        shown = 0
        while done and shown < SHOWN_S * fps:
            writer.write(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
            done, image = capture.read()
            shown += 1
        for _ in range(round(AWAY_S * fps)):
            writer.write(np.full((size[1], size[0], 3), _EMPTY, np.uint8))
        writer.release()
    finally:
        capture.release()
    return path
