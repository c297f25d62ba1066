"""What a camera that hangs still sees, held against what it saw before: lit, sharp, the same place.

Everything works on small gray pictures: `small` (its longer side 64 px) and `half` (the frame's
half). Thresholds are in gray levels of 0 to 255 unless their names say otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.values import Image

Gray: TypeAlias = NDArray[np.uint8]
"""uint8 `(h, w)`."""
GrayMean: TypeAlias = NDArray[np.float32]
"""float32 `(h, w)`: gray levels that were averaged."""

SMALL_PX: Final = 64
"""The longer side of a small picture."""
_STEP_MAX: Final = 4
"""Every fourth pixel of a large frame is enough for a cell's mean."""

_CHANGED_LEAST: Final = 4.0
_CHANGED_MOST: Final = 12.0
_BLACK: Final = 20.0
"""A picture in which nearly every cell is below it is black, sensor noise included."""
_NEARLY: Final = 98.0
"""Percent."""
_FLAT: Final = 1.5
"""Deviation of what a blur takes away: with less there is nothing to be told apart."""
_STRUCTURED: Final = 4.0
"""With more there is."""

_FINE_PX: Final = 4.0
"""Standard deviation of the blur that local brightness is taken from."""
_NOISE: Final = 3.0
_REACH: Final = 8
"""So many cells in each direction a moved camera's picture is looked for."""
_DIM: Final = 25.0
"""The place is not judged by a picture whose mean is darker."""

_REBLUR_PX: Final = 3.0
_EDGE: Final = 2.5
"""The least gradient of an edge, after the second blur."""
_AROUND_EDGE: Final = np.ones((9, 9), np.uint8)
_EDGES_MIN: Final = 300
"""Fewer pixels on edges say nothing: a white wall."""


def small_gray(image: Image) -> Gray:
    """The small picture of a BGR frame `(h, w, 3)`: cell means of its green, the longer side 64."""
    step = max(1, min(_STEP_MAX, max(image.shape[:2]) // (4 * SMALL_PX)))
    green = np.ascontiguousarray(image[::step, ::step, 1])
    scale = SMALL_PX / max(green.shape)
    size = tuple(max(8, round(side * scale)) for side in green.shape[::-1])
    return np.asarray(cv2.resize(green, size, interpolation=cv2.INTER_AREA), np.uint8)


def half_gray(image: Image) -> Gray:
    """Gray `(h / 2, w / 2)` of a BGR frame."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    size = (max(16, image.shape[1] // 2), max(16, image.shape[0] // 2))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def changed_cells(now: GrayMean, before: GrayMean) -> NDArray[np.bool_]:
    """Which cells of a small picture differ from an earlier one by more than exposure and noise."""
    gain = np.vdot(now, before) / max(1.0, float(np.vdot(before, before)))
    apart = np.abs(now - np.float32(gain) * before)
    quartile = 3 * apart.size // 4
    # 1.15 standard deviations where noise alone differs.
    usual = float(np.partition(apart, quartile, axis=None)[quartile])
    return apart > min(_CHANGED_MOST, max(_CHANGED_LEAST, 4.5 * usual))


def is_black(small: Gray) -> bool:
    """Whether there is no light in the picture: a covered lens, or a dark place."""
    return float(np.percentile(small, _NEARLY)) < _BLACK


def structure(small: Gray | GrayMean) -> float:
    """The deviation of what a strong blur takes away; near 0 for a wall, fog or a covered lens."""
    return float(_fine(small.astype(np.float32)).std())


def lost_structure(now: Gray | GrayMean, before: GrayMean) -> bool:
    """Whether nothing can be told apart any more where much could: something lies over the lens."""
    return structure(now) < _FLAT and structure(before) > _STRUCTURED


def _fine(small: GrayMean) -> GrayMean:
    return small - blurred(small, _FINE_PX)


def blurred(picture: GrayMean, sigma: float) -> GrayMean:
    """By a Gaussian of this standard deviation in pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


@dataclass(frozen=True, slots=True)
class Fit:
    """How well one small picture lies upon another; correlations in [-1, 1]."""

    here: float
    """As they lie."""
    best: float
    """At the best shift."""
    shift_cells: float
    """How far that is, in cells."""


def fit(now: GrayMean, before: GrayMean) -> Fit | None:
    """Compare the structure of two small pictures, whatever their light is.

    Both are freed from local brightness and contrast first (local contrast normalization), so that
    exposure, shade and a lamp count little. None when that cannot be: one of them is too dark or
    has too little structure, or their sizes differ.
    """
    if now.shape != before.shape or min(float(now.mean()), float(before.mean())) < _DIM:
        return None
    if min(structure(now), structure(before)) < _STRUCTURED:
        return None
    there, here = _normalized(before), _normalized(now)
    down, across = (min(_REACH, side // 4) for side in now.shape)
    middle = here[down:-down, across:-across]
    found = cv2.matchTemplate(there, middle, cv2.TM_CCOEFF_NORMED)
    y, x = np.unravel_index(int(found.argmax()), found.shape)
    return Fit(
        here=float(found[down, across]),
        best=float(found[y, x]),
        shift_cells=math.hypot(int(x) - across, int(y) - down),
    )


def _normalized(small: GrayMean) -> GrayMean:
    fine = _fine(blurred(small, 1.0))
    contrast = np.sqrt(blurred(fine * fine, _FINE_PX)) + np.float32(_NOISE)
    return np.asarray(fine / contrast, np.float32)


def edge_width_px(half: GrayMean) -> float | None:
    """The standard deviation in px of the blur of the picture's stronger edges; None without enough
    of them.

    An edge that is blurred once more loses the less the wider it is: the ratio of the gradients
    gives its width (Zhuo and Sim, "Defocus map estimation from a single image", Pattern Recognition
    44, 2011, equation 5; here of their squares across the edge, so that nobody has to find its
    middle). Contrast and exposure fall out of it.
    """
    once = blurred(half, 0.7)  # what noise is left after the averaging counts less
    before, after = _gradient(once), _gradient(blurred(once, _REBLUR_PX))
    edges = after >= max(_EDGE, float(np.percentile(after, 90)))
    if int(edges.sum()) < _EDGES_MIN:
        return None
    around = cv2.dilate(edges.astype(np.uint8), _AROUND_EDGE) > 0
    ratio = float((before[around] ** 2).sum() / (after[around] ** 2).sum())
    return _REBLUR_PX / math.sqrt(max(ratio * ratio - 1.0, 1e-2))


def _gradient(picture: GrayMean) -> GrayMean:
    """Levels per pixel."""
    x = cv2.Sobel(picture, cv2.CV_32F, 1, 0, scale=1 / 8)
    y = cv2.Sobel(picture, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.asarray(cv2.magnitude(x, y), np.float32)
