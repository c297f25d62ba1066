"""Exposure for the face: how much lighter or darker a camera's pictures ought to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from edgeface.recognition.values import Box, Image

STEP_S: Final = 0.5
"""A camera's own regulation follows within so long."""
HOLD_S: Final = 10.0
"""So long the last face counts; then the camera is left to itself."""
_LIGHT: Final = 0.9
"""The quantile of a face that is looked at: its lighter parts, so that dark skin in good light is
well exposed."""
_TOO_DARK: Final = 100.0
_RIGHT: Final = 150.0
_BURNT: Final = 245.0
_STEP_EV: Final = 0.5
_GAMMA: Final = 2.2
"""Gray levels are coded about so."""


class FaceMeter:
    """Meters the largest face of the frames, as a camera's spot meter would. Not thread-safe."""

    def __init__(self, max_ev: float) -> None:
        """`max_ev`: the most by which the exposure is corrected; 0: not at all."""
        self._max_ev = max_ev
        self._due_s = -math.inf
        self._seen_s = -math.inf
        self.ev = 0.0
        """By how much the pictures ought to be lighter than the camera makes them by itself."""

    def look(self, image: Image, faces: Sequence[Box], time_s: float) -> None:
        """Take a frame, BGR `(h, w, 3)`, and the boxes of its faces in pixels."""
        if not self._max_ev or time_s < self._due_s:
            return
        light = max(faces, key=lambda box: box.area, default=None)
        level = None if light is None else _lightness(image, light)
        if level is not None:
            self._seen_s = time_s
            self._due_s = time_s + STEP_S
            self.ev = max(-self._max_ev, min(self._max_ev, self.ev + _correction(level)))
        elif time_s - self._seen_s > HOLD_S:
            self.ev = 0.0


def _lightness(image: Image, box: Box) -> float | None:
    """Of the middle of the box; None where that is not in the picture."""
    (x, y), across, down = box.center, 0.3 * box.width, 0.3 * box.height
    left, top = max(0, int(x - across)), max(0, int(y - down))
    part = image[top : max(0, int(y + down)), left : max(0, int(x + across)), 1]
    return float(np.quantile(part, _LIGHT)) if part.size else None


def _correction(level: float) -> float:
    """The next step in EV: none while the face is neither dark nor burnt out."""
    if _TOO_DARK <= level <= _BURNT:
        return 0.0
    wanted = _GAMMA * math.log2(_RIGHT / max(1.0, level))
    return max(-_STEP_EV, min(_STEP_EV, wanted / 2))
