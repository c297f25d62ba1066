"""Pictures of a camera that hangs on its side or upside down: turned, and noticed."""

from __future__ import annotations

from collections import Counter
from typing import Final

import cv2
import numpy as np

from edgeface.recognition.values import FaceDetector, Image

EVERY_S: Final = 5.0
"""A look at the four turns costs four detections: so seldom it costs next to nothing."""
_ENOUGH: Final = 3
_DOMINANCE: Final = 3
"""So many times as many looks must speak for a turn as for none."""
_PROVED: Final = 20
"""After so many looks at upright faces there are no more."""
_MARGIN: Final = 0.1
"""A detector also finds faces that are not upright, but is less sure of them."""

_CODES: Final = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def turned(image: Image, degrees: int) -> Image:
    """Turned clockwise by 0 (the same array), 90, 180 or 270 degrees."""
    return np.asarray(cv2.rotate(image, _CODES[degrees]), np.uint8) if degrees else image


def best_turn(detector: FaceDetector, image: Image) -> int | None:
    """The degrees clockwise after which the surest face is found; None when there is no face."""
    scores = {
        degrees: max((face.score for face in detector.detect(turned(image, degrees))), default=0.0)
        for degrees in (0, *_CODES)
    }
    best = max(scores, key=lambda degrees: scores[degrees])
    if not scores[best]:
        return None
    return best if scores[best] > scores[0] + _MARGIN else 0


class TurnWatch:
    """Notices over many frames that faces are found only after turning them. Not thread-safe."""

    def __init__(self) -> None:
        self._votes: Counter[int] = Counter()
        self._due_s: float | None = None

    @property
    def hint(self) -> int:
        """Degrees clockwise by which the frames should be turned; 0 where nothing speaks for it."""
        best = max(_CODES, key=lambda degrees: self._votes[degrees])
        enough = max(_ENOUGH, _DOMINANCE * self._votes[0])
        return best if self._votes[best] >= enough else 0

    def look(self, detector: FaceDetector, image: Image, time_s: float) -> None:
        """Look at a frame, when it is time for that. `time_s`: of any clock."""
        if self._due_s is None:
            self._due_s = time_s + EVERY_S
        if time_s < self._due_s or self._votes[0] >= _PROVED:
            return
        self._due_s = time_s + EVERY_S
        best = best_turn(detector, image)
        if best is not None:
            self._votes[best] += 1
