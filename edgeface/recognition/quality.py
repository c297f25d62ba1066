"""How good a crop is for recognition, where its head looks, and which limit it breaks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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
    "eyes_covered",
    "backlit",
    "uncertain",
)
"""Every name that `refusal` gives, in the order in which the limits are looked at."""

CLEAR_PX: Final = 30.0
CLEAR_SHARPNESS: Final = 0.3
CLEAR_EYES: Final = 0.5
"""From these on a crop holds what tells people apart. Of smaller faces, of those that are less
sharp and of those with covered eyes an embedding misses an enrolled person more often than not
(docs/models.md)."""
LIT_CONTRAST: Final = 0.15
"""With less the light comes from behind, or there is too little; a pale face in soft light from the
front has 0.18."""
_FULL_SIZE_PX: Final = 100.0
"""A face of this size fills the crop; a larger one has no more to give."""
_BLUR_TAPS: Final = 9
_BLURRED: Final = 0.25
_SHARP: Final = 0.65
MIN_INSIDE: Final = 0.85
"""The least share of a face that lies within the image."""
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
    contrast: float = 1.0
    """[0, 1]: from the darkest to the lightest parts of eyes, nose and mouth."""
    eyes: float = 1.0
    """[0, 1]: low where the eyes are covered, by a bar or sunglasses: flat, or dark below."""

    @property
    def clear(self) -> bool:
        """Whether not being recognized in such crops says something: who is not is a stranger."""
        return (
            self.face_px >= CLEAR_PX
            and self.sharpness >= CLEAR_SHARPNESS
            and self.eyes >= CLEAR_EYES
        )


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
    min_eyes: float = 0.0
    min_contrast: float = 0.0

    def for_enrollment(self) -> QualityLimits:
        """What a template has to keep, which stays: a clear look, lit from the front."""
        return replace(
            self,
            min_face_px=max(self.min_face_px, CLEAR_PX),
            min_sharpness=max(self.min_sharpness, CLEAR_SHARPNESS),
            min_eyes=max(self.min_eyes, CLEAR_EYES),
            min_contrast=max(self.min_contrast, LIT_CONTRAST),
        )


def assess(face: Face, crop_rgb: Image, image_size: tuple[int, int] | None = None) -> Quality:
    """Measure one face.

    `crop_rgb` is its aligned crop, RGB uint8 `(112, 112, 3)`; `image_size` the width and height in
    pixels of the image the face was found in. Without it the face counts as wholly inside.
    """
    luma = np.asarray(cv2.cvtColor(crop_rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    middle = luma[_FACE_ROWS, _FACE_COLUMNS]
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
        contrast=_spread(luma[_FEATURE_ROWS, _FEATURE_COLUMNS]),
        eyes=_eyes(luma, _spread(middle)),
    )


def refusal(quality: Quality, limits: QualityLimits) -> str | None:
    """The first limit that the crop breaks, one of `GATES`, or None when it can be used."""
    return next(iter(refusals(quality, limits)), None)


def refusals(quality: Quality, limits: QualityLimits) -> tuple[str, ...]:
    """Every limit that the crop breaks, in the order of `GATES`."""
    broken = {
        "too_small": quality.face_px < limits.min_face_px,
        "turned_away": abs(quality.yaw_deg) > limits.max_yaw_deg
        or abs(quality.pitch_deg) > limits.max_pitch_deg
        or abs(quality.roll_deg) > limits.max_roll_deg,
        "cut_off": quality.inside < MIN_INSIDE,
        "too_dark": quality.exposure < limits.min_exposure and quality.brightness < 0.5,
        "too_bright": quality.exposure < limits.min_exposure and quality.brightness >= 0.5,
        "blurred": quality.sharpness < limits.min_sharpness,
        "eyes_covered": quality.eyes < limits.min_eyes,
        "backlit": quality.contrast < limits.min_contrast,
        "uncertain": quality.score < limits.min_score,
    }
    return tuple(gate for gate in GATES if broken[gate])


_FACE_ROWS: Final = slice(26, 108)
_FACE_COLUMNS: Final = slice(18, 94)
"""The part of the crop that shows the face and little of what is behind it."""
_FEATURE_ROWS: Final = slice(40, 100)
_FEATURE_COLUMNS: Final = slice(30, 82)
"""Eyes, nose and mouth."""
_EYE_COLUMNS: Final = (slice(30, 47), slice(66, 83))
_EYE_ROWS: Final = slice(47, 58)
_UNDER_EYE_ROWS: Final = slice(60, 66)
_CHEEK_ROWS: Final = slice(70, 86)
_CHEEK_COLUMNS: Final = (slice(26, 42), slice(70, 86))
_EYE_TEXTURE: Final = 0.2
"""The deviation in an eye, as a share of the face's contrast, from which it is surely seen."""
_EYE_LIGHT: Final = 1.1
"""The same for the skin below an eye, as a share of the cheeks'."""


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


def _spread(luma: NDArray[np.uint8]) -> float:
    """[0, 1]: from the darkest to the lightest twentieth."""
    shares = np.cumsum(np.bincount(luma.ravel(), minlength=256)) / luma.size
    darkest, lightest = np.searchsorted(shares, (0.05, 0.95))
    return float(lightest - darkest) / 255


def _eyes(luma: NDArray[np.uint8], contrast: float) -> float:
    """[0, 1]: whether the eyes can be seen, by the better one of both.

    An eye has texture, which a bar takes away, and skin as light as the cheeks' below it, which
    sunglasses cover. Both limits are where one clean face in a hundred is below half.
    """
    texture = max(float(luma[_EYE_ROWS, columns].std()) for columns in _EYE_COLUMNS)
    below = max(float(np.median(luma[_UNDER_EYE_ROWS, columns])) for columns in _EYE_COLUMNS)
    cheeks = float(np.median([luma[_CHEEK_ROWS, columns] for columns in _CHEEK_COLUMNS]))
    seen = texture / max(1.0, 255 * contrast) / _EYE_TEXTURE
    return min(1.0, seen, below / max(1.0, cheeks) / _EYE_LIGHT)


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
