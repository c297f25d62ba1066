"""How far a face has turned between two pictures, told by depth: plane plus parallax.

A plane that moves in any way maps its points by a homography. What stands out of it moves by so
much more as it stands out, all in one direction (Irani, Anandan and Weinshall, "From reference
frames to reference planes", ECCV 1998). Here the depths are those of a mean head, and that much
more is fitted together with the homography: nearly nothing for a picture of a face, however it is
held, and some degrees for a head that turns, or that is seen from elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.values import Face

_ROUNDS: Final = 4
_NOISE: Final = 0.0008
"""The least noise that is believed, in widths of the face."""
_KEYSTONE: Final = 0.3
"""The usual change of the perspective terms, of a face as wide as the focal length: the sine of a
tilt."""
_OUTLIER: Final = 2.0
"""Noises from which on a point counts less (Cauchy)."""

# A mean head in distances between the eyes, from the middle between them; the nose points to -z.
_SKULL: Final = ((0.0, -0.35, 1.4), (1.6, 1.65, 1.6))
_JAW: Final = ((0.0, 0.25, 1.2), (1.2, 1.6, 1.3))
_NOSE: Final = ((0.0, -0.08, 0.18), (0.27, 0.45, 0.6))
"""Centers and half axes of ellipsoids; the nose's center is counted from its tip's landmark."""
_WIDEST: Final = 2.3
"""Widths of a box in distances between eyes that look ahead."""


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """What the points of a face say of two pictures."""

    homography: NDArray[np.float64]
    """`(3, 3)`: where the plane through the face goes, in pixels."""
    turned_deg: float
    """By how much a mean head would have turned for the parallax that is there; 0 for a plane."""
    error_deg: float
    """Its standard error."""


def fit_turn(
    face: Face, before: NDArray[np.float64], after: NDArray[np.float64], frame_px: int
) -> Turn:
    """The turn between two pictures of which `before` and `after`, `(n, 2)` in pixels, are the same
    points of the face, `face` where it was before, and `frame_px` the longer side.

    Least squares, reweighted so that a few wrong points count little. Raises ValueError for fewer
    than eight points.
    """
    if len(before) < 8:
        raise ValueError(f"{len(before)} points say nothing of a turn, eight do")
    width = face.box.width
    to_width = np.array([[1, 0, -face.box.center[0]], [0, 1, -face.box.center[1]], [0, 0, width]])
    x, y = ((before - face.box.center) / width).T
    u, v = ((after - face.box.center) / width).T
    depth, eye_px = _depth(face, before)
    one, none = np.ones(len(x)), np.zeros(len(x))
    rows = np.concatenate(
        [
            np.stack([x, y, one, none, none, none, -u * x, -u * y, depth, none], axis=1),
            np.stack([none, none, none, x, y, one, -v * x, -v * y, none, depth], axis=1),
        ]
    )
    values, covariance = _fitted(rows, np.concatenate([u, v]), _KEYSTONE * width / frame_px)
    plane = np.append(values[:8], 1.0).reshape(3, 3)
    homography = np.linalg.inv(to_width) @ plane @ to_width
    degrees = math.degrees(width / eye_px)
    error = math.sqrt(max(0.0, float(np.trace(covariance[8:, 8:])) / 2))
    return Turn(homography, degrees * float(np.hypot(*values[8:])), degrees * error)


def _fitted(
    rows: NDArray[np.float64], targets: NDArray[np.float64], keystone: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and their covariance; the two perspective terms are held near 0."""
    count = len(targets) // 2
    weights, noise = np.ones(count), 0.01
    values, covariance = np.zeros(rows.shape[1]), np.eye(rows.shape[1])
    for _ in range(_ROUNDS):
        held = np.full(rows.shape[1], 1e-9)  # points on a line leave something open
        held[6:8] = (noise / keystone) ** 2
        weighted = rows * np.tile(weights, 2)[:, None]
        inverse = np.linalg.inv(weighted.T @ rows + np.diag(held))
        values = np.asarray(inverse @ (weighted.T @ targets), np.float64)
        errors = targets - rows @ values
        distances = np.hypot(errors[:count], errors[count:])
        noise = max(_NOISE, float(np.median(distances)))
        covariance = np.asarray(inverse * noise**2, np.float64)
        weights = 1 / (1 + (distances / (_OUTLIER * noise)) ** 2)
    return values, covariance


def _depth(face: Face, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """How near points of the face are to the camera, about their mean, in distances between the
    eyes; and what that distance is, in pixels, of who looks ahead."""
    left, right, nose = face.landmarks[:3].astype(np.float64)
    across = right - left
    seen_px = max(1e-6, float(np.hypot(*across)))
    ahead_px = max(seen_px, face.box.width / _WIDEST)
    (cos, sin), middle = across / seen_px, (left + right) / 2
    upright = np.array([[cos, -sin], [sin, cos]])
    places = (points - middle) @ upright / ahead_px
    tip = (nose - middle) @ upright / ahead_px
    depth = np.full(len(places), np.inf)
    for (x, y, z), radii in (_SKULL, _JAW):
        depth = np.minimum(depth, _front(places - (x, y), z, radii, beside=z))
    (x, y, z), radii = _NOSE
    depth = np.minimum(depth, _front(places - tip - (x, y), z, radii, beside=math.inf))
    return float(depth.mean()) - depth, ahead_px


def _front(
    places: NDArray[np.float64], z: float, radii: tuple[float, float, float], *, beside: float
) -> NDArray[np.float64]:
    """The front of an ellipsoid with its center at (0, 0, z)."""
    height = 1.0 - ((places / radii[:2]) ** 2).sum(axis=1)
    return np.where(height > 0, z - radii[2] * np.sqrt(np.maximum(0.0, height)), beside)
