"""How good a crop is for recognition, where its head looks, and which limit it breaks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.alignment import turn_and_shift
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
    # The mean of the points drops out, as that of the mean head is 0. The rows of the camera are a
    # and b; the nearest orthonormal ones, (C Ct)^-1/2 C, have a closed form.
    columns = (_TO_CAMERA @ points).tolist()
    (ax, bx), (ay, by), (az, bz) = columns
    aa, ab, bb = (
        ax * ax + ay * ay + az * az,
        ax * bx + ay * by + az * bz,
        bx * bx + by * by + bz * bz,
    )
    third_x, third_y, third_z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    area = math.hypot(third_x, third_y, third_z)
    both = math.sqrt(aa + bb + 2 * area)
    larger = (both + math.sqrt(max(0.0, aa + bb - 2 * area))) / 2
    if area <= 1e-3 * larger * max(larger, 1e-3):  # the smaller scale is area / larger
        return 90.0, 0.0, 0.0
    (first_x, second_x), _, (first_z, second_z) = (
        (((bb + area) * a - ab * b) / (both * area), ((aa + area) * b - ab * a) / (both * area))
        for a, b in columns
    )
    # The head's own nose direction is -z: what it became is minus the third column.
    nose_x, nose_y, nose_z = -first_z, -second_z, -third_z / area
    level = math.hypot(nose_x, nose_z)
    yaw, pitch = math.atan2(nose_x, -nose_z), math.atan2(-nose_y, level)
    # Roll is the turn that is left when yaw and pitch are undone: seen at the head's x axis.
    x, y, z = first_x, second_x, third_x / area
    cos, sin = math.cos(yaw), math.sin(yaw)
    roll = math.atan2(y * level - nose_y * (x * sin - z * cos), x * cos + z * sin)
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
    feature_darkest, feature_lightest = _levels(luma[_FEATURE_ROWS, _FEATURE_COLUMNS], 0.05, 0.95)
    face_px = max(0.0, min(face.box.width, face.box.height))
    yaw_deg, pitch_deg, roll_deg = head_pose(face.landmarks)
    darkest, quarter, median, lightest = _levels(middle, 0.05, 0.25, 0.5, 0.95)
    exposure = _exposure(darkest, quarter, lightest)
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
        brightness=median / 255,
        inside=1.0 if image_size is None else _inside(face, image_size),
        score=face.score,
        contrast=(feature_lightest - feature_darkest) / 255,
        eyes=_eyes(luma, lightest - darkest),
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


def _levels(luma: NDArray[np.uint8], *shares: float) -> list[int]:
    """The quantiles of the gray levels, 0 to 255."""
    counts = cv2.calcHist([luma], [0], None, [256], [0, 256]).cumsum()
    levels: list[int] = counts.searchsorted([share * luma.size for share in shares]).tolist()
    return levels


def _median(luma: NDArray[np.uint8]) -> float:
    """What `numpy.median` gives, in a quarter of its time where pixels are few."""
    levels = np.sort(luma, axis=None)
    return (int(levels[(len(levels) - 1) // 2]) + int(levels[len(levels) // 2])) / 2


def _exposure(darkest: int, quarter: int, lightest: int) -> float:
    """[0, 1], by the lightest and darkest parts and not by the mean, so that dark skin in good
    light counts as well exposed."""
    lit = _ramp(lightest / 255, 0.08, 0.30)
    not_burnt = 1.0 - _ramp(quarter / 255, 0.85, 0.98)
    contrast = _ramp((lightest - darkest) / 255, 0.04, 0.20)
    return lit * not_burnt * contrast


def _eyes(luma: NDArray[np.uint8], contrast: int) -> float:
    """[0, 1]: whether the eyes can be seen, by the better one of both.

    An eye has texture, which a bar takes away, and skin as light as the cheeks' below it, which
    sunglasses cover. Both limits are where one clean face in a hundred is below half. `contrast` is
    that of the face, in gray levels.
    """
    texture = max(
        float(cv2.meanStdDev(luma[_EYE_ROWS, columns])[1][0, 0]) for columns in _EYE_COLUMNS
    )
    below = max(_median(luma[_UNDER_EYE_ROWS, columns]) for columns in _EYE_COLUMNS)
    cheeks = _median(np.concatenate([luma[_CHEEK_ROWS, columns] for columns in _CHEEK_COLUMNS]))
    seen = texture / max(1.0, contrast) / _EYE_TEXTURE
    return min(1.0, seen, below / max(1.0, cheeks) / _EYE_LIGHT)


def _sharpness(luma: NDArray[np.uint8]) -> float:
    """[0, 1]: how much of the change between neighbors a strong blur takes away.

    The no-reference measure of Crete et al., "The blur effect" (SPIE 6492, 2007), along the worse
    of the two axes, stretched to the range that photographs of faces have.
    """
    values = luma.astype(np.float32)
    kept = []
    # The size of cv2.blur is (columns, rows): blur along the axis that is differentiated.
    for taps, here, next_to in (
        ((1, _BLUR_TAPS), np.s_[:-1], np.s_[1:]),
        ((_BLUR_TAPS, 1), np.s_[:, :-1], np.s_[:, 1:]),
    ):
        blurred = cv2.blur(values, taps)
        before = cv2.absdiff(values[here], values[next_to])
        after = cv2.absdiff(blurred[here], blurred[next_to])
        total, left = cv2.sumElems(before)[0], cv2.sumElems(cv2.min(before, after))[0]
        kept.append(1 - left / total if total > 0 else 0.0)
    return _ramp(min(kept), _BLURRED, _SHARP)


_GRID: Final[NDArray[np.complex128]] = (
    np.linspace(_FACE_COLUMNS.start, _FACE_COLUMNS.stop, _GRID_POINTS)
    + 1j * np.linspace(_FACE_ROWS.start, _FACE_ROWS.stop, _GRID_POINTS)[:, None]
)


def _inside(face: Face, image_size: tuple[int, int]) -> float:
    """The share of a grid over the face's part of the crop that falls into the image."""
    try:
        turn, shift = turn_and_shift(face.landmarks)
    except ValueError:
        return 0.0
    points = (_GRID - shift) / turn
    (x, y), (width, height) = (points.real, points.imag), image_size
    within = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    return int(np.count_nonzero(within)) / within.size
