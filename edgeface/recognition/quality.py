"""How good a crop is for recognition, where its head looks, and which limit it breaks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.alignment import inverse, similarity
from edgeface.recognition.values import Face, Image, Landmarks

_POINTS: Final = np.array(
    [[-19.6, 0.0, 0.0], [19.6, 0.0, 0.0], [0.0, 20.5, -13.0], [-17.1, 35.7, 0.0], [17.1, 35.7, 0.0]]
)
"""x right, y down, z away from the camera, in pixels of the 112x112 crop. x and y are the rounded
mean of frontal photographs as the detector's teacher marks them; the nose stands out by about 21 mm
where the pupils are 64 mm apart."""

MEAN_HEAD: Final[NDArray[np.float64]] = _POINTS - _POINTS.mean(axis=0)
"""float64 `(5, 3)`, the landmarks of a mean head about their center."""

_TO_CAMERA: Final = np.linalg.pinv(MEAN_HEAD)


def head_pose(landmarks: Landmarks) -> tuple[float, float, float]:
    """(yaw, pitch, roll) in degrees, (0, 0, 0) for an upright face that looks into the camera.

    Yaw is positive when the nose points to the right of the image, pitch when it points up, roll
    when the head leans clockwise in the image. The camera is taken as a scaled orthographic one and
    fitted to a mean head by least squares; the nearest rotation is the pose (the first step of
    POSIT, DeMenthon and Davis, IJCV 1995). The mean head bounds the accuracy to some ten degrees.
    Landmarks that show no face (not finite, or on a line) count as turned away by 90 degrees.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        return 90.0, 0.0, 0.0
    camera = (_TO_CAMERA @ (points - points.mean(axis=0))).T
    left, scales, right = np.linalg.svd(camera, full_matrices=False)
    if scales[1] < 1e-3 * max(float(scales[0]), 1e-3):
        return 90.0, 0.0, 0.0
    first, second = left @ right
    third = np.cross(first, second)
    # The head's own nose direction is -z: what it became is minus the third column.
    nose_x, nose_y, nose_z = -first[2], -second[2], -third[2]
    yaw = math.atan2(nose_x, -nose_z)
    pitch = math.atan2(-nose_y, math.hypot(nose_x, nose_z))
    # Roll is the turn that is left when yaw and pitch are undone: seen at the head's x axis.
    level = np.array([math.cos(yaw), 0.0, math.sin(yaw)])
    up = np.cross([nose_x, nose_y, nose_z], level)
    axis = np.array([first[0], second[0], third[0]])
    roll = math.atan2(-float(axis @ up), float(axis @ level))
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)


GATES: Final = (
    "too_small",
    "turned_away",
    "cut_off",
    "too_dark",
    "too_bright",
    "blurred",
    "uncertain",
)
"""Every name that `refusal` gives, in the order in which the limits are looked at."""

CLEAR_PX: Final = 30.0
CLEAR_SHARPNESS: Final = 0.3
"""From both on a crop holds what tells people apart. Of smaller faces, and of those that are less
sharp, an embedding misses an enrolled person more often than not (docs/models.md)."""
_FULL_SIZE_PX: Final = 100.0
"""A face of this size fills the crop; a larger one has no more to give."""
_BLUR_TAPS: Final = 9
_BLURRED: Final = 0.25
_SHARP: Final = 0.65
_MIN_INSIDE: Final = 0.85
_GRID_POINTS: Final = 9


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured on one face and its crop."""

    face_px: float
    """The shorter side of the detector's box, in pixels of the camera image."""
    sharpness: float
    """[0, 1]: 0 is blurred, 1 is sharp."""
    exposure: float
    """[0, 1]: 0 is black, burnt out or without contrast."""
    yaw_deg: float
    """Positive when the nose points to the right of the image."""
    pitch_deg: float
    """Positive when the nose points up."""
    roll_deg: float
    """Positive when the head leans clockwise in the image."""
    weight: float
    """[0, 1]: what the crop counts in the fusion: size, pose, exposure and sharpness multiplied."""
    brightness: float = 0.5
    """[0, 1]: the median luma of the face."""
    inside: float = 1.0
    """[0, 1]: the share of the face that lies within the image."""
    score: float = 1.0
    """[0, 1]: the detector's score."""

    @property
    def clear(self) -> bool:
        """Whether not being recognized in such crops says something: who is not is a stranger."""
        return self.face_px >= CLEAR_PX and self.sharpness >= CLEAR_SHARPNESS


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What a crop has to keep to be used at all."""

    min_face_px: float = CLEAR_PX
    min_sharpness: float = 0.15
    min_exposure: float = 0.2
    min_score: float = 0.5
    max_yaw_deg: float = 40.0
    max_pitch_deg: float = 35.0
    max_roll_deg: float = 45.0


def assess(face: Face, crop_rgb: Image, image_size: tuple[int, int] | None = None) -> Quality:
    """Measure one face.

    `crop_rgb` is its aligned crop, RGB uint8 `(112, 112, 3)`; `image_size` the width and height in
    pixels of the image the face was found in. Without it the face counts as wholly inside.
    """
    luma = cv2.cvtColor(crop_rgb, cv2.COLOR_RGB2GRAY)
    middle = np.asarray(luma[_FACE_ROWS, _FACE_COLUMNS], dtype=np.uint8)
    face_px = max(0.0, min(face.box.width, face.box.height))
    yaw_deg, pitch_deg, roll_deg = head_pose(face.landmarks)
    exposure, brightness = _exposure(middle)
    sharp = _sharpness(middle)
    facing = max(0.0, math.cos(math.radians(yaw_deg))) * max(0.0, math.cos(math.radians(pitch_deg)))
    size = min(1.0, face_px / _FULL_SIZE_PX)
    return Quality(
        face_px=face_px,
        sharpness=sharp,
        exposure=exposure,
        yaw_deg=yaw_deg,
        pitch_deg=pitch_deg,
        roll_deg=roll_deg,
        weight=size * facing * exposure * sharp,
        brightness=brightness,
        inside=1.0 if image_size is None else _inside(face, image_size),
        score=face.score,
    )


def refusal(quality: Quality, limits: QualityLimits) -> str | None:
    """The first limit that the crop breaks, one of `GATES`, or None when it can be used."""
    broken = {
        "too_small": quality.face_px < limits.min_face_px,
        "turned_away": abs(quality.yaw_deg) > limits.max_yaw_deg
        or abs(quality.pitch_deg) > limits.max_pitch_deg
        or abs(quality.roll_deg) > limits.max_roll_deg,
        "cut_off": quality.inside < _MIN_INSIDE,
        "too_dark": quality.exposure < limits.min_exposure and quality.brightness < 0.5,
        "too_bright": quality.exposure < limits.min_exposure and quality.brightness >= 0.5,
        "blurred": quality.sharpness < limits.min_sharpness,
        "uncertain": quality.score < limits.min_score,
    }
    return next((gate for gate in GATES if broken[gate]), None)


_FACE_ROWS: Final = slice(26, 108)
_FACE_COLUMNS: Final = slice(18, 94)
"""The part of the crop that shows the face and little of what is behind it."""


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _exposure(luma: NDArray[np.uint8]) -> tuple[float, float]:
    """(exposure, median luma), both in [0, 1].

    Judged by the lightest and darkest parts and not by the mean, so that dark skin in good light
    counts as well exposed.
    """
    shares = np.cumsum(np.bincount(luma.ravel(), minlength=256)) / luma.size
    darkest, quarter, median, lightest = (
        float(level) / 255 for level in np.searchsorted(shares, (0.05, 0.25, 0.5, 0.95))
    )
    lit = _ramp(lightest, 0.08, 0.30)
    not_burnt = 1.0 - _ramp(quarter, 0.85, 0.98)
    contrast = _ramp(lightest - darkest, 0.04, 0.20)
    return lit * not_burnt * contrast, median


def _sharpness(luma: NDArray[np.uint8]) -> float:
    """[0, 1]: how much of the change between neighbors a strong blur takes away.

    The no-reference measure of Crete et al., "The blur effect" (SPIE 6492, 2007), along the worse
    of the two axes, stretched to the range that photographs of faces have.
    """
    values = luma.astype(np.float32)
    kept = []
    for axis in (0, 1):
        taps = (1, _BLUR_TAPS) if axis == 0 else (_BLUR_TAPS, 1)
        # The size of cv2.blur is (columns, rows): blur along the axis that is differentiated.
        blurred = cv2.blur(values, taps)
        before = np.abs(np.diff(values, axis=axis))
        after = np.abs(np.diff(blurred, axis=axis))
        total = float(before.sum())
        lost = float(np.maximum(0, before - after).sum())
        kept.append(lost / total if total > 0 else 0.0)
    return _ramp(min(kept), _BLURRED, _SHARP)


_GRID: Final = np.stack(
    np.meshgrid(
        np.linspace(_FACE_COLUMNS.start, _FACE_COLUMNS.stop, _GRID_POINTS),
        np.linspace(_FACE_ROWS.start, _FACE_ROWS.stop, _GRID_POINTS),
    ),
    axis=-1,
).reshape(-1, 2)


def _inside(face: Face, image_size: tuple[int, int]) -> float:
    """The share of a grid over the face's part of the crop that falls into the image."""
    try:
        back = inverse(similarity(face.landmarks))
    except ValueError:
        return 0.0
    points = _GRID @ back[:, :2].T + back[:, 2]
    return float(np.mean(np.all((points >= 0) & (points <= np.array(image_size)), axis=1)))
