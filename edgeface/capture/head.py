"""A head with depth, made of one frontal photograph: for visitors that are no cut-out.

The photograph is laid over ellipsoids for skull, jaw and nose, and a neck and a chest below, in the
proportions of a mean head. So a turn shows the
parallax of the nose against the ears, and who walks up is seen in perspective; the face's
expression does not change, and what the photograph does not show is guessed from its edge.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edgeface.capture import scene
from edgeface.capture.solid import Ellipsoid, Hits, Pane, nearest, rotation, seen
from edgeface.recognition.values import Image, Landmarks

# In distances between the eyes, from the middle between them; the nose points to -z.
_HEAD: Final = (
    Ellipsoid((0.0, -0.35, 1.4), (1.6, 1.65, 1.6)),
    Ellipsoid((0.0, 0.25, 1.2), (1.2, 1.6, 1.3)),
)
_PIVOT: Final = np.array([0.0, 1.9, 1.8], np.float32)
"""What the head turns about: the upper end of the neck."""
_BODY: Final = (
    Ellipsoid((0.0, 2.4, 1.8), (0.95, 2.4, 0.95)),
    Ellipsoid((0.0, 7.6, 2.2), (3.6, 5.0, 1.7)),
)
_REACH: Final = (-5.0, -3.2, 5.0, 13.0)
"""Left, top, right and bottom of what may be seen of the body."""
_SOFT: Final = 0.06
"""The width of the outline, as a share of the size of what it belongs to."""
_NOSE_OUT: Final = 0.42
"""How far the tip of the nose is before the eyes."""


class Head:
    """Somebody whom a photograph shows from the front."""

    def __init__(self, photograph: Image, landmarks: Landmarks) -> None:
        """BGR uint8 `(h, w, 3)` and the five landmarks in its pixels."""
        photo = scene.reduced(photograph)
        points = np.asarray(landmarks, np.float32) * np.float32(photo.shape[0] / len(photograph))
        left, right, nose = points[:3]
        self._eye_px: Final = max(1.0, float(np.hypot(*(right - left))))
        self._middle: Final = (left + right) / 2
        x, y = (right - left) / self._eye_px
        self._axes: Final = np.array([[x, -y], [y, x]], np.float32)
        """Columns: to the face's right and down, in the photograph."""
        nose_x, nose_y = (nose - self._middle) @ self._axes / self._eye_px
        self._nose: Final = Ellipsoid(
            (float(nose_x), float(nose_y) - 0.08, 0.6 - _NOSE_OUT), (0.27, 0.45, 0.6)
        )
        self._levels: Final = scene.halvings(scene.dressed(photo))
        self._photograph_px: Final = photo.shape[0]

    def draw(self, image: Image, pose: scene.Pose) -> None:
        """Draw into `image`, in place: the middle between the eyes of who looks ahead is at the
        pose's `x_px` and `y_px`. Draws nothing where that is out of view."""
        scale = pose.height_px / self._photograph_px
        eye_px = self._eye_px * scale
        left, top, right, bottom = (eye_px * reach for reach in _REACH)
        bounds = (pose.x_px + left, pose.y_px + top, pose.x_px + right, pose.y_px + bottom)
        pane = scene.part_of(image, bounds, pose, step=int(np.clip(eye_px / 10, 1, 4)))
        if pane is None:
            return
        hits = self._seen(pane, pose, eye_px)
        level = scene.level_for(self._levels, scale)
        shrink = np.float32(0.5**level)
        to_x, to_y = self._axes * np.float32(self._eye_px) * shrink
        middle_x, middle_y = self._middle * shrink
        x, y = pane.full(hits.x), pane.full(hits.y)
        colors = cv2.remap(
            self._levels[level],
            middle_x + to_x[0] * x + to_x[1] * y,
            middle_y + to_y[0] * x + to_y[1] * y,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        alpha = pane.full(hits.inside) / np.float32(_SOFT)
        scene.lay(image, scene.cut(np.asarray(colors, np.uint8), alpha), pane, pose)

    def _seen(self, pane: Pane, pose: scene.Pose, eye_px: float) -> Hits:
        rays = pane.rays()
        depth = pane.focal_px / eye_px
        place = np.array([pose.x_px - pane.frame[0] / 2, pose.y_px - pane.frame[1] / 2, 0.0])
        place = np.asarray(place / eye_px + (0, 0, depth), np.float32)
        upright = rotation(0.0, 0.0, pose.roll_deg)
        turn = rotation(pose.yaw_deg, pose.pitch_deg, pose.roll_deg)
        moved = place + upright @ _PIVOT - turn @ _PIVOT
        body = [seen(part, rays, place, upright) for part in _BODY]
        head = [seen(part, rays, moved, turn) for part in (*_HEAD, self._nose)]
        hits = nearest(body[0], body[1])
        for part in head:
            hits = nearest(hits, part)
        return hits
