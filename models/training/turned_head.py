"""A frontal face seen as if the head had been turned: a view that no frontal photograph has.

The head is an ellipsoid with five landmarks on it. A pixel of the turned view is a ray; where it
meets the turned ellipsoid lies a point of the surface, and the frontal photograph shows that point
where it lay before. The landmarks are turned along, and the view is aligned by them as a detector's
would be.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.alignment import RETAIL, inverse, similarity

Points = NDArray[np.float64]

_CENTRE = np.array([64.0, 66.0])
_RADII = np.array([56.0, 80.0, 68.0])
"""Of a mean head in pixels of the crop: half its width, its height and its depth."""
_STANDS_OUT = np.array([-4.0, -4.0, 14.0, 0.0, 0.0])
"""How far the landmarks lie outside of the ellipsoid: eyes deep, nose tip forward."""
_RIM = 0.98

_FLAT = RETAIL.template.astype(np.float64) - _CENTRE
_LANDMARKS: Points = np.column_stack(
    [_FLAT, _RADII[2] * np.sqrt(1 - (_FLAT**2 / _RADII[:2] ** 2).sum(axis=1)) + _STANDS_OUT]
)


def rotation(yaw: float, pitch: float) -> Points:
    """The `(3, 3)` turn of a head by angles in radians, x right, y down, z towards the camera."""
    a, b, c, d = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    about_x = np.array([[1, 0, 0], [0, c, -d], [0, d, c]])
    return about_x @ np.array([[a, 0, b], [0, 1, 0], [-b, 0, a]])


def turned(
    yaw: float, pitch: float, view: Points, size_px: int = RETAIL.size_px
) -> tuple[Points, Points]:
    """Where the pixels of a turned view lie on the frontal crop, `(size_px, size_px, 2)`, and its
    landmarks, `(5, 2)` in pixels of the view.

    `view` is the 2x3 map from pixels of the view to those of the aligned crop. The side of the head
    that the photograph does not show is its rim drawn out; what misses the head stays where it is.
    """
    turn = rotation(yaw, pitch)
    seen = (_LANDMARKS @ turn.T)[:, :2] + _CENTRE
    straight = similarity(seen, RETAIL.template)  # type: ignore[arg-type]
    landmarks = mapped(inverse(view), mapped(straight, seen))
    x, y = np.meshgrid(np.arange(size_px), np.arange(size_px))
    pixels = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float64)
    ray = mapped(inverse(straight), mapped(view, pixels)) - _CENTRE
    shape = turn @ np.diag(1 / _RADII**2) @ turn.T
    a = shape[2, 2]
    b = 2 * (ray @ shape[:2, 2])
    c = np.einsum("ni,ij,nj->n", ray, shape[:2, :2], ray) - 1
    discriminant = b * b - 4 * a * c
    depth = (-b + np.sqrt(np.maximum(discriminant, 0))) / (2 * a)
    surface = np.column_stack([ray, depth]) @ turn
    behind = surface[:, 2] < 0
    across = np.sqrt((surface[:, :2] ** 2 / _RADII[:2] ** 2).sum(axis=1))
    to_rim = np.where(behind, _RIM / np.maximum(across, 1e-6), 1.0)
    hit = (discriminant > 0)[:, None]
    source = np.where(hit, surface[:, :2] * to_rim[:, None], ray) + _CENTRE
    return source.reshape(size_px, size_px, 2), landmarks


def mapped(matrix: Points, points: Points) -> Points:
    """`(n, 2)` points through a 2x3 map."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])
