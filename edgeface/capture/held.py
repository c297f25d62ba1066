"""A photograph or a film held up to the camera: on paper, flat or bent, or on a screen.

An imitation of a presentation attack (ISO/IEC 30107-1) for demonstrations and tests: the right
perspective of a tilted sheet with its border, and of a screen its bezel, its brightness, the moire
of its pixels against the camera's, and a lamp's reflection. It is no measure of real attacks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.capture import scene
from edgeface.capture.solid import Sheet, Values, rotation, seen
from edgeface.recognition.values import Image


@dataclass(frozen=True, slots=True)
class _Make:
    """What is held. Lengths are in heights of the picture."""

    border: float
    border_bgr: tuple[int, int, int]
    widest: float | None = None
    """A wider picture loses its sides; None: it is shown whole."""
    screen_px: int | None = None
    """Pixels of the screen along the picture's height; None: paper."""


_PAPER: Final = _Make(0.04, (236, 238, 240))
HELD: Final = {
    "print": _PAPER,
    "bent_print": _PAPER,
    "phone": _Make(0.025, (18, 17, 16), 0.5, 1520),
    "tablet": _Make(0.06, (22, 20, 20), 0.75, 1410),
}
"""By their species."""

_BRIGHT: Final = 1.12
_MOIRE: Final = 0.05
"""Of the light, one way."""
_GLARE: Final = 70.0
"""Gray levels in the middle of the lamp's reflection."""
_GLARE_SIZE: Final = 0.13
_GLARE_AT: Final = (0.12, -0.32)
_GLARE_MOVES: Final = 2.0
"""How far it goes with the tilt, in heights of the picture a radian."""


class Held:
    """Something flat with a picture on it, in somebody's hand."""

    def __init__(self, species: str, picture: Image) -> None:
        """BGR uint8 `(h, w, 3)`; `species` is one of `HELD`."""
        self._make: Final = HELD[species]
        self.show(picture)

    def show(self, picture: Image) -> None:
        """Show another picture, of any size."""
        make = self._make
        photo = scene.reduced(picture)
        height, width = photo.shape[:2]
        if make.widest is not None and width > make.widest * height:
            kept = max(1, round(make.widest * height))
            photo = photo[:, (width - kept) // 2 :][:, :kept]
        if make.screen_px is not None:
            photo = np.asarray(cv2.convertScaleAbs(photo, alpha=_BRIGHT), np.uint8)
        side = max(1, round(make.border * height))
        whole = cv2.copyMakeBorder(photo, *(side,) * 4, cv2.BORDER_CONSTANT, value=make.border_bgr)
        self._levels = scene.halvings(np.asarray(whole, np.uint8))
        self._picture_px = height

    def draw(self, image: Image, pose: scene.Pose) -> None:
        """Draw into `image`, in place: the middle at the pose's `x_px` and `y_px`, turned and bent
        as it says. Draws nothing where that is out of view."""
        rows, columns = self._levels[0].shape[:2]
        width, height = columns / self._picture_px, rows / self._picture_px
        reach = 0.6 * math.hypot(width, height) * pose.height_px
        bounds = (pose.x_px - reach, pose.y_px - reach, pose.x_px + reach, pose.y_px + reach)
        pane = scene.part_of(image, bounds, pose, step=4)
        if pane is None:
            return
        depth = pane.focal_px / pose.height_px
        place = np.array([pose.x_px - pane.frame[0] / 2, pose.y_px - pane.frame[1] / 2, 0.0])
        hits = seen(
            Sheet(width, height, pose.bend),
            pane.rays(),
            np.asarray(place / pose.height_px + (0, 0, depth), np.float32),
            rotation(pose.yaw_deg, pose.pitch_deg, pose.roll_deg),
        )
        x, y = pane.full(hits.x), pane.full(hits.y)
        level = scene.level_for(self._levels, pose.height_px / self._picture_px)
        scale = np.float32(self._picture_px * 0.5**level)
        middle_x, middle_y = (side / 2 - 0.5 for side in self._levels[level].shape[1::-1])
        colors = np.asarray(
            cv2.remap(
                self._levels[level],
                x * scale + np.float32(middle_x),
                y * scale + np.float32(middle_y),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            ),
            np.uint8,
        )
        if self._make.screen_px is not None:
            colors = self._lit(colors, x, y, pose)
        edge_px = np.float32(0.5 * min(width, height) * pose.height_px)
        scene.lay(image, scene.cut(colors, pane.full(hits.inside) * edge_px + 0.5), pane, pose)

    def _lit(self, colors: Image, x: Values, y: Values, pose: scene.Pose) -> NDArray[np.uint8]:
        """With the screen's pixels as the camera's meet them, and a lamp that shines on it."""
        assert self._make.screen_px is not None
        waves = np.float32(2 * math.pi * self._make.screen_px)
        across, down = np.cos(waves * x), np.cos(waves * y)
        # Red, green and blue lie beside one another: the outer two beat against the middle one.
        moire = _MOIRE * np.dstack([across + down, -across + down, across + down])
        sin_yaw, sin_pitch = (math.sin(math.radians(a)) for a in (pose.yaw_deg, pose.pitch_deg))
        away_x = x - np.float32(_GLARE_AT[0] + _GLARE_MOVES * sin_yaw)
        away_y = y - np.float32(_GLARE_AT[1] - _GLARE_MOVES * sin_pitch)
        glare = _GLARE * np.exp(-(away_x**2 + away_y**2) / np.float32(2 * _GLARE_SIZE**2))
        lit = colors * (1 + moire) + glare[..., None]
        return np.clip(lit, 0, 255).astype(np.uint8)
